//! PPO on live transitions: the policy that paces, and a value network beside it (Schulman et al., 2017).
//!
//! What acts on the wire is a snapshot of some steps ago, and stays until the tuned network differs enough to be published.
//! So a step's ratios are taken against the float network at the step's beginning, not against what acted: else the clip
//! would hold the network near the snapshot, closer than what is worth a publication. What acted counts by the importance of
//! each row, `min(1, p_begin / p_acted)` (truncated as in V-trace, Espeholt et al., 2018).

use super::pupil::Pupil;
use super::scaling::Scaling;
use super::{Smoothed, minibatches};
use crate::gae::{Step, advantages};
use crate::graph::{AdamOptions, Head, LogStd, PpoHead, Regression};
use crate::learner::{HeadBatch, Labels, Learner};
use crate::network::{Activation, Layer, Network, Output};
use crate::online::adapter::{AdaptError, AdaptReport, Adapter, Imitate};
use crate::online::batch::Batch;
use crate::ort_engine::Engine;
use crate::quantise::InputMap;
use crate::rng::Rng;
use std::path::Path;

/// How a policy is tuned. [`PolicyTuning::default`] is for batches of some thousand decisions.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyTuning {
    /// Learning rate of the policy.
    pub learning_rate: f64,
    /// Learning rate of the value network.
    pub value_learning_rate: f64,
    /// How far the probability ratio may leave 1.
    pub clip: f64,
    /// Standard deviation of the datapath's exploration noise, in units of the action: tuning does not change it.
    pub sigma: f64,
    /// What a reward is worth one decision later.
    pub discount: f64,
    /// GAE's lambda.
    pub lambda: f64,
    /// Times that a step goes through its batch.
    pub epochs: usize,
    /// Rows of a gradient step, about.
    pub minibatch: usize,
    /// Divergence from the network at the step's beginning, in nats, at which the step ends.
    pub divergence_max: f64,
    /// Divergence of that network from what acted, in nats, beyond which the policy waits for a publication: the batch then
    /// says little about it.
    pub ahead_max: f64,
    /// Batches in which only the value network learns: advantages over an ignorant one are noise.
    pub warm_up: u32,
    /// Learning rate while the network is taught.
    pub lesson_rate: f64,
    /// Everything random follows from it.
    pub seed: u64,
}

impl Default for PolicyTuning {
    fn default() -> Self {
        PolicyTuning {
            learning_rate: 3e-4,
            value_learning_rate: 1e-3,
            clip: 0.2,
            sigma: 0.5,
            discount: 0.99,
            lambda: 0.95,
            epochs: 4,
            minibatch: 256,
            divergence_max: 0.02,
            ahead_max: 0.5,
            warm_up: 4,
            lesson_rate: 3e-3,
            seed: 1,
        }
    }
}

/// Hidden layers of the value network: Aurora's.
const VALUE_HIDDEN: [usize; 2] = [32, 16];
/// Fewest transitions with noise for a step of the policy.
const EXPLORED_MIN: usize = 32;

/// Tunes a pacing policy by PPO.
///
/// Policy and value network learn on scaled inputs; what is frozen takes bare ones again.
#[derive(Debug)]
pub struct PolicyTuner {
    tuning: PolicyTuning,
    policy: Learner,
    /// The policy's network under another loss, for lessons; none where a graph of the user's says how the policy learns.
    pupil: Option<Pupil>,
    value: Learner,
    scaling: Scaling,
    batches: u32,
    /// Root mean square error of the value network on batches as it met them, smoothed.
    surprise: Smoothed,
    rng: Rng,
}

impl PolicyTuner {
    /// Tunes `network`, a policy with one output, whose inputs come about by `inputs`.
    ///
    /// # Errors
    /// [`AdaptError::Learner`] when there is no training graph for it, or ONNX Runtime does not take it.
    pub fn new(
        engine: &Engine,
        network: &Network,
        inputs: &[InputMap],
        tuning: PolicyTuning,
    ) -> Result<Self, AdaptError> {
        let scaled = Scaling::of(inputs).unfold(network);
        let policy = Learner::new(engine, &scaled, &head(&tuning), adam())?;
        let learner = Learner::new(engine, &scaled, &Head::Regression(Regression::Mse), adam())?;
        Self::around(policy, Some(Pupil::new(learner)), engine, network, inputs, tuning)
    }

    /// The same by a user's own training graph for the policy, on scaled inputs (`Scaling`); the value network keeps Weir's.
    ///
    /// # Errors
    /// [`AdaptError::Learner`] when the file is no training graph for the network.
    pub fn from_file(
        engine: &Engine,
        file: &Path,
        network: &Network,
        inputs: &[InputMap],
        tuning: PolicyTuning,
    ) -> Result<Self, AdaptError> {
        let scaled = Scaling::of(inputs).unfold(network);
        let policy = Learner::from_file(engine, file, &scaled, &head(&tuning))?;
        Self::around(policy, None, engine, network, inputs, tuning)
    }

    fn around(
        policy: Learner,
        pupil: Option<Pupil>,
        engine: &Engine,
        network: &Network,
        inputs: &[InputMap],
        tuning: PolicyTuning,
    ) -> Result<Self, AdaptError> {
        let mut rng = Rng::new(tuning.seed);
        let scaling = Scaling::of(inputs);
        let critic = critic(network.inputs(), &mut rng);
        let value = Learner::new(engine, &critic, &Head::Regression(Regression::Mse), adam())?;
        Ok(Self { tuning, policy, pupil, value, scaling, batches: 0, surprise: Smoothed::default(), rng })
    }
}

fn head(tuning: &PolicyTuning) -> Head {
    Head::Ppo(PpoHead { clip: tuning.clip, entropy: 0.0, log_std: LogStd::Fixed(tuning.sigma.ln()) })
}

fn adam() -> AdamOptions {
    AdamOptions { epsilon: 1e-5, grad_norm_max: Some(0.5), ..AdamOptions::default() }
}

impl Adapter for PolicyTuner {
    fn adapt(&mut self, batch: &Batch) -> Result<AdaptReport, AdaptError> {
        let width = batch.width();
        if width != self.scaling.len() {
            return Err(AdaptError::Width { what: "a batch", expected: self.scaling.len(), found: width });
        }
        let inputs = self.scaling.rows(batch.inputs());
        if let Some(pupil) = &mut self.pupil {
            pupil.leave();
        }
        let critic = self.value.network();
        let values: Vec<f64> =
            inputs.chunks_exact(width.max(1)).map(|row| critic.answer(row.iter().copied())).collect();
        let leads_on: Vec<bool> = batch.leads_on().collect();
        let step = |at: usize| Step {
            // So that values are about as large as one reward.
            reward: f64::from(batch.rewards()[at]) * (1.0 - self.tuning.discount),
            value: values[at],
            next_value: values.get(at + 1).copied().unwrap_or(0.0),
            // The last row of a trajectory has no successor: it is no step, only the value of its state.
            leads_on: leads_on[at] && leads_on.get(at + 1).copied().unwrap_or(false),
        };
        let steps: Vec<Step> = (0..batch.len()).map(step).collect();
        let advantages = advantages(&steps, self.tuning.discount, self.tuning.lambda);

        let mut known: Vec<usize> = (0..batch.len()).filter(|&at| leads_on[at]).collect();
        let squares = known.iter().map(|&at| advantages[at].powi(2)).sum::<f64>();
        let error = (squares / known.len().max(1) as f64).sqrt();
        self.surprise.note(error);
        let mut explored: Vec<usize> = known.iter().copied().filter(|&at| batch.explored()[at]).collect();
        let (mean, deviation) = moments(&explored, |at| advantages[at]);
        let mut report = AdaptReport { gradient_norm: f64::NAN, rows: known.len(), ..AdaptReport::default() };
        let begin = Begin::of(&self.policy.network(), &inputs, width, &explored, batch, self.tuning.sigma);
        let tunes = self.batches >= self.tuning.warm_up
            && explored.len() >= EXPLORED_MIN
            && begin.ahead <= self.tuning.ahead_max;
        let mut columns = Columns::default();
        // Where one of two learners fails, both stay as they were.
        let before = (self.policy.state().clone(), self.value.state().clone());
        let mut learn = || {
            let mut diverged = !tunes;
            for _ in 0..self.tuning.epochs {
                for rows in minibatches(&mut known, self.tuning.minibatch, &mut self.rng) {
                    columns.gather(&rows, &inputs, width);
                    columns.targets.extend(rows.iter().map(|&at| (advantages[at] + values[at]) as f32));
                    let labels = Labels::Targets { targets: &columns.targets };
                    let batch = HeadBatch { inputs: &columns.inputs, labels, weights: None };
                    self.value.step(&batch, self.tuning.value_learning_rate)?;
                }
                if diverged {
                    continue;
                }
                for rows in minibatches(&mut explored, self.tuning.minibatch, &mut self.rng) {
                    columns.gather(&rows, &inputs, width);
                    for &at in &rows {
                        columns.actions.push(batch.actions()[at]);
                        columns.log_probs.push(begin.log_probs[at]);
                        columns.advantages.push(((advantages[at] - mean) / deviation) as f32);
                        columns.weights.push(begin.weights[at]);
                    }
                    let labels = Labels::Actions {
                        actions: &columns.actions,
                        log_probs: &columns.log_probs,
                        advantages: &columns.advantages,
                    };
                    let batch =
                        HeadBatch { inputs: &columns.inputs, labels, weights: Some(&columns.weights) };
                    let step = self.policy.step(&batch, self.tuning.learning_rate)?;
                    (report.loss, report.steps) = (step.loss, report.steps + 1);
                    report.gradient_norm = step.grad_norm.unwrap_or(f64::NAN);
                    diverged = step.kl.is_some_and(|kl| kl > self.tuning.divergence_max);
                    if diverged {
                        break;
                    }
                }
            }
            Ok(())
        };
        if let Err(error) = learn() {
            self.policy.restore(before.0)?;
            self.value.restore(before.1)?;
            return Err(error);
        }
        self.batches = self.batches.saturating_add(1);
        Ok(report)
    }

    fn pupil(&mut self) -> Option<&mut dyn Imitate> {
        match self.pupil {
            Some(_) => Some(self),
            None => None,
        }
    }

    /// How far the value network is off, in units of the reward, on batches as it meets them. It rises when the link changes,
    /// and comes to rest once the value network, and so the policy's gradient, can be trusted again. While the network is
    /// taught, how far its answers are off.
    fn evaluate(&mut self, _: &Batch) -> Result<f64, AdaptError> {
        Ok(self.pupil.as_ref().and_then(Pupil::error).or(self.surprise.get()).unwrap_or(f64::NAN))
    }

    fn freeze(&mut self) -> Result<Network, AdaptError> {
        Ok(self.scaling.fold(&self.policy.network()))
    }

    /// The value network stays: what it knows of states is no less true of another policy's, or soon is.
    fn reset(&mut self, network: &Network) -> Result<(), AdaptError> {
        self.policy.reset(&self.scaling.unfold(network))?;
        if let Some(pupil) = &mut self.pupil {
            pupil.leave();
        }
        Ok(())
    }
}

impl Imitate for PolicyTuner {
    /// Changes nothing where a graph of the user's says how the policy learns.
    fn imitate(&mut self, lessons: &Batch) -> Result<AdaptReport, AdaptError> {
        let Some(pupil) = &mut self.pupil else { return Ok(AdaptReport::default()) };
        let inputs = self.scaling.rows(lessons.inputs());
        let report = pupil.learn(&self.policy.network(), &inputs, lessons, &self.tuning, &mut self.rng)?;
        self.policy.reset(&pupil.network())?;
        Ok(report)
    }
}

/// What the float network says of the batch before a step.
struct Begin {
    /// Of each explored row's action; 0 elsewhere.
    log_probs: Vec<f32>,
    /// Each explored row's importance; 0 elsewhere.
    weights: Vec<f32>,
    /// Estimate of the divergence from what acted, in nats: the mean of `r - 1 - ln r` (Schulman), never negative.
    ahead: f64,
}

impl Begin {
    fn of(
        policy: &Network,
        inputs: &[f32],
        width: usize,
        explored: &[usize],
        batch: &Batch,
        sigma: f64,
    ) -> Begin {
        let mut begin =
            Begin { log_probs: vec![0.0; batch.len()], weights: vec![0.0; batch.len()], ahead: 0.0 };
        for &at in explored {
            let mean = policy.answer(inputs[at * width..(at + 1) * width].iter().copied());
            let z = (f64::from(batch.actions()[at]) - mean) / sigma;
            let log_prob = -z * z / 2.0 - sigma.ln() - std::f64::consts::TAU.ln() / 2.0;
            let log_ratio = log_prob - f64::from(batch.log_probs()[at]);
            begin.log_probs[at] = log_prob as f32;
            begin.weights[at] = batch.weights()[at] * log_ratio.exp().min(1.0) as f32;
            begin.ahead += (log_ratio.exp() - 1.0 - log_ratio) / explored.len() as f64;
        }
        begin
    }
}

/// A minibatch.
#[derive(Debug, Default)]
struct Columns {
    inputs: Vec<f32>,
    targets: Vec<f32>,
    actions: Vec<f32>,
    log_probs: Vec<f32>,
    advantages: Vec<f32>,
    weights: Vec<f32>,
}

impl Columns {
    /// The rows' inputs; the other columns are empty.
    fn gather(&mut self, rows: &[usize], inputs: &[f32], width: usize) {
        let Self { inputs: gathered, targets, actions, log_probs, advantages, weights } = self;
        for column in [&mut *gathered, targets, actions, log_probs, advantages, weights] {
            column.clear();
        }
        for &at in rows {
            gathered.extend_from_slice(&inputs[at * width..(at + 1) * width]);
        }
    }
}

/// Mean and standard deviation of some rows' values; the latter never 0.
fn moments(rows: &[usize], value: impl Fn(usize) -> f64) -> (f64, f64) {
    let count = rows.len().max(1) as f64;
    let mean = rows.iter().map(|&at| value(at)).sum::<f64>() / count;
    let variance = rows.iter().map(|&at| (value(at) - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt().max(1e-8))
}

/// A value network that knows nothing: Glorot's rule, the last layer near 0.
fn critic(inputs: usize, rng: &mut Rng) -> Network {
    let widths = [inputs, VALUE_HIDDEN[0], VALUE_HIDDEN[1], 1];
    let layer = |(at, pair): (usize, &[usize])| {
        let last = at + 2 == widths.len();
        let bound = (6.0 / (pair[0] + pair[1]) as f64).sqrt() * if last { 0.01 } else { 1.0 };
        Layer {
            inputs: pair[0],
            outputs: pair[1],
            weights: (0..pair[0] * pair[1]).map(|_| rng.uniform(-bound, bound)).collect(),
            bias: vec![0.0; pair[1]],
            activation: if last { Activation::Identity } else { Activation::Tanh },
        }
    };
    Network { layers: widths.windows(2).enumerate().map(layer).collect(), output: Output::Linear }
}
