//! What each head learns, and that it is what the reference learns.

use super::*;

/// The same steps in f32 on ONNX Runtime and in f64 by the reference.
#[test]
fn three_hundred_steps_follow_the_reference() {
    let Some(engine) = engine(WHAT) else { return };
    for (number, head) in heads().into_iter().enumerate() {
        let mut rng = Rng::new(31 + number as u64);
        let outputs = match head {
            Head::Bandit(Bandit::Options { .. } | Bandit::Scorer { .. }) => 1,
            _ => 2,
        };
        let activations = [Activation::Tanh, Activation::LeakyRelu { slope: 0.125 }, Activation::Identity];
        let mut case = case_of(&[5, 7, 6, outputs], &activations, head, 40, &mut rng);
        case.adam.grad_norm_max = (number % 2 == 1).then_some(0.25);
        let (mut learner, mut reference) = (learner(&engine, &case), Reference::new(&case));
        let mut losses = Vec::new();
        for step in 0..300 {
            let found = learner.step(&case.batch(), 0.002).unwrap().loss;
            let expected = reference.step(&case.rows, 0.002);
            let error = (found - expected).abs();
            assert!(error < 2e-4 * (1.0 + expected.abs()), "{head:?}, step {step}: {found}, {expected}");
            losses.push(expected);
        }
        assert!(losses[299] < losses[0] - 0.01, "{head:?} learns: {} to {}", losses[0], losses[299]);
        let mut compared = learner.parameters().len();
        if matches!(head, Head::Bandit(Bandit::Options { .. })) {
            // A softmax of scores does not see their common bias: what moves it is rounding.
            compared -= 1;
        }
        for (found, expected) in learner.parameters()[..compared].iter().zip(reference.parameters()) {
            assert!((f64::from(*found) - *expected).abs() < 2e-3, "{head:?}: {found} against {expected}");
        }
    }
}

#[test]
fn the_network_is_the_one_that_the_graph_trains() {
    let Some(engine) = engine(WHAT) else { return };
    let mut rng = Rng::new(32);
    let case = case_of(&[2, 3, 2], &[Activation::Tanh; 2], Head::Regression(Regression::Mse), 8, &mut rng);
    let mut learner = learner(&engine, &case);
    // Weights are f32 from the start.
    assert_eq!(learner.network(), case.network);
    learner.step(&case.batch(), 0.1).unwrap();
    let network = learner.network();
    let predicted: Vec<Vec<f64>> = case
        .rows
        .inputs
        .chunks_exact(2)
        .map(|row| network.evaluate(&[f64::from(row[0]), f64::from(row[1])]))
        .collect();
    let targets: Vec<f32> = predicted.iter().flatten().map(|&y| y as f32).collect();
    let own = HeadBatch { labels: Labels::Targets { targets: &targets }, ..case.batch() };
    assert!(learner.evaluate(&own).unwrap().loss < 1e-12);
}

/// A Gaussian policy without a state, rewarded for coming near 0.7: the mean must find it, the deviation shrink.
#[test]
fn ppo_solves_a_bandit_and_its_deviation_shrinks() {
    let Some(engine) = engine(WHAT) else { return };
    let layer = Layer {
        inputs: 1,
        outputs: 1,
        weights: vec![0.0],
        bias: vec![-1.0],
        activation: Activation::Identity,
    };
    let network = Network { layers: vec![layer], output: Output::Linear };
    let head = Head::Ppo(PpoHead { clip: 0.2, entropy: 0.0, log_std: LogStd::Trained { start: -0.5 } });
    let adam = AdamOptions { grad_norm_max: Some(0.5), ..AdamOptions::default() };
    let mut learner = Learner::new(&engine, &network, &head, adam).unwrap();
    let mut rng = Rng::new(33);
    const ROWS: usize = 256;
    let inputs = vec![1.0; ROWS];
    let mut rewards = Vec::new();
    for _ in 0..60 {
        let mean = learner.network().evaluate(&[1.0])[0];
        let log_std = f64::from(learner.log_std()[0]);
        let noise: Vec<f64> = (0..ROWS).map(|_| rng.normal()).collect();
        let actions: Vec<f32> = noise.iter().map(|z| (mean + log_std.exp() * z) as f32).collect();
        let log_probs: Vec<f32> = noise
            .iter()
            .map(|z| (-z * z / 2.0 - log_std - std::f64::consts::TAU.ln() / 2.0) as f32)
            .collect();
        let reward = |action: &f32| -(f64::from(*action) - 0.7).powi(2);
        let average = actions.iter().map(reward).sum::<f64>() / ROWS as f64;
        let advantages: Vec<f32> = actions.iter().map(|action| (reward(action) - average) as f32).collect();
        rewards.push(average);
        let labels = Labels::Actions { actions: &actions, log_probs: &log_probs, advantages: &advantages };
        let batch = HeadBatch { inputs: &inputs, labels, weights: None };
        for step in 0..10 {
            let report = learner.step(&batch, 0.01).unwrap();
            if step == 0 {
                // Nothing has moved yet: every ratio is 1.
                assert!(report.kl.unwrap().abs() < 1e-5 && report.clip_fraction == Some(0.0), "{report:?}");
            }
        }
    }
    assert!(rewards[0] < -2.0 && rewards[59] > -0.05, "{rewards:?}");
    assert!((learner.network().evaluate(&[1.0])[0] - 0.7).abs() < 0.1);
    assert!(learner.log_std()[0] < -1.0, "{:?}", learner.log_std());
}

#[test]
fn a_fixed_deviation_stays_and_is_no_parameter() {
    let Some(engine) = engine(WHAT) else { return };
    let mut rng = Rng::new(34);
    let head = Head::Ppo(PpoHead { clip: 0.2, entropy: 0.01, log_std: LogStd::Fixed(-1.5) });
    let case = case_of(&[2, 3, 1], &[Activation::Tanh; 2], head, 16, &mut rng);
    let mut learner = learner(&engine, &case);
    let entropy = -1.5 + (std::f64::consts::TAU * std::f64::consts::E).ln() / 2.0;
    for _ in 0..3 {
        let report = learner.step(&case.batch(), 0.01).unwrap();
        assert!((report.entropy.unwrap() - entropy).abs() < 1e-6);
    }
    assert_eq!((learner.parameters().len(), learner.log_std().len()), (13, 0));
}

/// Logged by a policy that prefers the bad arm: importance must undo that.
#[test]
fn bandits_learn_the_better_arm_from_a_log_that_prefers_the_worse() {
    let Some(engine) = engine(WHAT) else { return };
    let mut rng = Rng::new(35);
    const ROWS: usize = 400;
    // In state 0 arm 1 is better, in state 1 arm 0.
    let states: Vec<usize> = (0..ROWS).map(|_| rng.below(2)).collect();
    let propensity = |state: usize, arm: usize| if arm == state { 0.9 } else { 0.1 };
    let chosen: Vec<usize> =
        states.iter().map(|&state| if rng.unit() < 0.9 { state } else { 1 - state }).collect();
    let rewards: Vec<f32> = states.iter().zip(&chosen).map(|(s, c)| if s == c { 0.2 } else { 1.0 }).collect();
    let propensities: Vec<f32> = states.iter().zip(&chosen).map(|(&s, &c)| propensity(s, c) as f32).collect();
    let layer = |inputs, outputs| Layer {
        inputs,
        outputs,
        weights: vec![0.0; inputs * outputs],
        bias: vec![0.0; outputs],
        activation: Activation::Identity,
    };
    let choice = Labels::Chosen { chosen: &chosen, rewards: &rewards, propensities: &propensities };

    let network = Network { layers: vec![layer(2, 2)], output: Output::Softmax };
    let head = Head::Bandit(Bandit::Actions { cap: 20.0, entropy: 0.0 });
    let mut policy = Learner::new(&engine, &network, &head, AdamOptions::default()).unwrap();
    let hot: Vec<f32> = states
        .iter()
        .flat_map(|&state| [f32::from(u8::from(state == 0)), f32::from(u8::from(state == 1))])
        .collect();
    for _ in 0..300 {
        policy.step(&HeadBatch { inputs: &hot, labels: choice, weights: None }, 0.02).unwrap();
    }
    let pi = |row: &[f64]| policy.network().evaluate(row)[1];
    // The optimum of the weighted likelihood is in proportion to the rewards, 1 / 1.2 = 0.83, but for the luck of the
    // log; without importance it would be 0.1 / (0.1 + 0.9 * 0.2) = 0.36.
    assert!(pi(&[1.0, 0.0]) > 0.7 && pi(&[0.0, 1.0]) < 0.3, "{} {}", pi(&[1.0, 0.0]), pi(&[0.0, 1.0]));

    // Scored options: each option's inputs say whether it is the better one.
    let better = |state: usize, arm: usize| f32::from(u8::from(arm != state));
    let scored = Network { layers: vec![layer(1, 1)], output: Output::Linear };
    let head = Head::Bandit(Bandit::Options { options: 2, cap: 20.0, entropy: 0.0 });
    let mut options = Learner::new(&engine, &scored, &head, AdamOptions::default()).unwrap();
    let pairs: Vec<f32> = states.iter().flat_map(|&state| [better(state, 0), better(state, 1)]).collect();
    for _ in 0..300 {
        options.step(&HeadBatch { inputs: &pairs, labels: choice, weights: None }, 0.02).unwrap();
    }
    let score = |x: f64| options.network().evaluate(&[x])[0];
    assert!(score(1.0) > score(0.0) + 1.0, "{} {}", score(1.0), score(0.0));

    let head = Head::Bandit(Bandit::Scorer { loss: Regression::Mse, cap: 20.0 });
    let mut scorer = Learner::new(&engine, &scored, &head, AdamOptions::default()).unwrap();
    let taken: Vec<f32> = states.iter().zip(&chosen).map(|(&s, &c)| better(s, c)).collect();
    let labels = Labels::Scored { rewards: &rewards, propensities: &propensities };
    for _ in 0..300 {
        scorer.step(&HeadBatch { inputs: &taken, labels, weights: None }, 0.02).unwrap();
    }
    let predicted = |x: f64| scorer.network().evaluate(&[x])[0];
    assert!((predicted(1.0) - 1.0).abs() < 0.05 && (predicted(0.0) - 0.2).abs() < 0.05);
}
