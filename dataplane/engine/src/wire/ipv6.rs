//! IPv6 (RFC 8200) and its extension headers.

use super::owner::Quoted;
use super::read::{header, span};
use super::transport::{Ip, Located};
use super::{Ecn, IPV6_EXTENSIONS_MAX, IpVersion, Malformed, Stop, Tuple, Untracked};

const HEADER_LEN: usize = 40;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const NO_NEXT_HEADER: u8 = 59;
const DESTINATION: u8 = 60;

/// Fragment offset and more-fragments bit of a fragment header; the two bits between are reserved.
const FRAGMENT_MASK: u16 = 0xfff9;

/// Reads the headers of the IPv6 packet that begins at `at` in a frame that ends at `frame_end`.
#[inline(always)]
pub(super) fn packet(bytes: &[u8], at: usize, frame_end: usize) -> Result<Located, Stop> {
    let fixed = header::<HEADER_LEN>(bytes, at, frame_end, Malformed::Ipv6Short)?;
    if fixed[0] >> 4 != 6 {
        return Err(Malformed::Ipv6Version.into());
    }
    let payload_len = usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
    let next = fixed[6];
    if payload_len == 0 {
        return Err(empty(next));
    }
    let end = at + HEADER_LEN + payload_len;
    if end > frame_end {
        return Err(Malformed::Ipv6PayloadLength.into());
    }
    let (protocol, transport_at) = skip_extensions(bytes, next, at + HEADER_LEN, end)?;
    Ok(Located { ip: ip(fixed, at), protocol, at: transport_at, end })
}

/// The addresses of the packet at `at`, for one of which nothing more can be read. RFC 8200 section 4.5: the fragments
/// of one packet need not agree on what follows; that they are fragments is all they share.
pub(super) fn addresses(bytes: &[u8], at: usize) -> Option<Tuple> {
    let fixed = bytes.get(at..)?.first_chunk()?;
    Some(ip(fixed, at).pair(FRAGMENT))
}

/// Reads the packet at `at` that an ICMP error quotes. Only its beginning need be there, up to `end`.
pub(super) fn quoted(bytes: &[u8], at: usize, end: usize) -> Result<Quoted, Stop> {
    let fixed = header::<HEADER_LEN>(bytes, at, end, Malformed::Ipv6Short)?;
    if fixed[0] >> 4 != 6 {
        return Err(Malformed::Ipv6Version.into());
    }
    let ip = ip(fixed, at);
    Ok(match skip_extensions(bytes, fixed[6], at + HEADER_LEN, end) {
        Ok((protocol, transport_at)) => Quoted { ip, protocol, transport: Some(transport_at) },
        Err(split @ Stop::Untracked(Untracked::SplitHeaders)) => return Err(split),
        // A fragment, cut short, or a chain too long: the addresses are all there is.
        Err(_) => Quoted { protocol: FRAGMENT, ip, transport: None },
    })
}

#[inline]
fn ip(fixed: &[u8; HEADER_LEN], at: usize) -> Ip {
    let mut ip = Ip {
        version: IpVersion::V6,
        offset: at,
        // The traffic class straddles the first two bytes; its low two bits, the codepoint, are in the second.
        ecn: Ecn::from_bits(fixed[1] >> 4),
        source: [0; 16],
        destination: [0; 16],
    };
    ip.source.copy_from_slice(&fixed[8..24]);
    ip.destination.copy_from_slice(&fixed[24..40]);
    ip
}

/// A payload length of zero means a jumbogram when a hop-by-hop header follows (RFC 2675 section 3; Linux "BIG
/// TCP" looks so too), an empty packet when nothing follows, and is wrong when something else should.
fn empty(next: u8) -> Stop {
    match next {
        HOP_BY_HOP => Untracked::Jumbogram.into(),
        NO_NEXT_HEADER => Untracked::OtherTransport.into(),
        _ => Malformed::Ipv6PayloadLength.into(),
    }
}

/// Walks the chain to the first header that is no extension: its protocol number and where it begins. The order of
/// the headers is the receiver's to judge, not a wire's.
#[inline]
fn skip_extensions(bytes: &[u8], first: u8, from: usize, end: usize) -> Result<(u8, usize), Stop> {
    let (mut next, mut at) = (first, from);
    for _ in 0..IPV6_EXTENSIONS_MAX {
        if !matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION) {
            return Ok((next, at));
        }
        let fixed = header::<8>(bytes, at, end, Malformed::Ipv6Extension)?;
        let len = match next {
            FRAGMENT => {
                // Offset 0 without more to come is an "atomic fragment": a whole packet (RFC 6946).
                if u16::from_be_bytes([fixed[2], fixed[3]]) & FRAGMENT_MASK != 0 {
                    return Err(Untracked::Fragment.into());
                }
                8
            }
            // RFC 4302: in 4-byte units, minus 2. At least the 8 bytes just read.
            AUTHENTICATION => ((usize::from(fixed[1]) + 2) * 4).max(8),
            _ => (usize::from(fixed[1]) + 1) * 8,
        };
        span(bytes, at, at + len, end, Malformed::Ipv6Extension)?;
        next = fixed[0];
        at += len;
    }
    if matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION) {
        return Err(Untracked::LongChain.into());
    }
    Ok((next, at))
}
