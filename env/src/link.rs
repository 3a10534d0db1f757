//! What a path and a host are like.

/// Wire bytes of an ordinary packet.
pub const PACKET_BYTES: u32 = 1500;
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
    /// Whether the packets of a fast flow travel together, so that an episode costs the same at any rate: as many as leave
    /// some 64 departures per half RTT. More would tell the features nothing new.
    pub together: bool,
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
    /// A link without loss or jitter.
    pub fn new(capacity_bps: f64, base_rtt_s: f64, queue_bytes: f64) -> Self {
        Self { capacity_bps, base_rtt_s, queue_bytes, loss: 0.0, jitter_s: 0.0, together: true }
    }

    /// Bytes in flight that fill the link without a queue.
    pub fn bdp_bytes(&self) -> f64 {
        self.capacity_bps * self.base_rtt_s / 8.0
    }

    /// Time that one packet takes at the bottleneck, in seconds.
    pub fn packet_s(&self) -> f64 {
        f64::from(PACKET_BYTES) * 8.0 / self.capacity_bps
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
