//! What is kept of a tracked flow.

use super::half_open::Seed;
use super::scale::WindowScales;
use crate::io::Side;
use crate::schedule::ScheduledId;
use crate::time::Ns;
use crate::track::Track;
use crate::wire::{Flags, Segment};
use core::num::NonZeroU32;

/// How long a flow stays after a reset. The reset's receiver is silent from then on; what still comes are frames
/// that crossed it, at most a round trip later. A forged reset that the hosts reject costs an idle flow its entry,
/// and the next frames of both sides bring it back.
const RESET_LINGER: Ns = Ns::from_secs(1);
/// How long a flow stays after both sides have said FIN: long enough for the last FIN to be repeated a few times
/// (Linux waits 200 ms at first, and doubles).
const FIN_LINGER: Ns = Ns::from_secs(3);

/// Where a flow's pacing state lies in the paced slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacedId(NonZeroU32);

impl PacedId {
    /// The id of slot `index`; `None` for `u32::MAX`, which no slab reaches.
    #[inline]
    pub const fn new(index: u32) -> Option<PacedId> {
        match NonZeroU32::new(index.wrapping_add(1)) {
            Some(id) => Some(PacedId(id)),
            None => None,
        }
    }

    /// The slot.
    #[inline]
    pub const fn index(self) -> usize {
        (self.0.get() - 1) as usize
    }
}

const INSIDE_FIN: u8 = 1;
const OUTSIDE_FIN: u8 = 1 << 1;
const BOTH_FIN: u8 = INSIDE_FIN | OUTSIDE_FIN;
const RESET: u8 = 1 << 2;

/// One tracked flow, both directions.
#[derive(Clone, Copy, Debug, Default)]
pub struct FlowEntry {
    /// The data from inside to outside.
    pub track: Track,
    /// When the last frame of either direction arrived.
    pub seen: Ns,
    /// Where its pacing state is, if it is paced.
    pub paced: Option<PacedId>,
    /// Where its scheduling state is, if it is scheduled.
    pub scheduled: Option<ScheduledId>,
    /// The present connection was seen from its handshake on.
    pub whole: bool,
    /// What its handshake said of windows.
    pub scales: WindowScales,
    /// How far the connection has been closed.
    closing: u8,
}

impl FlowEntry {
    /// A flow that has just become established.
    pub fn new(seed: Seed, now: Ns) -> FlowEntry {
        FlowEntry {
            track: Track::new(seed.next),
            seen: now,
            paced: None,
            scheduled: None,
            whole: seed.whole,
            scales: seed.scales,
            closing: 0,
        }
    }

    /// A frame of the flow arrives from side `from`. Keeps the times and the state of closing; the tracker is the
    /// caller's to feed, at departure or arrival.
    #[inline]
    pub fn on_frame(&mut self, from: Side, segment: &Segment, now: Ns) {
        self.seen = now;
        self.scales.observe(from, segment);
        let fin = u8::from(segment.flags.has(Flags::FIN)) << from as u8;
        let reset = if segment.flags.has(Flags::RST) { RESET } else { 0 };
        self.closing |= fin | reset;
        // The ports are used again. A SYN from outside on a live flow may be forged and changes nothing; if the
        // inside host does accept it, its SYN-ACK comes by here.
        if segment.flags.has(Flags::SYN) && (self.is_closing() || from == Side::Inside) {
            self.closing = 0;
        }
    }

    /// Whether a reset or both FINs have been seen.
    #[inline]
    pub fn is_closing(&self) -> bool {
        self.closing & RESET != 0 || self.closing & BOTH_FIN == BOTH_FIN
    }

    /// Whether the flow may be forgotten at `now`: silent for `idle_max`, or closed and silent for a short while.
    #[inline]
    pub fn is_over(&self, now: Ns, idle_max: Ns) -> bool {
        let silence_max = if self.closing & RESET != 0 {
            RESET_LINGER
        } else if self.closing & BOTH_FIN == BOTH_FIN {
            FIN_LINGER
        } else {
            idle_max
        };
        now - self.seen > silence_max.min(idle_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Ns = Ns::from_secs(120);

    fn segment(flags: Flags) -> Segment {
        Segment { flags, ..Segment::default() }
    }

    #[test]
    fn a_flow_ends_by_silence_fin_or_reset() {
        // Frames, silence after which the flow is still known, silence after which it is not.
        type Case = (&'static [(Side, Flags)], Ns, Ns);
        let cases: [Case; 4] = [
            (&[], IDLE, IDLE + Ns(1)),
            (&[(Side::Inside, Flags::FIN)], IDLE, IDLE + Ns(1)),
            (&[(Side::Inside, Flags::FIN), (Side::Outside, Flags::FIN)], FIN_LINGER, FIN_LINGER + Ns(1)),
            (&[(Side::Outside, Flags::RST)], RESET_LINGER, RESET_LINGER + Ns(1)),
        ];
        for (frames, known, over) in cases {
            let mut entry = FlowEntry::new(Seed::default(), Ns::ZERO);
            for (from, flags) in frames {
                entry.on_frame(*from, &segment(*flags), Ns::ZERO);
            }
            assert!(!entry.is_over(known, IDLE), "{frames:?}");
            assert!(entry.is_over(over, IDLE), "{frames:?}");
        }
    }

    #[test]
    fn a_syn_reopens_a_closed_flow_and_a_forged_one_from_outside_does_nothing() {
        let mut entry = FlowEntry::new(Seed::default(), Ns::ZERO);
        entry.on_frame(Side::Inside, &segment(Flags::FIN), Ns::ZERO);
        entry.on_frame(Side::Outside, &segment(Flags::SYN), Ns::ZERO);
        entry.on_frame(Side::Outside, &segment(Flags::FIN), Ns::ZERO);
        assert!(entry.is_closing(), "the first FIN was not forgotten");
        entry.on_frame(Side::Outside, &segment(Flags::SYN), Ns::ZERO);
        assert!(!entry.is_closing());
        entry.on_frame(Side::Outside, &segment(Flags::RST), Ns::ZERO);
        entry.on_frame(Side::Inside, &segment(Flags::SYN), Ns::ZERO);
        assert!(!entry.is_closing());
    }

    #[test]
    fn paced_ids_cover_all_but_one_index() {
        assert_eq!(size_of::<Option<PacedId>>(), 4);
        for index in [0, 1, u32::MAX - 1] {
            assert_eq!(PacedId::new(index).unwrap().index(), index as usize);
        }
        assert_eq!(PacedId::new(u32::MAX), None);
    }
}
