//! Draws from the distributions that worlds need, the same on every machine: [`weir_env::Rng`]'s bits through
//! [`math`].

use crate::math;
use weir_env::Rng;

/// A generator of its own for each use of a run's seed: what one part draws does not shift what another does.
pub fn stream(seed: u64, part: &str, index: u64) -> Rng {
    // FNV-1a over the part's name: two parts of one run differ, whatever their order.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in part.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let mut rng = Rng::new(seed ^ hash ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    // Neighbouring seeds are far apart after one step of the generator's own mixing.
    Rng::new(rng.bits())
}

/// Exponential with this mean.
pub fn exponential(rng: &mut Rng, mean: f64) -> f64 {
    -mean * math::ln(1.0 - rng.unit())
}

/// Standard normal, by Marsaglia's polar method: a square root and a logarithm, no cosine.
pub fn normal(rng: &mut Rng) -> f64 {
    loop {
        let (u, v) = (rng.uniform(-1.0, 1.0), rng.uniform(-1.0, 1.0));
        let square = u * u + v * v;
        if square > 0.0 && square < 1.0 {
            return u * (-2.0 * math::ln(square) / square).sqrt();
        }
    }
}

/// Log-normal: `median` times e to a normal of this deviation.
pub fn log_normal(rng: &mut Rng, median: f64, sigma: f64) -> f64 {
    median * math::exp(sigma * normal(rng))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_right() {
        let mut rng = stream(1, "test", 0);
        let n = 40_000;
        let values: Vec<f64> = (0..n).map(|_| exponential(&mut rng, 3.0)).collect();
        let mean = values.iter().sum::<f64>() / f64::from(n);
        assert!((mean - 3.0).abs() < 0.06, "{mean}");
        let values: Vec<f64> = (0..n).map(|_| normal(&mut rng)).collect();
        let mean = values.iter().sum::<f64>() / f64::from(n);
        let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / f64::from(n);
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        let mut values: Vec<f64> = (0..n).map(|_| log_normal(&mut rng, 100.0, 1.0)).collect();
        values.sort_by(f64::total_cmp);
        let median = values[values.len() / 2];
        assert!((median / 100.0 - 1.0).abs() < 0.03, "{median}");
    }

    #[test]
    fn parts_of_one_seed_do_not_share_their_draws() {
        let first = |part, index| stream(1, part, index).bits();
        assert_ne!(first("loss", 0), first("loss", 1));
        assert_ne!(first("loss", 0), first("arrivals", 0));
        assert_eq!(first("loss", 0), first("loss", 0));
    }
}
