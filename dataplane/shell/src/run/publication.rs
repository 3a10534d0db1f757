//! The control thread's side of a publication: takes what a reload has checked or the trainer has tuned, and publishes it,
//! the newest last. There is one publisher, so neither can undo half of the other.

use super::models::{Candidate, Live, NextPolicy};
use crate::control::protocol::{ReloadResult, Reloaded};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use weir_engine::policy::Policy;
use weir_handoff::Publisher;

/// How long a publication waits. For the epoch: a worker passes a quiescent state each turn, so one that has not within this
/// time is stuck, and waiting longer would hide it. For flows to leave the generation that it drops: they do when their
/// interval ends or their pin does, and after this time are made to, at their next frame.
pub(super) const PUBLISH_MAX: Duration = Duration::from_secs(2);

/// What may be published next.
pub(super) enum Next {
    /// A whole policy: what a reload has read and checked.
    Policy(Box<NextPolicy>),
    /// Another generation of a model that decides: what the trainer has tuned, or taken back.
    Model(Box<Candidate>),
}

/// Something checked on its way to the control thread.
pub(super) struct Submission {
    next: Next,
    reply: Sender<Reloaded>,
}

impl Submission {
    /// With the place where its outcome will be told.
    pub(super) fn new(next: Next) -> (Submission, Receiver<Reloaded>) {
        let (reply, outcome) = channel();
        (Submission { next, reply }, outcome)
    }

    /// What is to be published, and where its outcome is awaited.
    pub(super) fn open(self) -> (Next, Sender<Reloaded>) {
        (self.next, self.reply)
    }
}

/// A policy that could not be published so far.
struct Waiting {
    live: Live,
    reply: Sender<Reloaded>,
    until: Instant,
    /// An operator asked for it: a candidate does not take its place.
    asked: bool,
}

/// Publishes policies.
pub(super) struct Publication {
    publisher: Publisher<Policy>,
    live: Live,
    waiting: Option<Waiting>,
    submissions: Receiver<Submission>,
}

impl Publication {
    /// Around the policy that was published first, and the way by which others come.
    pub(super) fn new(publisher: Publisher<Policy>, live: Live) -> (Publication, Sender<Submission>) {
        let (sender, submissions) = channel();
        (Publication { publisher, live, waiting: None, submissions }, sender)
    }

    /// Takes what was submitted and publishes it if flows and epoch allow; frees what no worker reads any more. Never waits.
    /// `follows_only` says whether every flow of every worker follows the generation with this number, or none.
    /// `published` is shown a policy that has just become the live one.
    pub(super) fn tick(
        &mut self,
        now: Instant,
        follows_only: impl FnOnce(u32) -> bool,
        published: impl FnOnce(&Live),
    ) {
        while let Ok(submission) = self.submissions.try_recv() {
            self.take(submission, now);
        }
        let Some(waiting) = self.waiting.take() else {
            self.publisher.reclaim();
            return;
        };
        let models = &self.live.policy.models;
        if let Some(active) = models.active()
            && models.holds_back(&waiting.live.policy.models)
            && now < waiting.until
            && !follows_only(active.number())
        {
            self.waiting = Some(waiting);
            return;
        }
        match self.publisher.publish(waiting.live.policy.clone()) {
            Ok(_) => {
                self.live = waiting.live;
                published(&self.live);
                tell(&waiting.reply, ReloadResult::Applied, Vec::new());
            }
            Err(refused) if now >= waiting.until => refuse(
                &waiting.reply,
                &format!(
                    "worker {} has finished no turn for {} s, so what it may still read cannot be replaced: see /healthz",
                    refused.reader,
                    PUBLISH_MAX.as_secs()
                ),
            ),
            Err(_) => self.waiting = Some(waiting),
        }
    }

    /// The newest waits, and is what this policy becomes with it; what waited before is refused.
    fn take(&mut self, submission: Submission, now: Instant) {
        let Submission { next, reply } = submission;
        let until = now + PUBLISH_MAX;
        match next {
            Next::Policy(next) => {
                if let Some(older) = self.waiting.take() {
                    refuse(&older.reply, "a newer reload came while this one waited to be published");
                }
                match self.live.followed_by(*next) {
                    Some(live) => self.waiting = Some(Waiting { live, reply, until, asked: true }),
                    None => tell(&reply, ReloadResult::Unchanged, Vec::new()),
                }
            }
            Next::Model(_) if self.waiting.as_ref().is_some_and(|waiting| waiting.asked) => {
                refuse(&reply, "a reload waits to be published");
            }
            Next::Model(candidate) => match self.live.succeeded_by(*candidate) {
                Some(live) => {
                    if let Some(older) = self.waiting.replace(Waiting { live, reply, until, asked: false }) {
                        refuse(&older.reply, "a newer candidate came while this one waited to be published");
                    }
                }
                None => refuse(&reply, "a reload has put another model in its place"),
            },
        }
    }
}

fn refuse(reply: &Sender<Reloaded>, reason: &str) {
    tell(reply, ReloadResult::Refused, vec![reason.to_owned()]);
}

/// Whoever asked may have given up waiting: then there is nobody to tell.
fn tell(reply: &Sender<Reloaded>, result: ReloadResult, reasons: Vec<String>) {
    let _ = reply.send(Reloaded { result, reasons });
}

#[cfg(test)]
mod tests;
