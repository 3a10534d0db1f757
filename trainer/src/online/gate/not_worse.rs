//! *Not worse*: in closed loop for pacing, where an action's consequences are what counts; by loss for predictions.

use super::Refusal;
use crate::online::examples::{Answers, Examples, mean};
use crate::online::paths::Met;
use crate::online::replay::{Driver, Episode, Replay, Start};
use weir_env::Estimates;
use weir_snapshot::Executable;

/// How much worse a candidate may be. Rewards are MOCC's, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Mean reward at present conditions that may be lost against the running snapshot and the rule: what episodes as
    /// short as these cannot tell.
    pub mean: f64,
    /// The same in any single episode: an average must not hide a link on which a candidate fails.
    pub each: f64,
    /// Share of packets that may be lost beyond what the running snapshot or the rule loses in the same episode. Throughput
    /// weighs more than loss, so a driver that floods its path may well earn more than one that holds back too much.
    pub lost: f64,
    /// Share of the best reward on a remembered path that may be lost, on each of them.
    pub forgotten: f64,
    /// Share by which the hold-out loss may grow (predictions).
    pub loss: f64,
}

impl Default for Tolerance {
    fn default() -> Self {
        Tolerance { mean: 0.005, each: 0.05, lost: 0.05, forgotten: 0.05, loss: 0.0 }
    }
}

/// Mean rewards in replay.
#[derive(Debug, Clone, PartialEq)]
pub struct Replayed {
    /// The candidate's at present conditions.
    pub candidate: f64,
    /// The running snapshot's there.
    pub running: f64,
    /// The rule's there.
    pub rule: f64,
    /// The candidate's in each remembered episode, by seed.
    pub remembered: Vec<(u64, f64)>,
}

/// Replays on `present` paths, two episodes each and a long one on the first (seeds from `seed` upwards), and on
/// `remembered` ones.
///
/// Rewards are compared where flows begin near their share. From far off and in the long run, a driver must not do much
/// worse than what runs, and must not flood the path: how fast it gets there is not what its flows spend their lives with.
///
/// A candidate that earns less than the rule is refused unless it earns more than what runs: then publishing it is the
/// way towards the rule, and refusing it would keep the worse of the two.
pub(super) fn replay(
    world: &mut dyn Replay,
    candidate: &Executable,
    running: &Executable,
    (present, seed): (&[Estimates], u64),
    remembered: &[Met],
    tolerance: &Tolerance,
) -> Result<Replayed, Refusal> {
    let mut rewards = [Vec::new(), Vec::new(), Vec::new()];
    let all = present.iter().flat_map(|path| [(path, Start::Near), (path, Start::Far)]);
    // The dearest last, and on one path only: one that is shared, if there is one.
    let lasting = present.iter().max_by_key(|path| path.flows);
    let episodes = all.chain(lasting.map(|path| (path, Start::Lasting)));
    for ((path, start), seed) in episodes.zip(seed..) {
        let episode = Episode { path: *path, start, seed };
        let drivers = [Driver::Snapshot(candidate), Driver::Snapshot(running), Driver::Rule];
        let [ours, theirs, rules] = drivers.map(|driver| world.drive(driver, &episode));
        let lost = theirs.loss.max(rules.loss);
        if ours.loss > lost + tolerance.lost {
            return Err(Refusal::Floods { candidate: ours.loss, others: lost });
        }
        if below(ours.reward, theirs.reward - tolerance.each) {
            return Err(Refusal::WorseThanRunning { candidate: ours.reward, running: theirs.reward });
        }
        if start == Start::Near {
            let found = [ours, theirs, rules].map(|driven| driven.reward);
            rewards.iter_mut().zip(found).for_each(|(all, reward)| all.push(reward));
        }
    }
    let [candidate_mean, running_mean, rule_mean] = rewards.map(|all| mean(&all));
    if below(candidate_mean, running_mean - tolerance.mean) {
        return Err(Refusal::WorseThanRunning { candidate: candidate_mean, running: running_mean });
    }
    let better = candidate_mean > running_mean + tolerance.mean;
    if !better && below(candidate_mean, rule_mean - tolerance.mean) {
        return Err(Refusal::WorseThanRule { candidate: candidate_mean, rule: rule_mean });
    }

    let mut earned = Vec::new();
    for met in remembered {
        let candidate = world.drive(Driver::Snapshot(candidate), &met.episode()).reward;
        let best = match met.best {
            Some(best) => best,
            None => world.drive(Driver::Snapshot(running), &met.episode()).reward,
        };
        if below(candidate, (1.0 - tolerance.forgotten) * best) {
            return Err(Refusal::Forgets { candidate, best });
        }
        earned.push((met.seed, candidate));
    }
    Ok(Replayed { candidate: candidate_mean, running: running_mean, rule: rule_mean, remembered: earned })
}

/// Whether a reward falls short; one that is no number does.
fn below(reward: f64, least: f64) -> bool {
    reward.is_nan() || reward < least
}

/// Mean squared errors on hold-out rows: the candidate's integers, and the running ones.
pub(super) fn hold_out(
    examples: &Examples,
    candidate: &Answers,
    running: &Answers,
    tolerance: &Tolerance,
) -> Result<(f64, f64), Refusal> {
    let loss = |answers: &Answers| {
        let errors = examples.outcomes().iter().zip(answers.rows());
        let squares: Vec<f64> =
            errors.map(|(outcome, row)| row.first().map_or(0.0, |y| (y - outcome.truth).powi(2))).collect();
        mean(&squares)
    };
    let (candidate, running) = (loss(candidate), loss(running));
    match candidate <= running * (1.0 + tolerance.loss) {
        true => Ok((candidate, running)),
        false => Err(Refusal::WorseHoldOut { candidate, running }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{network, running, terms};
    use super::super::{precise, tests};
    use super::*;
    use crate::online::Batch;
    use crate::online::examples::Outcome;
    use crate::online::replay::{Driven, Rehearsal};
    use weir_snapshot::{Executor, Precision, Snapshot};

    /// Tells drivers apart by the name in the snapshot and pays them as told, by capacity.
    struct Told(fn(&str, f64) -> f64);

    impl Replay for Told {
        fn drive(&mut self, driver: Driver<'_>, episode: &Episode) -> Driven {
            let name = match driver {
                Driver::Rule => "rule",
                Driver::Snapshot(executable) => executable.snapshot().name(),
            };
            let reward = (self.0)(name, episode.path.capacity_bps);
            // Whoever earns more than all there is has taken it from others.
            Driven { reward, loss: if reward > 1.0 { 0.3 } else { 0.01 } }
        }

        fn rehearse(&mut self, _: &Executable, _: &Rehearsal<'_>, _: &mut Batch) {}
    }

    fn link(capacity_bps: f64) -> Estimates {
        Estimates { capacity_bps, base_rtt_s: 0.02, queue_bytes: 1e5, loss: 0.0, jitter_s: 0.0, flows: 1 }
    }

    fn named(name: &str) -> Executable {
        let terms = super::super::Terms { name: name.to_owned(), ..terms() };
        let bytes = precise::calibrated(&network(1), Precision::Bits8, &terms, &tests::examples()).unwrap();
        Executable::new(Snapshot::decode(&bytes).unwrap(), Executor::Scalar).unwrap()
    }

    fn judged(pay: fn(&str, f64) -> f64, best: Option<f64>) -> Result<Replayed, Refusal> {
        let mut remembered = super::super::super::paths::Remembered::new(2);
        remembered.note(link(1.0), 0);
        if let Some(best) = best {
            remembered.earned(remembered.all()[0].seed, best);
        }
        let present = [link(10.0), link(20.0)];
        replay(
            &mut Told(pay),
            &named("candidate"),
            &running(),
            (&present, 1),
            remembered.all(),
            &Tolerance::default(),
        )
    }

    #[test]
    fn as_good_everywhere_passes_and_says_what_it_earned() {
        let found = judged(|_, _| 0.8, None).unwrap();
        assert_eq!((found.candidate, found.running, found.rule), (0.8, 0.8, 0.8));
        assert_eq!(found.remembered.len(), 1);
    }

    #[test]
    fn worse_than_what_runs_on_average_or_in_one_episode_only() {
        let slightly = judged(|name, _| if name == "candidate" { 0.794 } else { 0.8 }, None);
        assert!(matches!(slightly, Err(Refusal::WorseThanRunning { .. })), "{slightly:?}");
        let once = judged(
            |name, capacity| match (name, capacity as u64) {
                ("candidate", 10) => 0.7,
                ("candidate", 20) => 1.0,
                _ => 0.8,
            },
            None,
        );
        assert!(matches!(once, Err(Refusal::WorseThanRunning { .. })), "{once:?}");
        let none = judged(|name, _| if name == "candidate" { f64::NAN } else { 0.8 }, None);
        assert!(matches!(none, Err(Refusal::WorseThanRunning { .. })), "{none:?}");
    }

    #[test]
    fn what_floods_its_path_is_refused_however_much_it_earns() {
        let flood = judged(|name, _| if name == "candidate" { 1.2 } else { 0.6 }, None);
        assert!(matches!(flood, Err(Refusal::Floods { .. })), "{flood:?}");
        let all = judged(|_, _| 1.2, None);
        assert!(all.is_ok(), "a path on which everybody loses: {all:?}");
    }

    #[test]
    fn worse_than_the_rule_passes_only_on_the_way_up() {
        let level = judged(|name, _| if name == "rule" { 0.9 } else { 0.8 }, None);
        assert!(matches!(level, Err(Refusal::WorseThanRule { .. })), "{level:?}");
        let better = judged(
            |name, _| match name {
                "rule" => 0.9,
                "candidate" => 0.85,
                _ => 0.8,
            },
            None,
        );
        assert!(better.is_ok(), "{better:?}");
    }

    #[test]
    fn what_was_learnt_is_kept_against_the_best_and_not_only_the_last() {
        let old = |name: &str, capacity: f64| match (name, capacity as u64) {
            ("candidate", 1) => 0.6,
            ("rule", _) => 0.5,
            (_, 1) => 0.61,
            _ => 0.8,
        };
        assert!(judged(old, None).is_ok(), "little worse than what runs");
        let drifted = judged(old, Some(0.7));
        assert!(matches!(drifted, Err(Refusal::Forgets { .. })), "{drifted:?}");
    }

    #[test]
    fn predictions_are_held_to_the_truth() {
        let mut examples = Examples::new(1, 2);
        for truth in [1.0, 2.0] {
            examples.push(&[0], Outcome { rate_bps: 0, truth });
        }
        let answers = |values: [f64; 2]| Answers::of_one_output(values.to_vec());
        let tolerance = Tolerance::default();
        let running = answers([1.5, 2.5]);
        assert_eq!(hold_out(&examples, &answers([1.0, 2.5]), &running, &tolerance), Ok((0.125, 0.25)));
        for worse in [[1.5, 2.6], [f64::NAN, 2.0]] {
            let refused = hold_out(&examples, &answers(worse), &running, &tolerance);
            assert!(matches!(refused, Err(Refusal::WorseHoldOut { .. })), "{refused:?}");
        }
    }
}
