//! How fast: one flow, many, several workers, a flow that paces itself.

use super::bench::{Bench, FULL, Kind, jain};
use super::{config, limit};
use weir_engine::config::PacingRule;
use weir_engine::limit::Scope;
use weir_engine::time::{BitsPerSec, Ns};
use weir_engine::verdict::Verdict;
use weir_engine::wheel::SLOT;

/// Bits per second from the first departure that is `skip` behind the burst to the last one.
fn measured(bench: &Bench, skip: usize) -> (f64, Ns) {
    let left = &bench.left[skip..];
    let (first, last) = (left.first().expect("frames left"), left.last().expect("frames left"));
    let bytes: u64 = left[1..].iter().map(|(.., bytes)| bytes).sum();
    let span = last.0 - first.0;
    (bytes as f64 * 8e9 / span.0 as f64, span)
}

#[test]
fn one_flow_over_a_limit_keeps_its_rate_within_a_thousandth() {
    for kind in [Kind::Tcp, Kind::Udp] {
        for rate in [1_000_000, 3_333_333, 20_000_000, 123_456_789, 1_000_000_000, 10_000_000_000] {
            let mut all = limit("all", Scope::All, 1);
            all.rate = BitsPerSec(rate);
            all.burst_bytes = 64 << 10;
            let mut bench = Bench::new(&config(vec![all.clone()]));
            bench.add(1, kind, "10.0.0.1", "192.0.2.1");
            let frame_ns = (FULL + 54) as u64 * 8_000_000_000 / rate;
            bench.step = Ns((frame_ns / 4).clamp(2_000, 100_000));
            // Behind the burst, which has left at once, 2 000 frames.
            bench.press(&[1], (32, FULL), Ns(2_050 * frame_ns));
            let (seen, span) = measured(&bench, 50);
            let slack = (SLOT + bench.step).0 as f64 / span.0 as f64;
            let error = (seen / rate as f64 - 1.0).abs();
            assert!(error <= 0.001 + slack, "{kind:?} at {rate} bit/s: {seen}");
            bench.assert_within(&all, |_| true);
            assert_eq!(bench.ended(Verdict::LimitFull), 0);
        }
    }
}

#[test]
fn a_flow_that_paces_itself_below_the_limit_is_left_alone() {
    let mut config = config(vec![limit("all", Scope::All, 50)]);
    config.pacing.as_mut().expect("paced").rule = PacingRule::Fixed(BitsPerSec::from_mbps(20));
    let mut bench = Bench::new(&config);
    bench.add(1, Kind::Tcp, "10.0.0.1", "192.0.2.1");
    bench.press(&[1], (16, FULL), Ns::from_millis(500));
    let (seen, _) = measured(&bench, 10);
    assert!((seen / 20e6 - 1.0).abs() < 0.002, "{seen}");
    assert_eq!(bench.limit(0, |limit| limit.waits), 0);
    // Three of them are not.
    for id in [2, 3] {
        bench.add(id, Kind::Tcp, "10.0.0.1", "192.0.2.1");
    }
    bench.press(&[1, 2, 3], (16, FULL), Ns::from_millis(500));
    let sum: u64 = bench.bytes_in(Ns::from_millis(400)).values().sum();
    assert!(sum.abs_diff(2_500_000) < 20_000, "{sum} bytes in 400 ms");
    assert!(bench.limit(0, |limit| limit.waits) > 100);
    assert_eq!(bench.stats(|stats| stats.wheel_stall_ns), 0, "a limit's wait is no stall");
}

#[test]
fn many_backlogged_flows_use_a_limit_up_and_share_it() {
    for (flows, mbps) in [(10, 5), (100, 100), (100, 2_000)] {
        let all = limit("all", Scope::All, mbps);
        let mut bench = Bench::new(&config(vec![all.clone()]));
        let ids: Vec<u16> = (1..=flows).collect();
        for id in &ids {
            bench.add(*id, if id % 2 == 0 { Kind::Tcp } else { Kind::Udp }, "10.0.0.1", "192.0.2.1");
        }
        let round = Ns(u64::from(flows) * 1_514 * 8_000 / mbps);
        let span = Ns(50 * round.0);
        bench.press(&ids, (4, FULL), Ns(span.0 + 2 * round.0));
        let sums = bench.bytes_in(span);
        let use_of = sums.values().sum::<u64>() as f64 * 8e3 / (mbps * span.0) as f64;
        let fairness = jain(ids.iter().map(|id| sums.get(id).copied().unwrap_or(0)));
        eprintln!("{flows} flows at {mbps} Mb/s: {use_of:.4} of it, Jain's index {fairness:.4}");
        assert!((0.98..=1.01).contains(&use_of), "{use_of}");
        // Datagrams of two flows may share a lane.
        assert!(fairness > 0.95, "{fairness}");
        bench.assert_within(&all, |_| true);
    }
}

#[test]
fn workers_share_a_limit_and_its_flows_share_it_whoever_owns_them() {
    let all = limit("all", Scope::All, 100);
    let mut bench = Bench::of(2, &config(vec![all.clone()]));
    let ids: Vec<u16> = (1..=9).collect();
    for id in &ids {
        bench.add(*id, Kind::Tcp, "10.0.0.1", "192.0.2.1");
    }
    let owned = [bench.flows_of(0), bench.flows_of(1)];
    assert!(owned[0] != owned[1] && owned.iter().all(|flows| *flows > 0), "{owned:?}");
    bench.press(&ids, (8, FULL), Ns::from_millis(600));
    let sums = bench.bytes_in(Ns::from_millis(500));
    let sum: u64 = sums.values().sum();
    assert!(sum.abs_diff(6_250_000) < 62_500, "{sum} bytes in 500 ms");
    let fairness = jain(sums.values().copied());
    eprintln!("2 workers with {owned:?} flows: Jain's index {fairness:.5}");
    assert!(fairness > 0.999, "{fairness}: {sums:?}");
    bench.assert_within(&all, |_| true);
    assert_eq!(bench.ended(Verdict::LimitFull) + bench.ended(Verdict::SteerFull), 0);
}

#[test]
fn a_stalled_worker_gives_no_credit() {
    let all = limit("all", Scope::All, 8);
    let mut bench = Bench::new(&config(vec![all]));
    bench.add(1, Kind::Tcp, "10.0.0.1", "192.0.2.1");
    bench.press(&[1], (32, FULL), Ns::from_millis(50));
    bench.now += Ns::from_secs(1);
    let before = bench.left.len();
    bench.press(&[1], (32, FULL), Ns::from_millis(50));
    let bytes: u64 = bench.left[before..].iter().map(|(.., bytes)| bytes).sum();
    // The burst, what 50 ms carry, and what was granted before.
    assert!(bytes <= (16 << 10) + 50_000 + 2 * 1_514, "{bytes}");
}
