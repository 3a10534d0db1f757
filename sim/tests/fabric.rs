//! Small fabrics, seconds each: every policy carries every transfer, nothing is lost without a name, and what is known to be
//! better is.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use std::sync::Arc;
use weir_engine::balance::BalanceSettings;
use weir_engine::balance::PathRule as EngineRule;
use weir_engine::models::Generation;
use weir_engine::time::{BitsPerSec, Ns};
use weir_engine::wire::IpVersion;
use weir_features::{PATH_INPUTS, PathSchema};
use weir_sim::edge::{EnginePaths, HermesSettings, Plb};
use weir_sim::experiment::{
    Experiment, FabricCase, FabricExperiment, FabricScheme, Fault, JobsCase, JobsExperiment, JobsScheme,
    PathRule, Priorities, WeirSettings, World,
};
use weir_sim::fabric::FabricConfig;
use weir_sim::tcp::CongestionKind;
use weir_sim::workload::Sizes;
use weir_snapshot::{
    Activation, Executable, Executor, Function, InputParts, LayerParts, Output, OutputParts, Parts,
    Precision, Snapshot,
};

const FORWARDING: WeirSettings =
    WeirSettings { pacing: None, decision_delay: Ns::ZERO, decision_cost: Ns::ZERO };
const GAP: Ns = Ns::from_micros(150);

/// The engine's paths by a rule, or by a network whose decisions count this much later.
fn engine(rule: EngineRule, late: Option<Ns>) -> PathRule {
    let settings = BalanceSettings {
        rule,
        model: late.is_some(),
        flowlet_gap: GAP,
        control_share: 0,
        explore_share: 0,
        ..BalanceSettings::default()
    };
    let model = late.map(|_| by_rtt());
    let decision_delay = late.unwrap_or(Ns::ZERO);
    PathRule::Engine(EnginePaths { settings, model, decision_delay, probe_interval: None })
}

/// The network at once, with probes on every path.
fn probed() -> PathRule {
    let PathRule::Engine(paths) = engine(EngineRule::Ecmp, Some(Ns::ZERO)) else { unreachable!() };
    PathRule::Engine(EnginePaths { probe_interval: Some(Ns::from_micros(100)), ..paths })
}

/// A network of one neuron: the score is the path's RTT over the least one, less 1.
fn by_rtt() -> Arc<Generation> {
    let ratio = InputParts { multiplier: 1, shift: 8, offset: 0, clip_lo: 1 << 16, clip_hi: 8 << 16 };
    let nothing = InputParts { multiplier: 1, shift: 16, offset: 0, clip_lo: 0, clip_hi: 1 << 16 };
    let (mut inputs, mut weights) = (vec![nothing; PATH_INPUTS], vec![0; PATH_INPUTS]);
    (inputs[0], weights[0]) = (ratio, 1);
    let schema = PathSchema::default().hash();
    let layer = LayerParts {
        inputs: PATH_INPUTS,
        outputs: 1,
        weights,
        bias: vec![-256],
        multiplier: vec![0],
        shift: vec![0],
        activation: Activation::Identity,
    };
    let parts = Parts {
        function: Function::Balance,
        precision: Precision::Bits12,
        schema_hash: schema,
        name: "by_rtt".into(),
        inputs,
        layers: vec![layer],
        output: Output::Linear,
        outputs: vec![OutputParts { multiplier: 256, shift: 0, offset: 0, lo: -(10 << 16), hi: 10 << 16 }],
    };
    let snapshot = Snapshot::decode(&weir_snapshot::encode(&parts).unwrap()).unwrap();
    let executable = Executable::new(snapshot, Executor::Scalar).unwrap();
    Arc::new(Generation::of_paths(1, executable, schema).unwrap())
}

fn experiment(world: World) -> Experiment {
    let (comparisons, expectations) = (Vec::new(), Vec::new());
    Experiment {
        title: String::new(),
        seeds: 1,
        first_seed: 1,
        baseline: 0,
        comparisons,
        expectations,
        world,
    }
}

fn fabric(fault: Fault, version: IpVersion, weir: Option<WeirSettings>) -> Experiment {
    fabric_for(Ns::from_millis(10), fault, version, weir)
}

fn fabric_for(arrivals: Ns, fault: Fault, version: IpVersion, weir: Option<WeirSettings>) -> Experiment {
    let rules = [
        ("ecmp", PathRule::Ecmp),
        ("letflow", PathRule::LetFlow(GAP)),
        ("plb", PathRule::Plb(Plb::ROUNDS)),
        ("power-of-two", PathRule::PowerOfTwo(GAP)),
        ("conga", PathRule::Conga(GAP)),
        ("hermes", PathRule::Hermes(HermesSettings::for_rtt(Ns::from_micros(80)))),
        ("engine ecmp", engine(EngineRule::Ecmp, None)),
        ("engine power-of-two", engine(EngineRule::PowerOfTwo, None)),
        ("engine model", engine(EngineRule::Ecmp, Some(Ns::ZERO))),
        ("engine model, far too late", engine(EngineRule::Ecmp, Some(Ns::from_secs(60)))),
        ("engine model, probes", probed()),
    ];
    let scheme = |(name, path): (&str, PathRule)| FabricScheme {
        weir: weir.clone(),
        ..FabricScheme::new(name.to_owned(), path)
    };
    experiment(World::Fabric(FabricExperiment {
        fabric: FabricConfig { leaves: 2, spines: 2, hosts_per_leaf: 4, ..FabricConfig::default() },
        sizes: Sizes::parse("bytes,cdf\n1000,0.5\n100000,0.9\n2000000,1\n", None).unwrap(),
        arrivals,
        warm_up: Ns::ZERO,
        drain: Ns::from_secs(2),
        congestion: CongestionKind::Dctcp,
        version,
        rto_min: Ns::from_millis(10),
        conditions: vec![FabricCase { name: "case".to_owned(), load: 0.5, fault }],
        schemes: rules.map(scheme).into(),
    }))
}

fn figure(experiment: &Experiment, scheme: usize, name: &str, seed: u64) -> f64 {
    let at = experiment.metrics().iter().position(|metric| metric.name == name).unwrap();
    experiment.run(0, scheme, seed).unwrap()[at]
}

#[test]
fn every_policy_carries_every_transfer_with_and_without_a_worker_on_each_host() {
    for (version, weir) in [(IpVersion::V6, Some(FORWARDING)), (IpVersion::V4, None)] {
        let experiment = fabric(Fault::None, version, weir);
        for scheme in 0..experiment.schemes().len() {
            let figures = experiment.run(0, scheme, 1).unwrap();
            let at = |name| experiment.metrics().iter().position(|metric| metric.name == name).unwrap();
            assert!(figures[at("flows")] > 100.0 && figures[at("unfinished")] == 0.0, "{figures:?}");
            assert!(figures[at("slowdown_p50")] >= 1.0 && figures[at("slowdown")] < 20.0, "{figures:?}");
        }
    }
}

#[test]
fn a_worker_that_forwards_changes_no_figure() {
    let (with, without) =
        (fabric(Fault::None, IpVersion::V6, Some(FORWARDING)), fabric(Fault::None, IpVersion::V6, None));
    for scheme in [0, 1, 5, 8] {
        let bits = |experiment: &Experiment| -> Vec<u64> {
            experiment.run(0, scheme, 3).unwrap().iter().map(|figure| figure.to_bits()).collect()
        };
        assert_eq!(bits(&with), bits(&without));
    }
}

#[test]
fn who_sees_the_queues_suffers_less_from_a_slow_link_and_who_senses_loss_from_a_lossy_spine() {
    let slow = fabric(Fault::Slow { links: vec![(0, 0)], factor: 0.1, at: Ns::ZERO }, IpVersion::V6, None);
    let mean = |experiment: &Experiment, scheme, name| {
        (1..=3).map(|seed| figure(experiment, scheme, name, seed)).sum::<f64>()
    };
    assert!(mean(&slow, 4, "fct_ms") < 0.7 * mean(&slow, 0, "fct_ms"));
    let lossy = fabric_for(
        Ns::from_millis(40),
        Fault::Lossy { spine: 0, loss: 0.05, at: Ns::ZERO },
        IpVersion::V6,
        None,
    );
    let repeated = [0, 5].map(|scheme| mean(&lossy, scheme, "repeated_percent"));
    assert!(repeated[1] < 0.8 * repeated[0], "{repeated:?}");
}

#[test]
fn the_engine_chooses_by_its_rules_and_its_network_inline_or_late() {
    let slow = fabric(Fault::Slow { links: vec![(0, 0)], factor: 0.1, at: Ns::ZERO }, IpVersion::V6, None);
    let means: Vec<f64> = (6..11)
        .map(|scheme| (1..=3).map(|seed| figure(&slow, scheme, "fct_ms", seed)).sum::<f64>())
        .collect();
    let [ecmp, power_of_two, model, late, probed] = means[..] else { panic!("{means:?}") };
    assert!(power_of_two < 0.8 * ecmp && model < 0.8 * ecmp, "{means:?}");
    // Probes tell of paths on which nothing of its own is, and of nothing but the path.
    assert!(probed < model, "{means:?}");
    // Until its network has answered a flow goes by the rule: here to its end.
    assert_eq!(late.to_bits(), ecmp.to_bits(), "{means:?}");
}

#[test]
fn a_fault_may_begin_on_the_way_and_what_came_before_is_not_measured() {
    let slow = |at| Fault::Slow { links: vec![(0, 0)], factor: 0.1, at };
    let run = |fault, warm_up| {
        let mut experiment = fabric(fault, IpVersion::V6, None);
        let World::Fabric(world) = &mut experiment.world else { unreachable!() };
        world.warm_up = warm_up;
        ["flows", "fct_ms"].map(|name| figure(&experiment, 0, name, 1))
    };
    let whole = run(Fault::None, Ns::ZERO);
    assert_eq!(run(slow(Ns::from_secs(60)), Ns::ZERO), whole, "a fault after the end is none");
    let late = run(slow(Ns::from_millis(5)), Ns::ZERO);
    let [flows, after] = run(slow(Ns::from_millis(5)), Ns::from_millis(5));
    assert!(flows > 0.3 * whole[0] && flows < 0.7 * whole[0], "{flows} of {}", whole[0]);
    assert!(whole[1] < late[1] && late[1] < after, "{whole:?} {late:?} {after}");
}

#[test]
fn flows_leave_a_link_that_is_cut() {
    let cut = fabric(Fault::Cut { link: (0, 0), at: Ns::from_millis(2) }, IpVersion::V6, None);
    assert_eq!(figure(&cut, 0, "unfinished", 1), 0.0);
}

#[test]
fn to_know_sizes_is_worth_something_and_to_guess_them_wrong_costs() {
    let scheme = |(name, priorities): (&str, Priorities)| {
        let weir = matches!(priorities, Priorities::Engine { .. }).then_some(FORWARDING);
        JobsScheme { name: name.to_owned(), priorities, weir }
    };
    let jobs = experiment(World::Jobs(JobsExperiment {
        fabric: FabricConfig {
            hosts_per_leaf: 8,
            rate: BitsPerSec::from_mbps(1_000),
            ..FabricConfig::default()
        },
        sizes: Sizes::parse("bytes,cdf\n1000,0.4\n30000,0.7\n300000,0.95\n1000000,1\n", None).unwrap(),
        application: 1,
        arrivals: Ns::from_millis(60),
        warm_up: Ns::from_millis(10),
        drain: Ns::from_secs(2),
        ageing: Ns::from_millis(10),
        rto_min: Ns::from_millis(10),
        conditions: vec![JobsCase {
            name: "case".to_owned(),
            predictability: 0.9,
            drift_at: None,
            load: 0.7,
        }],
        schemes: [
            ("fifo", Priorities::Fifo),
            ("ageing", Priorities::Ageing(1.0)),
            ("oracle", Priorities::Oracle),
            ("stage", Priorities::Stage),
            ("engine", Priorities::Engine { scale: 1.0, model: None }),
        ]
        .map(scheme)
        .into(),
    }));
    let mean = |scheme| (1..=3).map(|seed| figure(&jobs, scheme, "slowdown", seed)).sum::<f64>();
    let [fifo, ageing, oracle, stage, engine] = [0, 1, 2, 3, 4].map(mean);
    assert!(oracle < ageing && ageing < fifo && stage < fifo, "{fifo} {ageing} {oracle} {stage}");
    // The engine marks by the same thresholds as a stack that knows its own bytes.
    assert!(engine < fifo && (engine / ageing - 1.0).abs() < 0.25, "{fifo} {ageing} {engine}");
}
