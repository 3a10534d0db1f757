//! ICMP (RFC 792) and ICMPv6 (RFC 4443): told apart, and errors read as far as the packet that they quote.

use super::read::header;
use super::transport::{Ip, TCP, UDP};
use super::{IpVersion, Malformed, Stop, Tuple, Untracked, ipv4, ipv6};

/// Bytes before the quoted packet. In the other messages of ICMPv6 only the first four are the header.
const ERROR_HEADER_LEN: usize = 8;

/// What an ICMP error says of the packet that it quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Complaint {
    /// It could not be delivered.
    Unreachable,
    /// It is longer than a link on its path takes: "fragmentation needed", "packet too big".
    TooBig,
    /// It was forwarded too often, or not put together in time.
    TimeExceeded,
    /// Parameter problem, redirect, source quench, and what may come.
    Other,
}

/// An ICMP error, and the TCP segment or UDP datagram that it quotes. Anybody can write one: what it quotes is a
/// claim (RFC 5927).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Addresses and ports as the quoted packet bears them: against the direction of the error.
    pub tuple: Tuple,
    /// The quoted sequence number; `None` for UDP.
    pub seq: Option<u32>,
    /// What is said of it.
    pub complaint: Complaint,
}

/// Reads the ICMP message at `at` of an IPv4 packet that ends at `end`.
pub(super) fn v4(bytes: &[u8], at: usize, end: usize) -> Stop {
    let fixed = match header::<8>(bytes, at, end, Malformed::IcmpShort) {
        Ok(fixed) => fixed,
        Err(stop) => return stop,
    };
    match complaint_v4(fixed[0], fixed[1]) {
        Some(complaint) => error(bytes, IpVersion::V4, complaint, at + ERROR_HEADER_LEN, end),
        None => Untracked::Icmp.into(),
    }
}

/// Reads the ICMPv6 message at `at` of a packet that ends at `end`.
pub(super) fn v6(bytes: &[u8], at: usize, end: usize) -> Stop {
    let fixed = match header::<4>(bytes, at, end, Malformed::IcmpShort) {
        Ok(fixed) => fixed,
        Err(stop) => return stop,
    };
    match fixed[0] {
        133..=137 => Untracked::Ndp.into(),
        kind => match complaint_v6(kind) {
            Some(complaint) => error(bytes, IpVersion::V6, complaint, at + ERROR_HEADER_LEN, end),
            None => Untracked::Icmp6.into(),
        },
    }
}

fn complaint_v4(kind: u8, code: u8) -> Option<Complaint> {
    match (kind, code) {
        (3, 4) => Some(Complaint::TooBig),
        (3, _) => Some(Complaint::Unreachable),
        (11, _) => Some(Complaint::TimeExceeded),
        (4 | 5 | 12, _) => Some(Complaint::Other),
        _ => None,
    }
}

/// RFC 4443 section 2.1: types below 128 are errors.
fn complaint_v6(kind: u8) -> Option<Complaint> {
    match kind {
        1 => Some(Complaint::Unreachable),
        2 => Some(Complaint::TooBig),
        3 => Some(Complaint::TimeExceeded),
        0..=127 => Some(Complaint::Other),
        _ => None,
    }
}

/// The beginning of a quoted packet.
pub(super) struct Quoted {
    pub(super) ip: Ip,
    pub(super) protocol: u8,
    /// Where the transport header begins; `None` in a fragment.
    pub(super) transport: Option<usize>,
}

/// Reads the packet quoted at `at`. A router quotes as much as it likes (RFC 1812 section 4.3.2.3), so a quotation
/// that is cut short, or senseless, is no fault of the frame: it only names no flow.
fn error(bytes: &[u8], version: IpVersion, complaint: Complaint, at: usize, end: usize) -> Stop {
    let (plain, quoted) = match version {
        IpVersion::V4 => (Untracked::Icmp, ipv4::quoted(bytes, at, end)),
        IpVersion::V6 => (Untracked::Icmp6, ipv6::quoted(bytes, at, end)),
    };
    let quoted = match quoted {
        Ok(quoted) => quoted,
        Err(Stop::Malformed(_)) => return plain.into(),
        Err(stop) => return stop,
    };
    let pair = quoted.ip.pair(quoted.protocol);
    let Some(transport) = quoted.transport.filter(|_| matches!(quoted.protocol, TCP | UDP)) else {
        return Stop::from(plain).owned_by(pair);
    };
    // RFC 792: the first 8 bytes of the transport header are there. They hold the ports and TCP's number.
    match header::<8>(bytes, transport, end, Malformed::IcmpShort) {
        Ok(&[a, b, c, d, e, f, g, h]) => Stop::Quote(Quote {
            tuple: quoted.ip.tuple(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])),
            seq: (quoted.protocol == TCP).then_some(u32::from_be_bytes([e, f, g, h])),
            complaint,
        }),
        Err(Stop::Malformed(_)) => Stop::from(plain).owned_by(pair),
        Err(stop) => stop.owned_by(pair),
    }
}
