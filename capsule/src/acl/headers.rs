//! What an access control list asks of a frame, read through capsule's packet types where those can say it.
//!
//! They cannot say all: capsule 0.1.5 takes every IPv4 header for one of 20 bytes, knows two of IPv6's extension headers,
//! and reads two tags behind the type 0x88a8 whether the second is one or not. A list that believed it could be passed by an IP option. So
//! addresses and protocol come from capsule's types; where the transport header begins is found here.

use capsule::Mbuf;
use capsule::packets::ip::v4::Ipv4;
use capsule::packets::ip::v6::Ipv6;
use capsule::packets::ip::{IpPacket, ProtocolNumber};
use capsule::packets::{EtherTypes, Ethernet, Packet as _};
use weir_engine::wire::IPV6_EXTENSIONS_MAX;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// An IP packet.
    Ip(Packet),
    /// Address resolution.
    Arp,
    /// Neither.
    Other,
}

/// An IP packet's addresses, protocol and ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Whether it is IPv4.
    pub is_ipv4: bool,
    /// Who sent it: the address as a number, one of IPv4 in the low half.
    pub source: u128,
    /// Whom it is for.
    pub destination: u128,
    /// The protocol, of IPv6 what follows the extension headers.
    pub protocol: u8,
    /// Source and destination, where the protocol has ports and this is no later fragment.
    pub ports: Option<[u16; 2]>,
}

/// The headers contradict themselves, end too early, or are more than are read: two 802.1Q tags or three of any kind, or
/// more than eight of IPv6's extension headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

const ETHERNET_LEN: usize = 14;
const TAG_LEN: usize = 4;
/// The types of a tag: of 802.1Q and of 802.1ad.
const TAGS: [u16; 2] = [0x8100, 0x88a8];
const IPV4_LEN: usize = 20;
const IPV6_LEN: usize = 40;
/// TCP, UDP, DCCP, SCTP, UDP-Lite: their headers begin with the ports.
const WITH_PORTS: [u8; 5] = [6, 17, 33, 132, 136];

/// Reads a frame's headers. Those of a frame in several segments must lie in the first.
///
/// # Errors
/// They cannot be read.
pub fn read(frame: &Mbuf) -> Result<Seen, Unreadable> {
    // Every length is looked at before capsule is asked: its errors allocate, and hostile frames could make it do so.
    bytes(frame, 0, ETHERNET_LEN)?;
    let tags = match u16_at(frame, ETHERNET_LEN - 2)? {
        0x8100 => 1,
        0x88a8 => 2,
        _ => 0,
    };
    bytes(frame, 0, ETHERNET_LEN + tags * TAG_LEN)?;
    if tags == 2 && !TAGS.contains(&u16_at(frame, ETHERNET_LEN + 2)?) {
        return Err(Unreadable);
    }
    let ethernet = frame.peek::<Ethernet>().map_err(|_| Unreadable)?;
    let kind = ethernet.ether_type();
    if kind == EtherTypes::Ipv4 {
        bytes(frame, ethernet.payload_offset(), IPV4_LEN)?;
        ipv4(frame, &*ethernet.peek::<Ipv4>().map_err(|_| Unreadable)?)
    } else if kind == EtherTypes::Ipv6 {
        bytes(frame, ethernet.payload_offset(), IPV6_LEN)?;
        ipv6(frame, &*ethernet.peek::<Ipv6>().map_err(|_| Unreadable)?)
    } else if kind == EtherTypes::Arp {
        Ok(Seen::Arp)
    } else if TAGS.contains(&{ kind.0 }) {
        Err(Unreadable)
    } else {
        Ok(Seen::Other)
    }
}

fn ipv4(frame: &Mbuf, ip: &Ipv4) -> Result<Seen, Unreadable> {
    let (header, total) = (usize::from(ip.ihl()) * 4, usize::from(ip.total_length()));
    if ip.version() != 4 || header < IPV4_LEN || total < header {
        return Err(Unreadable);
    }
    let [at, end] = [header, total].map(|length| ip.offset() + length);
    let ProtocolNumber(protocol) = ip.protocol();
    let ports = match ip.fragment_offset() {
        0 => ports(frame, protocol, at, end)?,
        _ => None,
    };
    let [source, destination] = [ip.src(), ip.dst()].map(|address| u128::from(address.to_bits()));
    Ok(Seen::Ip(Packet { is_ipv4: true, source, destination, protocol, ports }))
}

fn ipv6(frame: &Mbuf, ip: &Ipv6) -> Result<Seen, Unreadable> {
    if ip.version() != 6 {
        return Err(Unreadable);
    }
    let first = ip.offset() + IPV6_LEN;
    let end = match usize::from(ip.payload_length()) {
        // A jumbogram, if anything.
        0 => frame.data_len(),
        length => first + length,
    };
    let ProtocolNumber(next) = ip.next_protocol();
    let (protocol, at) = skip_extensions(frame, next, first)?;
    let ports = match at {
        Some(at) => ports(frame, protocol, at, end)?,
        None => None,
    };
    let [source, destination] = [ip.src(), ip.dst()].map(|address| address.to_bits());
    Ok(Seen::Ip(Packet { is_ipv4: false, source, destination, protocol, ports }))
}

/// The protocol behind the extension headers and where its header begins; nowhere in a later fragment.
fn skip_extensions(frame: &Mbuf, mut next: u8, mut at: usize) -> Result<(u8, Option<usize>), Unreadable> {
    for _ in 0..=IPV6_EXTENSIONS_MAX {
        let length = match next {
            // Hop-by-hop options, routing, destination options, mobility, HIP, Shim6: units of 8 bytes, the first not
            // counted (RFC 8200 section 4.3 and RFC 6564).
            0 | 43 | 60 | 135 | 139 | 140 => (usize::from(byte_at(frame, at + 1)?) + 1) * 8,
            // Authentication: units of 4 bytes, the first two not counted (RFC 4302 section 2.2).
            51 => (usize::from(byte_at(frame, at + 1)?) + 2) * 4,
            // Fragment (RFC 8200 section 4.5).
            44 if u16_at(frame, at + 2)? >> 3 != 0 => return Ok((byte_at(frame, at)?, None)),
            44 => 8,
            _ => return Ok((next, Some(at))),
        };
        next = byte_at(frame, at)?;
        at += length;
    }
    Err(Unreadable)
}

/// The ports at `at` of a packet that ends at `end`, where the protocol has any.
fn ports(frame: &Mbuf, protocol: u8, at: usize, end: usize) -> Result<Option<[u16; 2]>, Unreadable> {
    if !WITH_PORTS.contains(&protocol) {
        return Ok(None);
    }
    if at + 4 > end {
        return Err(Unreadable);
    }
    Ok(Some([u16_at(frame, at)?, u16_at(frame, at + 2)?]))
}

fn byte_at(frame: &Mbuf, at: usize) -> Result<u8, Unreadable> {
    bytes(frame, at, 1).map(|bytes| bytes[0])
}

fn u16_at(frame: &Mbuf, at: usize) -> Result<u16, Unreadable> {
    bytes(frame, at, 2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
}

/// `count` bytes of the frame, where it has them.
#[allow(unsafe_code, reason = "capsule hands out bytes as a pointer")]
fn bytes(frame: &Mbuf, at: usize, count: usize) -> Result<&[u8], Unreadable> {
    if at + count > frame.data_len() {
        return Err(Unreadable);
    }
    let bytes = frame.read_data_slice::<u8>(at, count).map_err(|_| Unreadable)?;
    // SAFETY: capsule has checked that the bytes lie within the frame, which is borrowed as long as they are.
    Ok(unsafe { &*bytes.as_ptr() })
}
