//! How good a controller is, over a list of conditions.

use crate::conditions::{Conditions, Length};
use crate::controller::{Controller, Ended};
use crate::reward::Reward;
use crate::world::{Measured, World};
use std::fmt;

/// Share of an episode that belongs to settling: utilisation, RTT, loss and fairness are measured after it, the reward
/// from the first decision on.
const SETTLE: f64 = 0.25;

/// What one episode gave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Episode {
    /// Mean reward of the decided intervals, weighted as [`Reward::weight`] has it.
    pub reward: f64,
    /// Decided intervals, of all flows.
    pub decisions: u64,
    /// After the first quarter.
    pub measured: Measured,
}

/// What a list of conditions gave, in its order: two scores over the same list are paired.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scores {
    /// One per conditions.
    pub episodes: Vec<Episode>,
}

/// A mean and how well it is known. `Display`: "817.2 +- 3.1", with the formatter's precision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Arithmetic mean.
    pub mean: f64,
    /// Its standard error, `s / sqrt(n)`; 0 for fewer than two values.
    pub standard_error: f64,
}

/// Drives every episode with `controller`.
pub fn evaluate<C: Controller + ?Sized>(
    controller: &mut C,
    conditions: &[Conditions],
    reward: Reward,
) -> Scores {
    Scores { episodes: conditions.iter().map(|conditions| episode(controller, conditions, reward)).collect() }
}

fn episode<C: Controller + ?Sized>(controller: &mut C, conditions: &Conditions, reward: Reward) -> Episode {
    let mut world = World::new(conditions);
    controller.begin(conditions.flows.len());
    let mut judge = Judge { controller, reward, sum: 0.0, weights: 0.0 };
    let (end_s, decisions) = match conditions.length {
        Length::Decisions(decisions) => (f64::INFINITY, decisions),
        Length::Seconds(seconds) => (seconds, u64::MAX),
    };
    world.run(end_s * SETTLE, (decisions as f64 * SETTLE) as u64, &mut judge);
    world.measure();
    world.run(end_s, decisions, &mut judge);
    Episode {
        reward: if judge.weights > 0.0 { judge.sum / judge.weights } else { 0.0 },
        decisions: world.decided(),
        measured: world.measured(),
    }
}

/// Passes decisions on and sums up what they were worth.
struct Judge<'c, C: ?Sized> {
    controller: &'c mut C,
    reward: Reward,
    sum: f64,
    weights: f64,
}

impl<C: Controller + ?Sized> Controller for Judge<'_, C> {
    fn begin(&mut self, flows: usize) {
        self.controller.begin(flows);
    }

    fn decide(&mut self, ended: &Ended<'_>) -> u64 {
        if ended.decided {
            let weight = self.reward.weight(ended);
            self.sum += weight * self.reward.of(ended);
            self.weights += weight;
        }
        self.controller.decide(ended)
    }
}

impl Scores {
    /// Mean reward, see [`Episode::reward`].
    pub fn reward(&self) -> Estimate {
        self.estimate(|episode| episode.reward)
    }

    /// Delivered over capacity.
    pub fn utilisation(&self) -> Estimate {
        self.estimate(|episode| episode.measured.utilisation)
    }

    /// RTT over the RTT on an empty queue.
    pub fn rtt_ratio(&self) -> Estimate {
        self.estimate(|episode| episode.measured.rtt_ratio)
    }

    /// Share of packets dropped at the full queue.
    pub fn loss(&self) -> Estimate {
        self.estimate(|episode| episode.measured.loss)
    }

    /// Jain's index.
    pub fn fairness(&self) -> Estimate {
        self.estimate(|episode| episode.measured.fairness)
    }

    /// By how much the reward is above that of `other` on the same conditions: the mean of the pairs' differences, whose
    /// error is free of what the conditions have in common.
    pub fn reward_above(&self, other: &Scores) -> Estimate {
        let pairs = self.episodes.iter().zip(&other.episodes);
        Estimate::of(pairs.map(|(own, other)| own.reward - other.reward))
    }

    /// A figure of every episode, averaged.
    pub fn estimate(&self, figure: impl Fn(&Episode) -> f64) -> Estimate {
        Estimate::of(self.episodes.iter().map(figure))
    }
}

impl Estimate {
    /// Of these values; 0 of none.
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n.max(1.0);
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let variance = if n > 1.0 { squares / (n - 1.0) } else { 0.0 };
        Self { mean, standard_error: (variance / n.max(1.0)).sqrt() }
    }

    /// Both parts times a number.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self { mean: self.mean * factor, standard_error: self.standard_error * factor.abs() }
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        write!(f, "{:.digits$} +- {:.digits$}", self.mean, self.standard_error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::Hold;
    use crate::published;

    #[test]
    fn estimates_are_means_with_standard_errors() {
        let estimate = Estimate::of([1.0, 2.0, 3.0, 4.0].into_iter());
        assert_eq!(estimate.mean, 2.5);
        assert!((estimate.standard_error - (5.0f64 / 3.0 / 4.0).sqrt()).abs() < 1e-12);
        assert_eq!(Estimate::of(std::iter::empty()), Estimate { mean: 0.0, standard_error: 0.0 });
        assert_eq!(format!("{:.1}", estimate.times(2.0)), "5.0 +- 1.3");
    }

    #[test]
    fn pairs_know_a_difference_that_episodes_hide() {
        /// Twice what a flow began with, at most once.
        struct Halve(bool);
        impl Controller for Halve {
            fn begin(&mut self, _flows: usize) {
                self.0 = true;
            }
            fn decide(&mut self, ended: &Ended<'_>) -> u64 {
                if std::mem::take(&mut self.0) { ended.rate_bps / 2 } else { ended.rate_bps }
            }
        }
        let set: Vec<_> = published::evaluation().into_iter().take(40).collect();
        let hold = evaluate(&mut Hold, &set, Reward::Published);
        let half = evaluate(&mut Halve(true), &set, Reward::Published);
        let apart = half.reward().standard_error.hypot(hold.reward().standard_error);
        let paired = half.reward_above(&hold);
        assert!((paired.mean - (half.reward().mean - hold.reward().mean)).abs() < 1e-9);
        assert!(paired.standard_error < apart, "{paired} {apart}");
        assert_eq!(hold.reward_above(&hold), Estimate { mean: 0.0, standard_error: 0.0 });
        assert!(hold.episodes.iter().all(|episode| episode.decisions == 400));
    }
}
