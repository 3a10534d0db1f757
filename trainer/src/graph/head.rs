//! What a network is trained for: the loss behind its outputs, and the optimiser's settings.

use super::GraphError;

/// The loss of a training graph. All means over rows are weighted by the batch's row weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Head {
    /// The outputs approach targets. Also the value network of an actor-critic pair.
    Regression(Regression),
    /// The outputs are the mean of a Gaussian policy, improved by proximal policy optimisation.
    Ppo(PpoHead),
    /// One of several actions was taken with a known probability, and only its reward was seen.
    Bandit(Bandit),
}

/// Distance of an output to its target, averaged over outputs and rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Regression {
    /// `e^2`
    Mse,
    /// `e^2 / 2` up to `delta`, `delta * (|e| - delta / 2)` beyond: an outlier pulls no harder than `delta`.
    Huber {
        /// Where the parabola becomes a line, above 0, in units of the target.
        delta: f64,
    },
}

/// Proximal policy optimisation with the clipped surrogate (Schulman et al., 2017), of a Gaussian whose mean is the
/// network's output and whose deviation does not depend on the state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PpoHead {
    /// How far the probability ratio may leave 1 before its gradient stops, in 0 to 1. Usual: 0.2.
    pub clip: f64,
    /// Weight of the entropy bonus, at least 0. Without effect on a fixed deviation.
    pub entropy: f64,
    /// The policy's deviation.
    pub log_std: LogStd,
}

/// Natural logarithm of a Gaussian policy's standard deviation, in units of the action.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LogStd {
    /// As configured: the datapath explores with this deviation, so training must not change it.
    Fixed(f64),
    /// One more parameter for each action, behind the network's.
    Trained {
        /// Where it starts.
        start: f64,
    },
}

/// Learning from the reward of the action that was taken, by its propensity: the probability with which it was taken.
///
/// A row's importance is `min(1 / propensity, cap)`: the cap trades a little bias for bounded variance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bandit {
    /// The network's softmax is the policy over its outputs: loss `-importance * reward * log pi(chosen | x)`, less the
    /// entropy bonus. With rewards and propensities of 1 this is a classifier under cross-entropy.
    Actions {
        /// Largest importance, at least 1.
        cap: f64,
        /// Weight of the entropy bonus, at least 0.
        entropy: f64,
    },
    /// The network gives one score for each of a row's options (shared weights), and their softmax is the policy; the
    /// loss is that of [`Bandit::Actions`]. A row's inputs are its options' inputs one after the other.
    Options {
        /// Options of each row, at least 2.
        options: usize,
        /// Largest importance, at least 1.
        cap: f64,
        /// Weight of the entropy bonus, at least 0.
        entropy: f64,
    },
    /// The network predicts the reward of the option that was taken: regression weighted by importance, so that
    /// options that are seldom taken count as much as others.
    Scorer {
        /// Distance of prediction and reward.
        loss: Regression,
        /// Largest importance, at least 1.
        cap: f64,
    },
}

/// Adam (Kingma and Ba, 2015), exactly bias corrected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamOptions {
    /// Decay of the gradient's mean, in 0 up to but not including 1.
    pub beta1: f64,
    /// Decay of the gradient's mean square, in 0 up to but not including 1.
    pub beta2: f64,
    /// Added to the root of the mean square, above 0.
    pub epsilon: f64,
    /// A longer gradient (Euclidean norm over all parameters) is scaled to this length; above 0.
    pub grad_norm_max: Option<f64>,
}

impl Default for AdamOptions {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, grad_norm_max: None }
    }
}

impl AdamOptions {
    pub(super) fn check(&self) -> Result<(), GraphError> {
        let decay = "at least 0 and below 1";
        setting("beta1", self.beta1, (0.0..1.0).contains(&self.beta1), decay)?;
        setting("beta2", self.beta2, (0.0..1.0).contains(&self.beta2), decay)?;
        positive("epsilon", self.epsilon)?;
        self.grad_norm_max.map_or(Ok(()), |max| positive("grad_norm_max", max))
    }
}

impl Head {
    pub(super) fn check(&self) -> Result<(), GraphError> {
        match *self {
            Head::Regression(loss) => loss.check(),
            Head::Ppo(head) => {
                setting("clip", head.clip, head.clip > 0.0 && head.clip < 1.0, "between 0 and 1")?;
                at_least("entropy", head.entropy, 0.0)?;
                let (LogStd::Fixed(log_std) | LogStd::Trained { start: log_std }) = head.log_std;
                // exp(+-20): beyond any unit that an action could have.
                setting("log_std", log_std, log_std.abs() <= 20.0, "within -20 to 20")
            }
            Head::Bandit(Bandit::Actions { cap, entropy }) => {
                at_least("cap", cap, 1.0)?;
                at_least("entropy", entropy, 0.0)
            }
            Head::Bandit(Bandit::Options { options, cap, entropy }) => {
                setting("options", options as f64, options >= 2, "at least 2")?;
                at_least("cap", cap, 1.0)?;
                at_least("entropy", entropy, 0.0)
            }
            Head::Bandit(Bandit::Scorer { loss, cap }) => {
                at_least("cap", cap, 1.0)?;
                loss.check()
            }
        }
    }

    /// Lower-case name, as in a training graph's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Head::Regression(_) => "regression",
            Head::Ppo(_) => "ppo",
            Head::Bandit(Bandit::Actions { .. }) => "bandit_actions",
            Head::Bandit(Bandit::Options { .. }) => "bandit_options",
            Head::Bandit(Bandit::Scorer { .. }) => "bandit_scorer",
        }
    }
}

impl Regression {
    fn check(self) -> Result<(), GraphError> {
        match self {
            Regression::Mse => Ok(()),
            Regression::Huber { delta } => positive("delta", delta),
        }
    }
}

fn at_least(name: &'static str, value: f64, least: f64) -> Result<(), GraphError> {
    let expected = if least > 0.0 { "at least 1" } else { "at least 0" };
    setting(name, value, value >= least && value.is_finite(), expected)
}

fn positive(name: &'static str, value: f64) -> Result<(), GraphError> {
    setting(name, value, value > 0.0 && value.is_finite(), "above 0")
}

fn setting(name: &'static str, value: f64, holds: bool, expected: &'static str) -> Result<(), GraphError> {
    if holds { Ok(()) } else { Err(GraphError::Setting { name, value, expected }) }
}
