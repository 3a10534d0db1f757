//! How large flows are and when they come.

use crate::random;
use weir_engine::time::Ns;
use weir_env::Rng;

pub use weir_env::{Sizes, SizesError};

/// Times of a Poisson process of `per_second` arrivals until `end`.
pub fn poisson(rng: &mut Rng, per_second: f64, end: Ns) -> Vec<Ns> {
    let mut times = Vec::new();
    let mut at = 0.0;
    loop {
        at += random::exponential(rng, 1e9 / per_second.max(1e-9));
        if at >= end.0 as f64 {
            return times;
        }
        times.push(Ns(at as u64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_come_at_their_rate() {
        let times = poisson(&mut random::stream(1, "arrivals", 0), 1e5, Ns::from_millis(100));
        assert!((times.len() as f64 / 1e4 - 1.0).abs() < 0.03);
        assert!(times.windows(2).all(|pair| pair[0] <= pair[1]));
    }
}
