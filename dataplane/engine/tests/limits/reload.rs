//! Other limits arrive while frames wait.

use super::bench::{Bench, FULL, Kind};
use super::{config, end, limit};
use weir_engine::io::Side;
use weir_engine::limit::{Limits, Scope};
use weir_engine::time::{BitsPerSec, Ns};
use weir_engine::verdict::Verdict;

fn mbps(bench: &Bench, ids: &[u16], millis: u64) -> f64 {
    let sums = bench.bytes_in(Ns::from_millis(millis));
    ids.iter().map(|id| sums.get(id).copied().unwrap_or(0)).sum::<u64>() as f64 * 8.0
        / (millis * 1_000) as f64
}

/// Two TCP flows and two of datagrams, of both versions, that keep frames waiting.
fn pressed() -> Bench {
    let mut bench = Bench::of(2, &config(vec![limit("all", Scope::All, 10)]));
    bench.add(1, Kind::Tcp, "10.1.0.1", "192.0.2.1");
    bench.add(2, Kind::Udp, "10.1.0.1", "192.0.2.1");
    bench.add(3, Kind::Tcp, "fd00::1", "2001:db8::1");
    bench.add(4, Kind::Udp, "fd00::1", "2001:db8::1");
    bench.press(&ALL, LOAD, Ns::from_millis(200));
    bench
}
const ALL: [u16; 4] = [1, 2, 3, 4];
const LOAD: (u64, usize) = (16, FULL);

fn assert_nothing_lost(mut bench: Bench) {
    bench.run_for(Ns::from_secs(3));
    for (id, flow) in &bench.flows {
        assert_eq!(flow.offered, flow.left, "flow {id}");
    }
    let tally = bench.tally();
    assert_eq!((tally.held, tally.ended[Verdict::LimitFull as usize]), (0, 0));
}

#[test]
fn a_new_rate_holds_for_what_waits() {
    let mut bench = pressed();
    assert!((mbps(&bench, &ALL, 100) - 10.0).abs() < 0.2);
    let counted = bench.limit(0, |limit| limit.frames);
    bench.set_limits(vec![limit("all", Scope::All, 40)]);
    bench.press(&ALL, LOAD, Ns::from_millis(160));
    assert!((mbps(&bench, &ALL, 100) - 40.0).abs() < 0.8);
    bench.set_limits(vec![limit("all", Scope::All, 5)]);
    bench.press(&ALL, LOAD, Ns::from_millis(300));
    assert!((mbps(&bench, &ALL, 200) - 5.0).abs() < 0.2);
    assert!(bench.limit(0, |limit| limit.frames) > counted + 100, "one name, one count");
    let held = bench.limit(0, |limit| limit.held_bytes);
    let inside: u64 = bench.flows.values().map(|flow| flow.offered - flow.left).sum();
    assert!(held.abs_diff(inside * 1_514) < inside * 30, "{held} bytes of {inside} frames");
    assert_nothing_lost(bench);
}

#[test]
fn a_slow_limit_that_is_raised_keeps_nobody_waiting() {
    let mut bench = pressed();
    bench.set_limits(vec![{
        let mut slow = limit("all", Scope::All, 1);
        (slow.rate, slow.burst_bytes) = (BitsPerSec(16_000), 1_522);
        slow
    }]);
    bench.press(&ALL, LOAD, Ns::from_millis(100));
    assert!(mbps(&bench, &ALL, 50) < 1.0);
    // The next frame's time would be three quarters of a second off.
    bench.set_limits(vec![limit("all", Scope::All, 10)]);
    bench.press(&ALL, LOAD, Ns::from_millis(160));
    assert!((mbps(&bench, &ALL, 100) - 10.0).abs() < 0.2);
    assert_nothing_lost(bench);
}

#[test]
fn limits_come_and_go_and_change_their_scope() {
    let mut bench = pressed();
    let tenant = |mbps| limit("tenant", end(Side::Inside, "10.1.0.0/16"), mbps);
    bench.set_limits(vec![tenant(4), limit("all", Scope::All, 20)]);
    bench.press(&ALL, LOAD, Ns::from_millis(300));
    assert!((mbps(&bench, &[1, 2], 200) - 4.0).abs() < 0.1);
    assert!((mbps(&bench, &[3, 4], 200) - 16.0).abs() < 0.4);
    bench.set_limits(vec![tenant(4)]);
    bench.press(&[1, 2], LOAD, Ns::from_millis(300));
    assert!((mbps(&bench, &[1, 2], 200) - 4.0).abs() < 0.1);
    bench.set_limits(Vec::new());
    // Those behind what a lane still holds stay behind it.
    (0..20).for_each(|_| ALL.into_iter().for_each(|id| bench.send(id, FULL)));
    bench.run_for(Ns::from_millis(60));
    assert_eq!(bench.tally().held, 0, "nothing holds them");
    (0..8).for_each(|_| ALL.into_iter().for_each(|id| bench.send(id, FULL)));
    (0..3).for_each(|_| bench.turn());
    assert_eq!(bench.tally().held, 0);
    bench.set_limits(vec![tenant(4)]);
    bench.press(&ALL, (64, FULL), Ns::from_millis(300));
    assert!((mbps(&bench, &[1, 2], 200) - 4.0).abs() < 0.1);
    assert_nothing_lost(bench);
}

#[test]
fn the_same_limits_published_again_change_nothing() {
    let mut bench = pressed();
    let frames = bench.limit(0, |limit| limit.frames);
    for _ in 0..50 {
        // What a reload of another key does, and a swap.
        bench.publish(|pacing| {
            let again = Limits::new(pacing.limits.iter().cloned().collect());
            pacing.limits = again.or_same(&pacing.limits);
        });
        bench.press(&ALL, LOAD, Ns::from_millis(4));
    }
    let seen = mbps(&bench, &ALL, 200);
    assert!((seen - 10.0).abs() < 0.1, "{seen}");
    bench.assert_within(&limit("all", Scope::All, 10), |_| true);
    assert!(bench.limit(0, |limit| limit.frames) > frames);
    assert_nothing_lost(bench);
}

#[test]
fn limits_that_change_every_few_milliseconds_lose_nothing() {
    let mut bench = pressed();
    for round in 0..150_u64 {
        let mut limits = Vec::new();
        if round % 3 != 0 {
            limits.push(limit("all", Scope::All, 5 + round % 20));
        }
        if round % 2 == 0 {
            limits.push(limit("tenant", end(Side::Inside, "10.1.0.0/16"), 2 + round % 7));
        }
        if round % 5 == 0 {
            limits.push(limit("six", end(Side::Outside, "2001:db8::/32"), 3));
        }
        bench.set_limits(limits);
        bench.press(&ALL, LOAD, Ns::from_millis(3));
    }
    assert_nothing_lost(bench);
}
