//! What is told of flows that have ended, and what their peers' next flows are shown.

use super::bench::{Bench, START};
use super::frames::{ACK, RST, Say};
use super::networks::{echo, set};
use super::{modelled, schedule};
use weir_engine::config::EngineConfig;
use weir_engine::io::Side;
use weir_engine::time::Ns;
use weir_features::{FlowEnd, FlowSample, SizeSpec, log2_1p_q16};

fn sampling() -> EngineConfig {
    let mut config = modelled();
    schedule(&mut config).sample_share = 65_536;
    config.flow_idle_max = Ns::from_secs(2);
    config
}

/// One flow of 3 000 bytes in three segments, the second of them repeated.
fn flow(bench: &mut Bench, number: u16) {
    bench.connect(number);
    bench.data(number, 0, 1_000);
    bench.data(number, 1_000, 1_500);
    bench.data(number, 1_000, 1_500);
    bench.data(number, 2_500, 500);
    bench.run_for(Ns::from_millis(3));
}

/// What the network says to these bytes: to the nearest 1/32.
fn steps(bytes: u64) -> i32 {
    (log2_1p_q16(bytes) + 1_024) >> 11 << 11
}

fn only(samples: Vec<FlowSample>) -> FlowSample {
    let [sample] = samples[..] else { panic!("{samples:?}") };
    sample
}

#[test]
fn a_flow_is_told_of_with_its_true_size_however_it_ends() {
    type Case = (FlowEnd, fn(&mut Bench));
    let ends: [Case; 4] = [
        (FlowEnd::Fin, |bench| bench.fin(1, 3_000)),
        (FlowEnd::Reset, |bench| {
            bench.say(Side::Outside, Say { flow: 1, seq: 1, flags: RST, ..Say::default() })
        }),
        (FlowEnd::Reset, |bench| {
            bench.say(Side::Inside, Say { flow: 1, seq: 3_001, flags: RST | ACK, ..Say::default() });
        }),
        (FlowEnd::Idle, |bench| bench.run_for(Ns::from_secs(5))),
    ];
    for (end, finish) in ends {
        let mut bench = Bench::new(&sampling(), set(4, &echo(0, 0)));
        flow(&mut bench, 1);
        finish(&mut bench);
        let sample = only(bench.samples());
        assert_eq!((sample.bytes, sample.end), (3_000, end));
        assert_eq!((sample.generation, sample.control, sample.priority), (4, false, 0));
        assert_eq!(sample.schema_hash, SizeSpec::default().schema_hash());
        assert_eq!(sample.features[0], log2_1p_q16(1_000));
        assert_eq!(sample.output_q16, steps(1_000));
        assert_eq!(sample.target_q16(), log2_1p_q16(3_000));
        assert!(sample.began_ns >= START.0 && sample.ended_ns >= sample.began_ns);
        let stats = bench.stats();
        assert_eq!((stats.flow_samples, stats.flow_samples_dropped, stats.predictions_judged), (1, 0, 1));
        assert_eq!(stats.prediction_error_q16, u64::from(sample.output_q16.abs_diff(sample.target_q16())));
        assert_eq!(stats.completed_model, u64::from(end == FlowEnd::Fin));
        if end == FlowEnd::Idle {
            assert_eq!((stats.flows, stats.scheduled_flows), (0, 0));
        }
    }
}

#[test]
fn the_next_flow_to_the_peer_is_shown_the_last_one() {
    let mut bench = Bench::new(&sampling(), set(1, &echo(7, 0)));
    flow(&mut bench, 1);
    bench.connect(2);
    bench.data(2, 0, 10);
    bench.run_for(Ns::from_millis(1));
    bench.fin(2, 10);
    bench.fin(1, 3_000);
    bench.run_for(Ns::from_millis(1));
    flow(&mut bench, 3);
    bench.fin(3, 3_000);
    let samples = bench.samples();
    let of = |bytes: u64, at: usize| {
        *samples.iter().filter(|sample| sample.bytes == bytes).nth(at).expect("it was told of")
    };
    let (first, second, third) = (of(3_000, 0), of(10, 0), of(3_000, 1));
    assert_eq!(first.features[3..8], [32 << 16, 0, 0, 0, 0], "nothing known of the peer");
    assert_eq!(second.features[4..8], [1 << 16, 0, 0, 0], "one in flight");
    assert_eq!(third.features[4..6], [0, 2 << 16]);
    assert_eq!(third.features[7..9], [log2_1p_q16(3_000), log2_1p_q16(10)], "as they ended");
    assert_eq!(third.output_q16, steps(3_000));
    assert_eq!(bench.stats().peers, 1);
}

#[test]
fn a_flow_that_was_not_seen_from_its_beginning_is_no_sample() {
    let mut bench = Bench::new(&sampling(), set(1, &echo(0, 0)));
    bench.data(1, 5_000, 1_000);
    bench.turn();
    bench.say(Side::Outside, Say { flow: 1, seq: 1, ack: 6_001, flags: ACK, ..Say::default() });
    bench.turn();
    bench.data(1, 6_000, 1_000);
    bench.turn();
    bench.fin(1, 7_000);
    assert!(bench.samples().is_empty());
    assert_eq!((bench.stats().scheduled_model, bench.stats().completed_model), (1, 0));
    // Nor does its size count for the peer.
    flow(&mut bench, 2);
    bench.fin(2, 3_000);
    assert_eq!(only(bench.samples()).features[5], 0);
}

#[test]
fn the_control_share_is_told_of_without_a_prediction() {
    let mut config = sampling();
    schedule(&mut config).control_share = 65_536;
    let mut bench = Bench::new(&config, set(1, &echo(0, 0)));
    flow(&mut bench, 1);
    bench.fin(1, 3_000);
    let sample = only(bench.samples());
    assert!(sample.control);
    assert_eq!((sample.generation, sample.schema_hash, sample.output_q16, sample.bytes), (0, 0, 0, 3_000));
    assert_eq!(bench.stats().completed_control, 1);
}
