//! What may not wait: too long, too much; marks before drops; and who sends little is never shut out.

use super::bench::{Bench, FULL, Kind};
use super::{config, limit};
use weir_engine::limit::Scope;
use weir_engine::time::Ns;
use weir_engine::verdict::Verdict;

#[test]
fn a_long_wait_marks_then_drops() {
    for kind in [Kind::Tcp, Kind::Udp] {
        let mut all = limit("all", Scope::All, 8);
        (all.burst_bytes, all.mark_delay, all.delay_max) = (1_522, Ns::from_millis(20), Ns::from_millis(60));
        let mut bench = Bench::new(&config(vec![all]));
        for inside in ["10.0.0.1", "fd00::1"] {
            let v4 = inside == "10.0.0.1";
            let id = if v4 { 1 } else { 2 };
            bench.add(id, kind, inside, if v4 { "192.0.2.1" } else { "2001:db8::1" });
            bench.flows.get_mut(&id).expect("added").ecn = 2;
            bench.frames = Some(Vec::new());
            bench.run_for(Ns::from_millis(10));
            let before = [bench.ended(Verdict::LimitFull), bench.limit(0, |limit| limit.marks)];
            // A frame takes 1.5 ms: 40 of them 60 ms.
            (0..100).for_each(|_| bench.send(id, FULL));
            bench.run_for(Ns::from_millis(200));
            let dropped = bench.ended(Verdict::LimitFull) - before[0];
            let marked = bench.limit(0, |limit| limit.marks) - before[1];
            assert!((55..=62).contains(&dropped), "{kind:?}: {dropped} dropped");
            assert!((22..=30).contains(&marked), "{kind:?}: {marked} marked");
            let ecn = |bytes: &[u8]| if v4 { bytes[15] & 3 } else { bytes[15] >> 4 & 3 };
            let frames = bench.frames.take().expect("kept");
            let ce = frames.iter().filter(|frame| frame.flow == id && ecn(&frame.bytes) == 3).count();
            assert_eq!(ce as u64, marked, "{kind:?}");
        }
        assert_eq!(bench.limit(0, |limit| limit.dropped), bench.ended(Verdict::LimitFull));
        assert_eq!(bench.stats(|stats| stats.ecn_marks), bench.limit(0, |limit| limit.marks));
        assert_eq!(bench.limit(0, |limit| limit.held_bytes), 0);
    }
}

#[test]
fn what_waits_is_bounded_by_the_limits_queue() {
    let mut all = limit("all", Scope::All, 8);
    (all.burst_bytes, all.queue_bytes) = (1_522, 20_000);
    let mut bench = Bench::new(&config(vec![all]));
    for id in 1..=8 {
        bench.add(id, Kind::Udp, "10.0.0.1", "192.0.2.1");
    }
    for _ in 0..30 {
        (1..=8).for_each(|id| bench.send(id, 958));
        bench.turn();
        bench.turn();
        let held = bench.limit(0, |limit| limit.held_bytes);
        // 1 000 bytes each, and a frame of each lane beyond it.
        assert!(held <= 20_000 + 8_000, "{held}");
    }
    assert!(bench.ended(Verdict::LimitFull) > 100);
}

#[test]
fn who_sends_little_gets_through_beside_a_flood() {
    let mut all = limit("all", Scope::All, 10);
    (all.delay_max, all.queue_bytes) = (Ns::from_millis(100), 125_000);
    let mut bench = Bench::new(&config(vec![all]));
    bench.add(1, Kind::Udp, "10.0.0.1", "192.0.2.1");
    bench.add(2, Kind::Tcp, "10.0.0.2", "192.0.2.1");
    bench.add(3, Kind::Udp, "10.0.0.3", "192.0.2.1");
    bench.run_for(Ns::from_millis(50));
    let mut waits = Vec::new();
    for round in 0..200_u64 {
        // 100 Mb/s of datagrams, and 0.5 Mb/s of two others.
        for step in 0..20 {
            for _ in 0..4 {
                bench.send(1, FULL - 12);
            }
            if step == 7 {
                let (id, before) = ([2, 3][round as usize % 2], bench.left.len());
                bench.send(id, 500);
                let sent = bench.now;
                waits.push((id, before, sent));
            }
            bench.run_for(Ns::from_micros(460));
        }
    }
    bench.run_for(Ns::from_millis(300));
    for (id, before, sent) in waits {
        let left = bench.left[before..].iter().find(|(at, left, _)| *left == id && *at >= sent);
        let wait = left.expect("it has left").0 - sent;
        assert!(wait <= Ns::from_millis(6), "flow {id} waited {wait}");
    }
    for id in [2, 3] {
        assert_eq!(bench.flows[&id].offered, bench.flows[&id].left);
    }
    assert!(bench.ended(Verdict::LimitFull) > 5_000);
}

#[test]
fn without_a_place_for_it_a_frame_is_dropped() {
    let mut config = config(vec![limit("all", Scope::All, 8)]);
    config.held_max = 10;
    let mut bench = Bench::new(&config);
    bench.add(1, Kind::Tcp, "10.0.0.1", "192.0.2.1");
    bench.add(2, Kind::Udp, "10.0.0.1", "192.0.2.1");
    bench.now += Ns::from_secs(1);
    let before = bench.left.len();
    // The burst of 16 KiB, ten that wait, and the rest.
    for id in [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 1, 2, 1] {
        bench.send(id, FULL);
        bench.turn();
    }
    let left = bench.left.len() - before;
    assert_eq!(bench.tally().held, 10);
    assert_eq!(left as u64 + 10 + bench.ended(Verdict::LimitFull) + bench.ended(Verdict::PaceFull), 24);
    assert!(bench.ended(Verdict::LimitFull) > 0 && bench.ended(Verdict::PaceFull) > 0);
}
