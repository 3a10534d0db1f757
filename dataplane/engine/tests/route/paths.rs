//! Paths between two Weirs: probes, failures, tunnels, MTUs, weights.

use super::frames::{CLIENT, finish, icmp, ip4, ip4_with, ip6};
use super::pair::{FAR, Kind, PROBES, Pair, weights};
use proptest::prelude::*;
use std::sync::LazyLock;
use weir_engine::balance::{PathRule, PathStats};
use weir_engine::io::Side;
use weir_engine::time::Ns;
use weir_engine::verdict::Verdict;

const MACS: ([u8; 6], [u8; 6]) = ([0; 6], [0; 6]);
const ALL: [Kind; 6] = [Kind::Bare, Kind::Vlan, Kind::IpIp, Kind::IpIpOverV6, Kind::Vxlan, Kind::VxlanOverV6];
const THREE: [Kind; 3] = [Kind::IpIp, Kind::Vxlan, Kind::VxlanOverV6];

/// A datagram of the client's flow number `flow`.
fn datagram(flow: u16, payload: usize) -> Vec<u8> {
    finish(ip4(MACS, CLIENT.v4, FAR.v4, 64).udp(10_000 + flow, 5_000), &vec![0x5a; payload])
}
fn datagram6(flow: u16, payload: usize) -> Vec<u8> {
    finish(ip6(MACS, CLIENT.v6, FAR.v6, 64).udp(10_000 + flow, 5_000), &vec![0x5a; payload])
}

fn send_some(pair: &mut Pair, flows: u16) {
    for flow in 0..flows {
        pair.ends[0].offer(datagram(flow, 100));
        if flow % 16 == 15 {
            pair.run_for(Ns::from_micros(200));
        }
    }
    pair.run_for(Ns::from_millis(1));
}

#[test]
fn packets_of_both_versions_cross_every_kind_of_path_unharmed() {
    for kind in ALL {
        let mut pair = Pair::met(&[kind], PathRule::Maglev);
        for frame in [datagram(1, 500), datagram6(1, 501), datagram(1, 1)] {
            let sent = frame.clone();
            pair.ends[0].offer(frame);
            // The first may have to wait for its neighbour inside B.
            pair.run_for(Ns::from_millis(3));
            let arrived = pair.ends[1].inbox.pop().unwrap_or_else(|| panic!("{kind:?}: nothing arrived"));
            assert_eq!(arrived[..6], FAR.mac, "{kind:?}");
            let hops = if sent[12] == 8 { 22 } else { 21 };
            assert_eq!(arrived[hops], sent[hops] - 2, "{kind:?}: two routers");
            assert_eq!(arrived[38..], sent[38..], "{kind:?}");
            // And back.
            pair.ends[1].offer(reply(&sent));
            pair.run_for(Ns::from_millis(3));
            let back = pair.ends[0].inbox.pop().unwrap_or_else(|| panic!("{kind:?}: nothing came back"));
            assert_eq!(back[..6], CLIENT.mac, "{kind:?}");
        }
        let [a, b] = [pair.ends[0].path(0), pair.ends[1].path(0)];
        assert_eq!((a.frames, b.frames), (3, 3), "{kind:?}");
        let wrapped = !matches!(kind, Kind::Bare | Kind::Vlan);
        assert_eq!(a.unwrapped > 3, wrapped, "{kind:?}: {a:?}");
        assert!(a.reflected > 5 && a.rtt_ns > 90_000 && a.rtt_ns < 130_000, "{kind:?}: {a:?}");
    }
}

fn reply(sent: &[u8]) -> Vec<u8> {
    match sent[12] {
        8 => finish(ip4(MACS, FAR.v4, CLIENT.v4, 64).udp(5_000, 10_001), &[1; 64]),
        _ => finish(ip6(MACS, FAR.v6, CLIENT.v6, 64).udp(5_000, 10_001), &[1; 64]),
    }
}

#[test]
fn a_packet_too_long_for_a_path_is_told_what_fits() {
    for (kind, fits) in
        [(Kind::Bare, 1_500), (Kind::IpIp, 1_480), (Kind::IpIpOverV6, 1_460), (Kind::VxlanOverV6, 1_430)]
    {
        // Also where only one of the paths has a header: a flow may come to it.
        let mut pair = Pair::met(&[Kind::Bare, kind], PathRule::Maglev);
        let dont = |payload: usize| {
            finish(
                ip4_with(MACS, CLIENT.v4, FAR.v4, |header| header.dont_fragment = true).udp(10_000, 5_000),
                &vec![0; payload - 28],
            )
        };
        pair.ends[0].offer(dont(fits));
        pair.ends[0].offer(finish(ip6(MACS, CLIENT.v6, FAR.v6, 64).udp(1, 2), &vec![0; fits - 48]));
        pair.run_for(Ns::from_millis(3));
        assert_eq!(pair.ends[1].inbox.drain(..).count(), 2, "{kind:?}");
        pair.ends[0].offer(dont(fits + 1));
        pair.run_for(Ns::from_millis(3));
        let told = pair.ends[0].inbox.pop().unwrap();
        assert_eq!(icmp(&told), Some((3, 4, fits as u32)), "{kind:?}");
        // It quotes the packet as its sender made it.
        assert_eq!(told[14 + 28 + 12..14 + 28 + 20], [10, 8, 0, 2, 10, 7, 0, 2]);
        pair.ends[0].offer(finish(ip6(MACS, CLIENT.v6, FAR.v6, 64).udp(1, 2), &vec![0; fits - 47]));
        pair.run_for(Ns::from_millis(3));
        assert_eq!(icmp(&pair.ends[0].inbox.pop().unwrap()), Some((2, 0, fits as u32)), "{kind:?}");
        // One that may be cut is, before it is wrapped.
        let may = ip4_with(MACS, CLIENT.v4, FAR.v4, |header| header.dont_fragment = false);
        pair.ends[0].offer(finish(may.udp(1, 2), &vec![7; fits + 1 - 28]));
        pair.run_for(Ns::from_millis(3));
        assert_eq!(pair.ends[1].inbox.drain(..).count(), 2, "{kind:?}");
        assert_eq!(pair.ends[0].worker.tally().ended[Verdict::TooBig as usize], 2);
        assert_eq!(pair.ends[0].worker.tally().ended[Verdict::Fragmented as usize], 1);
    }
}

#[test]
fn segments_of_both_directions_are_made_to_fit_the_paths() {
    let mut pair = Pair::met(&[Kind::Vxlan], PathRule::Maglev);
    let syn = |from, to, ports: (u16, u16), answer: bool| {
        let step = ip4(MACS, from, to, 64).tcp(ports.0, ports.1, 7, 65_000).syn();
        let step = if answer { step.ack(8) } else { step };
        let options = [etherparse::TcpOptionElement::MaximumSegmentSize(1_460)];
        finish(step.options(&options).unwrap(), &[])
    };
    let mss = |frame: &[u8]| u16::from_be_bytes([frame[56], frame[57]]);
    pair.ends[0].offer(syn(CLIENT.v4, FAR.v4, (40_000, 80), false));
    pair.run_for(Ns::from_millis(3));
    // 1 500 less 50 for VXLAN, less 40.
    assert_eq!(mss(&pair.ends[1].inbox.pop().unwrap()), 1_410);
    pair.ends[1].offer(syn(FAR.v4, CLIENT.v4, (80, 40_000), true));
    pair.run_for(Ns::from_millis(3));
    assert_eq!(mss(&pair.ends[0].inbox.pop().unwrap()), 1_410);
    let clamped = pair.ends.each_ref().map(|end| end.worker.stats().mss_clamped);
    assert_eq!(clamped, [1, 1], "each packet by the first Weir that it meets");
}

#[test]
fn flows_spread_by_weight_and_each_stays_where_it_is() {
    let mut pair = Pair::met_with(&THREE, |settings| settings.weights = weights(&[1, 2, 0]));
    send_some(&mut pair, 120);
    let used = pair.used(3);
    assert!(used[2] == 0 && used[0] > 20 && used[1] > 50 && used[0] + used[1] == 120, "{used:?}");
    for _ in 0..3 {
        pair.run_for(Ns::from_millis(20));
        pair.seen.clear();
        send_some(&mut pair, 120);
        assert_eq!(pair.used(3), used, "the same flows by the same paths");
    }
    assert_eq!(pair.ends[0].worker.stats().path_decisions_rule, 4 * 120);
    assert!(pair.ends[1].inbox.len() >= 480 - 16, "all but those that waited for the server's address");
}

#[test]
fn a_cut_path_is_found_out_within_three_probe_intervals_and_its_flows_move() {
    for rule in PathRule::ALL {
        let mut pair = Pair::met(&THREE, rule);
        send_some(&mut pair, 90);
        let before = pair.used(3);
        assert!(before.iter().all(|frames| *frames > 10), "{rule:?}: {before:?}");
        pair.cut = vec![1];
        let cut_at = pair.now;
        while pair.ends[0].path(1).up == 1 {
            pair.run_for(Ns::from_micros(500));
            assert!(pair.now - cut_at <= Ns(3 * PROBES.0 + 1_500_000), "{rule:?}: not found out");
        }
        pair.seen.clear();
        send_some(&mut pair, 90);
        let after = pair.used(3);
        assert!(after[1] == 0 && after[0] + after[2] == 90, "{rule:?}: {after:?}");
        pair.run_for(Ns::from_millis(5));
        let a = pair.ends[0].path(1);
        assert_eq!((a.failures, a.flows), (1, 0), "{rule:?}");

        // It comes back, and takes new flows little by little.
        pair.cut.clear();
        pair.run_for(Ns(6 * PROBES.0));
        let back = pair.ends[0].path(1);
        assert!(back.up == 1 && back.share_q16 < 65_536 / 4, "{rule:?}: {back:?}");
        pair.run_for(Ns::from_millis(1_100));
        assert_eq!(pair.ends[0].path(1).share_q16, 65_536, "{rule:?}");
    }
}

#[test]
fn where_all_paths_seem_down_frames_still_leave() {
    let mut pair = Pair::met(&THREE, PathRule::Maglev);
    pair.cut = vec![0, 1, 2];
    pair.run_for(Ns(5 * PROBES.0));
    assert!(pair.ends[0].worker.paths().iter().all(|path| path.up == 0));
    pair.seen.clear();
    send_some(&mut pair, 60);
    let used = pair.used(3);
    assert!(used.iter().all(|frames| *frames > 5), "{used:?}");
    assert!(pair.ends[0].worker.stats().path_all_down >= 60);
}

#[test]
fn a_draining_path_keeps_its_flows_and_takes_no_new_ones() {
    let mut pair = Pair::met(&THREE, PathRule::Maglev);
    send_some(&mut pair, 60);
    let before = pair.used(3);
    let mut config = super::pair::config(&THREE, 1);
    let settings = super::pair::settings(&mut config);
    settings.drains[0] = true;
    let policy = weir_engine::policy::Policy { balance: Some(settings.clone()), ..Default::default() };
    pair.ends[0].publish(policy);
    pair.seen.clear();
    send_some(&mut pair, 60);
    assert_eq!(pair.used(3), before);
    pair.seen.clear();
    for flow in 60..120 {
        pair.ends[0].offer(datagram(flow, 10));
    }
    pair.run_for(Ns::from_millis(2));
    let new = pair.used(3);
    assert!(new[0] == 0 && new[1] > 10 && new[2] > 10, "{new:?}");
}

#[test]
fn letflow_moves_flowlets_and_nothing_within_one() {
    let mut pair = Pair::met(&THREE, PathRule::LetFlow);
    let mut ways = Vec::new();
    for _ in 0..24 {
        pair.seen.clear();
        for _ in 0..4 {
            pair.ends[0].offer(datagram(1, 100));
            pair.run_for(Ns::from_micros(100));
        }
        let used = pair.used(3);
        assert!(used.contains(&4), "a flowlet was torn: {used:?}");
        ways.push(used.iter().position(|frames| *frames == 4));
        pair.run_for(Ns::from_millis(1));
    }
    ways.sort();
    ways.dedup();
    assert_eq!(ways.len(), 3, "{ways:?}");
    let moves: u64 = pair.ends[0].worker.paths().iter().map(|path| path.arrived).sum();
    assert!(moves > 5, "{moves}");
}

#[test]
fn whoever_is_no_other_end_of_a_path_is_not_answered() {
    let mut pair = Pair::met(&[Kind::Bare, Kind::IpIp], PathRule::Maglev);
    let before = pair.ends[1].worker.paths().iter().map(|path: &PathStats| path.reflected).sum::<u64>();
    // The client asks B's outside address for a reflection, through a path.
    pair.ends[0].offer(finish(ip4(MACS, CLIENT.v4, [10, 9, 1, 2], 64).udp(7_000, 862), &[0; 44]));
    pair.run_for(Ns::from_millis(1));
    let errors = pair.ends[1].worker.stats().originated_icmp_errors;
    assert_eq!(errors, 1, "port unreachable, as any other port");
    let probes = pair.ends[0].worker.paths().iter().map(|path| path.probes).sum::<u64>();
    let after = pair.ends[1].worker.paths().iter().map(|path| path.reflected).sum::<u64>();
    assert!(after - before <= 2 && probes > 0, "only the probes of that time were answered");
}

/// What crosses between two Weirs: questions for neighbours, probes, packets in every kind of header.
static CROSSING: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut pair = Pair::new(&KINDS, |_| {});
    for flow in 0..12 {
        pair.ends[0].offer(if flow % 2 == 0 { datagram(flow, 30) } else { datagram6(flow, 30) });
        pair.run_for(Ns::from_millis(2));
    }
    pair.seen
});
const KINDS: [Kind; 4] = [Kind::Vlan, Kind::IpIp, Kind::Vxlan, Kind::VxlanOverV6];

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bent_frames_of_paths_are_survived(
        frames in prop::collection::vec(
            (
                any::<prop::sample::Index>(),
                prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
                prop::option::of(any::<prop::sample::Index>()),
            ),
            1..60,
        ),
    ) {
        let mut pair = Pair::new(&KINDS, |settings| settings.rule = PathRule::LetFlow);
        // A bent address may turn a packet round, so that it leaves by the end from which it came.
        pair.ends.iter_mut().for_each(|end| end.bent = true);
        for (which, bends, cut) in frames {
            let mut frame = which.get(&CROSSING).clone();
            // To the other end itself, whose address the sender asks for.
            frame[..6].copy_from_slice(&[2, 0, 0, 0, 2, 2]);
            for (at, byte) in bends {
                let at = at.index(frame.len());
                frame[at] = byte;
            }
            if let Some(cut) = cut {
                frame.truncate(cut.index(frame.len() + 1));
            }
            frame.reserve(128);
            pair.ends[1].io.inbox[Side::Outside as usize].push_back(frame);
            // Books and allocations are checked in every turn.
            pair.run_for(Ns::from_micros(700));
        }
        pair.run_for(Ns::from_secs(5));
        // Probes may wait for a neighbour whose address was bent, and nothing else does.
        prop_assert!(pair.ends[1].worker.tally().held <= 3 * KINDS.len() as u64);
    }
}
