//! The trainer as a whole, around an adapter that does as it is told.

use super::observe::outcome;
use super::*;
use crate::online::adapter::{AdaptError, AdaptReport, Imitate};
use crate::online::batch::Batch;
use crate::online::gate::tests::{network, terms};
use crate::online::gate::{GateConfig, RefusalReason, Safety, calibrated};
use crate::online::replay::{self, Driven, Driver, Episode, Rehearsal};
use crate::online::watch::WatchConfig;
use crate::verify::rows;
use std::sync::{Arc, Mutex};
use weir_features::{Noise, ONE, Sample, Source};
use weir_snapshot::Precision;

const S: u64 = 1_000_000_000;
const STEP_NS: u64 = S / 2;

/// What the adapter is told, and what it was asked.
#[derive(Default)]
struct Script {
    /// What tuning has led to.
    tuned: Option<Network>,
    stability: f64,
    fails: bool,
    resets: Vec<Network>,
    batches: Vec<Batch>,
    /// Whether it can be taught, and what it was.
    teachable: bool,
    lessons: Vec<Batch>,
}

type Shared = Arc<Mutex<Script>>;

struct Scripted(Shared);

impl Adapter for Scripted {
    fn adapt(&mut self, batch: &Batch) -> Result<AdaptReport, AdaptError> {
        let mut script = self.0.lock().unwrap();
        if script.fails {
            return Err(AdaptError::Process("gone".into()));
        }
        script.batches.push(batch.clone());
        Ok(AdaptReport { loss: 0.5, gradient_norm: 1.0, rows: batch.len(), steps: 1 })
    }

    fn pupil(&mut self) -> Option<&mut dyn Imitate> {
        let teachable = self.0.lock().unwrap().teachable;
        if teachable { Some(self) } else { None }
    }

    fn evaluate(&mut self, _: &Batch) -> Result<f64, AdaptError> {
        Ok(self.0.lock().unwrap().stability)
    }

    fn freeze(&mut self) -> Result<Network, AdaptError> {
        let script = self.0.lock().unwrap();
        script
            .tuned
            .clone()
            .or_else(|| script.resets.last().cloned())
            .ok_or(AdaptError::Process("empty".into()))
    }

    fn reset(&mut self, network: &Network) -> Result<(), AdaptError> {
        let mut script = self.0.lock().unwrap();
        if script.fails {
            return Err(AdaptError::Process("gone".into()));
        }
        (script.tuned, script.stability) = (None, 1.0);
        script.resets.push(network.clone());
        Ok(())
    }
}

impl Imitate for Scripted {
    fn imitate(&mut self, lessons: &Batch) -> Result<AdaptReport, AdaptError> {
        self.0.lock().unwrap().lessons.push(lessons.clone());
        Ok(AdaptReport { loss: 0.25, gradient_norm: 1.0, rows: lessons.len(), steps: 1 })
    }
}

/// Rewards beyond the common one, by the snapshot's checksum; the teacher's by [`TEACHER`], and [`RISING`] from the lowest rate.
type Extra = Arc<Mutex<BTreeMap<u32, f64>>>;

const TEACHER: u32 = 0;
const RISING: u32 = 1;

/// Of each episode: twenty to a step, some steps to a candidate.
const COST: u64 = super::step::REPLAY_PER_STEP / 20;

/// Pays everybody the same, but for what is told.
struct World(Extra);

impl Replay for World {
    fn cost(&self, _: &Episode) -> u64 {
        COST
    }

    fn drive(&mut self, driver: Driver<'_>, episode: &Episode) -> Driven {
        let extra = match driver {
            Driver::Snapshot(executable) => {
                self.0.lock().unwrap().get(&executable.snapshot().checksum()).copied()
            }
            Driver::Teacher => {
                let key = if episode.start == replay::Start::Lowest { RISING } else { TEACHER };
                self.0.lock().unwrap().get(&key).copied()
            }
            Driver::Rule | Driver::Pupil(..) => None,
        };
        Driven { reward: 0.8 + extra.unwrap_or(0.0), loss: 0.0 }
    }

    fn rehearse(&mut self, _: Driver<'_>, plan: &Rehearsal<'_>, batch: &mut Batch) {
        let inputs = vec![0.0; plan.inputs.len()];
        for _ in 0..plan.rows {
            batch.push(&crate::online::Row {
                inputs: &inputs,
                action: 0.0,
                noise: 0.0,
                log_prob: -1.0,
                reward: 0.5,
                weight: 1.0,
                continues: false,
                explored: true,
                remembered: true,
            });
        }
    }
}

/// A trainer, its script, and traffic for it.
struct Stage {
    trainer: Trainer,
    script: Shared,
    extra: Extra,
    features: Vec<Vec<i32>>,
    now_ns: u64,
    sent: usize,
}

fn start(seed: u64, number: u32) -> Start {
    let network = network(seed);
    let bytes =
        calibrated(&network, Precision::Bits12, &terms(), &crate::online::gate::tests::examples()).unwrap();
    Start { number, reason: Reason::Configured, network, bytes, refused: false }
}

fn config() -> TrainerConfig {
    let mut gate = GateConfig::new(Some(Safety::new(100_000, 1_000_000_000)));
    gate.rows_min = 16;
    TrainerConfig {
        rows_min: 64,
        wrong_max: 3,
        watch: WatchConfig { window_ns: 2 * S, probation_ns: 20 * S, observations_min: 12, margin: 0.02 },
        ..TrainerConfig::new(gate)
    }
}

impl Stage {
    /// Generation 1, made of `network(1)`, is published.
    fn new() -> Stage {
        let (script, extra) = (Shared::default(), Extra::default());
        let (adapter, world) = (Box::new(Scripted(script.clone())), Box::new(World(extra.clone())));
        let trainer = Trainer::new(config(), terms(), adapter, Some(world), Vec::new(), 0).unwrap();
        let features = rows(&terms().inputs, 3, 512, 11);
        let mut stage = Stage { trainer, script, extra, features, now_ns: 0, sent: 0 };
        let publication = stage.trainer.install(start(1, 0)).unwrap();
        assert_eq!((publication.generation, publication.reason), (1, Reason::Configured));
        stage.trainer.published(1, 0);
        stage
    }

    fn sample(&mut self, flow: u64, at_ns: u64, source: Source, rtt_ms: u64) -> Sample {
        self.sent += 1;
        let features = &self.features[self.sent % self.features.len()];
        let decided = source != Source::Control;
        Sample {
            source,
            schema_hash: if decided { terms().schema_hash } else { 0 },
            generation: if decided { self.trainer.stats().generation } else { 0 },
            flow,
            features: std::array::from_fn(|at| features[at]),
            output_q16: ONE,
            action_q16: ONE,
            at_ns,
            rtt_ns: rtt_ms * 1_000_000,
            ..crate::testing::sample()
        }
    }

    /// Half a second of 12 flows of the model (`rtt_ms` long) and 4 of the rule (20 ms), an interval of 10 ms each; the step.
    fn step_at(&mut self, rtt_ms: u64) -> StepReport {
        self.step_of((rtt_ms, 9_000), (20, 9_000))
    }

    /// The same of flows of the model and of the rule by their RTTs in milliseconds and bytes acknowledged.
    fn step_of(&mut self, model: (u64, u64), rule: (u64, u64)) -> StepReport {
        for interval in 1..=50 {
            for flow in 0..16 {
                let noise = Noise { noise_q16: ONE / 4, sigma_q16: 1 << 15, log_prob_q16: -ONE };
                let source = match flow {
                    12.. => Source::Control,
                    0 => Source::Explored(noise),
                    _ => Source::Model,
                };
                let (rtt_ms, acked_bytes) = if flow < 12 { model } else { rule };
                let sample = self.sample(flow, self.now_ns + interval * 10_000_000, source, rtt_ms);
                self.trainer.observe(&Sample { acked_bytes, ..sample });
            }
        }
        self.now_ns += STEP_NS;
        assert!(self.trainer.due(self.now_ns));
        let report = self.trainer.step(self.now_ns);
        assert!(!self.trainer.due(self.now_ns + STEP_NS - 1));
        report
    }

    fn step(&mut self) -> StepReport {
        self.step_at(20)
    }

    /// Steps until something is published.
    fn next(&mut self, steps: usize) -> Option<Publication> {
        (0..steps).find_map(|_| self.step().publication)
    }

    fn tuned(&self, seed: u64) {
        let mut script = self.script.lock().unwrap();
        (script.tuned, script.stability) = (Some(network(seed)), 1.0);
    }

    /// A new generation of `network(seed)`, published.
    fn adapt(&mut self, seed: u64) -> Publication {
        self.tuned(seed);
        let publication = self.next(10).unwrap();
        self.trainer.published(publication.generation, self.now_ns);
        publication
    }

    fn refused(&self, reason: RefusalReason) -> u64 {
        self.trainer.stats().refused.of(reason)
    }
}

#[test]
fn tuning_that_has_converged_on_something_new_is_published_once() {
    let mut stage = Stage::new();
    assert!(stage.step().tuned.is_some());
    stage.tuned(2);
    let publication = stage.next(10).unwrap();
    assert_eq!((publication.generation, publication.reason), (2, Reason::Adapted));
    assert_eq!(publication.network, network(2));
    assert_eq!(publication.snapshot.schema_hash(), terms().schema_hash);
    for figure in ["fidelity_loss", "quantisation_mean", "reward_candidate", "clamped_share", "output_low"] {
        assert!(publication.figures.contains_key(figure), "{figure} of {:?}", publication.figures);
    }
    // Until it takes effect, everything goes on with what runs.
    assert_eq!(stage.trainer.stats().generation, 1);
    stage.trainer.published(2, stage.now_ns);
    assert_eq!((stage.trainer.stats().generation, stage.trainer.stats().published_ns), (2, stage.now_ns));
    assert!(stage.next(20).is_none(), "there is nothing new");
    assert!(stage.refused(RefusalReason::Unnecessary) >= 10);
    assert!(stage.refused(RefusalReason::NotConverged) >= 3, "the window was filled anew");
    let stats = stage.trainer.stats();
    assert_eq!((stats.accepted, stats.resets, stats.adapter_errors), (1, 1, 0));
    assert!(
        stats.fidelity_loss < 0.05 && stats.quantisation_mean < 0.025 && stats.steps_tuned > 20,
        "{stats:?}"
    );
}

#[test]
fn a_network_that_fares_much_worse_than_the_rule_is_taught_where_the_teacher_knows_better() {
    for (teachable, lead, slow, taught) in [
        (true, 0.3, true, true),
        (true, 0.0, true, false),
        (false, 0.3, true, false),
        (true, 0.3, false, false),
    ] {
        let mut stage = Stage::new();
        stage.script.lock().unwrap().teachable = teachable;
        stage.extra.lock().unwrap().insert(TEACHER, lead);
        (0..12).for_each(|_| drop(stage.step_at(if slow { 200 } else { 20 })));
        let script = stage.script.lock().unwrap();
        let stats = stage.trainer.stats();
        assert_eq!(!script.lessons.is_empty(), taught, "teachable {teachable}, lead {lead}, slow {slow}");
        assert_eq!((script.lessons.len() as u64, stats.steps_tuned), (stats.steps_taught, 12));
        assert_eq!(script.batches.len() + script.lessons.len(), 12);
        // The window's decisions are in one or the other, and rehearsals.
        assert!(script.batches.iter().chain(&script.lessons).all(|batch| batch.len() > 500));
        let answers = script.lessons.iter().flat_map(|lessons| lessons.rewards());
        assert!(answers.clone().all(|answer| answer.abs() <= 10.0));
        assert_eq!(answers.clone().any(|answer| answer.abs() > 1.0), taught, "actions, not rewards");
    }
}

#[test]
fn flows_that_have_sunk_are_taught_where_the_teacher_rises() {
    // Near the share nobody knows better, and flows that are held down by their path are not asked from below.
    for (model, rising, taught) in
        [((10, 900), 0.3, true), ((10, 900), 0.0, false), ((40, 900), 0.3, false), ((10, 9_000), 0.3, false)]
    {
        let mut stage = Stage::new();
        stage.script.lock().unwrap().teachable = true;
        stage.extra.lock().unwrap().insert(RISING, rising);
        (0..12).for_each(|_| drop(stage.step_of(model, (30, 9_000))));
        let script = stage.script.lock().unwrap();
        assert_eq!(!script.lessons.is_empty(), taught, "{model:?}, {rising}");
    }
}

#[test]
fn a_moving_stability_value_publishes_nothing() {
    let mut stage = Stage::new();
    stage.step();
    stage.tuned(2);
    for step in 0..12 {
        stage.script.lock().unwrap().stability = 0.5f64.powi(step);
        assert!(stage.step().publication.is_none());
    }
    assert_eq!(stage.refused(RefusalReason::NotConverged), 13);
}

#[test]
fn samples_are_sorted_and_counted() {
    let mut stage = Stage::new();
    stage.step();
    let before = stage.trainer.stats().samples;
    assert_eq!(before.control, 200);
    // Of 600 decisions, one block of 32 in eight.
    assert_eq!(before.taken + before.held_out, 600);
    assert!((32..=192).contains(&before.held_out), "{before:?}");
    let good = stage.sample(99, S, Source::Model, 20);
    let others = [
        Sample { schema_hash: 8, ..good },
        Sample { generation: 9, ..good },
        Sample { generation: 0, ..good },
    ];
    others.iter().for_each(|sample| stage.trainer.observe(sample));
    let counts = stage.trainer.stats().samples;
    assert_eq!((counts.foreign_schema, counts.stale_generation), (1, 2));
    for at in 0..4_000 {
        stage.trainer.observe(&Sample { at_ns: 2 * S + at, ..good });
    }
    assert!(stage.trainer.stats().samples.window_full > 1_000);
}

#[test]
fn batches_hold_what_the_wire_saw_in_trajectories_and_what_was_before() {
    let mut stage = Stage::new();
    for _ in 0..3 {
        stage.step();
    }
    let script = stage.script.lock().unwrap();
    let [.., batch] = &script.batches[..] else { panic!("no batch") };
    let remembered = batch.remembered().iter().filter(|remembered| **remembered).count();
    let share = remembered as f64 / batch.len() as f64;
    assert!((0.55..=0.65).contains(&share), "{share}");
    let explored: Vec<_> = batch.rows().filter(|row| row.explored && !row.remembered).collect();
    assert!(!explored.is_empty());
    for row in explored {
        // Output 1 and noise 1/4; the record's density.
        assert_eq!((row.action, row.noise, row.log_prob), (1.25, 0.25, -1.0));
        assert!((0.0..=1.0).contains(&row.reward));
    }
    let continues = batch.continues().iter().filter(|continues| **continues).count();
    assert!(continues > 450, "{continues} of {}", batch.len());
}

#[test]
fn an_operator_goes_back_and_what_was_refused_does_not_return() {
    let mut stage = Stage::new();
    stage.step();
    stage.adapt(2);
    let back = stage.trainer.rollback().unwrap();
    assert_eq!((back.generation, back.reason, back.refused), (3, Reason::RolledBack { to: 1 }, Some(2)));
    assert_eq!(back.network, network(1));
    assert_eq!(stage.trainer.rollback().unwrap_err(), CommandError::Busy(3));
    stage.trainer.published(3, stage.now_ns);
    assert_eq!(stage.trainer.stats().rolled_back, 1);
    stage.step();
    assert_eq!(stage.script.lock().unwrap().resets, [network(1), network(1)], "tuning starts over");
    assert_eq!(stage.trainer.rollback().unwrap_err(), CommandError::NothingEarlier(3));

    stage.tuned(2);
    assert!(stage.next(10).is_none(), "the same again");
    assert!(stage.refused(RefusalReason::KnownBad) > 0);
    assert_eq!(stage.adapt(4).generation, 4, "something else may come");
}

#[test]
fn candidates_wait_for_a_roll_back_to_take_effect() {
    let mut stage = Stage::new();
    stage.step();
    stage.adapt(2);
    stage.trainer.rollback().unwrap();
    stage.tuned(4);
    assert!(stage.next(10).is_none());
    // The epoch refused it: everything is as before.
    stage.trainer.not_published(3);
    assert_eq!(stage.trainer.stats().generation, 2);
    stage.tuned(4);
    assert_eq!(stage.next(10).unwrap().generation, 4, "numbers are not given twice");
}

#[test]
fn a_rate_that_the_guard_bounded_says_nothing_about_the_one_before() {
    let safety = Safety::new(100_000, 1_000_000_000);
    let before = |rate_bps| {
        let sample = Sample { rate_bps, action_q16: 4 * ONE, ..crate::testing::sample() };
        outcome(&sample, Some(&safety)).rate_bps
    };
    // An action of 4 is 10 per cent more.
    assert!((before(1_100_000) as f64 - 1e6).abs() < 10.0, "{}", before(1_100_000));
    assert_eq!([before(100_000), before(1_000_000_000)], [0, 0]);
}

#[test]
fn frozen_is_frozen_until_resumed() {
    let mut stage = Stage::new();
    stage.step();
    stage.trainer.freeze();
    stage.tuned(2);
    assert!(stage.next(10).is_none());
    let stats = stage.trainer.stats();
    assert!(stats.frozen && stats.steps_tuned == 1 && stats.live.model_observations > 0);
    stage.trainer.resume();
    assert_eq!(stage.next(10).unwrap().generation, 2);
}

#[test]
fn what_does_better_on_the_paths_in_use_comes_back() {
    let mut stage = Stage::new();
    let first = stage.trainer.generations()[0].executable.snapshot().checksum();
    stage.step();
    stage.adapt(2);
    assert!(stage.next(30).is_none(), "they are as good");
    stage.extra.lock().unwrap().insert(first, 0.05);
    stage.trainer.freeze();
    assert!(stage.next(30).is_none(), "nothing is published by itself");
    stage.trainer.resume();
    let back = stage.next(30).unwrap();
    assert_eq!((back.generation, back.reason, back.refused), (3, Reason::Returned { to: 1 }, None));
    assert_eq!(back.network, network(1));
    assert!(stage.next(5).is_none(), "one publication at a time");
    stage.trainer.published(3, stage.now_ns);
    assert!(stage.next(30).is_none());
    let stats = stage.trainer.stats();
    assert_eq!((stats.returned, stats.recalled, stats.generation), (1, 0, 3));
    assert_eq!(stage.script.lock().unwrap().resets.last(), Some(&network(1)), "tuning goes on from it");
    // The other one was not bad, only worse here.
    stage.extra.lock().unwrap().insert(first, -0.05);
    assert_eq!(stage.next(30).unwrap().reason, Reason::Returned { to: 2 });
}

#[test]
fn a_generation_that_fares_worse_live_is_called_back() {
    let mut stage = Stage::new();
    for _ in 0..6 {
        assert!(stage.step().recalled.is_none());
    }
    stage.adapt(2);
    // Its flows wait in a queue that the rule's flows do not have.
    let (report, steps) = (1..10)
        .find_map(|steps| {
            let report = stage.step_at(100);
            report.recalled.is_some().then_some((report, steps))
        })
        .unwrap();
    assert!((4..=6).contains(&steps), "a window of 2 s, not after {steps} steps");
    let back = report.publication.unwrap();
    assert_eq!((back.reason, back.refused), (Reason::Recalled { to: 1 }, Some(2)));
    assert!(report.recalled.unwrap().gap() < -0.1);
    stage.trainer.published(back.generation, stage.now_ns);
    assert_eq!(stage.trainer.stats().recalled, 1);
    for _ in 0..20 {
        assert!(stage.step_at(100).recalled.is_none(), "what was gone back to is not recalled");
    }
}

#[test]
fn after_wrong_candidates_in_a_row_tuning_starts_over() {
    let mut stage = Stage::new();
    stage.step();
    let resets = stage.trainer.stats().resets;
    for seed in [3, 4, 5, 6, 7] {
        // Saturating: far beyond what the guard allows.
        let mut wild = network(seed);
        wild.layers[2].bias[0] = 100.0;
        stage.script.lock().unwrap().tuned = Some(wild);
        for _ in 0..4 {
            stage.step();
        }
    }
    assert!(stage.refused(RefusalReason::Unsafe) >= 3);
    assert!(stage.trainer.stats().resets > resets);
    // What is no number is hopeless at once.
    let resets = stage.trainer.stats().resets;
    stage.step();
    let mut broken = network(2);
    broken.layers[0].weights[0] = f64::NAN;
    for _ in 0..6 {
        stage.script.lock().unwrap().tuned = Some(broken.clone());
        stage.step();
    }
    assert!(stage.refused(RefusalReason::NotFinite) >= 1);
    assert!(stage.trainer.stats().resets > resets);
}

#[test]
fn an_adapter_that_fails_is_counted_and_asked_again() {
    let mut stage = Stage::new();
    stage.script.lock().unwrap().fails = true;
    for _ in 0..3 {
        let report = stage.step();
        assert!(report.adapter_error.is_some() && report.publication.is_none());
    }
    assert_eq!(stage.trainer.stats().adapter_errors, 3);
    stage.script.lock().unwrap().fails = false;
    stage.step();
    assert_eq!(stage.adapt(2).generation, 2);
}

#[test]
fn a_restart_goes_on_from_what_was_published() {
    let script = Shared::default();
    let (adapter, world) = (Box::new(Scripted(script.clone())), Box::new(World(Extra::default())));
    let earlier = vec![start(1, 5), Start { refused: true, ..start(2, 6) }, start(3, 7)];
    let mut trainer = Trainer::new(config(), terms(), adapter, Some(world), earlier.clone(), 9).unwrap();
    let publication = trainer.install(earlier[2].clone()).unwrap();
    assert_eq!(publication.generation, 7, "its own number");
    trainer.published(7, S);
    let back = trainer.rollback().unwrap();
    assert_eq!(
        (back.generation, back.reason),
        (10, Reason::RolledBack { to: 5 }),
        "6 was refused, 8 and 9 were given"
    );

    let foreign = Start { bytes: vec![0; 8], ..start(1, 3) };
    assert!(matches!(trainer.install(foreign), Err(StartError::Unfit { number: 3, .. })));
}

#[test]
fn the_same_samples_give_the_same_publications() {
    let run = || {
        let mut stage = Stage::new();
        stage.step();
        stage.tuned(2);
        let publication = stage.next(10).unwrap();
        (publication.bytes, publication.figures, stage.trainer.stats().samples)
    };
    assert_eq!(run(), run());
}

#[test]
fn predictions_are_tuned_on_and_judged_by_what_they_did_not_see() {
    let script = Shared::default();
    let gate = GateConfig { rows_min: 16, ..GateConfig::new(None) };
    let config = TrainerConfig { rows_min: 64, ..TrainerConfig::new(gate) };
    let adapter = Box::new(Scripted(script.clone()));
    let mut trainer = Trainer::new(config, terms(), adapter, None, Vec::new(), 0).unwrap();
    let publication = trainer.install(start(1, 0)).unwrap();
    trainer.published(publication.generation, 0);
    // The truth is what `network(2)` says.
    let truth = network(2);
    let rows: &'static [Vec<i32>] = rows(&terms().inputs, 3, 300, 5).leak();
    let labelled = |row: &'static [i32]| Labelled {
        schema_hash: terms().schema_hash,
        // One that is not live: a flow may last longer than two generations.
        generation: 99,
        features: row,
        action: 0.0,
        truth: truth.evaluate(&crate::verify::network_inputs(&terms().inputs, row))[0],
        weight: 1.0,
        log_prob: 0.0,
    };
    let step = |trainer: &mut Trainer, now_ns: u64| {
        rows.iter().for_each(|row| trainer.observe_labelled(&labelled(row)));
        trainer.step(now_ns).publication
    };
    assert!(step(&mut trainer, S).is_none());
    let mut publish = |tuned: Network| {
        (0..8).find_map(|_| {
            let mut script = script.lock().unwrap();
            script.tuned = Some(tuned.clone());
            drop(script);
            step(&mut trainer, S)
        })
    };
    assert!(publish(network(3)).is_none(), "something else, and no closer");
    assert!(publish(truth.clone()).is_some());
    assert!(trainer.stats().refused.of(RefusalReason::WorseHoldOut) > 0);
    assert!(trainer.stats().remembered_rows > 1_000);
    assert_eq!(trainer.stats().samples.stale_generation, 0);
    let foreign = Labelled { schema_hash: 1, ..labelled(&rows[0]) };
    trainer.observe_labelled(&foreign);
    assert_eq!(trainer.stats().samples.foreign_schema, 1);
}
