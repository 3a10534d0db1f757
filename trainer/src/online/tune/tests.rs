//! Tuners against problems whose answers are known.

use super::*;
use crate::graph::{Head, Regression};
use crate::network::Network;
use crate::online::adapter::Adapter;
use crate::online::batch::{Batch, Row};
use crate::online::gate::tests::{network, terms};
use crate::rng::Rng;
use crate::testing;

const SIGMA: f64 = 0.5;

fn real(row: &[f32]) -> Vec<f64> {
    row.iter().map(|&x| f64::from(x)).collect()
}

/// One row of inputs within the clips.
fn inputs(rng: &mut Rng) -> Vec<f32> {
    terms().inputs.iter().map(|map| rng.uniform(map.clip[0], map.clip[1]) as f32).collect()
}

/// 1 024 decisions that `policy` took with noise, in trajectories of 32; reward is best at this action.
fn decided(policy: &Network, best: f64, rng: &mut Rng) -> Batch {
    let mut batch = Batch::new(30);
    for n in 0..1024 {
        let inputs = inputs(rng);
        let noise = SIGMA * rng.normal();
        let action = policy.evaluate(&real(&inputs))[0] + noise;
        let z = noise / SIGMA;
        batch.push(&Row {
            inputs: &inputs,
            action: action as f32,
            noise: noise as f32,
            log_prob: (-z * z / 2.0 - SIGMA.ln() - std::f64::consts::TAU.ln() / 2.0) as f32,
            reward: (1.0 - 0.1 * (action - best).powi(2)) as f32,
            weight: 1.0,
            continues: n % 32 != 0,
            explored: true,
            remembered: false,
        });
    }
    batch
}

fn mean_action(policy: &Network) -> f64 {
    let mut rng = Rng::new(99);
    (0..500).map(|_| policy.evaluate(&real(&inputs(&mut rng)))[0]).sum::<f64>() / 500.0
}

#[test]
fn a_policy_moves_to_what_is_rewarded_and_a_reset_undoes_it() {
    let Some(engine) = testing::engine("a tuned policy with its reward") else { return };
    let start = network(1);
    let tuning = PolicyTuning { learning_rate: 2e-3, warm_up: 2, ..PolicyTuning::default() };
    let mut tuner = PolicyTuner::new(&engine, &start, &terms().inputs, tuning).unwrap();
    let best = mean_action(&start) + 2.0;
    let mut rng = Rng::new(1);
    let mut steps = 0;
    for batch in 0..100 {
        let acting = tuner.freeze().unwrap();
        let report = tuner.adapt(&decided(&acting, best, &mut rng)).unwrap();
        assert_eq!(report.rows, 1024 - 32, "the last of each trajectory has no successor");
        assert!(batch >= 2 || report.steps == 0, "the value network comes first");
        steps += report.steps;
    }
    let tuned = mean_action(&tuner.freeze().unwrap());
    assert!(
        (tuned - best).abs() < 0.6,
        "from {:.2} to {tuned:.2}, best is {best:.2}, {steps} steps",
        best - 2.0
    );
    let surprise = tuner.evaluate(&Batch::new(30)).unwrap();
    assert!(surprise < 0.05, "{surprise}");
    tuner.reset(&start).unwrap();
    assert!((mean_action(&tuner.freeze().unwrap()) - mean_action(&start)).abs() < 1e-4);
}

#[test]
fn without_noise_only_the_value_network_learns() {
    let Some(engine) = testing::engine("a policy that was not explored") else { return };
    let tuning = PolicyTuning { warm_up: 0, ..PolicyTuning::default() };
    let mut tuner = PolicyTuner::new(&engine, &network(1), &terms().inputs, tuning).unwrap();
    let before = tuner.freeze().unwrap();
    let mut silent = Batch::new(30);
    for row in decided(&network(1), 1.0, &mut Rng::new(2)).rows() {
        silent.push(&Row { explored: false, ..row });
    }
    let first = tuner.adapt(&silent).and_then(|_| tuner.evaluate(&silent)).unwrap();
    let last = (0..80).map(|_| tuner.adapt(&silent).and_then(|_| tuner.evaluate(&silent)).unwrap()).last();
    assert!(last.unwrap() < first / 2.0, "{first} {last:?}");
    assert_eq!(tuner.freeze().unwrap(), before);
    assert!(matches!(tuner.adapt(&Batch::new(7)), Err(AdaptError::Width { expected: 30, found: 7, .. })));
}

#[test]
fn a_policy_learns_what_it_is_told_and_reinforcement_goes_on_from_there() {
    let Some(engine) = testing::engine("a policy that is taught") else { return };
    let (truth, mut rng) = (network(2), Rng::new(1));
    let tuning = PolicyTuning { warm_up: 0, ..PolicyTuning::default() };
    let mut tuner = PolicyTuner::new(&engine, &network(1), &terms().inputs, tuning.clone()).unwrap();
    let mut lessons = Batch::new(30);
    for row in decided(&network(1), 1.0, &mut rng).rows() {
        let answer = truth.evaluate(&real(row.inputs))[0] as f32;
        lessons.push(&Row { reward: answer, ..row });
    }
    let off = |network: &Network| {
        let square = |row: Row<'_>| (network.evaluate(&real(row.inputs))[0] - f64::from(row.reward)).powi(2);
        (lessons.rows().map(square).sum::<f64>() / lessons.len() as f64).sqrt()
    };
    let before = off(&tuner.freeze().unwrap());
    for _ in 0..30 {
        let report = tuner.pupil().unwrap().imitate(&lessons).unwrap();
        assert_eq!(report.rows, 1024);
    }
    let taught = tuner.freeze().unwrap();
    assert!(off(&taught) < before / 3.0, "{before} {}", off(&taught));
    let told = tuner.evaluate(&lessons).unwrap();
    assert!((told / off(&taught) - 1.0).abs() < 0.5, "{told}: how far the answers are off");

    tuner.adapt(&decided(&taught, 1.0, &mut rng)).unwrap();
    let tuned = tuner.freeze().unwrap();
    assert!((mean_action(&tuned) - mean_action(&taught)).abs() < 0.2);
    assert!(tuner.evaluate(&lessons).unwrap() < 1.0, "the value network's surprise again");

    let mut broken = Batch::new(30);
    lessons.rows().for_each(|row| assert!(broken.push(&Row { reward: f32::NAN, ..row })));
    assert!(matches!(tuner.pupil().unwrap().imitate(&broken), Err(AdaptError::Learner(_))));
    assert_eq!(tuner.freeze().unwrap(), tuned);
    tuner.reset(&network(1)).unwrap();
    assert!((mean_action(&tuner.freeze().unwrap()) - mean_action(&network(1))).abs() < 1e-4);
    assert!(tuner.pupil().unwrap().imitate(&lessons).is_ok(), "what was broken is forgotten");
}

#[test]
fn numbers_that_are_none_leave_both_networks_as_they_were() {
    let Some(engine) = testing::engine("a broken batch") else { return };
    let tuning = PolicyTuning { warm_up: 0, ..PolicyTuning::default() };
    let mut tuner = PolicyTuner::new(&engine, &network(1), &terms().inputs, tuning).unwrap();
    let before = tuner.freeze().unwrap();
    let mut broken = Batch::new(30);
    for row in decided(&network(1), 1.0, &mut Rng::new(3)).rows() {
        broken.push(&Row { reward: f32::NAN, ..row });
    }
    assert!(matches!(tuner.adapt(&broken), Err(AdaptError::Learner(_))));
    assert_eq!(tuner.freeze().unwrap(), before);
    assert!(tuner.adapt(&decided(&network(1), 1.0, &mut Rng::new(4))).is_ok(), "the next batch counts again");
}

#[test]
fn a_predictor_learns_the_truth() {
    let Some(engine) = testing::engine("a tuned predictor with the truth") else { return };
    let (truth, mut rng) = (network(2), Rng::new(1));
    let tuning = PredictionTuning::new(Head::Regression(Regression::Mse));
    let mut tuner = PredictionTuner::new(&engine, &network(1), &terms().inputs, tuning).unwrap();
    let mut batch = Batch::new(30);
    for _ in 0..1024 {
        let inputs = inputs(&mut rng);
        let target = truth.evaluate(&real(&inputs))[0] as f32;
        batch.push(&Row {
            inputs: &inputs,
            action: 0.0,
            noise: 0.0,
            log_prob: 0.0,
            reward: target,
            weight: 1.0,
            continues: false,
            explored: false,
            remembered: false,
        });
    }
    let before = tuner.evaluate(&batch).unwrap();
    for _ in 0..60 {
        tuner.adapt(&batch).unwrap();
    }
    let after = tuner.evaluate(&batch).unwrap();
    assert!(after > 1.0 && after - 1.0 < (before - 1.0) / 10.0, "{before} {after}");
    tuner.reset(&network(1)).unwrap();
    assert!((tuner.evaluate(&batch).unwrap() - before).abs() < 1e-5);
}

#[test]
fn minibatches_hold_every_row_once() {
    let mut rows: Vec<usize> = (0..1000).collect();
    let parts = minibatches(&mut rows, 256, &mut Rng::new(1));
    assert!(parts.iter().all(|part| (250..=334).contains(&part.len())), "{parts:?}");
    let mut all: Vec<usize> = parts.concat();
    all.sort_unstable();
    assert_eq!(all, (0..1000).collect::<Vec<_>>());
    assert!(minibatches(&mut [], 256, &mut Rng::new(1)).is_empty());
}
