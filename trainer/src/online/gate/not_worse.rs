//! *Not worse* in closed loop, for pacing, where an action's consequences are what counts. Predictions: [`super::hold_out`].

use super::Refusal;
use crate::online::examples::mean;
use crate::online::paths::{InUse, Met};
use crate::online::replay::{Driven, Driver, Episode, Replay, Start};
use std::collections::VecDeque;
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
}

impl Default for Tolerance {
    fn default() -> Self {
        Tolerance { mean: 0.005, each: 0.05, lost: 0.05, forgotten: 0.05 }
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

/// A candidate's replay on paths in use, two or three episodes each and a long one on one of them, and on remembered paths; what
/// has been driven of it so far.
///
/// Rewards are compared where flows begin near their share, and at the lowest rate where they have held themselves down. From far
/// off and in the long run, a driver must not do much worse than what runs, and must not flood the path: how fast it gets there is
/// not what its flows spend their lives with.
///
/// A candidate that earns less than the rule is refused unless it earns more than what runs: then publishing it is the
/// way towards the rule, and refusing it would keep the worse of the two.
#[derive(Debug)]
pub(super) struct Replaying {
    /// To be driven on paths in use, in order.
    episodes: VecDeque<Episode>,
    /// What has been driven of the first of them: by the candidate, what runs, the rule.
    driven: Vec<Driven>,
    /// The same three's rewards near their share, and from the lowest rate.
    rewards: [Vec<f64>; 3],
    /// The most that the candidate has gained so far from where what runs holds flows down: near their share they are not.
    lifted: f64,
    /// Remembered paths that are yet to be driven.
    remembered: VecDeque<Met>,
    earned: Vec<(u64, f64)>,
    bests: Vec<(u64, f64)>,
}

impl Replaying {
    /// Episodes on `present` paths have the seeds from `seed` upwards.
    pub(super) fn new((present, seed): (&[InUse], u64), remembered: &[Met]) -> Self {
        let starts = |in_use: &InUse| in_use.starts().chain([Start::Far]);
        let all = present.iter().flat_map(|in_use| starts(in_use).map(move |start| (in_use, start)));
        // The dearest last, and on one path only: one that is shared, if there is one.
        let lasting = present.iter().max_by_key(|in_use| in_use.path.flows);
        let all = all.chain(lasting.map(|path| (path, Start::Lasting)));
        Self {
            episodes: all
                .zip(seed..)
                .map(|((in_use, start), seed)| Episode { path: in_use.path, start, seed })
                .collect(),
            driven: Vec::new(),
            rewards: [Vec::new(), Vec::new(), Vec::new()],
            lifted: 0.0,
            remembered: remembered.iter().copied().collect(),
            earned: Vec::new(),
            bests: Vec::new(),
        }
    }

    /// Rewards of what runs on remembered paths of which no best was known, by seed.
    pub(super) fn into_bests(self) -> Vec<(u64, f64)> {
        self.bests
    }

    /// Drives on; `None` when the budget is spent before there is a verdict.
    pub(super) fn go_on(
        &mut self,
        world: &mut dyn Replay,
        [candidate, running]: [&Executable; 2],
        tolerance: &Tolerance,
        mut budget: u64,
    ) -> Option<Result<Replayed, Refusal>> {
        let drivers = [Driver::Snapshot(candidate), Driver::Snapshot(running), Driver::Rule];
        let mut drive = |driver, episode: &Episode| {
            let left = budget.checked_sub(1)?;
            budget = left.saturating_sub(world.cost(episode));
            Some(world.drive(driver, episode))
        };
        while let Some(episode) = self.episodes.front() {
            while let Some(driver) = drivers.get(self.driven.len()) {
                self.driven.push(drive(*driver, episode)?);
            }
            if let Err(refusal) = self.compare(tolerance) {
                return Some(Err(refusal));
            }
        }
        let [ours, theirs, rules] = self.rewards.each_ref().map(|all| mean(all));
        if let Err(refusal) = level([ours, theirs, rules], tolerance) {
            return Some(Err(refusal));
        }
        while let Some(met) = self.remembered.front() {
            let best = match met.best.or_else(|| found(&self.bests, met.seed)) {
                Some(best) => best,
                None => {
                    let best = drive(drivers[1], &met.episode())?.reward;
                    self.bests.push((met.seed, best));
                    best
                }
            };
            let candidate = drive(drivers[0], &met.episode())?.reward;
            if below(candidate, (1.0 - tolerance.forgotten) * best) {
                return Some(Err(Refusal::Forgets { candidate, best }));
            }
            self.earned.push((met.seed, candidate));
            self.remembered.pop_front();
        }
        let remembered = std::mem::take(&mut self.earned);
        Some(Ok(Replayed { candidate: ours, running: theirs, rule: rules, remembered }))
    }

    /// Holds the first episode's drivers against each other, and goes on to the next.
    fn compare(&mut self, tolerance: &Tolerance) -> Result<(), Refusal> {
        let (Some(episode), &[ours, theirs, rules]) = (self.episodes.pop_front(), self.driven.as_slice())
        else {
            return Ok(());
        };
        self.driven.clear();
        let lost = theirs.loss.max(rules.loss);
        if ours.loss > lost + tolerance.lost {
            return Err(Refusal::Floods { candidate: ours.loss, others: lost });
        }
        if episode.start == Start::Lowest {
            self.lifted = self.lifted.max(ours.reward - theirs.reward);
        }
        let [candidate, running, _] = self.rewards.each_ref().map(|all| mean(all));
        let slack = tolerance.each.max(SLACK * (candidate - running).max(self.lifted));
        if below(ours.reward, theirs.reward - slack) {
            return Err(Refusal::WorseThanRunning { candidate: ours.reward, running: theirs.reward });
        }
        if matches!(episode.start, Start::Near | Start::Lowest) {
            let found = [ours, theirs, rules].map(|driven| driven.reward);
            self.rewards.iter_mut().zip(found).for_each(|(all, reward)| all.push(reward));
        }
        Ok(())
    }
}

/// Part of what a candidate has gained so far, near its share or from the lowest rate, that it may lose in one episode, if that is
/// more than what any may: what runs may have broken down, and be better somewhere by chance.
const SLACK: f64 = 0.5;

/// Mean rewards of the candidate, what runs and the rule.
fn level([candidate, running, rule]: [f64; 3], tolerance: &Tolerance) -> Result<(), Refusal> {
    if below(candidate, running - tolerance.mean) {
        return Err(Refusal::WorseThanRunning { candidate, running });
    }
    let better = candidate > running + tolerance.mean;
    if !better && below(candidate, rule - tolerance.mean) {
        return Err(Refusal::WorseThanRule { candidate, rule });
    }
    Ok(())
}

fn found(bests: &[(u64, f64)], wanted: u64) -> Option<f64> {
    bests.iter().find(|(seed, _)| *seed == wanted).map(|(_, best)| *best)
}

/// Whether a reward falls short; one that is no number does.
fn below(reward: f64, least: f64) -> bool {
    reward.is_nan() || reward < least
}

#[cfg(test)]
mod tests {
    use super::super::tests::{network, running, terms};
    use super::super::{precise, tests};
    use super::*;
    use crate::online::Batch;
    use crate::online::replay::{Driven, Rehearsal};
    use weir_env::Estimates;
    use weir_snapshot::{Executor, Precision, Snapshot};

    /// Tells drivers apart by the name in the snapshot and pays them as told, by capacity; the lowest rate's capacity is 0.
    struct Told<F>(F);

    impl<F: Fn(&str, f64) -> f64 + Send> Replay for Told<F> {
        fn cost(&self, _: &Episode) -> u64 {
            1
        }

        fn drive(&mut self, driver: Driver<'_>, episode: &Episode) -> Driven {
            let name = match driver {
                Driver::Rule | Driver::Teacher | Driver::Pupil(..) => "rule",
                Driver::Snapshot(executable) => executable.snapshot().name(),
            };
            let of = if episode.start == Start::Lowest { 0.0 } else { episode.path.capacity_bps };
            let reward = (self.0)(name, of);
            // Whoever earns more than all there is has taken it from others.
            Driven { reward, loss: if reward > 1.0 { 0.3 } else { 0.01 } }
        }

        fn rehearse(&mut self, _: Driver<'_>, _: &Rehearsal<'_>, _: &mut Batch) {}
    }

    fn link(capacity_bps: f64) -> Estimates {
        Estimates { capacity_bps, base_rtt_s: 0.02, queue_bytes: 1e5, loss: 0.0, jitter_s: 0.0, flows: 1 }
    }

    fn named(name: &str) -> Executable {
        let terms = super::super::Terms { name: name.to_owned(), ..terms() };
        let bytes = precise::calibrated(&network(1), Precision::Bits8, &terms, &tests::examples()).unwrap();
        Executable::new(Snapshot::decode(&bytes).unwrap(), Executor::Scalar).unwrap()
    }

    fn judged(pay: impl Fn(&str, f64) -> f64 + Sync, best: Option<f64>) -> Result<Replayed, Refusal> {
        let mut remembered = super::super::super::paths::Remembered::new(2);
        remembered.note(link(1.0).into(), 0);
        if let Some(best) = best {
            remembered.earned(remembered.all()[0].seed, best);
        }
        judged_on([link(10.0), link(20.0)].map(InUse::from), pay, remembered.all())
    }

    fn judged_on(
        present: [InUse; 2],
        pay: impl Fn(&str, f64) -> f64 + Sync,
        remembered: &[Met],
    ) -> Result<Replayed, Refusal> {
        let drivers = [&named("candidate"), &running()];
        let judge = |budget: u64| {
            let mut replaying = Replaying::new((&present, 1), remembered);
            let pieces = (1..1_000).find_map(|piece| {
                let verdict = replaying.go_on(&mut Told(&pay), drivers, &Tolerance::default(), budget);
                verdict.map(|verdict| (verdict, piece))
            });
            (pieces.unwrap(), replaying.bests)
        };
        let ((whole, one), bests) = judge(u64::MAX);
        let ((piecemeal, many), bests_piecemeal) = judge(1);
        // As text: what is no number equals nothing.
        let told = |verdict, bests| format!("{verdict:?} {bests:?}");
        assert_eq!(told(&whole, bests), told(&piecemeal, bests_piecemeal), "in pieces as in one go");
        assert!(one == 1 && many >= 1, "{one} {many}");
        whole
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
    fn what_gains_much_may_lose_a_part_of_that_in_one_episode() {
        let pays = |lost: f64| {
            move |name: &str, capacity: f64| match (name, capacity as u64) {
                ("candidate", 10) => 0.9,
                ("candidate", 20) => 0.5 - lost,
                _ => 0.5,
            }
        };
        assert!(judged(pays(0.06), None).is_ok());
        let found = judged(pays(0.3), None);
        assert!(matches!(found, Err(Refusal::WorseThanRunning { .. })), "{found:?}");
    }

    /// What runs does well near its share, where its flows are not.
    #[test]
    fn what_leads_flows_up_may_lose_half_of_that_near_their_share() {
        let pays = |lost: f64| {
            move |name: &str, capacity: f64| match (name, capacity as u64) {
                ("candidate", 0) => 0.7,
                (_, 0) => 0.4,
                ("candidate", _) => 0.95 - lost,
                _ => 0.95,
            }
        };
        let present = [10.0, 20.0].map(|capacity| InUse { path: link(capacity), held_down: true });
        let found = judged_on(present, pays(0.14), &[]).unwrap();
        assert!((found.candidate - 0.755).abs() < 1e-9 && (found.running - 0.675).abs() < 1e-9, "{found:?}");
        let found = judged_on(present, pays(0.2), &[]);
        assert!(matches!(found, Err(Refusal::WorseThanRunning { .. })), "{found:?}");
        let found = judged_on(present.map(|in_use| in_use.path.into()), pays(0.14), &[]);
        assert!(matches!(found, Err(Refusal::WorseThanRunning { .. })), "not held down: {found:?}");
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
}
