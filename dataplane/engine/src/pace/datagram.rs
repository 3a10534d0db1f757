//! Flows of datagrams: which there are, and how the answers to their paths' probes reach them.
//!
//! What paces a datagram flow is what paces TCP: a place in the slab, a governor, monitor intervals. Only where its feedback comes
//! from differs. Each time a probe is answered its flows are looked at, some in each turn, and their accounts are settled
//! (`crate::balance`). A monitor interval ends at such a moment and at no other: what an answer acknowledges departed between two
//! probes, so only between two answers is it a rate.
//!
//! ```text
//!   probe answered --> flows, in a circle: accounts settled --acknowledged, lost, RTT--> interval --(long enough)--> decided
//! ```
//!
//! A flow is one once it has sent [`DATAGRAMS_FROM`]: a question and its answer take no place here. It is known by its hash, for
//! as long as it sends. The places are bounded and apart from TCP's, so that no flood of datagrams takes one from a connection.

mod table;

pub(super) use table::Datagrams;

use super::flow::FlowFlags;
use super::{Offer, Offered, Pacing};
use crate::balance::{Datagram, Settled};
use crate::config::EngineConfig;
use crate::counters::WorkerStats;
use crate::flow::{FlowId, PacedId};
use crate::io::Frame;
use crate::route::Hop;
use crate::time::Ns;
use crate::track::{Departed, SegmentInfo};
use crate::wire::Tuple;

/// Bytes that a flow has sent before it is paced: about the ten packets that QUIC, and TCP, may send at once before anybody has
/// answered (RFC 9002 section 7.2, RFC 6928).
pub(crate) const DATAGRAMS_FROM: u64 = 16 << 10;
/// A flow that is silent for longer is over: beyond it nothing that was learned about its path is true.
const IDLE_MAX: Ns = Ns::from_secs(10);
/// Accounts settled per turn.
const SETTLED_PER_TURN: usize = 64;

/// How many places there are for datagram flows: a quarter of TCP's.
pub(super) fn places(engine: &EngineConfig) -> u32 {
    let balance = engine.route.as_ref().and_then(|route| route.balance.as_ref());
    // Behind a shaper nobody would know when they depart.
    let paced = engine.schedule.is_none();
    balance.filter(|_| paced).map_or(0, |balance| balance.datagram_flows(engine.flows_max))
}

/// A datagram as pacing sees it: its whole length is what counts as data.
struct Whole<'a> {
    tuple: &'a Tuple,
    bytes: u16,
}

impl Offered for Whole<'_> {
    fn tuple(&self) -> &Tuple {
        self.tuple
    }
    fn payload_len(&self) -> u16 {
        self.bytes
    }
    fn segment(&self) -> SegmentInfo {
        SegmentInfo { payload_len: self.bytes, ..SegmentInfo::default() }
    }
}

impl<F: Frame> Pacing<F> {
    /// Whether there is room for flows of datagrams at all.
    #[inline]
    pub(crate) fn paces_datagrams(&self) -> bool {
        self.datagrams.has_places()
    }

    /// The datagram flow of this hash, of which a datagram has come.
    #[inline]
    pub(crate) fn find_datagrams(&mut self, hash: u64, now: Ns) -> Option<PacedId> {
        let slot = self.datagrams.find(hash)?;
        self.datagrams.touch(slot, now);
        PacedId::new(self.datagrams.index(slot))
    }

    /// Begins to pace a flow of datagrams; the number by which its account is known. `None` where there is no room for another.
    pub(crate) fn open_datagrams(&mut self, hash: u64, key: &Tuple, now: Ns) -> Option<(PacedId, u32)> {
        let slot = self.datagrams.open(hash, now)?;
        let index = self.datagrams.index(slot);
        self.begin(index, FlowId::NONE, hash, key, now);
        Some((PacedId::new(index)?, slot))
    }

    /// A datagram of a paced flow, on its way to `hop`. Where it passes it has departed.
    pub(crate) fn offer_datagram(
        &mut self,
        id: PacedId,
        (hop, tuple): (Hop, &Tuple),
        frame: F,
        now: Ns,
        stats: &mut WorkerStats,
    ) -> Offer<F> {
        let bytes = frame.wire_len();
        let datagram = Whole { tuple, bytes: u16::try_from(bytes).unwrap_or(u16::MAX) };
        let offer = self.offer(id, hop, frame, &datagram, now, stats);
        if matches!(offer, Offer::Pass(_)) {
            self.on_datagram_departed(id, bytes, now);
        }
        offer
    }

    /// A datagram of a paced flow has left.
    pub(crate) fn on_datagram_departed(&mut self, id: PacedId, bytes: u32, now: Ns) {
        self.on_departed(id, now, &Departed { new_bytes: bytes.min(u16::MAX.into()), ..Departed::default() });
    }

    /// What a path is told when a datagram of this flow departs.
    #[inline]
    pub(crate) fn datagram(&self, id: PacedId, bytes: u32) -> Option<Datagram> {
        let slot = self.datagrams.slot_of(id.index() as u32)?;
        Some(Datagram { slot, bytes: bytes.min(u16::MAX.into()) })
    }

    /// Tells some flows what has become of what they sent, by `settle`. `has_news` says that probes were answered since.
    pub(crate) fn feed(
        &mut self,
        now: Ns,
        has_news: bool,
        mut settle: impl FnMut(u32) -> Option<Settled>,
        stats: &mut WorkerStats,
    ) {
        if has_news {
            self.datagrams.look_at_all();
        }
        for _ in 0..SETTLED_PER_TURN {
            if self.datagrams.ends_no_more() {
                return;
            }
            let Some(slot) = self.datagrams.next() else { return };
            let Some(Settled { acked, fallen }) = settle(slot) else { continue };
            stats.datagram_feedback += 1;
            stats.datagram_delivered_bytes += u64::from(acked.delivered_bytes);
            stats.datagram_lost_bytes += u64::from(acked.lost_bytes);
            let index = self.datagrams.index(slot);
            let Some(id) = PacedId::new(index) else { continue };
            self.on_acked(id, now, &acked);
            if fallen {
                // Another path, or this one when it is back, is nothing that it knows.
                stats.datagram_restarts += 1;
                self.on_departed(id, now, &Departed { restarted: true, ..Departed::default() });
                self.begin_interval_anew(index, now);
                continue;
            }
            if let Some(Some(flow)) = self.flows.get(index as usize)
                && flow.flags.has(FlowFlags::OPEN)
                && flow.interval.due(now.0, &self.settings.spec)
            {
                self.datagrams.end(slot);
            }
        }
    }

    /// What its open interval has seen is none of a flow's that begins anew.
    fn begin_interval_anew(&mut self, index: u32, now: Ns) {
        if let Some(Some(flow)) = self.flows.get_mut(index as usize)
            && flow.flags.has(FlowFlags::OPEN)
        {
            self.intervals.close(flow);
            self.settings.begin_interval(&mut self.intervals, index, flow, now);
        }
    }

    /// Looks at a datagram flow: one that has been silent for long is forgotten, an interval that nobody answers ends.
    pub(crate) fn sweep_datagrams(&mut self, now: Ns, idle_max: Ns) {
        let datagrams = &mut self.datagrams;
        let Some((slot, seen)) = datagrams.sweep() else { return };
        let index = datagrams.index(slot);
        let Some(Some(flow)) = self.flows.get_mut(index as usize) else { return };
        if flow.queue.is_empty() && now - seen > IDLE_MAX.min(idle_max) {
            if flow.flags.has(FlowFlags::OPEN) {
                self.intervals.close(flow);
            }
            datagrams.close(slot);
            self.flows[index as usize] = None;
            return;
        }
        let age = now.0.saturating_sub(flow.interval.start_ns());
        if flow.flags.has(FlowFlags::OPEN) && age >= self.settings.spec.interval_max_ns {
            match flow.flags.has(FlowFlags::TOUCHED) || !flow.queue.is_empty() {
                true => datagrams.end(slot),
                // It rests: its next datagram opens the next interval.
                false => self.intervals.close(flow),
            }
        }
    }
}
