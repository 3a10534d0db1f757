//! What can be known of a flow's size before it has been sent.
//!
//! A hidden Markov model filtered exactly: the state is a peer's kind of job and its stage. The observer knows the application,
//! the workload and the predictability. Its expectation has the least squared error of all that is said from the same flows:
//! all of the peer's for one that has been there, or the last few for one that is begun [`anew`](Observer::anew), which is
//! about what a network is shown (its mean of older sizes adds a little; of flows under way it does not know the size).
//!
//! ```text
//! belief'(k, s) = (1 - d) belief(k, s - 1) + d belief(k) / stages(k)      d: the disorder
//! after the gap      x exp(-(ln(gap / typical gap(k, s)))^2 / (2 noise^2))
//! after the size     x exp(-(z - sqrt(p) level(k, s))^2 / (2 (1 - p)))
//! ```

use super::flows::SEGMENT;
use super::train::target;
use weir_env::Sizes;
use weir_env::jobs::{Application, DISORDER, GAP_NOISE, Stage};
use weir_env::math::phi;

/// Points by which the sizes of a stage are integrated.
const POINTS: usize = 201;
/// Deviations of the noise between which they lie.
const WIDE: f64 = 5.0;

/// A stage as the observer knows it.
#[derive(Debug, Clone)]
struct KnownStage {
    /// Mean of z.
    centre: f64,
    log_gap: f64,
    /// Share of its flows that fill their first segment.
    long: f64,
    /// Mean logarithm of those flows' sizes.
    log_long: f64,
}

/// What an observer knows beforehand.
#[derive(Debug, Clone)]
pub struct Knowledge {
    /// By kind and stage.
    stages: Vec<Vec<KnownStage>>,
    /// Variance of z about a stage's.
    unknown: f64,
    /// What to expect of a long flow that no stage has.
    otherwise: f64,
}

impl Knowledge {
    /// Of jobs of this application, whose sizes are of this distribution and so predictable.
    pub fn new(application: &Application, sizes: &Sizes, predictability: f64) -> Knowledge {
        let unknown = 1.0 - predictability;
        let known = |stage: &Stage| {
            let centre = predictability.sqrt() * stage.level;
            let (long, log_long) = long_flows(sizes, centre, unknown.sqrt());
            KnownStage { centre, log_gap: stage.gap_us.ln(), long, log_long }
        };
        Knowledge {
            stages: application.kinds.iter().map(|kind| kind.iter().map(known).collect()).collect(),
            unknown: unknown.max(1e-6),
            otherwise: target(SEGMENT.max(sizes.quantile(0.5))),
        }
    }
}

/// Follows one peer.
#[derive(Debug, Clone)]
pub struct Observer<'a> {
    knowledge: &'a Knowledge,
    /// By kind and stage.
    belief: Vec<Vec<f64>>,
}

impl<'a> Observer<'a> {
    /// Before a peer's first flow: each kind is as likely, and of a kind each stage.
    pub fn new(knowledge: &'a Knowledge) -> Observer<'a> {
        let kinds = knowledge.stages.len();
        let even = |kind: &Vec<KnownStage>| vec![1.0 / (kinds * kind.len()) as f64; kind.len()];
        Observer { knowledge, belief: knowledge.stages.iter().map(even).collect() }
    }

    /// One that has seen only flows with these normal scores, oldest first, one after the other, and no gaps.
    pub fn anew(&self, scores: impl Iterator<Item = f64>) -> Observer<'a> {
        let mut observer = Observer::new(self.knowledge);
        for z in scores {
            observer.advance();
            observer.learn(z);
        }
        observer
    }

    /// The next flow begins after this gap: its expected logarithm. Of one that does not fill its first segment the `whole` is
    /// known, and of another that it is longer (than the usual segment, about).
    pub fn expect(&mut self, gap_us: f64, whole: Option<u64>) -> f64 {
        self.advance();
        let gap = gap_us.max(f64::MIN_POSITIVE).ln();
        self.weigh(|stage| -((gap - stage.log_gap) / GAP_NOISE).powi(2) / 2.0);
        if let Some(bytes) = whole {
            return target(bytes);
        }
        let (mut sum, mut all) = (0.0, 0.0);
        for (stage, share) in self.knowledge.stages.iter().flatten().zip(self.belief.iter().flatten()) {
            sum += share * stage.long * stage.log_long;
            all += share * stage.long;
        }
        // Not even the likeliest stage may have such flows.
        if all > 0.0 { sum / all } else { self.knowledge.otherwise }
    }

    /// The flow's size says what z was.
    pub fn learn(&mut self, z: f64) {
        let unknown = self.knowledge.unknown;
        self.weigh(|stage| -(z - stage.centre).powi(2) / (2.0 * unknown));
    }

    /// To the next stage, or in disorder to any.
    fn advance(&mut self) {
        for belief in &mut self.belief {
            let spread = DISORDER * belief.iter().sum::<f64>() / belief.len() as f64;
            belief.rotate_right(1);
            belief.iter_mut().for_each(|share| *share = (1.0 - DISORDER) * *share + spread);
        }
    }

    /// Bayes' rule, with the logarithm of each stage's likelihood.
    fn weigh(&mut self, log_likelihood: impl Fn(&KnownStage) -> f64) {
        let pairs = self.knowledge.stages.iter().flatten().zip(self.belief.iter().flatten());
        let logs: Vec<f64> = pairs.map(|(stage, share)| log_likelihood(stage) + share.ln()).collect();
        // Relative to the likeliest, so that never all of them vanish.
        let best = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut all = 0.0;
        for (share, log) in self.belief.iter_mut().flatten().zip(logs) {
            *share = (log - best).exp();
            all += *share;
        }
        self.belief.iter_mut().flatten().for_each(|share| *share /= all.max(f64::MIN_POSITIVE));
    }
}

/// Of flows whose z is normal: the share that fill a segment, and the mean logarithm of their sizes.
fn long_flows(sizes: &Sizes, centre: f64, deviation: f64) -> (f64, f64) {
    let (mut long, mut sum, mut all) = (0.0, 0.0, 0.0);
    for point in 0..POINTS {
        let noise = WIDE * (2.0 * point as f64 / (POINTS - 1) as f64 - 1.0);
        let weight = (-noise * noise / 2.0).exp();
        let bytes = sizes.quantile(phi(centre + deviation * noise));
        all += weight;
        if bytes >= SEGMENT {
            long += weight;
            sum += weight * target(bytes);
        }
    }
    (long / all, if long > 0.0 { sum / long } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::super::flows::{Workload, judged};
    use super::super::train::r2;
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn expectations_are_right_on_average_and_who_has_seen_more_knows_more() {
        let application = Application::new(3);
        for workload in Workload::all() {
            let mut before = 0.0;
            for predictability in [0.0, 0.2, 0.6, 0.9] {
                let (flows, known) =
                    judged(&application, &workload.sizes, predictability, (60, 90), &mut Rng::new(6));
                // No bias, neither where little is expected nor where much is.
                let middle = known.iter().map(|known| known.all).sum::<f64>() / known.len() as f64;
                for part in [|x: f64, m: f64| x < m, |x: f64, m: f64| x >= m] {
                    let (mut error, mut count) = (0.0, 0.0);
                    for (flow, known) in flows.iter().zip(&known).filter(|(_, known)| part(known.all, middle))
                    {
                        error += target(flow.bytes) - known.all;
                        count += 1.0;
                    }
                    assert!(
                        (error / f64::max(count, 1.0)).abs() < 0.25,
                        "{predictability} {}",
                        error / count
                    );
                }
                let all = r2(&flows, |at, _| known[at].all);
                let visible = r2(&flows, |at, _| known[at].visible);
                assert!(all > before - 0.02 && all < 1.0, "{predictability}: {all} after {before}");
                assert!(visible < all + 0.01, "{predictability}: {visible} of {all}");
                before = all;
            }
        }
    }

    #[test]
    fn who_sees_no_order_expects_the_mean_of_the_stages() {
        let (application, workloads) = (Application::new(3), Workload::all());
        let knowledge = Knowledge::new(&application, &workloads[0].sizes, 0.9);
        let mut observer = Observer::new(&knowledge);
        let known: Vec<&KnownStage> = knowledge.stages.iter().flatten().collect();
        let lowest = known.iter().map(|stage| stage.log_long).fold(f64::INFINITY, f64::min);
        let highest = known.iter().map(|stage| stage.log_long).fold(0.0, f64::max);
        let expected = observer.expect(1e4, None);
        assert!(expected > lowest && expected < highest, "{lowest} {expected} {highest}");
        assert_eq!(observer.expect(1e4, Some(700)), target(700));
        // Sums to one however unlikely what was seen is.
        observer.learn(60.0);
        assert!((observer.belief.iter().flatten().sum::<f64>() - 1.0).abs() < 1e-9);
    }
}
