//! Repeatability, weights, limits, and steps that must not happen.

use super::*;

#[test]
fn the_same_steps_give_the_same_bits_and_a_checkpoint_goes_on_exactly() {
    let Some(engine) = engine(WHAT) else { return };
    let mut rng = Rng::new(41);
    for head in heads() {
        let case = case(head, &mut rng);
        let mut straight = learner(&engine, &case);
        let mut resumed = learner(&engine, &case);
        let mut kept = None;
        for step in 0..20 {
            straight.step(&case.batch(), 0.01).unwrap();
            if step == 9 {
                kept = Some(straight.state().clone());
            }
        }
        resumed.restore(kept.unwrap()).unwrap();
        for _ in 10..20 {
            resumed.step(&case.batch(), 0.01).unwrap();
        }
        assert_eq!(straight.state(), resumed.state(), "{head:?}");
        assert_eq!(straight.state().steps, 20.0);
        straight.reset(&case.network).unwrap();
        assert_eq!(straight.state(), learner(&engine, &case).state(), "{head:?}");
    }
}

#[test]
fn weights_count_rows() {
    let Some(engine) = engine(WHAT) else { return };
    let mut rng = Rng::new(42);
    for head in heads() {
        let mut case = case(head, &mut rng);
        let count = case.rows.rewards.len();
        case.rows.weights = Some((0..count).map(|row| if row == 0 { 3.0 } else { 0.0 }).collect());
        let mut weighted = learner(&engine, &case);
        let found = weighted.step(&case.batch(), 0.01).unwrap();
        // The first row alone.
        let mut alone = case.clone();
        let per_row = |length: usize| length / count;
        alone.rows.inputs.truncate(per_row(case.rows.inputs.len()));
        alone.rows.targets.truncate(per_row(case.rows.targets.len()));
        alone.rows.log_probs.truncate(1);
        alone.rows.advantages.truncate(1);
        alone.rows.chosen.truncate(1);
        alone.rows.rewards.truncate(1);
        alone.rows.propensities.truncate(1);
        alone.rows.weights = None;
        let mut single = learner(&engine, &alone);
        let expected = single.step(&alone.batch(), 0.01).unwrap();
        assert!((found.loss - expected.loss).abs() < 1e-5 * (1.0 + expected.loss.abs()), "{head:?}");
        let (found, expected) = (found.grad_norm.unwrap(), expected.grad_norm.unwrap());
        assert!((found - expected).abs() < 1e-4 * (1.0 + expected), "{head:?}: {found} {expected}");
    }
}

#[test]
fn a_long_gradient_is_cut_to_length_and_a_short_one_left() {
    let Some(engine) = engine(WHAT) else { return };
    let mut rng = Rng::new(43);
    let head = Head::Regression(Regression::Mse);
    let mut case = case_of(&[4, 3, 2], &[Activation::Tanh; 2], head, 30, &mut rng);
    // m_next is then the gradient that Adam saw.
    let mut seen = |max: Option<f64>| {
        case.adam = AdamOptions { beta1: 0.0, grad_norm_max: max, ..AdamOptions::default() };
        let mut learner = learner(&engine, &case);
        let report = learner.step(&case.batch(), 0.0).unwrap();
        (report.grad_norm.unwrap(), learner.state().mean.clone())
    };
    let (norm, free) = seen(None);
    let (reported, cut) = seen(Some(norm / 4.0));
    assert_eq!(reported, norm, "the norm is that before the cut");
    for (cut, free) in cut.iter().zip(&free) {
        assert!((cut - free / 4.0).abs() < 1e-6 * (1.0 + free.abs()), "{cut} {free}");
    }
    assert_eq!(seen(Some(norm * 4.0)).1, free);
}

#[test]
fn a_step_out_of_the_finite_numbers_changes_nothing() {
    let Some(engine) = engine(WHAT) else { return };
    let mut rng = Rng::new(44);
    for head in heads() {
        let case = case(head, &mut rng);
        let mut learner = learner(&engine, &case);
        learner.step(&case.batch(), 0.01).unwrap();
        let before = learner.state().clone();
        for poison in [f32::NAN, f32::INFINITY] {
            let mut bad = case.clone();
            bad.rows.weights = None;
            for column in
                [&mut bad.rows.targets, &mut bad.rows.advantages, &mut bad.rows.rewards, &mut bad.rows.inputs]
            {
                column[0] = poison;
            }
            let error = learner.step(&bad.batch(), 0.01).unwrap_err();
            assert!(matches!(error, LearnerError::NotFinite(_)), "{head:?}: {error}");
            assert_eq!(learner.state(), &before, "{head:?}");
            assert!(learner.evaluate(&bad.batch()).is_err());
        }
        // Rates beyond f32 and steps beyond it.
        for rate in [f64::NAN, f64::INFINITY, -0.1] {
            assert!(matches!(learner.step(&case.batch(), rate), Err(LearnerError::LearningRate(_))));
        }
        assert!(learner.step(&case.batch(), 1e300).is_err(), "{head:?}");
        assert_eq!(learner.state(), &before, "{head:?}");
        learner.step(&case.batch(), 0.01).unwrap();
        assert_ne!(learner.state(), &before);
    }
}

#[test]
fn batches_that_do_not_fit_are_refused_by_name() {
    let Some(engine) = engine(WHAT) else { return };
    let mut rng = Rng::new(45);
    let refusal = |case: &Case, spoil: &dyn Fn(&mut Case)| {
        let mut learner = learner(&engine, case);
        let before = learner.state().clone();
        let mut spoilt = case.clone();
        spoil(&mut spoilt);
        let line = learner.step(&spoilt.batch(), 0.01).unwrap_err().to_string();
        assert!(line.starts_with("batch: ") && !line.contains('\n'), "{line}");
        assert_eq!(learner.state(), &before);
        line
    };
    let shape = |head, rng: &mut Rng| case_of(&[3, 1], &[Activation::Tanh], head, 4, rng);
    let ppo = Head::Ppo(PpoHead { clip: 0.2, entropy: 0.0, log_std: LogStd::Fixed(0.0) });
    let scorer = Head::Bandit(Bandit::Scorer { loss: Regression::Mse, cap: 2.0 });
    let options = Head::Bandit(Bandit::Options { options: 2, cap: 2.0, entropy: 0.0 });
    let mse = Head::Regression(Regression::Mse);
    let case = shape(mse, &mut rng);
    assert!(refusal(&case, &|c| c.rows.targets.truncate(3)).contains("y holds 3 values; 4 x 1 expected"));
    assert!(refusal(&case, &|c| c.rows.inputs.truncate(11)).contains("x holds 11 values"));
    assert!(refusal(&case, &|c| c.rows.inputs.clear()).contains("not one row"));
    assert!(refusal(&case, &|c| c.head = ppo).contains("labels are not those of head regression"));
    assert!(refusal(&case, &|c| c.rows.weights = Some(vec![1.0; 3])).contains("weight holds 3"));
    for weights in [vec![0.0; 4], vec![1.0, -1.0, 1.0, 1.0], vec![f32::NAN; 4], vec![f32::INFINITY; 4]] {
        assert!(refusal(&case, &|c| c.rows.weights = Some(weights.clone())).contains("weights are not all"));
    }
    let case = shape(ppo, &mut rng);
    assert!(refusal(&case, &|c| c.rows.log_probs.truncate(1)).contains("log_prob holds 1"));
    assert!(refusal(&case, &|c| c.rows.advantages.truncate(1)).contains("advantage holds 1"));
    let case = shape(options, &mut rng);
    assert!(refusal(&case, &|c| c.rows.chosen[2] = 2).contains("chosen hold 2; there are 2 choices"));
    assert!(refusal(&case, &|c| c.rows.chosen.truncate(3)).contains("chosen hold 3 values; 4 expected"));
    let case = shape(scorer, &mut rng);
    for propensity in [0.0, -0.5, 1.5, f32::NAN] {
        assert!(refusal(&case, &|c| c.rows.propensities[1] = propensity).contains("propensities are not"));
    }
    assert!(refusal(&case, &|c| c.rows.rewards.truncate(3)).contains("reward holds 3"));
}

#[test]
fn states_and_networks_of_another_shape_are_refused() {
    let Some(engine) = engine(WHAT) else { return };
    let mut rng = Rng::new(46);
    let head = Head::Regression(Regression::Mse);
    let case = case_of(&[3, 2], &[Activation::Tanh], head, 4, &mut rng);
    let mut learner = learner(&engine, &case);
    let before = learner.state().clone();
    let mut short = before.clone();
    short.square.pop();
    let line = learner.restore(short).unwrap_err().to_string();
    assert!(line.contains("7 parameters") && line.contains('8'), "{line}");
    let mut poisoned = before.clone();
    poisoned.mean[3] = f32::NAN;
    assert!(matches!(learner.restore(poisoned), Err(LearnerError::NotFinite(_))));
    let wider = case_of(&[3, 4, 2], &[Activation::Tanh; 2], head, 4, &mut rng).network;
    let line = learner.reset(&wider).unwrap_err().to_string();
    assert!(line.contains("3-4-2") && line.contains("3-2"), "{line}");
    let mut other = case.network.clone();
    other.layers[0].activation = Activation::Relu;
    assert!(learner.reset(&other).is_err());
    let mut infinite = case.network.clone();
    infinite.layers[0].weights[0] = 1e300;
    assert!(matches!(learner.reset(&infinite), Err(LearnerError::NotFinite(_))));
    assert_eq!(learner.state(), &before);
}
