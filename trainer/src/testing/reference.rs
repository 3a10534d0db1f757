//! The training step once more, by hand in f64 and row by row: what every graph is held to.

use super::cases::{Case, Rows};
use crate::graph::{AdamOptions, Bandit, Head, LogStd, Regression};
use crate::network::{Activation, Layer};
use std::f64::consts::{E, TAU};

/// A network in training, in plain f64.
#[derive(Debug, Clone)]
pub(crate) struct Reference {
    pub(crate) layers: Vec<Layer>,
    /// Deviation of a PPO policy, trained or not.
    pub(crate) log_std: Vec<f64>,
    head: Head,
    adam: AdamOptions,
    mean: Vec<f64>,
    square: Vec<f64>,
    steps: i32,
}

/// A row's way through the network: what each layer took, and its sums.
struct Trace {
    inputs: Vec<Vec<f64>>,
    sums: Vec<Vec<f64>>,
    output: Vec<f64>,
}

impl Reference {
    pub(crate) fn new(case: &Case) -> Self {
        let outputs = case.network.layers.last().unwrap().outputs;
        let log_std = match case.head {
            Head::Ppo(head) => match head.log_std {
                LogStd::Fixed(value) | LogStd::Trained { start: value } => vec![value; outputs],
            },
            _ => vec![],
        };
        let mut new = Self {
            layers: case.network.layers.clone(),
            log_std,
            head: case.head,
            adam: case.adam,
            mean: vec![],
            square: vec![],
            steps: 0,
        };
        new.mean = vec![0.0; new.parameters().len()];
        new.square = new.mean.clone();
        new
    }

    fn trained_deviation(&self) -> bool {
        matches!(self.head, Head::Ppo(head) if matches!(head.log_std, LogStd::Trained { .. }))
    }

    /// All parameters, in the order of the training graph.
    pub(crate) fn parameters(&mut self) -> Vec<&mut f64> {
        let trained = self.trained_deviation();
        let mut all = Vec::new();
        for layer in &mut self.layers {
            let mut weights: Vec<Option<&mut f64>> = layer.weights.iter_mut().map(Some).collect();
            for input in 0..layer.inputs {
                for output in 0..layer.outputs {
                    all.push(weights[output * layer.inputs + input].take().unwrap());
                }
            }
            all.extend(layer.bias.iter_mut());
        }
        if trained {
            all.extend(self.log_std.iter_mut());
        }
        all
    }

    /// One step of Adam as its paper has it; returns the loss before it.
    pub(crate) fn step(&mut self, rows: &Rows, rate: f64) -> f64 {
        let (loss, mut gradient) = self.loss(rows);
        let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        if let Some(max) = self.adam.grad_norm_max.filter(|&max| norm > max) {
            gradient.iter_mut().for_each(|g| *g *= max / norm);
        }
        self.steps += 1;
        let AdamOptions { beta1, beta2, epsilon, .. } = self.adam;
        let (c1, c2) = (1.0 - beta1.powi(self.steps), 1.0 - beta2.powi(self.steps));
        let (mut mean, mut square) = (std::mem::take(&mut self.mean), std::mem::take(&mut self.square));
        for (((p, g), m), v) in self.parameters().into_iter().zip(&gradient).zip(&mut mean).zip(&mut square) {
            *m = beta1 * *m + (1.0 - beta1) * g;
            *v = beta2 * *v + (1.0 - beta2) * g * g;
            *p -= rate * (*m / c1) / ((*v / c2).sqrt() + epsilon);
        }
        (self.mean, self.square) = (mean, square);
        loss
    }

    /// Loss over the rows and its gradient, in the order of [`parameters`](Self::parameters).
    pub(crate) fn loss(&self, rows: &Rows) -> (f64, Vec<f64>) {
        let options = match self.head {
            Head::Bandit(Bandit::Options { options, .. }) => options,
            _ => 1,
        };
        let width = self.layers[0].inputs;
        let inputs: Vec<f64> = rows.inputs.iter().map(|&x| f64::from(x)).collect();
        let count = inputs.len() / (width * options);
        let weights: Vec<f64> = match &rows.weights {
            Some(weights) => weights.iter().map(|&w| f64::from(w)).collect(),
            None => vec![1.0; count],
        };
        let total: f64 = weights.iter().sum();
        let mut gradient = vec![0.0; self.clone().parameters().len()];
        let mut loss = 0.0;
        for (row, share) in weights.iter().map(|weight| weight / total).enumerate() {
            let traces: Vec<Trace> = (0..options)
                .map(|option| {
                    let at = (row * options + option) * width;
                    self.forward(&inputs[at..at + width])
                })
                .collect();
            let outputs: Vec<f64> = traces.iter().flat_map(|trace| trace.output.iter().copied()).collect();
            let (value, errors, deviations) = self.row_loss(rows, row, &outputs);
            loss += share * value;
            let per_trace = errors.len() / options;
            for (trace, error) in traces.iter().zip(errors.chunks_exact(per_trace)) {
                let error: Vec<f64> = error.iter().map(|e| share * e).collect();
                self.backward(trace, error, &mut gradient);
            }
            if self.trained_deviation() {
                let start = gradient.len() - deviations.len();
                for (sum, by) in gradient[start..].iter_mut().zip(deviations) {
                    *sum += share * by;
                }
            }
        }
        (loss, gradient)
    }

    /// What a PPO step says beside its loss: divergence and share of rows outside the clip.
    pub(crate) fn divergence(&self, rows: &Rows) -> (f64, f64) {
        let Head::Ppo(head) = self.head else { panic!("{:?}", self.head) };
        let width = self.layers[0].inputs;
        let count = rows.inputs.len() / width;
        let weights = rows.weights.clone().unwrap_or(vec![1.0; count]);
        let total: f64 = weights.iter().map(|&w| f64::from(w)).sum();
        let (mut kl, mut outside) = (0.0, 0.0);
        for (row, weight) in weights.iter().enumerate() {
            let inputs: Vec<f64> =
                rows.inputs[row * width..][..width].iter().map(|&x| f64::from(x)).collect();
            let (_, log_ratio) = self.log_ratio(rows, row, &self.forward(&inputs).output);
            let share = f64::from(*weight) / total;
            kl += share * (log_ratio.exp() - 1.0 - log_ratio);
            outside += if (log_ratio.exp() - 1.0).abs() > head.clip { share } else { 0.0 };
        }
        (kl, outside)
    }

    /// The standardised actions of a row, and the logarithm of its probability ratio.
    fn log_ratio(&self, rows: &Rows, row: usize, means: &[f64]) -> (Vec<f64>, f64) {
        let actions = &rows.targets[row * means.len()..][..means.len()];
        let z: Vec<f64> = actions
            .iter()
            .zip(means.iter().zip(&self.log_std))
            .map(|(&action, (mean, log_std))| (f64::from(action) - mean) / log_std.exp())
            .collect();
        let now: f64 = z.iter().zip(&self.log_std).map(|(z, s)| -z * z / 2.0 - s - TAU.ln() / 2.0).sum();
        (z, now - f64::from(rows.log_probs[row]))
    }

    /// One row's loss, and its derivatives by each output (of all options) and by each log deviation.
    fn row_loss(&self, rows: &Rows, row: usize, outputs: &[f64]) -> (f64, Vec<f64>, Vec<f64>) {
        let target = |index: usize| f64::from(rows.targets[row * outputs.len() + index]);
        let (reward, propensity) = (f64::from(rows.rewards[row]), f64::from(rows.propensities[row]));
        match self.head {
            Head::Regression(form) => {
                let share = 1.0 / outputs.len() as f64;
                let each = outputs.iter().enumerate().map(|(index, y)| distance(form, y - target(index)));
                let (values, slopes): (Vec<f64>, Vec<f64>) = each.unzip();
                (share * values.iter().sum::<f64>(), slopes.iter().map(|s| share * s).collect(), vec![])
            }
            Head::Ppo(head) => {
                let (z, log_ratio) = self.log_ratio(rows, row, outputs);
                let ratio = log_ratio.exp();
                let advantage = f64::from(rows.advantages[row]);
                let free = ratio * advantage;
                let held = ratio.clamp(1.0 - head.clip, 1.0 + head.clip) * advantage;
                let entropy: f64 = self.log_std.iter().map(|s| s + (TAU * E).ln() / 2.0).sum();
                // Where the clip decides, the row has no slope.
                let by_log_prob = if free <= held { free } else { 0.0 };
                let by_mean = z.iter().zip(&self.log_std).map(|(z, s)| -by_log_prob * z / s.exp()).collect();
                let by_log_std = z.iter().map(|z| -by_log_prob * (z * z - 1.0) - head.entropy).collect();
                (-free.min(held) - head.entropy * entropy, by_mean, by_log_std)
            }
            Head::Bandit(Bandit::Scorer { loss, cap }) => {
                let importance = (1.0 / propensity).min(cap);
                let (value, slope) = distance(loss, outputs[0] - reward);
                (importance * value, vec![importance * slope], vec![])
            }
            Head::Bandit(Bandit::Actions { cap, entropy } | Bandit::Options { cap, entropy, .. }) => {
                let worth = (1.0 / propensity).min(cap) * reward;
                let total: f64 = outputs.iter().map(|z| z.exp()).sum();
                let log_pi: Vec<f64> = outputs.iter().map(|z| z - total.ln()).collect();
                let bits: f64 = -log_pi.iter().map(|l| l.exp() * l).sum::<f64>();
                let chosen = rows.chosen[row];
                let slopes = log_pi.iter().enumerate().map(|(index, l)| {
                    let (pi, picked) = (l.exp(), f64::from(u8::from(index == chosen)));
                    -worth * (picked - pi) + entropy * pi * (l + bits)
                });
                (-worth * log_pi[chosen] - entropy * bits, slopes.collect(), vec![])
            }
        }
    }

    fn forward(&self, row: &[f64]) -> Trace {
        let mut trace = Trace { inputs: vec![], sums: vec![], output: row.to_vec() };
        for layer in &self.layers {
            let sums = layer.sums(&trace.output);
            let output = sums.iter().map(|&sum| layer.activation.apply(sum)).collect();
            trace.inputs.push(std::mem::replace(&mut trace.output, output));
            trace.sums.push(sums);
        }
        trace
    }

    fn backward(&self, trace: &Trace, mut error: Vec<f64>, gradient: &mut [f64]) {
        let mut end: usize = self.layers.iter().map(|layer| (layer.inputs + 1) * layer.outputs).sum();
        for (index, layer) in self.layers.iter().enumerate().rev() {
            for (e, &sum) in error.iter_mut().zip(&trace.sums[index]) {
                *e *= slope(layer.activation, sum);
            }
            let start = end - (layer.inputs + 1) * layer.outputs;
            let mut below = vec![0.0; layer.inputs];
            for (i, x) in trace.inputs[index].iter().enumerate() {
                for (o, e) in error.iter().enumerate() {
                    gradient[start + i * layer.outputs + o] += x * e;
                    below[i] += layer.weights[o * layer.inputs + i] * e;
                }
            }
            for (o, e) in error.iter().enumerate() {
                gradient[start + layer.inputs * layer.outputs + o] += e;
            }
            (error, end) = (below, start);
        }
    }
}

fn distance(form: Regression, error: f64) -> (f64, f64) {
    match form {
        Regression::Mse => (error * error, 2.0 * error),
        Regression::Huber { delta } if error.abs() <= delta => (error * error / 2.0, error),
        Regression::Huber { delta } => (delta * (error.abs() - delta / 2.0), delta * error.signum()),
    }
}

fn slope(activation: Activation, x: f64) -> f64 {
    let step = |inside: bool| f64::from(u8::from(inside));
    match activation {
        Activation::Identity => 1.0,
        Activation::Relu => step(x > 0.0),
        Activation::LeakyRelu { slope } => {
            if x < 0.0 {
                slope
            } else {
                1.0
            }
        }
        Activation::Clip { lo, hi } => step(x > lo && x < hi),
        Activation::Tanh => 1.0 - x.tanh().powi(2),
        Activation::Sigmoid => activation.apply(x) * (1.0 - activation.apply(x)),
        Activation::HardSigmoid { alpha, beta } => {
            alpha * step((0.0..1.0).contains(&(alpha * x + beta)) && alpha * x + beta > 0.0)
        }
    }
}
