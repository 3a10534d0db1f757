//! Mode `yield`: how far a sender may be ahead of what has departed.
//!
//! ```text
//!   acknowledged      departed from Weir          allowed
//!   -----------+-------------------------+-----------------+----> sequence numbers
//!             ack                       next            next + ahead
//!              <------- the window that the sender is shown ------>
//! ```
//!
//! What is in the network is whatever the rate has put there, and a sender in this mode adds to it only by being ahead of Weir:
//! what it has sent and Weir holds. That is to be little, so that it is not marked or dropped and a new rate soon tells;
//! and enough for the flow to have something to send until the next acknowledgement lets the sender go on. It is three
//! quarters of what the rate sends in `mark_delay`, and at least one frame less than what a mark takes.
//!
//! Under the rule no more is to be in flight than BBR's own window would let: its estimate of the path, and what has arrived out of
//! order besides.
//!
//! The window's right edge never lies before `next`, so whatever is lost can be sent again. A window is only ever lowered.

use super::flow::Governor;
use super::{Pacing, QUEUED_BEFORE_MARK};
use crate::config::PacingMode;
use crate::counters::WorkerStats;
use crate::flow::PacedId;
use crate::io::Frame;
use crate::time::{BitsPerSec, Ns};
use crate::wire::{Flags, TcpFrame, lower_window};

/// Payload that a sender may be ahead by.
fn ahead(rate: BitsPerSec, mark_delay: Ns, frame_len: u32) -> u64 {
    // In microseconds and bytes per millisecond, so that no product overflows below the highest rate.
    let in_time = (rate.0 / 8_000).saturating_mul(mark_delay.0 / 1_000 * 3 / 4) / 1_000;
    in_time.max(least(frame_len))
}

/// Whatever the rate: one frame less than what is marked.
fn least(frame_len: u32) -> u64 {
    u64::from((QUEUED_BEFORE_MARK - 1) * frame_len)
}

/// What the field must hold for a window of at least so many bytes.
fn field(bytes: u64, shift: u8) -> u16 {
    u16::try_from(bytes.div_ceil(1 << shift)).unwrap_or(u16::MAX)
}

impl<F: Frame> Pacing<F> {
    /// Lowers the window in an acknowledgement from outside to what the flow's rate needs. `next` is the first sequence number
    /// that has not departed, `scale` the shift of the receiver's windows, if it was seen.
    #[inline]
    pub(crate) fn show_window(
        &self,
        id: PacedId,
        frame: &mut F,
        parsed: &TcpFrame,
        (next, scale): (u32, Option<u8>),
        stats: &mut WorkerStats,
    ) {
        if self.settings.mode == PacingMode::Yield {
            self.lower(id, frame, parsed, (next, scale), stats);
        }
    }

    #[inline(never)]
    fn lower(
        &self,
        id: PacedId,
        frame: &mut F,
        parsed: &TcpFrame,
        (next, scale): (u32, Option<u8>),
        stats: &mut WorkerStats,
    ) {
        let Some(Some(flow)) = self.flows.get(id.index()) else { return };
        let flags = parsed.segment.flags;
        // The window of a SYN is not scaled.
        if !flags.has(Flags::ACK) || flags.has(Flags::SYN) || flags.has(Flags::RST) {
            return;
        }
        let Some(scale) = scale else {
            stats.windows_unknown += 1;
            return;
        };
        let departed = next.wrapping_sub(parsed.segment.ack);
        // It acknowledges what has not departed: not of this connection.
        if departed > i32::MAX as u32 {
            return;
        }
        let mut rate = flow.pacer.rate();
        if self.limited.is_on()
            && let Some(left) = self.limited.rate(id.index())
        {
            rate = rate.min(left);
        }
        let ahead = ahead(rate, self.settings.mark_delay, flow.frame_len());
        let mut window = u64::from(departed) + ahead;
        if let Governor::Bbr { rule, .. } = &flow.governor
            && let Some(in_flight) = rule.window_bytes()
        {
            // A few frames more, as Linux has it (`bbr_quantization_budget`): acknowledgements are delayed, windows rounded.
            let allowed = in_flight + least(flow.frame_len()) + u64::from(flow.detail.sacked_bytes());
            window = window.min(allowed).max(departed.into());
        }
        stats.windows_lowered += u64::from(lower_window(frame.bytes_mut(), parsed, field(window, scale)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_is_ahead_by_less_than_what_is_marked() {
        let mark_delay = Ns::from_millis(10);
        // 100 Mb/s is 125 000 bytes in 10 ms.
        assert_eq!(ahead(BitsPerSec::from_mbps(100), mark_delay, 1_514), 93_750);
        assert_eq!(ahead(BitsPerSec::from_mbps(1), mark_delay, 1_514), 7 * 1_514);
        assert!(ahead(BitsPerSec(u64::MAX), Ns::from_secs(1), 1_514) > 1 << 40);
    }

    #[test]
    fn a_window_is_never_less_than_meant() {
        for (bytes, shift, meant) in [(0, 0, 0), (1, 7, 1), (128, 7, 1), (129, 7, 2), (1 << 30, 14, u16::MAX)]
        {
            assert_eq!(field(bytes, shift), meant);
        }
    }
}
