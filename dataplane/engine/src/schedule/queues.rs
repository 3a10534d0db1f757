//! Where frames wait for the link: a queue for each priority, in a bounded store that they share.
//!
//! Each priority has a part of the store for itself, so that none is shut out by a flood of another, and all share the rest.
//! What finds no room is for the caller to drop; nothing that waits is ever pushed out.

use super::config::PRIORITIES;
use crate::route::Hop;
use crate::time::Ns;
use crate::verdict::Verdict;

const NONE: u32 = u32::MAX;

/// A frame that waits, and what is done with it when it leaves.
#[derive(Debug)]
pub(super) struct Waiting<F> {
    pub(super) frame: F,
    /// How it will have ended.
    pub(super) verdict: Verdict,
    /// Where it goes next, in mode `route`.
    pub(super) hop: Hop,
    /// What it takes of the link, in bytes.
    pub(super) cost_bytes: u32,
}

#[derive(Debug)]
struct Place<F> {
    waiting: Option<Waiting<F>>,
    /// When it came.
    at: Ns,
    next: u32,
}

#[derive(Clone, Copy, Debug)]
struct Queue {
    head: u32,
    tail: u32,
    len: u32,
    /// When the first came, and what it takes of the link.
    first_at: Ns,
    first_cost: u32,
    /// Frames that have ever entered, and left.
    entered: u64,
    left: u64,
}

/// Says which frame of a queue: the how-manieth that entered it.
pub(super) type Ticket = u64;

/// The frames of all priorities.
#[derive(Debug)]
pub(super) struct Queues<F> {
    queues: [Queue; PRIORITIES],
    /// A bit per priority that has frames.
    used: u8,
    places: Box<[Place<F>]>,
    free: u32,
    len: u32,
    /// What a priority has for itself.
    reserve: u32,
    /// Places for all, and how many of them are taken.
    common: u32,
    common_used: u32,
}

impl<F> Queues<F> {
    /// Room for `max` frames, at least two for each priority. All of it is allocated here.
    pub(super) fn new(max: u32) -> Queues<F> {
        let max = max.max(2 * PRIORITIES as u32);
        let reserve = max / (2 * PRIORITIES as u32);
        let place = |index| Place {
            waiting: None,
            at: Ns::ZERO,
            next: if index + 1 < max { index + 1 } else { NONE },
        };
        let empty =
            Queue { head: NONE, tail: NONE, len: 0, first_at: Ns::ZERO, first_cost: 0, entered: 0, left: 0 };
        Queues {
            queues: [empty; PRIORITIES],
            used: 0,
            places: (0..max).map(place).collect(),
            free: 0,
            len: 0,
            reserve,
            common: max - reserve * PRIORITIES as u32,
            common_used: 0,
        }
    }

    /// Frames that wait.
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// Appends to the queue of a priority. Hands the frame back where there is no room.
    pub(super) fn push(&mut self, priority: u8, waiting: Waiting<F>, now: Ns) -> Result<Ticket, F> {
        let Some(queue) = self.queues.get_mut(usize::from(priority)) else { return Err(waiting.frame) };
        let own = queue.len < self.reserve;
        if !own && self.common_used == self.common {
            return Err(waiting.frame);
        }
        let index = self.free;
        let Some(place) = self.places.get_mut(index as usize) else { return Err(waiting.frame) };
        self.free = place.next;
        let cost = waiting.cost_bytes;
        *place = Place { waiting: Some(waiting), at: now, next: NONE };
        match self.places.get_mut(queue.tail as usize) {
            Some(tail) => tail.next = index,
            None => (queue.head, queue.first_at, queue.first_cost) = (index, now, cost),
        }
        queue.tail = index;
        queue.len += 1;
        queue.entered += 1;
        self.common_used += u32::from(!own);
        self.len += 1;
        self.used |= 1 << priority;
        Ok(queue.entered)
    }

    /// The priority whose first frame leaves next: the most urgent, unless one has waited for `wait_max`: then the one that
    /// has waited longest. With it what that frame takes of the link.
    ///
    /// So of two frames of one flow the later never leaves first if it is of no more urgent priority: should its turn come
    /// by age, the first of the other's queue is older still.
    pub(super) fn next(&self, now: Ns, wait_max: Ns) -> Option<(u8, u32)> {
        let most_urgent = self.used.trailing_zeros() as usize;
        let mut next = most_urgent;
        let mut oldest = self.queues.get(most_urgent)?.first_at;
        // Of equal age the more urgent goes first.
        for (priority, queue) in self.queues.iter().enumerate().skip(most_urgent + 1) {
            let aged = now - queue.first_at > wait_max;
            if queue.len > 0 && aged && queue.first_at < oldest {
                (next, oldest) = (priority, queue.first_at);
            }
        }
        Some((next as u8, self.queues.get(next)?.first_cost))
    }

    /// Whether more urgent frames are passed over when the first of this priority leaves.
    pub(super) fn is_ahead_by_age(&self, priority: u8) -> bool {
        u32::from(priority) > self.used.trailing_zeros()
    }

    /// Takes the first frame of a priority.
    pub(super) fn pop(&mut self, priority: u8) -> Option<Waiting<F>> {
        let queue = self.queues.get_mut(usize::from(priority))?;
        let index = queue.head;
        let place = self.places.get_mut(index as usize)?;
        let waiting = place.waiting.take();
        queue.head = core::mem::replace(&mut place.next, self.free);
        self.free = index;
        self.common_used -= u32::from(queue.len > self.reserve);
        queue.len -= 1;
        queue.left += 1;
        self.len -= 1;
        match self.places.get(queue.head as usize) {
            Some(Place { waiting: Some(first), at, .. }) => {
                (queue.first_at, queue.first_cost) = (*at, first.cost_bytes);
            }
            _ => {
                queue.tail = NONE;
                self.used &= !(1 << priority);
            }
        }
        waiting
    }

    /// Whether that frame has left.
    pub(super) fn has_left(&self, priority: u8, ticket: Ticket) -> bool {
        self.queues.get(usize::from(priority)).is_none_or(|queue| queue.left >= ticket)
    }
}

#[cfg(test)]
mod tests;
