//! What a unit of a network's scores is worth, in doublings of a delivery's time.
//!
//! A scorer's file may count in anything: `conf/models/balance.onnx` in doublings of the time to the end of a whole *flow*, of which
//! several go into one doubling of the time of what a record tells of. Tuned towards doublings as they stand, such a network learns
//! first of all to give smaller scores; to that extent it predicts better, and the order of paths is the same, but the hysteresis,
//! which counts in scores too, has become larger (decision 23). So the unit is measured and kept: it is the slope `a` of
//!
//! ```text
//! excess = a (score - mean score) + what the score does not tell
//! ```
//!
//! by least squares, each record weighted as learning weights it, over the records of the generation that the file gave, or that a
//! restart found. Those that are tuned from it count in the same unit, so it is not measured again: each measurement's noise would
//! move the scale.

/// Records before a unit is believed in.
const KNOWN: u32 = 256;
/// Standard errors by which a slope must be above 0 to be a unit.
const ERRORS: f64 = 2.0;
/// The least correlation of scores and excesses, likewise: scores that explain less than a hundredth of the variance have no unit in
/// terms of it, and count as doublings.
const CORRELATION_MIN: f64 = 0.1;

/// A weighted regression of excesses on scores, over the records of one generation.
#[derive(Debug, Clone, Default)]
pub(super) struct Unit {
    /// Whose scores are measured.
    generation: u32,
    count: u32,
    weight: f64,
    weight_squares: f64,
    score: f64,
    excess: f64,
    /// Sums of weighted squares and products of what is left without the means.
    score_squares: f64,
    excess_squares: f64,
    products: f64,
}

impl Unit {
    /// The unit of this generation's scores, of which nothing is known yet.
    pub(super) fn of(generation: u32) -> Unit {
        Unit { generation, ..Unit::default() }
    }

    /// Takes note of a delivery whose path `generation` gave this score and that took so many doublings longer than usual.
    pub(super) fn note(&mut self, generation: u32, score: f64, excess: f64, weight: f64) {
        if generation != self.generation {
            return;
        }
        self.count = self.count.saturating_add(1);
        self.weight += weight;
        self.weight_squares += weight * weight;
        // West's update of a weighted mean and of the squares about it (Communications of the ACM 22, 1979).
        let (by_score, by_excess) = (score - self.score, excess - self.excess);
        self.score += by_score * weight / self.weight;
        self.excess += by_excess * weight / self.weight;
        self.score_squares += weight * by_score * (score - self.score);
        self.excess_squares += weight * by_excess * (excess - self.excess);
        self.products += weight * by_score * (excess - self.excess);
    }

    /// Doublings to a unit of score; 1 where scores tell nothing beyond doubt; `None` while too little is known.
    pub(super) fn doublings(&self) -> Option<f64> {
        if self.count < KNOWN {
            return None;
        }
        let slope = self.products / self.score_squares;
        let correlation = self.products / (self.score_squares * self.excess_squares).sqrt();
        // As many records of equal weight would tell as much (Kish).
        let records = self.weight * self.weight / self.weight_squares;
        let error = ((1.0 / (correlation * correlation) - 1.0) / (records - 2.0)).sqrt();
        let tells = correlation >= CORRELATION_MIN && error * ERRORS < 1.0;
        Some(if tells { slope } else { 1.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    /// A unit measured on so many records whose excess is `slope` scores and noise of deviation 0.6.
    fn measured(slope: f64, records: usize) -> Unit {
        let (mut unit, mut rng) = (Unit::of(1), Rng::new(7));
        for n in 0..records {
            let (score, noise) = (rng.uniform(5.0, 7.0), 0.6 * rng.normal());
            unit.note(1, score, slope * (score - 5.0) + noise, if n % 50 == 0 { 20.0 } else { 1.0 });
        }
        unit
    }

    #[test]
    fn a_unit_is_what_excesses_say_of_it() {
        for slope in [0.3, 1.0, 40.0] {
            let found = measured(slope, 20_000).doublings().expect("enough records");
            assert!((found - slope).abs() < 0.02, "{found} {slope}");
        }
    }

    #[test]
    fn scores_that_tell_nothing_or_the_contrary_count_as_doublings() {
        assert_eq!(measured(0.3, KNOWN as usize - 1).doublings(), None);
        assert_eq!(measured(0.0, 20_000).doublings(), Some(1.0));
        assert_eq!(measured(-0.5, 20_000).doublings(), Some(1.0));
        let mut same = Unit::of(1);
        (0..KNOWN).for_each(|_| same.note(1, 3.0, 0.0, 1.0));
        assert_eq!(same.doublings(), Some(1.0), "all scores alike");
    }

    #[test]
    fn a_later_generation_counts_in_the_unit_of_the_first() {
        let mut unit = measured(0.3, 2_000);
        let before = unit.doublings();
        (0..10_000).for_each(|n| unit.note(2, f64::from(n % 7), f64::from(n % 7), 1.0));
        assert_eq!(unit.doublings(), before);
    }
}
