//! Softmax and arg-max over values in Q16, in integers.
//!
//! ```text
//! d    = max(v) - v[i]                          Q16, 0 to 2^32 - 1
//! x    = (d * 94548) >> 16                      Q16: times log2(e) = 1.442695
//! n, f = x >> 16, x & 65535                     octaves down, and the rest
//! j, h = f >> 11, f & 2047
//! e[i] = (POWER[j] - (((POWER[j] - POWER[j+1]) * h) >> 11)) >> n       Q30; 0 when n > 30
//! p[i] = ((e[i] << 16) + s / 2) / s             with s = sum of e; Q16
//! ```
//!
//! in unsigned 64-bit arithmetic. Each term is within 0.02 % of the exponential down to
//! 20 below the maximum (2e-9).

use crate::parts::Output;

/// log2(e) in Q16.
const LOG2_E_Q16: u64 = 94_548;

/// 2^(-j/32) in Q30.
pub const POWER: [u32; 33] = [
    1_073_741_824,
    1_050_733_751,
    1_028_218_693,
    1_006_186_087,
    984_625_594,
    963_527_098,
    942_880_699,
    922_676_710,
    902_905_651,
    883_558_244,
    864_625_413,
    846_098_274,
    827_968_132,
    810_226_483,
    792_865_000,
    775_875_538,
    759_250_125,
    742_980_960,
    727_060_411,
    711_481_005,
    696_235_434,
    681_316_545,
    666_717_336,
    652_430_958,
    638_450_708,
    624_770_026,
    611_382_493,
    598_281_827,
    585_461_881,
    572_916_640,
    560_640_218,
    548_626_854,
    536_870_912,
];

/// The last stage: `values` (one per output of the last layer, Q16, at least one) to `out`, which has as many items
/// as [`crate::Snapshot::outputs`] says.
pub fn finish(output: Output, values: &[i32], out: &mut [i32]) {
    match output {
        Output::Linear => out.copy_from_slice(values),
        Output::Softmax => softmax(values, out),
        Output::ArgMax => out[0] = (argmax(values) as i32) << 16,
    }
}

fn argmax(values: &[i32]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}

fn softmax(values: &[i32], out: &mut [i32]) {
    let largest = values[argmax(values)];
    let sum: u64 = values.iter().map(|&value| exponential(largest, value)).sum();
    for (p, &value) in out.iter_mut().zip(values) {
        // The largest value's term is 2^30, so the sum is not zero.
        *p = (((exponential(largest, value) << 16) + sum / 2) / sum) as i32;
    }
}

/// exp(value - largest) in Q30.
fn exponential(largest: i32, value: i32) -> u64 {
    let x = (u64::from(largest.abs_diff(value)) * LOG2_E_Q16) >> 16;
    let (octaves, rest) = (x >> 16, x & 0xFFFF);
    if octaves > 30 {
        return 0;
    }
    let (point, between) = ((rest >> 11) as usize, rest & 2047);
    let (upper, lower) = (u64::from(POWER[point]), u64::from(POWER[point + 1]));
    (upper - (((upper - lower) * between) >> 11)) >> octaves
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    #[test]
    fn powers_are_exact_to_the_last_bit() {
        for (j, &power) in POWER.iter().enumerate() {
            let exact = (1_u64 << 30) as f64 * (-(j as f64) / 32.0).exp2();
            assert!((f64::from(power) - exact).abs() <= 0.501, "{j}");
        }
    }

    #[test]
    fn exponential_stays_within_its_bound() {
        for d in (0..20 * 65_536).step_by(7) {
            let exact = (-f64::from(d) / 65_536.0).exp();
            let found = exponential(d, 0) as f64 / (1_u64 << 30) as f64;
            assert!((found - exact).abs() <= exact * 2e-4 + 1e-9, "{d}: {found} {exact}");
        }
    }

    #[test]
    fn softmax_is_shift_invariant_and_sums_to_one() {
        let mut near = [0; 4];
        softmax(&[0, 65_536, -65_536, 131_072], &mut near);
        let mut far = [0; 4];
        softmax(&[i32::MAX - 131_072, i32::MAX - 65_536, i32::MAX - 196_608, i32::MAX], &mut far);
        assert_eq!(near, far);
        assert!((near.iter().sum::<i32>() - 65_536).abs() <= 2);
        let mut extreme = [0; 2];
        softmax(&[i32::MIN, i32::MAX], &mut extreme);
        assert_eq!(extreme, [0, 65_536]);
    }

    #[test]
    fn the_lowest_index_wins_a_tie() {
        let mut out = [0];
        finish(Output::ArgMax, &[3, 7, 7, -1], &mut out);
        assert_eq!(out, [65_536]);
    }
}
