//! Logarithm, exponential and cube root from additions, multiplications and divisions alone.
//!
//! Those three IEEE 754 operations, and the square root, give the same bits on every machine; a C library's `log`, `exp`
//! and `cbrt` need not. What a run draws and decides goes through this file, so that one seed gives one run anywhere.

use crate::rng::Rng;

/// ln 2.
const LN_2: f64 = std::f64::consts::LN_2;
/// Mantissa bits of an `f64`.
const MANTISSA_BITS: u32 = 52;

/// Natural logarithm; of what is not positive and finite, 0 as the nearest thing that a draw can use.
///
/// `x = m 2^e` with m in [0.707, 1.414); ln m = 2 artanh((m - 1) / (m + 1)) by its series, whose argument is at most 0.172:
/// the eleventh term is below 2^-53 of the sum.
pub fn ln(x: f64) -> f64 {
    if !(x > 0.0 && x.is_finite()) {
        return 0.0;
    }
    let (mut m, mut e) = split(x);
    if m > std::f64::consts::SQRT_2 {
        (m, e) = (m / 2.0, e + 1);
    }
    let z = (m - 1.0) / (m + 1.0);
    let square = z * z;
    let mut sum = 0.0;
    for n in (0..12).rev() {
        sum = sum * square + 1.0 / f64::from(2 * n + 1);
    }
    2.0 * z * sum + f64::from(e) * LN_2
}

/// `e^x` for |x| up to 700; beyond, as if it were that.
///
/// `x = k ln 2 + r` with |r| at most 0.347, whose Taylor series is below 2^-53 after fifteen terms.
pub fn exp(x: f64) -> f64 {
    let x = x.clamp(-700.0, 700.0);
    let k = (x / LN_2).round();
    let r = x - k * LN_2;
    let mut sum = 1.0;
    for n in (1..=16).rev() {
        sum = 1.0 + sum * r / f64::from(n);
    }
    sum * power_of_two(k as i32)
}

/// Standard normal, by Marsaglia's polar method: a square root and a logarithm, no cosine.
pub fn normal(rng: &mut Rng) -> f64 {
    loop {
        let (u, v) = (rng.uniform(-1.0, 1.0), rng.uniform(-1.0, 1.0));
        let square = u * u + v * v;
        if square > 0.0 && square < 1.0 {
            return u * (-2.0 * ln(square) / square).sqrt();
        }
    }
}

/// The standard normal's distribution function, to 7e-8 (Abramowitz and Stegun, 26.2.17).
pub fn phi(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let series = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let sum = series.iter().rev().fold(0.0, |sum, b| (sum + b) * t);
    let tail = exp(-z * z / 2.0) / std::f64::consts::TAU.sqrt() * sum;
    if z < 0.0 { tail } else { 1.0 - tail }
}

/// Cube root of a number that is not negative, by Newton's iteration from a guess by the exponent.
pub fn cbrt(x: f64) -> f64 {
    if !(x > 0.0 && x.is_finite()) {
        return 0.0;
    }
    let (_, e) = split(x);
    let mut root = power_of_two(e / 3 + 1);
    for _ in 0..60 {
        let next = (2.0 * root + x / (root * root)) / 3.0;
        // It comes down to the root from above, and stops where rounding does.
        if next >= root {
            break;
        }
        root = next;
    }
    root
}

/// Mantissa in [1, 2) and exponent of a positive, finite number.
fn split(x: f64) -> (f64, i32) {
    // A subnormal number has no exponent of its own.
    let (x, lift) = if x < f64::MIN_POSITIVE { (x * power_of_two(60), 60) } else { (x, 0) };
    let bits = x.to_bits();
    let exponent = (bits >> MANTISSA_BITS) as i32 - 1023;
    (f64::from_bits(bits & ((1 << MANTISSA_BITS) - 1) | 1023 << MANTISSA_BITS), exponent - lift)
}

/// `2^k` for k from -1022 to 1023; outside, as if it were that.
fn power_of_two(k: i32) -> f64 {
    f64::from_bits(((k.clamp(-1022, 1023) + 1023) as u64) << MANTISSA_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use proptest::prelude::*;

    #[test]
    fn marks_on_the_way() {
        assert_eq!((ln(1.0), exp(0.0), cbrt(0.0), ln(0.0), ln(-1.0)), (0.0, 1.0, 0.0, 0.0, 0.0));
        assert!((ln(f64::MIN_POSITIVE / 1024.0) + 1032.0 * LN_2).abs() < 1e-9);
        assert_eq!(cbrt(27.0), 3.0);
        // The bits are the promise: another machine that gives others is a bug.
        assert_eq!(ln(10.0).to_bits(), 0x4002_6bb1_bbb5_5515);
        assert_eq!(exp(1.0).to_bits(), 0x4005_bf0a_8b14_576a);
    }

    proptest! {
        #[test]
        fn as_the_standard_library_to_the_last_digits(x in 1e-12_f64..1e12) {
            prop_assert!((ln(x) - x.ln()).abs() <= 1e-14 * x.ln().abs().max(1.0));
            prop_assert!((cbrt(x) / x.cbrt() - 1.0).abs() < 1e-14);
            let y = (x.ln()).clamp(-30.0, 30.0);
            prop_assert!((exp(y) / y.exp() - 1.0).abs() < 1e-13);
        }
    }

    #[test]
    fn the_normal_distribution_is_right_and_draws_follow_it() {
        for (z, expected) in [(0.0, 0.5), (1.0, 0.841_344_746), (-1.0, 0.158_655_254), (3.0, 0.998_650_102)] {
            assert!((phi(z) - expected).abs() < 1e-7, "{z}");
        }
        let mut rng = Rng::new(1);
        let n = 40_000;
        let values: Vec<f64> = (0..n).map(|_| normal(&mut rng)).collect();
        let mean = values.iter().sum::<f64>() / f64::from(n);
        let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / f64::from(n);
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
    }
}
