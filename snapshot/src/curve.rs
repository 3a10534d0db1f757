//! The one curve: tanh as 32 parabolas, the same integers for both precisions and every executor.
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
//! at most 0.00018 from tanh on +-4, a third of a 12-bit step. 32 entries of 16 bits are one AVX-512 register, so a
//! look-up is one `vpermw`. Neighbouring parabolas meet within 2/32 512, so the curve may fall by that where it should
//! be flat.

const SEGMENTS: usize = 32;

/// The value in the middle of each segment, 1.0 = [`crate::CURVE_ONE`].
pub const VALUE: [i16; SEGMENTS] = [
    -32484, -32466, -32436, -32387, -32306, -32173, -31954, -31598, -31018, -30085, -28605, -26312, -22885,
    -18031, -11651, -4043, 4043, 11651, 18031, 22885, 26312, 28605, 30085, 31018, 31598, 31954, 32173, 32306,
    32387, 32436, 32466, 32484,
];
/// The rise from the middle of each segment to its upper end, along the tangent.
pub const SLOPE: [i16; SEGMENTS] = [
    7, 12, 19, 32, 52, 85, 139, 227, 367, 588, 923, 1407, 2054, 2813, 3534, 3986, 3986, 3534, 2813, 2054,
    1407, 923, 588, 367, 227, 139, 85, 52, 32, 19, 12, 7,
];
/// What the parabola adds to the tangent at either end of each segment.
pub const CURVATURE: [i16; SEGMENTS] = [
    1, 1, 2, 4, 6, 10, 17, 27, 44, 68, 101, 142, 180, 194, 158, 62, -62, -158, -194, -180, -142, -101, -68,
    -44, -27, -17, -10, -6, -4, -2, -1, -1,
];

/// `t` (Q3.12) to tanh, 1.0 = [`crate::CURVE_ONE`]; always less than 1.0 in magnitude.
pub const fn curve(t: i16) -> i16 {
    let u = t.saturating_mul(2) as i32;
    let segment = ((u >> 11) + 16) as usize;
    let g = (((u & 2047) - 1024) << 5) as i16;
    VALUE[segment] + q15(g, SLOPE[segment] + q15(g, CURVATURE[segment]))
}

const fn q15(a: i16, b: i16) -> i16 {
    crate::arith::mul_q15(a, b)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::CURVE_ONE;

    #[test]
    fn stays_close_to_tanh_and_below_one() {
        let (mut worst, mut squares) = (0.0_f64, 0.0);
        for t in i16::MIN..=i16::MAX {
            let x = (f64::from(t) / 4096.0).clamp(-4.0, 4.0);
            let error = f64::from(curve(t)) / f64::from(CURVE_ONE) - x.tanh();
            worst = worst.max(error.abs());
            squares += error * error;
            assert!(curve(t).abs() < CURVE_ONE, "curve({t})");
        }
        let rms = (squares / 65_536.0).sqrt();
        assert!(worst < 0.000_25, "worst {worst}");
        assert!(rms < 0.000_05, "rms {rms}");
    }

    #[test]
    fn coefficients_are_the_chebyshev_parabolas() {
        let node = 0.75_f64.sqrt();
        for segment in 0..SEGMENTS {
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
    fn falls_by_two_units_at_most() {
        for t in i16::MIN..i16::MAX {
            assert!(curve(t + 1) >= curve(t) - 2, "curve({t})");
        }
    }
}
