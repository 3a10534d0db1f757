//! One batch's update: advantages by GAE, then a few epochs of minibatches through the policy's and the value network's
//! training graphs (Schulman et al., 2017).

use super::Recipe;
use super::actor::Actor;
use super::rollout::Rollout;
use crate::gae::{Step, timed_advantages};
use crate::learner::{HeadBatch, Labels, Learner, LearnerError};
use crate::rng::Rng;

/// What an update says of itself, averaged over its minibatches.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Update {
    /// Mean reward of the batch, as trained on.
    pub reward: f64,
    /// Estimate of the divergence from the policy that acted, in nats, in the last epoch.
    pub kl: f64,
    /// Error of the value network over the variance of what it predicts, before the update.
    pub value_error: f64,
}

/// Improves policy and value network by a rollout.
pub(super) fn update(
    recipe: &Recipe,
    policy: &mut Learner,
    value: &mut Learner,
    rollout: &Rollout,
    learning_rate: f64,
    rng: &mut Rng,
) -> Result<Update, LearnerError> {
    let width = rollout.inputs.len() / rollout.len().max(1);
    let critic = rollout.critic.len() / rollout.len().max(1);
    let mut judge = Actor::new(&value.network());
    let values: Vec<f64> =
        rollout.critic.chunks_exact(critic).map(|row| f64::from(judge.answer(row))).collect();
    let known = |at: usize| rollout.known.get(at).copied().unwrap_or(false);
    let step = |at: usize| Step {
        // So that values are about as large as one reward.
        reward: f64::from(rollout.rewards[at]) * (1.0 - recipe.discount),
        value: values[at],
        next_value: values.get(at + 1).copied().unwrap_or(0.0),
        leads_on: known(at) && known(at + 1),
    };
    let steps: Vec<Step> = (0..rollout.len()).map(step).collect();
    let length = |at: usize| f64::from(rollout.lengths[at]);
    let advantages = timed_advantages(&steps, length, recipe.discount, recipe.lambda);
    let mut order: Vec<usize> = (0..rollout.len()).filter(|&at| known(at)).collect();
    let count = order.len().max(1) as f64;
    let mean = order.iter().map(|&at| advantages[at]).sum::<f64>() / count;
    let variance = order.iter().map(|&at| (advantages[at] - mean).powi(2)).sum::<f64>() / count;
    let spread = variance.sqrt().max(1e-8);

    let mut report = Update {
        reward: order.iter().map(|&at| f64::from(rollout.rewards[at])).sum::<f64>() / count,
        ..Update::default()
    };
    let mut columns = Columns::default();
    for epoch in 0..recipe.epochs {
        shuffle(&mut order, rng);
        let minibatches = (order.len() / recipe.minibatch).max(1);
        let (mut kl, mut squares) = (0.0, 0.0);
        for rows in order.chunks(order.len().div_ceil(minibatches).max(1)) {
            columns.gather(rows, rollout, (width, critic), |at| {
                (((advantages[at] - mean) / spread) as f32, (advantages[at] + values[at]) as f32)
            });
            let labels = Labels::Actions {
                actions: &columns.actions,
                log_probs: &columns.log_probs,
                advantages: &columns.advantages,
            };
            let batch = HeadBatch { inputs: &columns.inputs, labels, weights: None };
            kl += policy.step(&batch, learning_rate)?.kl.unwrap_or(0.0);
            let labels = Labels::Targets { targets: &columns.targets };
            let batch = HeadBatch { inputs: &columns.critic, labels, weights: None };
            squares += value.step(&batch, learning_rate)?.loss;
        }
        if epoch == 0 {
            report.value_error = squares / minibatches as f64 / target_variance(&order, &advantages, &values);
        }
        report.kl = kl / minibatches as f64;
    }
    Ok(report)
}

/// A minibatch.
#[derive(Debug, Default)]
struct Columns {
    inputs: Vec<f32>,
    critic: Vec<f32>,
    actions: Vec<f32>,
    log_probs: Vec<f32>,
    advantages: Vec<f32>,
    targets: Vec<f32>,
}

impl Columns {
    fn gather(
        &mut self,
        rows: &[usize],
        rollout: &Rollout,
        (width, critic): (usize, usize),
        learned: impl Fn(usize) -> (f32, f32),
    ) {
        let Self { inputs, critic: truths, actions, log_probs, advantages, targets } = self;
        for column in [&mut *inputs, truths, actions, log_probs, advantages, targets] {
            column.clear();
        }
        for &at in rows {
            inputs.extend_from_slice(&rollout.inputs[at * width..(at + 1) * width]);
            truths.extend_from_slice(&rollout.critic[at * critic..(at + 1) * critic]);
            actions.push(rollout.actions[at]);
            log_probs.push(rollout.log_probs[at]);
            let (advantage, target) = learned(at);
            advantages.push(advantage);
            targets.push(target);
        }
    }
}

fn target_variance(order: &[usize], advantages: &[f64], values: &[f64]) -> f64 {
    let count = order.len().max(1) as f64;
    let target = |at: usize| advantages[at] + values[at];
    let mean = order.iter().map(|&at| target(at)).sum::<f64>() / count;
    (order.iter().map(|&at| (target(at) - mean).powi(2)).sum::<f64>() / count).max(1e-12)
}

/// Fisher and Yates.
fn shuffle(order: &mut [usize], rng: &mut Rng) {
    for last in (1..order.len()).rev() {
        order.swap(last, rng.below(last + 1));
    }
}
