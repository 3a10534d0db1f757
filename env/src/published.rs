//! Aurora's own training world (Jay et al., ICML 2019), as its simulator has it.
//!
//! One flow over two links, of which the first queues and the way back only delays; loss at random, drawn before the queue;
//! loss is noticed when the acknowledgement would have come. An episode is 400 monitor intervals of half an RTT. Two
//! intervals of three one-way delays are not shown to the policy, and the first that it decides is as long as they are.
//!
//! What is not as published follows from `weir_features`, so that a policy means the same here and on the wire: clips, and
//! an interval that has no acknowledgement yet goes on until it has one.

use crate::conditions::{Conditions, DECISIONS, Length, Start, WarmUp};
use crate::link::{Host, Link, PACKET_BYTES};
use crate::rng::Rng;
use weir_features::PacingSpec;

/// Episodes of the evaluation set, and its seed.
pub const EVALUATION: (u64, usize) = (8_170_455, 400);
/// Rates that the simulator allows, in packets per second.
const RATE_PACKETS: (f64, f64) = (40.0, 1000.0);

const PACKET_BITS: f64 = PACKET_BYTES as f64 * 8.0;

/// Half an RTT, whatever the rate, and as long as it takes.
pub fn spec() -> PacingSpec {
    PacingSpec {
        interval_rtt_q8: 128,
        interval_packets_min: 0,
        interval_min_ns: 1,
        interval_max_ns: u64::MAX,
        ..PacingSpec::default()
    }
}

/// One path of the published simulator.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Path {
    /// Packets per second.
    pub bandwidth: f64,
    /// Delay of each of the two links, in seconds.
    pub one_way_s: f64,
    /// Packets that the queue takes.
    pub queue: f64,
    /// Share lost at random.
    pub loss: f64,
}

impl Path {
    /// A path of the published ranges: 100 to 500 packets per second, 50 to 500 ms one way, `1 + floor(e^U(0,8))` packets of
    /// queue, up to 5 % of loss.
    pub fn draw(rng: &mut Rng) -> Self {
        Self {
            bandwidth: rng.uniform(100.0, 500.0),
            one_way_s: rng.uniform(0.05, 0.5),
            queue: 1.0 + rng.uniform(0.0, 8.0).exp().floor(),
            loss: rng.uniform(0.0, 0.05),
        }
    }

    /// An episode on this path that begins at `rate`, in parts of the bandwidth.
    pub fn conditions(&self, rate: f64, seed: u64) -> Conditions {
        let queue_bytes = self.queue * f64::from(PACKET_BYTES);
        let link = Link {
            loss: self.loss,
            together: false,
            ..Link::new(self.bandwidth * PACKET_BITS, 2.0 * self.one_way_s, queue_bytes)
        };
        Conditions {
            link,
            host: Host::CLEAR,
            flows: vec![Start { rate_bps: rate * link.capacity_bps, at_s: 0.0 }],
            spec: spec(),
            rate_bps: ((RATE_PACKETS.0 * PACKET_BITS) as u64, (RATE_PACKETS.1 * PACKET_BITS) as u64),
            warm_up: Some(WarmUp { intervals: 2, length_s: 3.0 * self.one_way_s }),
            changes: Vec::new(),
            length: Length::Decisions(DECISIONS),
            seed,
        }
    }
}

/// One episode: a path of the published ranges and a first rate of 0.3 to 1.5 times its bandwidth.
pub fn draw(rng: &mut Rng) -> Conditions {
    let path = Path::draw(rng);
    let rate = rng.uniform(0.3, 1.5);
    path.conditions(rate, rng.bits())
}

/// The fixed set on which policies are compared.
pub fn evaluation() -> Vec<Conditions> {
    let (seed, episodes) = EVALUATION;
    let mut rng = Rng::new(seed);
    (0..episodes).map(|_| draw(&mut rng)).collect()
}
