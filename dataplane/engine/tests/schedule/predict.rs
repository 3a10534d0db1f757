//! Predictions: what they are made from, what follows, what bounds them.

use super::bench::Bench;
use super::networks::{echo, set};
use super::{config, modelled, schedule};
use weir_engine::models::ModelSet;
use weir_engine::schedule::ScheduleRule;
use weir_engine::time::Ns;

#[test]
fn what_is_predicted_small_leaves_before_what_is_predicted_large() {
    // The size is the last one of the peer, which all test flows share; so by the first segment's length, 10 more.
    let mut bench = Bench::new(&modelled(), set(1, &echo(0, 320)));
    for flow in 1..=3 {
        bench.connect(flow);
    }
    bench.run_for(Ns::from_millis(1));
    bench.take_flows();
    for chunk in 0..10 {
        bench.data(1, chunk * 1_000, 1_000);
    }
    // One burst: 1 000 bytes say 1 MB, 100 say 100 kB, 5 say 6 kB.
    bench.data(2, 0, 100);
    bench.data(3, 0, 5);
    bench.run_for(Ns::from_millis(5));
    let flows = bench.take_flows();
    let at = |flow| flows.iter().position(|other| *other == flow).expect("it has left");
    assert!(at(3) < at(2) && at(2) < 3, "{flows:?}");
    assert_eq!(flows.iter().filter(|flow| **flow == 1).count(), 10);
    let stats = bench.stats();
    assert_eq!(
        (stats.scheduled_model, stats.schedule_inferences, stats.schedule_inference_batches),
        (3, 3, 1)
    );
    assert_eq!((stats.shaped_3, stats.shaped_2), (10, 1));
}

#[test]
fn a_flow_that_outlives_its_prediction_becomes_less_urgent() {
    let mut bench = Bench::new(&modelled(), set(1, &echo(0, 0)));
    bench.connect(1);
    bench.run_for(Ns::from_millis(1));
    let before = bench.stats();
    // Predicted about 1 000 bytes.
    for chunk in 0..200 {
        bench.data(1, chunk * 1_000, 1_000);
        bench.run_for(Ns::from_micros(200));
    }
    let stats = bench.stats();
    // Estimates of 1 000, 2 000, ..., 8 000 bytes are below 10 kB, and 16 000 are not: the first 8 frames, or 9.
    assert!((8..=9).contains(&(stats.shaped_0 - before.shaped_0)), "{}", stats.shaped_0 - before.shaped_0);
    assert_eq!(stats.shaped_0 - before.shaped_0 + stats.shaped_1 + stats.shaped_2, 200);
    assert!(stats.shaped_2 > 100 && (7..=8).contains(&stats.schedule_outlived));
}

#[test]
fn a_late_prediction_counts_from_then_on_and_the_rule_before() {
    // 1 000 bytes in the first segment say 1 MB.
    let mut bench = Bench::new(&modelled(), set(1, &echo(0, 320))).deciding_late(Ns::from_micros(50));
    bench.connect(1);
    bench.run_for(Ns::from_millis(1));
    let before = bench.stats();
    bench.data(1, 0, 1_000);
    bench.run_for(Ns::from_micros(30));
    bench.data(1, 1_000, 1_000);
    bench.run_for(Ns::from_micros(10));
    assert_eq!(bench.stats().schedule_inferences, 0);
    bench.run_for(Ns::from_micros(40));
    bench.data(1, 2_000, 1_000);
    bench.run_for(Ns::from_millis(1));
    let stats = bench.stats();
    assert_eq!((stats.shaped_0 - before.shaped_0, stats.shaped_3), (2, 1));
    assert_eq!((stats.schedule_inferences, stats.scheduled_model), (1, 1));
}

#[test]
fn the_guard_bounds_predictions() {
    for (more, low, high, priority, counted) in
        [(0, 1 << 20, 1 << 30, 3, [1, 0]), (1_200, 1, 50_000, 1, [0, 1])]
    {
        let mut config = modelled();
        (schedule(&mut config).predicted_min, schedule(&mut config).predicted_max) = (low, high);
        let mut bench = Bench::new(&config, set(1, &echo(0, more)));
        bench.connect(1);
        bench.data(1, 0, 1_000);
        bench.run_for(Ns::from_millis(2));
        let stats = bench.stats();
        let shaped = [stats.shaped_0, stats.shaped_1, stats.shaped_2, stats.shaped_3];
        assert_eq!(shaped[priority], 1, "{shaped:?}");
        assert_eq!([stats.schedule_floor, stats.schedule_ceiling], counted);
    }
}

#[test]
fn without_a_network_flows_age_and_under_fifo_nothing_has_priority() {
    for model in [false, true] {
        let mut config = config(ScheduleRule::Ageing);
        schedule(&mut config).model = model;
        let mut bench = Bench::new(&config, ModelSet::empty());
        bench.connect(1);
        for chunk in 0..150 {
            bench.data(1, chunk * 1_000, 1_000);
            bench.run_for(Ns::from_micros(200));
        }
        let stats = bench.stats();
        assert_eq!((stats.shaped_0, stats.shaped_1, stats.shaped_2), (2 + 10, 90, 50));
        assert_eq!((stats.scheduled_rule, stats.schedule_inferences), (1, 0));
    }
    let mut bench = Bench::new(&config(ScheduleRule::Fifo), ModelSet::empty());
    bench.connect(1);
    bench.connect(2);
    bench.run_for(Ns::from_millis(1));
    bench.take_flows();
    for chunk in 0..20 {
        bench.data(1 + (chunk % 2) as u16, chunk / 2 * 1_000, 1_000);
    }
    bench.run_for(Ns::from_millis(5));
    assert_eq!(bench.take_flows(), [1, 2].repeat(10), "as they came");
    assert_eq!(bench.stats().shaped_3, 24);
}

#[test]
fn the_control_share_stays_on_the_rule() {
    let mut config = modelled();
    schedule(&mut config).control_share = 32_768;
    let mut bench = Bench::new(&config, set(1, &echo(0, 320)));
    for flow in 1..=60 {
        bench.connect(flow);
        bench.data(flow, 0, 100);
        bench.run_for(Ns::from_micros(100));
    }
    let stats = bench.stats();
    assert_eq!(stats.scheduled_model + stats.scheduled_control, 60);
    assert!((15..=45).contains(&stats.scheduled_control), "{}", stats.scheduled_control);
}

#[test]
fn the_order_of_a_burst_does_not_matter_to_what_is_predicted() {
    let predicted = |order: &[u16]| {
        let mut config = modelled();
        schedule(&mut config).sample_share = 65_536;
        let mut bench = Bench::new(&config, set(1, &echo(0, 64)));
        for flow in 1..=20 {
            bench.connect(flow);
        }
        bench.run_for(Ns::from_millis(1));
        for flow in order {
            bench.data(*flow, 0, usize::from(*flow) * 37);
        }
        bench.turn();
        for flow in 1..=20_u16 {
            bench.fin(flow, u32::from(flow) * 37);
        }
        bench.run_for(Ns::from_millis(5));
        let mut samples: Vec<_> = bench
            .samples()
            .iter()
            .map(|sample| (sample.flow, sample.features[0], sample.output_q16, sample.priority, sample.bytes))
            .collect();
        samples.sort_unstable();
        samples
    };
    let forwards: Vec<u16> = (1..=20).collect();
    let mut shuffled = forwards.clone();
    shuffled.reverse();
    shuffled.swap(3, 11);
    let expected = predicted(&forwards);
    assert_eq!(expected.len(), 20);
    assert_eq!(predicted(&shuffled), expected);
}
