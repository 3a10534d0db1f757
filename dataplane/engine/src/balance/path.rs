//! What is known of one path: by the TCP flows on it, and by probes.

use crate::time::Ns;
use weir_features::PathSignals;

/// Weight of a new RTT sample, as a shift: an eighth (RFC 6298 section 2).
const RTT_SHIFT: u32 = 3;
/// Weight of a new sample where probes are frequent: a half. They are few, and each is of the path alone.
const PROBE_SHIFT: u32 = 1;
/// Probes answered within this of each other are frequent.
const FREQUENT: Ns = Ns::from_millis(1);
/// Weight of one acknowledgement in the share of marked ones: a sixteenth (DCTCP's g, RFC 8257 section 3.3).
const ECN_SHIFT: u32 = 4;
/// Weight of one report in the share of losses.
const LOSS_SHIFT: u32 = 5;
/// RTTs below it count as it where a queue is measured in them, as in the features.
const RTT_FLOOR: u64 = 100_000;
/// Weight of a timeout in the same share: a quarter. It is one flow's, but a whole window of it.
const TIMEOUT_SHIFT: u32 = 2;
/// Smallest RTTs and largest rates are kept for one to two of these.
const WINDOW: Ns = Ns::from_secs(10);
/// CONGA's discounting estimator (Alizadeh et al., SIGCOMM 2014, section 3.2): what was sent loses this share...
const DRE_ALPHA_Q16: u64 = 13_107;
/// ...each of these periods. Their quotient, 1 ms, is the time over which the rate is a mean.
const DRE_PERIOD: Ns = Ns::from_micros(200);
/// After as many periods less than a thousandth is left.
const DRE_PERIODS_MAX: u64 = 32;
/// A path that has come back begins with a sixteenth of its weight.
const RAMP_MIN_Q16: u64 = 4_096;
const ONE: u64 = 65_536;
/// Probes whose departure is remembered: as many as are under way when answers take 6 ms at the shortest interval, 100 us.
const PROBES: usize = 64;
/// Less silence than this says nothing, however frequent probes are: a queue may be as long.
const SILENCE_MIN: Ns = Ns::from_millis(10);
/// Answers in a row that bring a path back.
const COMES_BACK_AFTER: u8 = 3;
/// Fewer unanswered probes in a row, and less silence in probe intervals, than these say nothing: one may have been lost.
const UNANSWERED_MIN: u32 = 2;
/// The same where flows of datagrams are paced, counted from the last answer. While such a flow finds its rate it may send so many times
/// faster than its path, whose answers are then as many times farther apart, and nothing else tells that something arrives.
const UNANSWERED_MIN_WITH_DATAGRAMS: u32 = 8;

/// The larger or the smaller of what was seen of late: of this window and the one before.
#[derive(Clone, Copy, Debug)]
struct Windowed {
    values: [u64; 2],
    ends: Ns,
}

impl Windowed {
    const EMPTY: Windowed = Windowed { values: [0; 2], ends: Ns::ZERO };

    fn roll(&mut self, now: Ns) {
        if now >= self.ends {
            let lapsed = now - self.ends >= WINDOW;
            self.values = if lapsed { [0; 2] } else { [0, self.values[0]] };
            self.ends = now + WINDOW;
        }
    }

    fn raise(&mut self, value: u64, now: Ns) {
        self.roll(now);
        self.values[0] = self.values[0].max(value);
    }

    fn lower(&mut self, value: u64, now: Ns) {
        self.roll(now);
        self.values[0] = lesser(self.values[0], value);
    }

    fn largest(&self) -> u64 {
        self.values[0].max(self.values[1])
    }

    fn least(&self) -> u64 {
        lesser(self.values[0], self.values[1])
    }
}

/// The smaller of two, where 0 stands for nothing seen.
fn lesser(a: u64, b: u64) -> u64 {
    if a == 0 || b == 0 { a | b } else { a.min(b) }
}

/// Bytes sent, discounted.
#[derive(Clone, Copy, Debug, Default)]
struct Dre {
    bytes_q16: u64,
    at: Ns,
}

impl Dre {
    fn discount(&mut self, now: Ns) {
        let periods = (now - self.at).0 / DRE_PERIOD.0;
        if periods == 0 {
            return;
        }
        self.at += Ns(periods * DRE_PERIOD.0);
        if periods > DRE_PERIODS_MAX {
            (self.bytes_q16, self.at) = (0, now);
            return;
        }
        for _ in 0..periods {
            self.bytes_q16 -= ((self.bytes_q16 >> 16) * DRE_ALPHA_Q16).min(self.bytes_q16);
        }
    }

    fn add(&mut self, bytes: u32, now: Ns) {
        self.discount(now);
        self.bytes_q16 = self.bytes_q16.saturating_add(u64::from(bytes) << 16).min(1 << 56);
    }

    /// Bits per second.
    fn rate(&self, now: Ns) -> u64 {
        let mut at_now = *self;
        at_now.discount(now);
        // Bytes over 1 ms.
        (at_now.bytes_q16 >> 16) * 8_000
    }
}

/// Whether a path may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// It may.
    Up,
    /// Its probes are not answered.
    Down,
    /// It has come back at this time, and takes its weight bit by bit.
    Returning(Ns),
}

/// One path's state.
#[derive(Clone, Debug)]
pub(super) struct PathState {
    /// As configured; 0: to be learned.
    configured_bps: u64,
    srtt: u64,
    gradient_q16: i32,
    base: Windowed,
    sampled: Option<Ns>,
    ecn_q16: u32,
    loss_q16: u32,
    pub(super) in_flight: u64,
    dre: Dre,
    fastest: Windowed,
    pub(super) health: Health,
    /// When the next probe is due.
    pub(super) probe_due: Ns,
    sequence: u32,
    sent: [(u32, Ns); PROBES],
    /// The first of the probes that were sent since the last answered one.
    unanswered: Option<(u32, Ns)>,
    answers_in_a_row: u8,
    /// Queues of datagrams make answers late, which is no failure.
    bears_datagrams: bool,
    /// When the last answer came.
    answered: Option<Ns>,
    /// Something sent at this time has been delivered.
    delivered: Ns,
}

/// Of what had departed by `path`, if that is one, so much is nobody's any more: its flow has left, or is over.
pub(super) fn forget_in_flight(states: &mut [PathState], path: Option<usize>, bytes: u32) {
    if let Some(state) = path.and_then(|path| states.get_mut(path)) {
        state.forget_in_flight(bytes);
    }
}

impl PathState {
    pub(super) fn new(configured_bps: Option<u64>, probe_due: Ns) -> PathState {
        PathState {
            configured_bps: configured_bps.unwrap_or(0),
            srtt: 0,
            gradient_q16: 0,
            base: Windowed::EMPTY,
            sampled: None,
            ecn_q16: 0,
            loss_q16: 0,
            in_flight: 0,
            dre: Dre::default(),
            fastest: Windowed::EMPTY,
            health: Health::Up,
            probe_due,
            sequence: 0,
            sent: [(0, Ns::ZERO); PROBES],
            unanswered: None,
            answers_in_a_row: 0,
            bears_datagrams: false,
            answered: None,
            delivered: Ns::ZERO,
        }
    }

    /// Flows of datagrams are paced on it.
    pub(super) fn bear_datagrams(&mut self) {
        self.bears_datagrams = true;
    }

    /// Data went to their receiver in this path's direction, and `rtt` after their departure the acknowledgement is here.
    pub(super) fn on_rtt(&mut self, rtt: Ns, now: Ns) {
        self.delivered = self.delivered.max(now - rtt);
        // It holds the queues of the last hop and of the acknowledgement's own way back. Frequent probes tell better.
        if !self.is_probed_often(now) {
            self.sample(rtt, RTT_SHIFT, now);
        }
    }

    fn is_probed_often(&self, now: Ns) -> bool {
        self.answered.is_some_and(|at| now - at < FREQUENT)
    }

    fn sample(&mut self, rtt: Ns, shift: u32, now: Ns) {
        let rtt = rtt.0.clamp(1, 1 << 36);
        self.base.lower(rtt, now);
        let before = self.srtt;
        self.srtt = match before {
            0 => rtt,
            srtt => (srtt - (srtt >> shift) + (rtt >> shift)).max(1),
        };
        if let Some(sampled) = self.sampled.replace(now) {
            let (rise, time) = (self.srtt as i64 - before as i64, (now - sampled).0.clamp(1, 1 << 36) as i64);
            // |rise| < 2^37: fits.
            let slope = ((rise << 16) / time).clamp(-(ONE as i64), ONE as i64) as i32;
            self.gradient_q16 += (slope - self.gradient_q16) >> RTT_SHIFT;
        }
    }

    /// An acknowledgement of data that went this way has come.
    pub(super) fn on_ack(&mut self, marked: bool, delivered: u32, lost: bool) {
        self.ecn_q16 = smoothed(self.ecn_q16, marked, ECN_SHIFT);
        if delivered > 0 || lost {
            self.loss_q16 = smoothed(self.loss_q16, lost, LOSS_SHIFT);
        }
    }

    /// A sender has waited in vain for an acknowledgement of data that went this way.
    pub(super) fn on_timeout(&mut self) {
        self.loss_q16 = smoothed(self.loss_q16, true, TIMEOUT_SHIFT);
    }

    /// A frame departs this way.
    pub(super) fn on_depart(&mut self, bytes: u32, now: Ns) {
        self.dre.add(bytes, now);
        self.fastest.raise(self.dre.rate(now), now);
    }

    /// Bytes that had departed this way have arrived, or are nobody's any more.
    pub(super) fn forget_in_flight(&mut self, bytes: u32) {
        self.in_flight = self.in_flight.saturating_sub(u64::from(bytes));
    }

    /// What it carries in bits per second; 0: unknown.
    pub(super) fn rate_bps(&self) -> u64 {
        if self.configured_bps > 0 { self.configured_bps } else { self.fastest.largest() }
    }

    pub(super) fn srtt(&self) -> Ns {
        Ns(self.srtt)
    }

    /// The smallest RTT of late; 0 for none.
    pub(super) fn base_rtt(&self) -> u64 {
        self.base.least()
    }

    pub(super) fn ecn_q16(&self) -> u32 {
        self.ecn_q16
    }

    pub(super) fn loss_q16(&self) -> u32 {
        self.loss_q16
    }

    pub(super) fn sent_bps(&self, now: Ns) -> u64 {
        self.dre.rate(now)
    }

    /// Share of its rate that is in use, in 1/65536; 0 while that is unknown.
    pub(super) fn utilisation_q16(&self, now: Ns) -> u64 {
        match self.rate_bps() {
            0 => 0,
            rate => {
                ((u128::from(self.dre.rate(now)) << 16) / u128::from(rate)).min(2 * u128::from(ONE)) as u64
            }
        }
    }

    /// What a rule that compares paths goes by, in 1/65536: its queue in base RTTs, its use, its marks and losses.
    pub(super) fn congestion_q16(&self, base_rtt: u64, now: Ns) -> u64 {
        let queue = match (self.srtt, base_rtt) {
            (0, _) | (_, 0) => 0,
            (srtt, base) => {
                let queue = u128::from(srtt.saturating_sub(base)) << 16;
                // Both are below 2^37 ns.
                (queue / u128::from(base.max(RTT_FLOOR))) as u64
            }
        };
        queue + self.utilisation_q16(now) + u64::from(self.ecn_q16) + 8 * u64::from(self.loss_q16)
    }

    /// For a decision now, where `base_rtt` is the least of all paths'.
    pub(super) fn signals(&self, base_rtt: u64, current: bool, now: Ns) -> PathSignals {
        PathSignals {
            rtt_ns: self.srtt,
            base_rtt_ns: base_rtt,
            rtt_gradient_q16: self.gradient_q16,
            ecn_q16: self.ecn_q16,
            loss_q16: self.loss_q16,
            in_flight: self.in_flight,
            sent_bps: self.dre.rate(now),
            rate_bps: self.rate_bps(),
            sample_age_ns: self.sampled.map(|sampled| (now - sampled).0),
            current,
        }
    }

    /// Whether flows may be on it.
    pub(super) fn is_up(&self) -> bool {
        self.health != Health::Down
    }

    /// Which share of its weight it takes, in 1/65536.
    pub(super) fn ramp_q16(&self, slow_start: Ns, now: Ns) -> u64 {
        match self.health {
            Health::Up => ONE,
            Health::Down => 0,
            Health::Returning(since) => {
                let passed = u128::from((now - since).0) << 16;
                ((passed / u128::from(slow_start.0.max(1))).min(u128::from(ONE)) as u64).max(RAMP_MIN_Q16)
            }
        }
    }

    /// Ends a slow start that is over.
    pub(super) fn end_slow_start(&mut self, slow_start: Ns, now: Ns) {
        if let Health::Returning(since) = self.health
            && now - since >= slow_start
        {
            self.health = Health::Up;
        }
    }

    /// A probe departs; its number.
    pub(super) fn on_probe(&mut self, now: Ns, interval: Ns) -> u32 {
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        self.sent[sequence as usize % PROBES] = (sequence, now);
        self.unanswered.get_or_insert((sequence, now));
        self.probe_due = now + interval;
        sequence
    }

    /// The number of the probe that departs next.
    pub(super) fn next_probe(&self) -> u32 {
        self.sequence
    }

    /// A probe has been answered now, whose reflector kept it for `kept`. Returns the round trip, unless the probe is not
    /// remembered: a forged answer, a second one, or one that took too long.
    pub(super) fn on_answer(&mut self, sequence: u32, kept: Ns, now: Ns) -> Option<Ns> {
        let remembered = &mut self.sent[sequence as usize % PROBES];
        if remembered.0 != sequence || remembered.1 == Ns::ZERO {
            return None;
        }
        let sent = core::mem::replace(&mut remembered.1, Ns::ZERO);
        if self.unanswered.is_some_and(|(first, _)| sequence.wrapping_sub(first) < 1 << 31) {
            // Those sent after it are what is unanswered now.
            let after = sequence.wrapping_add(1);
            let (next, at) = self.sent[after as usize % PROBES];
            self.unanswered =
                (after != self.sequence && next == after && at != Ns::ZERO).then_some((after, at));
        }
        self.answers_in_a_row = self.answers_in_a_row.saturating_add(1);
        let rtt = Ns((now - sent).0.saturating_sub(kept.0).max(1));
        let shift = if self.is_probed_often(now) { PROBE_SHIFT } else { RTT_SHIFT };
        self.answered = Some(now);
        self.delivered = self.delivered.max(now - rtt);
        self.sample(rtt, shift, now);
        self.loss_q16 = smoothed(self.loss_q16, false, LOSS_SHIFT);
        Some(rtt)
    }

    /// Whether the path has failed: two probes in a row and two intervals without an answer, and nothing that departed
    /// meanwhile has arrived. A path that is cut between two probes answers the one before; the next is unanswered for two
    /// intervals three intervals after that one, at the latest: it is found out within three. With datagrams: eight, within nine.
    fn has_failed(&self, interval: Ns, now: Ns) -> bool {
        self.unanswered.is_some_and(|(first, at)| {
            let (least, since) = match self.bears_datagrams {
                true => {
                    (UNANSWERED_MIN_WITH_DATAGRAMS, self.answered.map_or(at, |answered| answered.max(at)))
                }
                false => (UNANSWERED_MIN, at),
            };
            now - since >= Ns(u64::from(least) * interval.0).max(SILENCE_MIN)
                && self.sequence.wrapping_sub(first) >= least
                && self.delivered <= at
        })
    }

    /// Looks at what the probes say. Returns the new health, if it is another.
    pub(super) fn judge(&mut self, interval: Ns, now: Ns) -> Option<Health> {
        let failed = self.has_failed(interval, now);
        if failed {
            self.answers_in_a_row = 0;
            self.loss_q16 = smoothed(self.loss_q16, true, LOSS_SHIFT);
        }
        let next = match self.health {
            Health::Up | Health::Returning(_) if failed => Health::Down,
            Health::Down if !failed && self.answers_in_a_row >= COMES_BACK_AFTER => Health::Returning(now),
            same => same,
        };
        let changed = next != self.health;
        if changed && next == Health::Down {
            // What it was says nothing of what it will be.
            (self.srtt, self.gradient_q16, self.sampled, self.answered) = (0, 0, None, None);
        }
        self.health = next;
        changed.then_some(next)
    }
}

fn smoothed(share_q16: u32, hit: bool, shift: u32) -> u32 {
    let target = if hit { ONE as i64 } else { 0 };
    let next = i64::from(share_q16) + ((target - i64::from(share_q16)) >> shift);
    next.clamp(0, ONE as i64) as u32
}

#[cfg(test)]
mod tests;
