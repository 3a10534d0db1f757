//! The integers of a LiteFlow-shaped network, and their meaning.

use anyhow::{Result, ensure};
use weir_trainer::network::{Activation, Network};

/// A real factor: `x * mantissa / 10000`, cut towards zero, and a shift: to the right and cut towards minus infinity
/// when `right` is not negative, else to the left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Factor {
    pub mantissa: i64,
    pub right: i32,
}

impl Factor {
    /// The nearest with four digits.
    fn of(real: f64) -> Factor {
        // 1000 to 9999 over 10 000 is 0.1 to 1.
        let mut right = 0;
        let mut mantissa = real;
        while mantissa >= 0.999_95 {
            mantissa /= 2.0;
            right -= 1;
        }
        while mantissa < 0.499_975 {
            mantissa *= 2.0;
            right += 1;
        }
        Factor { mantissa: (mantissa * 10_000.0).round() as i64, right }
    }

    fn apply(self, x: i64) -> i64 {
        let scaled = x * self.mantissa / 10_000;
        if self.right >= 0 { scaled >> self.right } else { scaled * (1 << -self.right) }
    }
}

/// A real number as `scale * (q - zero)`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    real: f64,
    pub zero: i64,
}

impl Scale {
    /// 256 steps over `lo..=hi`, which is widened to hold 0.
    fn over(lo: f64, hi: f64) -> Scale {
        let (lo, hi) = (lo.min(0.0), hi.max(0.0));
        let real = ((hi - lo) / 255.0).max(f64::MIN_POSITIVE);
        Scale { real, zero: (-128.0 - lo / real).round() as i64 }
    }
}

/// A fully connected layer.
#[derive(Clone, Debug)]
pub(crate) struct Dense {
    pub inputs: usize,
    pub outputs: usize,
    pub weights: Vec<i64>,
    pub bias: Vec<i64>,
    pub input_zero: i64,
    pub factor: Factor,
    pub output_zero: i64,
}

/// A layer, in the order in which they run.
#[derive(Clone, Debug)]
pub(crate) enum Layer {
    /// Q16 features to quantised values.
    Quantise { width: usize, factor: Factor, zero: i64 },
    /// Weighted sums.
    Dense(Dense),
    /// Quantised sums to tanh in 1/128; `factor` leads to hundredths.
    Tanh { width: usize, zero: i64, factor: Factor },
    /// Quantised values to Q16.
    Dequantise { width: usize, zero: i64, factor: Factor },
}

/// The scale of tanh: 127 stands for nearly 1.
const TANH_STEPS: f64 = 128.0;

/// The table: entry `i` is tanh at `i / 100`.
pub(crate) fn tanh_table() -> [i64; 300] {
    std::array::from_fn(|i| ((i as f64 / 100.0).tanh() * TANH_STEPS).round().min(127.0) as i64)
}

/// What the table's ends continue with.
pub(crate) const TANH_END: i64 = 127;

/// A network, quantised.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub layers: Vec<Layer>,
    /// Of the inputs.
    input: (Factor, i64),
}

impl Model {
    /// Quantises `network`, with ranges as `rows` (the network's inputs) have them.
    ///
    /// # Errors
    /// A network that LiteFlow's generator could not take: its layers end in tanh, the last one in nothing.
    pub(crate) fn new(network: &Network, rows: &[Vec<f64>]) -> Result<Model> {
        let (last, hidden) = match network.layers.split_last() {
            Some((last, hidden)) => (last, hidden),
            None => anyhow::bail!("a network without layers"),
        };
        ensure!(
            last.activation == Activation::Identity
                && hidden.iter().all(|layer| layer.activation == Activation::Tanh),
            "the generated C knows tanh in hidden layers and no activation in the last"
        );
        let mut values: Vec<Vec<f64>> = rows.to_vec();
        let mut scale = range(&values);
        let q16 = 65_536.0;
        let input = (Factor::of(1.0 / (scale.real * q16)), scale.zero);
        let mut layers = vec![Layer::Quantise { width: network.inputs(), factor: input.0, zero: input.1 }];
        for (at, layer) in network.layers.iter().enumerate() {
            let sums: Vec<Vec<f64>> = values.iter().map(|row| layer.sums(row)).collect();
            let output = range(&sums);
            let largest = layer.weights.iter().fold(f64::MIN_POSITIVE, |most, w| most.max(w.abs()));
            let weight = largest / 127.0;
            layers.push(Layer::Dense(Dense {
                inputs: layer.inputs,
                outputs: layer.outputs,
                weights: layer.weights.iter().map(|w| (w / weight).round() as i64).collect(),
                bias: layer.bias.iter().map(|b| (b / (weight * scale.real)).round() as i64).collect(),
                input_zero: scale.zero,
                factor: Factor::of(weight * scale.real / output.real),
                output_zero: output.zero,
            }));
            let (width, zero) = (layer.outputs, output.zero);
            if at + 1 == network.layers.len() {
                layers.push(Layer::Dequantise { width, zero, factor: Factor::of(output.real * q16) });
                break;
            }
            layers.push(Layer::Tanh { width, zero, factor: Factor::of(output.real * 100.0) });
            values = sums.into_iter().map(|row| row.into_iter().map(f64::tanh).collect()).collect();
            scale = Scale { real: 1.0 / TANH_STEPS, zero: 0 };
        }
        Ok(Model { layers, input })
    }

    /// A row from features in Q16: the first layer.
    pub(crate) fn quantise(&self, features: &[i32]) -> Vec<i64> {
        let (factor, zero) = self.input;
        features.iter().map(|&x| factor.apply(x.into()) + zero).collect()
    }

    /// The results, Q16, for a row: what the C must give.
    pub(crate) fn run(&self, row: &[i64]) -> Vec<i64> {
        let table = tanh_table();
        let mut values = row.to_vec();
        for layer in &self.layers {
            values = match layer {
                Layer::Quantise { .. } => continue,
                Layer::Dense(dense) => dense.run(&values),
                Layer::Tanh { zero, factor, .. } => values
                    .iter()
                    .map(|q| {
                        let x = factor.apply(q - zero);
                        let y = table.get(x.unsigned_abs() as usize).copied().unwrap_or(TANH_END);
                        if x < 0 { -y } else { y }
                    })
                    .collect(),
                Layer::Dequantise { zero, factor, .. } => {
                    values.iter().map(|q| factor.apply(q - zero)).collect()
                }
            };
        }
        values
    }
}

impl Dense {
    fn run(&self, values: &[i64]) -> Vec<i64> {
        let neuron = |(weights, bias): (&[i64], &i64)| {
            let sum: i64 = weights.iter().zip(values).map(|(w, q)| (q - self.input_zero) * w).sum();
            self.factor.apply(sum + bias) + self.output_zero
        };
        self.weights.chunks_exact(self.inputs).zip(&self.bias).map(neuron).collect()
    }
}

/// The range of all values.
fn range(rows: &[Vec<f64>]) -> Scale {
    let all = rows.iter().flatten().copied();
    Scale::over(all.clone().fold(0.0, f64::min), all.fold(0.0, f64::max))
}
