//! What a policy is compared with: controllers that decide per monitor interval, as a policy does, from what the interval
//! brought.

mod bbr;
mod cubic;

pub use bbr::BbrLike;
pub use cubic::CubicLike;

use crate::controller::{Controller, Ended};

/// Holds the rate that a flow began with.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hold;

impl Controller for Hold {
    fn begin(&mut self, _flows: usize) {}

    fn decide(&mut self, ended: &Ended<'_>) -> u64 {
        ended.rate_bps
    }
}

#[cfg(test)]
mod tests;
