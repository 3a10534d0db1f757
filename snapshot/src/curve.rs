//! The two curves: tanh in integers, the same for every executor.
//!
//! **Parabolas**, 32 of them over +-4, for the last layer of every network and the hidden layers of 12-bit ones:
//!
//! ```text
//! u = saturate_i16(2 * t)                      Q2.13, so arguments saturate at +-4
//! k = u >> 11                                  -16..=15; the tables start at k = -16
//! g = ((u & 2047) - 1024) << 5                 Q15, -1.0..1.0 across the segment
//! y = VALUE[k] + mul_q15(g, SLOPE[k] + mul_q15(g, CURVATURE[k]))
//! ```
//!
//! with `mul_q15(a, b) = (a * b + 2^14) >> 15`. Each parabola passes through `CURVE_ONE * tanh` at the three Chebyshev
//! nodes of its segment (its middle and +-sqrt(3)/2 of the way to the ends), which is within a hair of the best one:
//! at most 0.00018 from tanh on +-4, a third of a 12-bit step. Neighbours meet within 2/32 512, so the curve may fall
//! by that where it should be flat.
//!
//! **Lines**, 64 of them over +-8, for the hidden layers of 8-bit networks, straight to a quantised value:
//!
//! ```text
//! k = t >> 10                                  -32..=31; the tables start at k = -32
//! q = (INTERCEPT[k] + mul_q15(t, RISE[k]) + 16) >> 5
//! ```
//!
//! Each line is the best one in the largest error: the chord's slope, half-way between chord and tangent, 1.0 = 4064 =
//! 127 * 32. It is at most 0.0032 and in the root mean square 0.001 from tanh, where rounding to 8 bits costs 0.0023.
//!
//! Tables of 32 or 64 words are one or two AVX-512 registers, so that a look-up is one `vpermw` or `vpermi2w`.

use crate::arith::mul_q15;

const PARABOLAS: usize = 32;

/// The value in the middle of each segment, 1.0 = [`crate::CURVE_ONE`].
pub const VALUE: [i16; PARABOLAS] = [
    -32484, -32466, -32436, -32387, -32306, -32173, -31954, -31598, -31018, -30085, -28605, -26312, -22885,
    -18031, -11651, -4043, 4043, 11651, 18031, 22885, 26312, 28605, 30085, 31018, 31598, 31954, 32173, 32306,
    32387, 32436, 32466, 32484,
];
/// The rise from the middle of each segment to its upper end, along the tangent.
pub const SLOPE: [i16; PARABOLAS] = [
    7, 12, 19, 32, 52, 85, 139, 227, 367, 588, 923, 1407, 2054, 2813, 3534, 3986, 3986, 3534, 2813, 2054,
    1407, 923, 588, 367, 227, 139, 85, 52, 32, 19, 12, 7,
];
/// What the parabola adds to the tangent at either end of each segment.
pub const CURVATURE: [i16; PARABOLAS] = [
    1, 1, 2, 4, 6, 10, 17, 27, 44, 68, 101, 142, 180, 194, 158, 62, -62, -158, -194, -180, -142, -101, -68,
    -44, -27, -17, -10, -6, -4, -2, -1, -1,
];

const LINES: usize = 64;

/// Where each line meets the axis of `t = 0`, 1.0 = 4064.
pub const INTERCEPT: [i16; LINES] = [
    -4064, -4064, -4064, -4064, -4064, -4064, -4064, -4063, -4063, -4063, -4062, -4061, -4059, -4056, -4051,
    -4044, -4033, -4016, -3990, -3949, -3888, -3797, -3662, -3464, -3184, -2799, -2298, -1695, -1051, -484,
    -123, -4, 4, 123, 484, 1051, 1695, 2298, 2799, 3184, 3464, 3662, 3797, 3888, 3949, 3990, 4016, 4033,
    4044, 4051, 4056, 4059, 4061, 4062, 4063, 4063, 4063, 4064, 4064, 4064, 4064, 4064, 4064, 4064,
];
/// The rise of each line over an argument of 8.0.
pub const RISE: [i16; LINES] = [
    0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 57, 93, 153, 253, 416, 682, 1117, 1820, 2946, 4711,
    7395, 11274, 16444, 22502, 28246, 31851, 31851, 28246, 22502, 16444, 11274, 7395, 4711, 2946, 1820, 1117,
    682, 416, 253, 153, 93, 57, 34, 21, 13, 8, 5, 3, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0,
];

/// `t` (Q3.12) to tanh, 1.0 = [`crate::CURVE_ONE`]; always less than 1.0 in magnitude.
pub const fn parabola(t: i16) -> i16 {
    let u = t.saturating_mul(2) as i32;
    let segment = ((u >> 11) + 16) as usize;
    let g = (((u & 2047) - 1024) << 5) as i16;
    VALUE[segment] + mul_q15(g, SLOPE[segment] + mul_q15(g, CURVATURE[segment]))
}

/// `t` (Q3.12) to tanh, 1.0 = 127.
pub const fn line(t: i16) -> i16 {
    let segment = ((t >> 10) + 32) as usize;
    (INTERCEPT[segment] + mul_q15(t, RISE[segment]) + 16) >> 5
}
#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::CURVE_ONE;

    #[test]
    fn parabolas_stay_close_to_tanh_and_below_one() {
        let (mut worst, mut squares) = (0.0_f64, 0.0);
        for t in i16::MIN..=i16::MAX {
            let x = (f64::from(t) / 4096.0).clamp(-4.0, 4.0);
            let error = f64::from(parabola(t)) / f64::from(CURVE_ONE) - x.tanh();
            worst = worst.max(error.abs());
            squares += error * error;
            assert!(parabola(t).abs() < CURVE_ONE, "{t}");
        }
        let rms = (squares / 65_536.0).sqrt();
        assert!(worst < 0.000_25, "worst {worst}");
        assert!(rms < 0.000_05, "rms {rms}");
    }

    #[test]
    fn parabolas_are_those_through_the_chebyshev_nodes() {
        let node = 0.75_f64.sqrt();
        for segment in 0..PARABOLAS {
            let middle = (segment as f64 - 15.5) / 4.0;
            let at = |g: f64| f64::from(CURVE_ONE) * (middle + g / 8.0).tanh();
            let slope = (at(node) - at(-node)) / (2.0 * node);
            let curvature = ((at(node) + at(-node)) / 2.0 - at(0.0)) / 0.75;
            let near = |integer: i16, exact: f64| (f64::from(integer) - exact).abs() <= 0.500_1;
            assert!(near(VALUE[segment], at(0.0)), "value {segment}");
            assert!(near(SLOPE[segment], slope), "slope {segment}");
            assert!(near(CURVATURE[segment], curvature), "curvature {segment}");
        }
    }

    #[test]
    fn parabolas_fall_by_two_units_at_most() {
        for t in i16::MIN..i16::MAX {
            assert!(parabola(t + 1) >= parabola(t) - 2, "{t}");
        }
    }

    #[test]
    fn lines_stay_within_one_step_of_tanh() {
        for t in i16::MIN..=i16::MAX {
            let exact = (f64::from(t) / 4096.0).tanh() * 127.0;
            // Half a step of rounding and 0.0032 of approximation.
            assert!((f64::from(line(t)) - exact).abs() < 0.5 + 127.0 * 0.0032, "{t}");
            assert!(line(t).abs() <= 127, "{t}");
        }
    }

    #[test]
    fn lines_are_the_best_ones() {
        for segment in 0..LINES {
            let (from, to) = ((segment as f64 - 32.0) / 4.0, (segment as f64 - 31.0) / 4.0);
            let slope = (to.tanh() - from.tanh()) * 4.0;
            let touch = (1.0 - slope).sqrt().atanh().copysign(from + to);
            let intercept = (from.tanh() - slope * from + touch.tanh() - slope * touch) / 2.0;
            let near = |integer: i16, exact: f64| (f64::from(integer) - exact).abs() <= 0.500_1;
            assert!(near(INTERCEPT[segment], intercept * 4064.0), "intercept {segment}");
            assert!(near(RISE[segment], slope * 8.0 * 4064.0), "rise {segment}");
        }
    }
}
