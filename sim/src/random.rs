//! Draws from the distributions that worlds need, the same on every machine: [`weir_env::Rng`]'s bits through
//! [`math`].

use weir_env::{Rng, math};

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
    }

    #[test]
    fn parts_of_one_seed_do_not_share_their_draws() {
        let first = |part, index| stream(1, part, index).bits();
        assert_ne!(first("loss", 0), first("loss", 1));
        assert_ne!(first("loss", 0), first("arrivals", 0));
        assert_eq!(first("loss", 0), first("loss", 0));
    }
}
