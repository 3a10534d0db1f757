//! What happens to one side's burst, stage by stage.

use super::Core;
use super::backlog::Backlog;
use crate::balance::{Datagram, Parcel};
use crate::counters::WorkerStats;
use crate::flow::{FlowEntry, FlowId, Hint, PacedId};
use crate::io::{BURST, Burst, Frame, PacketIo, Side};
use crate::models::ModelSet;
use crate::pace::{DATAGRAMS_FROM, Offer, Pacing, Unpaced};
use crate::probe::{Probe, Stage};
use crate::route::{Hop, Router};
use crate::schedule::{Schedule, ScheduledId};
use crate::steer::Steered;
use crate::time::Ns;
use crate::track::{Acked, Departed, SegmentInfo};
use crate::verdict::{Tally, Verdict};
use crate::wire::{self, Flags, Malformed, Parsed, Quote, TcpFrame, Tuple, Untracked};
use arrayvec::ArrayVec;
use weir_features::FlowEnd;

/// A burst, and what is known about each of its frames so far.
pub(super) struct Arrivals<F> {
    frames: Burst<F>,
    /// As many as there are frames count.
    parsed: Box<[Parsed; BURST]>,
    /// The hash that says whose each frame is, and where the flow of a TCP segment, or of what an ICMP error quotes, lies
    /// in the tables; zero where it has none.
    hashes: ArrayVec<u64, BURST>,
    /// Where their flows most likely are.
    hints: ArrayVec<Hint, BURST>,
    /// Flows that were known before the burst.
    flows: ArrayVec<Option<FlowId>, BURST>,
    /// A bit per frame: it arrived on the outside.
    outside: u32,
    /// A bit per frame: it belongs to another worker.
    foreign: u32,
}

const _: () = assert!(BURST <= u32::BITS as usize);

/// What the tables said about a frame before its burst was handled.
#[derive(Clone, Copy)]
pub(super) struct Found {
    hash: u64,
    /// Its flow, where that was known.
    flow: Option<FlowId>,
}

impl<F: Frame> Arrivals<F> {
    pub(super) fn new() -> Arrivals<F> {
        Arrivals {
            frames: Burst::new(),
            parsed: Box::new([Parsed::Malformed(Malformed::EthernetShort); BURST]),
            hashes: ArrayVec::new(),
            hints: ArrayVec::new(),
            flows: ArrayVec::new(),
            outside: 0,
            foreign: 0,
        }
    }

    /// Takes a burst from `side` and brings each of its frames to an end, or onto the wheel, or into a backlog, or on
    /// its way to the worker whose it is.
    pub(super) fn receive<Io: PacketIo<Frame = F>>(
        &mut self,
        side: Side,
        io: &mut Io,
        core: &mut Core<F>,
        models: &ModelSet,
        probe: &mut impl Probe,
    ) -> usize {
        io.rx(side, &mut self.frames);
        self.frames.iter().for_each(|frame| weir_cpu::prefetch_headers(frame.bytes()));
        let denied = io.take_denied(side);
        if denied.frames > 0 {
            core.tally.deny(side, denied);
        }
        probe.stage(Stage::Receive);
        let passed = self.frames.len();
        let received = passed + denied.frames as usize;
        if passed == 0 {
            return received;
        }
        core.tally.received[side as usize] += passed as u64;
        if side == Side::Outside
            && let Some(now) = io.now()
        {
            core.now = core.now.max(now);
        }
        // Once a burst, as below.
        if side == Side::Outside && core.router.as_ref().is_some_and(Router::balances) {
            self.unwrap(io, core);
        }
        let mut bytes = 0;
        for (frame, parsed) in self.frames.iter().zip(self.parsed.iter_mut()) {
            bytes += u64::from(frame.wire_len());
            wire::parse_into(frame.bytes(), frame.wire_len(), parsed);
        }
        core.tally.received_bytes[side as usize] += bytes;
        probe.stage(Stage::Parse);
        self.outside = if side == Side::Outside { u32::MAX } else { 0 };
        self.hash(core);
        self.handle(io, core, models, probe);
        probe.stage(match side {
            Side::Inside => Stage::Pace,
            Side::Outside => Stage::Acknowledge,
        });
        received
    }

    /// Takes up to a burst that other workers have passed on, and does the same with it.
    pub(super) fn take_steered<Io: PacketIo<Frame = F>>(
        &mut self,
        io: &mut Io,
        core: &mut Core<F>,
        models: &ModelSet,
        probe: &mut impl Probe,
    ) -> usize {
        (self.outside, self.foreign) = (0, 0);
        let taken = core.steering.take(BURST, |Steered { frame, hash, side }| {
            self.outside |= (side as u32) << self.frames.len();
            self.frames.push(frame);
            self.hashes.push(hash);
        });
        if taken == 0 {
            return 0;
        }
        core.tally.steered_in += taken as u64;
        for ((frame, hash), parsed) in self.frames.iter().zip(&self.hashes).zip(self.parsed.iter_mut()) {
            core.flows.prefetch(*hash);
            wire::parse_into(frame.bytes(), frame.wire_len(), parsed);
        }
        probe.stage(Stage::Parse);
        self.handle(io, core, models, probe);
        probe.stage(Stage::Pace);
        taken
    }

    /// Takes off what paths have put around packets. What that takes off a frame counts as received here.
    #[inline(never)]
    fn unwrap<Io: PacketIo<Frame = F>>(&mut self, io: &mut Io, core: &mut Core<F>) {
        let now = core.now;
        let length = |frames: &Burst<F>| frames.iter().map(|frame| u64::from(frame.wire_len())).sum::<u64>();
        let before = length(&self.frames);
        let arrived = core::mem::take(&mut self.frames);
        if let Some((router, mut outlet)) = core.router(io) {
            self.frames
                .extend(arrived.into_iter().filter_map(|frame| router.unwrap(frame, now, &mut outlet)));
        }
        core.tally.received_bytes[Side::Outside as usize] += before - length(&self.frames);
    }

    /// Hashes the frames that have an owner, and asks for the memory that the look-ups of this worker's own will read,
    /// all of it before the first is waited for. A worker alone hashes only what its flow table is asked for.
    fn hash(&mut self, core: &Core<F>) {
        self.foreign = 0;
        let parsed = self.parsed[..self.frames.len()].iter();
        // What leaves by paths, and what waits for a limit, is told apart by its owner's tuple, whatever it is.
        let by_flow = core.is_limited() || core.router.as_ref().is_some_and(Router::balances);
        if core.steering.is_alone() && !by_flow {
            core.hasher.hash_burst(parsed.map(flow_tuple), &mut self.hashes);
            self.hashes.iter().for_each(|hash| core.flows.prefetch(*hash));
            return;
        }
        let owners = parsed.map(Parsed::owner);
        core.hasher.hash_burst(owners.clone(), &mut self.hashes);
        for (at, (owner, hash)) in owners.zip(&self.hashes).enumerate() {
            let elsewhere = owner.is_some() && core.steering.elsewhere(*hash).is_some();
            self.foreign |= u32::from(elsewhere) << at;
            if !elsewhere {
                core.flows.prefetch(*hash);
            }
        }
    }

    fn handle<Io: PacketIo<Frame = F>>(
        &mut self,
        io: &mut Io,
        core: &mut Core<F>,
        models: &ModelSet,
        probe: &mut impl Probe,
    ) {
        self.hints.extend(self.hashes.iter().map(|hash| core.flows.prefetch_entry(*hash)));
        self.look_up(core);
        probe.stage(Stage::LookUp);
        if core.pacing.as_ref().is_some_and(Pacing::decides_per_packet) {
            self.decide_per_packet(core, models, probe);
        }
        // Once a burst, so that the wire pays neither for the router nor for the scheduler, and a router without paths not
        // for them.
        match (core.router.as_ref().map(Router::balances), core.schedule.is_some()) {
            (None, false) => self.deal(core, |core, side, frame, parsed, found| {
                core.pass::<false>(side, frame, parsed, found, models);
            }),
            (None, true) => self.deal(core, |core, side, frame, parsed, found| {
                core.pass_scheduled(side, frame, parsed, found, models);
            }),
            (Some(false), false) => self.deal(core, |core, side, frame, parsed, found| {
                core.route::<false, false, _>(side, frame, parsed, found, models, io);
            }),
            (Some(false), true) => self.deal(core, |core, side, frame, parsed, found| {
                core.route::<true, false, _>(side, frame, parsed, found, models, io);
            }),
            (Some(true), false) => self.deal(core, |core, side, frame, parsed, found| {
                core.route::<false, true, _>(side, frame, parsed, found, models, io);
            }),
            (Some(true), true) => self.deal(core, |core, side, frame, parsed, found| {
                core.route::<true, true, _>(side, frame, parsed, found, models, io);
            }),
        }
    }

    /// Has the networks of the burst's data frames asked before those are paced.
    #[inline(never)]
    fn decide_per_packet(&self, core: &mut Core<F>, models: &ModelSet, probe: &mut impl Probe) {
        let Core { now, flows, pacing: Some(pacing), stats, .. } = core else { return };
        let known = self.parsed.iter().zip(&self.flows).enumerate();
        let paced = known.filter_map(|(at, (parsed, flow))| {
            let is_data = matches!(parsed, Parsed::Tcp(tcp) if tcp.segment.payload_len > 0);
            let from_inside = side_of(self.outside, at) == Side::Inside;
            (is_data && from_inside).then(|| flows.get((*flow)?)?.paced).flatten()
        });
        pacing.decide_provisionally(paced, *now, models, stats, probe);
        probe.stage(Stage::Decide);
    }

    /// Gives each frame to its owner, which for this worker's own is `own`.
    #[inline(always)]
    fn deal(&mut self, core: &mut Core<F>, mut own: impl FnMut(&mut Core<F>, Side, F, &Parsed, Found)) {
        let (outside, foreign) = (self.outside, self.foreign);
        let known = self.hashes.iter().zip(&self.flows);
        let frames = self.frames.drain(..).zip(self.parsed.iter()).zip(known);
        for (at, ((frame, parsed), (&hash, &flow))) in frames.enumerate() {
            let side = side_of(outside, at);
            if foreign >> at & 1 == 0 {
                own(core, side, frame, parsed, Found { hash, flow });
            } else {
                core.steer(Steered { frame, hash, side });
            }
        }
        self.hashes.clear();
        self.flows.clear();
    }

    /// Finds the flows, and asks for the memory of the paced ones. Another worker's are not looked for.
    fn look_up(&mut self, core: &Core<F>) {
        let hints = self.hints.drain(..);
        for (at, ((parsed, hash), hint)) in self.parsed.iter().zip(&self.hashes).zip(hints).enumerate() {
            let side = side_of(self.outside, at);
            let flow = match parsed {
                _ if self.foreign >> at & 1 != 0 => None,
                Parsed::Tcp(tcp) => core.flows.find_by(*hash, hint, |key| tcp.tuple.is_outbound(side, key)),
                Parsed::Quote(_) | Parsed::Untracked { .. } | Parsed::Malformed(_) => None,
            };
            if let Some(pacing) = &core.pacing
                && let Some(paced) = flow.and_then(|flow| core.flows.get(flow)?.paced)
            {
                pacing.prefetch(paced);
            }
            self.flows.push(flow);
        }
    }
}

/// Where frame `at` of a burst arrived.
#[inline]
fn side_of(outside: u32, at: usize) -> Side {
    if outside >> at & 1 == 0 { Side::Inside } else { Side::Outside }
}

/// The tuple that names a TCP flow, the frame's own or one that it quotes.
#[inline]
fn flow_tuple(parsed: &Parsed) -> Option<&Tuple> {
    match parsed {
        Parsed::Tcp(tcp) => Some(&tcp.tuple),
        Parsed::Quote(quote) => Some(&quote.tuple),
        Parsed::Untracked { .. } | Parsed::Malformed(_) => None,
    }
}

impl<F: Frame> Core<F> {
    /// Passes a frame on to its owner, which will count how it ends; ends it here where the lane is full.
    #[inline(never)]
    fn steer(&mut self, steered: Steered<F>) {
        match self.steering.pass(steered) {
            Ok(()) => self.tally.steered_out += 1,
            Err(steered) => {
                drop(steered);
                self.tally.end(Verdict::SteerFull);
            }
        }
    }

    /// Mode `wire`: across, whatever it is. With `SCHEDULED` what leaves by the outside joins the scheduler's queues.
    #[inline(always)]
    fn pass<const SCHEDULED: bool>(
        &mut self,
        side: Side,
        frame: F,
        parsed: &Parsed,
        found: Found,
        models: &ModelSet,
    ) {
        if frame.wire_len() == 0 {
            self.tally.end(Verdict::Empty);
        } else if let Some((frame, verdict)) =
            self.follow::<SCHEDULED>(side, frame, parsed, found, Hop::NONE, models, &mut ())
        {
            match SCHEDULED && side == Side::Inside {
                true => self.offer(side, frame, verdict, Hop::NONE, parsed, found),
                false => queue(&mut self.backlogs[side.other() as usize], frame, verdict, &mut self.tally),
            }
        }
    }

    /// Kept out of the wire's loop, which is to stay small.
    #[inline(never)]
    fn pass_scheduled(&mut self, side: Side, frame: F, parsed: &Parsed, found: Found, models: &ModelSet) {
        self.pass::<true>(side, frame, parsed, found, models);
    }

    /// A frame from `side` is to leave by the outside, when the scheduler says.
    fn offer(&mut self, side: Side, frame: F, verdict: Verdict, hop: Hop, parsed: &Parsed, found: Found) {
        let flow = match parsed {
            Parsed::Tcp(tcp) => self.scheduled(side, tcp, found),
            Parsed::Quote(_) | Parsed::Untracked { .. } | Parsed::Malformed(_) => None,
        };
        if let Some(schedule) = &mut self.schedule {
            schedule.offer(frame, verdict, hop, parsed, flow, &mut self.stats);
        }
    }

    /// The scheduled flow of a frame, which may have begun with this very one.
    fn scheduled(&self, side: Side, tcp: &TcpFrame, found: Found) -> Option<ScheduledId> {
        let by_key = || self.flows.find(found.hash, &tcp.tuple.outbound(side));
        self.flows.get(found.flow.or_else(by_key)?)?.scheduled
    }

    /// Mode `route`: to where the router says, if it does; `BALANCED` where there are paths. Kept out of the wire's loop,
    /// which is to stay small.
    #[inline(never)]
    fn route<const SCHEDULED: bool, const BALANCED: bool, Io: PacketIo<Frame = F>>(
        &mut self,
        side: Side,
        frame: F,
        parsed: &Parsed,
        found: Found,
        models: &ModelSet,
        io: &mut Io,
    ) {
        if frame.wire_len() == 0 {
            self.tally.end(Verdict::Empty);
            return;
        }
        let now = self.now;
        let Some((router, mut outlet)) = self.router(io) else { return };
        if BALANCED && side == Side::Outside && router.hear_probe(&frame, parsed, now) {
            drop(frame);
            self.tally.end(Verdict::Consumed);
            return;
        }
        let Some((frame, way)) = router.admit(side, frame, (parsed, found.hash), now, &mut outlet) else {
            return;
        };
        let mut passage = Passage::default();
        // What turns round never meets the other side, whose traffic is all that a flow's entry tells of.
        let left = if way.out == side {
            Some((frame, Verdict::Untracked))
        } else if BALANCED
            && way.hop == Hop::PATHS
            && let Some((id, tuple)) = self.datagrams_of(side, parsed, found.hash)
        {
            self.follow_datagram(frame, id, (way.hop, tuple), models, &mut passage)
        } else if BALANCED {
            self.follow::<SCHEDULED>(side, frame, parsed, found, way.hop, models, &mut passage)
        } else {
            self.follow::<SCHEDULED>(side, frame, parsed, found, way.hop, models, &mut ())
        };
        if let (Some(acked), Some(router)) = (&passage.acked, &mut self.router) {
            router.on_ack(found.hash, acked, now);
        }
        let Some((frame, verdict)) = left else { return };
        if SCHEDULED && way.out == Side::Outside {
            self.offer(side, frame, verdict, way.hop, parsed, found);
        } else if let Some((router, mut outlet)) = self.router(io) {
            if BALANCED && way.hop == Hop::PATHS {
                let begins = matches!(parsed, Parsed::Tcp(tcp) if tcp.segment.flags.has(Flags::SYN));
                let Passage { departed, datagram, .. } = passage;
                let parcel = Parcel { hash: found.hash, departed, begins, datagram };
                router.queue(frame, verdict, parcel, &mut outlet);
            } else {
                router.depart(way, frame, verdict, now, &mut outlet);
            }
        }
    }

    /// The paced flow of a datagram that is to leave by a path, if it has one, which may begin with this very one.
    #[inline]
    fn datagrams_of<'a>(
        &mut self,
        side: Side,
        parsed: &'a Parsed,
        hash: u64,
    ) -> Option<(PacedId, &'a Tuple)> {
        let pacing = self.pacing.as_mut().filter(|pacing| pacing.paces_datagrams())?;
        let Parsed::Untracked { kind: Untracked::Udp, owner: Some(tuple) } = parsed else { return None };
        if side != Side::Inside {
            return None;
        }
        if let Some(id) = pacing.find_datagrams(hash, self.now) {
            return Some((id, tuple));
        }
        let router = self.router.as_mut().filter(|router| router.departed_of(hash) >= DATAGRAMS_FROM)?;
        let Some((id, slot)) = pacing.open_datagrams(hash, tuple, self.now) else {
            self.stats.datagram_flows_refused += 1;
            return None;
        };
        if let Some(ledger) = router.ledger_mut() {
            ledger.open(slot);
        }
        Some((id, tuple))
    }

    /// Takes a datagram of a paced flow through pacing. Returns it, and how it will have ended, when it leaves now.
    fn follow_datagram(
        &mut self,
        frame: F,
        id: PacedId,
        (hop, tuple): (Hop, &Tuple),
        models: &ModelSet,
        passage: &mut Passage,
    ) -> Option<(F, Verdict)> {
        let Core { now, pacing: Some(pacing), stats, tally, .. } = self else {
            return Some((frame, Verdict::Untracked));
        };
        stats.count_untracked(Untracked::Udp);
        pacing.rebind_if_stale(id, *now, models, stats);
        let bytes = frame.wire_len();
        match pacing.offer_datagram(id, (hop, tuple), frame, *now, stats) {
            Offer::Pass(frame) => {
                passage.datagram = pacing.datagram(id, bytes);
                Some((frame, Verdict::Forwarded))
            }
            Offer::Held => None,
            Offer::Refused(frame, verdict) => {
                drop(frame);
                tally.end(verdict);
                None
            }
        }
    }

    /// Takes a frame that is to leave by the other side through tracking and pacing. Returns it, and how it will have
    /// ended, when it leaves now.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "each is one thing that the caller knows of the frame")]
    fn follow<const SCHEDULED: bool>(
        &mut self,
        side: Side,
        frame: F,
        parsed: &Parsed,
        found: Found,
        hop: Hop,
        models: &ModelSet,
        heard: &mut impl Heard,
    ) -> Option<(F, Verdict)> {
        match parsed {
            Parsed::Quote(quote) => {
                self.heed(side, quote, found.hash);
                self.leave_unpaced(side, frame, Verdict::Untracked, (parsed, found.hash), hop)
            }
            Parsed::Untracked { kind, .. } => {
                self.stats.count_untracked(*kind);
                self.leave_unpaced(side, frame, Verdict::Untracked, (parsed, found.hash), hop)
            }
            Parsed::Malformed(fault) => {
                self.stats.count_malformed(*fault);
                self.leave_unpaced(side, frame, Verdict::Malformed, (parsed, found.hash), hop)
            }
            Parsed::Tcp(tcp) => {
                let Found { hash, flow } = found;
                match flow.map_or_else(|| self.find_or_establish(side, hash, tcp), |id| Ok(Some(id))) {
                    Ok(Some(id)) => {
                        self.follow_tracked::<SCHEDULED>(side, frame, (id, hash, hop), tcp, models, heard)
                    }
                    Ok(None) => self.leave_unpaced(side, frame, Verdict::Untracked, (parsed, hash), hop),
                    Err(verdict) => self.leave_unpaced(side, frame, verdict, (parsed, hash), hop),
                }
            }
        }
    }

    /// A frame that no flow paces is to leave by the other side. Returns it where it leaves now: unless it is under a limit and
    /// has to wait.
    #[inline(always)]
    fn leave_unpaced(
        &mut self,
        side: Side,
        frame: F,
        verdict: Verdict,
        (parsed, hash): (&Parsed, u64),
        hop: Hop,
    ) -> Option<(F, Verdict)> {
        match self.is_limited() && side == Side::Inside {
            true => self.ask_limits(frame, verdict, Unpaced::new(parsed, hash, verdict), hop),
            false => Some((frame, verdict)),
        }
    }

    #[inline(never)]
    fn ask_limits(&mut self, frame: F, verdict: Verdict, unpaced: Unpaced, hop: Hop) -> Option<(F, Verdict)> {
        let Some(pacing) = &mut self.pacing else { return Some((frame, verdict)) };
        match pacing.offer_unpaced(hop, frame, &unpaced, self.now, &mut self.stats) {
            Offer::Pass(frame) => Some((frame, verdict)),
            Offer::Held => None,
            Offer::Refused(frame, verdict) => {
                drop(frame);
                self.tally.end(verdict);
                None
            }
        }
    }

    /// Counts what an ICMP error from `side` says, and how far it may be believed: anybody can write one, but who is
    /// not on the path cannot know which numbers are in flight (RFC 5927 section 4.1). None changes a flow: their
    /// receiver acts on them, and what it does then is seen.
    #[cold]
    fn heed(&mut self, side: Side, quote: &Quote, hash: u64) {
        let stats = &mut self.stats;
        stats.count_complaint(quote.complaint);
        // What an error quotes went the other way.
        let flow = quote.seq.and_then(|seq| {
            let entry = self.flows.get(self.flows.find(hash, &quote.tuple.outbound(side.other()))?)?;
            Some((seq, entry))
        });
        match (flow, side) {
            (None, _) => stats.icmp_of_no_flow += 1,
            // Of the data from outside no window is kept.
            (Some(_), Side::Inside) => stats.icmp_unchecked += 1,
            (Some((seq, entry)), Side::Outside) if entry.track.is_outstanding(seq) => {
                stats.icmp_in_flight += 1
            }
            (Some(_), Side::Outside) => stats.icmp_not_in_flight += 1,
        }
    }

    /// The flow of a TCP frame that was not known when the burst began: established by an earlier frame of it, by this
    /// very one, or not yet. The verdict on the frame when there is no room for it.
    #[inline(never)]
    fn find_or_establish(
        &mut self,
        side: Side,
        hash: u64,
        tcp: &TcpFrame,
    ) -> Result<Option<FlowId>, Verdict> {
        let key = tcp.tuple.outbound(side);
        if let Some(id) = self.flows.find(hash, &key) {
            return Ok(Some(id));
        }
        let Some(seed) = self.half_open.observe(hash, &key, side, &tcp.segment, self.now) else {
            return Ok(None);
        };
        let entry = FlowEntry::new(seed, self.now);
        let id = self.flows.insert(hash, &key, entry).map_err(|_| Verdict::TableFull)?;
        self.half_open.forget(hash, &key);
        self.stats.flows_opened += 1;
        Ok(Some(id))
    }

    #[inline(always)]
    fn follow_tracked<const SCHEDULED: bool>(
        &mut self,
        side: Side,
        frame: F,
        (id, hash, hop): (FlowId, u64, Hop),
        tcp: &TcpFrame,
        models: &ModelSet,
        heard: &mut impl Heard,
    ) -> Option<(F, Verdict)> {
        // Found or made just now.
        let Some(entry) = self.flows.get_mut(id) else { return Some((frame, Verdict::Untracked)) };
        let (now, stats) = (self.now, &mut self.stats);
        let mut schedule = self.schedule.as_mut().filter(|_| SCHEDULED);
        if let Some(schedule) = &mut schedule {
            watch(schedule, entry, side, tcp, now, stats);
        }
        entry.on_frame(side, &tcp.segment, now);
        let mut pacing = self.pacing.as_mut();
        if let (Some(pacing), Some(paced)) = (&mut pacing, entry.paced) {
            pacing.rebind_if_stale(paced, now, models, stats);
        }
        if side == Side::Outside {
            let mut frame = frame;
            heard.acked(acknowledge(entry, pacing, (&mut frame, tcp), now, stats));
            return Some((frame, Verdict::Forwarded));
        }
        let limited = pacing.as_ref().is_some_and(|pacing| pacing.is_limited());
        if let (Some(pacing), None) = (&mut pacing, entry.paced)
            && (tcp.segment.payload_len > 0 || limited)
        {
            entry.paced = pacing.open(id, hash, &tcp.tuple, now);
            stats.paced_flows_refused += u64::from(entry.paced.is_none());
        }
        if let Some(schedule) = &mut schedule
            && tcp.segment.payload_len > 0
            && entry.scheduled.is_none_or(|id| schedule.is_restarted(id))
        {
            entry.scheduled = schedule.begin(entry.scheduled, hash, tcp, entry.whole, now, stats);
        }
        let offer = match (&mut pacing, entry.paced) {
            (Some(pacing), Some(paced)) => pacing.offer(paced, hop, frame, tcp, now, stats),
            _ => Offer::Pass(frame),
        };
        match offer {
            Offer::Pass(frame) => {
                let departed = depart(entry, pacing, &SegmentInfo::from(&tcp.segment), now, stats);
                if let (Some(schedule), Some(id)) = (schedule, entry.scheduled) {
                    schedule.on_departed(id, departed.new_bytes, tcp.segment.flags, now, stats);
                }
                heard.departed(departed);
                if limited && entry.paced.is_none() {
                    // Nobody goes by when it departs: the tracker has been told already.
                    let unpaced = Unpaced::of_flow(&tcp.tuple, hash, tcp.segment.flags.has(Flags::SYN));
                    return self.ask_limits(frame, Verdict::Forwarded, unpaced, hop);
                }
                Some((frame, Verdict::Forwarded))
            }
            Offer::Held => None,
            Offer::Refused(frame, verdict) => {
                drop(frame);
                self.tally.end(verdict);
                None
            }
        }
    }
}

/// Who wants to know what a frame's passage meant to its flow. Nobody on a wire, at no cost.
trait Heard {
    fn departed(&mut self, departed: Departed);
    fn acked(&mut self, acked: Acked);
}

impl Heard for () {
    #[inline(always)]
    fn departed(&mut self, _: Departed) {}
    #[inline(always)]
    fn acked(&mut self, _: Acked) {}
}

/// What paths want to know.
#[derive(Default)]
struct Passage {
    departed: Departed,
    acked: Option<Acked>,
    datagram: Option<Datagram>,
}

impl Heard for Passage {
    fn departed(&mut self, departed: Departed) {
        self.departed = departed;
    }
    fn acked(&mut self, acked: Acked) {
        self.acked = Some(acked);
    }
}

/// Appends to a backlog; drops and counts what finds no room.
#[inline(always)]
pub(super) fn queue<F: Frame>(backlog: &mut Backlog<F>, frame: F, verdict: Verdict, tally: &mut Tally) {
    if backlog.push(frame, verdict).is_err() {
        tally.end(Verdict::TxFull);
    }
}

/// What the scheduler is to know of a frame of a flow before the flow's entry does: that another connection begins on its
/// ports, or that the other end gives it up.
fn watch<F: Frame>(
    schedule: &mut Schedule<F>,
    entry: &mut FlowEntry,
    side: Side,
    tcp: &TcpFrame,
    now: Ns,
    stats: &mut WorkerStats,
) {
    let flags = tcp.segment.flags;
    let anew =
        flags.has(Flags::SYN) && (entry.is_closing() || (side == Side::Inside && !flags.has(Flags::ACK)));
    entry.whole |= anew;
    let Some(id) = entry.scheduled else { return };
    if anew {
        schedule.restart(id, now, stats);
    } else if side == Side::Outside && flags.has(Flags::RST) {
        schedule.end(id, FlowEnd::Reset, now, stats);
    }
}

/// A segment of a flow departs towards the network.
#[inline]
pub(super) fn depart<F: Frame>(
    entry: &mut FlowEntry,
    pacing: Option<&mut Pacing<F>>,
    segment: &SegmentInfo,
    now: Ns,
    stats: &mut WorkerStats,
) -> Departed {
    let mut paced = pacing.zip(entry.paced);
    let detail = paced.as_mut().and_then(|(pacing, id)| pacing.detail_mut(*id));
    let departed = entry.track.on_depart(detail, segment, now);
    stats.retransmitted_bytes += u64::from(departed.retransmitted_bytes);
    if let Some((pacing, id)) = paced {
        pacing.on_departed(id, now, &departed);
    }
    departed
}

/// A segment of a flow has arrived from the network.
#[inline]
fn acknowledge<F: Frame>(
    entry: &mut FlowEntry,
    pacing: Option<&mut Pacing<F>>,
    (frame, tcp): (&mut F, &TcpFrame),
    now: Ns,
    stats: &mut WorkerStats,
) -> Acked {
    let mut paced = pacing.zip(entry.paced);
    let detail = paced.as_mut().and_then(|(pacing, id)| pacing.detail_mut(*id));
    let acked = entry.track.on_ack(detail, &tcp.segment, now);
    if let Some((pacing, id)) = paced {
        pacing.on_acked(id, now, &acked);
        pacing.show_window(id, frame, tcp, (entry.track.next(), entry.scales.of(Side::Outside)), stats);
    }
    let Acked { lost_bytes, spurious_bytes, ece, reordered, .. } = acked;
    if lost_bytes | spurious_bytes != 0 || ece || reordered {
        stats.lost_bytes += u64::from(lost_bytes);
        stats.spurious_bytes += u64::from(spurious_bytes);
        stats.reordered += u64::from(reordered);
        stats.ecn_echoes += u64::from(ece);
    }
    acked
}
