//! IPv4 (RFC 791).

use super::checksum::after_change;
use super::owner::Quoted;
use super::read::{header, span};
use super::transport::{Ip, Located};
use super::{Ecn, Endpoint, IpVersion, Malformed, Stop, Tuple, Untracked};

const HEADER_LEN_MIN: usize = 20;
/// More-fragments bit and fragment offset: zero only in a packet that is whole.
const FRAGMENT_MASK: u16 = 0x3fff;

/// Writes DSCP and ECN of an IPv4 header. Its checksum follows incrementally (RFC 1624), so a header that arrived wrong leaves
/// wrong.
#[inline]
pub(crate) fn set_traffic_class_v4(ip: &mut [u8; 12], class: u8) {
    let before = u16::from_be_bytes([ip[0], ip[1]]);
    ip[1] = class;
    let after = u16::from_be_bytes([ip[0], ip[1]]);
    let checksum = u16::from_be_bytes([ip[10], ip[11]]);
    [ip[10], ip[11]] = after_change(checksum, before, after).to_be_bytes();
}

/// Reads the headers of the IPv4 packet that begins at `at` in a frame that ends at `frame_end`.
#[inline(always)]
pub(super) fn packet(bytes: &[u8], at: usize, frame_end: usize) -> Result<Located, Stop> {
    let fixed = header::<HEADER_LEN_MIN>(bytes, at, frame_end, Malformed::Ipv4Short)?;
    if fixed[0] >> 4 != 4 {
        return Err(Malformed::Ipv4Version.into());
    }
    let header_len = usize::from(fixed[0] & 0x0f) * 4;
    let total_len = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
    if header_len < HEADER_LEN_MIN {
        return Err(Malformed::Ipv4HeaderLength.into());
    }
    if total_len < header_len || at + total_len > frame_end {
        return Err(Malformed::Ipv4TotalLength.into());
    }
    let end = at + total_len;
    // Options carry nothing that the engine needs, but they must be there.
    span(bytes, at + HEADER_LEN_MIN, at + header_len, end, Malformed::Ipv4HeaderLength)?;
    if u16::from_be_bytes([fixed[6], fixed[7]]) & FRAGMENT_MASK != 0 {
        return Err(Untracked::Fragment.into());
    }
    Ok(Located { ip: ip(fixed, at), protocol: fixed[9], at: at + header_len, end })
}

/// The addresses of the packet at `at`, for one of which nothing more can be read.
pub(super) fn addresses(bytes: &[u8], at: usize) -> Option<Tuple> {
    let fixed = bytes.get(at..)?.first_chunk()?;
    Some(ip(fixed, at).pair(fixed[9]))
}

/// Reads the packet at `at` that an ICMP error quotes. Only its beginning need be there, up to `end`.
pub(super) fn quoted(bytes: &[u8], at: usize, end: usize) -> Result<Quoted, Stop> {
    let fixed = header::<HEADER_LEN_MIN>(bytes, at, end, Malformed::Ipv4Short)?;
    let header_len = usize::from(fixed[0] & 0x0f) * 4;
    if fixed[0] >> 4 != 4 || header_len < HEADER_LEN_MIN {
        return Err(Malformed::Ipv4HeaderLength.into());
    }
    let whole = u16::from_be_bytes([fixed[6], fixed[7]]) & FRAGMENT_MASK == 0;
    Ok(Quoted { ip: ip(fixed, at), protocol: fixed[9], transport: whole.then_some(at + header_len) })
}

#[inline]
fn ip(fixed: &[u8; HEADER_LEN_MIN], at: usize) -> Ip {
    Ip {
        version: IpVersion::V4,
        offset: at,
        ecn: Ecn::from_bits(fixed[1]),
        source: address(&fixed[12..16]),
        destination: address(&fixed[16..20]),
    }
}

fn address(four: &[u8]) -> [u8; 16] {
    let mut address = Endpoint::default().address;
    address[..4].copy_from_slice(four);
    address
}
