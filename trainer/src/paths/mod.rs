//! Fitting a network that scores paths to what each candidate of a decision would have cost.
//!
//! A *decision* is one row of features per path and, from whoever knows the truth, the cost of each: the binary logarithm of
//! the time in which the rest of the flow would be delivered by it. What counts is the order of the candidates, so the loss is
//! the square of the difference between score and cost, each less its mean over the decision; a small part of it is left
//! uncentred, so that scores of different decisions stay on one scale.

use crate::imitate::mlp::{Adam, Mlp, Workspace};
use crate::network::Network;
use crate::rng::Rng;
use weir_features::{ONE, PATH_INPUTS, PathSpec, f64_from_q16};

/// Widths from input to output: 312 multiplications a path.
const WIDTHS: [usize; 4] = [PATH_INPUTS, 16, 8, 1];
/// Centre and spread of each input, in the order of a row; fold into the first layer. The prediction of what is to come
/// (`log_remaining`) is 0 while nobody predicts, and so its weights are never learned: its spread keeps them without effect.
const NORMAL: [(f64, f64); PATH_INPUTS] = [
    (2.0, 1.5),
    (0.0, 0.2),
    (0.2, 0.3),
    (0.02, 0.05),
    (1.0, 1.5),
    (0.3, 0.4),
    (12.0, 8.0),
    (0.3, 0.45),
    (0.0, 1e6),
    (14.0, 8.0),
    (8.0, 7.0),
];
/// The network's output times this is the score.
const GAIN: f64 = 4.0;
/// Weight of the uncentred part of the loss.
const LEVEL: f64 = 0.05;

/// Candidates of one decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// One row per path, in 1/65536.
    pub rows: Vec<[i32; PATH_INPUTS]>,
    /// What each would have cost: log2 of a time.
    pub costs: Vec<f64>,
}

/// How a network is fitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recipe {
    /// Gradient steps.
    pub steps: usize,
    /// Decisions of each.
    pub batch: usize,
    /// Learning rate, at the beginning; it falls to a hundredth by half a cosine.
    pub learning_rate: f64,
}

impl Recipe {
    /// The shipped model's, per round.
    pub const SHIPPED: Recipe = Recipe { steps: 6_000, batch: 64, learning_rate: 3e-3 };
}

/// A network with random weights fitted to `decisions`; `None` where there is none.
pub fn fit(decisions: &[Decision], recipe: &Recipe, rng: &mut Rng) -> Option<Network> {
    if decisions.is_empty() {
        return None;
    }
    let mut model = Mlp::new(&WIDTHS, rng);
    let mut adam = Adam::new(model.parameters());
    let mut workspace = model.workspace();
    let mut gradient = vec![0.0; model.parameters()];
    for step in 0..recipe.steps {
        let fall = (1.0 + (std::f64::consts::PI * step as f64 / recipe.steps as f64).cos()) / 2.0;
        gradient.fill(0.0);
        for _ in 0..recipe.batch {
            let decision = &decisions[rng.below(decisions.len())];
            add_gradient(&model, decision, recipe.batch as f64, &mut workspace, &mut gradient);
        }
        adam.step(&mut model, &gradient, recipe.learning_rate * (0.01 + 0.99 * fall));
    }
    let (centre, spread): (Vec<f64>, Vec<f64>) = NORMAL.into_iter().unzip();
    Some(model.network(&centre, &spread, GAIN))
}

/// The features' definitions with the clips of the shipped model: what its 8 bits are spent on. Its share of losses ends at a
/// quarter and the slope of its RTT at a quarter each way, so that a step is a thousandth of losses.
pub fn spec() -> PathSpec {
    let mut spec = PathSpec::default();
    (spec.clips[1], spec.clips[3]) = ((-ONE / 4, ONE / 4), (0, ONE / 4));
    spec
}

/// A row as the network's inputs.
pub fn inputs(row: &[i32; PATH_INPUTS]) -> [f64; PATH_INPUTS] {
    row.map(f64_from_q16)
}

/// What the best-scored candidates cost more than the cheapest, on the mean over all decisions: in doublings of the time.
pub fn regret(decisions: &[Decision], mut score: impl FnMut(&[i32; PATH_INPUTS]) -> f64) -> f64 {
    let mut sum = 0.0;
    for Decision { rows, costs } in decisions {
        let scored = rows.iter().map(&mut score).zip(costs);
        let chosen = scored.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(0.0, |(_, cost)| *cost);
        sum += chosen - costs.iter().copied().fold(chosen, f64::min);
    }
    sum / decisions.len().max(1) as f64
}

fn add_gradient(
    model: &Mlp,
    decision: &Decision,
    batch: f64,
    workspace: &mut Workspace,
    gradient: &mut [f64],
) {
    let normal = |row: &[i32; PATH_INPUTS]| {
        let mut row = inputs(row);
        row.iter_mut().zip(NORMAL).for_each(|(x, (centre, spread))| *x = (*x - centre) / spread);
        row
    };
    let errors: Vec<f64> = decision
        .rows
        .iter()
        .zip(&decision.costs)
        .map(|(row, cost)| model.forward(&normal(row), workspace)[0] - cost / GAIN)
        .collect();
    let count = errors.len().max(1) as f64;
    let mean = errors.iter().sum::<f64>() / count;
    for (row, error) in decision.rows.iter().zip(&errors) {
        // The derivative of the centred squares is the centred error: the mean's own share of it cancels.
        let error = (error - mean) + LEVEL * error;
        model.forward(&normal(row), workspace);
        model.backward(&[error / batch / count], workspace, gradient);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decisions whose costs follow from two features, and from something that no row tells but all candidates share.
    fn decisions(count: usize, rng: &mut Rng) -> Vec<Decision> {
        let candidate = |rng: &mut Rng| {
            let (rtt, loss) = (1.0 + 4.0 * rng.uniform(0.0, 1.0), 0.1 * rng.uniform(0.0, 1.0));
            let mut row = [0; PATH_INPUTS];
            (row[0], row[3]) = ((rtt * f64::from(ONE)) as i32, (loss * f64::from(ONE)) as i32);
            (row, rtt.log2() + 20.0 * loss)
        };
        (0..count)
            .map(|_| {
                let hidden = 5.0 * rng.normal();
                let (rows, costs): (Vec<_>, Vec<f64>) = (0..4).map(|_| candidate(rng)).unzip();
                Decision { rows, costs: costs.into_iter().map(|cost| cost + hidden).collect() }
            })
            .collect()
    }

    #[test]
    fn a_little_fitting_is_repeatable_and_puts_paths_in_order() {
        let mut rng = Rng::new(1);
        let (known, fresh) = (decisions(2_000, &mut rng), decisions(500, &mut rng));
        let recipe = Recipe { steps: 400, batch: 32, learning_rate: 1e-2 };
        let fitted = || fit(&known, &recipe, &mut Rng::new(2)).unwrap();
        let network = fitted();
        assert_eq!(network, fitted());
        let by_network = regret(&fresh, |row| network.evaluate(&inputs(row))[0]);
        let by_rtt = regret(&fresh, |row| f64::from(row[0]));
        assert!(by_network < 0.1 && by_rtt > 3.0 * by_network, "{by_network} {by_rtt}");
        assert!(fit(&[], &recipe, &mut Rng::new(2)).is_none());
        // What is not known yet does not matter.
        let mut row = fresh[0].rows[0];
        let before = network.evaluate(&inputs(&row))[0];
        row[8] = 40 * ONE;
        assert!((network.evaluate(&inputs(&row))[0] - before).abs() < 1e-3);
    }
}
