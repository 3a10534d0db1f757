//! Ethernet II, up to two VLAN tags, ARP.

use super::read::{header, span};
use super::transport::Located;
use super::{IpVersion, Malformed, Stop, Tuple, Untracked, ipv4, ipv6};

const ETHERNET_LEN: usize = 14;
const VLAN_LEN: usize = 4;
/// IEEE 802.1Q inside 802.1ad, or twice 802.1Q: what a host's network uses. A third tag is another Ethernet type.
const VLAN_TAGS_MAX: usize = 2;

const TYPE_IPV4: u16 = 0x0800;
const TYPE_ARP: u16 = 0x0806;
const TYPE_VLAN: u16 = 0x8100;
const TYPE_IPV6: u16 = 0x86dd;
const TYPE_SERVICE_VLAN: u16 = 0x88a8;

/// Reads a frame from its first byte up to its transport header.
#[inline(always)]
pub(super) fn locate(bytes: &[u8], wire_len: u32) -> Result<Located, Stop> {
    // A port that understates the length of a frame must not make bytes in hand unreadable.
    let end = (wire_len as usize).max(bytes.len());
    let (ether_type, at) = network(bytes, end)?;
    match ether_type {
        TYPE_IPV4 => ipv4::packet(bytes, at, end),
        TYPE_IPV6 => ipv6::packet(bytes, at, end),
        TYPE_ARP => Err(arp(bytes, at, end)),
        _ => Err(Untracked::OtherEtherType.into()),
    }
}

/// The Ethernet type behind VLAN tags, and where what it names begins.
#[inline(always)]
fn network(bytes: &[u8], end: usize) -> Result<(u16, usize), Stop> {
    let ethernet = header::<ETHERNET_LEN>(bytes, 0, end, Malformed::EthernetShort)?;
    let mut ether_type = u16::from_be_bytes([ethernet[12], ethernet[13]]);
    let mut at = ETHERNET_LEN;
    for _ in 0..VLAN_TAGS_MAX {
        if ether_type != TYPE_VLAN && ether_type != TYPE_SERVICE_VLAN {
            break;
        }
        let tag = header::<VLAN_LEN>(bytes, at, end, Malformed::VlanShort)?;
        ether_type = u16::from_be_bytes([tag[2], tag[3]]);
        at += VLAN_LEN;
    }
    Ok((ether_type, at))
}

/// The addresses of a frame that carries IP of which nothing more can be read.
pub(super) fn addresses(bytes: &[u8]) -> Option<Tuple> {
    match network(bytes, bytes.len()) {
        Ok((TYPE_IPV4, at)) => ipv4::addresses(bytes, at),
        Ok((TYPE_IPV6, at)) => ipv6::addresses(bytes, at),
        _ => None,
    }
}

/// Where the IP header begins that the Ethernet type names, and which it is.
#[inline]
pub(super) fn ip_header(bytes: &[u8]) -> Option<(IpVersion, usize)> {
    match network(bytes, bytes.len()) {
        Ok((TYPE_IPV4, at)) => Some((IpVersion::V4, at)),
        Ok((TYPE_IPV6, at)) => Some((IpVersion::V6, at)),
        _ => None,
    }
}

/// Whether the frame bears a VLAN tag that can be read.
#[inline]
pub(super) fn is_tagged(bytes: &[u8]) -> bool {
    let ether_type = bytes.get(12..14).and_then(<[u8]>::first_chunk::<2>);
    let tagged =
        ether_type.is_some_and(|bytes| matches!(u16::from_be_bytes(*bytes), TYPE_VLAN | TYPE_SERVICE_VLAN));
    tagged && bytes.len() >= ETHERNET_LEN + VLAN_LEN
}

/// RFC 826: eight fixed bytes, then two pairs of a hardware and a protocol address, whose lengths the fixed part
/// gives.
fn arp(bytes: &[u8], at: usize, end: usize) -> Stop {
    let fixed = match header::<8>(bytes, at, end, Malformed::ArpShort) {
        Ok(fixed) => fixed,
        Err(stop) => return stop,
    };
    let addresses = 2 * (usize::from(fixed[4]) + usize::from(fixed[5]));
    match span(bytes, at + 8, at + 8 + addresses, end, Malformed::ArpShort) {
        Ok(_) => Untracked::Arp.into(),
        Err(stop) => stop,
    }
}
