//! Every operator and head: loss and gradient.

use super::step;
use crate::graph::{AdamOptions, Bandit, Head};
use crate::rng::Rng;
use crate::testing::cases::{ACTIVATIONS, Case, case, case_of, heads};
use crate::testing::reference::Reference;

/// A graph whose `m_next` is the gradient itself: the moving mean does not remember.
fn bare(mut case: Case) -> Case {
    case.adam = AdamOptions { beta1: 0.0, ..AdamOptions::default() };
    case
}

fn agree(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (index, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance * (1.0 + b.abs()), "{what}, number {index}: {a} against {b}");
    }
}

/// Loss and gradient of the file against the reference's; the file's constants are f32.
fn check(case: &Case) {
    let outputs = step(case, 0.0);
    let reference = Reference::new(case);
    let (loss, gradient) = reference.loss(&case.rows);
    let what = format!("{:?} {}", case.head, case.network.shape());
    agree(&what, &outputs["loss"].cells, &[loss], 2e-7);
    agree(&what, &outputs["m_next"].cells, &gradient, 2e-7);
    let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
    agree(&what, &outputs["grad_norm"].cells, &[norm], 2e-7);
    if matches!(case.head, Head::Ppo(_)) {
        let (kl, outside) = reference.divergence(&case.rows);
        agree(&what, &outputs["kl"].cells, &[kl], 2e-7);
        agree(&what, &outputs["clip_fraction"].cells, &[outside], 2e-7);
    }
}

#[test]
fn the_reference_agrees_with_central_differences() {
    const STEP: f64 = 1e-6;
    let mut rng = Rng::new(21);
    for round in 0..10 {
        for head in heads() {
            let case = case(head, &mut rng);
            let mut reference = Reference::new(&case);
            let (_, gradient) = reference.loss(&case.rows);
            for (index, found) in gradient.iter().enumerate() {
                let mut at = |offset: f64| {
                    *reference.parameters()[index] += offset;
                    let loss = reference.loss(&case.rows).0;
                    *reference.parameters()[index] -= offset;
                    loss
                };
                let expected = (at(STEP) - at(-STEP)) / (2.0 * STEP);
                let error = (found - expected).abs();
                assert!(
                    error < 1e-7 * (1.0 + expected.abs()),
                    "round {round}, {head:?}, parameter {index}: {found} against {expected}"
                );
            }
        }
    }
}

#[test]
fn every_activation_under_every_head() {
    let mut rng = Rng::new(22);
    for head in heads() {
        let outputs = match head {
            Head::Bandit(Bandit::Options { .. } | Bandit::Scorer { .. }) => 1,
            _ => 2,
        };
        for activation in ACTIVATIONS {
            check(&bare(case_of(&[3, 4, outputs], &[activation; 2], head, 12, &mut rng)));
        }
    }
}

#[test]
fn random_networks_under_every_head() {
    let mut rng = Rng::new(23);
    for _ in 0..60 {
        for head in heads() {
            check(&bare(case(head, &mut rng)));
        }
    }
}
