//! A float network and the plainest possible quantiser: per-output weight scales, symmetric values, no calibration. It
//! shows what the arithmetic can do at least; the trainer's quantiser does better.

use crate::models::Rng;
use weir_snapshot::{
    Activation, CURVE_ARGUMENT_ONE, Function, InputParts, LayerParts, Output, OutputParts, Parts, Precision,
};

/// Inputs are clipped at this many standard deviations.
pub(crate) const CLIP: f64 = 4.0;

/// A fully connected network with tanh between its layers.
pub(crate) struct Network {
    /// Per layer, per output: weights, then the bias.
    layers: Vec<Vec<(Vec<f64>, f64)>>,
}

impl Network {
    /// Random weights of standard deviation `gain / sqrt(inputs)`.
    pub(crate) fn random(widths: &[usize], gain: f64, rng: &mut Rng) -> Network {
        let layer = |widths: &[usize], rng: &mut Rng| {
            let scale = gain / (widths[0] as f64).sqrt();
            let row = |rng: &mut Rng| (0..widths[0]).map(|_| rng.normal() * scale).collect();
            (0..widths[1]).map(|_| (row(rng), rng.normal() * 0.1 * gain)).collect()
        };
        Network { layers: widths.windows(2).map(|widths| layer(widths, rng)).collect() }
    }

    /// The first output for `inputs`.
    pub(crate) fn run(&self, inputs: &[f64]) -> f64 {
        let mut values = inputs.to_vec();
        for (at, layer) in self.layers.iter().enumerate() {
            let sum = |(weights, bias): &(Vec<f64>, f64)| {
                weights.iter().zip(&values).map(|(weight, value)| weight * value).sum::<f64>() + bias
            };
            let sums = layer.iter().map(sum);
            let last = at + 1 == self.layers.len();
            values = sums.map(|sum| if last { sum } else { sum.tanh() }).collect();
        }
        values[0]
    }

    /// The same network in integers.
    pub(crate) fn quantise(&self, precision: Precision) -> Parts {
        let weight_max = f64::from(precision.weight_max());
        let value_max = f64::from(precision.value_range().1);
        let (last, hidden) = self.layers.split_last().expect("at least one layer");
        // What one step of a layer's input stands for.
        let mut step = CLIP / value_max;
        let (multiplier, shift) = fixed(1.0 / step / 65_536.0, 29);
        let clip = (CLIP * 65_536.0) as i32;
        let input = InputParts { multiplier, shift, offset: 0, clip_lo: -clip, clip_hi: clip };
        let mut parts = Parts {
            function: Function::Pacing,
            precision,
            schema_hash: 0,
            name: "fidelity".into(),
            inputs: vec![input; self.layers[0][0].0.len()],
            layers: Vec::new(),
            output: Output::Linear,
            outputs: Vec::new(),
        };
        for (at, layer) in self.layers.iter().enumerate() {
            let mut quantised = LayerParts {
                inputs: layer[0].0.len(),
                outputs: layer.len(),
                weights: Vec::new(),
                bias: Vec::new(),
                multiplier: Vec::new(),
                shift: Vec::new(),
                activation: if at < hidden.len() { Activation::Tanh } else { Activation::Identity },
            };
            for (weights, bias) in layer {
                let weight_step =
                    weights.iter().fold(0.0_f64, |most, weight| most.max(weight.abs())) / weight_max;
                quantised.weights.extend(weights.iter().map(|weight| (weight / weight_step).round() as i16));
                quantised.bias.push((bias / (weight_step * step)).round() as i32);
                let (multiplier, shift) = if at < hidden.len() {
                    let (multiplier, shift) = fixed(weight_step * step * f64::from(CURVE_ARGUMENT_ONE), 14);
                    (multiplier as i16, (i16::from(shift) - 15) as i8)
                } else {
                    (0, 0)
                };
                quantised.multiplier.push(multiplier);
                quantised.shift.push(shift);
                if core::ptr::eq(layer, last) {
                    let (multiplier, shift) = fixed(weight_step * step * 65_536.0, 30);
                    parts.outputs.push(OutputParts {
                        multiplier,
                        shift,
                        offset: 0,
                        lo: i32::MIN,
                        hi: i32::MAX,
                    });
                }
            }
            parts.layers.push(quantised);
            step = 1.0 / f64::from(precision.curve_one());
        }
        parts
    }
}

/// `factor` as `multiplier / 2^shift` with `2^bits <= multiplier < 2^(bits + 1)`.
fn fixed(factor: f64, bits: i32) -> (i32, u8) {
    let shift = bits - factor.log2().floor() as i32;
    ((factor * f64::from(shift).exp2()).min(f64::from(bits + 1).exp2() - 1.0) as i32, shift as u8)
}
