//! Paths that were met: where candidates are replayed.

use super::replay::{Episode, Start};
use crate::rng::Rng;
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

/// A path that flows are on now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InUse {
    /// What it is like.
    pub path: Estimates,
    /// Whether flows hold themselves down there, or on a path of like base RTT ever did: then drivers are driven from the lowest
    /// rate, too.
    pub held_down: bool,
}

impl InUse {
    /// How flows begin where drivers are compared on it. Where flows have been held down what is to be gained there comes first.
    pub(super) fn starts(self) -> impl Iterator<Item = Start> {
        self.held_down.then_some(Start::Lowest).into_iter().chain([Start::Near])
    }
}

impl From<Estimates> for InUse {
    fn from(path: Estimates) -> InUse {
        InUse { path, held_down: false }
    }
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

    /// Whether flows have held themselves down on it.
    pub(super) fn held_down(&self) -> bool {
        self.held_down
    }

    /// One by which a driver is to be shown what there is to meet.
    pub(super) fn rehearsal(&self, rng: &mut Rng) -> Episode {
        let start = if self.held_down && rng.unit() < 0.5 { Start::Lowest } else { Start::Near };
        Episode { path: self.path, start, seed: rng.bits() }
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
    /// Whether flows have held themselves down on it.
    held_down: bool,
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
    pub fn note(&mut self, InUse { path, held_down }: InUse, now_ns: u64) {
        let known = self.met.iter_mut().filter(|met| alike(&met.path, &path));
        let nearest = known.min_by(|a, b| distance(&a.path, &path).total_cmp(&distance(&b.path, &path)));
        if let Some(met) = nearest {
            met.at_ns = now_ns;
            met.held_down |= held_down;
            return;
        }
        let seed = self.met.iter().map(|met| met.seed).max().unwrap_or(0) + 1;
        self.met.push(Met { path, seed, best: None, held_down, at_ns: now_ns });
        if self.met.len() > self.max {
            self.forget_one();
        }
    }

    /// Whether flows ever held themselves down on a path of like base RTT, whatever its capacity: what they reach says little of
    /// that while they do.
    pub fn held_down_at(&self, base_rtt_s: f64) -> bool {
        let is_like = |met: &Met| (met.path.base_rtt_s / base_rtt_s).ln().abs() < ALIKE;
        self.met.iter().any(|met| met.held_down && is_like(met))
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
    fn where_flows_were_held_down_they_may_be_again_whatever_the_capacity() {
        let mut remembered = Remembered::new(4);
        remembered.note(link(1e8).into(), 0);
        assert!(!remembered.held_down_at(0.02));
        remembered.note(InUse { path: link(1e8), held_down: true }, 1);
        // A known one is found anew, and stays held down when it is met without.
        remembered.note(link(1e8).into(), 2);
        remembered.note(link(1e6).into(), 2);
        assert_eq!(remembered.all().iter().map(Met::held_down).collect::<Vec<_>>(), [true, false]);
        for (rtt, expected) in [(0.016, true), (0.02, true), (0.025, true), (0.03, false), (0.01, false)] {
            assert_eq!(remembered.held_down_at(rtt), expected, "{rtt}");
        }
        let starts = |held_down| InUse { path: link(1.0), held_down }.starts().collect::<Vec<_>>();
        assert_eq!((starts(false), starts(true)), (vec![Start::Near], vec![Start::Lowest, Start::Near]));
        let mut rng = Rng::new(1);
        let mut lowest =
            |met: &Met| (0..100).filter(|_| met.rehearsal(&mut rng).start == Start::Lowest).count();
        let found: Vec<usize> = remembered.all().iter().map(&mut lowest).collect();
        assert!((30..70).contains(&found[0]) && found[1] == 0, "{found:?}");
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
                remembered.note(link(capacity).into(), round);
            }
        }
        assert_eq!(remembered.all().len(), 4);
        // Nearest to 1e8, which was met longer ago.
        remembered.note(link(1.5e8).into(), 9);
        let mut kept: Vec<f64> = remembered.all().iter().map(|met| met.path.capacity_bps).collect();
        kept.sort_by(f64::total_cmp);
        assert_eq!(kept, [1e6, 1e7, 1.5e8, 1e9]);
        let seeds: std::collections::BTreeSet<u64> = remembered.all().iter().map(|met| met.seed).collect();
        assert_eq!(seeds.len(), 4, "an episode of each one's own");
    }

    #[test]
    fn the_best_is_kept() {
        let mut remembered = Remembered::new(2);
        remembered.note(link(1e6).into(), 0);
        let seed = remembered.all()[0].seed;
        for reward in [0.5, 0.7, 0.6] {
            remembered.earned(seed, reward);
        }
        remembered.earned(99, 1.0);
        assert_eq!(remembered.all()[0].best, Some(0.7));
    }
}
