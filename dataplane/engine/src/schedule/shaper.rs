//! Lets frames leave no faster than the link carries them, the most urgent first: so what waits waits here, where the
//! priority is known, and not in the network card or the next hop.
//!
//! The link is a token bucket in virtual time that all workers of an appliance take from ([`Budget`]). Priorities are strict
//! within a worker; between workers who asks first is served first.

use super::config::ScheduleConfig;
use super::queues::{Queues, Ticket, Waiting};
use crate::byte_time::ByteTime;
use crate::counters::WorkerStats;
use crate::time::Ns;
use weir_handoff::Budget;

/// The frames that wait for the link, and the link.
#[derive(Debug)]
pub(super) struct Shaper<F> {
    queues: Queues<F>,
    link: Budget,
    byte_time: ByteTime,
    /// The time in which the bucket fills.
    depth_ns: u64,
    wait_max: Ns,
    /// Time of the link used beyond whole nanoseconds, in 2^-24 ns.
    rest: u64,
}

impl<F> Shaper<F> {
    pub(super) fn new(config: &ScheduleConfig, link: Budget) -> Shaper<F> {
        let byte_time = ByteTime::new(config.link_rate);
        Shaper {
            queues: Queues::new(config.queue_frames_max),
            link,
            byte_time,
            depth_ns: byte_time.span_ns(config.burst_bytes),
            wait_max: config.wait_max,
            rest: 0,
        }
    }

    /// From now on the link is one that several workers share.
    pub(super) fn share(&mut self, link: Budget) {
        self.link = link;
    }

    pub(super) fn adopt(&mut self, config: &ScheduleConfig) {
        self.byte_time = ByteTime::new(config.link_rate);
        self.depth_ns = self.byte_time.span_ns(config.burst_bytes);
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
        let (cost_ns, rest) = self.byte_time.of(bytes, self.rest);
        // A frame longer than the bucket is deep leaves when the bucket is full.
        if !self.link.spend(now.0, cost_ns, self.depth_ns.max(cost_ns)) {
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
        let (cost_ns, _) = self.byte_time.of(bytes, self.rest);
        Some(Ns(self.link.ready_at(cost_ns, self.depth_ns.max(cost_ns))))
    }
}
