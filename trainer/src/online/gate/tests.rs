//! What the stages' tests share, and the gate as a whole.

use super::*;
use crate::network::{Activation, Layer};
use crate::online::Batch;
use crate::online::examples::Outcome;
use crate::online::replay::{Driven, Driver, Episode, Rehearsal, Replay};
use crate::quantise::QuantiseError;
use crate::rng::Rng;
use crate::verify::rows;
use weir_env::Estimates;
use weir_snapshot::{Executor, Snapshot};

const FEATURES: usize = 3;

/// Ten intervals of Aurora's features.
pub(in crate::online) fn terms() -> Terms {
    let clips = [[-0.5, 0.5], [1.0, 3.0], [0.5, 2.0]];
    let inputs = (0..30).map(|at| InputMap { scale: 1.0, offset: 0.0, clip: clips[at % FEATURES] }).collect();
    Terms {
        name: "running".into(),
        function: Function::Pacing,
        schema_hash: 7,
        inputs,
        outputs: 1,
        output: Output::Linear,
    }
}

/// A seeded network of Aurora's kind, small enough to be quick.
pub(in crate::online) fn network(seed: u64) -> Network {
    let mut rng = Rng::new(seed);
    let mut layer = |inputs: usize, outputs: usize, activation| Layer {
        inputs,
        outputs,
        weights: (0..inputs * outputs).map(|_| rng.normal() / (inputs as f64).sqrt()).collect(),
        bias: (0..outputs).map(|_| 0.1 * rng.normal()).collect(),
        activation,
    };
    let layers = vec![
        layer(30, 16, Activation::Tanh),
        layer(16, 8, Activation::Tanh),
        layer(8, 1, Activation::Identity),
    ];
    Network { layers, output: Output::Linear }
}

/// 256 decisions of flows at 10 Mb/s.
pub(in crate::online) fn examples() -> Examples {
    let mut examples = Examples::new(30, 256);
    for row in rows(&terms().inputs, FEATURES, 256, 5) {
        examples.push(&row, Outcome { rate_bps: 10_000_000, ..Outcome::default() });
    }
    examples
}

/// `network(1)` as it runs: in 12 bits.
pub(in crate::online) fn running() -> Executable {
    let bytes = calibrated(&network(1), Precision::Bits12, &terms(), &examples()).unwrap();
    Executable::new(Snapshot::decode(&bytes).unwrap(), Executor::Scalar).unwrap()
}

impl Answers {
    pub(in crate::online) fn of_one_output(values: Vec<f64>) -> Answers {
        Answers { outputs: 1, values }
    }

    pub(in crate::online) fn nudge_every(&mut self, nth: usize, by: f64) {
        self.values.iter_mut().step_by(nth).for_each(|value| *value += by);
    }
}

/// Pays everybody the same.
struct Even;

impl Replay for Even {
    fn cost(&self, _: &Episode) -> u64 {
        1
    }

    fn drive(&mut self, _: Driver<'_>, _: &Episode) -> Driven {
        Driven { reward: 0.8, loss: 0.0 }
    }

    fn rehearse(&mut self, _: Driver<'_>, _: &Rehearsal<'_>, _: &mut Batch) {}
}

const LINK: InUse = InUse {
    path: Estimates {
        capacity_bps: 1e7,
        base_rtt_s: 0.02,
        queue_bytes: 25e3,
        loss: 0.0,
        jitter_s: 0.0,
        flows: 1,
    },
    held_down: false,
};

fn judged(candidate: &Candidate<'_>, hold_out: &Examples, quantiser: Option<&mut Quantiser<'_>>) -> Judged {
    let (recent, running) = (examples(), running());
    let evidence = Evidence {
        active: 3,
        running: &running,
        known_bad: &[],
        recent: &recent,
        hold_out,
        comparison: Comparison::Replay { present: &[LINK], seed: 1, remembered: &[] },
    };
    let config = GateConfig::new(Some(Safety::new(1_000_000, 100_000_000)));
    let judging = match quantiser {
        Some(quantiser) => judge_with(candidate, &evidence, &terms(), &config, quantiser),
        None => judge(candidate, &evidence, &terms(), &config),
    };
    judging.to_end(&mut Even, &running, &config.tolerance)
}

const FLAT: [f64; 4] = [1.0; 4];

#[test]
fn a_better_network_passes_with_all_its_figures() {
    let network = network(2);
    let judged = judged(&Candidate { network: &network, tuned_from: 3, stability: &FLAT }, &examples(), None);
    let encoded = judged.verdict.unwrap();
    assert_eq!(valid(&encoded.bytes, &terms()).unwrap(), *encoded.executable.snapshot());
    let figures = judged.figures;
    assert_eq!((figures.stability_spread, figures.clamped_share), (Some(0.0), Some(0.0)));
    assert!(figures.fidelity_loss.unwrap() > 0.05 && figures.quantisation_mean.unwrap() < 0.025);
    assert!(figures.quantisation_p99.unwrap() > figures.quantisation_mean.unwrap());
    assert_eq!(figures.replayed.unwrap().rule, 0.8);
    assert_eq!(figures.output_bounds.len(), 1);
}

#[test]
fn the_first_stage_that_fails_refuses() {
    let reason = |network: &Network, tuned_from, stability: &[f64], hold_out: &Examples| {
        let candidate = Candidate { network, tuned_from, stability };
        judged(&candidate, hold_out, None).verdict.unwrap_err().reason()
    };
    let (good, all, none) = (network(2), examples(), Examples::new(30, 1));
    let mut not_finite = network(2);
    not_finite.layers[1].weights[0] = f64::NAN;
    // Each candidate fails at all later stages that can be made to fail as well.
    assert_eq!(reason(&not_finite, 2, &[], &none), RefusalReason::Stale);
    assert_eq!(reason(&not_finite, 3, &[], &none), RefusalReason::NotConverged);
    assert_eq!(reason(&not_finite, 3, &FLAT, &none), RefusalReason::NotFinite);
    assert_eq!(reason(&good, 3, &FLAT, &none), RefusalReason::TooLittleEvidence);
    assert_eq!(reason(&network(1), 3, &FLAT, &all), RefusalReason::Unnecessary);
}

#[test]
fn what_the_quantiser_makes_is_not_believed() {
    let network = network(2);
    let candidate = Candidate { network: &network, tuned_from: 3, stability: &FLAT };
    let reason = |make: &dyn Fn(Precision) -> Result<Vec<u8>, QuantiseError>| {
        let mut quantiser = |_: &Network, precision| make(precision);
        judged(&candidate, &examples(), Some(&mut quantiser)).verdict.unwrap_err().reason()
    };
    let good = |precision| calibrated(&network, precision, &terms(), &examples());
    assert_eq!(reason(&|_| Ok(Vec::new())), RefusalReason::Invalid);
    let foreign = Terms { schema_hash: 8, ..terms() };
    assert_eq!(
        reason(&|precision| calibrated(&network, precision, &foreign, &examples())),
        RefusalReason::Foreign
    );
    let unheld = QuantiseError::Scale { layer: 1, output: 0, factor: f64::INFINITY };
    assert_eq!(reason(&|_| Err(unheld.clone())), RefusalReason::Unquantisable);
    // Integers of another network than the floats.
    let other = super::tests::network(9);
    let foreign_integers = |precision| calibrated(&other, precision, &terms(), &examples());
    assert_eq!(reason(&foreign_integers), RefusalReason::Imprecise);
    assert!(good(Precision::Bits8).is_ok());
}

#[test]
fn a_generation_that_was_rolled_back_does_not_come_again() {
    let network = network(2);
    let bytes = calibrated(&network, Precision::Bits12, &terms(), &examples()).unwrap();
    let bad = Executable::new(Snapshot::decode(&bytes).unwrap(), Executor::Scalar).unwrap();
    let (recent, running) = (examples(), running());
    let known_bad = [(2, bad)];
    let evidence = Evidence {
        active: 3,
        running: &running,
        known_bad: &known_bad,
        recent: &recent,
        hold_out: &recent,
        comparison: Comparison::HoldOut,
    };
    let candidate = Candidate { network: &network, tuned_from: 3, stability: &FLAT };
    let config = GateConfig::new(None);
    let verdict = |candidate: &Candidate<'_>| {
        judge(candidate, &evidence, &terms(), &config).to_end(&mut Even, &running, &config.tolerance).verdict
    };
    let refused = verdict(&candidate).unwrap_err();
    assert!(matches!(refused, Refusal::KnownBad { generation: 2, .. }), "{refused}");
    let other = super::tests::network(5);
    let candidate = Candidate { network: &other, ..candidate };
    let refused = verdict(&candidate).map(|_| ());
    assert!(!matches!(refused, Err(Refusal::KnownBad { .. })), "{refused:?}");
}

#[test]
fn every_reason_has_a_name_of_its_own_and_a_place() {
    let names: std::collections::BTreeSet<&str> =
        RefusalReason::ALL.iter().map(|reason| reason.name()).collect();
    assert_eq!(names.len(), RefusalReason::ALL.len());
    let refusal = Refusal::Unsafe { share: 0.0213, share_max: 0.01 };
    assert_eq!(refusal.to_string(), "the guard would clamp 2.13 % of hold-out rows, 1.00 % pass");
}
