//! A layered network in f64: what an ONNX file means to Weir, and the reference that its integers are held to.

/// A fully connected feed-forward network in full precision.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// At least one layer; each layer's inputs are the outputs of the one before.
    pub layers: Vec<Layer>,
    /// What becomes of the last layer's values.
    pub output: Output,
}

/// One fully connected layer and its activation: `y = activation(W x + b)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Width in.
    pub inputs: usize,
    /// Width out.
    pub outputs: usize,
    /// `outputs` rows of `inputs` weights.
    pub weights: Vec<f64>,
    /// One per output.
    pub bias: Vec<f64>,
    /// What follows.
    pub activation: Activation,
}

/// The non-linearities of the closed operator set, as ONNX defines them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// `x`
    Identity,
    /// `max(x, 0)`
    Relu,
    /// `x` above zero, `slope * x` below.
    LeakyRelu {
        /// Slope below zero, in 0 up to but not including 1.
        slope: f64,
    },
    /// `x` held within bounds; a bound that the file does not give is infinite.
    Clip {
        /// Lower bound.
        lo: f64,
        /// Upper bound, at least `lo`.
        hi: f64,
    },
    /// `tanh(x)`
    Tanh,
    /// `1 / (1 + exp(-x))`
    Sigmoid,
    /// `max(0, min(1, alpha * x + beta))`
    HardSigmoid {
        /// Slope.
        alpha: f64,
        /// Value at zero.
        beta: f64,
    },
}

/// What the last layer's values mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// They are the result.
    Linear,
    /// Their softmax is the result.
    Softmax,
    /// The index of the largest is the (single) result; the lowest index wins a tie.
    ArgMax,
}

impl Network {
    /// Width of the input.
    pub fn inputs(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.inputs)
    }

    /// Width of the result: one for [`Output::ArgMax`].
    pub fn outputs(&self) -> usize {
        match self.output {
            Output::ArgMax => 1,
            Output::Linear | Output::Softmax => self.layers.last().map_or(0, |layer| layer.outputs),
        }
    }

    /// Evaluates one row.
    ///
    /// `row` has [`inputs`](Self::inputs) values; a missing one would be left out of the sums.
    pub fn evaluate(&self, row: &[f64]) -> Vec<f64> {
        let mut values = row.to_vec();
        for layer in &self.layers {
            values = layer.evaluate(&values);
        }
        match self.output {
            Output::Linear => values,
            Output::Softmax => softmax(&values),
            Output::ArgMax => vec![arg_max(&values) as f64],
        }
    }

    /// The first output for a row, which is the only one of a policy; 0 where there is none.
    pub fn answer(&self, row: impl IntoIterator<Item: Into<f64>>) -> f64 {
        let row: Vec<f64> = row.into_iter().map(Into::into).collect();
        self.evaluate(&row).first().copied().unwrap_or(0.0)
    }

    /// The network whose input `x` is this one's `scale * x + shift`: both fold into the first layer. Of another width than
    /// there are pairs it comes back as it is.
    pub(crate) fn rescaled(
        &self,
        scales_and_shifts: impl ExactSizeIterator<Item = (f64, f64)> + Clone,
    ) -> Network {
        let mut network = self.clone();
        let width = scales_and_shifts.len();
        let Some(first) = network.layers.first_mut().filter(|first| first.inputs == width) else {
            return network;
        };
        for (weights, bias) in first.weights.chunks_exact_mut(first.inputs).zip(&mut first.bias) {
            for (weight, (scale, shift)) in weights.iter_mut().zip(scales_and_shifts.clone()) {
                *bias += *weight * shift;
                *weight *= scale;
            }
        }
        network
    }

    /// The network whose last inputs are held at `values`, and which takes only those before: what they add to the
    /// first layer's sums is added to its bias. With more values than inputs it comes back as it is.
    #[must_use]
    pub fn with_last_inputs(&self, values: &[f64]) -> Network {
        let mut network = self.clone();
        let Some(first) = network.layers.first_mut().filter(|first| first.inputs >= values.len()) else {
            return network;
        };
        let kept = first.inputs - values.len();
        let mut weights = Vec::with_capacity(kept * first.outputs);
        for (row, bias) in first.weights.chunks_exact(first.inputs.max(1)).zip(&mut first.bias) {
            let (varying, held) = row.split_at(kept);
            weights.extend_from_slice(varying);
            *bias += held.iter().zip(values).map(|(weight, value)| weight * value).sum::<f64>();
        }
        (first.inputs, first.weights) = (kept, weights);
        network
    }

    /// Widths of all layers, as in "30-32-16-1".
    pub fn shape(&self) -> String {
        let widths = self.layers.iter().map(|layer| layer.outputs);
        let all: Vec<String> = std::iter::once(self.inputs()).chain(widths).map(|w| w.to_string()).collect();
        all.join("-")
    }
}

impl Layer {
    /// The weighted sums, before the activation.
    pub fn sums(&self, row: &[f64]) -> Vec<f64> {
        self.weights
            .chunks_exact(self.inputs)
            .zip(&self.bias)
            .map(|(weights, bias)| bias + weights.iter().zip(row).map(|(w, x)| w * x).sum::<f64>())
            .collect()
    }

    /// The weights in the order of a matrix [inputs, outputs], as training graphs and exported files have them.
    pub fn weights_by_input(&self) -> impl Iterator<Item = f64> + '_ {
        (0..self.inputs)
            .flat_map(move |i| (0..self.outputs).map(move |o| o * self.inputs + i))
            .map(|at| self.weights[at])
    }

    /// Evaluates one row of this layer's inputs.
    pub fn evaluate(&self, row: &[f64]) -> Vec<f64> {
        let mut values = self.sums(row);
        for value in &mut values {
            *value = self.activation.apply(*value);
        }
        values
    }
}

impl Activation {
    /// The function's value at `x`.
    pub fn apply(self, x: f64) -> f64 {
        match self {
            Activation::Identity => x,
            Activation::Relu => x.max(0.0),
            Activation::LeakyRelu { slope } => {
                if x < 0.0 {
                    slope * x
                } else {
                    x
                }
            }
            Activation::Clip { lo, hi } => x.max(lo).min(hi),
            Activation::Tanh => x.tanh(),
            Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Activation::HardSigmoid { alpha, beta } => (alpha * x + beta).clamp(0.0, 1.0),
        }
    }

    /// Lower-case name, as in `weir snapshot inspect`.
    pub const fn name(self) -> &'static str {
        match self {
            Activation::Identity => "identity",
            Activation::Relu => "relu",
            Activation::LeakyRelu { .. } => "leaky_relu",
            Activation::Clip { .. } => "clip",
            Activation::Tanh => "tanh",
            Activation::Sigmoid => "sigmoid",
            Activation::HardSigmoid { .. } => "hard_sigmoid",
        }
    }
}

fn softmax(values: &[f64]) -> Vec<f64> {
    // Shifting by the largest value changes nothing and keeps exp() from overflowing.
    let top = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = values.iter().map(|v| (v - top).exp()).collect();
    let total: f64 = powers.iter().sum();
    powers.iter().map(|p| p / total).collect()
}

fn arg_max(values: &[f64]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_layers_by_hand() {
        let network = Network {
            layers: vec![
                Layer {
                    inputs: 2,
                    outputs: 2,
                    weights: vec![1.0, 2.0, -1.0, 0.5],
                    bias: vec![0.5, 0.0],
                    activation: Activation::Relu,
                },
                Layer {
                    inputs: 2,
                    outputs: 1,
                    weights: vec![2.0, 3.0],
                    bias: vec![-1.0],
                    activation: Activation::Identity,
                },
            ],
            output: Output::Linear,
        };
        // Sums 1 + 4 + 0.5 = 5.5 and -1 + 1 = 0.
        assert_eq!(network.evaluate(&[1.0, 2.0]), vec![10.0]);
        assert_eq!(network.shape(), "2-2-1");
        assert_eq!(network.outputs(), 1);
    }

    #[test]
    fn inputs_that_are_held_fold_into_the_bias() {
        let layer = Layer {
            inputs: 5,
            outputs: 2,
            weights: (0..10).map(|i| f64::from(i) - 4.5).collect(),
            bias: vec![0.25, -0.5],
            activation: Activation::Tanh,
        };
        let whole = Network { layers: vec![layer], output: Output::Linear };
        let folded = whole.with_last_inputs(&[0.6, 0.3, 0.1]);
        assert_eq!(folded.shape(), "2-2");
        for row in [[0.0, 0.0], [0.1, -0.2], [-1.0, 0.5]] {
            let expected = whole.evaluate(&[row[0], row[1], 0.6, 0.3, 0.1]);
            let found = folded.evaluate(&row);
            assert!(
                expected.iter().zip(&found).all(|(a, b)| (a - b).abs() < 1e-12),
                "{expected:?} {found:?}"
            );
        }
        assert_eq!(whole.with_last_inputs(&[]), whole);
        assert_eq!(whole.with_last_inputs(&[0.0; 6]), whole);
    }

    #[test]
    fn softmax_survives_large_values_and_arg_max_takes_the_first() {
        let p = softmax(&[1000.0, 1000.0, 0.0]);
        assert!((p[0] - 0.5).abs() < 1e-12 && p[2] < 1e-12);
        assert_eq!(arg_max(&[1.0, 3.0, 3.0]), 1);
    }

    #[test]
    fn activations_as_onnx_has_them() {
        assert_eq!(Activation::LeakyRelu { slope: 0.1 }.apply(-2.0), -0.2);
        assert_eq!(Activation::Clip { lo: -1.0, hi: f64::INFINITY }.apply(-3.0), -1.0);
        assert_eq!(Activation::HardSigmoid { alpha: 0.2, beta: 0.5 }.apply(5.0), 1.0);
        assert!((Activation::Sigmoid.apply(0.0) - 0.5).abs() < 1e-15);
    }
}
