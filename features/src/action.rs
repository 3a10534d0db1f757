//! Aurora's action: a real number that scales the rate.

/// Rates above this count as this, in bits per second (1.1 Pb/s): keeps every product below 2^64.
pub const RATE_MAX_BPS: u64 = 1 << 50;

/// The guard lets an action count as at most this, in 1/65536 (10: one decision changes a rate by at most a quarter).
/// Aurora's actions are unbounded Gaussians; useful ones lie well within.
pub const ACTION_MAX_Q16: i32 = 10 << crate::FRAC_BITS;

/// 1 / 0.025: Aurora's step is the action over 40.
const STEP_DIVISOR: u64 = 40;
/// The factor 1 in units of the step, 1/65536 of a fortieth.
const UNIT: u64 = STEP_DIVISOR << crate::FRAC_BITS;

/// The rate after `action_q16` (in 1/65536) at `rate_bps`: with d = 0.025 |a|, `rate x (1 + d)` for a >= 0 and
/// `rate / (1 + d)` for a < 0, so that opposite actions undo each other. In bits per second.
///
/// Exact up to one rounding to the nearest integer: the error is at most half a bit per second for every rate
/// up to [`RATE_MAX_BPS`] and every action. With u = 40 x 65536 and n = u + |a|, both factors are fractions of
/// integers, n/u and u/n; and for any p, q: `rate x p / q = (rate div q) x p + (rate mod q) x p / q`, where the
/// first term is an integer and the second is rounded. No term reaches 2^64: rate div u < 2^29, n < 2^32,
/// u < 2^22.
pub fn apply_action(rate_bps: u64, action_q16: i32) -> u64 {
    let rate = rate_bps.min(RATE_MAX_BPS);
    let stretched = UNIT + u64::from(action_q16.unsigned_abs());
    let scaled = if action_q16 >= 0 { scale(rate, stretched, UNIT) } else { scale(rate, UNIT, stretched) };
    scaled.min(RATE_MAX_BPS)
}

/// `rate x p / q` to nearest, ties up.
const fn scale(rate: u64, p: u64, q: u64) -> u64 {
    rate / q * p + (rate % q * p + q / 2) / q
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ONE;

    #[test]
    fn known_steps() {
        assert_eq!(apply_action(10_000_000, 0), 10_000_000);
        assert_eq!(apply_action(10_000_000, ONE), 10_250_000);
        assert_eq!(apply_action(10_250_000, -ONE), 10_000_000);
        assert_eq!(apply_action(10_000_000, -40 * ONE), 5_000_000);
        assert_eq!(apply_action(0, i32::MAX), 0);
        assert_eq!(apply_action(u64::MAX, i32::MAX), RATE_MAX_BPS);
        assert_eq!(apply_action(u64::MAX, 0), RATE_MAX_BPS);
        assert_eq!(apply_action(1, i32::MIN), 0);
    }
}
