//! What a path and a host are like.

/// Wire bytes of an ordinary packet.
pub const PACKET_BYTES: u32 = 1500;
/// Packets of one fair share in half a round trip above which packets grow: more tells the features nothing new.
const PACKETS_PER_INTERVAL: f64 = 64.0;

/// A path: two links in a row, of which the first has a queue and the second, the way back, only delays.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link {
    /// Capacity in bits per second.
    pub capacity_bps: f64,
    /// Propagation there and back, in seconds: the RTT of a packet of no size on an empty queue.
    pub base_rtt_s: f64,
    /// Bytes that the queue takes, the packet in transmission included; drop-tail.
    pub queue_bytes: f64,
    /// Share of packets that the path loses at random, before they reach the queue.
    pub loss: f64,
    /// Random delay per acknowledgement, uniform up to this many seconds; order is kept.
    pub jitter_s: f64,
    /// Size of every packet. Larger ones keep the cost of a fast link flat, see [`Link::scaled`].
    pub packet_bytes: u32,
}

/// What the flows run on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Host {
    /// Whether the receiver acknowledges every second packet only, or after 40 ms (RFC 5681 section 4.2).
    pub delayed_acks: bool,
    /// How the flows' core is taken away; `None`: never.
    pub stalls: Option<Stalls>,
    /// RTT samples per round trip; `None`: one from each packet, as Aurora's simulator has it.
    pub rtt_samples: Option<u32>,
}

/// How a core is taken away: mean time between two stalls and mean length of one, in seconds, both exponential.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stalls {
    /// From the end of one to the beginning of the next.
    pub gap_s: f64,
    /// From beginning to end.
    pub length_s: f64,
}

impl Link {
    /// A link without loss or jitter and with ordinary packets.
    pub fn new(capacity_bps: f64, base_rtt_s: f64, queue_bytes: f64) -> Self {
        Self { capacity_bps, base_rtt_s, queue_bytes, loss: 0.0, jitter_s: 0.0, packet_bytes: PACKET_BYTES }
    }

    /// The same link with packets so large that a fair share of it is some 64 of them per half RTT, if it is more. A queue
    /// that cannot hold a few of them would drop whatever the flows do, so it holds four at least.
    #[must_use]
    pub fn scaled(self, flows: usize) -> Self {
        let share_bps = self.capacity_bps / flows.max(1) as f64;
        let packets = share_bps * self.base_rtt_s / 2.0 / (8.0 * f64::from(PACKET_BYTES));
        let scale = (packets / PACKETS_PER_INTERVAL).ceil().clamp(1.0, 1e5);
        let packet_bytes = PACKET_BYTES.saturating_mul(scale as u32);
        Self { packet_bytes, queue_bytes: self.queue_bytes.max(4.0 * f64::from(packet_bytes)), ..self }
    }

    /// Bytes in flight that fill the link without a queue.
    pub fn bdp_bytes(&self) -> f64 {
        self.capacity_bps * self.base_rtt_s / 8.0
    }

    /// Time that one packet takes at the bottleneck, in seconds.
    pub fn packet_s(&self) -> f64 {
        f64::from(self.packet_bytes) * 8.0 / self.capacity_bps
    }

    /// The RTT of a packet that finds the queue empty, in seconds: what a measured RTT is held against.
    pub fn empty_rtt_s(&self) -> f64 {
        self.base_rtt_s + self.packet_s()
    }
}

impl Host {
    /// A host that blurs nothing.
    pub const CLEAR: Host = Host { delayed_acks: false, stalls: None, rtt_samples: None };
    /// What the datapath meets: delayed acknowledgements, and as many RTT samples as its tracker has markers
    /// (`MARKERS` in `weir_engine::track`).
    pub const ORDINARY: Host = Host { delayed_acks: true, stalls: None, rtt_samples: Some(7) };
}
