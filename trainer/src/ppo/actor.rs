//! A network's answer in f32, fast enough to act in millions of decisions.

use crate::network::{Activation, Network};

/// A tanh network with its weights as the inner loop wants them. Other activations are not asked for here.
#[derive(Debug, Clone)]
pub(crate) struct Actor {
    layers: Vec<Layer>,
    /// Two rows of values that layers fill by turns.
    values: [Vec<f32>; 2],
}

#[derive(Debug, Clone)]
struct Layer {
    /// [in][out]: each input scales one row that is added to the sums, so that the sums fill vector registers.
    weights: Vec<f32>,
    bias: Vec<f32>,
    tanh: bool,
}

impl Actor {
    pub(crate) fn new(network: &Network) -> Self {
        let layer = |layer: &crate::network::Layer| Layer {
            weights: (0..layer.inputs)
                .flat_map(|i| (0..layer.outputs).map(move |o| layer.weights[o * layer.inputs + i] as f32))
                .collect(),
            bias: layer.bias.iter().map(|&b| b as f32).collect(),
            tanh: layer.activation == Activation::Tanh,
        };
        let layers: Vec<Layer> = network.layers.iter().map(layer).collect();
        let width = layers.iter().map(|layer| layer.bias.len()).max().unwrap_or(0).max(network.inputs());
        Self { layers, values: [vec![0.0; width], vec![0.0; width]] }
    }

    /// The first output for one row of inputs.
    pub(crate) fn answer(&mut self, row: &[f32]) -> f32 {
        let [from, to] = &mut self.values;
        from[..row.len()].copy_from_slice(row);
        let mut width = row.len();
        for layer in &self.layers {
            let outputs = layer.bias.len();
            let sums = &mut to[..outputs];
            sums.copy_from_slice(&layer.bias);
            for (x, weights) in from[..width].iter().zip(layer.weights.chunks_exact(outputs)) {
                sums.iter_mut().zip(weights).for_each(|(sum, w)| *sum += x * w);
            }
            if layer.tanh {
                sums.iter_mut().for_each(|sum| *sum = tanh(*sum));
            }
            std::mem::swap(from, to);
            width = outputs;
        }
        from.first().copied().unwrap_or(0.0)
    }
}

/// tanh by the convergent of Lambert's continued fraction `x / (1 + x^2 / (3 + x^2 / (5 + ...)))` with eight terms: within
/// 6e-5, the same on every machine, and without a call or a branch.
fn tanh(x: f32) -> f32 {
    /// Beyond, tanh is 1 to within 1.3e-5, and the fraction falls behind.
    const END: f32 = 6.0;
    let x = x.clamp(-END, END);
    let s = x * x;
    let above = x * (2_027_025.0 + s * (270_270.0 + s * (6_930.0 + s * 36.0)));
    let below = 2_027_025.0 + s * (945_945.0 + s * (51_975.0 + s * (630.0 + s)));
    above / below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fraction_is_tanh() {
        let worst = (-10_000..=10_000)
            .map(|i| f64::from(i) / 1000.0)
            .map(|x| (x, (f64::from(tanh(x as f32)) - x.tanh()).abs()))
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .unwrap();
        assert!(worst.1 < 6e-5, "{worst:?}");
    }
}
