//! What is drawn against the Gaussian in double precision.

use super::*;
use crate::sampler::Draw;

const ONE: f64 = 65_536.0;
/// The mass within three standard deviations.
const WITHIN_CUT: f64 = 0.997_300_203_936_739_8;

/// Twice the table's probability, by the book: erf from Abramowitz and Stegun 7.1.26 has an error of 1.5e-7.
fn half_mass(z: f64) -> f64 {
    let x = z / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let poly = t
        * (0.254_829_592
            + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    (1.0 - poly * (-x * x).exp()) / 2.0
}

#[test]
fn the_table_is_the_inverse_of_the_distribution() {
    assert_eq!((QUANTILES_Q16[0], QUANTILES_Q16[STEPS]), (0, 3 << 16));
    for (step, quantile) in QUANTILES_Q16.iter().enumerate() {
        let found = half_mass(f64::from(*quantile) / ONE) * 2.0 / WITHIN_CUT;
        let wanted = step as f64 / STEPS as f64;
        // Half a unit of z, and the formula's own error.
        assert!((found - wanted).abs() < 8e-6, "step {step}: {found} {wanted}");
    }
}

/// Every draw that the 27 bits can give, weighted alike.
#[test]
fn the_moments_are_those_of_the_cut_gaussian() {
    let mut moments = [0.0_f64; 3];
    for (from, to) in QUANTILES_Q16.iter().zip(&QUANTILES_Q16[1..]) {
        let (a, b) = (f64::from(*from) / ONE, f64::from(*to) / ONE);
        // Uniform between a and b: the mean of z^n is (b^(n+1) - a^(n+1)) / ((n + 1) (b - a)).
        for (moment, n) in moments.iter_mut().zip([1, 2, 4]) {
            *moment += (b.powi(n + 1) - a.powi(n + 1)) / (f64::from(n + 1) * (b - a)) / STEPS as f64;
        }
    }
    let density_at_cut = DENSITY_AT_0 * (-4.5_f64).exp();
    let second = 1.0 - 2.0 * 3.0 * density_at_cut / WITHIN_CUT;
    let expected = [
        2.0 * (DENSITY_AT_0 - density_at_cut) / WITHIN_CUT,
        second,
        3.0 * second - 2.0 * 27.0 * density_at_cut / WITHIN_CUT,
    ];
    // Straight lines put a little too much into the outer half of a step.
    for ((found, expected), bound) in moments.iter().zip(expected).zip([2e-5, 6e-5, 3e-4]) {
        assert!((found / expected - 1.0).abs() < bound, "{moments:?} {expected:?}");
    }
}

/// Of many flows and decisions, through the generator.
#[test]
fn draws_are_gaussian_and_independent() {
    let explorer = Explorer::new(ONE as u32).expect("not 0");
    let (flows, decisions) = (500_u64, 1_000_u32);
    let mut drawn = Vec::new();
    let (mut next, mut across) = (0.0, 0.0);
    for flow in 0..flows {
        let (mut last, mut neighbour) = (0.0, 0.0);
        for decision in 0..decisions {
            let z = f64::from(explorer.noise(Draw::Noise.nth(flow, decision)).noise_q16) / ONE;
            (next, across) = (next + z * last, across + z * neighbour);
            last = z;
            neighbour = f64::from(explorer.noise(Draw::Noise.nth(flow + 1, decision)).noise_q16) / ONE;
            drawn.push(z);
        }
    }
    let count = drawn.len() as f64;
    let mean = drawn.iter().sum::<f64>() / count;
    let variance = drawn.iter().map(|z| z * z).sum::<f64>() / count;
    let skew = drawn.iter().map(|z| z * z * z).sum::<f64>() / count;
    // Four standard errors each: 1, sqrt(2), sqrt(15) over the root of the count.
    let error = 4.0 / count.sqrt();
    assert!(mean.abs() < error && skew.abs() < 3.9 * error, "{mean} {skew}");
    assert!((variance - 0.973_337).abs() < 1.4 * error, "{variance}");
    assert!((next / count).abs() < error && (across / count).abs() < error, "{next} {across}");

    // Kolmogorov's distance, at a level of 1e-4.
    drawn.sort_by(f64::total_cmp);
    let mut distance = 0.0_f64;
    for (index, z) in drawn.iter().enumerate() {
        let below = 0.5 + z.signum() * half_mass(z.abs()) / WITHIN_CUT;
        distance = distance.max((below - index as f64 / count).abs());
    }
    assert!(distance < 2.23 / count.sqrt(), "{distance}");
}

#[test]
fn noise_stays_within_three_deviations_and_says_how_likely_it_was() {
    for sigma_q16 in [1, 7, 655, 32_768, 65_536, 196_608, u32::MAX] {
        let explorer = Explorer::new(sigma_q16).expect("not 0");
        let sigma = f64::from(sigma_q16);
        let extremes = [0, 1 << 63, u64::MAX, u64::MAX >> 1];
        for bits in extremes.into_iter().chain((0..2_000).map(|n| Draw::Noise.nth(sigma_q16.into(), n))) {
            let noise = explorer.noise(bits);
            assert_eq!(noise.sigma_q16, sigma_q16);
            let drawn = f64::from(noise.noise_q16);
            assert!(drawn.abs() <= (3.0 * sigma).min(f64::from(i32::MAX)), "{noise:?}");
            assert!(noise.noise_q16 == 0 || (noise.noise_q16 < 0) == (bits >> 63 == 1), "{noise:?}");
            let z = drawn / sigma;
            let log_prob = -z * z / 2.0 - (sigma / ONE).ln() - 0.918_938_533_204_672_7;
            let found = f64::from(noise.log_prob_q16) / ONE;
            assert!((found - log_prob).abs() < 8.0 / ONE, "{noise:?}: {log_prob}");
        }
    }
    assert_eq!(Explorer::new(0), None);
}

/// What the head of the file says about the density that is recorded and the one that is drawn from.
#[test]
fn the_recorded_density_is_nearly_that_of_what_is_drawn() {
    let worst = |steps: std::ops::Range<usize>| {
        steps
            .flat_map(|step| {
                let [from, to] = [step, step + 1].map(|at| f64::from(QUANTILES_Q16[at]) / ONE);
                let drawn = WITHIN_CUT / (2.0 * STEPS as f64 * (to - from));
                [from, to].map(|z| (drawn / (DENSITY_AT_0 * (-z * z / 2.0).exp())).ln().abs())
            })
            .fold(0.0, f64::max)
    };
    for ((from, to), bound) in [(0, STEPS - 20), (0, STEPS)].into_iter().zip([0.02, 0.15]) {
        let worst = worst(from..to);
        assert!(worst < bound, "steps {from} to {to}: {worst}");
    }
}

#[test]
fn the_logarithm_is_right_to_its_last_bit_but_one() {
    for x in (1..2_000).chain((0..32).map(|bit| 1 << bit)).chain([196_608, 3 << 29, u32::MAX]) {
        let exact = (f64::from(x) / ONE).ln() * ONE;
        let found = ln_q16(x).expect("not 0") as f64;
        assert!((found - exact).abs() <= 1.5, "{x}: {found} {exact}");
    }
    assert_eq!(ln_q16(0), None);
}
