//! The losses behind a network's outputs.

use super::head::{Bandit, Head, LogStd, PpoHead, Regression};
use super::nodes::{Rows, Shape, Tape, Value};
use crate::network::Activation;
use std::f64::consts::{E, TAU};

/// A loss, and what else a step says.
#[derive(Debug)]
pub(super) struct Loss {
    pub(super) value: Value,
    pub(super) diagnostics: Vec<(&'static str, Value)>,
}

/// What a loss is made of, beside the batch's tensors.
#[derive(Debug)]
pub(super) struct Parts {
    /// The last layer's values, before a softmax.
    pub(super) output: Value,
    /// How many they are.
    pub(super) outputs: usize,
    /// A trained log deviation [1, outputs].
    pub(super) log_std: Option<Value>,
    /// Row weights that sum to one.
    pub(super) weights: Value,
}

impl Tape {
    /// Appends the head's loss, and takes what else it needs of the batch as graph inputs.
    pub(super) fn loss(&mut self, head: &Head, parts: &Parts) -> Loss {
        let &Parts { output, outputs, weights, .. } = parts;
        match *head {
            Head::Regression(form) => {
                let target = self.labels("y", outputs);
                let distance = self.distance(form, parts, target);
                Loss { value: self.mean(distance, weights), diagnostics: vec![] }
            }
            Head::Ppo(head) => self.ppo(head, parts),
            Head::Bandit(Bandit::Actions { cap, entropy }) => {
                let chosen = self.labels("chosen", outputs);
                let worth = self.worth(cap);
                self.policy(output, chosen, worth, weights, entropy)
            }
            Head::Bandit(Bandit::Options { options, cap, entropy }) => {
                let chosen = self.labels("chosen", options);
                let worth = self.worth(cap);
                let scores = self.reshape(output, Shape::Matrix(Rows::Batch(1), options));
                self.policy(scores, chosen, worth, weights, entropy)
            }
            Head::Bandit(Bandit::Scorer { loss, cap }) => {
                let reward = self.labels("reward", 1);
                let importance = self.importance(cap);
                let distance = self.distance(loss, parts, reward);
                let weighted = self.mul(distance, importance);
                Loss { value: self.mean(weighted, weights), diagnostics: vec![] }
            }
        }
    }

    /// A matrix of the batch, beside the network's inputs.
    fn labels(&mut self, name: &str, columns: usize) -> Value {
        self.input(name, Shape::Matrix(Rows::Batch(1), columns))
    }

    /// Distance of each row to its target, averaged over the outputs: a column.
    fn distance(&mut self, form: Regression, parts: &Parts, target: Value) -> Value {
        let error = self.sub(parts.output, target);
        let each = match form {
            Regression::Mse => self.mul(error, error),
            Regression::Huber { delta } => {
                // With c = e held within +-delta: c (e - c / 2) is the parabola inside and the line outside.
                let held = self.activation(Activation::Clip { lo: -delta, hi: delta }, error);
                let half = self.scaled(held, 0.5);
                let rest = self.sub(error, half);
                self.mul(held, rest)
            }
        };
        if parts.outputs == 1 {
            return each;
        }
        let total = self.row_sum(each);
        self.scaled(total, 1.0 / parts.outputs as f64)
    }

    /// `-E[min(r A, clip(r) A)] - entropy * H`, r the ratio of the action's probability now to that when it was taken.
    fn ppo(&mut self, head: PpoHead, parts: &Parts) -> Loss {
        let actions = parts.outputs;
        let action = self.labels("action", actions);
        let [log_prob, advantage] = ["log_prob", "advantage"].map(|name| self.labels(name, 1));
        let log_std = match (parts.log_std, head.log_std) {
            (Some(trained), _) => trained,
            (None, LogStd::Fixed(number) | LogStd::Trained { start: number }) => {
                self.filled(number, 1, actions)
            }
        };
        // log N(a; mean, s) = -((a - mean) / s)^2 / 2 - log s - log(2 pi) / 2, summed over the actions.
        let negative = self.scaled(log_std, -1.0);
        let inverse = self.exp(negative);
        let error = self.sub(action, parts.output);
        let z = self.mul(error, inverse);
        let square = self.mul(z, z);
        let square = self.scaled(square, -0.5);
        let each = self.sub(square, log_std);
        let sum = self.row_sum(each);
        let constant = self.scalar(-0.5 * TAU.ln() * actions as f64);
        let now = self.add(sum, constant);
        let log_ratio = self.sub(now, log_prob);
        let ratio = self.exp(log_ratio);

        let free = self.mul(ratio, advantage);
        let held = Activation::Clip { lo: 1.0 - head.clip, hi: 1.0 + head.clip };
        let held = self.activation(held, ratio);
        let held = self.mul(held, advantage);
        let surrogate = self.min(free, held);
        let surrogate = self.mean(surrogate, parts.weights);

        let entropy = self.row_sum(log_std);
        let constant = self.scalar(0.5 * (TAU * E).ln() * actions as f64);
        let entropy = self.add(entropy, constant);
        let value = self.against(surrogate, entropy, head.entropy);

        // Schulman's estimate of the divergence, (r - 1) - log r: never negative, and of low variance.
        let one = self.scalar(1.0);
        let change = self.elementwise("Sub", &[ratio, one]);
        let divergence = self.elementwise("Sub", &[change, log_ratio]);
        let kl = self.mean(divergence, parts.weights);
        let distance = self.elementwise("Abs", &[change]);
        let clip = self.scalar(head.clip);
        let outside = self.elementwise("Greater", &[distance, clip]);
        let zero = self.scalar(0.0);
        let outside = self.elementwise("Where", &[outside, one, zero]);
        let clip_fraction = self.mean(outside, parts.weights);
        Loss { value, diagnostics: vec![("kl", kl), ("clip_fraction", clip_fraction), ("entropy", entropy)] }
    }

    /// `-E[worth * log pi(chosen)] - entropy * H(pi)`, pi the softmax of each row.
    fn policy(&mut self, logits: Value, chosen: Value, worth: Value, weights: Value, bonus: f64) -> Loss {
        let log_pi = self.log_softmax(logits);
        let picked = self.mul(log_pi, chosen);
        let picked = self.row_sum(picked);
        let gain = self.mul(picked, worth);
        let gain = self.mean(gain, weights);
        let pi = self.exp(log_pi);
        let terms = self.mul(pi, log_pi);
        let negative = self.row_sum(terms);
        let negative = self.mean(negative, weights);
        let entropy = self.scaled(negative, -1.0);
        let value = self.against(gain, entropy, bonus);
        Loss { value, diagnostics: vec![("entropy", entropy)] }
    }

    /// `-(gain + bonus * entropy)`
    fn against(&mut self, gain: Value, entropy: Value, bonus: f64) -> Value {
        let mut total = gain;
        if bonus > 0.0 {
            let extra = self.scaled(entropy, bonus);
            total = self.add(gain, extra);
        }
        self.scaled(total, -1.0)
    }

    /// Importance times reward.
    fn worth(&mut self, cap: f64) -> Value {
        let reward = self.labels("reward", 1);
        let importance = self.importance(cap);
        self.elementwise("Mul", &[importance, reward])
    }

    /// `min(1 / propensity, cap)`
    fn importance(&mut self, cap: f64) -> Value {
        let propensity = self.labels("propensity", 1);
        let inverse = self.elementwise("Reciprocal", &[propensity]);
        let cap = self.scalar(cap);
        self.elementwise("Min", &[inverse, cap])
    }

    fn scaled(&mut self, x: Value, factor: f64) -> Value {
        let factor = self.scalar(factor);
        self.mul(x, factor)
    }

    /// Sum along each row, as a column.
    fn row_sum(&mut self, matrix: Value) -> Value {
        match self.shape(matrix) {
            Shape::Matrix(_, columns) if columns > 1 => {
                let ones = self.filled(1.0, columns, 1);
                self.gemm(matrix, ones, None)
            }
            _ => matrix,
        }
    }

    /// A column divided by its sum.
    pub(super) fn normalised(&mut self, column: Value) -> Value {
        let total = self.sum(column, true, false);
        self.elementwise("Div", &[column, total])
    }
}
