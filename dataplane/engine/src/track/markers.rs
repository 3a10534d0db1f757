//! Departure times of a few segments, from which round-trip times are read by sequence match.
//!
//! A marker waits for the acknowledgement of its segment's last number, cumulative or selective. Two things spoil
//! it. *Its own segment leaves again* (Karn): which copy is acknowledged cannot be told, so the marker goes.
//! *An earlier number leaves again*: the cumulative acknowledgement now also waits for that repair and tells
//! nothing about the network; a selective one still does, so from then on the marker accepts only that.

use super::seq::before;
use crate::time::Ns;
use crate::wire::SackBlocks;

/// Markers of one flow. Seven samples per round trip are three to four per monitor interval of half a round trip: enough for
/// its mean, and for the slope that latency inflation is.
pub(super) const MARKERS: usize = 7;

/// Up to [`MARKERS`] outstanding markers. Slot `i` is in use when bit `i` of `live` is set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Markers {
    left_at: [Stamp; MARKERS],
    /// First sequence number after the segment.
    ends: [u32; MARKERS],
    live: u8,
    sack_only: u8,
}

/// A time in 2^4 ns, modulo 2^32 of those (68.7 s, what the features take for the longest RTT): half the room of a
/// whole one. A marker that waits for longer belongs to a sender that has long sent again, and its marker with it.
#[derive(Clone, Copy, Debug)]
struct Stamp(u32);

impl Stamp {
    const UNIT_BITS: u32 = 4;

    fn at(time: Ns) -> Stamp {
        Stamp((time.0 >> Stamp::UNIT_BITS) as u32)
    }
    fn until(self, now: Ns) -> Ns {
        Ns(u64::from(Stamp::at(now).0.wrapping_sub(self.0)) << Stamp::UNIT_BITS)
    }
}

impl Markers {
    pub(super) const EMPTY: Markers =
        Markers { left_at: [Stamp(0); MARKERS], ends: [0; MARKERS], live: 0, sack_only: 0 };

    /// Marks the segment that ends at `end` and left at `at`. Returns whether there was a free slot.
    #[inline]
    pub(super) fn place(&mut self, end: u32, at: Ns) -> bool {
        let slot = self.live.trailing_ones() as usize;
        let (Some(free_end), Some(free_at)) = (self.ends.get_mut(slot), self.left_at.get_mut(slot)) else {
            return false;
        };
        (*free_end, *free_at) = (end, Stamp::at(at));
        self.live |= 1 << slot;
        self.sack_only &= !(1 << slot);
        true
    }

    /// The numbers `start..end` have left again, or for the first time but out of order.
    pub(super) fn on_repair(&mut self, start: u32, end: u32) {
        for slot in 0..MARKERS {
            // The number that the marker waits for is the last of its segment, `ends - 1`.
            if !before(start, self.ends[slot]) {
                continue;
            }
            if before(end, self.ends[slot]) {
                self.sack_only |= 1 << slot;
            } else {
                self.live &= !(1 << slot);
            }
        }
    }

    /// An acknowledgement has arrived at `at`. Returns the round-trip time of the segment that left last among
    /// those it acknowledges: that one most likely caused it, the others waited for company (delayed and
    /// stretched acknowledgements).
    #[inline]
    pub(super) fn on_ack(&mut self, ack: u32, sack: &SackBlocks, at: Ns) -> Option<Ns> {
        // Every slot alike, in use or not: which ones are hit is as good as random, and a wrong guess of the processor
        // costs more than all of them.
        let mut passed = 0;
        for (slot, end) in self.ends.iter().enumerate() {
            passed |= u8::from(!before(ack, *end)) << slot;
        }
        let mut good = passed & !self.sack_only;
        for block in sack.as_slice() {
            for (slot, end) in self.ends.iter().enumerate() {
                let within = before(block.start, *end) && !before(block.end, *end);
                good |= (u8::from(within) << slot) & !passed;
            }
        }
        let hit = (passed | good) & self.live;
        good &= hit;
        self.live &= !hit;
        if good == 0 {
            return None;
        }
        let rtt =
            |slot: usize| if good & (1 << slot) != 0 { self.left_at[slot].until(at) } else { Ns::NEVER };
        Some((0..MARKERS).map(rtt).fold(Ns::NEVER, Ns::min))
    }
}
