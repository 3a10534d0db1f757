//! Whose frames: prefixes of either end and version, several limits at once, frames of no flow.

use super::bench::{Bench, FULL, Kind};
use super::{config, end, limit};
use weir_engine::io::Side;
use weir_engine::limit::Scope;
use weir_engine::time::Ns;
use weir_engine::verdict::Verdict;

const SPAN: Ns = Ns::from_millis(500);

/// What these flows sent in the last 400 ms, in Mb/s.
fn mbps(bench: &Bench, ids: &[u16]) -> f64 {
    let sums = bench.bytes_in(Ns::from_millis(400));
    ids.iter().map(|id| sums.get(id).copied().unwrap_or(0)).sum::<u64>() as f64 * 8.0 / 400e3
}

fn near(seen: f64, wanted: f64) -> bool {
    (seen / wanted - 1.0).abs() < 0.01
}

#[test]
fn a_prefix_holds_the_flows_whose_end_it_is_of_and_nobody_else() {
    let cases = [
        (Side::Inside, "10.1.0.0/16", ("10.1.2.3", "192.0.2.1"), ("10.2.2.3", "10.1.2.3")),
        (Side::Outside, "192.0.2.0/24", ("10.1.2.3", "192.0.2.1"), ("192.0.2.9", "192.0.3.1")),
        (Side::Inside, "fd00:1::/32", ("fd00:1::5", "2001:db8::1"), ("fd00:2::5", "fd00:1::5")),
        (Side::Outside, "2001:db8::/32", ("fd00::1", "2001:db8:7::1"), ("2001:db8::9", "2001:db9::1")),
    ];
    for (side, prefix, under, other) in cases {
        let prefix = limit("prefix", end(side, prefix), 10);
        let mut bench = Bench::new(&config(vec![prefix.clone()]));
        bench.add(1, Kind::Tcp, under.0, under.1);
        bench.add(2, Kind::Udp, under.0, under.1);
        bench.add(3, Kind::Tcp, other.0, other.1);
        bench.add(4, Kind::Udp, other.0, other.1);
        bench.press(&[1, 2], (8, FULL), SPAN);
        let seen = mbps(&bench, &[1, 2]);
        assert!(near(seen, 10.0), "{prefix:?}: {seen} Mb/s");
        bench.assert_within(&prefix, |id| id <= 2);
        // Those beside it pass at once.
        for id in [3, 4] {
            (0..20).for_each(|_| bench.send(id, FULL));
        }
        bench.turn();
        bench.turn();
        assert_eq!((bench.flows[&3].left, bench.flows[&4].left), (22, 20), "{prefix:?}");
    }
}

#[test]
fn a_prefix_and_the_limit_on_all_hold_together() {
    let (prefix, all) = (limit("tenant", end(Side::Inside, "10.1.0.0/16"), 10), limit("all", Scope::All, 30));
    for reversed in [false, true] {
        let mut limits = vec![prefix.clone(), all.clone()];
        if reversed {
            limits.reverse();
        }
        let mut bench = Bench::new(&config(limits));
        for id in 1..=8 {
            bench.add(id, Kind::Tcp, if id <= 4 { "10.1.0.1" } else { "10.2.0.1" }, "192.0.2.1");
        }
        bench.press(&[1, 2, 3, 4, 5, 6, 7, 8], (8, FULL), SPAN);
        let (tenant, others) = (mbps(&bench, &[1, 2, 3, 4]), mbps(&bench, &[5, 6, 7, 8]));
        assert!(near(tenant, 10.0) && near(others, 20.0), "{tenant} and {others} Mb/s");
        bench.assert_within(&all, |_| true);
        // What the tenant leaves, the others have, and the other way round.
        bench.run_for(Ns::from_millis(50));
        bench.press(&[5, 6, 7, 8], (8, FULL), SPAN);
        let others = mbps(&bench, &[5, 6, 7, 8]);
        assert!(near(others, 30.0), "{others} Mb/s");
        bench.run_for(Ns::from_millis(50));
        bench.press(&[1, 2, 3, 4], (8, FULL), SPAN);
        let tenant = mbps(&bench, &[1, 2, 3, 4]);
        assert!(near(tenant, 10.0), "{tenant} Mb/s");
        bench.assert_within(&all, |_| true);
    }
}

#[test]
fn both_ends_and_all_are_three_limits_and_the_narrowest_holds() {
    let limits = |inside, outside, all| {
        vec![
            limit("inside", end(Side::Inside, "fd00::/16"), inside),
            limit("outside", end(Side::Outside, "2001:db8::/32"), outside),
            limit("all", Scope::All, all),
        ]
    };
    for (inside, outside, all) in [(5, 20, 40), (20, 5, 40), (40, 20, 5)] {
        let mut bench = Bench::new(&config(limits(inside, outside, all)));
        for id in 1..=3 {
            bench.add(id, Kind::Tcp, "fd00::1", "2001:db8::1");
        }
        bench.press(&[1, 2, 3], (8, FULL), SPAN);
        let seen = mbps(&bench, &[1, 2, 3]);
        assert!(near(seen, 5.0), "{seen} Mb/s");
        for index in 0..3 {
            assert_eq!(bench.limit(index, |limit| limit.frames), bench.left.len() as u64);
        }
    }
}

#[test]
fn frames_of_no_flow_are_under_the_limit_on_all() {
    let all = limit("all", Scope::All, 1);
    let mut bench = Bench::new(&config(vec![all.clone()]));
    let arp = || {
        let mut bytes = vec![0; 60];
        bytes[12..14].copy_from_slice(&[0x08, 0x06]);
        bytes
    };
    // Cut within its IP header.
    let malformed = || {
        let mut bytes = vec![0; 20];
        bytes[12..14].copy_from_slice(&[0x08, 0x00]);
        bytes
    };
    for _ in 0..400 {
        bench.frame(100, Side::Inside, arp());
        bench.frame(101, Side::Inside, malformed());
    }
    bench.run_for(Ns::from_millis(100));
    bench.assert_within(&all, |_| true);
    assert!(bench.left.len() < 800, "{} have left", bench.left.len());
    bench.run_for(Ns::from_secs(1));
    let ended = |verdict| bench.ended(verdict);
    assert_eq!((ended(Verdict::Untracked), ended(Verdict::Malformed)), (400, 400));
    assert_eq!(bench.limit(0, |limit| limit.bytes), 400 * 80);
    // From outside nothing is.
    bench.now += Ns::from_secs(1);
    for _ in 0..400 {
        bench.frame(102, Side::Outside, vec![0; 1_500]);
    }
    (0..20).for_each(|_| bench.turn());
    assert_eq!(bench.tally().sent[Side::Inside as usize], 400);
    assert_eq!(bench.limit(0, |limit| limit.frames), 800);
}

#[test]
fn narrow_limits_are_used_up_beside_a_flood_under_a_wide_one() {
    for waiting in [64, 16, 4, 2] {
        let mut limits = vec![
            limit("four", end(Side::Outside, "192.0.2.0/24"), 5),
            limit("six", end(Side::Outside, "2001:db8::/32"), 3),
            limit("all", Scope::All, 20),
        ];
        limits.iter_mut().for_each(|limit| limit.burst_bytes = 64 << 10);
        let mut bench = Bench::new(&config(limits));
        for id in 1..=2 {
            bench.add(id, Kind::Tcp, "10.0.0.1", "192.0.2.1");
            bench.add(2 + id, Kind::Tcp, "fd00::1", "2001:db8::1");
        }
        bench.add(5, Kind::Udp, "10.0.0.1", "198.51.100.1");
        let until = bench.now + Ns::from_secs(2);
        while bench.now < until {
            bench.press(&[5], (64, 1_200), Ns(1));
            bench.press(&[1, 2, 3, 4], (waiting, FULL), Ns::from_micros(100));
        }
        let seen = [mbps(&bench, &[1, 2]), mbps(&bench, &[3, 4]), mbps(&bench, &[5])];
        for (seen, wanted) in seen.into_iter().zip([5.0, 3.0, 12.0]) {
            assert!(near(seen, wanted), "{waiting} frames each: {seen} Mb/s of {wanted}");
        }
    }
}
