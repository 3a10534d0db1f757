//! What others ask of the trainer's thread, and how they wait for its answer.

use crate::control::learning::Changed;
use crate::control::protocol::{ReloadResult, Reloaded};
use crate::run::each::Each;
use crate::run::models::NextPolicy;
use crate::run::publication::{Next, PUBLISH_MAX, Submission};
use crate::run::trainer::Parts;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SendError, Sender, channel};
use std::time::Duration;

/// How long an answer may take: a step with an adapter process that is late in each of its calls, and a publication.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How long a publication takes at most, and a look of control's.
const PUBLISHED_MAX: Duration = Duration::from_secs(PUBLISH_MAX.as_secs() + 3);

/// A wish, and where its outcome is awaited.
pub(in crate::run) enum Letter {
    /// What a reload has read and checked.
    Reload(Box<NextPolicy>, Box<Each<Option<Parts>>>, Sender<Reloaded>),
    /// What an operator wants of a model.
    Order(Order, Option<String>, Sender<Changed>),
}

/// What an operator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::run) enum Order {
    /// The generation before the active one again.
    Rollback,
    /// Nothing new until a resume.
    Freeze,
    /// Go on.
    Resume,
}

/// The way to the trainer's thread, and past it where there is none any more.
#[derive(Clone)]
pub(in crate::run) struct Post {
    trainer: Option<Sender<Letter>>,
    submissions: Sender<Submission>,
}

impl Post {
    /// With the trainer's letter box, if there is a trainer, and control's.
    pub(in crate::run) fn new(trainer: Option<Sender<Letter>>, submissions: Sender<Submission>) -> Post {
        Post { trainer, submissions }
    }

    /// Has a reload taken up, and waits for its outcome. The trainer numbers generations and must know what it tunes, so a
    /// reload goes through it; one that has ended is passed by.
    pub(in crate::run) fn reload(&self, mut next: NextPolicy, parts: Each<Option<Parts>>) -> Reloaded {
        if let Some(trainer) = &self.trainer {
            let (reply, outcome) = channel();
            match trainer.send(Letter::Reload(Box::new(next), Box::new(parts), reply)) {
                Ok(()) => return wait(&outcome, ANSWER_MAX),
                Err(SendError(Letter::Reload(back, ..))) => next = *back,
                Err(SendError(Letter::Order(..))) => return refused("weir is stopping"),
            }
        }
        let (submission, outcome) = Submission::new(Next::Policy(Box::new(next)));
        match self.submissions.send(submission) {
            Ok(()) => wait(&outcome, PUBLISHED_MAX),
            Err(_) => refused("weir is stopping"),
        }
    }

    /// Passes an operator's order on, and waits for what came of it.
    pub(in crate::run) fn order(&self, order: Order, model: Option<String>) -> Changed {
        let refused = |reason: &str| Changed {
            result: ReloadResult::Refused,
            generation: None,
            reasons: vec![reason.to_owned()],
        };
        let Some(trainer) = &self.trainer else {
            return refused("nothing learns here: the configuration has no [trainer]");
        };
        let (reply, outcome) = channel();
        if trainer.send(Letter::Order(order, model, reply)).is_err() {
            return refused("the trainer has ended: its last words are in the log");
        }
        outcome.recv_timeout(ANSWER_MAX).unwrap_or_else(|error| refused(silence(error)))
    }
}

fn wait(outcome: &Receiver<Reloaded>, max: Duration) -> Reloaded {
    outcome.recv_timeout(max).unwrap_or_else(|error| refused(silence(error)))
}

fn silence(error: RecvTimeoutError) -> &'static str {
    match error {
        RecvTimeoutError::Timeout => "no answer in time: `weir ctl models` and /healthz say who hangs",
        RecvTimeoutError::Disconnected => "weir is stopping, or its trainer has ended: try again",
    }
}

fn refused(reason: &str) -> Reloaded {
    Reloaded { result: ReloadResult::Refused, reasons: vec![reason.to_owned()] }
}
