//! The guard's *brake*: a flow whose loss its own rate explains may not raise that rate until the loss is gone.
//!
//! Aurora's features show a queue by its delay. A queue much shorter than what the path holds in an RTT shows none, and a
//! network may read the loss there as room, and flood. Loss itself says nothing, since a path may lose at random at any
//! rate; but it answers a question: *does it go away at the rate that gets through?*
//!
//! ```text
//!          lost > tolerated + 1/8, and not     held: the ceiling is what got through x 31/32
//!          only once                         .---------> rounds of 12 intervals ------------------.
//!   free ------------------------------------'                                                   |
//!     ^                                           still above tolerated + 1/32, at most twice:   |
//!     |                                           held anew, at what gets through now            |
//!     |<----- lifted; that much is tolerated <--- then still above half of what it was before:   |
//!     |                                           the rate is not to blame                       |
//!     |        the ceiling has doubled            else, after four rounds                        v
//!     '<------------------------------- probed: the ceiling rises by 1/16, again and again
//!                                          |  lost > tolerated + 1/16, and not only once
//!                                          '-------------------------------> held again
//! ```
//!
//! Integers throughout, one code for the datapath and the link world: `docs/features.md` section 11 has the definition.

use crate::interval::IntervalReport;

/// What a free, or a probed, flow is judged by: its newest intervals, each of which counts an eighth less than the next.
const FADE_BITS: u32 = 3;
/// Loss above what is tolerated that leads to a ceiling, in 1/65536, and in how many of the newest eight intervals there was
/// any: TCP tells of a round trip's losses together, some time later, and one burst that met a full queue is no flood. At
/// 5 % random loss in the shortest intervals there are, 16 packets, a mean over 240 is 1.4 % off: an eighth is 5 deviations
/// away.
const HOLD: Limit = Limit { lost_q16: 1 << 13, times: 3 };
/// The same while probing, when it is known what the rate does.
const PROBE: Limit = Limit { lost_q16: 1 << 12, times: 2 };
/// Intervals of a round. Before the first, those pass whose loss was sent before. TCP tells of it when a repair is
/// acknowledged, two round trips and the flow's own waiting time later; and some repairs are lost, too: twice that.
const ROUND: u8 = 12;
const LATE_RTTS: u64 = 2;
const LATE_TIMES: u64 = 2;
/// log2 of how often a probed ceiling rises in that time, by a sixteenth.
const RISES_BITS: u32 = 2;
/// Rounds that a ceiling stands once it is low enough: at least 24 round trips. A longer time loses less by probing, and finds
/// capacity later.
const ROUNDS: u8 = 4;
/// Loss above what is tolerated that calls for a lower ceiling, and how often it is lowered: where several flows flood one
/// queue, what each gets through depends on the others.
const LOWER_LOSS: u32 = 1 << 11;
const LOWERED_MAX: u8 = 2;
/// Rises after which a probed ceiling has doubled and is no ceiling any more.
const PROBED: u8 = 12;
/// A path that loses more than this at random, in 1/65536, is not told from a flooded one.
const TOLERATED_MAX: u32 = 1 << 15;
/// Byte counts of one interval stop here, so that sums and products stay below 2^64.
const BYTES_MAX: u64 = 1 << 36;
/// Likewise lengths, in nanoseconds.
const NS_MAX: u64 = 1 << 36;

struct Limit {
    lost_q16: u32,
    times: u32,
}

/// What the brake knows of one flow, in 56 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Brake {
    sums: Sums,
    /// Highest rate in kb/s; 0 where there is none.
    ceiling_kbps: u32,
    /// The last one under which the loss was gone; 0 where there is none.
    cured_kbps: u32,
    /// The loss that led to the ceiling, and what is lost whatever the rate, in 1/65536.
    braked_at_q16: u16,
    tolerated_q16: u16,
    /// Which of the newest eight intervals lost anything.
    lossy: u8,
    /// Time left until what is told was sent under the ceiling, or until the ceiling rises again, in microseconds.
    wait_us: u32,
    /// Intervals of the round, or rises of the ceiling.
    age: u8,
    /// Rounds since the ceiling was set; how often it was lowered.
    rounds: u8,
    lowered: u8,
}

/// Sums over intervals: payload lost and acknowledged, the latter as a rate counts it, and time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sums {
    lost: u64,
    acked: u64,
    delivered: u64,
    ns: u64,
}

const _: () = assert!(size_of::<Brake>() <= 56, "a flow's aside counts on this");

impl Sums {
    fn add(&mut self, report: &IntervalReport, delivered_bytes: u64) {
        self.lost += report.lost_bytes.min(BYTES_MAX);
        self.acked += report.acked_bytes.min(BYTES_MAX);
        self.delivered += delivered_bytes.min(BYTES_MAX);
        self.ns += report.duration_ns.min(NS_MAX);
    }

    /// What was before counts less.
    fn fade(&mut self) {
        for sum in [&mut self.lost, &mut self.acked, &mut self.delivered, &mut self.ns] {
            *sum -= *sum >> FADE_BITS;
        }
    }

    /// Lost over lost and acknowledged, in 1/65536. No sum reaches 2^40: none is of more than eight intervals' worth, or of
    /// the fewer of a round.
    fn lost_q16(&self) -> u32 {
        ((self.lost << 16).checked_div(self.lost + self.acked).unwrap_or(0)) as u32
    }

    /// The rate of delivery in kb/s: bytes x 8 / ns x 10^6, below 2^63 before the division.
    fn delivered_kbps(&self) -> u32 {
        let kbps = (self.delivered * 8_000_000).checked_div(self.ns).unwrap_or(0);
        u32::try_from(kbps).unwrap_or(u32::MAX)
    }
}

impl Brake {
    /// Takes an ended interval into account. Both byte counts are as a pacing rate has them: what was acknowledged in the
    /// interval, and what waits for its time at its end.
    pub fn observe(&mut self, report: &IntervalReport, delivered_bytes: u64, held_bytes: u32) {
        let past_us = u32::try_from(report.duration_ns / 1_000).unwrap_or(u32::MAX);
        self.wait_us = self.wait_us.saturating_sub(past_us);
        if self.ceiling_kbps == 0 {
            self.watch(report, delivered_bytes, held_bytes, &HOLD);
        } else if self.rounds < ROUNDS {
            if self.wait_us > 0 {
                return;
            }
            self.age += 1;
            self.sums.add(report, delivered_bytes);
            if self.age >= ROUND {
                self.end_round(report, held_bytes);
            }
        } else {
            if self.wait_us == 0 {
                self.age += 1;
                self.ceiling_kbps = self.ceiling_kbps.saturating_add(self.ceiling_kbps.div_ceil(16));
                self.wait_us = self.late_us(report, held_bytes) >> RISES_BITS;
            }
            self.watch(report, delivered_bytes, held_bytes, &PROBE);
            if self.rounds >= ROUNDS && self.age >= PROBED {
                self.lift();
            }
        }
    }

    /// For a flow that keeps its rate whatever it loses: what is lost whatever the rate counts as `lost_q16` / 65536 at most. Above
    /// that it is braked again and again, and each time from what got through.
    pub fn tolerate_at_most(&mut self, lost_q16: u16) {
        self.tolerated_q16 = self.tolerated_q16.min(lost_q16);
    }

    /// The rate that the flow may have at most, in bits per second, if there is one.
    pub fn ceiling_bps(&self) -> Option<u64> {
        (self.ceiling_kbps > 0).then_some(u64::from(self.ceiling_kbps) * 1_000)
    }

    /// `rate_bps` within the ceiling.
    pub fn limit(&self, rate_bps: u64) -> u64 {
        self.ceiling_bps().map_or(rate_bps, |ceiling| rate_bps.min(ceiling))
    }

    /// An interval of a flow that may raise its rate. Sets the ceiling where it lost too much.
    fn watch(&mut self, report: &IntervalReport, delivered_bytes: u64, held_bytes: u32, limit: &Limit) {
        self.sums.fade();
        self.sums.add(report, delivered_bytes);
        self.lossy = self.lossy << 1 | u8::from(report.lost_bytes > 0);
        let lost = self.sums.lost_q16();
        if lost > u32::from(self.tolerated_q16) + limit.lost_q16 && self.lossy.count_ones() >= limit.times {
            self.braked_at_q16 = saturated(lost);
            self.lowered = 0;
            // Of a flow that floods, TCP may not tell all that arrives. If even what was in order is too much, a round will
            // tell.
            self.hold(lowered(self.sums.delivered_kbps()).max(self.cured_kbps), report, held_bytes);
        }
    }

    fn hold(&mut self, ceiling_kbps: u32, report: &IntervalReport, held_bytes: u32) {
        self.ceiling_kbps = ceiling_kbps.max(1);
        self.rounds = 0;
        self.begin();
        self.wait_us = self.late_us(report, held_bytes);
    }

    /// How much later than it is sent a loss is told of, at the ceiling. Below 2^32 kilobits and RTTs of a minute the sum
    /// is below 2^64.
    fn late_us(&self, report: &IntervalReport, held_bytes: u32) -> u32 {
        let held_us = u64::from(held_bytes) * 8_000 / u64::from(self.ceiling_kbps.max(1));
        let rtts_us = LATE_RTTS * report.mean_rtt_ns.unwrap_or(0).min(NS_MAX) / 1_000;
        u32::try_from(LATE_TIMES * (held_us + rtts_us)).unwrap_or(u32::MAX)
    }

    fn begin(&mut self) {
        (self.sums, self.lossy, self.age) = (Sums::default(), 0, 0);
    }

    /// Whether the loss went away.
    fn end_round(&mut self, report: &IntervalReport, held_bytes: u32) {
        let (lost, delivered_kbps) = (self.sums.lost_q16(), self.sums.delivered_kbps());
        self.rounds += 1;
        let still = lost > u32::from(self.tolerated_q16) + LOWER_LOSS;
        if still && self.lowered < LOWERED_MAX {
            self.lowered += 1;
            self.hold(lowered(delivered_kbps.min(self.ceiling_kbps)), report, held_bytes);
        } else if still && lost > u32::from(self.braked_at_q16) / 2 {
            self.tolerate(lost);
            self.lift();
        } else {
            if self.rounds >= ROUNDS {
                self.tolerate(lost);
                self.cured_kbps = if still { 0 } else { self.ceiling_kbps };
            }
            self.begin();
        }
    }

    fn tolerate(&mut self, lost_q16: u32) {
        self.tolerated_q16 = saturated(lost_q16.min(TOLERATED_MAX));
    }

    /// No ceiling any more; what is tolerated stays known.
    fn lift(&mut self) {
        *self = Brake { tolerated_q16: self.tolerated_q16, ..Brake::default() };
    }
}

/// A 32nd below what gets through, so that the queue drains.
fn lowered(delivered_kbps: u32) -> u32 {
    delivered_kbps - delivered_kbps / 32
}

fn saturated(q16: u32) -> u16 {
    u16::try_from(q16).unwrap_or(u16::MAX)
}
