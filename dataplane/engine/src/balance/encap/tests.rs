use super::*;
use core::net::{Ipv4Addr, Ipv6Addr};
use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use proptest::prelude::*;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const FAR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];

fn ends(v4: bool) -> Ends {
    match v4 {
        true => Ends { local: Ipv4Addr::new(10, 9, 0, 1).into(), remote: Ipv4Addr::new(10, 9, 0, 2).into() },
        false => Ends {
            local: Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 1).into(),
            remote: Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 2).into(),
        },
    }
}

fn path(wrap: Wrap, draw: Draws) -> PathConfig {
    let via = Ipv4Addr::new(10, 9, 0, 254).into();
    PathConfig { name: "p".to_owned(), via, wrap, draw, mtu: 1_500, rate_bps: None, probe: None }
}

fn ipip(v4: bool) -> Wrap {
    Wrap::IpIp { ends: ends(v4) }
}

fn vxlan(v4: bool) -> Wrap {
    Wrap::Vxlan { ends: ends(v4), vni: 0x12_3456, source_port: 50_001, inner_mac: FAR_MAC }
}

/// A UDP packet whose DSCP and ECN are `class`.
fn packet(v4: bool, class: u8, payload: usize) -> Vec<u8> {
    let ethernet = PacketBuilder::ethernet2([2, 0, 0, 0, 8, 2], MAC);
    let ip = match v4 {
        true => ethernet.ipv4([10, 8, 0, 2], [10, 7, 0, 2], 63),
        false => ethernet.ipv6([0xfd; 16], [0xfc; 16], 63),
    };
    let mut frame = Vec::new();
    ip.udp(4_000, 5_000).write(&mut frame, &vec![0x5a; payload]).unwrap();
    if v4 {
        frame[15] = class;
        frame[24..26].fill(0);
        let sum = Sum::default().bytes(&frame[14..34]).finish();
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
    } else {
        frame[14] = 0x60 | class >> 4;
        frame[15] = class << 4;
    }
    frame
}

/// The other end's paths: local and remote change places.
fn mirrored(path: &PathConfig) -> PathConfig {
    let swap = |ends: Ends| Ends { local: ends.remote, remote: ends.local };
    let wrap = match path.wrap {
        Wrap::Bare => Wrap::Bare,
        Wrap::IpIp { ends } => Wrap::IpIp { ends: swap(ends) },
        Wrap::Vxlan { ends, vni, source_port, inner_mac } => {
            Wrap::Vxlan { ends: swap(ends), vni, source_port, inner_mac }
        }
    };
    PathConfig { wrap, ..path.clone() }
}

#[test]
fn every_tunnel_gives_back_what_was_put_into_it() {
    for outer_v4 in [true, false] {
        for (wrap_in, overhead_v4) in [(ipip(outer_v4), 20), (vxlan(outer_v4), 50)] {
            for (inner_v4, class, payload) in
                [(true, 0xb8, 900), (true, 0x02, 3), (false, 0xb9, 901), (false, 0, 0)]
            {
                let path = path(wrap_in, Draws::None);
                let overhead = overhead_v4 + if outer_v4 { 0 } else { 20 };
                assert_eq!(usize::from(path.wrap.overhead()), overhead);
                let plain = packet(inner_v4, class, payload);
                let mut frame = plain.clone();
                // Padding of a short frame is no part of the packet.
                frame.resize(frame.len().max(60), 0xee);
                let padding = frame.len() - plain.len();
                assert!(wrap(&mut frame, &path, MAC, 77));
                assert_eq!(frame.len(), plain.len() + overhead + padding);
                judge(&frame[..frame.len() - padding], outer_v4, class);

                frame[..6].copy_from_slice(&MAC);
                let ours = [mirrored(&super::tests::path(Wrap::Bare, Draws::None)), mirrored(&path)];
                assert_eq!(unwrap(&mut frame, &ours, MAC), Unwrapped::By(1));
                assert_eq!(frame[..6], MAC);
                assert_eq!(frame[12..plain.len()], plain[12..]);
                assert_eq!(frame.len(), plain.len() + padding);
            }
        }
    }
}

/// Another implementation reads every header, and finds lengths and checksums right.
fn judge(frame: &[u8], outer_v4: bool, class: u8) {
    let sliced = SlicedPacket::from_ethernet(frame).unwrap();
    let inner = match (&sliced.net, &sliced.transport) {
        (Some(NetSlice::Ipv4(outer)), transport) => {
            assert!(outer_v4);
            let header = outer.header().to_header();
            assert_eq!((header.dscp.value() << 2 | header.ecn.value(), header.dont_fragment), (class, true));
            assert_eq!(header.header_checksum, header.calc_header_checksum());
            assert_eq!(usize::from(header.total_len), frame.len() - 14);
            match transport {
                Some(TransportSlice::Udp(udp)) => {
                    assert_eq!(udp.checksum(), 0);
                    udp.payload()
                }
                _ => outer.payload().payload,
            }
        }
        (Some(NetSlice::Ipv6(outer)), transport) => {
            assert!(!outer_v4);
            let header = outer.header().to_header();
            assert_eq!(header.traffic_class, class);
            assert_eq!(usize::from(header.payload_length), frame.len() - 54);
            match transport {
                Some(TransportSlice::Udp(udp)) => {
                    let expected = udp.to_header().calc_checksum_ipv6(&header, udp.payload()).unwrap();
                    assert_eq!(udp.checksum(), expected);
                    udp.payload()
                }
                _ => outer.payload().payload,
            }
        }
        other => unreachable!("{other:?}"),
    };
    let inner = match sliced.transport {
        Some(TransportSlice::Udp(udp)) => {
            assert_eq!((udp.source_port(), udp.destination_port()), (50_001, 4_789));
            assert_eq!(inner[..8], [8, 0, 0, 0, 0x12, 0x34, 0x56, 0]);
            assert_eq!((&inner[8..14], &inner[14..20]), (&FAR_MAC[..], &MAC[..]));
            SlicedPacket::from_ethernet(&inner[8..])
        }
        _ => SlicedPacket::from_ip(inner),
    };
    assert!(matches!(inner.unwrap().transport, Some(TransportSlice::Udp(_))));
}

#[test]
fn draws_change_what_they_name_and_nothing_else() {
    let label = 0xabcde;
    let mut frame = packet(false, 0, 10);
    let plain = frame.clone();
    assert!(wrap(&mut frame, &path(Wrap::Bare, Draws::FlowLabel), MAC, label));
    assert_eq!(frame[14..18], [0x60, 0x0a, 0xbc, 0xde]);
    assert_eq!(frame[18..], plain[18..]);
    let mut frame = packet(true, 0, 10);
    assert!(wrap(&mut frame, &path(ipip(false), Draws::FlowLabel), MAC, label));
    assert_eq!(frame[14..18], [0x60, 0x0a, 0xbc, 0xde]);
    let mut frame = packet(true, 0, 10);
    assert!(wrap(&mut frame, &path(vxlan(true), Draws::SourcePort), MAC, label));
    let port = u16::from_be_bytes([frame[34], frame[35]]);
    assert_eq!(port, 49_152 | 0xbcde & 0x3fff);
}

#[test]
fn marks_of_the_path_reach_the_packet_as_rfc_6040_says() {
    const NOT_ECT: u8 = 0;
    const ECT_1: u8 = 1;
    const ECT_0: u8 = 2;
    const CE: u8 = 3;
    for (inner, outer, expected) in [
        (NOT_ECT, NOT_ECT, Some(NOT_ECT)),
        (NOT_ECT, ECT_0, Some(NOT_ECT)),
        (NOT_ECT, ECT_1, Some(NOT_ECT)),
        (NOT_ECT, CE, None),
        (ECT_0, NOT_ECT, Some(ECT_0)),
        (ECT_0, ECT_0, Some(ECT_0)),
        (ECT_0, ECT_1, Some(ECT_1)),
        (ECT_0, CE, Some(CE)),
        (ECT_1, ECT_0, Some(ECT_1)),
        (ECT_1, CE, Some(CE)),
        (CE, NOT_ECT, Some(CE)),
        (CE, CE, Some(CE)),
    ] {
        for v4 in [true, false] {
            let path = path(ipip(false), Draws::None);
            let mut frame = packet(v4, 0x28 | inner, 10);
            assert!(wrap(&mut frame, &path, MAC, 1));
            frame[15] = frame[15] & !0x30 | outer << 4;
            frame[..6].copy_from_slice(&MAC);
            let unwrapped = unwrap(&mut frame, &[mirrored(&path)], MAC);
            let Some(expected) = expected else {
                assert_eq!(unwrapped, Unwrapped::End(Verdict::EcnDropped));
                continue;
            };
            assert_eq!(unwrapped, Unwrapped::By(0));
            let class = if v4 { frame[15] } else { frame[14] << 4 | frame[15] >> 4 };
            assert_eq!(class, 0x28 | expected);
            assert!(!v4 || Sum::default().bytes(&frame[14..34]).finish() == 0);
        }
    }
}

#[test]
fn a_tunnel_of_somebody_else_is_left_alone() {
    let mine = path(vxlan(true), Draws::None);
    let other_network = PathConfig {
        wrap: Wrap::Vxlan { ends: ends(true), vni: 5, source_port: 1, inner_mac: FAR_MAC },
        ..mine.clone()
    };
    let mut frame = packet(true, 0, 10);
    assert!(wrap(&mut frame, &mine, MAC, 1));
    frame[..6].copy_from_slice(&MAC);
    let before = frame.clone();
    // Not mirrored: from an own address. Another network. Another kind. From another port it is still ours.
    for ours in [mine.clone(), mirrored(&other_network), mirrored(&path(ipip(true), Draws::None))] {
        assert_eq!(unwrap(&mut frame, &[ours], MAC), Unwrapped::No);
        assert_eq!(frame, before);
    }
    let twin = |source_port| {
        let wrap = Wrap::Vxlan { ends: ends(true), vni: 0x12_3456, source_port, inner_mac: FAR_MAC };
        mirrored(&path(wrap, Draws::None))
    };
    let mut copy = frame.clone();
    assert_eq!(unwrap(&mut copy, &[twin(1), twin(50_001)], MAC), Unwrapped::By(1));
    assert_eq!(unwrap(&mut frame, &[twin(1), twin(2)], MAC), Unwrapped::By(0));
}

#[test]
fn tags_go_on_and_off() {
    let plain = packet(true, 0, 10);
    let mut frame = plain.clone();
    assert!(tag(&mut frame, 0x123));
    assert_eq!(frame[..12], plain[..12]);
    assert_eq!(frame[12..18], [0x81, 0, 0x01, 0x23, 0x08, 0]);
    assert!(SlicedPacket::from_ethernet(&frame).unwrap().transport.is_some());
    assert!(!untag(&mut frame, |vlan| vlan == 5));
    assert!(untag(&mut frame, |vlan| vlan == 0x123));
    assert_eq!(frame, plain);
    assert!(!untag(&mut frame, |_| true));
}

/// Without room nothing changes.
#[test]
fn a_frame_without_headroom_is_left_as_it_was() {
    struct Tight(Vec<u8>);
    impl Frame for Tight {
        fn bytes(&self) -> &[u8] {
            &self.0
        }
        fn bytes_mut(&mut self) -> &mut [u8] {
            &mut self.0
        }
        fn wire_len(&self) -> u32 {
            self.0.len() as u32
        }
    }
    let plain = packet(true, 0, 10);
    let mut frame = Tight(plain.clone());
    assert!(!wrap(&mut frame, &path(ipip(true), Draws::None), MAC, 1) && !tag(&mut frame, 5));
    assert_eq!(frame.0, plain);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_of_the_wire_are_too_odd(
        mut bytes in prop::collection::vec(any::<u8>(), 0..200),
        flips in prop::collection::vec((0..120_usize, any::<u8>()), 0..4),
        kind in 0..5_usize,
        cut in 0..200_usize,
    ) {
        let paths: Vec<PathConfig> = [ipip(true), ipip(false), vxlan(true), vxlan(false)]
            .map(|wrap| mirrored(&path(wrap, Draws::None))).into();
        if kind < 4 {
            bytes = packet(bytes.len() % 2 == 0, bytes.len() as u8, 20);
            prop_assert!(wrap(&mut bytes, &mirrored(&paths[kind]), MAC, 7));
            bytes[..6].copy_from_slice(&MAC);
            for (at, byte) in flips {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            bytes.truncate(cut.max(20));
        }
        let before = bytes.len();
        let unwrapped = unwrap(&mut bytes, &paths, MAC);
        prop_assert!(bytes.len() <= before);
        prop_assert!(!matches!(unwrapped, Unwrapped::By(path) if path >= paths.len()));
        untag(&mut bytes, |_| true);
    }
}
