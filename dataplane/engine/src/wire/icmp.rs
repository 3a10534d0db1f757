//! ICMP (RFC 792) and ICMPv6 (RFC 4443): told apart, and errors read as far as the packet that they quote.

use super::read::header;
use super::{Malformed, Stop, Tuple, Untracked};

/// Bytes before the quoted packet. In the other messages of ICMPv6 only the first four are the header.
pub(super) const ERROR_HEADER_LEN: usize = 8;

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

/// Whether the ICMP message at `at` of an IPv4 packet that ends at `end` is there.
pub(super) fn v4(bytes: &[u8], at: usize, end: usize) -> Result<Untracked, Stop> {
    header::<8>(bytes, at, end, Malformed::IcmpShort).map(|_| Untracked::Icmp)
}

/// The same for ICMPv6, told from neighbour discovery.
pub(super) fn v6(bytes: &[u8], at: usize, end: usize) -> Result<Untracked, Stop> {
    header::<4>(bytes, at, end, Malformed::IcmpShort).map(|message| match message[0] {
        133..=137 => Untracked::Ndp,
        _ => Untracked::Icmp6,
    })
}

/// What an ICMP message complains of; `None` for one that is no error.
pub(super) fn complaint_v4(kind: u8, code: u8) -> Option<Complaint> {
    match (kind, code) {
        (3, 4) => Some(Complaint::TooBig),
        (3, _) => Some(Complaint::Unreachable),
        (11, _) => Some(Complaint::TimeExceeded),
        (4 | 5 | 12, _) => Some(Complaint::Other),
        _ => None,
    }
}

/// The same for ICMPv6. RFC 4443 section 2.1: types below 128 are errors.
pub(super) fn complaint_v6(kind: u8) -> Option<Complaint> {
    match kind {
        1 => Some(Complaint::Unreachable),
        2 => Some(Complaint::TooBig),
        3 => Some(Complaint::TimeExceeded),
        0..=127 => Some(Complaint::Other),
        _ => None,
    }
}
