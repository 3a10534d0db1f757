//! A tanh network, its gradient and Adam, in plain f64: small enough to check by hand and by finite differences.

use crate::network::{Activation, Layer, Network, Output};
use crate::rng::Rng;

/// A fully connected network with tanh behind every layer but the last.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mlp {
    /// Widths from input to output.
    widths: Vec<usize>,
    /// Per layer: weights [in][out], then biases [out].
    parameters: Vec<f64>,
}

/// Activations of every layer, kept for the backward pass, and the gradient's running rows.
#[derive(Debug)]
pub(crate) struct Workspace {
    values: Vec<Vec<f64>>,
    deltas: Vec<Vec<f64>>,
}

impl Mlp {
    /// Random weights by Glorot's rule (uniform, variance 2 / (in + out)), biases zero.
    pub(crate) fn new(widths: &[usize], rng: &mut Rng) -> Self {
        let mut parameters = Vec::new();
        for pair in widths.windows(2) {
            let bound = (6.0 / (pair[0] + pair[1]) as f64).sqrt();
            parameters.extend((0..pair[0] * pair[1]).map(|_| rng.uniform(-bound, bound)));
            parameters.extend(std::iter::repeat_n(0.0, pair[1]));
        }
        Self { widths: widths.to_vec(), parameters }
    }

    /// Number of weights and biases.
    pub(crate) fn parameters(&self) -> usize {
        self.parameters.len()
    }

    /// Room for one row's passes.
    pub(crate) fn workspace(&self) -> Workspace {
        let rows = || self.widths.iter().map(|&width| vec![0.0; width]).collect();
        Workspace { values: rows(), deltas: rows() }
    }

    /// Evaluates one row; the result lies in `workspace` until the next call.
    pub(crate) fn forward<'w>(&self, row: &[f64], workspace: &'w mut Workspace) -> &'w [f64] {
        let values = &mut workspace.values;
        values[0].copy_from_slice(row);
        let mut rest = &self.parameters[..];
        let last = self.widths.len() - 1;
        for layer in 0..last {
            let (inputs, outputs) = (self.widths[layer], self.widths[layer + 1]);
            let (weights, after) = rest.split_at(inputs * outputs);
            let (bias, after) = after.split_at(outputs);
            rest = after;
            let (below, above) = values.split_at_mut(layer + 1);
            let out = &mut above[0];
            out.copy_from_slice(bias);
            for (x, row) in below[layer].iter().zip(weights.chunks_exact(outputs)) {
                out.iter_mut().zip(row).for_each(|(sum, w)| *sum += x * w);
            }
            if layer + 1 < last {
                out.iter_mut().for_each(|v| *v = v.tanh());
            }
        }
        &values[last]
    }

    /// Adds the gradient of one row's loss to `gradient`, after [`forward`](Self::forward) for that row; `error` is
    /// the loss's derivative by each output.
    pub(crate) fn backward(&self, error: &[f64], workspace: &mut Workspace, gradient: &mut [f64]) {
        let Workspace { values, deltas } = workspace;
        let last = self.widths.len() - 1;
        deltas[last].copy_from_slice(error);
        let mut end = self.parameters.len();
        for layer in (0..last).rev() {
            let (inputs, outputs) = (self.widths[layer], self.widths[layer + 1]);
            let start = end - (inputs + 1) * outputs;
            let weights = &self.parameters[start..start + inputs * outputs];
            let (by_weight, by_bias) = gradient[start..end].split_at_mut(inputs * outputs);
            let (below, above) = deltas.split_at_mut(layer + 1);
            let delta = &above[0];
            by_bias.iter_mut().zip(delta).for_each(|(g, d)| *g += d);
            let rows = weights.chunks_exact(outputs).zip(by_weight.chunks_exact_mut(outputs));
            for ((row, by_row), (x, back)) in rows.zip(values[layer].iter().zip(&mut below[layer])) {
                let mut sum = 0.0;
                for ((w, g), d) in row.iter().zip(by_row).zip(delta) {
                    *g += x * d;
                    sum += w * d;
                }
                // d tanh = 1 - tanh^2; the input row's delta is not used.
                *back = sum * (1.0 - x * x);
            }
            end = start;
        }
    }

    /// The same function of `(x - centre) / spread`, times `gain`, as a [`Network`] of the bare x: the constants fold
    /// into the first and the last layer.
    pub(crate) fn network(&self, centre: &[f64], spread: &[f64], gain: f64) -> Network {
        let mut layers = Vec::new();
        let mut rest = &self.parameters[..];
        let last = self.widths.len() - 2;
        for (index, pair) in self.widths.windows(2).enumerate() {
            let (inputs, outputs) = (pair[0], pair[1]);
            let (weights, after) = rest.split_at(inputs * outputs);
            let (bias, after) = after.split_at(outputs);
            rest = after;
            let factor = if index == last { gain } else { 1.0 };
            let mut layer = Layer {
                inputs,
                outputs,
                weights: (0..outputs)
                    .flat_map(|o| (0..inputs).map(move |i| factor * weights[i * outputs + o]))
                    .collect(),
                bias: bias.iter().map(|b| factor * b).collect(),
                activation: if index == last { Activation::Identity } else { Activation::Tanh },
            };
            if index == 0 {
                for (row, bias) in layer.weights.chunks_exact_mut(inputs).zip(&mut layer.bias) {
                    for ((w, c), s) in row.iter_mut().zip(centre).zip(spread) {
                        *w /= s;
                        *bias -= *w * c;
                    }
                }
            }
            layers.push(layer);
        }
        Network { layers, output: Output::Linear }
    }
}

/// Adam (Kingma and Ba, 2015) with its usual constants and exact bias correction.
#[derive(Debug)]
pub(crate) struct Adam {
    step: i32,
    mean: Vec<f64>,
    square: Vec<f64>,
}

impl Adam {
    /// State for `parameters` parameters.
    pub(crate) fn new(parameters: usize) -> Self {
        Self { step: 0, mean: vec![0.0; parameters], square: vec![0.0; parameters] }
    }

    /// One step against `gradient`.
    pub(crate) fn step(&mut self, model: &mut Mlp, gradient: &[f64], rate: f64) {
        const BETA: (f64, f64) = (0.9, 0.999);
        const EPSILON: f64 = 1e-8;
        self.step += 1;
        let (c1, c2) = (1.0 - BETA.0.powi(self.step), 1.0 - BETA.1.powi(self.step));
        let state = self.mean.iter_mut().zip(&mut self.square);
        for ((p, g), (m, v)) in model.parameters.iter_mut().zip(gradient).zip(state) {
            *m = BETA.0 * *m + (1.0 - BETA.0) * g;
            *v = BETA.1 * *v + (1.0 - BETA.1) * g * g;
            *p -= rate * (*m / c1) / ((*v / c2).sqrt() + EPSILON);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        let mut rng = Rng::new(3);
        let mut model = Mlp::new(&[4, 5, 3, 2], &mut rng);
        let row: Vec<f64> = (0..4).map(|_| rng.normal()).collect();
        let goal = [0.3, -0.2];
        let mut workspace = model.workspace();
        let loss = |model: &Mlp, workspace: &mut Workspace| {
            let out = model.forward(&row, workspace);
            out.iter().zip(goal).map(|(y, t)| (y - t).powi(2) / 2.0).sum::<f64>()
        };
        let error: Vec<f64> =
            model.forward(&row, &mut workspace).iter().zip(goal).map(|(y, t)| y - t).collect();
        let mut gradient = vec![0.0; model.parameters()];
        model.backward(&error, &mut workspace, &mut gradient);
        for (index, found) in gradient.iter().enumerate() {
            const STEP: f64 = 1e-6;
            let kept = model.parameters[index];
            model.parameters[index] = kept + STEP;
            let above = loss(&model, &mut workspace);
            model.parameters[index] = kept - STEP;
            let below = loss(&model, &mut workspace);
            model.parameters[index] = kept;
            let expected = (above - below) / (2.0 * STEP);
            assert!((found - expected).abs() < 1e-8, "parameter {index}: {found} against {expected}");
        }
    }

    #[test]
    fn folding_the_normalisation_changes_nothing() {
        let mut rng = Rng::new(4);
        let model = Mlp::new(&[3, 4, 1], &mut rng);
        let (centre, spread) = ([0.5, -1.0, 2.0], [2.0, 0.1, 0.7]);
        let network = model.network(&centre, &spread, 3.0);
        let x = [0.2, -0.9, 1.5];
        let normal: Vec<f64> = (0..3).map(|i| (x[i] - centre[i]) / spread[i]).collect();
        let expected = 3.0 * model.forward(&normal, &mut model.workspace())[0];
        assert!((network.evaluate(&x)[0] - expected).abs() < 1e-12);
    }

    #[test]
    fn adam_fits_a_line() {
        let mut rng = Rng::new(5);
        let mut model = Mlp::new(&[1, 1], &mut rng);
        let mut adam = Adam::new(model.parameters());
        let mut workspace = model.workspace();
        for _ in 0..3000 {
            let x = rng.uniform(-1.0, 1.0);
            let error = model.forward(&[x], &mut workspace)[0] - (2.0 * x - 0.5);
            let mut gradient = vec![0.0; 2];
            model.backward(&[error], &mut workspace, &mut gradient);
            adam.step(&mut model, &gradient, 0.01);
        }
        assert!((model.parameters[0] - 2.0).abs() < 0.01 && (model.parameters[1] + 0.5).abs() < 0.01);
    }
}
