//! Lets frames leave no faster than the link carries them, the most urgent first: so what waits waits here, where the
//! priority is known, and not in the network card or the next hop.
//!
//! The link is a token bucket in virtual time that all workers of an appliance take from ([`Budget`]). Priorities are strict
//! within a worker; between workers who asks first is served first.

use super::config::ScheduleConfig;
use super::queues::{Queues, Ticket, Waiting};
use crate::counters::WorkerStats;
use crate::time::{BitsPerSec, Ns};
use weir_handoff::Budget;

/// Fractional bits of a nanosecond in which a byte's time is kept: at 100 Gb/s it is then exact to a 10^-7th.
const FRACTION_BITS: u32 = 24;
/// A slower link than this counts as this: then the longest frame's time still fits 64 bits.
const RATE_MIN: u64 = 16_000;

/// How fast the link is.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// What a byte takes, in 2^-24 ns.
    byte: u64,
    /// The time in which the bucket fills.
    depth_ns: u64,
}

impl Pace {
    fn new(rate: BitsPerSec, burst_bytes: u32) -> Pace {
        let byte = (8_000_000_000 << FRACTION_BITS) / rate.0.max(RATE_MIN);
        Pace { byte, depth_ns: (byte * u64::from(burst_bytes)) >> FRACTION_BITS }
    }
}

/// The frames that wait for the link, and the link.
#[derive(Debug)]
pub(super) struct Shaper<F> {
    queues: Queues<F>,
    link: Budget,
    pace: Pace,
    wait_max: Ns,
    /// Time of the link used beyond whole nanoseconds, in 2^-24 ns.
    rest: u64,
}

impl<F> Shaper<F> {
    pub(super) fn new(config: &ScheduleConfig, link: Budget) -> Shaper<F> {
        Shaper {
            queues: Queues::new(config.queue_frames_max),
            link,
            pace: Pace::new(config.link_rate, config.burst_bytes),
            wait_max: config.wait_max,
            rest: 0,
        }
    }

    /// From now on the link is one that several workers share.
    pub(super) fn share(&mut self, link: Budget) {
        self.link = link;
    }

    pub(super) fn adopt(&mut self, config: &ScheduleConfig) {
        self.pace = Pace::new(config.link_rate, config.burst_bytes);
        self.wait_max = config.wait_max;
    }

    /// Frames that wait.
    pub(super) fn len(&self) -> u32 {
        self.queues.len()
    }

    /// See [`Queues::push`].
    pub(super) fn push(&mut self, priority: u8, waiting: Waiting<F>, now: Ns) -> Result<Ticket, F> {
        self.queues.push(priority, waiting, now)
    }

    /// See [`Queues::has_left`].
    pub(super) fn has_left(&self, priority: u8, ticket: Ticket) -> bool {
        self.queues.has_left(priority, ticket)
    }

    /// The next frame, if the link has room for it at `now`.
    pub(super) fn pop(&mut self, now: Ns, stats: &mut WorkerStats) -> Option<Waiting<F>> {
        let (priority, bytes) = self.queues.next(now, self.wait_max)?;
        let (cost_ns, rest) = self.cost(bytes);
        // A frame longer than the bucket is deep leaves when the bucket is full.
        if !self.link.spend(now.0, cost_ns, self.pace.depth_ns.max(cost_ns)) {
            return None;
        }
        self.rest = rest;
        stats.shaper_by_age += u64::from(self.queues.is_ahead_by_age(priority));
        stats.count_shaped(priority);
        self.queues.pop(priority)
    }

    /// When the next frame may leave, if no other worker takes the link meanwhile.
    pub(super) fn next_due(&self, now: Ns) -> Option<Ns> {
        let (_, bytes) = self.queues.next(now, self.wait_max)?;
        let (cost_ns, _) = self.cost(bytes);
        Some(Ns(self.link.ready_at(cost_ns, self.pace.depth_ns.max(cost_ns))))
    }

    /// What a frame takes of the link in whole nanoseconds, and what it leaves over.
    fn cost(&self, bytes: u32) -> (u64, u64) {
        // A byte takes below 2^43 units, and a frame has below 2^17 bytes.
        let units = self.pace.byte * u64::from(bytes.min(1 << 17)) + self.rest;
        (units >> FRACTION_BITS, units & ((1 << FRACTION_BITS) - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_takes_its_time() {
        // 8e9 / 16e3 = 500 000 ns a byte.
        let slow = Pace::new(BitsPerSec(0), 1_000);
        assert_eq!((slow.byte >> FRACTION_BITS, slow.depth_ns), (500_000, 500_000_000));
        let fast = Pace::new(BitsPerSec::from_mbps(100_000), 1 << 20);
        let exact = 0.08 * f64::from(1 << FRACTION_BITS);
        assert!((fast.byte as f64 - exact).abs() / exact < 1e-6);
    }
}
