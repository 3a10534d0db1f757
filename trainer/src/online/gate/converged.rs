//! *Correct*, first half (LiteFlow): a network in the midst of tuning is often worse than both its ends, so nothing is
//! judged before the stability value has come to rest.

use super::Refusal;

/// When a row of stability values counts as flat.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stability {
    /// Values that must lie close together, the newest ones; at least 2.
    pub window: usize,
    /// How close: largest minus smallest, as a share of their mean magnitude.
    pub tolerance: f64,
}

impl Default for Stability {
    fn default() -> Self {
        Stability { window: 4, tolerance: 0.5 }
    }
}

/// Largest minus smallest of the newest values, if they are flat. A value that is no number never is.
pub fn converged(values: &[f64], stability: &Stability) -> Result<f64, Refusal> {
    let window = stability.window.max(2);
    let newest = &values[values.len().saturating_sub(window)..];
    let (mut least, mut most, mut magnitude) = (f64::INFINITY, f64::NEG_INFINITY, 0.0);
    for value in newest {
        (least, most) = (least.min(*value), most.max(*value));
        magnitude += value.abs() / newest.len() as f64;
    }
    let (spread, spread_max) = (most - least, stability.tolerance * magnitude);
    // NaN passes through min and max, but not through the sum of magnitudes.
    if newest.len() == window && spread <= spread_max && magnitude.is_finite() {
        Ok(spread)
    } else {
        Err(Refusal::NotConverged { spread, spread_max, values: newest.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STABILITY: Stability = Stability { window: 3, tolerance: 0.1 };

    #[test]
    fn flat_is_flat_at_any_level_and_sign() {
        for level in [1e-9, 1.0, -1.0, 1e9] {
            assert!(converged(&[9.0, level, 1.05 * level, 0.99 * level], &STABILITY).is_ok(), "{level}");
            assert!(converged(&[level, 1.05 * level, 0.9 * level], &STABILITY).is_err(), "{level}");
        }
        assert_eq!(converged(&[0.0; 3], &STABILITY), Ok(0.0));
    }

    #[test]
    fn too_few_values_and_values_that_are_none_are_not_flat() {
        assert!(matches!(converged(&[1.0; 2], &STABILITY), Err(Refusal::NotConverged { values: 2, .. })));
        assert!(converged(&[], &STABILITY).is_err());
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for place in 0..3 {
                let mut values = [1.0; 3];
                values[place] = bad;
                assert!(converged(&values, &STABILITY).is_err(), "{values:?}");
            }
            assert!(converged(&[bad; 3], &STABILITY).is_err());
        }
    }

    #[test]
    fn a_steady_fall_is_not_flat() {
        let falling: Vec<f64> = (0..20).map(|n| 0.9f64.powi(n)).collect();
        assert!(converged(&falling, &STABILITY).is_err());
    }
}
