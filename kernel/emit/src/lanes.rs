//! How many sums share a 64-bit word, and the proof that they do not disturb each other.

use weir_snapshot::{LayerParts, Precision};

/// Sums of one layer in 64-bit words: one multiply by an input adds to as many of them.
///
/// The weights of [`Lanes::count`] outputs stand in one word, [`Lanes::bits`] apart. A sum starts at half a lane and ends
/// within its lane if its magnitude is below that half; what lies in between does not matter, modulo 2^64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lanes {
    /// Sums to a word.
    pub(crate) count: usize,
    /// Distance from one to the next.
    pub(crate) bits: u32,
}

/// Most first. The last always holds: a decoder proved that every sum fits 32 bits with its sign.
const CHOICES: [Lanes; 3] =
    [Lanes { count: 4, bits: 16 }, Lanes { count: 3, bits: 21 }, Lanes { count: 2, bits: 32 }];

impl Lanes {
    /// The most lanes that no input can overflow, and the largest magnitude of any sum of `layer`.
    pub(crate) fn of(layer: &LayerParts, precision: Precision) -> (Lanes, u64) {
        let bound = (0..layer.outputs).map(|output| bound(layer, precision, output)).max().unwrap_or(0);
        let holds = |lanes: &&Lanes| bound < 1 << (lanes.bits - 1);
        (*CHOICES.iter().find(holds).unwrap_or(&CHOICES[CHOICES.len() - 1]), bound)
    }

    /// Half a lane: where a sum starts.
    pub(crate) fn half(self) -> u32 {
        1 << (self.bits - 1)
    }
}

/// How far to the left an output's weights and bias are moved, for a snapshot's negative shift.
pub(crate) fn lift(layer: &LayerParts, output: usize) -> u32 {
    layer.shift[output].min(0).unsigned_abs().into()
}

/// The rounding term of an output's shift to the right.
pub(crate) fn rounding(layer: &LayerParts, output: usize) -> i32 {
    (1 << layer.shift[output].max(0)) >> 1
}

/// The largest magnitude that an output's sum can have, bias and rounding term included: what the decoder proved to be
/// below 2^31.
fn bound(layer: &LayerParts, precision: Precision, output: usize) -> u64 {
    let (lo, hi) = precision.value_range();
    let value = u64::from(lo.unsigned_abs().max(hi.unsigned_abs()));
    let weights = &layer.weights[output * layer.inputs..][..layer.inputs];
    let products = weights.iter().map(|weight| u64::from(weight.unsigned_abs())).sum::<u64>() * value;
    let sum = (u64::from(layer.bias[output].unsigned_abs()) + products) << lift(layer, output);
    sum + u64::from(rounding(layer, output).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_snapshot::Activation;

    fn layer(weights: Vec<i16>, bias: i32, shift: i8) -> LayerParts {
        LayerParts {
            inputs: weights.len(),
            outputs: 1,
            weights,
            bias: vec![bias],
            multiplier: vec![0],
            shift: vec![shift],
            activation: Activation::Tanh,
        }
    }

    #[test]
    fn lanes_are_as_many_as_the_weights_allow() {
        let count =
            |weights, bias, shift, precision| Lanes::of(&layer(weights, bias, shift), precision).0.count;
        // 255 x 128 = 32 640.
        assert_eq!(count(vec![127, -127, 1], 127, 0, Precision::Bits8), 4);
        assert_eq!(count(vec![127, -127, 1], -128, 0, Precision::Bits8), 3);
        // The rounding term counts, and a shift to the left.
        assert_eq!(count(vec![127, -127, 1], 127, 1, Precision::Bits8), 3);
        assert_eq!(count(vec![127, -127, 1], 127, -5, Precision::Bits8), 3);
        assert_eq!(count(vec![127, -127, 1], 127, -6, Precision::Bits8), 2);
        // 64 x 127 x 128 is below 2^20, 65 x 127 x 128 is not.
        assert_eq!(count(vec![-127; 64], 0, 0, Precision::Bits8), 3);
        assert_eq!(count(vec![-127; 65], 0, 0, Precision::Bits8), 2);
        assert_eq!(count(vec![2047; 30], 0, 0, Precision::Bits12), 2);
        assert_eq!(count(vec![15], 0, 0, Precision::Bits12), 4);
        assert_eq!(Lanes::of(&layer(vec![-2047; 256], 9, 0), Precision::Bits12).1, 256 * 2047 * 2048 + 9);
    }
}
