//! What is known about one paced flow, in one slab entry.

use super::concession::Concession;
use super::held::Queue;
use super::pacer::Pacer;
use crate::flow::FlowId;
use crate::rule::BbrLite;
use crate::time::{BitsPerSec, Ns};
use crate::track::Detail;
use core::mem::offset_of;
use weir_features::{Brake, History, Interval, IntervalReport, LongerPath, RttBase};

// Seven cache lines, besides the flow's entry in the flow table: docs/decisions/0001-slab-size.md.
const _: () = assert!(PACED_FLOW_BYTES <= 448);

/// Bytes that a flow costs in addition while it is paced.
pub const PACED_FLOW_BYTES: usize = size_of::<Option<PacedFlow>>();

/// Who governs a flow, and what only that one needs to know. A flow that changes hands begins anew.
///
/// The small facts first: beside the discriminant they cost no room.
#[derive(Clone, Debug)]
#[repr(u8)]
pub(super) enum Governor {
    /// A network.
    Model {
        /// Whether the open interval follows from the network's action.
        decided: bool,
        /// When the flow was bound to its generation, in milliseconds modulo 2^16.
        bound_at_ms: u16,
        /// What it is shown.
        history: History,
    },
    /// The rule `bbr_lite`.
    Bbr {
        /// Whether the open interval follows from its decision.
        decided: bool,
        /// Its estimate.
        rule: BbrLite,
    },
    /// A configured rate.
    Fixed {
        /// Whether the interval before the open one ended with an RTT: then a rule would have decided.
        decided: bool,
    },
    /// Nobody: frames pass at once.
    Free,
}

impl Governor {
    /// Whether the open interval is the outcome of a decision.
    pub(super) fn has_decided(&self) -> bool {
        match self {
            Governor::Model { decided, .. } | Governor::Bbr { decided, .. } | Governor::Fixed { decided } => {
                *decided
            }
            Governor::Free => false,
        }
    }

    /// Says whether the interval that is about to open is.
    pub(super) fn set_decided(&mut self, now_decided: bool) {
        match self {
            Governor::Model { decided, .. } | Governor::Bbr { decided, .. } | Governor::Fixed { decided } => {
                *decided = now_decided;
            }
            Governor::Free => {}
        }
    }
}

/// Which of the configured shares of all flows a flow belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Share {
    /// None: the trainer is not told of it.
    None = 0,
    /// Its intervals become samples.
    Sampled = 1,
    /// It adds noise to its network's actions, and its intervals become samples.
    Exploring = 2,
    /// It stays on the rule, and its intervals become samples.
    Control = 3,
}

/// Who decides for a flow, as the counters tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decider {
    /// A network.
    Model,
    /// A network, with noise.
    Explored,
    /// The rule, for want of a network.
    Rule,
    /// The rule, to compare networks with.
    Control,
}

/// What an interval's end reads of a flow besides its slab entry, whose seven cache lines are full: two more.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
pub(super) struct Aside {
    /// Hash of the flow's addresses and ports: by it, share and noise are drawn. The flow table has it too, in a line that a
    /// decision would otherwise not need.
    pub(super) hash: u64,
    /// Which settings the flow has taken up.
    pub(super) edition: u32,
    /// Decisions that it has explored with, modulo 2^32: the last one's number.
    pub(super) explored: u32,
    /// What its losses say against its network.
    pub(super) brake: Brake,
    /// Whether its path has become longer.
    pub(super) longer: LongerPath,
    /// Whether the rule decides in its network's place.
    pub(super) concession: Concession,
    /// The rate at the open interval's start, where a network has been asked since (cadence `packet`).
    committed: Option<BitsPerSec>,
    /// Payload that Weir itself has dropped and that may yet be told as lost.
    refused_bytes: u32,
}

const _: () = assert!(size_of::<Aside>() <= 128);

impl Aside {
    pub(super) fn new(edition: u32, hash: u64) -> Aside {
        Aside { edition, hash, ..Aside::default() }
    }

    /// What was found out about the flow's path, or under its network, holds no more.
    pub(super) fn forget(&mut self) {
        (self.brake, self.longer, self.committed) = (Brake::default(), LongerPath::default(), None);
    }

    /// The rate that provisional decisions start from: `present` for the first of an interval.
    pub(super) fn keep_committed(&mut self, present: BitsPerSec) -> BitsPerSec {
        *self.committed.get_or_insert(present)
    }

    /// The same once more, at the interval's end, where there were provisional decisions.
    pub(super) fn take_committed(&mut self) -> Option<BitsPerSec> {
        self.committed.take()
    }

    /// A frame of the flow did not get a place. Its sender will repeat it, and where more is missing than the tracker keeps
    /// in mind, that looks like a loss of the path's.
    pub(super) fn refuse(&mut self, payload_len: u16) {
        self.refused_bytes = self.refused_bytes.saturating_add(payload_len.into());
    }

    /// Shows the brake an interval of the flow, without what Weir itself has dropped. What has not been told of such drops after some
    /// hundred intervals never will be.
    pub(super) fn brake(&mut self, flow: &PacedFlow, report: &IntervalReport) {
        let delivered_bytes = flow.in_frames(report.acked_bytes);
        let own = u64::from(self.refused_bytes).min(report.lost_bytes);
        self.refused_bytes -= own as u32;
        self.refused_bytes -= self.refused_bytes.div_ceil(32);
        let report = IntervalReport { lost_bytes: report.lost_bytes - own, ..*report };
        self.brake.observe(&report, delivered_bytes, flow.pacer.held_bytes());
    }
}

/// One paced flow: its interval, its governor, its clock, and the queue of what it holds.
///
/// In this order, so that a frame meets few of the seven lines, and dirties fewer: a data frame the first, the fourth and the
/// sixth, an acknowledgement those and what is known to be missing; only an interval's end meets the others too. The
/// governor's discriminant, by which a place is known to be taken, is at the end of the first.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct PacedFlow {
    pub(super) pacer: Pacer,
    pub(super) queue: Queue,
    /// Number of the snapshot generation that it follows; 0 for none.
    pub(super) generation: u32,
    /// Time in the open interval for which nothing was held although the clock would have let a frame go.
    pub(super) idle_ns: u32,
    /// Time in the open interval that was lost because the worker came too late to send what was held.
    pub(super) stall_ns: u32,
    /// Length of the longest data frame seen: the flow's packet size.
    frame_len: u16,
    /// How much of that was headers.
    header_len: u8,
    pub(super) flags: FlowFlags,
    pub(super) governor: Governor,
    pub(super) id: FlowId,
    pub(super) interval: Interval,
    pub(super) base: RttBase,
    pub(super) detail: Detail,
    /// The network's last output, in 1/65536.
    pub(super) output_q16: i32,
}

const _: () = {
    assert!(offset_of!(PacedFlow, governor) == 56);
    assert!(offset_of!(PacedFlow, interval) == 192);
    assert!(offset_of!(PacedFlow, detail) == 320);
};

/// Small facts about a paced flow: in the lowest two bits its share, then what is yes or no, one bit each, and in the
/// upper three where in its cycle its rule begins.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FlowFlags(u8);

impl FlowFlags {
    /// Something was sent, acknowledged or lost in the open interval.
    pub(super) const TOUCHED: FlowFlags = FlowFlags(1 << 2);
    /// An interval is open; exactly then its handle is on the wheel of interval ends, if it is no flow of datagrams.
    pub(super) const OPEN: FlowFlags = FlowFlags(1 << 3);
    /// Its entry in the flow table is gone; it lives on until its interval ends.
    pub(super) const CLOSING: FlowFlags = FlowFlags(1 << 4);

    pub(super) fn has(self, flag: FlowFlags) -> bool {
        self.0 & flag.0 != 0
    }
    pub(super) fn set(&mut self, flag: FlowFlags, on: bool) {
        self.0 = if on { self.0 | flag.0 } else { self.0 & !flag.0 };
    }

    const SHARE_MASK: u8 = 0b11;

    /// The share that the flow belongs to.
    pub(super) fn share(self) -> Share {
        match self.0 & FlowFlags::SHARE_MASK {
            0 => Share::None,
            1 => Share::Sampled,
            2 => Share::Exploring,
            _ => Share::Control,
        }
    }
    pub(super) fn set_share(&mut self, share: Share) {
        self.0 = self.0 & !FlowFlags::SHARE_MASK | share as u8;
    }

    const PHASE_SHIFT: u32 = 5;

    /// Where in its cycle the flow's rule begins, 0 to 7.
    pub(super) fn phase(self) -> u8 {
        self.0 >> FlowFlags::PHASE_SHIFT
    }
    pub(super) fn set_phase(&mut self, phase: u8) {
        let others = self.0 & ((1 << FlowFlags::PHASE_SHIFT) - 1);
        self.0 = others | phase << FlowFlags::PHASE_SHIFT;
    }
}

impl PacedFlow {
    pub(super) fn new(id: FlowId, pacer: Pacer) -> PacedFlow {
        PacedFlow {
            pacer,
            queue: Queue::EMPTY,
            generation: 0,
            idle_ns: 0,
            stall_ns: 0,
            frame_len: 0,
            header_len: 0,
            flags: FlowFlags::default(),
            governor: Governor::Free,
            id,
            interval: Interval::new(0, 0),
            base: RttBase::default(),
            detail: Detail::EMPTY,
            output_q16: 0,
        }
    }

    /// Who decides for it.
    pub(super) fn decider(&self) -> Decider {
        match (&self.governor, self.flags.share()) {
            (Governor::Model { .. }, Share::Exploring) => Decider::Explored,
            (Governor::Model { .. }, _) => Decider::Model,
            (_, Share::Control) => Decider::Control,
            _ => Decider::Rule,
        }
    }

    /// The flow's packet size in bytes, headers included; 0 before the first data frame.
    pub(super) fn frame_len(&self) -> u32 {
        u32::from(self.frame_len)
    }

    /// Takes a data frame's size into account.
    pub(super) fn note_size(&mut self, frame_len: u32, payload_len: u16) {
        let frame_len = u16::try_from(frame_len).unwrap_or(u16::MAX);
        if frame_len > self.frame_len {
            self.frame_len = frame_len;
            self.header_len = u8::try_from(frame_len.saturating_sub(payload_len)).unwrap_or(u8::MAX);
        }
    }

    /// Payload bytes as the pacing rate counts them: in whole frames of the flow's packet size.
    pub(super) fn in_frames(&self, payload_bytes: u64) -> u64 {
        let payload_len = self.frame_len.saturating_sub(u16::from(self.header_len)).max(1);
        payload_bytes.saturating_mul(u64::from(self.frame_len)) / u64::from(payload_len)
    }

    /// The rate at which the flow's frames departed in the interval that `report` is of.
    pub(super) fn sent_rate(&self, report: &IntervalReport) -> BitsPerSec {
        let bits = self.in_frames(report.sent_bytes).saturating_mul(8);
        BitsPerSec(bits.saturating_mul(1_000_000_000) / report.duration_ns.max(1))
    }

    /// What the flow holds, in its largest frames.
    pub(super) fn queued_frames(&self) -> u32 {
        self.pacer.held_bytes() / u32::from(self.frame_len.max(1))
    }

    /// Adds the time up to `now` for which the flow had nothing to send: since its last frame's own time ran out,
    /// or since the interval began. Call it when such a time ends, with nothing held.
    pub(super) fn end_idle(&mut self, now: Ns) {
        let since = self.pacer.next().max(Ns(self.interval.start_ns()));
        let idle = u64::from(self.idle_ns).saturating_add((now - since).0);
        self.idle_ns = u32::try_from(idle).unwrap_or(u32::MAX);
    }

    /// The part of a wait that began at `since` which is of the open interval begins here.
    pub(super) fn waiting_since(&self, since: Ns) -> Ns {
        since.max(Ns(self.interval.start_ns()))
    }

    /// Adds what the worker lost by being late.
    pub(super) fn add_stall(&mut self, stall: Ns) {
        self.stall_ns = self.stall_ns.saturating_add(u32::try_from(stall.0).unwrap_or(u32::MAX));
    }

    /// Whether the sender, or a limit that it has waited for, `waited_ns` in all, and not the rate limited the open interval: for
    /// more than a fifth of it nothing was held, or what was held waited for the limit.
    pub(super) fn is_app_limited(&self, waited_ns: u64, duration_ns: u64) -> bool {
        u64::from(self.idle_ns) + waited_ns > duration_ns / 5
    }

    /// Whether the host, not the rate, limited the open interval: more than a fifth of it lost to stalls.
    pub(super) fn is_host_limited(&self, duration_ns: u64) -> bool {
        u64::from(self.stall_ns) > duration_ns / 5
    }
}
