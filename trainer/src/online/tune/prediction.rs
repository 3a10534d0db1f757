//! Supervised and bandit tuning of networks that predict: flow sizes, path scores.

use super::minibatches;
use super::scaling::Scaling;
use crate::graph::{AdamOptions, Bandit, Head, Regression};
use crate::learner::{HeadBatch, Labels, Learner, LearnerError};
use crate::network::Network;
use crate::online::adapter::{AdaptError, AdaptReport, Adapter};
use crate::online::batch::Batch;
use crate::online::choices::IMPORTANCE_MAX;
use crate::ort_engine::Engine;
use crate::quantise::InputMap;
use crate::rng::Rng;
use std::path::Path;

/// How a predictor is tuned.
#[derive(Debug, Clone, PartialEq)]
pub struct PredictionTuning {
    /// Regression (a [`Row::reward`](crate::online::Row::reward) is the target), or a bandit's scorer or actions (it is the
    /// reward, `exp(log_prob)` the propensity).
    pub head: Head,
    /// Learning rate.
    pub learning_rate: f64,
    /// Times that a step goes through its batch.
    pub epochs: usize,
    /// Rows of a gradient step, about.
    pub minibatch: usize,
    /// Everything random follows from it.
    pub seed: u64,
}

impl PredictionTuning {
    /// The defaults, for this head.
    pub fn new(head: Head) -> Self {
        Self { head, learning_rate: 1e-3, epochs: 4, minibatch: 256, seed: 1 }
    }

    /// For a network that predicts flow sizes: the truth is known of every flow that has ended.
    pub fn sizes() -> Self {
        Self::new(Head::Regression(Regression::Mse))
    }

    /// For one that scores paths: only what came of the path that was chosen is known, and with which probability it was.
    pub fn choices() -> Self {
        Self::new(Head::Bandit(Bandit::Scorer { loss: Regression::Mse, cap: IMPORTANCE_MAX }))
    }
}

/// Tunes a network with one output, or one output per arm.
///
/// It learns on scaled inputs (`Scaling`); what is frozen takes bare ones again.
#[derive(Debug)]
pub struct PredictionTuner {
    tuning: PredictionTuning,
    learner: Learner,
    scaling: Scaling,
    columns: Columns,
    rng: Rng,
}

impl PredictionTuner {
    /// Tunes `network`, whose inputs come about by `inputs`.
    ///
    /// # Errors
    /// [`AdaptError::Learner`] when there is no training graph for it and the head, or for a head that needs more than
    /// rows (`ppo`, a bandit's options).
    pub fn new(
        engine: &Engine,
        network: &Network,
        inputs: &[InputMap],
        tuning: PredictionTuning,
    ) -> Result<Self, AdaptError> {
        Self::around(network, inputs, tuning, |scaled, head| {
            Learner::new(engine, scaled, head, AdamOptions::default())
        })
    }

    /// The same by a user's own training graph, on scaled inputs (`Scaling`).
    ///
    /// # Errors
    /// As [`new`](Self::new), and when the file is no training graph for the network and the head.
    pub fn from_file(
        engine: &Engine,
        file: &Path,
        network: &Network,
        inputs: &[InputMap],
        tuning: PredictionTuning,
    ) -> Result<Self, AdaptError> {
        Self::around(network, inputs, tuning, |scaled, head| Learner::from_file(engine, file, scaled, head))
    }

    fn around(
        network: &Network,
        inputs: &[InputMap],
        tuning: PredictionTuning,
        learner: impl FnOnce(&Network, &Head) -> Result<Learner, LearnerError>,
    ) -> Result<Self, AdaptError> {
        if matches!(tuning.head, Head::Ppo(_) | Head::Bandit(Bandit::Options { .. })) {
            return Err(AdaptError::Learner("this head does not learn from single rows".into()));
        }
        let scaling = Scaling::of(inputs);
        let learner = learner(&scaling.unfold(network), &tuning.head)?;
        let rng = Rng::new(tuning.seed);
        Ok(Self { tuning, learner, scaling, columns: Columns::default(), rng })
    }

    fn check(&self, batch: &Batch) -> Result<(), AdaptError> {
        match (batch.width(), self.scaling.len()) {
            (found, expected) if found == expected => Ok(()),
            (found, expected) => Err(AdaptError::Width { what: "a batch", expected, found }),
        }
    }
}

impl Adapter for PredictionTuner {
    fn adapt(&mut self, batch: &Batch) -> Result<AdaptReport, AdaptError> {
        self.check(batch)?;
        let inputs = self.scaling.rows(batch.inputs());
        let mut rows: Vec<usize> = (0..batch.len()).collect();
        let mut report = AdaptReport { gradient_norm: f64::NAN, rows: rows.len(), ..AdaptReport::default() };
        let before = self.learner.state().clone();
        for _ in 0..self.tuning.epochs {
            for rows in minibatches(&mut rows, self.tuning.minibatch, &mut self.rng) {
                self.columns.gather(&rows, &inputs, batch);
                let minibatch = self.columns.batch(&self.tuning.head);
                match self.learner.step(&minibatch, self.tuning.learning_rate) {
                    Ok(step) => {
                        (report.loss, report.steps) = (step.loss, report.steps + 1);
                        report.gradient_norm = step.grad_norm.unwrap_or(f64::NAN);
                    }
                    Err(error) => {
                        self.learner.restore(before)?;
                        return Err(error.into());
                    }
                }
            }
        }
        Ok(report)
    }

    /// One more than the loss on the batch as a share of the targets' variance; of a policy over actions the loss.
    ///
    /// A prediction's loss may go on halving long after what is left of it has ceased to matter. As a share of all that there
    /// is to explain it is flat by then.
    fn evaluate(&mut self, batch: &Batch) -> Result<f64, AdaptError> {
        self.check(batch)?;
        let rows: Vec<usize> = (0..batch.len()).collect();
        self.columns.gather(&rows, &self.scaling.rows(batch.inputs()), batch);
        let loss = self.learner.evaluate(&self.columns.batch(&self.tuning.head))?.loss;
        Ok(match self.tuning.head {
            Head::Regression(_) | Head::Bandit(Bandit::Scorer { .. }) => {
                1.0 + loss / variance(batch.rewards()).max(VARIANCE_MIN)
            }
            Head::Bandit(_) | Head::Ppo(_) => loss,
        })
    }

    fn freeze(&mut self) -> Result<Network, AdaptError> {
        Ok(self.scaling.fold(&self.learner.network()))
    }

    fn reset(&mut self, network: &Network) -> Result<(), AdaptError> {
        Ok(self.learner.reset(&self.scaling.unfold(network))?)
    }
}

/// Targets that lie closer together, in units of their own, are one: of sizes and times, 6 % in the deviation.
const VARIANCE_MIN: f64 = 1.0 / 128.0;

fn variance(values: &[f32]) -> f64 {
    let count = values.len().max(1) as f64;
    let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
    values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count
}

/// A minibatch.
#[derive(Debug, Default)]
struct Columns {
    inputs: Vec<f32>,
    outcomes: Vec<f32>,
    chosen: Vec<usize>,
    propensities: Vec<f32>,
    weights: Vec<f32>,
}

impl Columns {
    /// `scaled` are the batch's inputs as the learner takes them.
    fn gather(&mut self, rows: &[usize], scaled: &[f32], batch: &Batch) {
        let Self { inputs, outcomes, chosen, propensities, weights } = self;
        for column in [&mut *inputs, outcomes, propensities, weights] {
            column.clear();
        }
        chosen.clear();
        let width = batch.width();
        for &at in rows {
            inputs.extend_from_slice(&scaled[at * width..(at + 1) * width]);
            outcomes.push(batch.rewards()[at]);
            // `as` saturates; a number that is no arm's is refused by the learner.
            chosen.push(batch.actions()[at] as usize);
            propensities.push(batch.log_probs()[at].exp());
            weights.push(batch.weights()[at]);
        }
    }

    fn batch(&self, head: &Head) -> HeadBatch<'_> {
        let labels = match head {
            Head::Bandit(Bandit::Scorer { .. }) => {
                Labels::Scored { rewards: &self.outcomes, propensities: &self.propensities }
            }
            Head::Bandit(_) => Labels::Chosen {
                chosen: &self.chosen,
                rewards: &self.outcomes,
                propensities: &self.propensities,
            },
            Head::Regression(_) | Head::Ppo(_) => Labels::Targets { targets: &self.outcomes },
        };
        HeadBatch { inputs: &self.inputs, labels, weights: Some(&self.weights) }
    }
}
