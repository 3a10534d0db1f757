//! The network in plain f32, as one would write it first.

use weir_trainer::network;

/// A float network.
pub(crate) struct Network {
    layers: Vec<Layer>,
}

struct Layer {
    inputs: usize,
    weights: Vec<f32>,
    bias: Vec<f32>,
    tanh: bool,
}

impl Network {
    /// Narrows the exact network. [`liteflow::Model`](crate::liteflow::Model) has made sure of its activations.
    pub(crate) fn new(network: &network::Network) -> Network {
        let narrow = |numbers: &[f64]| numbers.iter().map(|&x| x as f32).collect();
        let layer = |layer: &network::Layer| Layer {
            inputs: layer.inputs,
            weights: narrow(&layer.weights),
            bias: narrow(&layer.bias),
            tanh: layer.activation == network::Activation::Tanh,
        };
        Network { layers: network.layers.iter().map(layer).collect() }
    }

    /// Items of a row.
    pub(crate) fn inputs(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.inputs)
    }

    /// The first result of one row.
    pub(crate) fn evaluate(&self, row: &[f32]) -> f32 {
        let (mut before, mut after) = ([0.0_f32; 256], [0.0_f32; 256]);
        before[..row.len()].copy_from_slice(row);
        for layer in &self.layers {
            let weights = layer.weights.chunks_exact(layer.inputs);
            for ((y, weights), bias) in after.iter_mut().zip(weights).zip(&layer.bias) {
                let sum = weights.iter().zip(&before).fold(*bias, |sum, (w, x)| sum + w * x);
                *y = if layer.tanh { sum.tanh() } else { sum };
            }
            std::mem::swap(&mut before, &mut after);
        }
        before[0]
    }
}
