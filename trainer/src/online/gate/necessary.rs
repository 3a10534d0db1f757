//! *Necessary* (LiteFlow): a swap costs cold caches and a rebinding of every flow, so a candidate must differ from what
//! runs by more than its own rounding.

use super::Refusal;
use crate::online::examples::{Answers, mean, percentile};
use weir_features::ONE;

/// The one number that stands for a batch of distances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistic {
    /// Their mean.
    Mean,
    /// Their 99th percentile: a candidate that differs in rare states only is worth publishing, too.
    P99,
}

/// What makes a candidate worth publishing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fidelity {
    /// Least fidelity loss, in standard deviations of the candidate's output. 0 lets everything through; infinity
    /// nothing.
    pub threshold: f64,
    /// Over the batch.
    pub statistic: Statistic,
}

impl Default for Fidelity {
    fn default() -> Self {
        Fidelity { threshold: 0.05, statistic: Statistic::Mean }
    }
}

/// *Fidelity loss*: |f(x) - f'(x)| in sigmas of f over the batch, between the float network f and the running snapshot
/// f'. NaN where f gives numbers that are none.
pub fn fidelity_loss(float: &Answers, running: &Answers, statistic: Statistic) -> f64 {
    // What answers the same to everything has no deviation; the output's resolution then stands for it, so that such an
    // answer counts as far from any that varies.
    let scales: Vec<f64> =
        float.deviations().into_iter().map(|sigma| sigma.max(1.0 / f64::from(ONE))).collect();
    let distances = float.distances(running, &scales);
    match statistic {
        Statistic::Mean => mean(&distances),
        Statistic::P99 => percentile(&distances, 0.99),
    }
}

/// Whether a fidelity loss is worth a publication. One that is no number does not say that the candidate is like what runs:
/// later stages refuse it for what it is.
pub fn necessary(loss: f64, fidelity: &Fidelity) -> Result<(), Refusal> {
    // At threshold 0 an exact copy passes, as in LiteFlow's release.
    match loss < fidelity.threshold {
        true => Err(Refusal::Unnecessary { loss, threshold: fidelity.threshold }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{examples, network, running, terms};
    use super::*;
    use crate::network::Network;

    fn float(network: &Network) -> Answers {
        Answers::float(network, &terms().inputs, &examples())
    }

    /// The network with its output moved by so many of its own standard deviations.
    fn moved(sigmas: f64) -> Network {
        let mut moved = network(1);
        moved.layers[2].bias[0] += sigmas * float(&moved).deviations()[0];
        moved
    }

    #[test]
    fn a_shift_of_the_output_is_the_loss() {
        let runs = float(&network(1));
        for sigmas in [0.01, 0.06, 0.5, 3.0] {
            for statistic in [Statistic::Mean, Statistic::P99] {
                let loss = fidelity_loss(&float(&moved(sigmas)), &runs, statistic);
                assert!((loss - sigmas).abs() < 1e-9, "{sigmas} {loss}");
            }
        }
    }

    /// Of a network against `network(1)` in integers.
    fn judged(network: &Network, fidelity: &Fidelity) -> Result<(), Refusal> {
        let runs = Answers::integers(&running(), &examples());
        necessary(fidelity_loss(&float(network), &runs, fidelity.statistic), fidelity)
    }

    #[test]
    fn a_copy_is_not_needed_and_a_move_is() {
        let fidelity = Fidelity::default();
        let refused = judged(&network(1), &fidelity);
        assert!(matches!(refused, Err(Refusal::Unnecessary { loss, .. }) if loss > 0.0), "{refused:?}");
        assert!(judged(&moved(0.2), &fidelity).is_ok());
        assert!(judged(&network(1), &Fidelity { threshold: 0.0, ..fidelity }).is_ok());
        assert!(judged(&moved(9.0), &Fidelity { threshold: f64::INFINITY, ..fidelity }).is_err());
        assert!(necessary(f64::NAN, &fidelity).is_ok());
    }

    #[test]
    fn a_constant_is_far_from_anything_that_varies() {
        let mut constant = network(1);
        constant.layers[2].weights.fill(0.0);
        assert!(judged(&constant, &Fidelity::default()).is_ok());
    }

    #[test]
    fn rare_states_count_by_the_99th_percentile() {
        let runs = float(&network(1));
        let mut rare = runs.clone();
        let sigma = runs.deviations()[0];
        rare.nudge_every(50, 2.0 * sigma);
        assert!(fidelity_loss(&rare, &runs, Statistic::Mean) < 0.05);
        assert!(fidelity_loss(&rare, &runs, Statistic::P99) > 1.0);
    }
}
