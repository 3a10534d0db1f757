//! Stations, the frames that they send, and a judge of frames that leave.

use etherparse::{
    ArpHardwareId, ArpOperation, ArpPacket, EtherType, Ethernet2Header, IpHeaders, Ipv4Header, NetSlice,
    PacketBuilder, PacketBuilderStep, SlicedPacket, TransportSlice,
};

/// A station with an address of each kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Station {
    pub(crate) mac: [u8; 6],
    pub(crate) v4: [u8; 4],
    pub(crate) v6: [u8; 16],
}

const fn v6(net: u8, last: u8) -> [u8; 16] {
    [0xfd, net, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]
}

pub(crate) const CLIENT: Station = Station { mac: [2, 0, 0, 0, 8, 2], v4: [10, 8, 0, 2], v6: v6(8, 2) };
pub(crate) const SERVER: Station = Station { mac: [2, 0, 0, 0, 9, 2], v4: [10, 9, 0, 2], v6: v6(9, 2) };
/// Where the rest of the world is, beyond the outside; its IPv6 address is link-local.
pub(crate) const GATEWAY: Station = Station {
    mac: [2, 0, 0, 0, 9, 0xfe],
    v4: [10, 9, 0, 254],
    v6: [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x99],
};
pub(crate) const WEIR_INSIDE: Station = Station { mac: [2, 0, 0, 0, 8, 1], v4: [10, 8, 0, 1], v6: v6(8, 1) };
pub(crate) const WEIR_OUTSIDE: Station = Station { mac: [2, 0, 0, 0, 9, 1], v4: [10, 9, 0, 1], v6: v6(9, 1) };
/// Behind the gateway.
pub(crate) const FAR_V4: [u8; 4] = [203, 0, 113, 7];
pub(crate) const FAR_V6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];

pub(crate) fn finish(step: PacketBuilderStep<impl Finish>, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    Finish::write(step, &mut frame, payload);
    frame
}

/// What a packet may end with.
pub(crate) trait Finish: Sized {
    fn write(step: PacketBuilderStep<Self>, into: &mut Vec<u8>, payload: &[u8]);
}
macro_rules! finish {
    ($($header:ty),+) => {$(
        impl Finish for $header {
            fn write(step: PacketBuilderStep<Self>, into: &mut Vec<u8>, payload: &[u8]) {
                step.write_to_vec(into, payload).unwrap();
            }
        }
    )+};
}
finish!(etherparse::UdpHeader, etherparse::TcpHeader, etherparse::Icmpv4Header, etherparse::Icmpv6Header);

/// An Ethernet header and an IPv4 one.
pub(crate) fn ip4(
    macs: ([u8; 6], [u8; 6]),
    from: [u8; 4],
    to: [u8; 4],
    ttl: u8,
) -> PacketBuilderStep<IpHeaders> {
    PacketBuilder::ethernet2(macs.0, macs.1).ipv4(from, to, ttl)
}
/// The same, not to be fragmented, with options.
pub(crate) fn ip4_with(
    macs: ([u8; 6], [u8; 6]),
    from: [u8; 4],
    to: [u8; 4],
    change: impl FnOnce(&mut Ipv4Header),
) -> PacketBuilderStep<IpHeaders> {
    let mut header = Ipv4Header { source: from, destination: to, time_to_live: 64, ..Ipv4Header::default() };
    change(&mut header);
    PacketBuilder::ethernet2(macs.0, macs.1).ip(IpHeaders::Ipv4(header, Default::default()))
}
pub(crate) fn ip6(
    macs: ([u8; 6], [u8; 6]),
    from: [u8; 16],
    to: [u8; 16],
    hops: u8,
) -> PacketBuilderStep<IpHeaders> {
    PacketBuilder::ethernet2(macs.0, macs.1).ipv6(from, to, hops)
}

/// From the client to Weir's inside port.
pub(crate) const TO_WEIR: ([u8; 6], [u8; 6]) = (CLIENT.mac, WEIR_INSIDE.mac);
/// From the server to Weir's outside port.
pub(crate) const TO_WEIR_OUTSIDE: ([u8; 6], [u8; 6]) = (SERVER.mac, WEIR_OUTSIDE.mac);

/// A datagram of the client to anyone.
pub(crate) fn udp4(to: [u8; 4], ttl: u8, payload: usize) -> Vec<u8> {
    finish(ip4(TO_WEIR, CLIENT.v4, to, ttl).udp(4_000, 5_000), &vec![0x5a; payload])
}
pub(crate) fn udp6(to: [u8; 16], hops: u8, payload: usize) -> Vec<u8> {
    finish(ip6(TO_WEIR, CLIENT.v6, to, hops).udp(4_000, 5_000), &vec![0x5a; payload])
}

/// An ARP packet in a frame from `sender` to `mac`.
pub(crate) fn arp(request: bool, sender: Station, target: Station, mac: [u8; 6]) -> Vec<u8> {
    let operation = if request { ArpOperation::REQUEST } else { ArpOperation::REPLY };
    let target_mac = if request { [0; 6] } else { target.mac };
    let packet = ArpPacket::new(
        ArpHardwareId::ETHERNET,
        EtherType::IPV4,
        operation,
        &sender.mac,
        &sender.v4,
        &target_mac,
        &target.v4,
    )
    .unwrap();
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(sender.mac, mac).arp(packet).write(&mut frame).unwrap();
    frame
}

pub(crate) fn solicited_node(target: [u8; 16]) -> [u8; 16] {
    let mut group = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0];
    group[13..].copy_from_slice(&target[13..]);
    group
}
pub(crate) fn group_mac(group: [u8; 16]) -> [u8; 6] {
    [0x33, 0x33, group[12], group[13], group[14], group[15]]
}

/// A neighbour solicitation for `target`, to its group, with the sender's Ethernet address unless it has no address.
pub(crate) fn solicitation(sender: Station, from: [u8; 16], target: [u8; 16]) -> Vec<u8> {
    let group = solicited_node(target);
    let mut body = target.to_vec();
    if from != [0; 16] {
        body.extend([1, 1]);
        body.extend(sender.mac);
    }
    finish(ip6((sender.mac, group_mac(group)), from, group, 255).icmpv6_raw(135, 0, [0; 4]), &body)
}

/// A neighbour advertisement of `sender` to `to`, with flags R, S, O as in its first byte.
pub(crate) fn advertisement(sender: Station, to: Station, flags: u8) -> Vec<u8> {
    let mut body = sender.v6.to_vec();
    body.extend([2, 1]);
    body.extend(sender.mac);
    finish(ip6((sender.mac, to.mac), sender.v6, to.v6, 255).icmpv6_raw(136, 0, [flags, 0, 0, 0]), &body)
}

/// An unsolicited one, to all nodes.
pub(crate) fn advertisement_to_all(sender: Station, flags: u8) -> Vec<u8> {
    let all = Station {
        mac: [0x33, 0x33, 0, 0, 0, 1],
        v6: [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        ..SERVER
    };
    advertisement(sender, all, flags)
}

/// Writes the IPv4 header checksum anew over a header of 20 bytes or more.
pub(crate) fn mend(frame: &mut [u8]) {
    let header = etherparse::Ipv4HeaderSlice::from_slice(&frame[14..]).unwrap().to_header();
    let sum = header.calc_header_checksum();
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
}

/// Fails unless every checksum in the frame that can be checked is right.
pub(crate) fn check(frame: &[u8]) {
    let packet = SlicedPacket::from_ethernet(frame).unwrap_or_else(|error| panic!("{error}: {frame:02x?}"));
    let (v4, v6) = match &packet.net {
        Some(NetSlice::Ipv4(ip)) => {
            let header = ip.header().to_header();
            assert_eq!(header.header_checksum, header.calc_header_checksum(), "IPv4 header checksum");
            if ip.is_payload_fragmented() {
                return;
            }
            (Some(header), None)
        }
        Some(NetSlice::Ipv6(ip)) if !ip.is_payload_fragmented() => (None, Some(ip.header().to_header())),
        _ => return,
    };
    match (&packet.transport, v4, v6) {
        (Some(TransportSlice::Udp(udp)), v4, v6) => {
            let header = udp.to_header();
            let wanted = match (v4, v6) {
                (Some(ip), _) => header.calc_checksum_ipv4(&ip, udp.payload()).unwrap(),
                (_, Some(ip)) => header.calc_checksum_ipv6(&ip, udp.payload()).unwrap(),
                _ => return,
            };
            assert_eq!(header.checksum, wanted, "UDP checksum");
        }
        (Some(TransportSlice::Tcp(tcp)), v4, v6) => {
            let header = tcp.to_header();
            let wanted = match (v4, v6) {
                (Some(ip), _) => header.calc_checksum_ipv4(&ip, tcp.payload()).unwrap(),
                (_, Some(ip)) => header.calc_checksum_ipv6(&ip, tcp.payload()).unwrap(),
                _ => return,
            };
            assert_eq!(header.checksum, wanted, "TCP checksum");
        }
        (Some(TransportSlice::Icmpv4(icmp)), ..) => {
            let mut sum = etherparse::checksum::Sum16BitWords::new();
            sum = sum.add_slice(icmp.slice());
            assert_eq!(sum.ones_complement(), 0, "ICMP checksum");
        }
        (Some(TransportSlice::Icmpv6(icmp)), _, Some(ip)) => {
            assert!(icmp.is_checksum_valid(ip.source, ip.destination), "ICMPv6 checksum");
        }
        _ => {}
    }
}

/// Ethernet source and destination.
pub(crate) fn macs(frame: &[u8]) -> ([u8; 6], [u8; 6]) {
    let (header, _) = Ethernet2Header::from_slice(frame).unwrap();
    (header.source, header.destination)
}

/// ICMP or ICMPv6 type, code and second word; `None` for anything else.
pub(crate) fn icmp(frame: &[u8]) -> Option<(u8, u8, u32)> {
    let packet = SlicedPacket::from_ethernet(frame).unwrap();
    let bytes = match packet.transport? {
        TransportSlice::Icmpv4(icmp) => icmp.slice(),
        TransportSlice::Icmpv6(icmp) => icmp.slice(),
        _ => return None,
    };
    Some((bytes[0], bytes[1], u32::from_be_bytes(bytes[4..8].try_into().unwrap())))
}
