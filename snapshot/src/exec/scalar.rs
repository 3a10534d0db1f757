//! The definition: every other executor gives these integers.

use crate::arith::{self, activate, activate_hidden, rescale, to_q16};
use crate::parts::{Activation, LayerParts, Parts, WIDTH_MAX};
use crate::softmax::finish;

/// The values between two layers, and the last layer's in Q16.
#[derive(Clone, Debug)]
pub(super) struct Buffers {
    before: [i16; WIDTH_MAX],
    after: [i16; WIDTH_MAX],
    values: [i32; WIDTH_MAX],
}

impl Default for Buffers {
    fn default() -> Self {
        Buffers { before: [0; WIDTH_MAX], after: [0; WIDTH_MAX], values: [0; WIDTH_MAX] }
    }
}

/// Quantises features to a row.
pub(super) fn quantise(parts: &Parts, features_q16: &[i32], row: &mut [i16]) {
    for ((q, &feature), input) in row.iter_mut().zip(features_q16).zip(&parts.inputs) {
        *q = arith::quantise(input, parts.precision, feature);
    }
}

/// Runs one row.
pub(super) fn run(parts: &Parts, row: &[i16], buffers: &mut Buffers, out: &mut [i32]) {
    let Buffers { before, after, values } = buffers;
    let (mut before, mut after) = (before, after);
    let (lo, hi) = parts.precision.value_range();
    for (q, &item) in before.iter_mut().zip(row) {
        *q = item.clamp(lo, hi);
    }
    let Some((last, hidden)) = parts.layers.split_last() else { return };
    for layer in hidden {
        for (output, q) in after[..layer.outputs].iter_mut().enumerate() {
            *q = activate_hidden(layer.activation, parts.precision, scaled(layer, output, before));
        }
        core::mem::swap(&mut before, &mut after);
    }
    for (output, (value, parts)) in values.iter_mut().zip(&parts.outputs).enumerate() {
        let z = match last.activation {
            Activation::Identity => accumulate(last, output, before),
            activation => activate(activation, scaled(last, output, before)).into(),
        };
        *value = to_q16(parts, z);
    }
    finish(parts.output, &values[..parts.outputs.len()], out);
}

/// `acc`: cannot overflow, because the decoder proved its bound.
fn accumulate(layer: &LayerParts, output: usize, values: &[i16]) -> i32 {
    let weights = &layer.weights[output * layer.inputs..][..layer.inputs];
    let products = weights.iter().zip(values).map(|(&weight, &value)| i32::from(weight) * i32::from(value));
    layer.bias[output] + products.sum::<i32>()
}

/// `t`
fn scaled(layer: &LayerParts, output: usize, values: &[i16]) -> i16 {
    rescale(accumulate(layer, output, values), layer.shift[output], layer.multiplier[output])
}
