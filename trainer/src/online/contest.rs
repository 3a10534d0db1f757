//! Earlier generations against what runs, on the paths in use now.
//!
//! Tuning moves one network from network to network. Where traffic comes back to a path of earlier, a generation that was
//! good there is at hand, and need not be learnt again. In each step one of them drives the episodes of the step beside what
//! runs. Episodes differ from step to step, so a difference in reward has a standard error; one that is beyond doubt, and
//! worth a swap, brings the earlier generation back.

use std::collections::{BTreeMap, VecDeque};

/// Differences that are kept of each.
const NEWEST: usize = 24;
/// Fewest that say something.
const LEAST: usize = 8;
/// Standard errors by which the mean must be above [`MARGIN`]: some generations are looked at, each in many steps.
const ERRORS: f64 = 3.0;
/// Reward that a swap has to bring: what a replay is wrong by may well be as much.
const MARGIN: f64 = 0.01;

/// By how much earlier generations did better than what runs.
#[derive(Debug, Clone, Default)]
pub(super) struct Contest(BTreeMap<u32, VecDeque<f64>>);

impl Contest {
    /// Takes note of a generation's reward above that of what runs.
    pub(super) fn note(&mut self, generation: u32, difference: f64) {
        let differences = self.0.entry(generation).or_default();
        differences.push_back(difference);
        if differences.len() > NEWEST {
            differences.pop_front();
        }
    }

    /// The best of those that are better beyond doubt.
    pub(super) fn better(&self) -> Option<u32> {
        let least = self.0.iter().map(|(generation, differences)| (*generation, least(differences)));
        let better = least.filter(|(_, least)| *least > MARGIN);
        better.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(generation, _)| generation)
    }

    /// Something else runs: nothing is known against that.
    pub(super) fn begin(&mut self) {
        self.0.clear();
    }
}

/// What the mean is at least; nothing while there are few.
fn least(differences: &VecDeque<f64>) -> f64 {
    if differences.len() < LEAST {
        return f64::NEG_INFINITY;
    }
    let n = differences.len() as f64;
    let mean = differences.iter().sum::<f64>() / n;
    let squares = differences.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    mean - ERRORS * (squares / (n - 1.0) / n).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    /// Steps until a generation that is better by `mean` comes back, of at most 200.
    fn steps(mean: f64, seed: u64) -> Option<usize> {
        let (mut contest, mut rng) = (Contest::default(), Rng::new(seed));
        (1..=200).find(|_| {
            contest.note(3, mean + 0.02 * rng.normal());
            contest.better() == Some(3)
        })
    }

    #[test]
    fn what_is_better_beyond_doubt_comes_back_and_noise_does_not() {
        for seed in 0..50 {
            assert!(
                steps(0.05, seed).is_some_and(|steps| (LEAST..=2 * LEAST).contains(&steps)),
                "seed {seed}"
            );
            assert_eq!(steps(-0.005, seed), None, "seed {seed}");
        }
    }

    #[test]
    fn the_best_comes_back_and_only_what_was_seen_on_these_paths_counts() {
        let mut contest = Contest::default();
        let note = |contest: &mut Contest, differences: [f64; 3]| {
            (1..).zip(differences).for_each(|(generation, difference)| contest.note(generation, difference));
        };
        (0..NEWEST).for_each(|_| note(&mut contest, [-0.5, 0.05, f64::NAN]));
        assert_eq!(contest.better(), Some(2));
        (0..NEWEST).for_each(|_| note(&mut contest, [0.1, 0.05, f64::NAN]));
        assert_eq!(contest.better(), Some(1));
        contest.begin();
        (1..LEAST).for_each(|_| note(&mut contest, [0.1, 0.1, 0.1]));
        assert_eq!(contest.better(), None);
    }
}
