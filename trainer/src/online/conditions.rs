//! What links look like, as flows tell: where candidates are replayed.

/// One kind of link, as a flow on it sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conditions {
    /// What one flow can have, in bits per second.
    pub capacity_bps: f64,
    /// RTT of an empty queue, in seconds.
    pub base_rtt_s: f64,
    /// Longest wait in the queue, in seconds.
    pub queue_s: f64,
    /// Share of bytes lost that no queue explains, 0 to 1.
    pub loss: f64,
}

/// Two conditions closer than this are the same for a policy: a quarter more capacity, a quarter longer RTT.
const ALIKE: f64 = 0.25;

impl Conditions {
    /// How different two are: the largest of the differences in the logarithms of capacity and RTT, in queue over base
    /// RTT (half of it counts), and in loss (four per cent count as one).
    pub fn distance(&self, other: &Conditions) -> f64 {
        let ratio = |a: f64, b: f64| (a.max(f64::MIN_POSITIVE) / b.max(f64::MIN_POSITIVE)).ln().abs();
        let depth = |of: &Conditions| (1.0 + of.queue_s / of.base_rtt_s.max(f64::MIN_POSITIVE)).ln();
        ratio(self.capacity_bps, other.capacity_bps)
            .max(ratio(self.base_rtt_s, other.base_rtt_s))
            .max(0.5 * (depth(self) - depth(other)).abs())
            .max(25.0 * (self.loss - other.loss).abs())
    }

    /// Whether they are the same for a policy.
    pub fn is_like(&self, other: &Conditions) -> bool {
        self.distance(other) < ALIKE
    }
}

/// Conditions that were met so far, and how well the best generation did in each: what a candidate must not unlearn.
#[derive(Debug, Clone)]
pub struct Remembered {
    max: usize,
    met: Vec<Met>,
}

/// One condition that was met.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Met {
    /// The condition.
    pub conditions: Conditions,
    /// Seed of its episode: always the same one, so that rewards of different days are pairs.
    pub seed: u64,
    /// The largest reward that a published generation has earned in that episode; `None` before the first.
    pub best: Option<f64>,
    /// When it was last met, in nanoseconds.
    at_ns: u64,
}

impl Remembered {
    /// None yet, and never more than `max` (at least 1).
    pub fn new(max: usize) -> Self {
        Self { max: max.max(1), met: Vec::new() }
    }

    /// Takes note of conditions that hold at `now_ns`: of new ones, or that known ones still occur. When there are too
    /// many, of the two that are most alike the one goes that was met longer ago: extremes stay.
    pub fn note(&mut self, conditions: Conditions, now_ns: u64) {
        let known = self.met.iter_mut().filter(|met| met.conditions.is_like(&conditions));
        if let Some(met) = known
            .min_by(|a, b| a.conditions.distance(&conditions).total_cmp(&b.conditions.distance(&conditions)))
        {
            met.at_ns = now_ns;
            return;
        }
        let seed = self.met.iter().map(|met| met.seed).max().unwrap_or(0) + 1;
        self.met.push(Met { conditions, seed, best: None, at_ns: now_ns });
        if self.met.len() > self.max {
            self.forget_one();
        }
    }

    /// All, in no order that matters.
    pub fn all(&self) -> &[Met] {
        &self.met
    }

    /// Takes note that a published generation has earned `reward` in the episode with this seed.
    pub fn earned(&mut self, seed: u64, reward: f64) {
        if let Some(met) = self.met.iter_mut().find(|met| met.seed == seed) {
            met.best = Some(met.best.map_or(reward, |best| best.max(reward)));
        }
    }

    fn forget_one(&mut self) {
        let mut closest = (f64::INFINITY, 0);
        for (index, a) in self.met.iter().enumerate() {
            for (other, b) in self.met.iter().enumerate().skip(index + 1) {
                let distance = a.conditions.distance(&b.conditions);
                if distance < closest.0 {
                    closest = (distance, if a.at_ns <= b.at_ns { index } else { other });
                }
            }
        }
        self.met.swap_remove(closest.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(capacity_bps: f64) -> Conditions {
        Conditions { capacity_bps, base_rtt_s: 0.02, queue_s: 0.04, loss: 0.0 }
    }

    #[test]
    fn alike_is_alike_and_each_property_can_differ() {
        let base = link(1e8);
        assert!(base.is_like(&link(1.2e8)) && link(1.2e8).is_like(&base));
        let others = [
            link(1.4e8),
            Conditions { base_rtt_s: 0.03, ..base },
            Conditions { queue_s: 0.4, ..base },
            Conditions { loss: 0.02, ..base },
        ];
        assert!(others.iter().all(|other| !base.is_like(other)));
        let nothing = Conditions { capacity_bps: 0.0, base_rtt_s: 0.0, queue_s: 0.0, loss: 0.0 };
        assert!(nothing.distance(&nothing) == 0.0 && nothing.distance(&base).is_finite());
    }

    #[test]
    fn what_is_met_again_is_one_and_extremes_stay() {
        let mut remembered = Remembered::new(4);
        for round in 0..3 {
            for capacity in [1e6, 1e7, 1e8, 1e9] {
                remembered.note(link(capacity), round);
            }
        }
        assert_eq!(remembered.all().len(), 4);
        // Nearest to 1e8, which was met longer ago.
        remembered.note(link(1.5e8), 9);
        let mut kept: Vec<f64> = remembered.all().iter().map(|met| met.conditions.capacity_bps).collect();
        kept.sort_by(f64::total_cmp);
        assert_eq!(kept, [1e6, 1e7, 1.5e8, 1e9]);
        let seeds: std::collections::BTreeSet<u64> = remembered.all().iter().map(|met| met.seed).collect();
        assert_eq!(seeds.len(), 4, "an episode of each one's own");
    }

    #[test]
    fn the_best_is_kept() {
        let mut remembered = Remembered::new(2);
        remembered.note(link(1e6), 0);
        let seed = remembered.all()[0].seed;
        for reward in [0.5, 0.7, 0.6] {
            remembered.earned(seed, reward);
        }
        remembered.earned(99, 1.0);
        assert_eq!(remembered.all()[0].best, Some(0.7));
    }
}
