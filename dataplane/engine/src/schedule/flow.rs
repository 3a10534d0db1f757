//! What is kept of a scheduled flow, in a slab beside the flow table.

use super::config::{PRIORITIES, ScheduleConfig, ScheduleRule};
use super::peers::PeerId;
use super::queues::Ticket;
use crate::time::Ns;
use core::num::NonZeroU32;
use weir_features::SIZE_INPUTS;

/// Where a flow's scheduling state lies in its slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScheduledId(NonZeroU32);

impl ScheduledId {
    /// The id of slot `index`; `None` for `u32::MAX`, which no slab reaches.
    pub(super) const fn new(index: u32) -> Option<ScheduledId> {
        match NonZeroU32::new(index.wrapping_add(1)) {
            Some(id) => Some(ScheduledId(id)),
            None => None,
        }
    }

    /// The slot.
    pub(super) const fn index(self) -> usize {
        (self.0.get() - 1) as usize
    }
}

/// Who decides about a flow, for all of its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decider {
    /// The network, once the burst of its first data segment is through.
    Undecided,
    /// The network's prediction.
    Model,
    /// The rule, for want of a network.
    Rule,
    /// The rule, to compare networks with.
    Control,
}

/// Which queue somebody's frames went to last: until they have left it, no later one may go to a more urgent queue, or it
/// would overtake them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lane {
    pub(super) priority: u8,
    /// The last of the frames.
    pub(super) ticket: Ticket,
}

impl Lane {
    /// The priority nearest to the wanted one that keeps the order.
    pub(super) fn bound(self, wanted: u8, has_left: impl Fn(u8, Ticket) -> bool) -> u8 {
        if wanted < self.priority && !has_left(self.priority, self.ticket) { self.priority } else { wanted }
    }
}

/// One scheduled flow.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(super) struct ScheduledFlow {
    /// Its flow hash.
    pub(super) hash: u64,
    /// What its network was shown; the row of its first data segment.
    pub(super) features: [i32; SIZE_INPUTS],
    /// Payload bytes that have departed, each counted once.
    pub(super) sent: u64,
    /// Those before the frame that departed last.
    pub(super) position: u64,
    /// The size that it is taken to have, in bytes, where a network decided.
    pub(super) estimate: u64,
    pub(super) began: Ns,
    pub(super) schema_hash: u64,
    pub(super) lane: Lane,
    pub(super) output_q16: i32,
    pub(super) generation: u32,
    /// Its peer, while the flow is under way and there is a place for it.
    pub(super) peer: Option<PeerId>,
    pub(super) decider: Decider,
    /// All of it was seen, from its first byte.
    pub(super) whole: bool,
    /// It has come to its end: its size is told, and what still comes are repeats.
    pub(super) ended: bool,
    /// Another connection has begun on its ports, and sent no data yet.
    pub(super) restarted: bool,
    /// The trainer is told of it.
    pub(super) sampled: bool,
    /// The priority that was decided first.
    pub(super) first_priority: u8,
}

/// Bytes that a flow costs in addition while it is scheduled.
pub const SCHEDULED_FLOW_BYTES: usize = size_of::<Option<ScheduledFlow>>();

// Three cache lines, besides the flow's entry in the flow table.
const _: () = assert!(SCHEDULED_FLOW_BYTES <= 192);
const _: () = assert!(PRIORITIES <= u8::MAX as usize);

impl ScheduledFlow {
    /// The priority of its frame whose data begin at `position`, and whether the flow has outlived its prediction with it: then
    /// it is taken for twice as large, as often as need be (FLUX; Dukic et al., NSDI 2019).
    pub(super) fn priority(&mut self, position: u64, by: &ScheduleConfig) -> (u8, bool) {
        match self.decider {
            Decider::Model => {
                let outlived = position >= self.estimate;
                while position >= self.estimate && self.estimate < u64::MAX {
                    self.estimate = self.estimate.max(1).saturating_mul(2);
                }
                (by.size_thresholds.priority(self.estimate), outlived)
            }
            Decider::Undecided | Decider::Rule | Decider::Control => match by.rule {
                ScheduleRule::Fifo => (by.other_priority, false),
                ScheduleRule::Ageing => (by.ageing_thresholds.priority(position), false),
            },
        }
    }
}
