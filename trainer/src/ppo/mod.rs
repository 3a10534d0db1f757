//! Reinforcement learning from nothing: PPO in the small link world (`weir-env`), gradient steps by ONNX Runtime.
//!
//! A [`Training`] is deterministic: the same seed gives the same networks on the same kind of machine, also when it was
//! stopped and resumed. Each [`Training::iterate`]
//!
//! 1. lets the policy drive whole episodes, with noise, until [`Recipe::batch`] decisions have their outcome;
//! 2. estimates by GAE how much better each decision was than the value network had expected;
//! 3. takes some epochs of minibatch steps on both networks;
//! 4. every few batches drives fixed sets of episodes without noise, and keeps the best network so far: by its reward and,
//!    in the wide world, by the share of links that it keeps full with a short queue.
//!
//! No clock and no thread: how fast it goes is for the caller to say.

pub(crate) mod actor;
pub(crate) mod card;
mod checkpoint;
pub mod curve;
mod make;
pub mod normal;
mod rollout;
mod task;
mod update;

pub use checkpoint::ResumeError;
pub use make::{Made, Options, TrainError, train, write};
pub use task::{Task, landmarks};
pub use update::Update;

use crate::graph::{AdamOptions, Head, LogStd, PpoHead, Regression};
use crate::learner::{Learner, LearnerError};
use crate::network::{Activation, Layer, Network, Output};
use crate::ort_engine::Engine;
use crate::rng::Rng;
use actor::Actor;
use normal::Normal;
use rollout::{Explorer, GAIN, Rollout, critic_inputs, q16};
use task::Plan;
use weir_env::{Acting, Conditions, Estimate, Policy, Reward, evaluate, wide};
use weir_features::INPUTS;

/// How a policy is trained.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// For what.
    pub task: Task,
    /// Widths of the hidden layers, of policy and value network alike; all tanh.
    pub hidden: Vec<usize>,
    /// Decisions in all.
    pub steps: u64,
    /// Decisions per update, at least.
    pub batch: usize,
    /// Rows of a gradient step, at least.
    pub minibatch: usize,
    /// Times that an update goes through its batch.
    pub epochs: usize,
    /// First and last learning rate, linear in between.
    pub learning_rate: (f64, f64),
    /// See [`PpoHead::clip`].
    pub clip: f64,
    /// See [`PpoHead::entropy`].
    pub entropy: f64,
    /// What a reward is worth one decision later.
    pub discount: f64,
    /// GAE's lambda.
    pub lambda: f64,
    /// The policy's first deviation in units of the action; it is learned from there.
    pub deviation: f64,
    /// Batches from one look at the selection set to the next, and the set's episodes.
    pub selection: (u64, usize),
    /// Episodes of each set that the card's results are from, at most.
    pub evaluation: usize,
}

impl Recipe {
    /// How the shipped models were trained.
    pub fn of(task: Task, steps: u64) -> Self {
        let published = matches!(task, Task::Published);
        Self {
            task,
            hidden: if matches!(task, Task::Preferences) { vec![64, 32] } else { vec![32, 16] },
            steps,
            batch: if published { 8192 } else { 32_768 },
            minibatch: 2048,
            epochs: 4,
            learning_rate: (1e-3, 1e-5),
            clip: 0.2,
            entropy: 0.0,
            // Flows come to equal shares over hundreds of intervals: who is to learn that must look far.
            discount: if matches!(task, Task::Wide) { 0.995 } else { 0.99 },
            lambda: 0.95,
            deviation: if published { 0.25 } else { 0.5 },
            selection: (if published { 20 } else { 8 }, 100),
            evaluation: 400,
        }
    }
}

/// A training under way.
#[derive(Debug)]
pub struct Training {
    recipe: Recipe,
    policy: Learner,
    value: Learner,
    rng: Rng,
    steps: u64,
    batches: u64,
    best: Option<Best>,
    selection: Vec<Plan>,
    /// Links to be kept full with a short queue.
    cells: Vec<Conditions>,
    seed: u64,
    curve: Vec<Point>,
}

/// One look at the selection set.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Point {
    steps: u64,
    reward: f64,
    error: f64,
}

/// The best network so far, on normalised inputs.
#[derive(Debug, Clone, PartialEq)]
struct Best {
    network: Network,
    score: f64,
    steps: u64,
}

/// What one iteration brought.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Decisions so far.
    pub steps: u64,
    /// Decisions in all.
    pub steps_max: u64,
    /// The update.
    pub update: Update,
    /// The policy's deviation now, in units of the action.
    pub deviation: f64,
    /// What the policy without noise did on the selection sets, where this iteration looked.
    pub selected: Option<Selected>,
    /// The best score so far, and the decisions after which it was.
    pub best: Option<(f64, u64)>,
}

/// What a policy did on the selection sets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Selected {
    /// Its reward on drawn episodes.
    pub reward: Estimate,
    /// Share of links that it kept full with a short queue; 0 where a task asks for no links.
    pub good: f64,
}

impl Selected {
    /// By which networks are compared.
    pub fn score(&self) -> f64 {
        self.reward.mean + self.good
    }
}

impl Training {
    /// A training from nothing.
    ///
    /// # Errors
    /// [`LearnerError`] when a training graph cannot be built or run.
    pub fn new(engine: &Engine, recipe: Recipe, seed: u64) -> Result<Self, LearnerError> {
        let mut rng = Rng::new(seed);
        let inputs = recipe.task.normal().len();
        let policy = random(inputs, &recipe.hidden, &mut rng);
        let value = random(critic_inputs(recipe.task), &recipe.hidden, &mut rng);
        let head = PpoHead {
            clip: recipe.clip,
            entropy: recipe.entropy,
            log_std: LogStd::Trained { start: recipe.deviation.ln() },
        };
        let adam = AdamOptions { epsilon: 1e-5, grad_norm_max: Some(0.5), ..AdamOptions::default() };
        Ok(Self {
            policy: Learner::new(engine, &policy, &Head::Ppo(head), adam)?,
            value: Learner::new(engine, &value, &Head::Regression(Regression::Mse), adam)?,
            rng,
            steps: 0,
            batches: 0,
            best: None,
            selection: recipe.task.selection(recipe.selection.1),
            cells: recipe.task.cells(),
            seed,
            curve: Vec::new(),
            recipe,
        })
    }

    /// Whether all steps are done.
    pub fn is_done(&self) -> bool {
        self.steps >= self.recipe.steps
    }

    /// One batch.
    ///
    /// # Errors
    /// [`LearnerError`] when a step cannot be taken; the training is then of no further use.
    pub fn iterate(&mut self) -> Result<Progress, LearnerError> {
        let Recipe { task, batch, learning_rate, .. } = self.recipe;
        let left = 1.0 - self.steps as f64 / self.recipe.steps.max(1) as f64;
        let rate = learning_rate.1 + (learning_rate.0 - learning_rate.1) * left.max(0.0);
        let log_std = self.policy.log_std().first().copied().unwrap_or(0.0);
        let mut explorer =
            Explorer { actor: Actor::new(&self.policy.network()), log_std, normal: task.normal() };
        let rollout = Rollout::collect(task, &mut explorer, batch, &mut self.rng);
        let update =
            update::update(&self.recipe, &mut self.policy, &mut self.value, &rollout, rate, &mut self.rng)?;
        self.steps += rollout.known.iter().filter(|&&known| known).count() as u64;
        self.batches += 1;
        let look = self.batches.is_multiple_of(self.recipe.selection.0) || self.is_done();
        let selected = look.then(|| self.select());
        Ok(Progress {
            steps: self.steps,
            steps_max: self.recipe.steps,
            update,
            deviation: f64::from(self.policy.log_std().first().copied().unwrap_or(0.0)).exp(),
            selected,
            best: self.best.as_ref().map(|best| (best.score, best.steps)),
        })
    }

    /// The best network so far on bare features, as it is shipped; before the first look the one of the moment.
    pub fn network(&self) -> Network {
        let network = self.best.as_ref().map_or_else(|| self.policy.network(), |best| best.network.clone());
        let mut network = self.recipe.task.normal().fold(&network);
        if let Some(last) = network.layers.last_mut() {
            last.weights.iter_mut().chain(&mut last.bias).for_each(|w| *w *= f64::from(GAIN));
        }
        network
    }

    fn select(&mut self) -> Selected {
        let network = self.policy.network();
        let mut greedy = Greedy::new(&network, self.recipe.task.normal());
        let rewards = self.selection.iter().map(|plan| {
            greedy.rest.clone_from(&plan.rest);
            let conditions = std::slice::from_ref(&plan.conditions);
            evaluate(&mut Acting(&mut greedy), conditions, plan.reward).reward().mean
        });
        let reward = Estimate::of(rewards.collect::<Vec<_>>().into_iter());
        let cells = evaluate(&mut Acting(&mut greedy), &self.cells, Reward::Fair);
        let good = cells.estimate(|episode| f64::from(u8::from(wide::good(&episode.measured)))).mean;
        let found = Selected { reward, good };
        self.curve.push(Point { steps: self.steps, reward: reward.mean, error: reward.standard_error });
        if self.best.as_ref().is_none_or(|best| found.score() > best.score) {
            self.best = Some(Best { network, score: found.score(), steps: self.steps });
        }
        found
    }
}

/// The policy without noise, on normalised inputs.
struct Greedy {
    actor: Actor,
    normal: Normal,
    rest: Vec<f32>,
    row: Vec<f32>,
}

impl Greedy {
    fn new(network: &Network, normal: Normal) -> Self {
        Self { actor: Actor::new(network), normal, rest: Vec::new(), row: Vec::new() }
    }
}

impl Policy for Greedy {
    fn act(&mut self, inputs: &[i32; INPUTS]) -> i32 {
        self.row.clear();
        self.normal.push(inputs, &self.rest, &mut self.row);
        q16(GAIN * self.actor.answer(&self.row))
    }
}

/// A tanh network with one output and random weights: Glorot's rule (uniform, variance 2 / (in + out)), biases zero, the
/// last layer a hundredth of that, so that the first policy holds its rate.
pub(crate) fn random(inputs: usize, hidden: &[usize], rng: &mut Rng) -> Network {
    let widths: Vec<usize> = [inputs].iter().chain(hidden).chain(&[1]).copied().collect();
    let last = widths.len() - 2;
    let layer = |(at, pair): (usize, &[usize])| {
        let (inputs, outputs) = (pair[0], pair[1]);
        let bound = (6.0 / (inputs + outputs) as f64).sqrt() * if at == last { 0.01 } else { 1.0 };
        Layer {
            inputs,
            outputs,
            weights: (0..inputs * outputs).map(|_| rng.uniform(-bound, bound)).collect(),
            bias: vec![0.0; outputs],
            activation: if at == last { Activation::Identity } else { Activation::Tanh },
        }
    };
    Network { layers: widths.windows(2).enumerate().map(layer).collect(), output: Output::Linear }
}

#[cfg(test)]
mod tests;
