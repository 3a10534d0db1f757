//! What the trainer's thread does, turn by turn. Time is an argument; the only waits are a step's own.

use super::letters::{Letter, Order};
use super::parts::Parts;
use super::reload::{Incoming, Tuned};
use super::stores::Stores;
use super::thread::Turn;
use super::tuning::Tuning;
use crate::calendar;
use crate::config::TrainerPlan;
use crate::control::learning::Changed;
use crate::control::protocol::{ReloadResult, Reloaded};
use crate::learning::TrainerStatus;
use crate::run::models::{Candidate, Identity, NextPolicy};
use crate::run::publication::{Next, Submission};
use crate::status::Shared;
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::Instant;
use tracing::warn;
use weir_features::Sample;
use weir_handoff::LaneReceiver;
use weir_trainer::online::Publication;

/// Samples taken per turn and lane: ten million a second at fifty turns, more than a lane can carry.
const SAMPLES_PER_TURN: usize = 200_000;
/// Over how long the longest step is shown, in nanoseconds.
const LONGEST_NS: u64 = 60_000_000_000;

/// The trainer's thread's work.
pub(in crate::run) struct Desk {
    shared: Shared,
    /// By worker index.
    samples: Vec<LaneReceiver<Sample>>,
    letters: Receiver<Letter>,
    submissions: Sender<Submission>,
    pub(super) tuning: Option<Tuning>,
    pub(super) stores: Stores,
    /// The highest number that a generation was given.
    pub(super) highest: u32,
    /// What the configuration names.
    pub(super) configured: Option<Identity>,
    /// The generation that decides; 0 where the rule does.
    pub(super) active: u32,
    pending: Option<Pending>,
    /// Steps so far.
    stepped: u64,
    /// When each of the last steps began, and what it took, in nanoseconds.
    steps: VecDeque<(u64, u64)>,
    /// Over all steps.
    step_ns: u64,
}

/// Something on its way through control.
struct Pending {
    outcome: Receiver<Reloaded>,
    what: What,
}

enum What {
    /// A generation of the model that is tuned; who is to be told.
    Model(u32, Option<Sender<Changed>>),
    /// A reload.
    Policy(Box<Incoming>, Sender<Reloaded>),
}

/// What a desk starts with.
pub(in crate::run) struct Begun {
    pub(super) tuning: Option<Tuning>,
    pub(super) stores: Stores,
    pub(super) highest: u32,
    pub(super) configured: Option<Identity>,
    pub(super) active: u32,
}

impl Desk {
    /// With what was begun before there were threads; the lanes by worker index, the letter box, and the way to control.
    pub(in crate::run) fn new(
        begun: Begun,
        plan: &TrainerPlan,
        onnxruntime: Option<&'static str>,
        shared: Shared,
        (samples, letters, submissions): (Vec<LaneReceiver<Sample>>, Receiver<Letter>, Sender<Submission>),
    ) -> Desk {
        shared.update(|status| {
            status.trainer = Some(TrainerStatus {
                running: true,
                core: plan.core,
                interval_seconds: plan.interval.0 as f64 / 1e9,
                seen_unix_seconds: calendar::unix_seconds(),
                onnxruntime,
                store: plan.store.clone(),
                ..TrainerStatus::default()
            });
        });
        let Begun { tuning, stores, highest, configured, active } = begun;
        let desk = Desk {
            shared,
            samples,
            letters,
            submissions,
            tuning,
            stores,
            highest,
            configured,
            active,
            pending: None,
            stepped: 0,
            steps: VecDeque::new(),
            step_ns: 0,
        };
        desk.show();
        desk
    }

    /// One look at everything.
    pub(in crate::run) fn turn(&mut self, now_ns: u64) -> Turn {
        let drained = self.drain();
        let mut news = false;
        if let Some(pending) = self.pending.take() {
            match pending.outcome.try_recv() {
                Ok(outcome) => {
                    self.settle(pending.what, outcome, now_ns);
                    news = true;
                }
                Err(TryRecvError::Empty) => self.pending = Some(pending),
                Err(TryRecvError::Disconnected) => return Turn::Over,
            }
        }
        // One change at a time: what is on its way decides what a later one is about.
        if self.pending.is_none() {
            match self.letters.try_recv() {
                Ok(letter) => {
                    self.open(letter);
                    news = true;
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return Turn::Over,
            }
        }
        if self.pending.is_none() && self.tuning.as_ref().is_some_and(|tuning| tuning.trainer.due(now_ns)) {
            self.step(now_ns);
            news = true;
        }
        self.shared.update(|status| {
            status.samples_drained += drained as u64;
            if let Some(trainer) = &mut status.trainer {
                trainer.seen_unix_seconds = calendar::unix_seconds();
            }
        });
        if news {
            self.show();
        }
        Turn::Again
    }

    fn drain(&mut self) -> usize {
        let mut tuning = self.tuning.as_mut();
        let mut observe = |sample: &Sample| {
            if let Some(tuning) = &mut tuning {
                tuning.trainer.observe(sample);
            }
        };
        self.samples.iter_mut().map(|lane| lane.drain(SAMPLES_PER_TURN, &mut observe)).sum()
    }

    fn step(&mut self, now_ns: u64) {
        let Some(tuning) = &mut self.tuning else { return };
        let began = Instant::now();
        let report = tuning.trainer.step(now_ns);
        let took_ns = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        tuning.note(&report);
        self.stepped += 1;
        self.step_ns = self.step_ns.saturating_add(took_ns);
        self.steps.push_back((now_ns, took_ns));
        while self.steps.front().is_some_and(|(at, _)| now_ns.saturating_sub(*at) > LONGEST_NS) {
            self.steps.pop_front();
        }
        if let Some(publication) = report.publication {
            self.publish(publication, None);
        }
    }

    /// Keeps a publication on disk and gives it to control. A disk that fails is no reason not to publish.
    fn publish(&mut self, publication: Publication, reply: Option<Sender<Changed>>) {
        let Some(tuning) = &mut self.tuning else { return };
        let number = publication.generation;
        self.highest = self.highest.max(number);
        self.stores.keep(tuning, &publication);
        let candidate = match Candidate::fit(&tuning.model, publication.snapshot) {
            Ok(candidate) => candidate.numbered(number),
            Err(reason) => {
                // The gate has made sure of all that could be wrong.
                warn!("generation {number} does not fit the engine: {reason}");
                tuning.trainer.not_published(number);
                return answer(reply, ReloadResult::Refused, None, vec![reason]);
            }
        };
        let (submission, outcome) = Submission::new(Next::Model(Box::new(candidate)));
        // Control has gone where this fails; the outcome says so at the next turn.
        let _ = self.submissions.send(submission);
        self.pending = Some(Pending { outcome, what: What::Model(number, reply) });
    }

    /// What was on its way has arrived, or has not.
    fn settle(&mut self, what: What, outcome: Reloaded, now_ns: u64) {
        let done = outcome.result != ReloadResult::Refused;
        match what {
            What::Model(number, reply) => {
                let Some(tuning) = &mut self.tuning else { return };
                match done {
                    true => {
                        tuning.published(number, now_ns, true);
                        self.active = number;
                    }
                    false => {
                        warn!("generation {number} is not published: {}", outcome.reasons.join("; "));
                        tuning.trainer.not_published(number);
                    }
                }
                let active = tuning.trainer.stats().generation;
                answer(reply, outcome.result, Some(active), outcome.reasons);
            }
            What::Policy(incoming, reply) => {
                if done {
                    self.take_over(*incoming, now_ns);
                }
                // Whoever asked may have given up waiting.
                let _ = reply.send(outcome);
            }
        }
    }

    fn take_over(&mut self, incoming: Incoming, now_ns: u64) {
        self.configured = incoming.configured;
        if let Some(number) = incoming.number {
            (self.active, self.highest) = (number, self.highest.max(number));
        }
        match incoming.tuned {
            Tuned::AsBefore => {}
            Tuned::Nobody => self.tuning = None,
            Tuned::Anew(mut tuning) => {
                tuning.published(self.active, now_ns, incoming.number.is_some());
                self.tuning = Some(*tuning);
            }
        }
    }

    fn open(&mut self, letter: Letter) {
        match letter {
            Letter::Reload(next, parts, reply) => self.reload(*next, parts.map(|parts| *parts), reply),
            Letter::Order(order, model, reply) => self.obey(order, model.as_deref(), reply),
        }
    }

    fn obey(&mut self, order: Order, model: Option<&str>, reply: Sender<Changed>) {
        let reply = Some(reply);
        let Some(tuning) = &mut self.tuning else {
            let reason = "no model learns: none has [model.adapt]".to_owned();
            return answer(reply, ReloadResult::Refused, None, vec![reason]);
        };
        let name = &tuning.model.spec.name;
        let active = Some(tuning.trainer.stats().generation);
        if let Some(wanted) = model.filter(|wanted| wanted != name) {
            let reason = format!("expected the name of a model that learns, {name}, found {wanted}");
            return answer(reply, ReloadResult::Refused, active, vec![reason]);
        }
        let frozen = tuning.trainer.stats().frozen;
        let changed = |changes| if changes { ReloadResult::Applied } else { ReloadResult::Unchanged };
        match order {
            Order::Freeze => {
                tuning.trainer.freeze();
                answer(reply, changed(!frozen), active, Vec::new());
            }
            Order::Resume => {
                tuning.trainer.resume();
                answer(reply, changed(frozen), active, Vec::new());
            }
            Order::Rollback => match tuning.trainer.rollback() {
                Ok(publication) => self.publish(publication, reply),
                Err(error) => answer(reply, ReloadResult::Refused, active, vec![error.to_string()]),
            },
        }
    }

    /// Sends a reload on, with a number where it brings a model of its own, and a trainer where another is to tune.
    fn reload(&mut self, next: NextPolicy, parts: Option<Parts>, reply: Sender<Reloaded>) {
        match self.prepare(next, parts) {
            Ok((next, incoming)) => {
                let (submission, outcome) = Submission::new(Next::Policy(Box::new(next)));
                let _ = self.submissions.send(submission);
                self.pending = Some(Pending { outcome, what: What::Policy(Box::new(incoming), reply) });
            }
            Err(reason) => {
                let refused = Reloaded { result: ReloadResult::Refused, reasons: vec![reason] };
                let _ = reply.send(refused);
            }
        }
    }

    fn show(&self) {
        let longest_ns = self.steps.iter().map(|(_, took_ns)| *took_ns).max().unwrap_or(0);
        let learning: Vec<_> = self.tuning.iter().map(Tuning::show).collect();
        self.shared.update(|status| {
            status.learning = learning;
            if let Some(trainer) = &mut status.trainer {
                trainer.steps = self.stepped;
                trainer.step_seconds = self.step_ns as f64 / 1e9;
                trainer.step_seconds_max = longest_ns as f64 / 1e9;
                (trainer.store_faults, trainer.store_fault) = self.stores.faults();
            }
        });
    }
}

fn answer(
    reply: Option<Sender<Changed>>,
    result: ReloadResult,
    generation: Option<u32>,
    reasons: Vec<String>,
) {
    if let Some(reply) = reply {
        // Whoever asked may have given up waiting.
        let _ = reply.send(Changed { result, generation, reasons });
    }
}
