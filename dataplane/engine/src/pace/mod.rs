//! Pacing: when the frames of a flow leave, and who says how fast.
//!
//! ```text
//! frame of a flow --offer--> passes at once                         rate <--- guard <--- network or rule
//!                     |  or  is refused                               |                       ^
//!                     v                                               v                       |
//!                  the flow's queue --(the flow's clock is due)--> departs --> interval --(ends)
//!                         wheel of departures: one handle per flow       wheel of interval ends
//! ```
//!
//! What lies on the wheel is the flow, not the frame: it comes up when the first of its frames may leave, and goes
//! back with the time of the next. So a decision governs every frame that has not left yet; were each frame given
//! its time on arrival, a new rate would show only after everything that is held had left at the old one, up to
//! `delay_max` later, and a network that decides every half RTT would chase its own tail.
//!
//! Frames keep their order: whatever a flow sends queues behind what it holds. A frame without payload costs no
//! time of its own.
//!
//! Flows of datagrams that leave by paths are paced likewise; `datagram` says how feedback reaches them.
//!
//! Where there are limits on several flows (`crate::limit`), a frame that its flow's clock lets go asks those, too, and frames of
//! no paced flow wait in lanes (`limited`).

mod claim;
mod concession;
mod datagram;
mod decide;
mod flow;
mod held;
mod lanes;
mod late;
mod limited;
mod limiter;
mod open;
mod outcome;
mod pacer;
mod packet;
mod settings;
mod window;

pub use flow::PACED_FLOW_BYTES;

pub(crate) use datagram::DATAGRAMS_FROM;
pub(crate) use limited::Unpaced;

use crate::config::{EngineConfig, PacingConfig};
use crate::counters::WorkerStats;
use crate::flow::{FlowId, PacedId};
use crate::io::Frame;
use crate::models::ModelSet;
use crate::route::Hop;
use crate::rule::BbrLite;
use crate::sampler::Draw;
use crate::time::Ns;
use crate::track::{Acked, Departed, Detail, SegmentInfo};
use crate::verdict::Verdict;
use crate::wheel::{SLOT, Wheel};
use crate::wire::{self, TcpFrame, Tuple};
use datagram::Datagrams;
use decide::Batch;
use flow::{Aside, FlowFlags, Governor, PacedFlow};
use held::{Held, HeldFrames};
use late::Late;
use limited::Limited;
use open::{Following, OpenIntervals};
use pacer::Pacer;
use settings::Settings;
use weir_cpu::large_slice;
use weir_features::{RttBase, Sample};
use weir_handoff::LaneSender;

/// Full frames that a flow holds before a long wait is a queue, and marks. With marks on fewer
/// frames a sender would be kept from ever filling its rate, which could then never rise.
const QUEUED_BEFORE_MARK: u32 = 8;
/// Likewise before a wait beyond the limit drops: twice as many, so that marks come first.
const QUEUED_BEFORE_DROP: u32 = 2 * QUEUED_BEFORE_MARK;

/// All paced flows of a worker, and the frames that they hold.
pub struct Pacing<F> {
    settings: Settings,
    /// Number of the present settings, and of those that last changed what the features mean.
    edition: u32,
    features_edition: u32,
    flows: Box<[Option<PacedFlow>]>,
    asides: Box<[Aside]>,
    free: Vec<u32>,
    held: HeldFrames<F>,
    departures: Wheel,
    intervals: OpenIntervals,
    batch: Batch,
    late: Late,
    limited: Limited,
    datagrams: Datagrams,
    samples: LaneSender<Sample>,
}

/// What became of a frame that was offered.
#[derive(Debug)]
pub enum Offer<F> {
    /// It may leave now.
    Pass(F),
    /// It is held.
    Held,
    /// There is no room for it, or it would wait too long: it is to be dropped.
    Refused(F, Verdict),
}

/// A held frame whose time has come.
#[derive(Debug)]
pub struct Departure<F> {
    /// The frame.
    pub frame: F,
    /// Whose it is.
    pub whose: Whose,
    /// Where it goes next, in mode `route`.
    pub(crate) hop: Hop,
}

/// Whose a departing frame is.
#[derive(Clone, Copy, Debug)]
pub enum Whose {
    /// A paced flow's.
    Flow {
        /// Which.
        id: FlowId,
        /// What the tracker is told about the frame.
        segment: SegmentInfo,
    },
    /// A paced flow's of datagrams.
    Datagrams {
        /// Which.
        id: PacedId,
        /// Its flow hash.
        hash: u64,
        /// Its length.
        bytes: u32,
    },
    /// Of no paced flow: it waited for a limit.
    Nobody {
        /// Its flow hash.
        hash: u64,
        /// How it will have ended.
        verdict: Verdict,
        /// It begins a connection.
        begins: bool,
    },
}

/// What pacing asks of a frame of a flow.
pub(crate) trait Offered {
    /// The flow's tuple, as frames from inside bear it.
    fn tuple(&self) -> &Tuple;
    /// What of it is data: a frame without costs no time.
    fn payload_len(&self) -> u16;
    /// What is told when it departs.
    fn segment(&self) -> SegmentInfo;
}

impl Offered for TcpFrame {
    #[inline(always)]
    fn tuple(&self) -> &Tuple {
        &self.tuple
    }
    #[inline(always)]
    fn payload_len(&self) -> u16 {
        self.segment.payload_len
    }
    #[inline(always)]
    fn segment(&self) -> SegmentInfo {
        SegmentInfo::from(&self.segment)
    }
}

impl<F: Frame> Pacing<F> {
    /// Pacing for at most `flows_max` flows, some more of datagrams, and `held_max` frames. Everything is allocated here. A `delay_max` beyond
    /// the wheel's horizon (2.1 s) counts as that.
    pub fn new(
        engine: &EngineConfig,
        config: &PacingConfig,
        now: Ns,
        samples: LaneSender<Sample>,
    ) -> Pacing<F> {
        let datagrams = Datagrams::new(engine.flows_max, datagram::places(engine));
        let places = engine.flows_max + datagram::places(engine);
        Pacing {
            settings: Settings::new(config),
            edition: 0,
            features_edition: 0,
            flows: large_slice(places as usize, |_| None),
            asides: large_slice(places as usize, |_| Aside::default()),
            free: (0..engine.flows_max).rev().collect(),
            held: HeldFrames::new(engine.held_max),
            departures: Wheel::new(places + lanes::LANES as u32, now),
            intervals: OpenIntervals::new(engine.flows_max, now),
            batch: Batch::new(),
            late: Late::default(),
            limited: Limited::new(&config.limits, places, engine.held_max),
            datagrams,
            samples,
        }
    }

    /// Goes on with other settings. Limits on frames and the guard's bounds hold from here on; who governs a flow, and
    /// its share, from the end of its interval; its rate at the start for new flows only. Allocates nothing.
    pub fn adopt(&mut self, config: &PacingConfig) {
        self.limited.adopt(&config.limits, &self.held);
        let next = Settings::new(config);
        if next == self.settings {
            return;
        }
        self.edition += 1;
        if next.spec != self.settings.spec {
            self.features_edition = self.edition;
        }
        self.settings = next;
    }

    /// The same with what a network answers acted on only `delay` later.
    pub(crate) fn decide_late(&mut self, delay: Ns) {
        self.late = Late::new(delay);
    }

    /// Takes note of what was published.
    pub fn take_up(&mut self, models: &ModelSet) {
        self.intervals.take_up(models);
    }

    /// Brings the present state into the counters.
    pub fn show(&self, stats: &mut WorkerStats) {
        let Following { active, previous } = self.intervals.following();
        stats.paced_flows = self.flows() as u64;
        stats.paced_datagram_flows = self.datagrams.len() as u64;
        stats.generation = self.intervals.generation().into();
        (stats.following_active, stats.following_previous) = (active.into(), previous.into());
    }

    /// Frames held.
    pub fn held(&self) -> u32 {
        self.held.len()
    }

    /// Paced flows; a closed one counts until its last interval ends.
    pub fn flows(&self) -> usize {
        self.intervals.timed() - self.free.len() + self.datagrams.len()
    }

    /// The time before which nothing that is held leaves, and no interval ends.
    pub fn next_due(&self) -> Option<Ns> {
        let at_once = self.datagrams.is_busy().then_some(Ns::ZERO);
        let due = [self.departures.next_due(), self.intervals.next_due(), self.late.next_due(), at_once];
        due.into_iter().flatten().min()
    }

    /// Begins to pace a flow, whose frames from inside bear `key`. `None` when there is no room for another.
    pub fn open(&mut self, id: FlowId, hash: u64, key: &Tuple, now: Ns) -> Option<PacedId> {
        let index = self.free.pop()?;
        self.begin(index, id, hash, key, now);
        PacedId::new(index)
    }

    /// A flow begins in this place of the slab.
    fn begin(&mut self, index: u32, id: FlowId, hash: u64, key: &Tuple, now: Ns) {
        let mut flow = PacedFlow::new(id, Pacer::new(self.settings.rate_start, now));
        flow.flags.set_share(self.settings.share(hash));
        // By the hash and not by the place in the slab: the same flow decides the same wherever it lies.
        flow.flags.set_phase((Draw::Phase.bits(hash) % BbrLite::PHASES) as u8);
        self.settings.govern_by_rule(&mut flow, now);
        if let (Some(place), Some(aside)) =
            (self.flows.get_mut(index as usize), self.asides.get_mut(index as usize))
        {
            (*place, *aside) = (Some(flow), Aside::new(self.edition, hash));
        }
        if self.limited.is_on() {
            self.limited.open(index, hash, key);
        }
    }

    /// Asks for the memory of a paced flow, for a burst whose frames will need it.
    #[inline]
    pub fn prefetch(&self, id: PacedId) {
        weir_cpu::prefetch_element(&self.flows, id.index());
    }

    /// Whether the flow holds frames.
    pub fn holds(&self, id: PacedId) -> bool {
        matches!(self.flows.get(id.index()), Some(Some(flow)) if !flow.queue.is_empty())
    }

    /// The flow, which must hold no frames, has left the flow table.
    pub fn close(&mut self, id: PacedId) {
        if let Some(Some(flow)) = self.flows.get_mut(id.index()) {
            flow.flags.set(FlowFlags::CLOSING, true);
            self.forget_if_done(id.index() as u32);
        }
    }

    /// What the tracker knows more about a paced flow.
    pub fn detail_mut(&mut self, id: PacedId) -> Option<&mut Detail> {
        self.flows.get_mut(id.index())?.as_mut().map(|flow| &mut flow.detail)
    }

    /// A frame from the flow's inside end, on its way to `hop`. Where it passes, [`on_departed`](Pacing::on_departed) is
    /// to be called.
    pub(crate) fn offer(
        &mut self,
        id: PacedId,
        hop: Hop,
        mut frame: F,
        offered: &impl Offered,
        now: Ns,
        stats: &mut WorkerStats,
    ) -> Offer<F> {
        let Some(Some(flow)) = self.flows.get_mut(id.index()) else {
            return Offer::Pass(frame);
        };
        self.settings.bound(&mut flow.pacer);
        let bytes = frame.wire_len();
        let payload_len = offered.payload_len();
        if payload_len > 0 {
            flow.note_size(bytes, payload_len);
        }
        let limited = self.limited.is_on();
        if limited {
            self.limited.take_up(id.index(), Some(offered.tuple()), flow.queue, &self.held);
        }
        let mut due = flow.pacer.next();
        if flow.queue.is_empty() {
            if payload_len > 0 {
                flow.end_idle(now);
            }
            if payload_len == 0 || due <= now {
                let granted = if limited { self.limited.ask(id.index(), bytes, now) } else { Ok(None) };
                match granted {
                    Ok(_) => {
                        if payload_len > 0 {
                            flow.pacer.pass(now, bytes);
                        }
                        if limited {
                            self.limited.pass(id.index(), bytes);
                        }
                        return Offer::Pass(frame);
                    }
                    Err(ready) => {
                        if payload_len > 0 {
                            flow.pacer.put_off(now);
                        }
                        due = ready;
                    }
                }
            }
        }
        let mut refuse = |counter: &mut u64| {
            *counter += 1;
            if let Some(aside) = self.asides.get_mut(id.index()) {
                aside.refuse(payload_len);
            }
        };
        if self.held.is_full() {
            refuse(&mut stats.pace_refused_held);
            return Offer::Refused(frame, Verdict::PaceFull);
        }
        if payload_len > 0 {
            if bytes > self.settings.flow_held_bytes_max.saturating_sub(flow.pacer.held_bytes()) {
                refuse(&mut stats.pace_refused_flow_bytes);
                return Offer::Refused(frame, Verdict::PaceFull);
            }
            let wait = flow.pacer.wait(now);
            let queued = flow.queued_frames();
            if wait > self.settings.delay_max && queued >= QUEUED_BEFORE_DROP {
                refuse(&mut stats.pace_refused_delay);
                return Offer::Refused(frame, Verdict::PaceFull);
            }
            if wait > self.settings.mark_delay
                && queued >= QUEUED_BEFORE_MARK
                && wire::mark_ce(frame.bytes_mut())
            {
                stats.ecn_marks += 1;
            }
        }
        if limited {
            match self.limited.may_hold(id.index(), bytes) {
                limiter::Held::No(by) => {
                    self.limited.count_drop(by);
                    if let Some(aside) = self.asides.get_mut(id.index()) {
                        aside.refuse(payload_len);
                    }
                    return Offer::Refused(frame, Verdict::LimitFull);
                }
                limiter::Held::Marked(by) if wire::mark_ce(frame.bytes_mut()) => {
                    stats.ecn_marks += 1;
                    self.limited.count_mark(by);
                }
                limiter::Held::Marked(_) | limiter::Held::Yes => {}
            }
        }
        let was_empty = flow.queue.is_empty();
        let held = Held { frame, bytes, segment: offered.segment() };
        if let Err(held) = self.held.push(&mut flow.queue, held, hop) {
            return Offer::Refused(held.frame, Verdict::PaceFull);
        }
        if payload_len > 0 {
            flow.pacer.hold(bytes);
        }
        if limited {
            self.limited.hold(id.index(), bytes);
        }
        if was_empty {
            self.departures.insert(id.index() as u32, due);
        }
        Offer::Held
    }

    /// The next held frame whose time has come. [`on_departed`](Pacing::on_departed) is to be called for a flow's.
    pub fn next_departure(&mut self, now: Ns, stats: &mut WorkerStats) -> Option<Departure<F>> {
        loop {
            let index = self.departures.pop(now)?;
            let Some(Some(flow)) = self.flows.get_mut(index as usize) else {
                if let Some(lane) = (index as usize).checked_sub(self.flows.len())
                    && let Some(departure) = self.lane_departure(lane as u16, now)
                {
                    return Some(departure);
                }
                continue;
            };
            self.settings.bound(&mut flow.pacer);
            let Some(first) = self.held.first(flow.queue) else { continue };
            let (paid, bytes) = (first.segment.payload_len > 0, first.bytes);
            let due = flow.pacer.next();
            if paid && due > now {
                // It came up at the horizon, or its rate has changed since.
                self.departures.insert(index, due);
                continue;
            }
            let limited = self.limited.is_on();
            let mut waited = None;
            if limited {
                self.limited.take_up(index as usize, None, flow.queue, &self.held);
                match self.limited.ask(index as usize, bytes, now) {
                    Ok(since) => waited = since,
                    Err(ready) => {
                        self.departures.insert(index, ready);
                        continue;
                    }
                }
            }
            let Some((held, hop)) = self.held.pop(&mut flow.queue) else { continue };
            if paid {
                let stall = flow.pacer.release(now, held.bytes);
                // What it waited for a limit, the worker was not late.
                if waited.is_none() {
                    stats.wheel_late += u64::from(now - due > SLOT);
                    stats.wheel_stall_ns += stall.0;
                    flow.add_stall(stall);
                }
            }
            if limited {
                let open = flow.flags.has(FlowFlags::OPEN);
                let waited = waited.filter(|_| open).map(|since| (flow.waiting_since(since), now));
                self.limited.release(index as usize, held.bytes, waited);
            }
            let id = flow.id;
            match self.held.first(flow.queue) {
                // At once, after the others of this slot.
                Some(next) if next.segment.payload_len == 0 => self.departures.insert(index, Ns::ZERO),
                Some(_) => self.departures.insert(index, flow.pacer.next()),
                None => {}
            }
            let whose = match self.datagrams.slot_of(index) {
                None => Whose::Flow { id, segment: held.segment },
                Some(slot) => self.datagrams.whose(slot, held.bytes),
            };
            return Some(Departure { frame: held.frame, whose, hop });
        }
    }

    /// A frame of the flow has left; the tracker says `departed`.
    pub fn on_departed(&mut self, id: PacedId, now: Ns, departed: &Departed) {
        let Some(Some(flow)) = self.flows.get_mut(id.index()) else { return };
        if departed.restarted {
            // Another connection: what was learnt about the last one's path is not its own.
            flow.base = RttBase::default();
            flow.pacer.set_rate(self.settings.rate_start);
            if let Some(aside) = self.asides.get_mut(id.index()) {
                aside.forget();
            }
            self.intervals.rebind(flow, |flow| self.settings.govern_by_rule(flow, now));
        }
        let sent = departed.new_bytes + departed.retransmitted_bytes;
        if sent == 0 {
            return;
        }
        if !flow.flags.has(FlowFlags::OPEN) {
            self.settings.begin_interval(&mut self.intervals, id.index() as u32, flow, now);
        }
        flow.flags.set(FlowFlags::TOUCHED, true);
        flow.interval.on_send(sent);
    }

    /// An acknowledgement of the flow's data has arrived; the tracker says `acked`.
    pub fn on_acked(&mut self, id: PacedId, now: Ns, acked: &Acked) {
        let Some(Some(flow)) = self.flows.get_mut(id.index()) else { return };
        if let (Governor::Bbr { rule, .. }, Some(rtt_ns)) = (&mut flow.governor, acked.rtt_ns) {
            rule.on_rtt(now, rtt_ns);
        }
        if !flow.flags.has(FlowFlags::OPEN)
            || (acked.delivered_bytes, acked.lost_bytes, acked.rtt_ns) == (0, 0, None)
        {
            return;
        }
        flow.flags.set(FlowFlags::TOUCHED, true);
        flow.interval.on_ack(acked.delivered_bytes, acked.rtt_ns);
        if acked.lost_bytes > 0 {
            flow.interval.on_loss(acked.lost_bytes);
        }
    }

    /// Passes a batch of samples on although it is not full.
    pub fn flush_samples(&mut self) {
        self.samples.flush();
    }

    /// A flow that follows a generation which is no longer live takes up the active one, at its next frame.
    pub fn rebind_if_stale(&mut self, id: PacedId, now: Ns, models: &ModelSet, stats: &mut WorkerStats) {
        let Some(Some(flow)) = self.flows.get_mut(id.index()) else { return };
        if flow.generation != 0
            && flow.generation < models.oldest_live()
            && let Some(active) = models.active()
        {
            self.intervals.rebind(flow, |flow| decide::bind(flow, active, now, stats));
        }
    }

    /// Frees the place of a closed flow once its handle is on no wheel.
    fn forget_if_done(&mut self, index: u32) {
        if let Some(place) = self.flows.get_mut(index as usize)
            && let Some(flow) = place
            && flow.flags.has(FlowFlags::CLOSING)
            && !flow.flags.has(FlowFlags::OPEN)
        {
            debug_assert!(flow.queue.is_empty());
            *place = None;
            self.free.push(index);
        }
    }
}
