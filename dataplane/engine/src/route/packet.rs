//! What a router reads of an IP header, and the two fields that it changes.
//!
//! The parser of `wire` judges nobody; a router must (RFC 1812 section 5.2.2). Hence a second, stricter look at the
//! fixed header, and at nothing else unless the packet is for Weir itself or in trouble.

use super::address::Address;
use crate::wire::checksum::{Sum, after_change};
use core::net::IpAddr;

pub(crate) const ETHERNET_LEN: usize = 14;
pub(crate) const IPV4_LEN: usize = 20;
pub(crate) const IPV6_LEN: usize = 40;

pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMP6: u8 = 58;
pub(crate) const NO_NEXT_HEADER: u8 = 59;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;
/// As many extension headers as the parser follows.
const EXTENSIONS_MAX: usize = crate::wire::IPV6_EXTENSIONS_MAX;

/// An IP packet in an untagged Ethernet frame, its addresses in full or as numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet<A = IpAddr> {
    pub(crate) source: A,
    pub(crate) destination: A,
    /// Length of the whole packet in bytes; what follows it in the frame is padding.
    pub(crate) len: u32,
    /// TTL or hop limit, as received.
    pub(crate) hops: u8,
    /// The frame was sent to more than one station.
    pub(crate) to_group: bool,
    pub(crate) header_len: usize,
}

/// What lies above IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Upper {
    pub(crate) protocol: u8,
    /// Where its header begins in the frame.
    pub(crate) at: usize,
    /// Where in the packet the byte stands that names `protocol`.
    pub(crate) named_at: usize,
    pub(crate) part: Part,
}

/// Which part of its packet a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    First,
    Later,
}

impl Packet<u32> {
    /// Reads the IPv4 header behind Ethernet. `None` when it does not hold: RFC 1812 section 5.2.2, checksum included.
    #[inline(always)]
    pub(crate) fn v4(bytes: &[u8], wire_len: u32) -> Option<Packet<u32>> {
        let ip = bytes.get(ETHERNET_LEN..)?;
        let fixed = ip.first_chunk::<IPV4_LEN>()?;
        let header_len = usize::from(fixed[0] & 0x0f) * 4;
        let header = ip.get(..header_len)?;
        let len = u32::from(u16::from_be_bytes([fixed[2], fixed[3]]));
        let room = wire_len.max(bytes.len() as u32) - ETHERNET_LEN as u32;
        let holds = fixed[0] >> 4 == 4
            && header_len >= IPV4_LEN
            && len as usize >= header_len
            && len <= room
            && Sum::default().bytes(header).finish() == 0;
        holds.then(|| Packet {
            source: u32::from_be_bytes([fixed[12], fixed[13], fixed[14], fixed[15]]),
            destination: u32::from_be_bytes([fixed[16], fixed[17], fixed[18], fixed[19]]),
            len,
            hops: fixed[8],
            to_group: is_group(bytes),
            header_len,
        })
    }
}

impl Packet<u128> {
    /// Reads the IPv6 header behind Ethernet. `None` when it does not hold.
    #[inline(always)]
    pub(crate) fn v6(bytes: &[u8], wire_len: u32) -> Option<Packet<u128>> {
        let fixed = bytes.get(ETHERNET_LEN..)?.first_chunk::<IPV6_LEN>()?;
        let payload_len = u32::from(u16::from_be_bytes([fixed[4], fixed[5]]));
        let room = wire_len.max(bytes.len() as u32) - ETHERNET_LEN as u32;
        // A jumbogram (RFC 2675) has its length in an option; it is longer than any link here takes.
        let jumbo = payload_len == 0 && fixed[6] == HOP_BY_HOP;
        let len = if jumbo { room } else { IPV6_LEN as u32 + payload_len };
        let address = |at: usize| {
            let bytes = fixed.get(at..).and_then(<[u8]>::first_chunk::<16>).copied().unwrap_or_default();
            u128::from_be_bytes(bytes)
        };
        let holds = fixed[0] >> 4 == 6 && len <= room;
        holds.then(|| Packet {
            source: address(8),
            destination: address(24),
            len,
            hops: fixed[7],
            to_group: is_group(bytes),
            header_len: IPV6_LEN,
        })
    }
}

impl<A: Address> Packet<A> {
    /// The same, with its addresses in full.
    pub(crate) fn in_full(&self) -> Packet {
        let Packet { source, destination, len, hops, to_group, header_len } = *self;
        Packet { source: source.ip(), destination: destination.ip(), len, hops, to_group, header_len }
    }

    #[inline(always)]
    pub(crate) fn is_v4(&self) -> bool {
        self.source.is_v4()
    }

    /// Whether a closer look may find a message of neighbour discovery: ICMPv6 that has made no hop (RFC 4861 section 7.1).
    #[inline]
    pub(crate) fn may_be_discovery(&self, bytes: &[u8]) -> bool {
        self.hops == u8::MAX && !self.is_v4() && bytes.get(ETHERNET_LEN + 6) == Some(&ICMP6)
    }

    /// Whether a router may cut it: never in IPv6, nor with DF set.
    pub(crate) fn may_be_cut(&self, bytes: &[u8]) -> bool {
        self.is_v4() && bytes.get(ETHERNET_LEN + 6).is_some_and(|flags| flags & 0x40 == 0)
    }

    /// One hop less (RFC 1812 section 5.3.1); an IPv4 header checksum follows. The caller knows that `hops` is above 1.
    pub(crate) fn take_hop(&self, bytes: &mut [u8]) {
        let Some(ip) = bytes.get_mut(ETHERNET_LEN..).and_then(<[u8]>::first_chunk_mut::<12>) else { return };
        if self.is_v4() {
            let before = u16::from_be_bytes([ip[8], ip[9]]);
            ip[8] = ip[8].saturating_sub(1);
            let after = u16::from_be_bytes([ip[8], ip[9]]);
            let checksum = u16::from_be_bytes([ip[10], ip[11]]);
            [ip[10], ip[11]] = after_change(checksum, before, after).to_be_bytes();
        } else {
            ip[7] = ip[7].saturating_sub(1);
        }
    }
}

impl Packet {
    /// Reads whichever the frame's Ethernet type says.
    pub(crate) fn read(bytes: &[u8], wire_len: u32) -> Option<Packet> {
        match ether_type(bytes)? {
            TYPE_IPV4 => Packet::v4(bytes, wire_len).map(|packet| packet.in_full()),
            TYPE_IPV6 => Packet::v6(bytes, wire_len).map(|packet| packet.in_full()),
            _ => None,
        }
    }

    /// The packet's own bytes, as far as the first segment has them.
    pub(crate) fn bytes<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let end = (ETHERNET_LEN + self.len as usize).min(bytes.len());
        bytes.get(ETHERNET_LEN..end).unwrap_or(&[])
    }

    /// What lies above IP; `None` where the chain of extension headers does not hold, is too long or not all here.
    pub(crate) fn upper(&self, bytes: &[u8]) -> Option<Upper> {
        let ip = self.bytes(bytes);
        if self.is_v4() {
            let cut = u16::from_be_bytes([*ip.get(6)?, *ip.get(7)?]);
            let part = match (cut & 0x1fff, cut & 0x2000) {
                (0, 0) => Part::Whole,
                (0, _) => Part::First,
                _ => Part::Later,
            };
            return Some(Upper {
                protocol: *ip.get(9)?,
                at: ETHERNET_LEN + self.header_len,
                named_at: 9,
                part,
            });
        }
        let (mut protocol, mut named_at, mut at, mut part) = (*ip.get(6)?, 6, IPV6_LEN, Part::Whole);
        for _ in 0..EXTENSIONS_MAX {
            if !matches!(protocol, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION) {
                break;
            }
            let head = ip.get(at..)?.first_chunk::<8>()?;
            let mut len = 8;
            if protocol == FRAGMENT {
                let cut = u16::from_be_bytes([head[2], head[3]]);
                part = match (cut & 0xfff8, cut & 1) {
                    (0, 0) => part,
                    (0, _) => Part::First,
                    _ => Part::Later,
                };
            } else {
                len += usize::from(head[1]) * 8;
            }
            (protocol, named_at) = (head[0], at);
            at += len;
            if part == Part::Later {
                // What follows is the middle of something.
                break;
            }
        }
        let walked =
            part == Part::Later || !matches!(protocol, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION);
        (walked && at <= ip.len()).then_some(Upper { protocol, at: ETHERNET_LEN + at, named_at, part })
    }

    /// Whether the checksum over pseudo-header (ICMPv6) and message is right.
    pub(crate) fn icmp_holds(&self, bytes: &[u8], upper: &Upper) -> bool {
        let end = ETHERNET_LEN + self.len as usize;
        let Some(message) = bytes.get(upper.at..end) else { return false };
        let sum = match upper.protocol {
            ICMP6 => pseudo_header(self.source, self.destination, message.len(), ICMP6),
            _ => Sum::default(),
        };
        sum.bytes(message).finish() == 0
    }
}

pub(crate) const TYPE_IPV4: u16 = 0x0800;
pub(crate) const TYPE_ARP: u16 = 0x0806;
pub(crate) const TYPE_VLAN: u16 = 0x8100;
pub(crate) const TYPE_IPV6: u16 = 0x86dd;
pub(crate) const TYPE_SERVICE_VLAN: u16 = 0x88a8;

/// The type field of an Ethernet header; `None` where there is no whole one.
#[inline]
pub(crate) fn ether_type(bytes: &[u8]) -> Option<u16> {
    let header = bytes.first_chunk::<ETHERNET_LEN>()?;
    Some(u16::from_be_bytes([header[12], header[13]]))
}

/// Whether a frame is addressed to a group (broadcast included): the first bit on the wire.
#[inline]
pub(crate) fn is_group(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| first & 1 != 0)
}

/// The pseudo-header of what lies above IP (RFC 768, RFC 8200 section 8.1).
pub(crate) fn pseudo_header(source: IpAddr, destination: IpAddr, len: usize, protocol: u8) -> Sum {
    let add = |sum: Sum, address: IpAddr| match address {
        IpAddr::V4(address) => sum.bytes(&address.octets()),
        IpAddr::V6(address) => sum.bytes(&address.octets()),
    };
    let len = len as u32;
    add(add(Sum::default(), source), destination)
        .word((len >> 16) as u16)
        .word(len as u16)
        .word(u16::from(protocol))
}
