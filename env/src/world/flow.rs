//! One paced flow.

use super::{Feedback, NS};
use crate::conditions::{Conditions, Start};
use crate::link::{Link, PACKET_BYTES};
use crate::rng::Rng;
use weir_features::{History, Interval, RttBase};

/// What a pacer makes up for after a stall: `LATE_NS_MAX` and `LATE_BYTES_BITS` in the engine's `pace/pacer.rs`.
const LATE_S_MAX: f64 = (1 << 22) as f64 / NS;
const LATE_BITS_MAX: f64 = (8u32 << 16) as f64;
/// Departures per half of the base RTT above which packets travel together, and how many may.
const DEPARTURES: f64 = 64.0;
const TOGETHER_MAX: f64 = 65_536.0;

#[derive(Debug, Clone)]
pub(super) struct Flow {
    pub(super) rate_bps: u64,
    /// Packets that leave together.
    pub(super) together: u32,
    /// Time between two departures, and lateness that is made up for, in seconds.
    pub(super) gap_s: f64,
    pub(super) late_s: f64,
    /// When it begins, in seconds.
    pub(super) from_s: f64,
    pub(super) next_send_s: f64,
    pub(super) interval: Interval,
    pub(super) base: RttBase,
    pub(super) history: History,
    /// Intervals left that are shown to nobody.
    pub(super) warm_up: u32,
    /// Whether the interval under way follows from a decision.
    pub(super) deciding: bool,
    /// Departures heard of in the interval, and the sum of their times in the queue in seconds.
    pub(super) waits: (f64, f64),
    /// Packets delivered since the measurement began.
    pub(super) delivered: u64,
    /// Departures not heard of yet.
    pub(super) outstanding: u32,
    /// Departures since the last whose RTT is taken.
    unmarked: u32,
    /// What the receiver has, and whose acknowledgement waits for a second one.
    pub(super) unacknowledged: Option<Feedback>,
}

impl Flow {
    /// A flow whose first packet leaves a random part of a packet's time after its start.
    pub(super) fn new(start: &Start, conditions: &Conditions, rng: &mut Rng) -> Self {
        let rate_bps = (start.rate_bps as u64).clamp(conditions.rate_bps.0, conditions.rate_bps.1).max(1);
        let base = RttBase::default();
        let length_ns = match &conditions.warm_up {
            Some(warm_up) => warm_up.length_ns(),
            None => conditions.spec.interval_ns(&base, rate_bps, PACKET_BYTES),
        };
        let mut flow = Self {
            rate_bps,
            together: 1,
            gap_s: 0.0,
            late_s: 0.0,
            from_s: start.at_s,
            next_send_s: start.at_s,
            interval: Interval::new((start.at_s * NS) as u64, length_ns),
            base,
            history: History::fresh(),
            warm_up: conditions.warm_up.map_or(0, |warm_up| warm_up.intervals),
            deciding: false,
            waits: (0.0, 0.0),
            delivered: 0,
            outstanding: 0,
            unmarked: 0,
            unacknowledged: None,
        };
        flow.set_rate(rate_bps, &conditions.link);
        flow.next_send_s += rng.uniform(0.0, flow.gap_s);
        flow
    }

    /// From the next departure but one on: when the next one leaves has been set.
    pub(super) fn set_rate(&mut self, rate_bps: u64, link: &Link) {
        let rate = rate_bps.max(1) as f64;
        let packet_bits = 8.0 * f64::from(PACKET_BYTES);
        let per_interval = rate * link.base_rtt_s / 2.0 / packet_bits;
        self.rate_bps = rate_bps;
        self.together = if link.together {
            (per_interval / DEPARTURES).ceil().clamp(1.0, TOGETHER_MAX) as u32
        } else {
            1
        };
        self.gap_s = packet_bits * f64::from(self.together) / rate;
        self.late_s = LATE_S_MAX.min(LATE_BITS_MAX / rate);
    }

    /// Packets leave; says whether an RTT is taken of them.
    pub(super) fn depart(&mut self, rtt_samples: Option<u32>) -> bool {
        self.interval.on_send_together(PACKET_BYTES * self.together, self.together);
        self.outstanding += 1;
        self.unmarked += 1;
        let marked = rtt_samples.is_none_or(|samples| self.unmarked >= self.outstanding / samples.max(1));
        if marked {
            self.unmarked = 0;
        }
        marked
    }
}
