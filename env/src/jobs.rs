//! Flows of jobs whose sizes can be predicted exactly as well as one says.
//!
//! Flow-size traces of real jobs are not to be had, so these are made: an *application* has a few kinds of job, a kind has 5 to
//! 8 *stages* in a fixed order (as FLUX's jobs have; Dukic et al., NSDI 2019), and a *job* goes through its kind's stages again
//! and again, a flow each. A stage has a typical size and a typical gap after the flow before. In one case of ten the order is
//! broken.
//!
//! ```text
//! z = sqrt(p) x stage's level + sqrt(1 - p) x noise        both standard: so is z, whatever p is
//! size = the quantile of the workload at Phi(z)            so sizes have the workload's distribution, about, whatever p is
//! ```
//!
//! `p` is the *predictability*: who knows the stage knows that share of z's variance. FLUX found 0.9 for PageRank and 0.5 for
//! SGD. To go over to another application is *drift*.

use crate::math;
use crate::rng::Rng;
use crate::sizes::Sizes;

/// Kinds of job of an application.
const KINDS: usize = 3;
/// Stages of a kind: from, and so many more at most.
const STAGES: (usize, usize) = (5, 3);
/// Share of flows that are not of the next stage.
pub const DISORDER: f64 = 0.1;
/// Typical gaps lie between these, evenly in the logarithm; microseconds.
const GAP_US: (f64, f64) = (1e3, 1e5);
/// Deviation of a gap's logarithm around its stage's.
pub const GAP_NOISE: f64 = 0.5;

/// What a job does again and again.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// The mean of z over the root of the predictability.
    pub level: f64,
    /// The median gap before its flow.
    pub gap_us: f64,
}

/// Kinds of job, each a cycle of stages.
#[derive(Debug, Clone, PartialEq)]
pub struct Application {
    /// By kind.
    pub kinds: Vec<Vec<Stage>>,
}

impl Application {
    /// The one with this number.
    pub fn new(number: u64) -> Application {
        let mut rng = Rng::new(number);
        let kinds = (0..KINDS).map(|_| {
            let stages = STAGES.0 + rng.below(STAGES.1 + 1);
            let mut levels: Vec<f64> = (0..stages).map(|_| math::normal(&mut rng)).collect();
            // Exactly standard within each kind, so that a kind's stages differ, and as much as p says.
            let mean = levels.iter().sum::<f64>() / stages as f64;
            let variance =
                levels.iter().map(|level| (level - mean) * (level - mean)).sum::<f64>() / stages as f64;
            levels.iter_mut().for_each(|level| *level = (*level - mean) / variance.sqrt().max(1e-9));
            let (low, high) = (math::ln(GAP_US.0), math::ln(GAP_US.1));
            levels
                .into_iter()
                .map(|level| Stage { level, gap_us: math::exp(rng.uniform(low, high)) })
                .collect()
        });
        Application { kinds: kinds.collect() }
    }

    /// The mean time between two flows of a job, in microseconds, over all kinds.
    pub fn mean_gap_us(&self) -> f64 {
        let of_kind =
            |kind: &Vec<Stage>| kind.iter().map(|stage| stage.gap_us).sum::<f64>() / kind.len().max(1) as f64;
        let mean = self.kinds.iter().map(of_kind).sum::<f64>() / self.kinds.len().max(1) as f64;
        // The mean of a log-normal over its median.
        mean * math::exp(GAP_NOISE * GAP_NOISE / 2.0)
    }

    fn stage(&self, kind: usize, stage: usize) -> Option<&Stage> {
        let stages = self.kinds.get(kind % self.kinds.len().max(1))?;
        stages.get(stage % stages.len().max(1))
    }
}

/// A flow that a job is to send.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Transfer {
    /// Microseconds after the job's flow before.
    pub gap_us: f64,
    /// The normal score of its size.
    pub z: f64,
    /// Its size.
    pub bytes: u64,
    /// The median size of its stage: all that could be known.
    pub stage_bytes: u64,
}

/// One job, under way for ever.
#[derive(Debug, Clone)]
pub struct Job {
    kind: usize,
    stage: usize,
    rng: Rng,
}

impl Job {
    /// A job of some kind, at some stage.
    pub fn new(mut rng: Rng) -> Job {
        // More than any application has of either; what it has is what is left after division.
        let (kind, stage) = (rng.below(840), rng.below(840));
        Job { kind, stage, rng }
    }

    /// Its next flow, as the application has it.
    pub fn next(&mut self, application: &Application, sizes: &Sizes, predictability: f64) -> Transfer {
        self.stage = match self.rng.unit() < DISORDER {
            true => self.rng.below(840),
            false => (self.stage + 1) % 840,
        };
        let (level, gap_us) =
            application.stage(self.kind, self.stage).map_or((0.0, 1.0), |stage| (stage.level, stage.gap_us));
        let p = predictability.clamp(0.0, 1.0);
        let known = p.sqrt() * level;
        let z = known + (1.0 - p).sqrt() * math::normal(&mut self.rng);
        Transfer {
            gap_us: gap_us * math::exp(GAP_NOISE * math::normal(&mut self.rng)),
            z,
            bytes: sizes.quantile(math::phi(z)),
            stage_bytes: sizes.quantile(math::phi(known)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web_search() -> Sizes {
        Sizes::parse(include_str!("../../conf/workloads/web-search.csv"), None).unwrap()
    }

    #[test]
    fn sizes_have_the_workloads_distribution_whatever_their_predictability() {
        let sizes = web_search();
        let (mut rng, mut small, mut all, mut gaps) = (Rng::new(5), 0.0, 0.0, 0.0);
        for p in [0.2, 0.9] {
            for application in (0..60).map(Application::new) {
                for _ in 0..10 {
                    let mut job = Job::new(Rng::new(rng.bits()));
                    for _ in 0..60 {
                        let transfer = job.next(&application, &sizes, p);
                        small += f64::from(transfer.bytes <= 80_000);
                        gaps += transfer.gap_us / application.mean_gap_us();
                        all += 1.0;
                    }
                }
            }
        }
        // Stages' levels are standard in mean and variance, not normal one by one.
        assert!((small / all - 0.53).abs() < 0.04, "{}", small / all);
        assert!((gaps / all - 1.0).abs() < 0.05, "{}", gaps / all);
    }

    #[test]
    fn who_knows_the_stage_knows_the_share_that_was_asked_for() {
        let (sizes, application) = (web_search(), Application::new(3));
        for p in [0.0, 0.6, 0.9] {
            let (mut rest, mut squares, mut sum, mut n) = (0.0, 0.0, 0.0, 0.0);
            for seed in 0..200 {
                let mut job = Job::new(Rng::new(seed));
                for _ in 0..50 {
                    let z = job.next(&application, &sizes, p).z;
                    let stage = application.stage(job.kind, job.stage).unwrap();
                    rest += (z - p.sqrt() * stage.level).powi(2);
                    (squares, sum, n) = (squares + z * z, sum + z, n + 1.0);
                }
            }
            let explained = 1.0 - rest / (squares - sum * sum / n);
            assert!((explained - p).abs() < 0.03, "{explained} for {p}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_flows() {
        let (sizes, application) = (web_search(), Application::new(1));
        let flows = || {
            let mut job = Job::new(Rng::new(9));
            (0..50).map(|_| job.next(&application, &sizes, 0.6)).collect::<Vec<_>>()
        };
        assert_eq!(flows(), flows());
        assert_ne!(Application::new(1), Application::new(2));
    }
}
