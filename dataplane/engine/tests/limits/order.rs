//! Frames of a flow keep their order, and all are accounted for. The port asserts the order of each flow.

use super::bench::{Bench, FULL, Kind};
use super::frames::{ACK, SYN};
use super::{config, end, limit};
use weir_engine::io::Side;
use weir_engine::limit::Scope;
use weir_engine::schedule::{ScheduleConfig, ScheduleRule, Thresholds, Trust};
use weir_engine::time::{BitsPerSec, Ns};
use weir_engine::verdict::Verdict;
use weir_features::SizeSpec;

#[test]
fn data_waits_behind_what_its_flow_sent_before_it_was_known() {
    let mut bench = Bench::new(&config(vec![limit("all", Scope::All, 1)]));
    bench.add(1, Kind::Udp, "10.0.0.1", "192.0.2.1");
    bench.add(2, Kind::Tcp, "10.0.0.1", "192.0.2.1");
    bench.press(&[1, 2], (16, FULL), Ns::from_millis(400));
    // A connection whose handshake waits among datagrams, while the data that follows would be paced.
    let flow = *bench.flows.get(&1).expect("added");
    for id in 3..30 {
        bench.flows.insert(id, super::bench::Flow { kind: Kind::Tcp, sent: 0, offered: 0, left: 0, ..flow });
        bench.segment(id, Side::Inside, (0, 0), SYN, 0);
        bench.segment(id, Side::Outside, (0, 1), SYN | ACK, 0);
        bench.segment(id, Side::Inside, (1, 1), ACK, 0);
        for frame in 0..6 {
            bench.segment(id, Side::Inside, (1 + frame * 100, 1), ACK, 100);
        }
    }
    bench.press(&[1, 2], (16, FULL), Ns::from_millis(400));
    bench.run_for(Ns::from_secs(2));
    for id in 3..30 {
        assert_eq!(bench.flows[&id].left, 8, "flow {id}");
    }
    assert_eq!(bench.tally().held, 0);
}

#[test]
fn every_frame_leaves_or_is_counted_as_dropped() {
    for drain in [Ns::ZERO, Ns::from_millis(20), Ns::from_secs(5)] {
        let mut all = limit("all", Scope::All, 4);
        all.delay_max = Ns::from_millis(50);
        let limits = vec![all, limit("tenant", end(Side::Inside, "10.1.0.0/16"), 2)];
        let mut bench = Bench::of(2, &config(limits));
        for id in 1..=12 {
            let inside = if id % 3 == 0 { "10.1.0.1" } else { "10.0.0.1" };
            bench.add(id, if id % 2 == 0 { Kind::Tcp } else { Kind::Udp }, inside, "192.0.2.1");
        }
        for _ in 0..60 {
            for id in 1..=12 {
                bench.send(id, 100 + usize::from(id) * 100);
            }
            bench.run_for(Ns::from_micros(500));
        }
        let dropped = bench.ended(Verdict::LimitFull);
        assert!(dropped > 0);
        let by_limit = bench.limit(0, |limit| limit.dropped) + bench.limit(1, |limit| limit.dropped);
        assert_eq!(by_limit, dropped);
        let offered: u64 = bench.flows.values().map(|flow| flow.offered).sum();
        let (tallies, left) = bench.drain(drain);
        let ended = |verdict: Verdict| tallies.iter().map(|tally| tally.ended[verdict as usize]).sum::<u64>();
        assert!(tallies.iter().all(|tally| tally.balanced() && tally.held == 0));
        assert_eq!(left.len() as u64 + ended(Verdict::Undrained) + dropped, offered);
        assert_eq!(ended(Verdict::Undrained) == 0, drain > Ns::from_secs(1), "drained for {drain}");
    }
}

#[test]
fn what_limits_let_go_the_scheduler_takes() {
    let thresholds = Thresholds([10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1 << 30, 1 << 40]);
    let mut config = config(vec![limit("all", Scope::All, 20)]);
    config.schedule = Some(ScheduleConfig {
        rule: ScheduleRule::Ageing,
        model: false,
        spec: SizeSpec::default(),
        link_rate: BitsPerSec::from_mbps(100),
        overhead_bytes: 0,
        burst_bytes: 2_000,
        queue_frames_max: 1_024,
        peers_max: 64,
        wait_max: Ns::from_millis(50),
        mark_frames: 0,
        size_thresholds: thresholds,
        ageing_thresholds: thresholds,
        predicted_min: 1,
        predicted_max: 1 << 40,
        other_priority: 3,
        control_share: 0,
        sample_share: 0,
        trust: Trust::Ignore,
        dscp: None,
        pcp: None,
    });
    let mut bench = Bench::new(&config);
    bench.add(1, Kind::Tcp, "10.0.0.1", "192.0.2.1");
    bench.add(2, Kind::Udp, "fd00::1", "2001:db8::1");
    bench.press(&[1, 2], (16, FULL), Ns::from_millis(500));
    let sum: u64 = bench.bytes_in(Ns::from_millis(400)).values().sum();
    assert!(sum.abs_diff(1_000_000) < 10_000, "{sum} bytes in 400 ms");
    assert_eq!(bench.stats(|stats| stats.shaped_3), bench.flows[&2].left, "datagrams keep their priority");
    bench.run_for(Ns::from_millis(100));
    assert_eq!(bench.tally().held, 0);
}
