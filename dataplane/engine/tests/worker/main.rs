//! The worker in a small world of virtual time: TCP senders inside, a bottleneck and receivers outside.
//!
//! [`world::World`] checks after every turn of every test that the books balance, that each flow's frames left in
//! order, and that nothing was allocated.

#![allow(clippy::expect_used, clippy::panic, reason = "a helper that fails fails its test")]

mod allocations;
mod books;
mod churn;
mod control;
mod explore;
mod fleet;
mod floods;
mod frames;
mod icmp;
mod limits;
mod networks;
mod packet;
mod policy;
mod rates;
mod samples;
mod steering;
mod swap;
mod tcp;
mod window;
mod world;

use weir_engine::config::{EngineConfig, PacingCadence, PacingConfig, PacingMode, PacingRule, Pin};
use weir_engine::time::{BitsPerSec, Ns};
use weir_features::PacingSpec;

/// A configuration with room for everything that the tests do, paced by `rule` without a model.
fn config(rule: PacingRule) -> EngineConfig {
    EngineConfig {
        seed: 7,
        flows_max: 1_024,
        half_open_max: 256,
        flow_idle_max: Ns::from_secs(120),
        held_max: 4_096,
        pacing: Some(PacingConfig {
            rule,
            model: false,
            spec: PacingSpec::default(),
            rate_min: BitsPerSec(500_000),
            rate_max: BitsPerSec(10_000_000_000),
            rate_start: BitsPerSec::from_mbps(10),
            control_share: 0,
            explore_share: 0,
            explore_sigma_q16: 0,
            sample_share: 0,
            mark_delay: Ns::from_millis(10),
            delay_max: Ns::from_millis(100),
            mode: PacingMode::Transparent,
            flow_held_bytes_max: 1 << 20,
            limits: weir_engine::limit::Limits::none(),
            cadence: PacingCadence::Interval,
            pin: Pin::Interval,
        }),
        route: None,
        schedule: None,
    }
}

/// The pacing part of `config`.
fn pacing(config: &mut EngineConfig) -> &mut PacingConfig {
    config.pacing.as_mut().expect("the test configuration paces")
}
