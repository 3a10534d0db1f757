//! Labelled decisions from earlier, shown again against forgetting.
//!
//! A predictor that is only shown the traffic of today unlearns that of yesterday. So a bounded number of decisions is kept,
//! each one that was ever seen with the same probability (reservoir sampling, Vitter's algorithm R). Policies rehearse
//! instead, see [`super::replay`]: what a policy did long ago says little about what it would do now.

use super::batch::{Batch, Row};
use crate::rng::Rng;

/// Decisions of all times.
#[derive(Debug)]
pub(super) struct Memory {
    max: usize,
    seen: u64,
    kept: Vec<Kept>,
    rng: Rng,
}

#[derive(Debug)]
struct Kept {
    inputs: Box<[f32]>,
    row: Row<'static>,
}

impl Memory {
    /// Nothing yet; `max` decisions at most.
    pub(super) fn new(max: usize, seed: u64) -> Self {
        Self { max, seen: 0, kept: Vec::new(), rng: Rng::new(seed) }
    }

    /// Offers a step's decisions.
    pub(super) fn offer(&mut self, batch: &Batch) {
        for row in batch.rows() {
            self.seen += 1;
            let place = match self.kept.len() < self.max {
                true => self.kept.len(),
                false => self.rng.below(usize::try_from(self.seen).unwrap_or(usize::MAX)),
            };
            if place >= self.max {
                continue;
            }
            let kept = Kept {
                inputs: row.inputs.into(),
                row: Row { inputs: &[], continues: false, remembered: true, ..row },
            };
            match self.kept.get_mut(place) {
                Some(older) => *older = kept,
                None => self.kept.push(kept),
            }
        }
    }

    /// Appends `rows` decisions to a batch.
    pub(super) fn remind(&mut self, rows: usize, batch: &mut Batch) {
        if self.kept.is_empty() {
            return;
        }
        for _ in 0..rows {
            let kept = &self.kept[self.rng.below(self.kept.len())];
            batch.push(&Row { inputs: &kept.inputs, ..kept.row });
        }
    }

    /// Decisions that are kept.
    pub(super) fn rows(&self) -> usize {
        self.kept.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decisions whose actions and inputs are their numbers.
    fn decisions(numbers: std::ops::Range<usize>) -> Batch {
        let mut batch = Batch::new(1);
        for n in numbers {
            batch.push(&Row {
                inputs: &[n as f32],
                action: n as f32,
                noise: 0.0,
                log_prob: 0.0,
                reward: 0.5,
                weight: 2.0,
                continues: true,
                explored: true,
                remembered: false,
            });
        }
        batch
    }

    #[test]
    fn what_comes_back_is_what_was_seen_and_marked() {
        let mut memory = Memory::new(100, 1);
        memory.offer(&decisions(0..50));
        let mut batch = decisions(1_000..1_003);
        memory.remind(20, &mut batch);
        assert_eq!((memory.rows(), batch.len()), (50, 23));
        for row in batch.rows().skip(3) {
            assert!(row.remembered && !row.continues && row.weight == 2.0 && row.action < 50.0);
            assert_eq!(row.inputs, [row.action]);
        }
    }

    #[test]
    fn every_decision_has_the_same_chance_however_early_it_came() {
        let (mut early, runs) = (0, 400);
        for seed in 0..runs {
            let mut memory = Memory::new(20, seed);
            for step in 0..10 {
                memory.offer(&decisions(20 * step..20 * (step + 1)));
            }
            assert_eq!(memory.rows(), 20);
            early += memory.kept.iter().filter(|kept| kept.row.action < 100.0).count();
        }
        // Half of 8 000; standard deviation about 43.
        assert!((early as i64 - 4_000).abs() < 200, "{early}");
    }

    #[test]
    fn no_memory_is_a_memory_too() {
        let mut none = Memory::new(0, 1);
        none.offer(&decisions(0..10));
        let mut batch = Batch::new(1);
        none.remind(10, &mut batch);
        assert!(none.rows() == 0 && batch.is_empty());
    }
}
