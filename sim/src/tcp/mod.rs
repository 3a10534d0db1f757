//! TCP as far as a network and a datapath can tell: handshake, windows, selective acknowledgements, fast retransmit,
//! retransmission timeout, delayed acknowledgements, timestamps, ECN.
//!
//! One direction carries data. Left out: tail loss probes, path MTU discovery, window probes, the urgent pointer, and what
//! reordering does to the threshold of three. Segments begin at multiples of the MSS, also when they are repeated.

mod congestion;
mod ranges;
mod receiver;
mod sender;

pub use congestion::CongestionKind;
pub(crate) use receiver::{Arrival, Receiver};
pub(crate) use sender::{Heard, Sender};

use weir_engine::time::Ns;

/// What both ends of a connection are told.
#[derive(Clone, Copy, Debug)]
pub struct TcpConfig {
    /// Which congestion control.
    pub congestion: CongestionKind,
    /// Payload bytes of a full segment.
    pub mss: u32,
    /// Whether the ends negotiate ECN.
    pub ecn: bool,
    /// What the receiver takes beyond what it has acknowledged, in bytes.
    pub receive_window: u64,
    /// Least retransmission timeout: Linux 200 ms, data centres less.
    pub rto_min: Ns,
    /// Timeout before there is an RTT sample: RFC 6298 says 1 s.
    pub rto_initial: Ns,
    /// How long a receiver keeps an acknowledgement back: Linux `TCP_DELACK_MIN`, 40 ms.
    pub ack_delay: Ns,
}

impl TcpConfig {
    /// Linux' values for this congestion control.
    pub fn linux(congestion: CongestionKind, mss: u32) -> TcpConfig {
        TcpConfig {
            congestion,
            mss,
            ecn: false,
            receive_window: 6 << 20,
            rto_min: Ns::from_millis(200),
            rto_initial: Ns::from_secs(1),
            ack_delay: Ns::from_millis(40),
        }
    }
}

/// Shift count of the window field (RFC 7323): windows up to 1 GB.
pub(crate) const WINDOW_SCALE: u8 = 14;

/// The window field that says `bytes`.
pub(crate) fn window_field(bytes: u64) -> u16 {
    u16::try_from(bytes >> WINDOW_SCALE).unwrap_or(u16::MAX)
}

/// The 64-bit number next to `near` whose lower half is `low`: sequence numbers wrap, offsets do not.
pub(crate) fn unwrap(near: u64, low: u32) -> u64 {
    let distance = low.wrapping_sub(near as u32) as i32;
    near.saturating_add_signed(i64::from(distance))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_outlive_a_wrap() {
        let near = (5 << 32) + 10;
        assert_eq!(unwrap(near, 11), near + 1);
        assert_eq!(unwrap(near, u32::MAX), near - 11);
        assert_eq!(unwrap(3, u32::MAX), 0, "before the beginning counts as the beginning");
    }

    #[test]
    fn a_window_survives_its_field_to_a_scale_step() {
        for bytes in [16 << 10, 6 << 20, 1 << 30] {
            assert_eq!(u64::from(window_field(bytes)) << WINDOW_SCALE, bytes.min(65_535 << 14));
        }
    }
}
