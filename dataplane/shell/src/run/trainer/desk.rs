//! What the trainer's thread does, turn by turn. Time is an argument; the only waits are a step's own.

use super::letters::{Letter, Order};
use super::lineage::{Incoming, Lineage};
use super::parts::Parts;
use super::stores::Stores;
use super::thread::Turn;
use super::tuning::Tuning;
use crate::calendar;
use crate::config::TrainerPlan;
use crate::control::learning::Changed;
use crate::control::protocol::{ReloadResult, Reloaded};
use crate::learning::TrainerStatus;
use crate::run::each::Each;
use crate::run::lanes::Lanes;
use crate::run::models::{Candidate, NextPolicy};
use crate::run::publication::{Next, Submission};
use crate::status::Shared;
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::Instant;
use tracing::warn;
use weir_handoff::LaneReceiver;
use weir_snapshot::Function;
use weir_trainer::online::{Publication, Trainer};

/// Samples taken per turn and lane: ten million a second at fifty turns, more than a lane can carry.
const SAMPLES_PER_TURN: usize = 200_000;
/// Over how long the longest step is shown, in nanoseconds.
const LONGEST_NS: u64 = 60_000_000_000;

/// The trainer's thread's work.
pub(in crate::run) struct Desk {
    shared: Shared,
    lanes: Lanes,
    letters: Receiver<Letter>,
    submissions: Sender<Submission>,
    pub(super) lineages: Each<Lineage>,
    pub(super) stores: Stores,
    pending: Option<Pending>,
    /// Steps so far, of all models.
    stepped: u64,
    /// Whose the last one was.
    stepped_last: Function,
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
    /// A generation of a model that is tuned; who is to be told.
    Model(Function, u32, Option<Sender<Changed>>),
    /// A reload.
    Policy(Box<Each<Incoming>>, Sender<Reloaded>),
}

/// What a desk starts with.
pub(in crate::run) struct Begun {
    pub(super) lineages: Each<Lineage>,
    pub(super) stores: Stores,
}

impl Desk {
    /// With what was begun before there were threads; the lanes, the letter box, and the way to control.
    pub(in crate::run) fn new(
        begun: Begun,
        plan: &TrainerPlan,
        onnxruntime: Option<&'static str>,
        shared: Shared,
        (lanes, letters, submissions): (Lanes, Receiver<Letter>, Sender<Submission>),
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
        let Begun { lineages, stores } = begun;
        let desk = Desk {
            shared,
            lanes,
            letters,
            submissions,
            lineages,
            stores,
            pending: None,
            stepped: 0,
            stepped_last: Function::Schedule,
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
        if self.pending.is_none()
            && let Some(function) = self.due(now_ns)
        {
            self.step(function, now_ns);
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
        let Desk { lanes: Lanes { intervals, choices, flows }, lineages, .. } = self;
        take(intervals, &mut lineages[Function::Pacing], Trainer::observe)
            + take(choices, &mut lineages[Function::Balance], Trainer::observe_choice)
            + take(flows, &mut lineages[Function::Schedule], Trainer::observe_flow)
    }

    /// The function whose model is to take a step. One in each turn, and each in its turn: a model whose steps take long
    /// keeps none of the others from theirs.
    fn due(&self, now_ns: u64) -> Option<Function> {
        let after = Function::ALL.iter().skip_while(|function| **function != self.stepped_last).skip(1);
        let mut order = after.chain(&Function::ALL).copied();
        order.find(|function| {
            let tuning = self.lineages[*function].tuning.as_ref();
            tuning.is_some_and(|tuning| tuning.trainer.due(now_ns))
        })
    }

    fn step(&mut self, function: Function, now_ns: u64) {
        self.stepped_last = function;
        let Some(tuning) = &mut self.lineages[function].tuning else { return };
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
            self.publish(function, publication, None);
        }
    }

    /// Keeps a publication on disk and gives it to control. A disk that fails is no reason not to publish.
    fn publish(&mut self, function: Function, publication: Publication, reply: Option<Sender<Changed>>) {
        let lineage = &mut self.lineages[function];
        let Some(tuning) = &mut lineage.tuning else { return };
        let number = publication.generation;
        lineage.highest = lineage.highest.max(number);
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
        self.pending = Some(Pending { outcome, what: What::Model(function, number, reply) });
    }

    /// What was on its way has arrived, or has not.
    fn settle(&mut self, what: What, outcome: Reloaded, now_ns: u64) {
        let done = outcome.result != ReloadResult::Refused;
        match what {
            What::Model(function, number, reply) => {
                let lineage = &mut self.lineages[function];
                let Some(tuning) = &mut lineage.tuning else { return };
                match done {
                    true => {
                        tuning.published(number, now_ns, true);
                        lineage.active = number;
                    }
                    false => {
                        warn!("generation {number} is not published: {}", outcome.reasons.join("; "));
                        tuning.trainer.not_published(number);
                    }
                }
                let active = tuning.trainer.stats().generation;
                answer(reply, outcome.result, Some(active), outcome.reasons);
            }
            What::Policy(mut incoming, reply) => {
                for function in Function::ALL.into_iter().filter(|_| done) {
                    self.lineages[function].take_over(&mut incoming[function], now_ns);
                }
                // Whoever asked may have given up waiting.
                let _ = reply.send(outcome);
            }
        }
    }

    fn open(&mut self, letter: Letter) {
        match letter {
            Letter::Reload(next, parts, reply) => self.reload(*next, *parts, reply),
            Letter::Order(order, model, reply) => self.obey(order, model.as_deref(), reply),
        }
    }

    /// The models that are tuned.
    fn tuned(&self) -> impl Iterator<Item = (Function, &Tuning)> {
        Function::ALL
            .into_iter()
            .filter_map(|function| Some((function, self.lineages[function].tuning.as_ref()?)))
    }

    /// The function whose model an order is about, or why it is about none.
    fn meant(&self, model: Option<&str>) -> Result<Function, String> {
        let name = |tuning: &Tuning| tuning.model.spec.name.clone();
        let all: Vec<(Function, String)> =
            self.tuned().map(|(function, tuning)| (function, name(tuning))).collect();
        let names = || all.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(" or ");
        match (model, all.as_slice()) {
            (_, []) => Err("no model learns: none has [model.adapt]".to_owned()),
            (None, [(function, _)]) => Ok(*function),
            (None, _) => Err(format!("several models learn: expected the name of one, {}", names())),
            (Some(wanted), all) => match all.iter().find(|(_, name)| name == wanted) {
                Some((function, _)) => Ok(*function),
                None => Err(format!("expected the name of a model that learns, {}, found {wanted}", names())),
            },
        }
    }

    fn obey(&mut self, order: Order, model: Option<&str>, reply: Sender<Changed>) {
        let reply = Some(reply);
        let function = match self.meant(model) {
            Ok(function) => function,
            Err(reason) => return answer(reply, ReloadResult::Refused, None, vec![reason]),
        };
        let Some(tuning) = &mut self.lineages[function].tuning else { return };
        let active = Some(tuning.trainer.stats().generation);
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
                Ok(publication) => self.publish(function, publication, reply),
                Err(error) => answer(reply, ReloadResult::Refused, active, vec![error.to_string()]),
            },
        }
    }

    /// Sends a reload on, with numbers where it brings models of its own, and trainers where others are to tune.
    fn reload(&mut self, next: NextPolicy, parts: Each<Option<Parts>>, reply: Sender<Reloaded>) {
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
        let learning = self.tuned().map(|(_, tuning)| tuning.show()).collect();
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

/// Takes what lies in the lanes of one kind, for whoever tunes from it.
fn take<T>(lanes: &mut [LaneReceiver<T>], lineage: &mut Lineage, observe: fn(&mut Trainer, &T)) -> usize {
    let mut tuning = lineage.tuning.as_mut();
    let mut one = |sample: &T| {
        if let Some(tuning) = &mut tuning {
            observe(&mut tuning.trainer, sample);
        }
    };
    lanes.iter_mut().map(|lane| lane.drain(SAMPLES_PER_TURN, &mut one)).sum()
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
