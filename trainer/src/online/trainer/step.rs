//! One step: tune on what has come in, judge, perhaps ask for a publication.

use super::{OnTrial, Publication, Trainer};
use crate::network::Network;
use crate::online::adapter::{AdaptError, AdaptReport};
use crate::online::batch::Batch;
use crate::online::examples::Outcome;
use crate::online::flows::estimates;
use crate::online::gate::{
    Candidate, Comparison, Evidence, Figures, Judged, Judging, Refusal, converged, judge,
};
use crate::online::generations::Content;
use crate::online::lessons::{Lessons, features_of, kept, taught};
use crate::online::paths::{InUse, Met};
use crate::online::replay::{Driver, Episode, Rehearsal, Start};
use crate::online::watch::LiveReward;
use crate::rng::Rng;
use crate::store::Reason;
use std::collections::BTreeMap;
use weir_snapshot::Executable;

/// Paths in use that a candidate is replayed on, one episode each, and remembered ones.
const PRESENT: usize = 3;
const REMEMBERED: usize = 8;
/// What a step may take for replay, in intervals of a flow: some 1.5 us each. A candidate's replay takes three to ten times
/// as many, and so goes on over steps.
pub(super) const REPLAY_PER_STEP: u64 = 3_000;
/// Paths that are rehearsed in one step.
const REHEARSED: usize = 4;
/// Decisions of each rehearsal while the network is taught.
const LESSON_ROWS: usize = 400;
/// One of so many that are taught is an example for the gate, each third of those held out: flows that sit at the lowest rate meet
/// one state alone, and by that nothing can be quantised or judged that is to lead them away from it.
const EXAMPLE_EVERY: usize = 8;
/// Stability values that are kept.
const STABILITY: usize = 64;

/// What a step did. All of it is also counted in the trainer's [`stats`](Trainer::stats).
#[derive(Debug, Default)]
pub struct StepReport {
    /// What the adapter did, if there was enough to tune on.
    pub tuned: Option<AdaptReport>,
    /// Why the adapter had no answer. The next step asks again.
    pub adapter_error: Option<AdaptError>,
    /// Why the candidate was not published.
    pub refused: Option<Refusal>,
    /// The live rewards that called the active generation back.
    pub recalled: Option<LiveReward>,
    /// What to publish.
    pub publication: Option<Publication>,
}

impl Trainer {
    /// Does one step. At most some 20 ms with Weir's own adapters; a user's process may take as long as its limits let it.
    pub fn step(&mut self, now_ns: u64) -> StepReport {
        let mut report = StepReport::default();
        let since_ns = self.stepped_ns.replace(now_ns);
        self.stats.steps += 1;
        let mut earned = self.flows.take_earned();
        earned.append(&mut self.choices.take_earned());
        self.watch.note(&earned, now_ns);
        self.stats.live = self.watch.live();
        let present = self.present(since_ns.map_or(0, |since_ns| now_ns.saturating_sub(since_ns)), now_ns);
        self.turn_to_lessons(&present);

        if self.awaited.is_none()
            && let Some(live) = self.watch.verdict(now_ns)
            && let Ok(publication) = self.recall()
        {
            report.recalled = Some(live);
            report.publication = Some(publication);
        } else if let Err(error) = self.tune(&mut report) {
            self.stats.adapter_errors += 1;
            report.adapter_error = Some(error);
        } else if report.tuned.is_some() && self.awaited.is_none() && self.trial.is_none() {
            self.propose(&present, &mut report);
        }
        if report.publication.is_none() && self.awaited.is_none() && !self.stats.frozen {
            // One after the other: both take a step's time.
            match self.trial.is_some() {
                true => self.go_on(&mut report),
                false => report.publication = self.contest(&present),
            }
        }
        self.stats.window_rows = self.window.fresh();
        self.stats.remembered_rows = self.memory.rows();
        self.stats.remembered_paths = self.paths.all().len();
        report
    }

    /// Begins or ends teaching the network: where flows under the rule fare much better, and the teacher would, too.
    fn turn_to_lessons(&mut self, present: &[InUse]) {
        let (Some(world), Some(active)) = (self.replay.as_deref_mut(), self.generations.active()) else {
            return;
        };
        if self.adapter.pupil().is_none() {
            return;
        }
        let was = self.lessons.under_way();
        match present.get(self.stats.steps as usize % present.len().max(1)) {
            Some(in_use) if !self.stats.frozen && self.watch.much_worse(self.lessons.needed()) => {
                // Near its share the network may do well that flows have sunk under: the lowest rate keeps them.
                let start = in_use.starts().next().unwrap_or(Start::Near);
                let episode = Episode { path: in_use.path, start, seed: self.stats.steps << 8 };
                let mut reward = |driver| world.drive(driver, &episode).reward;
                self.lessons.note(reward(Driver::Teacher) - reward(Driver::Snapshot(&active.executable)));
            }
            _ => self.lessons = Lessons::default(),
        }
        if was != self.lessons.under_way() {
            // What stability values said of the one says nothing of the other.
            self.stability.clear();
        }
    }

    /// Tunes on what the window holds, if that is enough.
    fn tune(&mut self, report: &mut StepReport) -> Result<(), AdaptError> {
        if self.stats.frozen {
            self.window.clear();
            return Ok(());
        }
        if self.tuned_from.is_none() {
            self.reset()?;
        }
        // A broken policy decides seldom; lessons have rehearsals to go on.
        if self.window.fresh() < self.config.rows_min && !self.lessons.under_way() {
            return Ok(());
        }
        let batch = match self.lessons.under_way() {
            true => self.lessons_of_now()?,
            false => self.batch(),
        };
        let tuned = match self.adapter.pupil().filter(|_| self.lessons.under_way()) {
            Some(pupil) => {
                self.stats.steps_taught += 1;
                pupil.imitate(&batch)?
            }
            None => self.adapter.adapt(&batch)?,
        };
        let stability = self.adapter.evaluate(&batch)?;
        self.stability.push_back(stability);
        if self.stability.len() > STABILITY {
            self.stability.pop_front();
        }
        self.stats.steps_tuned += 1;
        self.stats.loss = tuned.loss;
        self.stats.gradient_norm = tuned.gradient_norm;
        self.stats.stability = stability;
        report.tuned = Some(tuned);
        Ok(())
    }

    /// The window's transitions, and some from earlier: paths are driven again where there is a world for it, else decisions
    /// are shown again.
    fn batch(&mut self) -> Batch {
        let mut rng = self.rng();
        let generations = &self.generations;
        // A prediction's truth is one whoever predicted; a policy's actions are good for what acts like it.
        let any = self.replay.is_none();
        let mut batch = self.window.take(&self.terms.inputs, |number| any || generations.live(number));
        let share = self.config.remembered_share.clamp(0.0, 0.9);
        let rows = (batch.len() as f64 * share / (1.0 - share)) as usize;
        let (Some(world), Some(active)) = (self.replay.as_deref_mut(), self.generations.active()) else {
            self.memory.offer(&batch);
            self.memory.remind(rows, &mut batch);
            return batch;
        };
        let (all, in_use): (&[Met], Vec<&Met>) = (self.paths.all(), self.paths.in_use().collect());
        if !in_use.is_empty() && rows > 0 {
            for nth in 0..REHEARSED {
                // Those in use and all that were met, by turns: what is gained here must not be lost there.
                let met =
                    if nth % 2 == 0 { in_use[rng.below(in_use.len())] } else { &all[rng.below(all.len())] };
                let plan = Rehearsal {
                    episode: met.rehearsal(&mut rng),
                    inputs: &self.terms.inputs,
                    sigma: self.sigma,
                    rows: rows / REHEARSED,
                };
                world.rehearse(Driver::Snapshot(&active.executable), &plan, &mut batch);
            }
        }
        batch
    }

    /// The window's decisions and rehearsals by the pupil and by the teacher on paths in use, with the teacher's answers;
    /// rehearsals by the pupil and by what runs on other paths, with the answers of what runs.
    fn lessons_of_now(&mut self) -> Result<Batch, AdaptError> {
        let pupil = self.adapter.freeze()?;
        let mut rng = self.rng();
        let generations = &self.generations;
        let inputs = &self.terms.inputs;
        let mut met = self.window.take(inputs, |number| generations.live(number));
        let mut lessons = Batch::new(inputs.len());
        let (Some(world), Some(active)) = (self.replay.as_deref_mut(), self.generations.active()) else {
            return Ok(lessons);
        };
        let in_use: Vec<&Met> = self.paths.in_use().collect();
        let others: Vec<&Met> =
            self.paths.all().iter().filter(|met| in_use.iter().all(|used| used.seed != met.seed)).collect();
        let mut rehearse = |driver, paths: &[&Met], taught: bool, batch: &mut Batch| {
            if paths.is_empty() {
                return;
            }
            let met = paths[rng.below(paths.len())];
            // Elsewhere what runs answers, and not where it holds flows down.
            let start = if taught && met.held_down() { Start::Lowest } else { Start::Near };
            let episode = Episode { start, seed: rng.bits(), ..met.episode() };
            let plan = Rehearsal { episode, inputs, sigma: self.sigma, rows: LESSON_ROWS };
            world.rehearse(driver, &plan, batch);
        };
        rehearse(Driver::Pupil(&pupil, inputs), &in_use, true, &mut met);
        rehearse(Driver::Teacher, &in_use, true, &mut met);
        taught(&met, inputs, &mut lessons);
        for (at, row) in met.rows().enumerate().step_by(EXAMPLE_EVERY) {
            let examples = match (at / EXAMPLE_EVERY).is_multiple_of(3) {
                true => &mut self.hold_out,
                false => &mut self.recent,
            };
            examples.push(&features_of(&row, inputs), Outcome::default());
        }
        let mut known = Batch::new(inputs.len());
        rehearse(Driver::Pupil(&pupil, inputs), &others, false, &mut known);
        rehearse(Driver::Snapshot(&active.executable), &others, false, &mut known);
        kept(&known, &active.network, &mut lessons);
        Ok(lessons)
    }

    /// Lets earlier generations drive beside what runs, on one of the paths in use.
    fn contest(&mut self, present: &[InUse]) -> Option<Publication> {
        let (world, active) = (self.replay.as_deref_mut()?, self.generations.active()?);
        // All of them by turns, and each from all its beginnings.
        let all: Vec<_> = present
            .iter()
            .flat_map(|in_use| in_use.starts().map(move |start| (in_use.path, start)))
            .collect();
        let &(path, start) = all.get(self.stats.steps as usize % all.len().max(1))?;
        let episode = Episode { path, start, seed: self.stats.steps << 8 };
        let mut reward = |of: &Executable| world.drive(Driver::Snapshot(of), &episode).reward;
        let mut others = self.generations.others();
        if start == Start::Lowest && !others.is_empty() {
            // Five times as long an episode: one of them in a step.
            others = vec![others.swap_remove(self.stats.steps as usize % others.len())];
        }
        let running = if others.is_empty() { 0.0 } else { reward(&active.executable) };
        for other in &others {
            self.contest.note(other.number, reward(&other.executable) - running);
        }
        let better = self.contest.better()?;
        self.come_back(better)
    }

    /// Judges the adapter's network as it is now.
    fn propose(&mut self, present: &[InUse], report: &mut StepReport) {
        // Before asking for the network: a user's process may need long to hand it over.
        let stability = self.stability.make_contiguous();
        if let Err(refusal) = converged(stability, &self.config.gate.stability) {
            return self.refuse(refusal, report);
        }
        let network = match self.adapter.freeze() {
            Ok(network) => network,
            Err(error) => {
                self.stats.adapter_errors += 1;
                report.adapter_error = Some(error);
                return;
            }
        };
        // A policy that has broken down is worse than one that is good here alone: earlier generations are kept, and come back
        // when traffic does.
        let remembered = if self.lessons.under_way() { Vec::new() } else { self.remembered() };
        let Some((against, judging)) = self.judge(&network, present, &remembered) else { return };
        match judging {
            Judging::Done(judged) => self.conclude(*judged, network, report),
            Judging::Replay(trial) => {
                self.figure(trial.figures());
                self.trial = Some(OnTrial { trial, against, network });
            }
        }
    }

    /// Drives the candidate on that is in replay.
    fn go_on(&mut self, report: &mut StepReport) {
        let (Some(on_trial), Some(world), Some(active)) =
            (self.trial.take(), self.replay.as_deref_mut(), self.generations.active())
        else {
            return;
        };
        let OnTrial { trial, against, network } = on_trial;
        if against != active.number {
            let refusal = Refusal::Stale { tuned_from: against, active: active.number };
            return self.refuse(refusal, report);
        }
        let judging = trial.go_on(world, &active.executable, &self.config.gate.tolerance, REPLAY_PER_STEP);
        match judging {
            Judging::Done(judged) => self.conclude(*judged, network, report),
            Judging::Replay(trial) => self.trial = Some(OnTrial { trial, against, network }),
        }
    }

    /// Shows what a candidate measured.
    fn figure(&mut self, figures: &Figures) {
        self.stats.fidelity_loss = figures.fidelity_loss.unwrap_or(self.stats.fidelity_loss);
        self.stats.quantisation_mean = figures.quantisation_mean.unwrap_or(self.stats.quantisation_mean);
        self.stats.quantisation_p99 = figures.quantisation_p99.unwrap_or(self.stats.quantisation_p99);
    }

    /// Publishes a candidate, or says why not.
    fn conclude(&mut self, judged: Judged, network: Network, report: &mut StepReport) {
        self.figure(&judged.figures);
        for (seed, reward) in &judged.figures.bests {
            self.paths.earned(*seed, *reward);
        }
        match judged.verdict {
            Err(refusal) => self.refuse(refusal, report),
            Ok(encoded) => {
                self.stats.accepted += 1;
                self.wrong_in_a_row = 0;
                self.stability.clear();
                let figures = named(&judged.figures);
                if self.lessons.under_way() {
                    self.paths.forget_bests();
                }
                self.earned = judged.figures.replayed.map_or_else(Vec::new, |replayed| replayed.remembered);
                let content = Content {
                    reason: Reason::Adapted,
                    network,
                    bytes: encoded.bytes,
                    executable: encoded.executable,
                    figures,
                };
                report.publication = Some(Publication::of(self.generations.issue(content)));
            }
        }
    }

    fn judge(&mut self, network: &Network, present: &[InUse], remembered: &[Met]) -> Option<(u32, Judging)> {
        let active = self.generations.active()?;
        let candidate = Candidate {
            network,
            tuned_from: self.tuned_from.unwrap_or(0),
            stability: self.stability.make_contiguous(),
        };
        let evidence = Evidence {
            active: active.number,
            running: &active.executable,
            known_bad: self.known_bad.make_contiguous(),
            recent: &self.recent,
            hold_out: &self.hold_out,
            comparison: match self.replay.is_some() {
                false => Comparison::HoldOut,
                // Other episodes each time: a candidate must not be good on one seed.
                true => Comparison::Replay { present, seed: self.stats.steps << 8, remembered },
            },
        };
        Some((active.number, judge(&candidate, &evidence, &self.terms, &self.config.gate)))
    }

    fn refuse(&mut self, refusal: Refusal, report: &mut StepReport) {
        self.stats.refused.count(&refusal);
        if !refusal.reason().is_wait() {
            self.wrong_in_a_row += 1;
            // Tuning does not find back from what is no number; from anywhere else it gets some chances.
            let hopeless =
                matches!(refusal, Refusal::NotFinite { .. } | Refusal::Shape(_) | Refusal::Stale { .. });
            // A pupil that is not good enough yet is no reason to begin again.
            if hopeless || (!self.lessons.under_way() && self.wrong_in_a_row >= self.config.wrong_max) {
                self.start_over();
            }
        }
        report.refused = Some(refusal);
    }

    /// What a step draws.
    fn rng(&self) -> Rng {
        Rng::new(self.config.seed ^ self.stats.steps)
    }

    /// Paths that flows used within the last `span_ns`, and takes note of them.
    fn present(&mut self, span_ns: u64, now_ns: u64) -> Vec<InUse> {
        // Twice the interval: a flow of long intervals has none that ended in each step.
        let since_ns = self.flows.newest_ns().saturating_sub(2 * span_ns.max(self.config.interval_ns));
        let mut present = estimates(&self.flows.seen(since_ns), PRESENT, &mut self.rng());
        for in_use in &present {
            self.paths.note(*in_use, now_ns);
        }
        for in_use in &mut present {
            in_use.held_down |= self.paths.held_down_at(in_use.path.base_rtt_s);
        }
        present
    }

    /// Some of the remembered paths, other ones each time, each with the best reward so far: what runs sets the first.
    fn remembered(&self) -> Vec<Met> {
        let mut all = self.paths.all().to_vec();
        let mut rng = self.rng();
        while all.len() > REMEMBERED {
            all.swap_remove(rng.below(all.len()));
        }
        all
    }
}

/// Figures as they are kept with a generation.
fn named(figures: &Figures) -> BTreeMap<String, f64> {
    let replayed = figures.replayed.as_ref();
    let all = [
        ("stability_spread", figures.stability_spread),
        ("fidelity_loss", figures.fidelity_loss),
        ("quantisation_mean", figures.quantisation_mean),
        ("quantisation_p99", figures.quantisation_p99),
        ("clamped_share", figures.clamped_share),
        ("output_low", figures.output_bounds.first().map(|bounds| bounds.0)),
        ("output_high", figures.output_bounds.first().map(|bounds| bounds.1)),
        ("reward_candidate", replayed.map(|replayed| replayed.candidate)),
        ("reward_running", replayed.map(|replayed| replayed.running)),
        ("reward_rule", replayed.map(|replayed| replayed.rule)),
        ("loss_candidate", figures.hold_out.map(|losses| losses.candidate)),
        ("loss_running", figures.hold_out.map(|losses| losses.running)),
        ("loss_error", figures.hold_out.map(|losses| losses.error)),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}
