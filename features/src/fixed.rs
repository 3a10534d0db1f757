//! Q15.16: the number format of every feature.

/// Fractional bits of a feature value.
pub const FRAC_BITS: u32 = 16;
/// The feature value 1.0.
pub const ONE: i32 = 1 << FRAC_BITS;

/// The largest numerator that [`ratio_q16`] takes: above it, `num << 16` plus half a denominator might not fit
/// 64 bits.
pub(crate) const RATIO_NUM_MAX: u64 = (1 << 47) - 1;

/// `num / den` in 1/65536, rounded to nearest, ties up.
///
/// `num` counts as at most [`RATIO_NUM_MAX`], `den` as at least 1. The sum cannot overflow:
/// `num << 16 < 2^63` and `den / 2 < 2^63`.
pub(crate) const fn ratio_q16(num: u64, den: u64) -> u64 {
    let num = if num > RATIO_NUM_MAX { RATIO_NUM_MAX } else { num };
    let den = if den == 0 { 1 } else { den };
    ((num << FRAC_BITS) + den / 2) / den
}

/// A magnitude and a sign, clipped to `clip` (low, high) in 1/65536. Where a clip contradicts itself, the upper
/// bound wins.
pub(crate) fn clip_q16(magnitude: u64, negative: bool, clip: (i32, i32)) -> i32 {
    // Saturates at 32 bits first, so that the negation is exact.
    let magnitude = i32::try_from(magnitude).unwrap_or(i32::MAX);
    let value = if negative { -magnitude } else { magnitude };
    value.max(clip.0).min(clip.1)
}

/// `value` in 1/65536, rounded to nearest, ties away from zero; `None` for NaN and what lies outside of
/// Q15.16's range. For configuration, not for packets.
pub fn q16_from_f64(value: f64) -> Option<i32> {
    let scaled = value * f64::from(ONE);
    let half = if scaled < 0.0 { -0.5 } else { 0.5 };
    let rounded = scaled + half;
    // The negated form also refuses NaN. `as` truncates towards zero, which completes the rounding.
    if !(rounded > f64::from(i32::MIN) - 1.0 && rounded < f64::from(i32::MAX) + 1.0) {
        return None;
    }
    Some(rounded as i32)
}

/// The number that `q16` is in 1/65536: exact. For reports and for training, not for packets.
pub fn f64_from_q16(q16: i32) -> f64 {
    f64::from(q16) / f64::from(ONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_round_to_nearest_and_never_overflow() {
        assert_eq!(ratio_q16(1, 2), 32_768);
        assert_eq!(ratio_q16(1, 3), 21_845);
        assert_eq!(ratio_q16(2, 3), 43_691);
        assert_eq!(ratio_q16(1, 131_072), 1, "a tie goes up");
        assert_eq!(ratio_q16(0, u64::MAX), 0);
        assert_eq!(ratio_q16(u64::MAX, 0), RATIO_NUM_MAX << 16);
        assert_eq!(ratio_q16(1, u64::MAX), 0);
    }

    #[test]
    fn clips_hold_even_when_they_contradict_themselves() {
        assert_eq!(clip_q16(u64::MAX, true, (i32::MIN, i32::MAX)), -i32::MAX);
        assert_eq!(clip_q16(u64::MAX, false, (-5, 5)), 5);
        assert_eq!(clip_q16(3, true, (-5, 5)), -3);
        assert_eq!(clip_q16(0, false, (7, -7)), -7);
    }

    #[test]
    fn configuration_values_convert_or_are_refused() {
        assert_eq!(q16_from_f64(1.0), Some(ONE));
        assert_eq!(q16_from_f64(-1.0), Some(-ONE));
        assert_eq!(q16_from_f64(0.5 / 65_536.0), Some(1));
        assert_eq!(q16_from_f64(-0.5 / 65_536.0), Some(-1));
        assert_eq!(q16_from_f64(-32_768.0), Some(i32::MIN));
        assert_eq!(q16_from_f64(f64::from(i32::MAX) / 65_536.0), Some(i32::MAX));
        assert_eq!((f64_from_q16(-ONE / 2), f64_from_q16(1)), (-0.5, 1.0 / 65_536.0));
        for refused in [32_768.0, -32_768.1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(q16_from_f64(refused), None, "{refused}");
        }
    }
}
