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

/// Most first. The last always holds: a decoder proved that every sum of products fits 32 bits with its sign.
const CHOICES: [Lanes; 3] =
    [Lanes { count: 4, bits: 16 }, Lanes { count: 3, bits: 21 }, Lanes { count: 2, bits: 32 }];

impl Lanes {
    /// The most lanes that no input can overflow, for the weights of `layer`; and the largest magnitude of any sum.
    pub(crate) fn of(layer: &LayerParts, precision: Precision) -> (Lanes, u64) {
        let bound = bound(layer, precision);
        let holds = |lanes: &&Lanes| bound < 1 << (lanes.bits - 1);
        (*CHOICES.iter().find(holds).unwrap_or(&CHOICES[CHOICES.len() - 1]), bound)
    }

    /// Half a lane: where a sum starts.
    pub(crate) fn half(self) -> u32 {
        1 << (self.bits - 1)
    }
}

/// The largest magnitude that a sum of products can have.
fn bound(layer: &LayerParts, precision: Precision) -> u64 {
    let (lo, hi) = precision.value_range();
    let value = u64::from(lo.unsigned_abs().max(hi.unsigned_abs()));
    let rows = layer.weights.chunks_exact(layer.inputs);
    let sums = rows.map(|row| row.iter().map(|weight| u64::from(weight.unsigned_abs())).sum::<u64>());
    sums.max().unwrap_or(0) * value
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_snapshot::Activation;

    fn layer(weights: Vec<i16>) -> LayerParts {
        LayerParts {
            inputs: weights.len(),
            outputs: 1,
            weights,
            bias: vec![0],
            multiplier: vec![0],
            shift: vec![0],
            activation: Activation::Identity,
        }
    }

    #[test]
    fn lanes_are_as_many_as_the_weights_allow() {
        let count = |weights, precision| Lanes::of(&layer(weights), precision).0.count;
        // 255 x 128 is below 2^15, 256 x 128 is not.
        assert_eq!(count(vec![127, -127, 1], Precision::Bits8), 4);
        assert_eq!(count(vec![127, -127, 2], Precision::Bits8), 3);
        // 64 x 127 x 128 is below 2^20, 65 x 127 x 128 is not.
        assert_eq!(count(vec![-127; 64], Precision::Bits8), 3);
        assert_eq!(count(vec![-127; 65], Precision::Bits8), 2);
        assert_eq!(count(vec![2047; 30], Precision::Bits12), 2);
        assert_eq!(count(vec![15], Precision::Bits12), 4);
        assert_eq!(Lanes::of(&layer(vec![-2047; 256]), Precision::Bits12).1, 256 * 2047 * 2048);
    }
}
