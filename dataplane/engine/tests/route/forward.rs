//! What a router changes in a packet, which packets it forwards, and where to.

use super::frames::*;
use super::world::{World, config, prefix, route};
use etherparse::TcpOptionElement;
use proptest::prelude::*;
use weir_engine::io::Side;
use weir_engine::route::StaticRoute;
use weir_engine::verdict::Verdict;

const NOBODY: [Vec<Vec<u8>>; 2] = [Vec::new(), Vec::new()];

#[test]
fn a_packet_leaves_by_the_other_side_one_hop_poorer_with_new_ethernet_addresses() {
    let mut world = World::met(&config());
    for (frame, hops_at) in [(udp4(SERVER.v4, 64, 100), 22), (udp6(SERVER.v6, 64, 100), 21)] {
        let (verdict, [inside, mut outside]) = world.fate(Side::Inside, frame.clone());
        assert_eq!((verdict, inside.len(), outside.len()), (Verdict::Untracked, 0, 1));
        let left = outside.remove(0);
        assert_eq!(macs(&left), (WEIR_OUTSIDE.mac, SERVER.mac));
        assert_eq!(left[hops_at], 63);
        assert_eq!(left.len(), frame.len());
    }
    let back = finish(ip4(TO_WEIR_OUTSIDE, SERVER.v4, CLIENT.v4, 2).udp(1, 2), b"hello");
    let (verdict, [inside, _]) = world.fate(Side::Outside, back);
    assert_eq!((verdict, macs(&inside[0]).1, inside[0][22]), (Verdict::Untracked, CLIENT.mac, 1));
}

#[test]
fn the_longest_prefix_wins_and_a_static_route_leads_to_its_neighbour() {
    let mut config = config();
    let routes = &mut route(&mut config).routes;
    // Of the server's own network one address is behind the gateway; and everything else is behind the server.
    routes.push(StaticRoute {
        prefix: prefix([10, 9, 0, 77], 32),
        via: GATEWAY.v4.into(),
        out: Side::Outside,
    });
    routes.push(StaticRoute { prefix: prefix([0, 0, 0, 0], 0), via: SERVER.v4.into(), out: Side::Outside });
    let mut world = World::met(&config);
    for (to, by) in
        [(FAR_V4, GATEWAY), ([10, 9, 0, 77], GATEWAY), (SERVER.v4, SERVER), ([8, 8, 8, 8], SERVER)]
    {
        let [_, outside] = world.exchange(Side::Inside, udp4(to, 64, 0));
        assert_eq!(macs(&outside[0]).1, by.mac, "{to:?}");
    }
    let [_, outside] = world.exchange(Side::Inside, udp6(FAR_V6, 64, 0));
    assert_eq!(macs(&outside[0]).1, GATEWAY.mac, "by a link-local next hop");
}

#[test]
fn a_hairpin_goes_back_by_the_side_on_which_it_came() {
    let mut world = World::met(&config());
    let far_to_server = finish(ip4((GATEWAY.mac, WEIR_OUTSIDE.mac), FAR_V4, SERVER.v4, 9).udp(1, 2), &[]);
    let (verdict, [inside, outside]) = world.fate(Side::Outside, far_to_server);
    assert_eq!((verdict, inside.len(), macs(&outside[0]).1), (Verdict::Untracked, 0, SERVER.mac));
}

/// (what it is, the frame, its end). None of them makes anything leave.
#[test]
fn what_is_dropped_in_silence() {
    let vlan = |mut frame: Vec<u8>| {
        frame.splice(12..12, [0x81, 0, 0, 5]);
        frame
    };
    let patched = |mut frame: Vec<u8>, at: usize, byte: u8| {
        frame[at] = byte;
        frame
    };
    let mended = |mut frame: Vec<u8>, at: usize, byte: u8| {
        frame[at] = byte;
        mend(&mut frame);
        frame
    };
    let from4 = |from: [u8; 4]| finish(ip4(TO_WEIR, from, SERVER.v4, 64).udp(1, 2), &[]);
    let from6 = |from: [u8; 16]| finish(ip6(TO_WEIR, from, SERVER.v6, 64).udp(1, 2), &[]);
    let to_mac = |mac: [u8; 6]| finish(ip4((CLIENT.mac, mac), CLIENT.v4, SERVER.v4, 64).udp(1, 2), &[]);
    let mut loopback = [0; 16];
    loopback[15] = 1;
    let cases: Vec<(&str, Vec<u8>, Verdict)> = vec![
        ("another station's", to_mac(SERVER.mac), Verdict::NotForUs),
        ("an IP packet to all stations", to_mac([0xff; 6]), Verdict::NotForUs),
        ("a VLAN tag", vlan(udp4(SERVER.v4, 64, 0)), Verdict::NotForUs),
        ("a multicast destination", udp4([224, 0, 0, 251], 64, 0), Verdict::NotForUs),
        ("the limited broadcast", udp4([255; 4], 64, 0), Verdict::NotForUs),
        ("the other side's broadcast", udp4([10, 9, 0, 255], 64, 0), Verdict::NotForUs),
        ("a link-local destination", udp6(GATEWAY.v6, 64, 0), Verdict::NotForUs),
        ("neither IP nor ARP", patched(udp4(SERVER.v4, 64, 0), 12, 0x88), Verdict::NotIp),
        ("shorter than Ethernet", vec![2; 13], Verdict::BadHeader),
        ("cut within IPv4", udp4(SERVER.v4, 64, 0)[..33].to_vec(), Verdict::BadHeader),
        ("cut within IPv6", udp6(SERVER.v6, 64, 0)[..53].to_vec(), Verdict::BadHeader),
        ("longer than its frame", udp4(SERVER.v4, 64, 9)[..50].to_vec(), Verdict::BadHeader),
        ("another version", patched(udp6(SERVER.v6, 64, 0), 14, 0x40), Verdict::BadHeader),
        ("a bad header checksum", patched(udp4(SERVER.v4, 64, 0), 24, 0), Verdict::BadHeader),
        ("a header length below 20", mended_length(), Verdict::BadHeader),
        ("Weir's own source", from4(WEIR_INSIDE.v4), Verdict::Martian),
        ("Weir's own source of the other side", from6(WEIR_OUTSIDE.v6), Verdict::Martian),
        ("a loopback source", from4([127, 0, 0, 1]), Verdict::Martian),
        ("an IPv6 loopback source", from6(loopback), Verdict::Martian),
        ("a source of zeros", from4([0; 4]), Verdict::Martian),
        ("a multicast source", from4([224, 0, 0, 1]), Verdict::Martian),
        ("a broadcast source", from4([10, 8, 0, 255]), Verdict::Martian),
        ("a reserved source", from4([240, 0, 0, 1]), Verdict::Martian),
        ("a link-local source", from6(GATEWAY.v6), Verdict::Martian),
        ("a loopback destination", udp4([127, 0, 0, 1], 64, 0), Verdict::Martian),
        ("an unspecified destination", udp6([0; 16], 64, 0), Verdict::Martian),
        (
            "a small packet in a frame beyond the MTU",
            [udp4(SERVER.v4, 64, 0), vec![0; 1_500]].concat(),
            Verdict::TooBig,
        ),
        ("nothing at all", Vec::new(), Verdict::Empty),
    ];
    let mut world = World::met(&config());
    for (what, frame, verdict) in cases {
        assert_eq!(world.fate(Side::Inside, frame), (verdict, NOBODY), "{what}");
    }
    assert_eq!(world.worker.tally().sent, [2, 4], "only what meeting the stations took");
    // Not a test of the table: with the byte mended it would have passed.
    assert_eq!(world.fate(Side::Inside, mended(udp4(SERVER.v4, 64, 0), 15, 0x10)).0, Verdict::Untracked);
}

fn mended_length() -> Vec<u8> {
    let mut frame = udp4(SERVER.v4, 64, 0);
    // A length of 16 whose checksum holds over those 16 bytes.
    frame[14] = 0x44;
    frame[24..26].fill(0);
    let sum = etherparse::checksum::Sum16BitWords::new().add_slice(&frame[14..30]).ones_complement();
    frame[24..26].copy_from_slice(&sum.to_ne_bytes());
    frame
}

#[test]
fn odd_packets_with_a_sound_header_are_forwarded() {
    let mut world = World::met(&config());
    let optioned = ip4_with(TO_WEIR, CLIENT.v4, SERVER.v4, |header| {
        header.options = [7, 7, 4, 0, 0, 0, 0, 0].as_slice().try_into().unwrap();
    });
    let fragment = ip4_with(TO_WEIR, CLIENT.v4, SERVER.v4, |header| {
        header.more_fragments = true;
        header.fragment_offset = 5_u16.try_into().unwrap();
    });
    let mut cut_tcp = finish(ip4(TO_WEIR, CLIENT.v4, SERVER.v4, 64).tcp(1, 2, 3, 4), &[]);
    cut_tcp[46] = 0x10;
    let padded = [udp4(SERVER.v4, 64, 0), vec![0; 18]].concat();
    for (what, frame, verdict) in [
        ("options", finish(optioned.udp(1, 2), b"x"), Verdict::Untracked),
        ("a fragment", finish(fragment.udp(1, 2), b"12345678"), Verdict::Untracked),
        ("padding", padded, Verdict::Untracked),
        ("a TCP header that does not hold", cut_tcp, Verdict::Malformed),
    ] {
        let before = world.ended(verdict);
        world.offer(Side::Inside, frame.clone());
        world.turn();
        assert_eq!(world.ended(verdict) - before, 1, "{what}");
        // As it is: etherparse does not read past a TCP header that does not hold.
        let left = world.sent_as_it_is(Side::Outside);
        assert_eq!((left.len(), left[0].len()), (1, frame.len()), "{what}");
    }
}

fn syn(v4: bool, from_outside: bool, options: &[TcpOptionElement]) -> (Side, Vec<u8>) {
    let (side, macs) = match from_outside {
        true => (Side::Outside, TO_WEIR_OUTSIDE),
        false => (Side::Inside, TO_WEIR),
    };
    let (from, to) = if from_outside { (SERVER, CLIENT) } else { (CLIENT, SERVER) };
    let ip = if v4 { ip4(macs, from.v4, to.v4, 64) } else { ip6(macs, from.v6, to.v6, 64) };
    let tcp = ip.tcp(40_000, 443, 1_000, 512).syn();
    (side, finish(tcp.options(options).unwrap(), &[]))
}

/// The MSS option of a frame, wherever it stands.
fn mss_of(frame: &[u8]) -> Option<u16> {
    let packet = etherparse::SlicedPacket::from_ethernet(frame).unwrap();
    let Some(etherparse::TransportSlice::Tcp(tcp)) = packet.transport else { panic!("no TCP") };
    tcp.options_iterator().find_map(|option| match option {
        Ok(TcpOptionElement::MaximumSegmentSize(mss)) => Some(mss),
        _ => None,
    })
}

#[test]
fn the_mss_of_a_syn_is_lowered_to_the_smaller_link_and_never_raised() {
    use TcpOptionElement::{MaximumSegmentSize as Mss, Noop, SelectiveAcknowledgementPermitted as Sack};
    let mut config = config();
    route(&mut config).sides[Side::Outside as usize].mtu = 1_400;
    let mut world = World::met(&config);
    for (v4, offered, expected) in [
        (true, 1_460, 1_360),
        (true, 1_360, 1_360),
        (true, 536, 536),
        (false, 1_440, 1_340),
        (false, 1_220, 1_220),
    ] {
        // At an even and at an odd offset, both ways.
        for options in [vec![Mss(offered), Sack], vec![Noop, Mss(offered)], vec![Sack, Noop, Mss(offered)]] {
            for from_outside in [false, true] {
                let (side, frame) = syn(v4, from_outside, &options);
                let clamped = world.stats().mss_clamped;
                let [inside, outside] = world.exchange(side, frame.clone());
                let left = inside.into_iter().chain(outside).next().unwrap();
                assert_eq!(mss_of(&left), Some(expected), "{options:?}");
                assert_eq!(world.stats().mss_clamped - clamped, u64::from(offered != expected));
                // `sent` has checked the checksum; nothing else in the TCP header has changed.
                let tcp = if v4 { 34 } else { 54 };
                assert_eq!(left[tcp..tcp + 16], frame[tcp..tcp + 16]);
            }
        }
    }
    let (side, without) = syn(true, false, &[Sack]);
    let [_, outside] = world.exchange(side, without);
    assert_eq!(mss_of(&outside[0]), None);
    // On a segment that is no SYN the option means nothing.
    let data = ip4(TO_WEIR, CLIENT.v4, SERVER.v4, 64).tcp(1, 2, 3, 4).ack(1);
    let [_, outside] = world.exchange(Side::Inside, finish(data.options(&[Mss(1_460)]).unwrap(), b"x"));
    assert_eq!(mss_of(&outside[0]), Some(1_460));
}

proptest! {
    /// Of a routed packet the Ethernet addresses, the hops and the IPv4 header checksum change, and nothing else; all
    /// checksums are right afterwards, which `World::sent` has `etherparse` check.
    #[test]
    fn only_the_bytes_of_one_hop_change(
        v4: bool,
        hops in 2_u8..,
        tos: u8,
        id: u16,
        payload in proptest::collection::vec(any::<u8>(), 0..1_400),
        kind in 0..4,
        ports: (u16, u16),
        from in any::<[u8; 4]>(),
        far: bool,
    ) {
        let from4 = if (1..127).contains(&from[0]) && from[0] != 10 { from } else { CLIENT.v4 };
        let (to4, to6) = if far { (FAR_V4, FAR_V6) } else { (SERVER.v4, SERVER.v6) };
        let ip = match v4 {
            true => ip4_with(TO_WEIR, from4, to4, |header| {
                header.time_to_live = hops;
                header.identification = id;
                header.ecn = (tos & 3).try_into().unwrap();
                header.dscp = (tos >> 2).try_into().unwrap();
            }),
            false => ip6(TO_WEIR, CLIENT.v6, to6, hops),
        };
        let came = match kind {
            0 => finish(ip.udp(ports.0, ports.1), &payload),
            1 => finish(ip.tcp(ports.0, ports.1, u32::from(id), 9).ack(7), &payload),
            2 if v4 => finish(ip.icmpv4_echo_request(ports.0, ports.1), &payload),
            2 => finish(ip.icmpv6_echo_request(ports.0, ports.1), &payload),
            _ if v4 => finish(ip.icmpv4_raw(3, 1, [0; 4]), &payload),
            _ => finish(ip.icmpv6_raw(1, 3, [0; 4]), &payload),
        };
        let mut world = World::met(&config());
        let [inside, outside] = world.exchange(Side::Inside, came.clone());
        prop_assert_eq!((inside.len(), outside.len()), (0, 1));
        let left = &outside[0];
        prop_assert_eq!(left.len(), came.len());
        let hops_at = if v4 { 22 } else { 21 };
        prop_assert_eq!(left[hops_at], hops - 1);
        let may_change = |at: usize| at < 12 || at == hops_at || (v4 && (24..26).contains(&at));
        let changed: Vec<usize> = (0..came.len()).filter(|&at| came[at] != left[at] && !may_change(at)).collect();
        prop_assert!(changed.is_empty(), "{:?}", changed);
    }
}
