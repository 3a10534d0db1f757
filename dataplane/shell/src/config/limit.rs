//! Tables `[[pacing.limit]]`: how fast frames of several flows leave together.

use super::error::ConfigError;
use super::route::{PrefixText, SideText};
use super::schema::PacingKeys;
use super::source::Source;
use super::units::{Rate, Size, Span};
use serde::{Deserialize, Serialize};
use weir_engine::limit::{LIMITS_MAX, LimitConfig, Limits, Scope};
use weir_engine::time::{BitsPerSec, Ns};

/// The keys of one limit.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitKeys {
    name: String,
    prefix: Option<PrefixText>,
    side: Option<SideText>,
    rate: Rate,
    burst: Option<Size>,
    mark_delay: Option<Span>,
    delay_max: Option<Span>,
    queue: Option<Size>,
}

/// A full frame takes less than a second, and the engine's arithmetic begins here.
const RATE_MIN: Rate = Rate(BitsPerSec(16_000));
/// Terabit Ethernet.
const RATE_MAX: Rate = Rate(BitsPerSec(1_000_000_000_000));
/// One full frame with two VLAN tags.
const FRAME: Size = Size(1_522);
const BURST_MAX: Size = Size(1 << 30);
const QUEUE_MAX: Size = Size(1 << 32);
/// As for a flow: TCP's first retransmission timeout is 1 s (RFC 6298).
const DELAY_MAX: Span = Span(Ns::from_secs(1));

/// What 4 ms carry, for which a kernel that shares the worker's core may take it, and no more than a segmentation-offload
/// burst of 64 KiB; but always what three slots of the timing wheel carry, which round a frame's time up: less would cost a
/// fast limit its rate.
fn default_burst(rate: Rate) -> u32 {
    let carried = |span_us: u64| rate.0.0 / 8_000 * span_us / 1_000;
    let burst = carried(4_000).clamp(FRAME.0, 64 << 10).max(carried(25));
    u32::try_from(burst.min(BURST_MAX.0)).unwrap_or(u32::MAX)
}

/// Twice what leaves within `delay_max`: each queue is bounded by that time already, so this holds off only many queues that have
/// little each.
fn default_queue(rate: Rate, delay_max: Span) -> u64 {
    let carried = u128::from(rate.0.0) * u128::from(delay_max.0.0) / 8_000_000_000;
    u64::try_from(2 * carried).unwrap_or(u64::MAX).clamp(64 << 10, QUEUE_MAX.0)
}

/// The checked tables of `pacing`, whose delays are a limit's where it says none of its own.
pub(super) fn check(pacing: &PacingKeys, source: &Source) -> Result<Limits, ConfigError> {
    let keys = &pacing.limit;
    if keys.len() > LIMITS_MAX {
        let reason = format!("expected at most {LIMITS_MAX} limits, found {}", keys.len());
        return Err(source.error(&format!("pacing.limit[{LIMITS_MAX}]"), reason));
    }
    let mut limits: Vec<LimitConfig> = Vec::with_capacity(keys.len());
    for (index, keys) in keys.iter().enumerate() {
        let at = |key: &str| format!("pacing.limit[{index}].{key}");
        let refuse = |key: &str, reason: String| Err(source.error(&at(key), reason));
        let named = (1..=32).contains(&keys.name.len())
            && keys.name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if !named {
            return refuse(
                "name",
                format!("expected 1 to 32 letters, digits, `_` or `-`, found {:?}", keys.name),
            );
        }
        if limits.iter().any(|other| other.name == keys.name) {
            return refuse("name", format!("expected each name once, found {:?} twice", keys.name));
        }
        let scope = match (keys.prefix, keys.side) {
            (None, None) => Scope::All,
            (None, Some(_)) => {
                return refuse(
                    "side",
                    "expected only with a prefix: without one a limit is on every frame".to_owned(),
                );
            }
            (Some(PrefixText(prefix)), None) => {
                let reason = format!(
                    "missing key; \"inside\" or \"outside\" says which end of a flow {prefix} is about"
                );
                return refuse("side", reason);
            }
            (Some(PrefixText(prefix)), Some(side)) => {
                if !prefix.is_network() {
                    return refuse(
                        "prefix",
                        format!("expected a network, found {prefix}, which has host bits set"),
                    );
                }
                Scope::End(side.into(), prefix)
            }
        };
        if let Some(other) = limits.iter().find(|other| other.scope == scope) {
            let reason = match scope {
                Scope::All => {
                    format!("expected a prefix, found none: {:?} is on every frame already", other.name)
                }
                Scope::End(..) => {
                    format!("expected each prefix once per side, found {scope} in {:?}, too", other.name)
                }
            };
            return refuse("prefix", reason);
        }
        let rate = keys.rate;
        if !(RATE_MIN..=RATE_MAX).contains(&rate) {
            return refuse("rate", format!("expected from {RATE_MIN} to {RATE_MAX}, found {rate}"));
        }
        let burst = keys.burst.unwrap_or_else(|| Size(default_burst(rate).into()));
        if !(FRAME..=BURST_MAX).contains(&burst) {
            return refuse(
                "burst",
                format!("expected from {FRAME}, one full frame, to {BURST_MAX}, found {burst}"),
            );
        }
        let delay_max = keys.delay_max.unwrap_or(pacing.delay_max);
        if delay_max.0 == Ns::ZERO || delay_max > DELAY_MAX {
            return refuse(
                "delay_max",
                format!("expected more than 0 and at most {DELAY_MAX}, found {delay_max}"),
            );
        }
        let mark_delay = keys.mark_delay.unwrap_or(pacing.mark_delay.min(delay_max));
        if mark_delay > delay_max {
            let whose =
                if keys.delay_max.is_some() { at("delay_max") } else { "pacing.delay_max".to_owned() };
            return refuse(
                "mark_delay",
                format!("expected at most {whose} = {delay_max}, found {mark_delay}"),
            );
        }
        let queue = keys.queue.map_or_else(|| default_queue(rate, delay_max), |queue| queue.0);
        if !(FRAME..=QUEUE_MAX).contains(&Size(queue)) {
            let queue = Size(queue);
            return refuse(
                "queue",
                format!("expected from {FRAME}, one full frame, to {QUEUE_MAX}, found {queue}"),
            );
        }
        limits.push(LimitConfig {
            name: keys.name.clone(),
            scope,
            rate: rate.0,
            burst_bytes: u32::try_from(burst.0).unwrap_or(u32::MAX),
            mark_delay: mark_delay.0,
            delay_max: delay_max.0,
            queue_bytes: queue,
        });
    }
    Ok(Limits::new(limits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_follow_the_rate() {
        let of = |mbps| Rate(BitsPerSec::from_mbps(mbps));
        for (mbps, burst, queue) in [
            (1, 1_522, 64 << 10),
            (10, 5_000, 250_000),
            (100, 50_000, 2_500_000),
            (1_000, 64 << 10, 25_000_000),
            (100_000, 312_500, 2_500_000_000),
        ] {
            assert_eq!(default_queue(of(mbps), Span(Ns::from_millis(100))), queue, "{mbps} Mb/s");
            assert_eq!(default_burst(of(mbps)), burst, "{mbps} Mb/s");
        }
        assert_eq!(default_queue(RATE_MAX, DELAY_MAX), QUEUE_MAX.0);
    }
}
