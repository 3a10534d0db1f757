//! The scheduler in a worker, in virtual time: what leaves when, with which mark, and what is told of it.
//!
//! [`bench::Bench`] checks after every turn of every test that the books balance, that each flow's frames left in order, and
//! that nothing was allocated.

#![allow(clippy::expect_used, clippy::panic, reason = "a helper that fails fails its test")]

#[path = "../worker/allocations.rs"]
mod allocations;
mod bench;
#[path = "../worker/frames.rs"]
mod frames;
mod marks;
mod networks;
mod order;
mod predict;
mod samples;
mod shaper;
mod swap;

use weir_engine::config::EngineConfig;
use weir_engine::schedule::{ScheduleConfig, ScheduleRule, Thresholds, Trust};
use weir_engine::time::{BitsPerSec, Ns};
use weir_features::SizeSpec;

/// Priority p from 10^(p + 3) bytes on, p >= 1.
const DECADES: Thresholds =
    Thresholds([10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1 << 30, 1 << 40]);

/// A link of 100 Mb/s, by `rule` without a model.
fn config(rule: ScheduleRule) -> EngineConfig {
    EngineConfig {
        seed: 7,
        flows_max: 256,
        half_open_max: 256,
        flow_idle_max: Ns::from_secs(120),
        held_max: 1_024,
        pacing: None,
        route: None,
        schedule: Some(ScheduleConfig {
            rule,
            model: false,
            spec: SizeSpec::default(),
            link_rate: BitsPerSec::from_mbps(100),
            overhead_bytes: 0,
            burst_bytes: 2_000,
            queue_frames_max: 1_024,
            peers_max: 64,
            wait_max: Ns::from_millis(50),
            mark_frames: 0,
            size_thresholds: DECADES,
            ageing_thresholds: DECADES,
            predicted_min: 1,
            predicted_max: 1 << 40,
            other_priority: 3,
            control_share: 0,
            sample_share: 0,
            trust: Trust::Ignore,
            dscp: None,
            pcp: None,
        }),
    }
}

/// The same with a network.
fn modelled() -> EngineConfig {
    let mut config = config(ScheduleRule::Ageing);
    schedule(&mut config).model = true;
    config
}

/// The scheduling part of `config`.
fn schedule(config: &mut EngineConfig) -> &mut ScheduleConfig {
    config.schedule.as_mut().expect("the test configuration schedules")
}
