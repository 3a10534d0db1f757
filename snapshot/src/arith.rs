//! The named roundings and saturations. There is one rounding, half up (towards plus infinity): it is an addition
//! and an arithmetic shift everywhere, and at shift 15 it is what `vpmulhrsw` does.

use crate::parts::{Activation, InputParts, OutputParts, Precision};
use crate::{curve, parts};

/// `x / 2^shift`, rounded half up. The caller has room for `2^(shift-1)` above `x`; `shift` is at most 30.
pub const fn round_shift(x: i32, shift: u8) -> i32 {
    (x + ((1 << shift) >> 1)) >> shift
}

/// `x / 2^shift`, rounded half up. The caller has room for `2^(shift-1)` above `x`; `shift` is at most
/// [`parts::WIDE_SHIFT_MAX`].
pub const fn round_shift_wide(x: i64, shift: u8) -> i64 {
    (x + ((1 << shift) >> 1)) >> shift
}

/// The nearest i16.
pub const fn saturate(x: i32) -> i16 {
    if x > i16::MAX as i32 {
        i16::MAX
    } else if x < i16::MIN as i32 {
        i16::MIN
    } else {
        x as i16
    }
}

/// `a * b / 2^15`, rounded half up. `b` is not -32 768 where `a` is, so the result is an i16.
pub const fn mul_q15(a: i16, b: i16) -> i16 {
    round_shift(a as i32 * b as i32, 15) as i16
}

/// An accumulator on the scale of its activation: `t` of [`crate::LayerParts`]. The decoder proved that there is room
/// for a left shift; `multiplier` is not negative.
pub const fn rescale(acc: i32, shift: i8, multiplier: i16) -> i16 {
    let shifted = if shift < 0 { acc << -shift } else { round_shift(acc, shift as u8) };
    mul_q15(saturate(shifted), multiplier)
}

/// `t` of the last layer to `y`: see [`Activation`].
pub fn activate(activation: Activation, t: i16) -> i16 {
    match activation {
        Activation::Identity => t,
        Activation::Relu { zero } => t.max(zero),
        Activation::LeakyRelu { zero, slope } => {
            let d = t.saturating_sub(zero);
            zero.saturating_add(d.max(0) + mul_q15(d.min(0), slope))
        }
        Activation::Clip { lo, hi } | Activation::HardSigmoid { lo, hi } => t.clamp(lo, hi),
        Activation::Tanh | Activation::Sigmoid => curve::parabola(t),
    }
}

/// `t` of a hidden layer to a quantised value: see [`Activation`].
pub fn activate_hidden(activation: Activation, precision: Precision, t: i16) -> i16 {
    match (activation, precision) {
        (Activation::Tanh | Activation::Sigmoid, Precision::Bits8) => curve::line(t),
        // In range: |y| < CURVE_ONE.
        (Activation::Tanh | Activation::Sigmoid, Precision::Bits12) => {
            round_shift(curve::parabola(t).into(), 4) as i16
        }
        _ => {
            let (lo, hi) = precision.value_range();
            activate(activation, t).clamp(lo, hi)
        }
    }
}

/// A feature in Q16 to a quantised value: see [`InputParts`].
pub fn quantise(input: &InputParts, precision: Precision, feature_q16: i32) -> i16 {
    let clipped = feature_q16.clamp(input.clip_lo, input.clip_hi);
    let centred = i64::from(clipped) - i64::from(input.offset);
    let (lo, hi) = precision.value_range();
    round_shift_wide(centred * i64::from(input.multiplier), input.shift).clamp(lo.into(), hi.into()) as i16
}

/// A value of the last layer to Q16: see [`OutputParts`].
pub fn to_q16(output: &OutputParts, z: i32) -> i32 {
    let scaled = round_shift_wide(i64::from(z) * i64::from(output.multiplier), output.shift);
    (scaled + i64::from(output.offset)).clamp(output.lo.into(), output.hi.into()) as i32
}

// The limits that the formulas above rely on.
const _: () = {
    let feature_span = u32::MAX as i128;
    let rounding = 1_i128 << (parts::WIDE_SHIFT_MAX - 1);
    assert!(feature_span * (parts::INPUT_MULTIPLIER_MAX as i128) + rounding <= i64::MAX as i128);
    let product = -(i32::MIN as i128) * (i32::MAX as i128);
    assert!(product + rounding + (i32::MAX as i128) <= i64::MAX as i128);
    assert!((parts::CURVE_ONE as i32) + (1 << 3) <= i16::MAX as i32);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_half_up_on_both_sides_of_zero() {
        assert_eq!([3, 2, 1, 0, -1, -2, -3].map(|x| round_shift(x, 1)), [2, 1, 1, 0, 0, -1, -1]);
        assert_eq!([6, 5, -5, -6, -7].map(|x| round_shift(x, 2)), [2, 1, -1, -1, -2]);
        assert_eq!(round_shift(-7, 0), -7);
        assert_eq!(round_shift_wide(-7, 0), -7);
        assert_eq!(round_shift_wide(i64::from(i32::MIN) * i64::from(i32::MAX), 62), -1);
    }

    #[test]
    fn extremes_stay_in_an_i16() {
        assert_eq!(mul_q15(i16::MIN, i16::MAX), -32_767);
        assert_eq!(mul_q15(i16::MAX, i16::MAX), 32_766);
        assert_eq!(rescale(i32::MAX, 0, i16::MAX), 32_766);
        assert_eq!(rescale(i32::MIN, 0, i16::MAX), -32_767);
    }

    #[test]
    fn leaky_relu_saturates_at_both_ends() {
        let leaky = Activation::LeakyRelu { zero: 20_000, slope: i16::MAX };
        assert_eq!(activate(leaky, i16::MIN), -12_767);
        assert_eq!(activate(leaky, i16::MAX), i16::MAX);
        let leaky = Activation::LeakyRelu { zero: 0, slope: 3_277 };
        assert_eq!(activate(leaky, -1_000), -100);
        assert_eq!(activate(leaky, 1_000), 1_000);
    }
}
