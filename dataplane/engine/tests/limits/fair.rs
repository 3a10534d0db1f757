//! Turns: nobody is passed over, no turn is wasted, and what counts is bytes.

use super::bench::{Bench, FULL, Kind, jain};
use super::frames::ACK;
use super::{config, limit};
use weir_engine::io::Side;
use weir_engine::limit::Scope;
use weir_engine::time::Ns;

#[test]
fn flows_of_small_frames_get_as_many_bytes() {
    let mut bench = Bench::new(&config(vec![limit("all", Scope::All, 20)]));
    for id in 1..=6 {
        bench.add(id, if id <= 4 { Kind::Tcp } else { Kind::Udp }, "10.0.0.1", "192.0.2.1");
    }
    let until = bench.now + Ns::from_secs(1);
    while bench.now < until {
        for id in [1, 2, 5] {
            bench.press(&[id], (40, 100), Ns(1));
        }
        bench.press(&[3, 4, 6], (8, FULL), Ns::from_micros(100));
    }
    let sums = bench.bytes_in(Ns::from_millis(800));
    let fairness = jain(sums.values().copied());
    eprintln!("frames of 154 and 1514 bytes: Jain's index {fairness:.4} of {sums:?}");
    assert!(fairness > 0.98, "{sums:?}");
    let sum: u64 = sums.values().sum();
    assert!(sum.abs_diff(2_000_000) < 20_000, "{sum} bytes in 800 ms");
}

#[test]
fn acknowledgements_get_their_share_beside_data() {
    let mut bench = Bench::new(&config(vec![limit("all", Scope::All, 10)]));
    for id in 1..=4 {
        bench.add(id, Kind::Tcp, "10.0.0.1", "192.0.2.1");
    }
    // Flow 1 only acknowledges: 2 000 a second, a tenth of the limit.
    let (mut acks, until) = (0, bench.now + Ns::from_secs(1));
    while bench.now < until {
        acks += 1;
        bench.segment(1, Side::Inside, (1, acks), ACK, 0);
        bench.press(&[2, 3, 4], (8, FULL), Ns::from_micros(500));
    }
    let flow = bench.flows[&1];
    assert!(flow.offered - flow.left <= 30, "{} of {} acknowledgements have left", flow.left, flow.offered);
}

#[test]
fn one_who_stops_leaves_nothing_unused() {
    let mut bench = Bench::new(&config(vec![limit("all", Scope::All, 10)]));
    let ids: Vec<u16> = (1..=60).collect();
    for id in &ids {
        bench.add(*id, if id % 2 == 0 { Kind::Tcp } else { Kind::Udp }, "10.0.0.1", "192.0.2.1");
    }
    bench.run_for(Ns::from_millis(20));
    let start = bench.now;
    // One that always has something; the others one frame each, now and then, never the same ones.
    for round in 0..40_usize {
        for id in &ids[1..] {
            if (usize::from(*id) + round) % 7 == 0 {
                bench.send(*id, FULL);
            }
        }
        bench.press(&[1], (8, FULL), Ns::from_millis(20));
    }
    let sum: u64 = bench.bytes_in(bench.now - start - Ns::from_millis(50)).values().sum();
    let used = sum as f64 * 8e3 / (10 * (bench.now - start - Ns::from_millis(50)).0) as f64;
    assert!((0.98..=1.01).contains(&used), "{used}");
    for id in &ids[1..] {
        let flow = bench.flows[id];
        assert!(flow.offered - flow.left <= 2, "flow {id}: {} of {}", flow.left, flow.offered);
    }
}
