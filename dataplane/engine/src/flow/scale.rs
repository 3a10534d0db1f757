//! What the two ends of a connection have said about scaling their windows (RFC 7323 section 2).
//!
//! A window in a segment's header counts in units of `2^shift` bytes; the shift is said once, in the SYN, and holds only where
//! both SYNs have said one. Who has not seen both does not know what a window means.

use crate::io::Side;
use crate::wire::{Flags, Segment};

const UNSEEN: u8 = 0xFF;
const NO_OPTION: u8 = 0xFE;

/// By side: the shift that its SYN offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowScales([u8; 2]);

impl Default for WindowScales {
    fn default() -> WindowScales {
        WindowScales::UNSEEN
    }
}

impl WindowScales {
    /// No SYN was seen.
    pub const UNSEEN: WindowScales = WindowScales([UNSEEN; 2]);

    /// A segment arrives from `from`. A SYN begins anew, from inside only: one from outside may be forged. A SYN-ACK answers
    /// the SYN once.
    #[inline]
    pub fn observe(&mut self, from: Side, segment: &Segment) {
        if segment.flags.has(Flags::SYN) {
            self.on_syn(from, segment);
        }
    }

    #[cold]
    fn on_syn(&mut self, from: Side, segment: &Segment) {
        let said = segment.syn.window_scale.unwrap_or(NO_OPTION);
        let (this, other) = (from as usize, from.other() as usize);
        if !segment.flags.has(Flags::ACK) {
            if from == Side::Inside {
                self.0[this] = said;
                self.0[other] = UNSEEN;
            }
        } else if self.0[other] != UNSEEN && self.0[this] == UNSEEN {
            self.0[this] = said;
        }
    }

    /// The shift of windows that `side` announces; `None` where it is not known.
    #[inline]
    pub fn of(self, side: Side) -> Option<u8> {
        match (self.0[side as usize], self.0[side.other() as usize]) {
            (UNSEEN, _) | (_, UNSEEN) => None,
            (NO_OPTION, _) | (_, NO_OPTION) => Some(0),
            (shift, _) => Some(shift),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::SynOptions;

    const SYN: Flags = Flags::SYN;
    const SYN_ACK: Flags = Flags(Flags::SYN.0 | Flags::ACK.0);

    fn after(segments: &[(Side, Flags, Option<u8>)]) -> [Option<u8>; 2] {
        let mut scales = WindowScales::UNSEEN;
        for &(from, flags, window_scale) in segments {
            let syn = SynOptions { window_scale, ..SynOptions::default() };
            scales.observe(from, &Segment { flags, syn, ..Segment::default() });
        }
        Side::ALL.map(|side| scales.of(side))
    }

    #[test]
    fn both_must_have_spoken() {
        use Side::{Inside, Outside};
        assert_eq!(after(&[]), [None; 2]);
        assert_eq!(after(&[(Inside, SYN, Some(7))]), [None; 2]);
        assert_eq!(after(&[(Inside, SYN, Some(7)), (Outside, SYN_ACK, Some(9))]), [Some(7), Some(9)]);
        assert_eq!(after(&[(Inside, SYN, Some(7)), (Outside, SYN_ACK, None)]), [Some(0); 2]);
        assert_eq!(after(&[(Inside, SYN, None), (Outside, SYN_ACK, Some(9))]), [Some(0); 2]);
        // Weir has not seen the first of the two.
        assert_eq!(after(&[(Outside, SYN_ACK, Some(9))]), [None; 2]);
        assert_eq!(after(&[(Inside, Flags::ACK, None)]), [None; 2]);
    }

    #[test]
    fn a_forged_syn_changes_nothing_and_another_connection_begins_anew() {
        use Side::{Inside, Outside};
        let opened = [(Inside, SYN, Some(7)), (Outside, SYN_ACK, Some(9))];
        let and = |more: &[(Side, Flags, Option<u8>)]| after(&[&opened, more].concat());
        assert_eq!(and(&[(Outside, SYN, Some(1)), (Outside, SYN_ACK, Some(14))]), [Some(7), Some(9)]);
        assert_eq!(and(&[(Inside, SYN, Some(3))]), [None; 2]);
        assert_eq!(and(&[(Inside, SYN, Some(3)), (Outside, SYN_ACK, Some(2))]), [Some(3), Some(2)]);
    }
}
