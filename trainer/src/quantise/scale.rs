//! Real factors as the integers that stand for them in a snapshot.

use weir_snapshot::{INPUT_MULTIPLIER_MAX, SHIFT_MAX, SHIFT_MIN, WIDE_SHIFT_MAX};

/// `factor` as `multiplier / 2^(15 + shift)`, multiplier below 2^15; `None` where that would take a larger left shift
/// than the format has.
pub(super) fn narrow(factor: f64) -> Option<(i16, i8)> {
    let multiplier = |shift: i8| (factor * 2f64.powi(15 + i32::from(shift))).round();
    // The largest shift whose multiplier still fits keeps the most digits.
    let shift = (SHIFT_MIN..=SHIFT_MAX).rev().find(|&shift| multiplier(shift) <= f64::from(i16::MAX))?;
    Some((multiplier(shift) as i16, shift))
}

/// A positive `factor` as `multiplier / 2^shift`, multiplier at most 2^30; `None` where that has no digits left.
pub(super) fn wide(factor: f64) -> Option<(i32, u8)> {
    let mut shift = WIDE_SHIFT_MAX;
    while shift > 0 && scaled(factor, shift) > f64::from(INPUT_MULTIPLIER_MAX) {
        shift -= 1;
    }
    let multiplier = scaled(factor, shift);
    (1.0..=f64::from(INPUT_MULTIPLIER_MAX)).contains(&multiplier).then_some((multiplier as i32, shift))
}

/// The real number that [`wide`] settled on.
pub(super) fn wide_value((multiplier, shift): (i32, u8)) -> f64 {
    f64::from(multiplier) / 2f64.powi(shift.into())
}

fn scaled(factor: f64, shift: u8) -> f64 {
    (factor * 2f64.powi(shift.into())).round()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_keeps_fifteen_bits() {
        for factor in [200.0, 1.0, 0.999, 0.5, 0.3, 1e-3, 1e-8] {
            let (multiplier, shift) = narrow(factor).unwrap();
            let found = f64::from(multiplier) / 2f64.powi(i32::from(15 + shift));
            assert!((found / factor - 1.0).abs() < 1.0 / 16_384.0, "{factor}: {found}");
            assert!((SHIFT_MIN..=SHIFT_MAX).contains(&shift));
        }
        assert_eq!(narrow(256.0), None);
        assert_eq!(narrow(f64::NAN), None);
        assert_eq!(narrow(0.0), Some((0, SHIFT_MAX)));
        assert_eq!(narrow(1.0), Some((1 << 14, -1)));
    }

    #[test]
    fn wide_keeps_thirty_bits() {
        for factor in [1e-9, 0.007, 1.0, 3e4] {
            let found = wide_value(wide(factor).unwrap());
            assert!((found / factor - 1.0).abs() < 1e-9, "{factor}: {found}");
        }
        assert_eq!(wide(1e12), None);
        assert_eq!(wide(1e-25), None);
    }
}
