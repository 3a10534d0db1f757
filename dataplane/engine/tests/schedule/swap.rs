//! Networks that change under traffic.

use super::bench::Bench;
use super::modelled;
use super::networks::{echo, set};
use weir_engine::time::Ns;

/// Traffic of many flows, with something happening every so often. What left: when, and the bytes.
fn traffic(mut every: impl FnMut(&mut Bench, u32)) -> Vec<(Ns, Vec<u8>)> {
    let mut bench = Bench::new(&modelled(), set(1, &echo(0, 320)));
    let mut sent = [0_u32; 21];
    for round in 0..200_u32 {
        let flow = (1 + round * 7 % 20) as u16;
        if sent[usize::from(flow)] == 0 {
            bench.connect(flow);
        }
        let len = 100 + round * 37 % 1_300;
        bench.data(flow, sent[usize::from(flow)], len as usize);
        sent[usize::from(flow)] += len;
        every(&mut bench, round);
        bench.run_for(Ns::from_micros(60));
    }
    bench.run_for(Ns::from_millis(20));
    bench.left.into_iter().map(|(at, frame)| (at, frame.bytes)).collect()
}

#[test]
fn an_identical_snapshot_changes_nothing() {
    let still = traffic(|_, _| {});
    let swapped = traffic(|bench, round| {
        if round % 5 == 0 {
            bench.publish(|policy| policy.size_models = set(2 + round, &echo(0, 320)));
        }
    });
    assert!(still.len() > 200);
    assert_eq!(still, swapped);
}

#[test]
fn a_flow_keeps_its_prediction_when_the_network_changes() {
    let mut bench = Bench::new(&modelled(), set(1, &echo(0, 320)));
    bench.connect(1);
    bench.data(1, 0, 1_000);
    bench.run_for(Ns::from_millis(1));
    // From now on everything is tiny.
    bench.publish(|policy| policy.size_models = set(2, &echo(1, 0)));
    for chunk in 1..20 {
        bench.data(1, chunk * 1_000, 1_000);
        bench.run_for(Ns::from_micros(200));
    }
    assert_eq!(bench.stats().shaped_3, 20, "predicted 1 MB");
    bench.connect(2);
    let before = bench.stats().shaped_0;
    bench.data(2, 0, 1_000);
    bench.run_for(Ns::from_millis(1));
    assert_eq!(bench.stats().shaped_0, before + 1);
}
