//! Headers around packets: put on, taken off, and VLAN tags likewise.
//!
//! Outer headers are uniform (RFC 2983): DSCP and ECN of the packet are copied out, so that a path's congestion marks reach
//! the packet's receiver when they are taken back in (RFC 6040). IPv4 outer headers have DF set: nothing is cut on the way
//! that [`super::config::PathConfig::inner_mtu`] did not foresee. The UDP checksum of VXLAN is 0 over IPv4 (RFC 7348 section 4)
//! and computed over IPv6, where 0 would need the other end's consent (RFC 6936).

use super::config::{Draws, Ends, PathConfig, Wrap};
use crate::io::Frame;
use crate::route::packet::{
    ETHERNET_LEN, IPV4_LEN, IPV6_LEN, Packet, TYPE_IPV4, TYPE_IPV6, TYPE_VLAN, UDP, ether_type, pseudo_header,
};
use crate::verdict::Verdict;
use crate::wire::checksum::Sum;
use crate::wire::{Ecn, set_traffic_class_v4};
use core::net::IpAddr;

pub(super) const UDP_LEN: usize = 8;
const VXLAN_LEN: usize = 8;
/// What VXLAN has between the outer IP header and the inner Ethernet header's end.
const VXLAN_BESIDE: usize = UDP_LEN + VXLAN_LEN + ETHERNET_LEN;
/// IANA's port of VXLAN.
const VXLAN_PORT: u16 = 4_789;
/// "The VNI field is valid" (RFC 7348 section 5).
const VXLAN_VNI: u8 = 0x08;
/// IPv4 within IP, IPv6 within IP.
const IPV4_WITHIN: u8 = 4;
const IPV6_WITHIN: u8 = 41;
/// TTL of outer headers: a tunnel is one hop to the packet, and its own packet sees a whole network.
const HOPS: u8 = 64;
const TAG_LEN: usize = 4;

/// What a frame's IP header says to whoever puts another one around it.
#[derive(Clone, Copy, Debug)]
struct Within {
    v4: bool,
    /// DSCP and ECN.
    traffic_class: u8,
    /// Bytes of the packet: padding behind it is left out of every length.
    len: usize,
}

impl Within {
    fn read(bytes: &[u8]) -> Option<Within> {
        let ip = bytes.get(ETHERNET_LEN..)?.first_chunk::<IPV4_LEN>()?;
        match ether_type(bytes)? {
            TYPE_IPV4 => Some(Within {
                v4: true,
                traffic_class: ip[1],
                len: usize::from(u16::from_be_bytes([ip[2], ip[3]])),
            }),
            TYPE_IPV6 => Some(Within {
                v4: false,
                traffic_class: ip[0] << 4 | ip[1] >> 4,
                len: IPV6_LEN + usize::from(u16::from_be_bytes([ip[4], ip[5]])),
            }),
            _ => None,
        }
    }
}

/// Gives a frame, an Ethernet header and a sound IP packet, its path's header. `label` is the flow's draw, of which 20 bits
/// count. Ethernet addresses are left to the departure; `mac` is what the inner header of VXLAN says of this end. Returns
/// whether there was room.
pub(super) fn wrap<F: Frame>(frame: &mut F, path: &PathConfig, mac: [u8; 6], label: u32) -> bool {
    let Some(within) = Within::read(frame.bytes()) else { return false };
    let flow_label = if path.draw == Draws::FlowLabel { label & 0xf_ffff } else { 0 };
    let (ends, beside) = match path.wrap {
        Wrap::Bare => {
            if path.draw == Draws::FlowLabel && !within.v4 {
                write_label(frame.bytes_mut(), flow_label);
            }
            return true;
        }
        Wrap::IpIp { ends } => (ends, 0),
        Wrap::Vxlan { ends, .. } => (ends, VXLAN_BESIDE),
    };
    let ip_len = if ends.local.is_ipv4() { IPV4_LEN } else { IPV6_LEN };
    if !frame.grow_front(ip_len + beside) {
        return false;
    }
    let Some((head, _)) = frame.bytes_mut().split_at_mut_checked(ETHERNET_LEN + ip_len + beside) else {
        return false;
    };
    let (ethernet, rest) = head.split_at_mut(ETHERNET_LEN);
    let (ip, beside) = rest.split_at_mut(ip_len);
    let ether_type = if ends.local.is_ipv4() { TYPE_IPV4 } else { TYPE_IPV6 };
    ethernet[12..].copy_from_slice(&ether_type.to_be_bytes());
    let payload_len = beside.len() + within.len;
    let header = |protocol| IpHeader {
        traffic_class: within.traffic_class,
        payload_len,
        protocol,
        hops: HOPS,
        label: flow_label,
    };
    let Wrap::Vxlan { vni, source_port, inner_mac, .. } = path.wrap else {
        let protocol = if within.v4 { IPV4_WITHIN } else { IPV6_WITHIN };
        write_ip(ip, ends, header(protocol));
        return true;
    };
    write_ip(ip, ends, header(UDP));
    // RFC 7348 section 5: from the dynamic range.
    let port = if path.draw == Draws::SourcePort { 49_152 | label as u16 & 0x3fff } else { source_port };
    beside[..2].copy_from_slice(&port.to_be_bytes());
    beside[2..4].copy_from_slice(&VXLAN_PORT.to_be_bytes());
    beside[4..6].copy_from_slice(&(payload_len as u16).to_be_bytes());
    beside[6..8].fill(0);
    beside[8..12].copy_from_slice(&[VXLAN_VNI, 0, 0, 0]);
    beside[12..16].copy_from_slice(&(vni << 8).to_be_bytes());
    beside[16..22].copy_from_slice(&inner_mac);
    beside[22..28].copy_from_slice(&mac);
    let inner_type = if within.v4 { TYPE_IPV4 } else { TYPE_IPV6 };
    beside[28..].copy_from_slice(&inner_type.to_be_bytes());
    if !ends.local.is_ipv4() {
        let at = ETHERNET_LEN + ip_len;
        let sum = frame.bytes().get(at..at + payload_len).map(|datagram| udp_checksum(ends, datagram));
        // A frame that lies in several buffers keeps 0, which RFC 6935 allows a tunnel.
        if let (Some(sum), Some(field)) = (sum, frame.bytes_mut().get_mut(at + 6..at + 8)) {
            field.copy_from_slice(&sum.to_be_bytes());
        }
    }
    true
}

/// Puts a flow label into the IPv6 header of a frame.
fn write_label(bytes: &mut [u8], label: u32) {
    if let Some(ip) = bytes.get_mut(ETHERNET_LEN..).and_then(<[u8]>::first_chunk_mut::<4>) {
        ip[1] = ip[1] & 0xf0 | (label >> 16) as u8;
        ip[2..].copy_from_slice(&(label as u16).to_be_bytes());
    }
}

/// What an IP header says besides its ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct IpHeader {
    pub(super) traffic_class: u8,
    pub(super) payload_len: usize,
    pub(super) protocol: u8,
    pub(super) hops: u8,
    /// Of IPv6: 20 bits.
    pub(super) label: u32,
}

/// Writes an IP header of 20 or 40 bytes, whichever `ip` is.
pub(super) fn write_ip(ip: &mut [u8], ends: Ends, header: IpHeader) {
    let IpHeader { traffic_class, payload_len, protocol, hops, label } = header;
    match (ends.local, ends.remote) {
        (IpAddr::V4(local), IpAddr::V4(remote)) => {
            let Some(ip) = ip.first_chunk_mut::<IPV4_LEN>() else { return };
            ip[..2].copy_from_slice(&[0x45, traffic_class]);
            ip[2..4].copy_from_slice(&((IPV4_LEN + payload_len) as u16).to_be_bytes());
            // Not to be fragmented, so its identification means nothing (RFC 6864).
            ip[4..12].copy_from_slice(&[0, 0, 0x40, 0, hops, protocol, 0, 0]);
            ip[12..16].copy_from_slice(&local.octets());
            ip[16..].copy_from_slice(&remote.octets());
            let sum = Sum::default().bytes(ip).finish();
            ip[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        (IpAddr::V6(local), IpAddr::V6(remote)) => {
            let Some(ip) = ip.first_chunk_mut::<IPV6_LEN>() else { return };
            let first = 6 << 28 | u32::from(traffic_class) << 20 | label & 0xf_ffff;
            ip[..4].copy_from_slice(&first.to_be_bytes());
            ip[4..6].copy_from_slice(&(payload_len as u16).to_be_bytes());
            ip[6..8].copy_from_slice(&[protocol, hops]);
            ip[8..24].copy_from_slice(&local.octets());
            ip[24..].copy_from_slice(&remote.octets());
        }
        _ => {}
    }
}

/// The checksum of a UDP datagram whose field holds 0 (RFC 768, RFC 8200 section 8.1): never 0 itself.
pub(super) fn udp_checksum(ends: Ends, datagram: &[u8]) -> u16 {
    let sum = pseudo_header(ends.local, ends.remote, datagram.len(), UDP).bytes(datagram).finish();
    if sum == 0 { u16::MAX } else { sum }
}

/// What a frame from outside turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unwrapped {
    /// No frame of a tunnel of ours: it is as it was.
    No,
    /// It came by this path, whose header is gone.
    By(usize),
    /// It came by a tunnel and is not to go on.
    End(Verdict),
}

/// Takes a tunnel's header off, if it is one of `paths`: from that remote end to that local one, whole, of that kind.
pub(super) fn unwrap<F: Frame>(frame: &mut F, paths: &[PathConfig], mac: [u8; 6]) -> Unwrapped {
    let Some(found) = locate(frame.bytes(), frame.wire_len(), paths) else { return Unwrapped::No };
    let Located { path, inner_at, mark } = found;
    // Its Ethernet header is made anew in front of the inner packet: to us, from whoever sent the outer one.
    let mut addresses = [0; 12];
    addresses[..6].copy_from_slice(&mac);
    let from = frame.bytes().get(6..12).unwrap_or(&[]);
    addresses[6..6 + from.len()].copy_from_slice(from);
    let ether_type = match frame.bytes().get(inner_at).map(|first| first >> 4) {
        Some(4) => TYPE_IPV4,
        Some(6) => TYPE_IPV6,
        // A tunnel carries routed packets; whatever else VXLAN's Ethernet may bear is none.
        _ => return Unwrapped::End(Verdict::NotIp),
    };
    if !frame.shrink_front(inner_at - ETHERNET_LEN) {
        return Unwrapped::End(Verdict::BadHeader);
    }
    if let Some(header) = frame.bytes_mut().first_chunk_mut::<ETHERNET_LEN>() {
        header[..12].copy_from_slice(&addresses);
        header[12..].copy_from_slice(&ether_type.to_be_bytes());
    }
    match take_mark(frame.bytes_mut(), mark) {
        true => Unwrapped::By(path),
        false => Unwrapped::End(Verdict::EcnDropped),
    }
}

#[derive(Clone, Copy, Debug)]
struct Located {
    path: usize,
    /// Where the inner IP header begins.
    inner_at: usize,
    /// The outer ECN codepoint.
    mark: Ecn,
}

fn locate(bytes: &[u8], wire_len: u32, paths: &[PathConfig]) -> Option<Located> {
    let ip = bytes.get(ETHERNET_LEN..)?;
    // Cheap tests first: of most frames the protocol says that they are nothing of ours.
    let (protocol, whole, traffic_class) = match ether_type(bytes)? {
        TYPE_IPV4 => {
            let ip = ip.first_chunk::<IPV4_LEN>()?;
            (ip[9], u16::from_be_bytes([ip[6], ip[7]]) & 0x3fff == 0, ip[1])
        }
        TYPE_IPV6 => {
            let ip = ip.first_chunk::<IPV6_LEN>()?;
            (ip[6], true, ip[0] << 4 | ip[1] >> 4)
        }
        _ => return None,
    };
    if !whole || !matches!(protocol, IPV4_WITHIN | IPV6_WITHIN | UDP) {
        return None;
    }
    let packet = Packet::read(bytes, wire_len)?;
    let ends = Ends { local: packet.destination, remote: packet.source };
    let mut of_ends = paths.iter().enumerate().filter(|(_, path)| path.wrap.ends() == Some(ends)).peekable();
    of_ends.peek()?;
    let at = ETHERNET_LEN + packet.header_len;
    let mark = Ecn::from_bits(traffic_class);
    if protocol != UDP {
        let (path, _) = of_ends.find(|(_, path)| matches!(path.wrap, Wrap::IpIp { .. }))?;
        return Some(Located { path, inner_at: at, mark });
    }
    let header = bytes.get(at..)?.first_chunk::<{ UDP_LEN + VXLAN_LEN }>()?;
    if u16::from_be_bytes([header[2], header[3]]) != VXLAN_PORT || header[8] & VXLAN_VNI == 0 {
        return None;
    }
    let from_port = u16::from_be_bytes([header[0], header[1]]);
    let network = u32::from_be_bytes([0, header[12], header[13], header[14]]);
    let mut first = None;
    for (path, config) in of_ends {
        let Wrap::Vxlan { vni, source_port, .. } = config.wrap else { continue };
        if vni != network {
            continue;
        }
        // Two that differ by their port alone are mirrored at the other end, if it likes.
        if source_port == from_port {
            first = Some(path);
            break;
        }
        first = first.or(Some(path));
    }
    Some(Located { path: first?, inner_at: at + VXLAN_BESIDE, mark })
}

/// Takes the outer header's ECN codepoint over into the packet (RFC 6040 section 4.2, figure 4). Returns whether the packet
/// may go on.
fn take_mark(bytes: &mut [u8], outer: Ecn) -> bool {
    let v4 = ether_type(bytes) == Some(TYPE_IPV4);
    let Some(ip) = bytes.get_mut(ETHERNET_LEN..).and_then(<[u8]>::first_chunk_mut::<12>) else { return true };
    let inner = Ecn::from_bits(if v4 { ip[1] } else { ip[1] >> 4 });
    let merged = match (inner, outer) {
        (Ecn::NotEct, Ecn::Ce) => return false,
        (Ecn::NotEct, _) => Ecn::NotEct,
        (_, Ecn::Ce) => Ecn::Ce,
        (Ecn::Ect0, Ecn::Ect1) => Ecn::Ect1,
        (inner, _) => inner,
    };
    if merged != inner && v4 {
        set_traffic_class_v4(ip, ip[1] & !3 | merged as u8);
    } else if merged != inner {
        ip[1] = ip[1] & !0x30 | (merged as u8) << 4;
    }
    true
}

/// Takes the tag off a frame of one of these VLANs. Returns whether it had one.
pub(crate) fn untag<F: Frame>(frame: &mut F, ours: impl Fn(u16) -> bool) -> bool {
    let Some(head) = frame.bytes().first_chunk::<{ ETHERNET_LEN + TAG_LEN }>() else { return false };
    if ether_type(head) != Some(TYPE_VLAN) || !ours(u16::from_be_bytes([head[14], head[15]]) & 0x0fff) {
        return false;
    }
    let mut addresses = [0; 12];
    addresses.copy_from_slice(&head[..12]);
    let shrunk = frame.shrink_front(TAG_LEN);
    if shrunk && let Some(start) = frame.bytes_mut().first_chunk_mut::<12>() {
        *start = addresses;
    }
    shrunk
}

/// Puts a tag of this VLAN, priority 0, into a frame. Returns whether there was room.
pub(crate) fn tag<F: Frame>(frame: &mut F, vlan: u16) -> bool {
    if frame.bytes().len() < ETHERNET_LEN || !frame.grow_front(TAG_LEN) {
        return false;
    }
    let Some(head) = frame.bytes_mut().first_chunk_mut::<{ ETHERNET_LEN + TAG_LEN }>() else { return false };
    head.copy_within(TAG_LEN..TAG_LEN + 12, 0);
    head[12..14].copy_from_slice(&TYPE_VLAN.to_be_bytes());
    head[14..16].copy_from_slice(&(vlan & 0x0fff).to_be_bytes());
    true
}

#[cfg(test)]
mod tests;
