//! Paths that were met: where candidates are replayed.

use super::replay::{Episode, Start};
use weir_env::Estimates;

/// Two estimates closer than this are the same for a policy: a quarter more capacity, a quarter longer RTT.
const ALIKE: f64 = 0.25;

/// How different two paths are for a policy: the largest of the differences in the logarithms of a flow's share, of RTT and
/// of the flows' number, in queue over base RTT (half of its logarithm counts), in loss (four per cent count as one), and in
/// jitter over base RTT (half of it counts as one).
pub fn distance(a: &Estimates, b: &Estimates) -> f64 {
    let ratio = |a: f64, b: f64| (a.max(f64::MIN_POSITIVE) / b.max(f64::MIN_POSITIVE)).ln().abs();
    let flows = |of: &Estimates| of.flows.max(1) as f64;
    let depth = |of: &Estimates| {
        let bdp_bytes = of.capacity_bps * of.base_rtt_s / 8.0;
        (1.0 + of.queue_bytes / bdp_bytes.max(f64::MIN_POSITIVE)).ln()
    };
    let blur = |of: &Estimates| of.jitter_s / of.base_rtt_s.max(f64::MIN_POSITIVE);
    ratio(a.capacity_bps / flows(a), b.capacity_bps / flows(b))
        .max(ratio(a.base_rtt_s, b.base_rtt_s))
        .max(0.5 * ratio(flows(a), flows(b)))
        .max(0.5 * (depth(a) - depth(b)).abs())
        .max(25.0 * (a.loss - b.loss).abs())
        .max(2.0 * (blur(a) - blur(b)).abs())
}

/// Whether two paths are the same for a policy.
pub fn alike(a: &Estimates, b: &Estimates) -> bool {
    distance(a, b) < ALIKE
}

/// Paths that were met so far, and how well the best generation did on each: what a candidate must not unlearn.
#[derive(Debug, Clone)]
pub struct Remembered {
    max: usize,
    met: Vec<Met>,
}

impl Met {
    /// The episode by which generations of different days are compared.
    pub fn episode(&self) -> Episode {
        Episode { path: self.path, start: Start::Near, seed: self.seed }
    }
}

/// A path that was met.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Met {
    /// What it is like.
    pub path: Estimates,
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

    /// Takes note of a path that is in use at `now_ns`: of a new one, or that a known one still is. When there are too many,
    /// of the two that are most alike the one goes that was met longer ago: extremes stay.
    pub fn note(&mut self, path: Estimates, now_ns: u64) {
        let known = self.met.iter_mut().filter(|met| alike(&met.path, &path));
        let nearest = known.min_by(|a, b| distance(&a.path, &path).total_cmp(&distance(&b.path, &path)));
        if let Some(met) = nearest {
            met.at_ns = now_ns;
            return;
        }
        let seed = self.met.iter().map(|met| met.seed).max().unwrap_or(0) + 1;
        self.met.push(Met { path, seed, best: None, at_ns: now_ns });
        if self.met.len() > self.max {
            self.forget_one();
        }
    }

    /// All, in no order that matters.
    pub fn all(&self) -> &[Met] {
        &self.met
    }

    /// Those that were in use when the newest was noted.
    pub fn in_use(&self) -> impl Iterator<Item = &Met> {
        let newest_ns = self.met.iter().map(|met| met.at_ns).max();
        self.met.iter().filter(move |met| Some(met.at_ns) == newest_ns)
    }

    /// Takes note that a published generation has earned `reward` in the episode with this seed.
    pub fn earned(&mut self, seed: u64, reward: f64) {
        if let Some(met) = self.met.iter_mut().find(|met| met.seed == seed) {
            met.best = Some(met.best.map_or(reward, |best| best.max(reward)));
        }
    }

    /// What was earned so far counts no more: what runs next sets the first of each path anew.
    pub fn forget_bests(&mut self) {
        self.met.iter_mut().for_each(|met| met.best = None);
    }

    fn forget_one(&mut self) {
        let mut closest = (f64::INFINITY, 0);
        for (index, a) in self.met.iter().enumerate() {
            for (other, b) in self.met.iter().enumerate().skip(index + 1) {
                let distance = distance(&a.path, &b.path);
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

    fn link(capacity_bps: f64) -> Estimates {
        let queue_bytes = capacity_bps * 0.04 / 8.0;
        Estimates { capacity_bps, base_rtt_s: 0.02, queue_bytes, loss: 0.0, jitter_s: 0.0, flows: 1 }
    }

    #[test]
    fn alike_is_alike_and_each_property_can_differ() {
        let base = link(1e8);
        assert!(alike(&base, &link(1.2e8)) && alike(&link(1.2e8), &base));
        let others = [
            link(1.4e8),
            Estimates { base_rtt_s: 0.03, ..base },
            Estimates { queue_bytes: 10.0 * base.queue_bytes, ..base },
            Estimates { loss: 0.02, ..base },
            Estimates { jitter_s: 0.004, ..base },
            Estimates { capacity_bps: 4e8, flows: 4, ..base },
        ];
        assert!(others.iter().all(|other| !alike(&base, other)));
        let nothing = Estimates {
            capacity_bps: 0.0,
            base_rtt_s: 0.0,
            queue_bytes: 0.0,
            loss: 0.0,
            jitter_s: 0.0,
            flows: 0,
        };
        assert!(distance(&nothing, &nothing) == 0.0 && distance(&nothing, &base).is_finite());
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
        let mut kept: Vec<f64> = remembered.all().iter().map(|met| met.path.capacity_bps).collect();
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
