//! Decisions that count only some time after they were made, as [`crate::pace`] has them too: for simulation
//! ([`Selector::deciding_late`]).

use super::choose::Due;
use super::select::Selector;
use crate::time::Ns;
use std::collections::VecDeque;

/// What a network has answered and nobody acts on yet. All are late by the same time, so the oldest is due first.
#[derive(Debug, Default)]
pub(super) struct Late {
    delay: Ns,
    /// When it is due, whose it is, which path.
    answers: VecDeque<(Ns, u64, usize)>,
}

impl Late {
    /// Decisions count after `delay`.
    pub(super) fn new(delay: Ns) -> Late {
        Late { delay, answers: VecDeque::new() }
    }

    /// By how much they are late.
    pub(super) fn delay(&self) -> Ns {
        self.delay
    }

    /// Keeps an answer for its time.
    pub(super) fn keep(&mut self, now: Ns, hash: u64, path: usize) {
        self.answers.push_back((now + self.delay, hash, path));
    }
}

impl Selector {
    /// Acts on the answers whose time has come: the flow moves now, in the middle of a flowlet or not, unless the path is
    /// down or it is there already.
    pub(super) fn act_late(&mut self, now: Ns) {
        while self.late.answers.front().is_some_and(|(due, ..)| *due <= now) {
            let Some((_, hash, path)) = self.late.answers.pop_front() else { break };
            let Some(place) = self.flows.find(hash) else { continue };
            if self.flows.get(place).path().is_some_and(|current| current != path)
                && self.states.get(path).is_some_and(|state| state.is_up())
            {
                self.move_to(place, path, Due::Packet, now);
            }
        }
    }
}
