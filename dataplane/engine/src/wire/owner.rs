//! A second look at a frame that is no TCP segment: whose it is, and what it quotes. Apart from the first one, so that
//! TCP frames do not pay for it.

use super::read::header;
use super::transport::{Ip, Located, TCP, UDP};
use super::{
    Complaint, IpVersion, Malformed, Parsed, Quote, Stop, Tuple, Untracked, ethernet, icmp, ipv4, ipv6,
};

/// The whole answer about a frame that the first look found to be `kind`.
#[inline(never)]
pub(super) fn untracked(bytes: &[u8], wire_len: u32, kind: Untracked) -> Parsed {
    if matches!(kind, Untracked::Arp | Untracked::OtherEtherType) {
        return Parsed::Untracked { kind, owner: None };
    }
    let Ok(Located { ip, protocol, at, end }) = ethernet::locate(bytes, wire_len) else {
        // The walk ended before a transport header: a fragment, or something that cannot be read to there.
        return Parsed::Untracked { kind, owner: ethernet::addresses(bytes) };
    };
    let complaint = match (kind, bytes.get(at..)) {
        (Untracked::Udp, Some(&[a, b, c, d, ..])) => {
            let owner = ip.tuple(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            return Parsed::Untracked { kind, owner: Some(owner) };
        }
        (Untracked::Icmp, Some(&[message, code, ..])) => icmp::complaint_v4(message, code),
        (Untracked::Icmp6, Some(&[message, ..])) => icmp::complaint_v6(message),
        _ => None,
    };
    let outer = ip.pair(protocol);
    match complaint {
        Some(complaint) => quoted(bytes, &ip, complaint, at + icmp::ERROR_HEADER_LEN, end, kind, outer),
        None => Parsed::Untracked { kind, owner: Some(outer) },
    }
}

/// The beginning of a quoted packet.
pub(super) struct Quoted {
    pub(super) ip: Ip,
    pub(super) protocol: u8,
    /// Where the transport header begins; `None` in a fragment.
    pub(super) transport: Option<usize>,
}

/// Reads the packet that an ICMP error of `kind` quotes at `at`. A router quotes as much as it likes (RFC 1812 section
/// 4.3.2.3), so a quotation that is cut short, or senseless, is no fault of the frame: it only names no flow.
fn quoted(
    bytes: &[u8],
    outer: &Ip,
    complaint: Complaint,
    at: usize,
    end: usize,
    kind: Untracked,
    owner: Tuple,
) -> Parsed {
    let read = match outer.version {
        IpVersion::V4 => ipv4::quoted(bytes, at, end),
        IpVersion::V6 => ipv6::quoted(bytes, at, end),
    };
    let of = |stop, owner| match stop {
        Stop::Untracked(split) => Parsed::Untracked { kind: split, owner: Some(owner) },
        Stop::Malformed(_) => Parsed::Untracked { kind, owner: Some(owner) },
    };
    let Quoted { ip, protocol, transport } = match read {
        Ok(quoted) => quoted,
        Err(stop) => return of(stop, owner),
    };
    let pair = ip.pair(protocol);
    let Some(transport) = transport.filter(|_| matches!(protocol, TCP | UDP)) else {
        return Parsed::Untracked { kind, owner: Some(pair) };
    };
    // RFC 792: the first 8 bytes of the transport header are there. They hold the ports and TCP's number.
    match header::<8>(bytes, transport, end, Malformed::IcmpShort) {
        Ok(&[a, b, c, d, e, f, g, h]) => Parsed::Quote(Quote {
            tuple: ip.tuple(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])),
            seq: (protocol == TCP).then_some(u32::from_be_bytes([e, f, g, h])),
            complaint,
        }),
        Err(stop) => of(stop, pair),
    }
}
