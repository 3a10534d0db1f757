//! What is measured over a stretch of an episode.

use crate::link::PACKET_BYTES;

/// Measured over a stretch of time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Measured {
    /// Delivered bits over what the capacity allowed.
    pub utilisation: f64,
    /// Mean over the packets that the queue took of the network's RTT over that on an empty queue, both no less than the
    /// features' floor: what the queue adds, without jitter, and without what receiver and host keep back.
    pub rtt_ratio: f64,
    /// Packets dropped at the full queue over packets sent. What the path loses at random is not in it.
    pub loss: f64,
    /// Jain's index over the flows' delivered packets: 1 where all got the same.
    pub fairness: f64,
}

/// Sums over packets.
#[derive(Debug, Clone, Default)]
pub(super) struct Meter {
    pub(super) sent: u64,
    pub(super) dropped: u64,
    pub(super) delivered: u64,
    pub(super) rtt_ratios: f64,
    pub(super) capacity_bits: f64,
}

impl Meter {
    /// `delivered` packets of each flow.
    pub(super) fn read(&self, delivered: impl Iterator<Item = u64>) -> Measured {
        let (mut flows, mut sum, mut squares) = (0.0, 0.0, 0.0);
        for packets in delivered.map(|packets| packets as f64) {
            flows += 1.0;
            sum += packets;
            squares += packets * packets;
        }
        let bits = sum * f64::from(PACKET_BYTES) * 8.0;
        Measured {
            utilisation: if self.capacity_bits > 0.0 { bits / self.capacity_bits } else { 0.0 },
            rtt_ratio: self.rtt_ratios / self.delivered.max(1) as f64,
            loss: self.dropped as f64 / self.sent.max(1) as f64,
            fairness: if squares > 0.0 { sum * sum / (squares * flows) } else { 1.0 },
        }
    }
}
