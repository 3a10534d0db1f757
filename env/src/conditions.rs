//! Everything that an episode depends on, besides who drives.

use crate::link::{Host, Link};
use weir_features::PacingSpec;

/// One episode. The same conditions and the same decisions give the same episode.
#[derive(Debug, Clone, PartialEq)]
pub struct Conditions {
    /// The path at the beginning.
    pub link: Link,
    /// What the flows run on.
    pub host: Host,
    /// At least one flow.
    pub flows: Vec<Start>,
    /// What the flows are shown, and how long their intervals are.
    pub spec: PacingSpec,
    /// Lowest and highest rate in bits per second: the guard's bounds.
    pub rate_bps: (u64, u64),
    /// Intervals before the first decision that are shown to nobody.
    pub warm_up: Option<WarmUp>,
    /// In order of time.
    pub changes: Vec<Change>,
    /// When it ends.
    pub length: Length,
    /// Everything random follows from it.
    pub seed: u64,
}

/// How a flow begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Start {
    /// Its first rate in bits per second.
    pub rate_bps: f64,
    /// When, in seconds.
    pub at_s: f64,
}

/// Intervals before the first decision: how many and how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WarmUp {
    /// At least one.
    pub intervals: u32,
    /// Each of them, and the first after them, in seconds.
    pub length_s: f64,
}

impl WarmUp {
    /// An interval's length in nanoseconds.
    pub(crate) fn length_ns(&self) -> u64 {
        (self.length_s * 1e9) as u64
    }
}

/// The capacity changes; what is queued stays queued.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// When, in seconds.
    pub at_s: f64,
    /// The new capacity over the old one.
    pub factor: f64,
}

/// When an episode ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Length {
    /// After this many decided intervals, all flows together.
    Decisions(u64),
    /// After this many seconds.
    Seconds(f64),
}

/// What samples say about a path: enough to replay a candidate there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimates {
    /// Capacity in bits per second.
    pub capacity_bps: f64,
    /// RTT on an empty queue in seconds.
    pub base_rtt_s: f64,
    /// Bytes that the queue takes.
    pub queue_bytes: f64,
    /// Share of packets lost at random.
    pub loss: f64,
    /// Largest delay of an acknowledgement that no queue explains, in seconds.
    pub jitter_s: f64,
    /// Flows that share the path.
    pub flows: usize,
}

/// Decided intervals of an episode, per flow: Aurora's.
pub const DECISIONS: u64 = 400;

impl Conditions {
    /// Conditions for replay: an ordinary host, flows that begin at half and one and a half of their share by turns, and
    /// the time of [`DECISIONS`] intervals.
    ///
    /// Estimates are taken within 64 kb/s to 100 Gb/s, 10 us to 10 s, one packet to 16 GB, 0 to 50 %, up to 10 s of jitter and 1 to 64 flows; what
    /// is not a number counts as the lower bound.
    pub fn estimated(estimates: &Estimates, spec: &PacingSpec, seed: u64) -> Self {
        let within = |value: f64, lo: f64, hi: f64| if value > lo { value.min(hi) } else { lo };
        let flows = estimates.flows.clamp(1, 64);
        let link = Link {
            loss: within(estimates.loss, 0.0, 0.5),
            jitter_s: within(estimates.jitter_s, 0.0, 10.0),
            ..Link::new(
                within(estimates.capacity_bps, 64e3, 1e11),
                within(estimates.base_rtt_s, 1e-5, 10.0),
                within(estimates.queue_bytes, f64::from(crate::PACKET_BYTES), 16e9),
            )
        };
        let share_bps = link.capacity_bps / flows as f64;
        let begin = |flow| Start { rate_bps: share_bps * if flow % 2 == 0 { 0.5 } else { 1.5 }, at_s: 0.0 };
        let mut conditions = Self {
            link,
            host: Host::ORDINARY,
            flows: (0..flows).map(begin).collect(),
            spec: spec.clone(),
            rate_bps: rate_bounds(link.capacity_bps, flows),
            warm_up: None,
            changes: Vec::new(),
            length: Length::Seconds(0.0),
            seed,
        };
        conditions.length = Length::Seconds(DECISIONS as f64 * conditions.interval_s());
        conditions
    }

    /// Length of an interval of a flow that has its share on an empty queue, in seconds.
    pub fn interval_s(&self) -> f64 {
        self.interval_at_s(self.link.capacity_bps / self.flows.len().max(1) as f64)
    }

    /// The same of a flow that sends `rate_bps`.
    pub fn interval_at_s(&self, rate_bps: f64) -> f64 {
        let rtt_ns = (self.link.empty_rtt_s() * 1e9) as u64;
        let base = weir_features::RttBase { min_interval_mean_ns: rtt_ns, last_interval_mean_ns: rtt_ns };
        self.spec.interval_ns(&base, rate_bps as u64, crate::PACKET_BYTES) as f64 / 1e9
    }
}

/// The guard's bounds in `conf/demo.toml`, 500 kb/s to 10 Gb/s, with two cuts: a fair share is always within reach, and
/// nobody sends eight times what the link takes, which would cost time and teach nothing.
pub(crate) fn rate_bounds(capacity_bps: f64, flows: usize) -> (u64, u64) {
    let share_bps = capacity_bps / flows.max(1) as f64;
    ((share_bps / 16.0).min(5e5) as u64, (8.0 * capacity_bps).min(1e10) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::World;
    use crate::baseline::Hold;

    #[test]
    fn any_estimate_gives_conditions_that_run() {
        for value in [f64::NAN, f64::NEG_INFINITY, -1.0, 0.0, 1e-9, 1.0, 1e12, f64::INFINITY] {
            let estimates = Estimates {
                capacity_bps: value,
                base_rtt_s: value,
                queue_bytes: value,
                loss: value,
                jitter_s: value,
                flows: value as usize,
            };
            let conditions = Conditions::estimated(&estimates, &PacingSpec::default(), 1);
            let mut world = World::new(&conditions);
            world.run(conditions.interval_s() * 4.0, u64::MAX, &mut Hold);
            let found = world.measured();
            assert!(found.utilisation.is_finite() && found.rtt_ratio.is_finite(), "{value}: {found:?}");
        }
    }

    #[test]
    fn an_episode_lasts_400_intervals_of_a_fair_share() {
        let estimates = Estimates {
            capacity_bps: 1e8,
            base_rtt_s: 0.02,
            queue_bytes: 5e5,
            loss: 0.0,
            jitter_s: 0.0,
            flows: 1,
        };
        let conditions = Conditions::estimated(&estimates, &PacingSpec::default(), 1);
        // Half of 20.12 ms.
        assert!((conditions.interval_s() - 0.01006).abs() < 1e-6, "{}", conditions.interval_s());
        assert_eq!(conditions.length, Length::Seconds(400.0 * conditions.interval_s()));
        assert_eq!(conditions.flows.len(), 1);
    }
}
