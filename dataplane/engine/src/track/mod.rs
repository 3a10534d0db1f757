//! The inside-to-outside data of one TCP flow, watched from the middle.
//!
//! The tracker sees two things: segments as they *depart* from Weir towards the network ([`Track::on_depart`]), and
//! acknowledgements as they come back ([`Track::on_ack`]). From these it tells how many bytes were new, how many
//! repeated, how many arrived, how long the network took, and what was lost. A byte exists from its departure:
//! time spent on Weir's own wheel is none of the network's.
//!
//! ```text
//!                 una                                        next
//!   ---------------+-------------------------------------------+--------------> sequence numbers
//!    acknowledged  |  outstanding, of it:                       |  not departed yet
//!                  |   sacked  (arrived out of order)           |
//!                  |   holes   (passed over: never departed)    |
//! ```
//!
//! *Delivered* bytes are those newly acknowledged, cumulatively or selectively, less holes, SYN and FIN. Each byte
//! is told once.
//!
//! *Round-trip time* comes from the sequence match of a few marked segments (`markers`), and where that fails
//! (after a repair, for a flow without [`Detail`]) from timestamps: the first departure of a timestamp value is
//! matched with the first acknowledgement of new data that echoes it. Both ends of that match are exact times of
//! Weir's own clock, so the tick of the sender's (1 ms on Linux) does not enter; a value that leaves again with a
//! repeated segment in the same tick is ambiguous and dropped.
//!
//! *Lost* bytes are repeated ones, told when the acknowledgement passes the first segment of the repair: by then
//! timestamps tell whether the original had arrived after all (Eifel, RFC 3522), and such bytes are *spurious*
//! instead. Without timestamps a duplicate report (DSACK, RFC 2883) tells so later, after they were told as
//! lost. Probes of a closed window and keep-alives repeat a byte on purpose and are neither.
//!
//! *Reordered* is an acknowledgement that closes a gap below selectively acknowledged data although nothing was
//! repeated.
//!
//! What does not fit is safe: an acknowledgement of bytes that never departed is ignored and told
//! ([`Acked::unseen`]), a segment farther away than any window restarts the tracker there.

mod markers;
mod ranges;
mod seq;

use crate::time::Ns;
use crate::wire::{Flags, SackBlocks, Segment};
use markers::{MARKERS, Markers};
use ranges::Ranges;
use seq::{WINDOW_MAX, before, earlier, later, span};

/// Selectively acknowledged ranges remembered. One that finds no room is told as delivered when the cumulative
/// acknowledgement passes it.
const SACKED_RANGES: usize = 5;
/// Passed-over ranges remembered. Bytes of one that finds no room count as repeated when they do depart.
const HOLES: usize = 2;

/// The tracker of one flow.
#[derive(Clone, Copy, Debug, Default)]
pub struct Track {
    /// When the segment with `timestamp` departed.
    timestamp_at: Ns,
    /// A timestamp value on its way; counts while `state` has `TIMESTAMP_OUT`.
    timestamp: u32,
    /// The value in the last data segment that departed; counts while `state` has `TIMESTAMPED`.
    timestamp_last: u32,
    /// First number not acknowledged yet.
    una: u32,
    /// First number that has not departed yet.
    next: u32,
    /// End of the last segment that was marked.
    marked: u32,
    /// Bytes repeated since the last verdict on them.
    repair_bytes: u32,
    /// End of the first repeated segment; counts while `repair_bytes` is not 0.
    repair_end: u32,
    /// Its timestamp value; counts while `state` has `REPAIR_TIMESTAMPED`.
    repair_timestamp: u32,
    state: u8,
}

/// The number before `next` is a FIN.
const FIN_SENT: u8 = 1;
const TIMESTAMP_OUT: u8 = 1 << 1;
const TIMESTAMPED: u8 = 1 << 2;
const REPAIR_TIMESTAMPED: u8 = 1 << 3;
/// The peer's last window was zero.
const WINDOW_CLOSED: u8 = 1 << 4;
/// Something before `next` has departed since the last time that nothing was missing.
const REPAIRED: u8 = 1 << 5;
/// The segment with `timestamp` was a repeated one.
const TIMESTAMP_REPEATED: u8 = 1 << 6;

// Shares the 128 bytes of a tracked flow with its key.
const _: () = assert!(size_of::<Track>() <= 48);

/// What a tracker knows more about a *paced* flow. Lives in the paced slab; a tracker works without it, then with
/// timestamps only and blind to selective acknowledgements.
///
/// In this order: markers, which every segment needs, are in one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Detail {
    markers: Markers,
    sacked: Ranges<SACKED_RANGES>,
    holes: Ranges<HOLES>,
}

// Shares the 448 bytes of a paced flow with its interval and history.
const _: () = assert!(size_of::<Detail>() <= 128);

impl Detail {
    /// Nothing known yet. May be given to a tracker at any time; from then on it belongs to every call on that
    /// tracker.
    pub const EMPTY: Detail = Detail { markers: Markers::EMPTY, sacked: Ranges::EMPTY, holes: Ranges::EMPTY };

    /// Bytes that have arrived beyond the cumulative acknowledgement, as far as they are kept in mind.
    pub fn sacked_bytes(&self) -> u32 {
        self.sacked.total()
    }
}

impl Default for Detail {
    fn default() -> Detail {
        Detail::EMPTY
    }
}

/// What the tracker needs to know of a segment when it departs; small enough to wait with its frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Sequence number of the first byte, or of the SYN.
    pub seq: u32,
    /// The timestamp value; counts when `timestamped`.
    pub timestamp: u32,
    /// Bytes of payload.
    pub payload_len: u16,
    /// Control bits.
    pub flags: Flags,
    /// Whether the segment has the timestamps option.
    pub timestamped: bool,
}

impl From<&Segment> for SegmentInfo {
    #[inline]
    fn from(segment: &Segment) -> SegmentInfo {
        SegmentInfo {
            seq: segment.seq,
            timestamp: segment.timestamps.map_or(0, |timestamps| timestamps.value),
            payload_len: segment.payload_len,
            flags: segment.flags,
            timestamped: segment.timestamps.is_some(),
        }
    }
}

/// What one departure meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Departed {
    /// Payload bytes that departed for the first time.
    pub new_bytes: u32,
    /// Payload bytes that had departed before; probes of a closed window and keep-alives not counted.
    pub retransmitted_bytes: u32,
    /// The sender says that it has slowed down after an echoed mark.
    pub cwr: bool,
    /// The segment belongs to another connection than the last one did; the tracker has started over.
    pub restarted: bool,
}

/// What one acknowledgement meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acked {
    /// Payload bytes newly known to have arrived.
    pub delivered_bytes: u32,
    /// Round-trip time, from departure, in nanoseconds.
    pub rtt_ns: Option<u64>,
    /// Repeated bytes of which nothing shows that they need not have been.
    pub lost_bytes: u32,
    /// Repeated bytes that need not have been: shown by timestamps, or, where there are none, by a duplicate
    /// report, in which case they were told as lost before.
    pub spurious_bytes: u32,
    /// The receiver echoes a congestion mark.
    pub ece: bool,
    /// Data has overtaken other data on the way.
    pub reordered: bool,
    /// The segment acknowledges bytes that never departed, and was ignored.
    pub unseen: bool,
}

impl Track {
    /// A tracker whose flow continues at sequence number `next`: everything before is history and never counted.
    pub fn new(next: u32) -> Track {
        Track { una: next, next, marked: next, ..Track::default() }
    }

    /// Sequence numbers departed and not yet acknowledged cumulatively.
    #[inline]
    pub fn outstanding(&self) -> u32 {
        span(self.una, self.next)
    }

    /// The first sequence number that has not departed yet.
    #[inline]
    pub fn next(&self) -> u32 {
        self.next
    }

    /// Whether the byte with this sequence number is outstanding.
    pub fn is_outstanding(&self, seq: u32) -> bool {
        seq.wrapping_sub(self.una) < self.outstanding()
    }

    /// A segment from inside departs at `at`.
    ///
    /// Inlined, as [`on_ack`](Track::on_ack) is: a result returned through memory is written field by field and copied by
    /// wide loads, which the processor makes wait (measured: 3 ns a frame each).
    #[inline(always)]
    pub fn on_depart(&mut self, mut detail: Option<&mut Detail>, segment: &SegmentInfo, at: Ns) -> Departed {
        // The payload of a reset is a message about it, no data (RFC 9293 section 3.5.3).
        if segment.flags.has(Flags::RST) {
            return Departed::default();
        }
        let syn = segment.flags.has(Flags::SYN);
        // On a SYN the bit offers ECN (RFC 3168 section 6.1.1).
        let cwr = segment.flags.has(Flags::CWR) && !syn;
        let mut departed = Departed { cwr, ..Departed::default() };
        let start = segment.seq.wrapping_add(u32::from(syn));
        if self.is_foreign(start, syn) {
            *self = Track::new(start);
            if let Some(detail) = detail.as_deref_mut() {
                *detail = Detail::EMPTY;
            }
            departed.restarted = true;
        }
        let fin = segment.flags.has(Flags::FIN);
        let data_end = start.wrapping_add(u32::from(segment.payload_len));
        let end = data_end.wrapping_add(u32::from(fin));
        if end == start {
            return departed;
        }
        let next = self.next;
        if before(next, end) {
            if before(next, start)
                && let Some(detail) = detail.as_deref_mut()
            {
                detail.holes.insert(next, start);
            }
            departed.new_bytes = span(later(start, next), data_end);
            self.next = end;
            self.state = self.state & !FIN_SENT | if fin { FIN_SENT } else { 0 };
        }
        if before(start, next) {
            let (late, again) = self.on_repair(detail.as_deref_mut(), segment, start, earlier(end, next));
            departed.new_bytes += late;
            departed.retransmitted_bytes = again;
        } else if let Some(detail) = detail {
            // Spread evenly over what is outstanding, so that samples do not come in bunches.
            let spacing = self.outstanding() / MARKERS as u32;
            if end.wrapping_sub(self.marked) >= spacing && detail.markers.place(end, at) {
                self.marked = end;
            }
        }
        if segment.timestamped {
            self.on_timestamp(segment.timestamp, before(start, next), at);
        }
        departed
    }

    /// Whether a segment that begins at `start` is not of the connection tracked so far: a SYN with another initial
    /// number (the ports are used again), or a distance that no window spans (nothing was seen of the change).
    /// Measured from `una`, so that never more is outstanding than one window and one segment.
    fn is_foreign(&self, start: u32, syn: bool) -> bool {
        let far = start.wrapping_sub(self.una) as i32;
        far.unsigned_abs() > WINDOW_MAX || syn && (far < 0 || before(self.next, start))
    }

    /// The part `start..end` of a segment lies before `next`: repeated, or late. Returns the payload bytes that depart for
    /// the first time, and those that do not.
    #[inline(never)]
    fn on_repair(
        &mut self,
        detail: Option<&mut Detail>,
        segment: &SegmentInfo,
        start: u32,
        end: u32,
    ) -> (u32, u32) {
        let data_end = earlier(end, start.wrapping_add(u32::from(segment.payload_len)));
        let data = span(start, data_end);
        let outstanding_from = later(start, self.una);
        let (mut late, mut sacked) = (0, 0);
        if let Some(detail) = detail {
            late = detail.holes.remove(start, data_end);
            sacked = detail.sacked.overlap(outstanding_from, data_end);
            if before(outstanding_from, end) {
                detail.markers.on_repair(outstanding_from, end);
            }
        }
        self.state |= REPAIRED;
        // RFC 9293 sections 3.8.4 and 3.8.6.1: a byte sent only to be answered.
        let closed = self.state & WINDOW_CLOSED != 0;
        if data <= 1 && late == 0 && (before(start, self.una) || closed) {
            return (0, 0);
        }
        let told = (late, data - late);
        let missing = span(outstanding_from, data_end).saturating_sub(late + sacked);
        if missing == 0 {
            return told;
        }
        if self.repair_bytes == 0 {
            self.repair_end = data_end;
            self.repair_timestamp = segment.timestamp;
            self.state &= !REPAIR_TIMESTAMPED;
            self.state |= if segment.timestamped { REPAIR_TIMESTAMPED } else { 0 };
        }
        self.repair_bytes = self.repair_bytes.saturating_add(missing);
        told
    }

    /// A data segment with timestamp `value` departs.
    #[inline]
    fn on_timestamp(&mut self, value: u32, repeated: bool, at: Ns) {
        if self.state & TIMESTAMP_OUT != 0 {
            // Of two segments with this value, the acknowledgement may mean either, unless both are new: then new
            // data is acknowledged by the first of them or not with this value.
            let doubtful = repeated || self.state & TIMESTAMP_REPEATED != 0;
            if doubtful && value == self.timestamp {
                self.state &= !TIMESTAMP_OUT;
            }
        } else if self.state & TIMESTAMPED == 0 || value != self.timestamp_last {
            (self.timestamp, self.timestamp_at) = (value, at);
            self.state &= !TIMESTAMP_REPEATED;
            self.state |= TIMESTAMP_OUT | if repeated { TIMESTAMP_REPEATED } else { 0 };
        }
        self.timestamp_last = value;
        self.state |= TIMESTAMPED;
    }

    /// A segment from outside arrives at `at`.
    #[inline(always)]
    pub fn on_ack(&mut self, mut detail: Option<&mut Detail>, segment: &Segment, at: Ns) -> Acked {
        let mut acked = Acked::default();
        // The flags of a SYN negotiate ECN; those of a reset mean nothing.
        if !segment.flags.has(Flags::ACK) || segment.flags.has(Flags::RST) {
            return acked;
        }
        acked.ece = segment.flags.has(Flags::ECE) && !segment.flags.has(Flags::SYN);
        let ack = segment.ack;
        if before(self.next, ack) {
            acked.unseen = true;
            return acked;
        }
        self.state &= !WINDOW_CLOSED;
        self.state |= if segment.window == 0 { WINDOW_CLOSED } else { 0 };
        let advance = span(self.una, ack);
        if advance > 0 {
            self.advance(detail.as_deref_mut(), segment, advance, &mut acked);
        }
        // Nearly always without selective acknowledgements: then nothing is copied.
        let outstanding;
        let mut sack = &SackBlocks::NONE;
        if let [first, ..] = segment.sack.as_slice() {
            if segment.timestamps.is_none() && is_duplicate(&segment.sack, ack) {
                acked.spurious_bytes += span(first.start, first.end).min(WINDOW_MAX);
            }
            if let Some(detail) = detail.as_deref_mut() {
                outstanding = self.outstanding_blocks(&segment.sack);
                sack = &outstanding;
                acked.delivered_bytes += self.on_sack(detail, sack);
            }
        }
        let by_sequence = detail.and_then(|detail| detail.markers.on_ack(ack, sack, at));
        let by_timestamp = self.echoed(segment, advance > 0, at);
        acked.rtt_ns = by_sequence.or(by_timestamp).map(|rtt| rtt.0);
        acked
    }

    /// The cumulative acknowledgement moves on by `advance` numbers.
    #[inline(always)]
    fn advance(&mut self, detail: Option<&mut Detail>, segment: &Segment, advance: u32, acked: &mut Acked) {
        let ack = segment.ack;
        let fin = u32::from(ack == self.next && self.state & FIN_SENT != 0);
        let (mut known, mut gap_left) = (0, false);
        if let Some(detail) = detail {
            acked.reordered = !detail.sacked.is_empty() && self.state & REPAIRED == 0;
            known = detail.sacked.remove_before(ack) + detail.holes.remove_before(ack);
            gap_left = !detail.sacked.is_empty();
        }
        acked.delivered_bytes = advance.saturating_sub(known + fin);
        self.una = ack;
        if !gap_left {
            self.state &= !REPAIRED;
        }
        if self.repair_bytes > 0 && !before(ack, self.repair_end) {
            let original_arrived = self.state & REPAIR_TIMESTAMPED != 0
                && segment
                    .timestamps
                    .is_some_and(|timestamps| before(timestamps.echo, self.repair_timestamp));
            if original_arrived {
                acked.spurious_bytes = self.repair_bytes;
            } else {
                acked.lost_bytes = self.repair_bytes;
            }
            self.repair_bytes = 0;
        }
    }

    /// The blocks that lie within what is outstanding; others are old, duplicate reports, or lies.
    fn outstanding_blocks(&self, sack: &SackBlocks) -> SackBlocks {
        let mut blocks = SackBlocks::default();
        for block in sack.as_slice() {
            // Unsigned distances from `una`, so that no lie can hide behind the wrap.
            let (from, to) = (block.start.wrapping_sub(self.una), block.end.wrapping_sub(self.una));
            if from < to && to <= self.outstanding() {
                blocks.push(*block);
            }
        }
        blocks
    }

    /// Takes up selective acknowledgements; returns the payload bytes that were news.
    fn on_sack(&self, detail: &mut Detail, sack: &SackBlocks) -> u32 {
        let data_end = self.next.wrapping_sub(u32::from(self.state & FIN_SENT != 0));
        let mut news = 0;
        for block in sack.as_slice() {
            let end = earlier(block.end, data_end);
            let fresh = detail.sacked.insert(block.start, end);
            if fresh > 0 {
                // Bytes that arrived by a way that Weir did not see.
                news += fresh - detail.holes.remove(block.start, end);
            }
        }
        news
    }

    /// The round-trip time by timestamps, where this acknowledgement gives one.
    #[inline]
    fn echoed(&mut self, segment: &Segment, advances: bool, at: Ns) -> Option<Ns> {
        let timestamps = segment.timestamps?;
        if self.state & TIMESTAMP_OUT == 0 {
            return None;
        }
        if timestamps.echo == self.timestamp {
            // RFC 7323 section 4.1: only an acknowledgement of new data tells a round trip.
            if !advances {
                return None;
            }
            self.state &= !TIMESTAMP_OUT;
            return Some(at - self.timestamp_at);
        }
        if before(self.timestamp, timestamps.echo) {
            // Passed over: the segment was lost, or a delayed acknowledgement echoes an earlier one of the two.
            self.state &= !TIMESTAMP_OUT;
        }
        None
    }
}

/// Whether the first block reports data that had arrived before (RFC 2883 section 4): it lies below the cumulative
/// acknowledgement, or inside the second block.
fn is_duplicate(sack: &SackBlocks, ack: u32) -> bool {
    match sack.as_slice() {
        [first, ..] if before(first.start, first.end) && !before(ack, first.end) => true,
        [first, second, ..] => !before(first.start, second.start) && !before(second.end, first.end),
        _ => false,
    }
}
