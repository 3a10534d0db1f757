//! ICMP (RFC 792, RFC 1812 section 4.3) and ICMPv6 (RFC 4443): errors, and answers to echo requests.

use super::ndp::REDIRECT;
use super::packet::{
    ETHERNET_LEN, ICMP, ICMP6, IPV4_LEN, IPV6_LEN, Packet, Part, TYPE_IPV4, TYPE_IPV6, Upper, pseudo_header,
};
use crate::wire::checksum::{Sum, after_change};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// TTL or hop limit of what Weir makes: the default of RFC 1700 and of every host.
const HOPS: u8 = 64;
/// An IPv4 error is at most this long (RFC 1812 section 4.3.2.3), so that every host can take it whole.
const V4_ERROR_MAX: usize = 576;
/// An IPv6 error is at most this long (RFC 4443 section 2.4 (c)), so that every link can.
const V6_ERROR_MAX: usize = 1_280;
const ICMP_LEN: usize = 8;
/// Precedence "internetwork control" (RFC 1812 section 4.3.2.5): errors outlive congestion.
const PRECEDENCE: u8 = 0xc0;

const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST_6: u8 = 128;
const ECHO_REPLY_6: u8 = 129;

/// Why a packet does not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// No row of the forwarding table matches.
    NoRoute,
    /// The neighbour does not answer.
    HostUnreachable,
    /// It is for Weir, which has no such service.
    PortUnreachable,
    /// It is for Weir, which does not speak that protocol. Where in the packet the protocol is named.
    ProtocolUnreachable { named_at: usize },
    /// Its hops are used up.
    TimeExceeded,
    /// It is longer than the next link takes.
    TooBig { mtu: u16 },
}

impl Trouble {
    /// Type, code and the second word, for IPv4.
    fn v4(self) -> (u8, u8, u32) {
        match self {
            Trouble::NoRoute => (3, 0, 0),
            Trouble::HostUnreachable => (3, 1, 0),
            Trouble::ProtocolUnreachable { .. } => (3, 2, 0),
            Trouble::PortUnreachable => (3, 3, 0),
            // RFC 1191 section 4: the next hop's MTU is in the low half.
            Trouble::TooBig { mtu } => (3, 4, u32::from(mtu)),
            Trouble::TimeExceeded => (11, 0, 0),
        }
    }

    /// Type, code and the second word, for IPv6.
    fn v6(self) -> (u8, u8, u32) {
        match self {
            Trouble::NoRoute => (1, 0, 0),
            Trouble::HostUnreachable => (1, 3, 0),
            Trouble::PortUnreachable => (1, 4, 0),
            Trouble::TooBig { mtu } => (2, 0, u32::from(mtu)),
            Trouble::TimeExceeded => (3, 0, 0),
            Trouble::ProtocolUnreachable { named_at } => (4, 1, named_at as u32),
        }
    }
}

/// Whether an error about this packet may be sent at all: RFC 1812 section 4.3.2.7, RFC 4443 section 2.4 (e). That its
/// source is one station's was found out when it arrived.
pub(super) fn may_answer(bytes: &[u8], packet: &Packet) -> bool {
    if packet.to_group || packet.destination.is_multicast() {
        return false;
    }
    let Some(upper) = packet.upper(bytes) else { return false };
    let kind = bytes.get(upper.at).copied();
    let is_error = match (upper.protocol, kind) {
        (ICMP, Some(kind)) if packet.is_v4() => matches!(kind, 3 | 4 | 5 | 11 | 12),
        (ICMP6, Some(kind)) if !packet.is_v4() => kind < ECHO_REQUEST_6 || kind == REDIRECT,
        // Its type is not here to see.
        (ICMP, None) | (ICMP6, None) => true,
        _ => false,
    };
    upper.part != Part::Later && !is_error
}

/// The frame length of an error about `packet`.
pub(super) fn error_len(bytes: &[u8], packet: &Packet) -> usize {
    let (header_len, max) = if packet.is_v4() { (IPV4_LEN, V4_ERROR_MAX) } else { (IPV6_LEN, V6_ERROR_MAX) };
    ETHERNET_LEN + (header_len + ICMP_LEN + packet.bytes(bytes).len()).min(max)
}

/// Writes an error about `packet`, which stands in `bytes`, into a frame of zeros of [`error_len`] bytes. Ethernet
/// addresses are left to the departure.
pub(super) fn write_error(frame: &mut [u8], source: IpAddr, packet: &Packet, bytes: &[u8], trouble: Trouble) {
    let quoted = packet.bytes(bytes);
    let written = match (source, packet.source) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            write_error_4(frame, source, destination, quoted, trouble)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            write_error_6(frame, source, destination, quoted, trouble)
        }
        _ => None,
    };
    debug_assert!(written.is_some(), "a frame of {} bytes for an error", frame.len());
}

fn write_error_4(
    frame: &mut [u8],
    source: Ipv4Addr,
    destination: Ipv4Addr,
    quoted: &[u8],
    trouble: Trouble,
) -> Option<()> {
    let len = frame.len().checked_sub(ETHERNET_LEN)?;
    frame.get_mut(12..14)?.copy_from_slice(&TYPE_IPV4.to_be_bytes());
    let (ip, message) = frame.get_mut(ETHERNET_LEN..)?.split_first_chunk_mut::<IPV4_LEN>()?;
    ip[..2].copy_from_slice(&[0x45, PRECEDENCE]);
    ip[2..4].copy_from_slice(&(len as u16).to_be_bytes());
    // Not to be fragmented, so its identification means nothing (RFC 6864).
    ip[6..10].copy_from_slice(&[0x40, 0, HOPS, ICMP]);
    ip[12..16].copy_from_slice(&source.octets());
    ip[16..20].copy_from_slice(&destination.octets());
    let sum = Sum::default().bytes(ip).finish();
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    write_message(message, trouble.v4(), quoted, Sum::default())
}

fn write_error_6(
    frame: &mut [u8],
    source: Ipv6Addr,
    destination: Ipv6Addr,
    quoted: &[u8],
    trouble: Trouble,
) -> Option<()> {
    frame.get_mut(12..14)?.copy_from_slice(&TYPE_IPV6.to_be_bytes());
    let (ip, message) = frame.get_mut(ETHERNET_LEN..)?.split_first_chunk_mut::<IPV6_LEN>()?;
    // Version 6; the traffic class straddles the first two bytes.
    ip[..2].copy_from_slice(&[0x60 | PRECEDENCE >> 4, PRECEDENCE << 4]);
    ip[4..6].copy_from_slice(&(message.len() as u16).to_be_bytes());
    ip[6..8].copy_from_slice(&[ICMP6, HOPS]);
    ip[8..24].copy_from_slice(&source.octets());
    ip[24..40].copy_from_slice(&destination.octets());
    let pseudo = pseudo_header(IpAddr::V6(source), IpAddr::V6(destination), message.len(), ICMP6);
    write_message(message, trouble.v6(), quoted, pseudo)
}

fn write_message(
    message: &mut [u8],
    (kind, code, word): (u8, u8, u32),
    quoted: &[u8],
    pseudo: Sum,
) -> Option<()> {
    let (head, quote) = message.split_first_chunk_mut::<ICMP_LEN>()?;
    head[..2].copy_from_slice(&[kind, code]);
    head[4..].copy_from_slice(&word.to_be_bytes());
    quote.copy_from_slice(quoted.get(..quote.len())?);
    let sum = pseudo.bytes(head).bytes(quote).finish();
    head[2..4].copy_from_slice(&sum.to_be_bytes());
    Some(())
}

/// Whether a packet to Weir is an echo request.
pub(super) fn is_echo_request(bytes: &[u8], packet: &Packet, upper: &Upper) -> bool {
    let kind = if packet.is_v4() { ECHO_REQUEST } else { ECHO_REQUEST_6 };
    upper.part == Part::Whole && bytes.get(upper.at..upper.at + 2) == Some(&[kind, 0])
}

/// Turns an echo request into its answer, in place: addresses swapped (RFC 1122 section 3.2.2.6), hops fresh, type
/// changed, checksums following. Ethernet addresses are left to the departure.
pub(super) fn turn_echo(bytes: &mut [u8], packet: &Packet, upper: &Upper) {
    let (reply, before, after) = match packet.is_v4() {
        true => (ECHO_REPLY, u16::from(ECHO_REQUEST) << 8, u16::from(ECHO_REPLY) << 8),
        false => (ECHO_REPLY_6, u16::from(ECHO_REQUEST_6) << 8, u16::from(ECHO_REPLY_6) << 8),
    };
    if let Some(head) = bytes.get_mut(upper.at..).and_then(<[u8]>::first_chunk_mut::<4>) {
        head[0] = reply;
        // Swapping the addresses leaves ICMPv6's pseudo-header sum as it is.
        let checksum = u16::from_be_bytes([head[2], head[3]]);
        [head[2], head[3]] = after_change(checksum, before, after).to_be_bytes();
    }
    let Some(ip) = bytes.get_mut(ETHERNET_LEN..upper.at) else { return };
    if packet.is_v4() {
        let (source, rest) = ip[12..].split_at_mut(4);
        source.swap_with_slice(&mut rest[..4]);
        ip[8] = HOPS;
        ip[10..12].fill(0);
        let sum = Sum::default().bytes(ip).finish();
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
    } else {
        let (source, rest) = ip[8..].split_at_mut(16);
        source.swap_with_slice(&mut rest[..16]);
        ip[7] = HOPS;
    }
}
