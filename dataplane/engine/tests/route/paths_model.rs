//! A network that chooses paths: what it is shown, what it may decide, and what is told of it.

use super::frames::{CLIENT, finish, ip4};
use super::pair::{FAR, Kind, Pair, config, settings};
use std::sync::Arc;
use weir_engine::balance::{BalanceSettings, Cadence, PathRule};
use weir_engine::models::{Generation, ModelSet, Unfit};
use weir_engine::policy::Policy;
use weir_engine::time::Ns;
use weir_features::{PATH_INPUTS, PathSample, PathSchema, PathSource};
use weir_snapshot::{
    Activation, Executable, Executor, Function, InputParts, LayerParts, Output, OutputParts, Parts,
    Precision, Snapshot,
};

const THREE: [Kind; 3] = [Kind::IpIp, Kind::Vxlan, Kind::IpIp];
const MACS: ([u8; 6], [u8; 6]) = ([0; 6], [0; 6]);

fn datagram(flow: u16) -> Vec<u8> {
    finish(ip4(MACS, CLIENT.v4, FAR.v4, 64).udp(10_000 + flow, 5_000), &[0x5a; 100])
}

/// A network of one neuron: the score is the path's RTT over the least one, less 1.
fn by_rtt() -> Parts {
    let ratio = InputParts { multiplier: 1, shift: 8, offset: 0, clip_lo: 1 << 16, clip_hi: 8 << 16 };
    let nothing = InputParts { multiplier: 1, shift: 16, offset: 0, clip_lo: 0, clip_hi: 1 << 16 };
    let (mut inputs, mut weights) = (vec![nothing; PATH_INPUTS], vec![0; PATH_INPUTS]);
    (inputs[0], weights[0]) = (ratio, 1);
    Parts {
        function: Function::Balance,
        precision: Precision::Bits12,
        schema_hash: PathSchema::default().hash(),
        name: "by_rtt".into(),
        inputs,
        layers: vec![LayerParts {
            inputs: PATH_INPUTS,
            outputs: 1,
            weights,
            bias: vec![-256],
            multiplier: vec![0],
            shift: vec![0],
            activation: Activation::Identity,
        }],
        output: Output::Linear,
        outputs: vec![OutputParts { multiplier: 256, shift: 0, offset: 0, lo: -(10 << 16), hi: 10 << 16 }],
    }
}

fn executable(parts: &Parts) -> Executable {
    let snapshot = Snapshot::decode(&weir_snapshot::encode(parts).unwrap()).unwrap();
    Executable::new(snapshot, Executor::Scalar).unwrap()
}

fn set(number: u32) -> ModelSet {
    let generation = Generation::of_paths(number, executable(&by_rtt()), PathSchema::default().hash());
    ModelSet::empty().with(Arc::new(generation.unwrap()))
}

fn policy(models: ModelSet, change: impl Fn(&mut BalanceSettings)) -> Policy {
    let mut config = config(&THREE, 1);
    let settings = settings(&mut config);
    (settings.model, settings.control_share, settings.explore_share) = (true, 0, 0);
    settings.sample_share = 65_536;
    change(settings);
    Policy { path_models: models, balance: Some(settings.clone()), ..Policy::default() }
}

/// Where the middle path is quick and the first slow.
fn uneven(models: ModelSet, change: impl Fn(&mut BalanceSettings)) -> Pair {
    let mut pair = Pair::met(&THREE, PathRule::Maglev);
    pair.ends[0].publish(policy(models, change));
    pair.slow = vec![Ns::from_micros(400), Ns::ZERO, Ns::from_micros(200)];
    pair.run_for(Ns::from_secs(1));
    pair.seen.clear();
    pair
}

fn send(pair: &mut Pair, flows: impl IntoIterator<Item = u16>) {
    flows.into_iter().for_each(|flow| pair.ends[0].offer(datagram(flow)));
    pair.run_for(Ns::from_millis(2));
}

#[test]
fn flows_go_by_the_path_that_it_scores_least_and_leave_one_that_slows_down() {
    let mut pair = uneven(set(1), |_| {});
    send(&mut pair, 0..30);
    assert_eq!(pair.used(3), [0, 30, 0]);
    pair.slow = vec![Ns::ZERO, Ns::from_millis(1), Ns::from_micros(200)];
    pair.run_for(Ns::from_secs(1));
    pair.seen.clear();
    send(&mut pair, 0..30);
    assert_eq!(pair.used(3), [30, 0, 0], "each of them had paused: flowlets");
    let stats = pair.ends[0].worker.stats();
    assert_eq!((stats.path_decisions_model, stats.path_inferences), (60, 180));
    assert!(stats.path_inference_batches <= 6, "{stats:?}");
}

#[test]
fn within_a_flowlet_it_decides_only_where_every_packet_is_to_be_decided() {
    for (cadence, moves) in [(Cadence::Flowlet, false), (Cadence::Packet, true)] {
        let mut pair = uneven(set(1), |settings| {
            (settings.cadence, settings.flowlet_gap) = (cadence, Ns::from_secs(30));
        });
        send(&mut pair, [1]);
        pair.slow = vec![Ns::ZERO, Ns::from_millis(1), Ns::from_micros(200)];
        pair.run_for(Ns::from_secs(1));
        pair.seen.clear();
        send(&mut pair, [1]);
        assert_eq!(pair.used(3)[1] == 0, moves, "{cadence:?}");
    }
}

#[test]
fn an_identical_snapshot_swapped_in_changes_no_output() {
    let run = |swaps: bool| {
        let mut pair = uneven(set(1), |settings| settings.explore_share = 20_000);
        for round in 0..10_u32 {
            if swaps {
                pair.ends[0].publish(policy(set(2 + round), |settings| settings.explore_share = 20_000));
            }
            send(&mut pair, (0..40).step_by(1 + round as usize));
        }
        let probes = |frame: &Vec<u8>| frame.windows(8).any(|window| window == [10, 8, 0, 2, 10, 7, 0, 2]);
        pair.seen.into_iter().filter(probes).collect::<Vec<_>>()
    };
    let (kept, swapped) = (run(false), run(true));
    assert!(kept.len() > 100);
    assert_eq!(kept, swapped);
}

#[test]
fn the_order_within_a_burst_does_not_matter() {
    let run = |order: fn(u16) -> u16| {
        let mut pair = uneven(set(1), |settings| {
            // All score nearly alike, and the draws decide.
            (settings.tie_q16, settings.explore_share) = (20 << 16, 10_000);
        });
        send(&mut pair, (0..30).map(order));
        let mut seen: Vec<Vec<u8>> = pair
            .seen
            .drain(..)
            .filter(|frame| frame.windows(4).any(|window| window == [10, 7, 0, 2]))
            .collect();
        seen.sort();
        seen
    };
    let forth = run(|flow| flow);
    assert_eq!(forth.len(), 30);
    assert_eq!(forth, run(|flow| 29 - flow));
    assert_eq!(forth, run(|flow| flow * 7 % 30));
}

/// A segment of TCP, whose payload the tracker sees, from the workload (`forth`) or to it.
fn segment(port: u16, forth: bool, flags: u8, seq: u32, ack: u32, payload: usize) -> Vec<u8> {
    let (from, to, ports) = match forth {
        true => (CLIENT.v4, FAR.v4, (port, 80)),
        false => (FAR.v4, CLIENT.v4, (80, port)),
    };
    let step = ip4(MACS, from, to, 64).tcp(ports.0, ports.1, seq, 60_000);
    let step = if flags & 2 != 0 { step.syn() } else { step };
    let step = if flags & 16 != 0 { step.ack(ack) } else { step };
    finish(step, &vec![1; payload])
}

/// A connection, whose next bytes are 100 and 1000; its port.
fn connect(pair: &mut Pair, flow: u16) -> u16 {
    let port = 20_000 + flow;
    pair.ends[0].offer(segment(port, true, 2, 99, 0, 0));
    pair.run_for(Ns::from_millis(1));
    pair.ends[1].offer(segment(port, false, 2 | 16, 999, 100, 0));
    pair.run_for(Ns::from_millis(1));
    pair.ends[0].offer(segment(port, true, 16, 100, 1_000, 0));
    port
}

#[test]
fn only_flows_that_are_sampled_explore() {
    for (sample_share, explored) in [(0, 0), (65_536, 30)] {
        let mut pair = uneven(set(1), |settings| {
            (settings.sample_share, settings.explore_share) = (sample_share, 65_536);
        });
        send(&mut pair, 0..30);
        let stats = pair.ends[0].worker.stats();
        assert_eq!((stats.path_decisions_explored, stats.path_decisions_model), (explored, 30 - explored));
    }
}

#[test]
fn a_gap_that_an_acknowledgement_ends_is_of_one_delivery_and_a_pause_ends_it() {
    for cadence in [Cadence::Flowlet, Cadence::Packet] {
        let mut pair = uneven(set(5), |settings| {
            (settings.sample_share, settings.cadence) = (65_536, cadence);
            (settings.flowlet_gap, settings.explore_share) = (Ns::from_millis(2), 65_536);
        });
        let told = |pair: &mut Pair| {
            let mut samples: Vec<(u64, u64)> = Vec::new();
            pair.ends[0].samples.drain(usize::MAX, |told| samples.push((told.sent_bytes, told.acked_bytes)));
            samples
        };
        let port = connect(&mut pair, 0);
        pair.ends[0].offer(segment(port, true, 16, 100, 1_000, 700));
        pair.run_for(Ns::from_millis(2));
        let decided = |pair: &Pair| {
            let stats = pair.ends[0].worker.stats();
            (stats.path_decisions_explored, stats.path_decisions_model)
        };
        let before = decided(&pair);
        // A window of 700 bytes: the sender goes on as soon as it may, after what makes a flowlet.
        pair.ends[1].offer(segment(port, false, 16, 1_000, 800, 0));
        pair.run_for(Ns::from_millis(1));
        pair.ends[0].offer(segment(port, true, 16, 800, 1_000, 300));
        pair.run_for(Ns::from_millis(1));
        assert!(before.0 > 0, "where a record begins all choices are drawn");
        assert_eq!(decided(&pair), (before.0, before.1 + 1), "within it the network chose again");
        pair.ends[1].offer(segment(port, false, 16, 1_000, 1_100, 0));
        pair.run_for(Ns::from_millis(100));
        assert_eq!(told(&mut pair), [(1_000, 1_000)], "told at the pause");
        // After it the flow begins another one.
        pair.ends[0].offer(segment(port, true, 16, 1_100, 1_000, 50));
        pair.run_for(Ns::from_millis(1));
        pair.ends[1].offer(segment(port, false, 16, 1_000, 1_150, 0));
        pair.run_for(Ns::from_millis(100));
        assert_eq!(told(&mut pair), [(50, 50)]);
    }
}

#[test]
fn control_flows_stay_on_the_rule_and_records_say_who_chose_with_which_probability() {
    let mut pair = uneven(set(5), |settings| {
        (settings.control_share, settings.explore_share) = (16_384, 16_384);
        settings.sample_share = 65_536;
    });
    for flow in 0..60 {
        let port = connect(&mut pair, flow);
        pair.ends[0].offer(segment(port, true, 16, 100, 1_000, 700));
        pair.run_for(Ns::from_millis(1));
        pair.ends[1].offer(segment(port, false, 16, 1_000, 800, 0));
        pair.run_for(Ns::from_millis(1));
        // A second delivery ends the first one's record.
        pair.ends[0].offer(segment(port, true, 16, 800, 1_000, 300));
        pair.run_for(Ns::from_millis(1));
    }
    pair.run_for(Ns::from_millis(100));
    let mut samples: Vec<PathSample> = Vec::new();
    pair.ends[0].samples.drain(usize::MAX, |sample| samples.push(*sample));
    assert_eq!(samples.len(), 60, "one delivery with payload each is over");
    let of = |source: PathSource| samples.iter().filter(move |sample| sample.source == source);
    let (model, explored, control) =
        (of(PathSource::Model).count(), of(PathSource::Explored).count(), of(PathSource::Control).count());
    assert!(model > 20 && explored > 3 && control > 5, "{model} {explored} {control}");
    for sample in &samples {
        assert_eq!((sample.sent_bytes, sample.acked_bytes, sample.repeated_bytes), (700, 700, 0));
        assert!(sample.delivery_ns >= 1_000_000 && sample.delivery_ns < 2_000_000, "{sample:?}");
        assert!(sample.base_rtt_ns > 90_000);
        assert_eq!((sample.choices, sample.features[10] > 0), (3, true), "{sample:?}");
    }
    let each = 16_384 / 3;
    for sample in of(PathSource::Model).chain(of(PathSource::Explored)) {
        assert_eq!((sample.generation, sample.schema_hash), (5, PathSchema::default().hash()));
        let greedy = sample.path == 1;
        assert_eq!(sample.probability_q16, if greedy { each + 49_152 } else { each }, "{sample:?}");
    }
    assert!(of(PathSource::Control).all(|sample| sample.generation == 0 && sample.probability_q16 == 65_536));
    let stats = pair.ends[0].worker.stats();
    assert_eq!((stats.path_samples, stats.path_samples_dropped), (60, 0));
    assert!(stats.path_decisions_control > 5 && stats.path_decisions_explored > 3);
}

#[test]
fn a_snapshot_for_something_else_is_refused() {
    let hash = PathSchema::default().hash();
    let refused = |parts: &Parts, hash| Generation::of_paths(1, executable(parts), hash).map(|_| ());
    assert_eq!(refused(&by_rtt(), hash), Ok(()));
    assert_eq!(refused(&by_rtt(), 5), Err(Unfit::Schema { expected: 5, found: hash }));
    let other = Parts { function: Function::Schedule, ..by_rtt() };
    let unfit = Unfit::Function { expected: Function::Balance, found: Function::Schedule };
    assert_eq!(refused(&other, hash), Err(unfit));
}
