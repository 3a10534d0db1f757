//! What an operator, a reload and the publisher tell a trainer.

use super::{Start, StartError, Trainer, content};
use crate::network::Network;
use crate::online::adapter::AdaptError;
use crate::online::generations::{Content, Generation};
use crate::store::Reason;
use std::collections::BTreeMap;
use weir_snapshot::Snapshot;

/// Generations that live traffic fared badly with, of which candidates are kept away.
const KNOWN_BAD: usize = 8;

/// A generation that is to be published: first kept on disk, then given to the workers. Whoever does it answers with
/// [`Trainer::published`] or [`Trainer::not_published`].
#[derive(Debug, Clone)]
pub struct Publication {
    /// Its number.
    pub generation: u32,
    /// Why.
    pub reason: Reason,
    /// The snapshot's bytes.
    pub bytes: Vec<u8>,
    /// The snapshot.
    pub snapshot: Snapshot,
    /// The float network that it came from.
    pub network: Network,
    /// What the gate measured, by name; empty for what did not pass through it now.
    pub figures: BTreeMap<String, f64>,
    /// A generation that this one takes the place of because it was bad: to be marked so where it is kept.
    pub refused: Option<u32>,
}

/// Why a command changes nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// Nothing is published yet.
    #[error("no generation is active yet: there is nothing to roll back")]
    NothingActive,
    /// No earlier generation is left.
    #[error(
        "generation {0} has no earlier one to roll back to: none is kept that says something else and was not rolled back"
    )]
    NothingEarlier(u32),
    /// A publication is under way.
    #[error("generation {0} is being published: try again")]
    Busy(u32),
}

impl Publication {
    pub(super) fn of(generation: &Generation) -> Publication {
        Publication {
            generation: generation.number,
            reason: generation.reason,
            bytes: generation.bytes.clone(),
            snapshot: generation.executable.snapshot().clone(),
            network: generation.network.clone(),
            figures: generation.figures.clone(),
            refused: None,
        }
    }
}

impl Trainer {
    /// Takes a model from outside: the configuration's, at the start or by a reload, or one that an earlier process
    /// published (its [`number`](Start::number) is then kept). Tuning starts over from it once it is published; candidates
    /// wait for that.
    ///
    /// # Errors
    /// [`StartError`]; nothing has changed.
    pub fn install(&mut self, start: Start) -> Result<Publication, StartError> {
        let number = start.number;
        let content = content(start, &self.terms)?;
        let publication = match self.generations.get(number) {
            Some(earlier) => Publication::of(earlier),
            None => Publication::of(self.generations.issue(content)),
        };
        self.awaited = Some(publication.generation);
        Ok(publication)
    }

    /// Goes back to the generation before the active one, under a new number. The active one is remembered as refused:
    /// candidates that say the same are turned away.
    ///
    /// # Errors
    /// [`CommandError`]; nothing has changed.
    pub fn rollback(&mut self) -> Result<Publication, CommandError> {
        let publication = self.go_back(|to| Reason::RolledBack { to })?;
        self.stats.rolled_back += 1;
        Ok(publication)
    }

    /// The trainer's own roll back.
    pub(super) fn recall(&mut self) -> Result<Publication, CommandError> {
        let publication = self.go_back(|to| Reason::Recalled { to })?;
        self.stats.recalled += 1;
        Ok(publication)
    }

    /// Publishes an earlier generation again that does better now. What runs is no worse for it where it was learnt, and
    /// may come back in its turn.
    pub(super) fn come_back(&mut self, number: u32) -> Option<Publication> {
        let earlier = self.generations.get(number)?;
        let content = again(earlier, |to| Reason::Returned { to });
        self.stats.returned += 1;
        let publication = Publication::of(self.generations.issue(content));
        self.awaited = Some(publication.generation);
        Some(publication)
    }

    fn go_back(&mut self, reason: impl FnOnce(u32) -> Reason) -> Result<Publication, CommandError> {
        if let Some(awaited) = self.awaited {
            return Err(CommandError::Busy(awaited));
        }
        let active = self.generations.active().ok_or(CommandError::NothingActive)?;
        let (bad, executable) = (active.number, active.executable.clone());
        let target = self.generations.before_active().ok_or(CommandError::NothingEarlier(bad))?;
        let content = again(target, reason);
        self.generations.refuse(bad);
        self.known_bad.push_back((bad, executable));
        if self.known_bad.len() > KNOWN_BAD {
            self.known_bad.pop_front();
        }
        let publication =
            Publication { refused: Some(bad), ..Publication::of(self.generations.issue(content)) };
        self.awaited = Some(publication.generation);
        Ok(publication)
    }

    /// The workers act on this generation from now on. Numbers that were never given, or have been superseded, change
    /// nothing.
    pub fn published(&mut self, generation: u32, now_ns: u64) {
        if !self.generations.published(generation, now_ns) {
            return;
        }
        // Everything else is awaited: what an earlier process adapted, too.
        let tuned = self.awaited != Some(generation);
        self.watch.published(generation, tuned, now_ns);
        self.contest.begin();
        // Against what ran before it was not worse.
        self.trial = None;
        (self.stats.generation, self.stats.published_ns) = (generation, now_ns);
        if tuned {
            // The adapter goes on from where it is: a step ahead of what is published.
            self.tuned_from = Some(generation);
            for (seed, reward) in std::mem::take(&mut self.earned) {
                self.paths.earned(seed, reward);
            }
        } else {
            self.start_over();
            // One that says again what an earlier one said counts as that one does.
            if self.generations.active().is_some_and(|active| active.reason.repeats().is_none()) {
                self.choices.begin(generation);
            }
        }
        // One that overtook what is awaited does not take its place.
        self.awaited = self.awaited.filter(|awaited| *awaited > generation);
    }

    /// The publication of this generation was given up.
    pub fn not_published(&mut self, generation: u32) {
        self.generations.withdraw(generation);
        if self.awaited == Some(generation) {
            self.awaited = None;
        }
    }

    /// Stops adaptation: samples are counted, live reward is watched, nothing is tuned or published by itself but a roll
    /// back.
    pub fn freeze(&mut self) {
        self.stats.frozen = true;
        self.stability.clear();
        self.trial = None;
    }

    /// Goes on with adaptation.
    pub fn resume(&mut self) {
        self.stats.frozen = false;
    }

    /// Forgets what was tuned: the next step begins anew from what runs.
    pub(super) fn start_over(&mut self) {
        self.tuned_from = None;
        self.trial = None;
        self.wrong_in_a_row = 0;
        self.stability.clear();
        self.window.clear();
    }

    /// Gives the adapter the running float network.
    pub(super) fn reset(&mut self) -> Result<(), AdaptError> {
        let Some(active) = self.generations.active() else { return Ok(()) };
        self.adapter.reset(&active.network)?;
        self.tuned_from = Some(active.number);
        self.stats.resets += 1;
        Ok(())
    }
}

/// What a generation says, for another one.
fn again(earlier: &Generation, reason: impl FnOnce(u32) -> Reason) -> Content {
    Content {
        reason: reason(earlier.content_of),
        network: earlier.network.clone(),
        bytes: earlier.bytes.clone(),
        executable: earlier.executable.clone(),
        figures: BTreeMap::new(),
    }
}
