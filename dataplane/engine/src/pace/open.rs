//! The monitor intervals that are open: when each is to be looked at, and whose word its rate is.

use super::flow::{FlowFlags, PacedFlow};
use crate::models::{Generation, ModelSet};
use crate::time::Ns;
use crate::wheel::Wheel;

/// How many flows follow a live snapshot. One that rests, with no interval open, follows none: whatever it was bound to, its
/// next decision is the active one's, or of whichever then is live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Following {
    /// The newest.
    pub(super) active: u32,
    /// One before it.
    pub(super) previous: u32,
}

/// The open intervals of all paced flows of a worker.
pub(super) struct OpenIntervals {
    ends: Wheel,
    /// Flows from this place of the slab on are told when to look: no time of theirs is kept here.
    untimed: u32,
    /// Number of the active generation; 0 for none.
    generation: u32,
    following: Following,
}

impl OpenIntervals {
    /// Room for one each of `flows_max` flows whose intervals end in their time.
    pub(super) fn new(flows_max: u32, now: Ns) -> OpenIntervals {
        OpenIntervals {
            ends: Wheel::new(flows_max, now),
            untimed: flows_max,
            generation: 0,
            following: Following::default(),
        }
    }

    /// Takes note of what was published. Numbers only rise, so what flows follow can become previous, and never active.
    pub(super) fn take_up(&mut self, models: &ModelSet) {
        let generation = models.active().map_or(0, Generation::number);
        if generation != self.generation {
            self.generation = generation;
            self.following.previous += std::mem::take(&mut self.following.active);
        }
    }

    /// Flows whose intervals end in their time, at most.
    pub(super) fn timed(&self) -> usize {
        self.untimed as usize
    }

    /// Number of the active generation; 0 for none.
    pub(super) fn generation(&self) -> u32 {
        self.generation
    }

    /// How many of them follow which generation.
    pub(super) fn following(&self) -> Following {
        self.following
    }

    /// The flow's interval is open, and to be looked at in its time.
    pub(super) fn open(&mut self, index: u32, flow: &mut PacedFlow, look_at: Ns) {
        flow.flags.set(FlowFlags::OPEN, true);
        self.count(flow, 1);
        if index < self.untimed {
            self.ends.insert(index, look_at);
        }
    }

    /// A flow whose interval is to be looked at now. [`close`](OpenIntervals::close) is to be called for it.
    pub(super) fn pop(&mut self, now: Ns) -> Option<u32> {
        self.ends.pop(now)
    }

    /// The flow's interval, which has come up, is closed.
    pub(super) fn close(&mut self, flow: &mut PacedFlow) {
        flow.flags.set(FlowFlags::OPEN, false);
        self.count(flow, -1);
    }

    /// The flow changes whom it follows, by `change`, perhaps in the midst of an interval.
    pub(super) fn rebind(&mut self, flow: &mut PacedFlow, change: impl FnOnce(&mut PacedFlow)) {
        let open = i32::from(flow.flags.has(FlowFlags::OPEN));
        self.count(flow, -open);
        change(flow);
        self.count(flow, open);
    }

    /// When the next is to be looked at.
    pub(super) fn next_due(&self) -> Option<Ns> {
        self.ends.next_due()
    }

    fn count(&mut self, flow: &PacedFlow, by: i32) {
        let Following { active, previous } = &mut self.following;
        if flow.generation != 0 {
            let count = if flow.generation == self.generation { active } else { previous };
            *count = count.saturating_add_signed(by);
        }
    }
}
