//! Which flows are sampled, and every other choice that is made at random.
//!
//! Sampling is per flow, seeded by the flow's hash, and takes all consecutive intervals of a sampled flow, so that the
//! [`Sample`](weir_features::Sample)s of one flow form a trajectory.

use crate::hash::{GOLDEN, split_mix};

/// Samples per batch of a worker's lane to the trainer.
pub const LANE_BATCH: usize = 256;
/// Batches of a lane: at a million samples a second, what a worker tells in 65 ms, enough for a trainer that looks every
/// 20 ms and is busy with a step for another 20. 15 MiB, of which only as much takes memory as has been under way at a time.
pub const LANE_BATCHES: usize = 256;

/// The random choices. Each draws from the flow's hash independently of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Draw {
    /// Whether the flow stays on the rule although a model runs.
    Control = 1,
    /// Whether its intervals become samples.
    Sample = 2,
    /// Where in its cycle the flow's rule begins.
    Phase = 3,
    /// Whether it tries other actions than its network's.
    Explore = 4,
    /// What it adds to them.
    Noise = 5,
    /// Whether the flow's priority stays with the rule although a model runs.
    ScheduleControl = 16,
    /// Whether the trainer is told of its size.
    ScheduleSample = 17,
    /// Which path its next decision draws.
    Path = 6,
    /// Whether the flow's paths are the rule's although a model runs.
    PathControl = 7,
    /// Whether its deliveries become samples.
    PathSample = 8,
    /// Whether a decision explores.
    PathExplore = 9,
    /// The flow's draw: the IPv6 flow label or outer port that it bears.
    Label = 10,
}

impl Draw {
    /// 64 bits that look random, always the same for one flow.
    pub fn bits(self, flow_hash: u64) -> u64 {
        // Mixed anew, because parts of the hash have chosen worker and bucket already.
        split_mix(flow_hash ^ (self as u64).wrapping_mul(GOLDEN))
    }

    /// The `n`-th of a sequence of such bits: SplitMix64's, whose state is a counter, so that no state need be kept.
    pub fn nth(self, flow_hash: u64, n: u32) -> u64 {
        split_mix(self.bits(flow_hash).wrapping_add(GOLDEN.wrapping_mul(u64::from(n))))
    }

    /// Whether the flow belongs to a share of `share` / 65536 of all flows.
    pub fn hits(self, flow_hash: u64, share: u32) -> bool {
        self.bits(flow_hash) & 0xFFFF < u64::from(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_share() {
        for (share, expected) in [(0, 0), (65_536, 100_000), (6_554, 10_000), (1_311, 2_000)] {
            let taken = (0..100_000).filter(|flow| Draw::Sample.hits(*flow, share)).count();
            assert!(taken.abs_diff(expected) <= 300, "share {share}: {taken} of 100 000");
        }
    }

    #[test]
    fn draws_are_independent() {
        let both = (0..100_000)
            .filter(|flow| Draw::Control.hits(*flow, 32_768) && Draw::Sample.hits(*flow, 32_768))
            .count();
        assert!(both.abs_diff(25_000) <= 500, "{both}");
    }
}
