//! Limits on several flows together, in virtual time: what leaves when, whose it is, and what becomes of what may not.
//!
//! [`bench::Bench`] checks after every turn of every test that the books balance, that each flow's frames left in order, and
//! that nothing was allocated; and at the end of most that what left kept within every limit.

#![allow(clippy::expect_used, clippy::panic, reason = "a helper that fails fails its test")]

#[path = "../worker/allocations.rs"]
mod allocations;
mod bench;
mod fair;
#[allow(dead_code, reason = "the worker's tests say more with it")]
#[path = "../worker/frames.rs"]
mod frames;
mod order;
mod rates;
mod refused;
mod reload;
mod scopes;

use weir_engine::config::{EngineConfig, PacingCadence, PacingConfig, PacingMode, PacingRule, Pin};
use weir_engine::io::Side;
use weir_engine::limit::{LimitConfig, Limits, Scope};
use weir_engine::route::Prefix;
use weir_engine::time::{BitsPerSec, Ns};
use weir_features::PacingSpec;

/// Nobody paces a flow: only limits hold frames.
fn config(limits: Vec<LimitConfig>) -> EngineConfig {
    EngineConfig {
        seed: 7,
        flows_max: 256,
        half_open_max: 256,
        flow_idle_max: Ns::from_secs(120),
        held_max: 4_096,
        pacing: Some(PacingConfig {
            rule: PacingRule::None,
            model: false,
            spec: PacingSpec::default(),
            rate_min: BitsPerSec(500_000),
            rate_max: BitsPerSec(100_000_000_000),
            rate_start: BitsPerSec::from_mbps(10),
            control_share: 0,
            explore_share: 0,
            explore_sigma_q16: 0,
            sample_share: 0,
            mark_delay: Ns::from_millis(10),
            delay_max: Ns::from_secs(1),
            mode: PacingMode::Transparent,
            flow_held_bytes_max: 1 << 24,
            limits: Limits::new(limits),
            cadence: PacingCadence::Interval,
            pin: Pin::Interval,
        }),
        route: None,
        schedule: None,
    }
}

/// A limit whose queue is no bound, with a burst of 16 KiB.
fn limit(name: &str, scope: Scope, mbps: u64) -> LimitConfig {
    LimitConfig {
        name: name.to_owned(),
        scope,
        rate: BitsPerSec::from_mbps(mbps),
        burst_bytes: 16 << 10,
        mark_delay: Ns::from_millis(500),
        delay_max: Ns::from_secs(1),
        queue_bytes: 1 << 30,
    }
}

fn end(side: Side, prefix: &str) -> Scope {
    let (address, len) = prefix.split_once('/').expect("a prefix");
    let prefix =
        Prefix { address: address.parse().expect("an address"), len: len.parse().expect("a length") };
    Scope::End(side, prefix)
}
