//! Limits in the way of what leaves: a paced flow asks for its first frame when its own clock lets that go, every other frame
//! waits in a lane.
//!
//! What a flow waits for a limit is neither the network's time nor its sender's: it departs later, and an interval of which
//! more than a fifth passed so says nothing of rates above what it sent, like one that its sender limited
//! (`docs/decisions/0004-app-limited.md`).

use super::claim::Claim;
use super::held::{Held as HeldFrame, HeldFrames, Queue};
use super::lanes::{Lanes, Note, Ticket};
use super::limiter::{Held, Limiter, Queued};
use super::{Departure, Offer, Pacing, Whose};
use crate::counters::WorkerStats;
use crate::io::Frame;
use crate::limit::{LimitSet, LimitStats, Limits};
use crate::route::Hop;
use crate::time::{BitsPerSec, Ns};
use crate::track::SegmentInfo;
use crate::verdict::Verdict;
use crate::wheel::SLOT;
use crate::wire::{self, Parsed, Tuple};
use weir_cpu::large_slice;

/// A queue that waits is looked at again after this long: so other limits hold for it no later than that, although its
/// handle lies on the wheel.
const LOOK_AGAIN: Ns = Ns::from_millis(50);

/// What a worker knows of limits, and of what is under them.
pub(super) struct Limited {
    /// There are limits, or frames in lanes from when there were.
    is_on: bool,
    limiter: Limiter,
    lanes: Lanes,
    /// By the flow's place in the slab; each is of its flow while its edition is the limiter's.
    flows: Box<[FlowClaim]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct FlowClaim {
    claim: Claim,
    /// The last frame of the flow that may be in a lane, from before the flow was paced.
    behind: Option<Ticket>,
}

/// A frame that is of no paced flow, as far as limits go.
pub(crate) struct Unpaced {
    /// Its tuple, or that of the flow that it is about, as frames from inside to outside bear it; `None` without addresses.
    key: Option<Tuple>,
    hash: u64,
    /// How it will have ended.
    verdict: Verdict,
    begins: bool,
}

impl Unpaced {
    /// A frame from inside.
    pub(crate) fn new(parsed: &Parsed, hash: u64, verdict: Verdict) -> Unpaced {
        let key = match parsed {
            Parsed::Quote(quote) => Some(quote.tuple.reversed()),
            other => other.owner().copied(),
        };
        let begins = matches!(parsed, Parsed::Tcp(tcp) if tcp.segment.flags.has(wire::Flags::SYN));
        Unpaced { key, hash, verdict, begins }
    }

    /// A segment of a tracked flow that found no room among the paced ones.
    pub(crate) fn of_flow(key: &Tuple, hash: u64, begins: bool) -> Unpaced {
        Unpaced { key: Some(*key), hash, verdict: Verdict::Forwarded, begins }
    }
}

impl Limited {
    /// Everything is allocated here.
    pub(super) fn new(limits: &Limits, flows_max: u32, held_max: u32) -> Limited {
        Limited {
            is_on: !limits.is_empty(),
            limiter: Limiter::new(limits.clone()),
            lanes: Lanes::new(held_max),
            flows: large_slice(flows_max as usize, |_| FlowClaim::default()),
        }
    }

    /// Whether frames have to ask.
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.is_on
    }

    /// Goes on with other limits. Nothing that waits is lost: frames in lanes are put under their new limits at once, flows when
    /// they are next looked at. Allocates nothing.
    pub(super) fn adopt<F: Frame>(&mut self, limits: &Limits, held: &HeldFrames<F>) {
        if limits.number() == self.limiter.limits().number() {
            return;
        }
        self.limiter.adopt(limits.clone());
        for lane in 0..super::lanes::LANES as u16 {
            let Some(queue) = self.lanes.get_mut(lane).map(|lane| lane.queue) else { continue };
            for (place, frame) in held.walk(queue) {
                let set = set_of(self.limiter.limits(), frame);
                self.limiter.hold(set, frame.bytes);
                if let Some(note) = self.lanes.note_mut(place) {
                    note.set = set;
                }
            }
            if let Some(lane) = self.lanes.get_mut(lane) {
                lane.claim.renew(LimitSet::EMPTY, 0);
            }
        }
        self.look();
    }

    fn look(&mut self) {
        self.is_on = !self.limiter.limits().is_empty() || !self.lanes.is_empty();
    }

    /// A flow begins to be paced in this place of the slab.
    pub(super) fn open(&mut self, index: u32, hash: u64, key: &Tuple) {
        let set = self.limiter.limits().on(key);
        if let Some(flow) = self.flows.get_mut(index as usize) {
            *flow =
                FlowClaim { claim: Claim::new(set, self.limiter.edition()), behind: self.lanes.ticket(hash) };
        }
    }

    /// Brings a flow under the present limits, if it is not yet. `key` is its tuple, where that is at hand.
    #[inline]
    pub(super) fn take_up<F: Frame>(
        &mut self,
        index: usize,
        key: Option<&Tuple>,
        queue: Queue,
        held: &HeldFrames<F>,
    ) {
        if self.flows.get(index).is_some_and(|flow| flow.claim.edition != self.limiter.edition()) {
            self.renew(index, key, queue, held);
        }
    }

    #[cold]
    fn renew<F: Frame>(&mut self, index: usize, key: Option<&Tuple>, queue: Queue, held: &HeldFrames<F>) {
        let Some(flow) = self.flows.get_mut(index) else { return };
        let limits = self.limiter.limits();
        let first = || held.first(queue).map_or(LimitSet::EMPTY, |frame| set_of(limits, frame));
        let set = key.map_or_else(first, |key| limits.on(key));
        flow.claim.renew(set, self.limiter.edition());
        (flow.claim.held_bytes, flow.claim.held_frames) = held
            .walk(queue)
            .fold((0_u32, 0), |(bytes, frames), (_, frame)| (bytes.saturating_add(frame.bytes), frames + 1));
        self.limiter.hold(set, flow.claim.held_bytes);
    }

    /// Whether a frame of `bytes` may leave, the first of its flow. Since when it has waited for that, if it has; where it may
    /// not, when to ask again.
    pub(super) fn ask(&mut self, index: usize, bytes: u32, now: Ns) -> Result<Option<Ns>, Ns> {
        let Some(FlowClaim { claim, behind }) = self.flows.get_mut(index) else { return Ok(None) };
        if behind.is_some_and(|ticket| self.lanes.holds(ticket)) {
            return Err(now + SLOT);
        }
        *behind = None;
        let since = claim.waits_since();
        let queued = claim.held_bytes.max(bytes);
        claim.ask(&mut self.limiter, bytes, queued, now).map_err(|ready| ready.min(now + LOOK_AGAIN))?;
        Ok(since)
    }

    /// A frame of the flow leaves that was not held.
    pub(super) fn pass(&mut self, index: usize, bytes: u32) {
        if let Some(FlowClaim { claim, .. }) = self.flows.get_mut(index) {
            claim.spend(bytes);
            self.limiter.pass(claim.set, bytes);
        }
    }

    /// A frame of the flow begins to wait.
    pub(super) fn hold(&mut self, index: usize, bytes: u32) {
        if let Some(FlowClaim { claim, .. }) = self.flows.get_mut(index) {
            hold(claim, claim.set, &mut self.limiter, bytes);
        }
    }

    /// A frame of the flow leaves that was held. `waited` is from when to when for limits, in the open interval.
    pub(super) fn release(&mut self, index: usize, bytes: u32, waited: Option<(Ns, Ns)>) {
        if let Some(FlowClaim { claim, .. }) = self.flows.get_mut(index) {
            release(claim, claim.set, &mut self.limiter, bytes);
            if let Some((since, now)) = waited {
                claim.add_wait(since, now);
            }
        }
    }

    /// Whether a frame of the flow may wait.
    pub(super) fn may_hold(&self, index: usize, bytes: u32) -> Held {
        match self.flows.get(index) {
            Some(FlowClaim { claim, .. }) => self.limiter.may_hold(claim.set, queued(claim), bytes),
            None => Held::Yes,
        }
    }

    pub(super) fn count_mark(&mut self, index: u8) {
        self.limiter.count_mark(index);
    }

    pub(super) fn count_drop(&mut self, index: u8) {
        self.limiter.count_drop(Some(index), LimitSet::EMPTY);
    }

    /// How long the flow's interval, which began at `start` and ends, has waited for limits.
    pub(super) fn end_interval(&mut self, index: usize, start: Ns, now: Ns) -> u64 {
        self.flows.get_mut(index).map_or(0, |flow| flow.claim.end_interval(start, now))
    }

    /// How long the flow has waited for limits in its open interval, waits under way not counted.
    pub(super) fn waited_ns(&self, index: usize) -> u64 {
        self.flows.get(index).map_or(0, |flow| flow.claim.waited_ns())
    }

    /// The rate that limits leave to the flow; `None` while they are no bound.
    pub(super) fn rate(&self, index: usize) -> Option<BitsPerSec> {
        let claim = &self.flows.get(index)?.claim;
        (claim.edition == self.limiter.edition() && !claim.set.is_empty()).then(|| claim.rate())?
    }
}

fn queued(claim: &Claim) -> Queued {
    Queued { frames: claim.held_frames, bytes: claim.held_bytes, expected_wait: claim.expected_wait() }
}

fn hold(claim: &mut Claim, set: LimitSet, limiter: &mut Limiter, bytes: u32) {
    claim.held_bytes = claim.held_bytes.saturating_add(bytes);
    claim.held_frames += 1;
    limiter.hold(set, bytes);
}

fn release(claim: &mut Claim, set: LimitSet, limiter: &mut Limiter, bytes: u32) {
    claim.held_bytes = claim.held_bytes.saturating_sub(bytes);
    claim.held_frames = claim.held_frames.saturating_sub(1);
    claim.spend(bytes);
    limiter.release(set, bytes);
}

/// The limits that a held frame is under, by its bytes.
fn set_of<F: Frame>(limits: &Limits, held: &HeldFrame<F>) -> LimitSet {
    let parsed = wire::parse(held.frame.bytes(), held.frame.wire_len());
    match Unpaced::new(&parsed, 0, Verdict::Untracked).key {
        Some(key) => limits.on(&key),
        None => limits.on_any(),
    }
}

impl<F: Frame> Pacing<F> {
    /// Whether frames of no paced flow have to be [offered](Pacing::offer_unpaced), too.
    #[inline]
    pub(crate) fn is_limited(&self) -> bool {
        self.limited.is_on
    }

    /// What was counted of each limit, in the configuration's order, and the number of those limits.
    pub(crate) fn limit_stats(&self) -> (&[LimitStats], u64) {
        let limiter = &self.limited.limiter;
        (limiter.stats(), limiter.limits().number())
    }

    /// A frame from inside that is of no paced flow, on its way to `hop`.
    #[inline(never)]
    pub(crate) fn offer_unpaced(
        &mut self,
        hop: Hop,
        mut frame: F,
        unpaced: &Unpaced,
        now: Ns,
        stats: &mut WorkerStats,
    ) -> Offer<F> {
        let Limited { limiter, lanes, .. } = &mut self.limited;
        let &Unpaced { hash, verdict, begins, .. } = unpaced;
        let limits = limiter.limits();
        let set = unpaced.key.as_ref().map_or_else(|| limits.on_any(), |key| limits.on(key));
        let bytes = frame.wire_len();
        let index = Lanes::of(hash);
        let Some(lane) = lanes.get_mut(index) else { return Offer::Pass(frame) };
        let mut due = None;
        if lane.queue.is_empty() {
            if set.is_empty() {
                return Offer::Pass(frame);
            }
            lane.go_under(set);
            match lane.claim.ask(limiter, bytes, bytes, now) {
                Ok(()) => {
                    lane.claim.spend(bytes);
                    limiter.pass(set, bytes);
                    return Offer::Pass(frame);
                }
                Err(ready) => due = Some(ready.min(now + LOOK_AGAIN)),
            }
        }
        match limiter.may_hold(set, queued(&lane.claim), bytes) {
            Held::No(by) => {
                limiter.count_drop(Some(by), set);
                return Offer::Refused(frame, Verdict::LimitFull);
            }
            Held::Marked(by) if wire::mark_ce(frame.bytes_mut()) => {
                stats.ecn_marks += 1;
                limiter.count_mark(by);
            }
            Held::Marked(_) | Held::Yes => {}
        }
        let held = HeldFrame { frame, bytes, segment: SegmentInfo::default() };
        match self.held.push(&mut lane.queue, held, hop) {
            Err(held) => {
                limiter.count_drop(None, set);
                return Offer::Refused(held.frame, Verdict::LimitFull);
            }
            Ok(place) => {
                hold(&mut lane.claim, set, limiter, bytes);
                lanes.enter(index, place, Note { hash, set, verdict, begins });
            }
        }
        if let Some(due) = due {
            self.departures.insert(self.flows.len() as u32 + u32::from(index), due);
        }
        Offer::Held
    }

    /// A lane's handle has come up: its first frame leaves, or it is put off.
    #[inline(never)]
    pub(super) fn lane_departure(&mut self, index: u16, now: Ns) -> Option<Departure<F>> {
        let handle = self.flows.len() as u32 + u32::from(index);
        let Limited { limiter, lanes, .. } = &mut self.limited;
        let queue = lanes.get_mut(index)?.queue;
        let (place, first) = self.held.walk(queue).next()?;
        let (note, bytes) = (lanes.note(place)?, first.bytes);
        let lane = lanes.get_mut(index)?;
        lane.go_under(note.set);
        let waiting = lane.claim.held_bytes;
        if let Err(ready) = lane.claim.ask(limiter, bytes, waiting, now) {
            self.departures.insert(handle, ready.min(now + LOOK_AGAIN));
            return None;
        }
        let (held, hop) = self.held.pop(&mut lane.queue)?;
        release(&mut lane.claim, note.set, limiter, bytes);
        if !lane.queue.is_empty() {
            // At once, after the others of this slot.
            self.departures.insert(handle, Ns::ZERO);
        }
        lanes.leave(index);
        self.limited.look();
        let Note { hash, verdict, begins, .. } = note;
        Some(Departure { frame: held.frame, whose: Whose::Nobody { hash, verdict, begins }, hop })
    }
}
