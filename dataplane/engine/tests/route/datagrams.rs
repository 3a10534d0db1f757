//! Flows of datagrams, paced by what probes say of the paths that they leave by.

use super::flows::paced;
use super::frames::{CLIENT, finish, ip4, ip6};
use super::limits::limits;
use super::networks::{generation, latency_keeper, set};
use super::pair::{Bottleneck, FAR, Kind, PROBES, Pair, extension, settings, weights};
use proptest::prelude::*;
use weir_engine::balance::PathRule;
use weir_engine::config::{EngineConfig, PacingRule};
use weir_engine::counters::WorkerStats;
use weir_engine::limit::Limits;
use weir_engine::models::ModelSet;
use weir_engine::policy::Policy;
use weir_engine::time::{BitsPerSec, Ns};
use weir_engine::verdict::Verdict;
use weir_features::Sample;

const MACS: ([u8; 6], [u8; 6]) = ([0; 6], [0; 6]);
const ALL: [Kind; 6] = [Kind::Bare, Kind::Vlan, Kind::IpIp, Kind::IpIpOverV6, Kind::Vxlan, Kind::VxlanOverV6];
/// Bytes of each datagram's frame.
const FRAME: usize = 1_200;
/// Half of the round trip.
const HALF: Ns = Ns::from_millis(5);

/// The rule `bbr_lite`, from 2 Mb/s on.
fn by_rule(config: &mut EngineConfig) {
    let mut pacing = paced().pacing.unwrap();
    pacing.rule = PacingRule::BbrLite;
    (pacing.rate_min, pacing.rate_start) = (BitsPerSec(100_000), BitsPerSec::from_mbps(2));
    (pacing.mark_delay, pacing.delay_max) = (Ns::from_millis(10), Ns::from_millis(50));
    config.pacing = Some(pacing);
    config.route.as_mut().unwrap().balance.as_mut().unwrap().paces_datagrams = true;
}

fn world_of(kinds: &[Kind], change: impl Fn(&mut EngineConfig)) -> Pair {
    world_of_workers(kinds, [1, 1], change)
}

fn world_of_workers(kinds: &[Kind], workers: [usize; 2], change: impl Fn(&mut EngineConfig)) -> Pair {
    let mut pair = Pair::of_workers(kinds, workers, |config| {
        settings(config).rule = PathRule::Maglev;
        by_rule(config);
        change(config);
    });
    pair.slow = vec![HALF; kinds.len()];
    pair.run_for(Ns::from_millis(200));
    pair
}

/// One path of 10 Mb/s, a round trip of 10 ms, and room for 160 ms before it.
fn narrow(change: impl Fn(&mut EngineConfig)) -> Pair {
    let mut pair = world_of(&[Kind::IpIp], change);
    pair.narrow = vec![Some(Bottleneck::new(10, 200_000))];
    pair
}

/// Datagram number `n` of a flow.
fn datagram(flow: u16, n: u32) -> Vec<u8> {
    let mut payload = vec![0x5a; FRAME - 42];
    payload[..4].copy_from_slice(&n.to_be_bytes());
    finish(ip4(MACS, CLIENT.v4, FAR.v4, 64).udp(10_000 + flow, 443), &payload)
}

/// A sender that sends so much and asks nobody.
struct Sender {
    flow: u16,
    mbps: u64,
    /// Datagrams sent.
    sent: u32,
    /// Bits that it owes.
    owes: u64,
}

impl Sender {
    fn new(flow: u16, mbps: u64) -> Sender {
        Sender { flow, mbps, sent: 0, owes: 0 }
    }

    fn tick(&mut self, pair: &mut Pair) {
        self.owes += self.mbps * 1_000;
        while self.owes >= 8 * FRAME as u64 {
            self.owes -= 8 * FRAME as u64;
            pair.ends[0].offer(datagram(self.flow, self.sent));
            self.sent += 1;
        }
    }
}

fn send(pair: &mut Pair, senders: &mut [Sender], span: Ns) {
    for _ in 0..span.0 / 1_000_000 {
        senders.iter_mut().for_each(|sender| sender.tick(pair));
        pair.run_for(Ns::from_millis(1));
    }
}

/// The numbers of the datagrams of a flow that have arrived, in order.
fn arrived(pair: &mut Pair, flow: u16) -> Vec<u32> {
    let port = (10_000 + flow).to_be_bytes();
    let of_flow = |frame: &&Vec<u8>| frame.len() == FRAME && frame[34..36] == port;
    pair.ends[1]
        .inbox
        .iter()
        .filter(of_flow)
        .map(|frame| u32::from_be_bytes([frame[42], frame[43], frame[44], frame[45]]))
        .collect()
}

/// What has arrived since this was asked last, in Mb/s over this span.
fn arrived_mbps(pair: &mut Pair, span: Ns) -> f64 {
    let frames = pair.ends[1].inbox.drain(..).filter(|frame| frame.len() == FRAME).count();
    (frames * FRAME * 8) as f64 * 1_000.0 / span.0 as f64
}

fn stats(pair: &Pair) -> WorkerStats {
    *pair.ends[0].worker.stats()
}

fn link(pair: &mut Pair) -> &mut Bottleneck {
    pair.narrow[0].as_mut().unwrap()
}

#[test]
fn a_greedy_sender_fills_its_path_and_no_queue_stands() {
    for probes in [PROBES, Ns::from_millis(100)] {
        let mut pair = narrow(|config| {
            config.route.as_mut().unwrap().balance.as_mut().unwrap().probe_interval = probes;
        });
        let sender = &mut [Sender::new(1, 25)];
        send(&mut pair, sender, Ns::from_secs(6));
        arrived_mbps(&mut pair, Ns(1));
        let dropped = link(&mut pair).dropped;
        link(&mut pair).mean_wait();
        let span = Ns::from_secs(6);
        send(&mut pair, sender, span);
        let (used, wait) = (arrived_mbps(&mut pair, span), link(&mut pair).mean_wait());
        assert!(used > 8.5, "{probes:?}: {used} Mb/s of 10");
        assert!(wait < Ns::from_millis(12), "{probes:?}: a queue of {wait:?}");
        assert_eq!(link(&mut pair).dropped, dropped, "{probes:?}: the path lost some");
        let stats = stats(&pair);
        assert_eq!((stats.paced_datagram_flows, stats.datagram_flows_refused), (1, 0));
        assert!(stats.intervals > 50 && stats.decisions_rule > 50, "{stats:?}");
        // What the path does not carry is dropped where it is known, and by name.
        assert!(pair.ends[0].worker.tally().ended[Verdict::PaceFull as usize] > 1_000);
    }
}

#[test]
fn unpaced_it_loses_most_in_the_path() {
    let mut pair = narrow(|config| {
        config.route.as_mut().unwrap().balance.as_mut().unwrap().paces_datagrams = false;
    });
    send(&mut pair, &mut [Sender::new(1, 25)], Ns::from_secs(3));
    let link = link(&mut pair);
    assert!(link.dropped * 2 > link.came, "{link:?}");
    assert!(link.mean_wait() > Ns::from_millis(100));
    assert_eq!(stats(&pair).paced_datagram_flows, 0);
}

#[test]
fn several_share_a_path() {
    let mut pair = narrow(|_| {});
    let mut senders: Vec<Sender> = (0..4).map(|flow| Sender::new(flow, 10)).collect();
    send(&mut pair, &mut senders, Ns::from_secs(8));
    pair.ends[1].inbox.clear();
    send(&mut pair, &mut senders, Ns::from_secs(8));
    let frames: Vec<usize> = (0..4).map(|flow| arrived(&mut pair, flow).len()).collect();
    let all: usize = frames.iter().sum();
    assert!(all * FRAME > 8_000_000, "{frames:?}");
    assert!(frames.iter().all(|frames| frames * 10 > all), "one starves: {frames:?}");
}

/// Paths are one, whichever worker sends by them: what is counted of one is all that any worker has sent, and so is what the far
/// end, of several workers too, says has come.
#[test]
fn flows_of_several_workers_share_a_path_and_learn_the_same_of_it() {
    for workers in [[3, 1], [1, 3], [3, 2]] {
        let mut pair = world_of_workers(&[Kind::IpIp], workers, |_| {});
        pair.narrow = vec![Some(Bottleneck::new(10, 200_000))];
        let mut senders: Vec<Sender> = (0..6).map(|flow| Sender::new(flow, 10)).collect();
        send(&mut pair, &mut senders, Ns::from_secs(8));
        pair.ends[1].inbox.clear();
        link(&mut pair).mean_wait();
        let dropped = link(&mut pair).dropped;
        send(&mut pair, &mut senders, Ns::from_secs(8));
        let frames: Vec<usize> = (0..6).map(|flow| arrived(&mut pair, flow).len()).collect();
        let all: usize = frames.iter().sum();
        assert!(all * FRAME > 8_000_000, "{workers:?}: {frames:?}");
        assert!(frames.iter().all(|frames| frames * 20 > all), "{workers:?}: one starves: {frames:?}");
        let (wait, dropped) = (link(&mut pair).mean_wait(), link(&mut pair).dropped - dropped);
        assert!(wait < Ns::from_millis(40) && dropped * 100 < all as u64, "{workers:?}: {wait:?} {dropped}");
        let every = pair.ends[0].every_stats();
        let flows: Vec<u64> = every.iter().map(|stats| stats.paced_datagram_flows).collect();
        assert_eq!(flows.iter().sum::<u64>(), 6, "{workers:?}");
        assert!(flows.iter().all(|flows| *flows > 0), "{workers:?}: {flows:?}");
        assert!(pair.ends[0].tally().balanced());
    }
}

#[test]
fn several_workers_tell_of_a_path_that_loses_what_it_loses() {
    for workers in [[3, 1], [3, 2]] {
        let mut pair = world_of_workers(&[Kind::IpIp], workers, |_| {});
        pair.narrow = vec![Some(Bottleneck::new(1_000, 200_000).losing(10))];
        let mut senders: Vec<Sender> = (0..6).map(|flow| Sender::new(flow, 10)).collect();
        send(&mut pair, &mut senders, Ns::from_secs(10));
        let (drawn, came) = (link(&mut pair).drawn, link(&mut pair).came);
        for stats in pair.ends[0].every_stats() {
            let all = stats.datagram_lost_bytes + stats.datagram_delivered_bytes;
            let (told, drawn) = (stats.datagram_lost_bytes * 10_000 / all, drawn * 10_000 / came);
            assert!(told.abs_diff(drawn) * 5 <= drawn, "{workers:?}: {told} and {drawn} of 10 000");
        }
    }
}

#[test]
fn one_in_a_hundred_lost_is_told_as_one_in_a_hundred() {
    let mut pair = narrow(|_| {});
    (link(&mut pair).rate_bps, link(&mut pair).loss_permille) = (1_000_000_000, 10);
    send(&mut pair, &mut [Sender::new(1, 20)], Ns::from_secs(10));
    let stats = stats(&pair);
    let (lost, all) = (stats.datagram_lost_bytes, stats.datagram_lost_bytes + stats.datagram_delivered_bytes);
    let link = link(&mut pair);
    // In tenths of a per mille: as the link drew, to a tenth of it.
    let (told, drawn) = (lost * 10_000 / all, link.drawn * 10_000 / link.came);
    assert!(told.abs_diff(drawn) * 10 <= drawn, "{told} and {drawn} of 10 000");
    assert!((80..120).contains(&told), "{told}");
}

#[test]
fn a_reflector_that_counts_nothing_leaves_the_round_trip_and_the_answers_rate() {
    let mut pair = narrow(|_| {});
    pair.twist = |frame, _| {
        if let Some(extension) = extension(frame) {
            extension[0] = 0x80;
        }
        true
    };
    let sender = &mut [Sender::new(1, 25)];
    send(&mut pair, sender, Ns::from_secs(6));
    arrived_mbps(&mut pair, Ns(1));
    link(&mut pair).mean_wait();
    let before = stats(&pair);
    send(&mut pair, sender, Ns::from_secs(6));
    let (used, wait) = (arrived_mbps(&mut pair, Ns::from_secs(6)), link(&mut pair).mean_wait());
    assert!(used > 8.5 && wait < Ns::from_millis(20), "{used} Mb/s, {wait:?}");
    let (before, after) = (before, stats(&pair));
    assert_eq!(after.datagram_lost_bytes - before.datagram_lost_bytes, 0, "nobody lost a probe");
}

#[test]
fn lost_probes_are_decided_by_the_next_one_that_is_answered() {
    let mut pair = narrow(|_| {});
    // Two of three answers, and whatever else B sends then.
    pair.twist = |frame, nth| extension(frame).is_none() || nth % 3 == 0;
    let sender = &mut [Sender::new(1, 25)];
    send(&mut pair, sender, Ns::from_secs(6));
    arrived_mbps(&mut pair, Ns(1));
    send(&mut pair, sender, Ns::from_secs(4));
    assert!(arrived_mbps(&mut pair, Ns::from_secs(4)) > 8.0);
    pair.twist = |_, _| true;
    // All that has left is decided in the end.
    send(&mut pair, &mut [], Ns::from_secs(1));
    let stats = stats(&pair);
    let left = pair.ends[0].worker.tally().ended[Verdict::Paced as usize];
    let decided = stats.datagram_delivered_bytes + stats.datagram_lost_bytes;
    assert!(decided >= left * FRAME as u64 && decided <= (left + 40) * FRAME as u64, "{decided} of {left}");
}

#[test]
fn a_flow_whose_path_goes_down_moves_and_begins_anew() {
    let mut pair = world_of(&[Kind::IpIp, Kind::Vxlan], |config| {
        settings(config).weights = weights(&[256, 1]);
    });
    pair.narrow = vec![Some(Bottleneck::new(20, 200_000)), Some(Bottleneck::new(10, 200_000))];
    let flow = (0..).find(|flow| {
        pair.seen.clear();
        pair.ends[0].offer(datagram(*flow, 0));
        pair.run_for(Ns::from_millis(5));
        pair.used(2)[0] == 1
    });
    let sender = &mut [Sender::new(flow.unwrap(), 30)];
    send(&mut pair, sender, Ns::from_secs(4));
    arrived_mbps(&mut pair, Ns(1));
    send(&mut pair, sender, Ns::from_secs(2));
    assert!(arrived_mbps(&mut pair, Ns::from_secs(2)) > 16.0);
    assert_eq!(stats(&pair).datagram_restarts, 0);
    pair.cut = vec![0];
    let lost = stats(&pair).datagram_lost_bytes;
    send(&mut pair, sender, Ns(10 * PROBES.0));
    assert_eq!(stats(&pair).datagram_restarts, 1, "found out within nine intervals");
    assert!(stats(&pair).datagram_lost_bytes - lost > 20_000, "what was on its way is lost");
    send(&mut pair, sender, Ns::from_secs(4));
    arrived_mbps(&mut pair, Ns(1));
    send(&mut pair, sender, Ns::from_secs(2));
    let used = arrived_mbps(&mut pair, Ns::from_secs(2));
    assert!(used > 8.0, "{used} Mb/s of the other path's 10");
    assert_eq!(stats(&pair).datagram_restarts, 1);
}

#[test]
fn without_any_path_it_goes_on_at_the_rate_of_a_beginning_and_finds_its_own_again() {
    let mut pair = narrow(|_| {});
    let sender = &mut [Sender::new(1, 25)];
    send(&mut pair, sender, Ns::from_secs(5));
    pair.cut = vec![0];
    send(&mut pair, sender, Ns::from_millis(200));
    pair.seen.clear();
    send(&mut pair, sender, Ns::from_secs(3));
    // 2 Mb/s for three seconds are 625 datagrams.
    let left = pair.used(1)[0];
    assert!((560..690).contains(&left), "{left}");
    pair.cut.clear();
    send(&mut pair, sender, Ns::from_secs(4));
    arrived_mbps(&mut pair, Ns(1));
    send(&mut pair, sender, Ns::from_secs(3));
    let used = arrived_mbps(&mut pair, Ns::from_secs(3));
    assert!(used > 8.0, "{used} Mb/s");
    // Of what the cut has swallowed nothing was told as delivered.
    let stats = stats(&pair);
    let crossed = link(&mut pair).came * FRAME as u64;
    assert!(stats.datagram_delivered_bytes <= crossed, "{} of {crossed}", stats.datagram_delivered_bytes);
}

#[test]
fn datagrams_keep_their_order_also_where_a_limit_holds_them() {
    for limited in [false, true] {
        let mut pair = narrow(|config| {
            if limited {
                config.pacing.as_mut().unwrap().limits = limits();
            }
        });
        let mut senders = [Sender::new(1, 15), Sender::new(2, 15)];
        send(&mut pair, &mut senders, Ns::from_secs(4));
        for flow in [1, 2] {
            let numbers = arrived(&mut pair, flow);
            assert!(numbers.len() > 500, "{limited}: {}", numbers.len());
            assert!(numbers.is_sorted_by(|a, b| a < b), "{limited}: flow {flow} is out of order");
            assert_eq!(numbers[..13], (0..13).collect::<Vec<_>>(), "its first ones passed");
        }
        if limited {
            arrived_mbps(&mut pair, Ns(1));
            send(&mut pair, &mut senders, Ns::from_secs(2));
            let used = arrived_mbps(&mut pair, Ns::from_secs(2));
            assert!((7.0..8.4).contains(&used), "{used} Mb/s under a limit of 8");
        }
    }
}

#[test]
fn few_datagrams_take_no_place() {
    let mut pair = narrow(|_| {});
    for flow in 0..200 {
        (0..10).for_each(|n| pair.ends[0].offer(datagram(flow, n)));
        pair.run_for(Ns::from_millis(12));
    }
    let stats = stats(&pair);
    assert_eq!(
        (stats.paced_datagram_flows, stats.datagram_flows_refused, stats.datagram_feedback),
        (0, 0, 0)
    );
    assert_eq!(pair.ends[0].worker.tally().ended[Verdict::Untracked as usize], 2_000);
}

#[test]
fn those_that_find_no_place_pass_and_silence_makes_room() {
    // Of 256 flows of TCP, 64 of datagrams.
    let mut pair = world_of(&[Kind::IpIp], |_| {});
    // B finds out where the server is.
    pair.ends[0].offer(datagram(99, 0));
    pair.run_for(Ns::from_millis(20));
    for n in 0..20 {
        for flow in 0..80 {
            pair.ends[0].offer(datagram(flow, n));
        }
        pair.run_for(Ns::from_millis(100));
    }
    let full = stats(&pair);
    assert_eq!(full.paced_datagram_flows, 64);
    assert!(full.datagram_flows_refused >= 16, "{full:?}");
    let came = (0..80).map(|flow| arrived(&mut pair, flow).len()).sum::<usize>();
    assert_eq!(came, 1_600, "nothing was dropped");
    pair.run_for(Ns::from_secs(11));
    assert_eq!(stats(&pair).paced_datagram_flows, 0);
    assert_eq!(stats(&pair).held_frames, 0);
    send(&mut pair, &mut [Sender::new(79, 5)], Ns::from_millis(100));
    assert_eq!(
        (stats(&pair).paced_datagram_flows, stats(&pair).datagram_flows_refused),
        (1, full.datagram_flows_refused)
    );
}

#[test]
fn both_versions_over_every_kind_of_path() {
    for kind in ALL {
        let mut pair = world_of(&[kind], |_| {});
        let before = stats(&pair);
        for n in 0..200_u32 {
            pair.ends[0].offer(datagram(1, n));
            let payload = vec![0x5a; FRAME - 62];
            pair.ends[0].offer(finish(ip6(MACS, CLIENT.v6, FAR.v6, 64).udp(10_001, 443), &payload));
            pair.run_for(Ns::from_millis(5));
        }
        pair.run_for(Ns::from_millis(100));
        let after = stats(&pair);
        assert_eq!(after.paced_datagram_flows, 2, "{kind:?}");
        let delivered = after.datagram_delivered_bytes - before.datagram_delivered_bytes;
        assert!(
            delivered > 2 * 180 * FRAME as u64 && after.datagram_lost_bytes == 0,
            "{kind:?}: {delivered}"
        );
        assert!(after.intervals > 20, "{kind:?}");
    }
}

#[test]
fn fragments_are_left_alone() {
    let mut pair = narrow(|_| {});
    for n in 0..60_u16 {
        // Too long for the path, and may be cut: on its way it is two fragments, and comes as such.
        let first = super::frames::ip4_with(MACS, CLIENT.v4, FAR.v4, |header| {
            (header.dont_fragment, header.more_fragments, header.identification) = (false, true, n);
        });
        pair.ends[0].offer(finish(first.udp(10_001, 443), &vec![1; 992]));
        pair.run_for(Ns::from_millis(2));
    }
    assert_eq!((stats(&pair).paced_datagram_flows, stats(&pair).untracked_fragment), (0, 60));
}

#[test]
fn what_answers_claim_moves_no_rate_beyond_what_was_sent() {
    // Everything came, and more than everything: the flow is no faster than its path for it.
    let mut pair = narrow(|_| {});
    pair.twist = |frame, nth| {
        if let Some(extension) = extension(frame).filter(|extension| extension.len() == 16) {
            extension[8..12].copy_from_slice(&(nth << 16).to_be_bytes());
        }
        true
    };
    let sender = &mut [Sender::new(1, 25)];
    send(&mut pair, sender, Ns::from_secs(6));
    link(&mut pair).mean_wait();
    send(&mut pair, sender, Ns::from_secs(4));
    let wait = link(&mut pair).mean_wait();
    assert!(wait < Ns::from_millis(30), "{wait:?}");
    assert!(pair.ends[0].path(0).measure_refused > 100);
}

/// All flows follow these networks, and all are told of.
fn by_network(models: ModelSet) -> Policy {
    let mut config = super::pair::config(&[Kind::IpIp], 1);
    by_rule(&mut config);
    let mut pacing = config.pacing.unwrap();
    (pacing.model, pacing.sample_share) = (true, 65_536);
    Policy { models, pacing: Some(pacing), ..Policy::default() }
}

#[test]
fn a_network_paces_them_and_the_trainer_is_told() {
    let mut pair = narrow(|_| {});
    let first = set(&latency_keeper(1.3));
    pair.ends[0].publish(by_network(first.clone()));
    let sender = &mut [Sender::new(1, 25)];
    let mut told: Vec<Sample> = Vec::new();
    let mut run = |pair: &mut Pair, span: u64| {
        for _ in 0..span / 100 {
            send(pair, sender, Ns::from_millis(100));
            pair.ends[0].pacing_samples.drain(usize::MAX, |sample| told.push(*sample));
        }
    };
    run(&mut pair, 6_000);
    pair.ends[0].publish(by_network(first.with(generation(2, &latency_keeper(1.3)))));
    arrived_mbps(&mut pair, Ns(1));
    link(&mut pair).mean_wait();
    run(&mut pair, 4_000);
    let (used, wait) = (arrived_mbps(&mut pair, Ns::from_secs(4)), link(&mut pair).mean_wait());
    assert!(used > 8.0 && wait < Ns::from_millis(10), "{used} Mb/s, {wait:?}");
    let stats = stats(&pair);
    assert!(stats.decisions_model > 200 && stats.following_active == 1, "{stats:?}");
    assert_eq!((stats.samples_dropped, stats.following_previous), (0, 0));
    // One flow, by its hash; each interval is told with what its answers brought.
    assert!(told.len() > 100 && told[0].flow != 0, "{}", told.len());
    assert!(told.iter().all(|sample| sample.flow == told[0].flow && sample.acked_bytes > 0));
    let chained = told.windows(2).filter(|pair| pair[1].follows(&pair[0])).count();
    assert!(chained * 10 > told.len() * 8, "{chained} of {}", told.len());
    assert!([1, 2].iter().all(|number| told.iter().any(|sample| sample.generation == *number)));
    pair.run_for(Ns::from_secs(12));
    let stats = *pair.ends[0].worker.stats();
    assert_eq!((stats.paced_datagram_flows, stats.following_active, stats.held_frames), (0, 0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever becomes of paths, limits and senders: books balance after every turn and nothing allocates (`Pair` asserts both),
    /// each flow keeps its order while it stays on a path, and no more is told of than has left.
    #[test]
    fn whatever_happens_the_books_balance(
        steps in prop::collection::vec((0..6_u8, 0..12_u16, 1..30_u32), 10..60),
    ) {
        let mut pair = world_of(&[Kind::IpIp, Kind::VxlanOverV6, Kind::Bare], |_| {});
        pair.narrow =
            vec![Some(Bottleneck::new(5, 20_000)), None, Some(Bottleneck::new(9, 9_000).losing(100))];
        let mut sent = [0; 12];
        for (kind, flow, count) in steps {
            match kind {
                0..=2 => {
                    for _ in 0..count {
                        pair.ends[0].offer(datagram(flow, sent[usize::from(flow)]));
                        sent[usize::from(flow)] += 1;
                    }
                }
                3 => pair.cut = (0..3).filter(|path| count >> path & 1 == 1).collect(),
                4 => {
                    let mut config = super::pair::config(&[Kind::IpIp], 1);
                    by_rule(&mut config);
                    let mut pacing = config.pacing.unwrap();
                    pacing.limits = if count > 15 { limits() } else { Limits::none() };
                    pair.ends[0].publish(weir_engine::policy::Policy { pacing: Some(pacing), ..Default::default() });
                }
                _ => pair.run_for(Ns::from_millis(40 * u64::from(count))),
            }
            pair.run_for(Ns::from_millis(u64::from(count)));
        }
        pair.run_for(Ns::from_secs(13));
        let stats = stats(&pair);
        prop_assert_eq!((stats.held_frames, stats.paced_datagram_flows), (0, 0));
        let offered: u32 = sent.iter().sum();
        let told = stats.datagram_delivered_bytes + stats.datagram_lost_bytes;
        prop_assert!(told <= u64::from(offered) * FRAME as u64);
    }
}
