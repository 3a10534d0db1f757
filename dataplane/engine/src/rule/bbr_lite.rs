//! `bbr_lite`: pace at a gain on the path's estimated bottleneck rate.
//!
//! Model. A path is a bottleneck rate and a round-trip propagation time (Cardwell et al., "BBR: Congestion-Based
//! Congestion Control", ACM Queue 14(5), 2016). Two windowed extremes estimate them from the flow's own traffic:
//!
//! ```text
//! max_rate = max over the last 10 rounds of delivered / time        min_rtt = min over the last 10 s of RTT
//! rate     = gain x 0.99 x max_rate
//! ```
//!
//! States. The gain depends on the state, and each is left for the reason at its arrow.
//!
//! ```text
//! Startup (2.885) --max_rate grew < 25 % in 3 rounds, or RTT > 2.885 min_rtt--> Drain (1/2.885)
//! Drain           --RTT <= 1.25 min_rtt, or 3 rounds--> Cruise: 1.25, 0.75, then 6 x 1, each for one min_rtt
//! any             --min_rtt older than 10 s--> ProbeRtt (1/2) for max(200 ms, 1 RTT) --> back
//! ```
//!
//! Constants are those of Linux `net/ipv4/tcp_bbr.c`. What differs from it, because Weir watches a sender and can
//! only delay it:
//!
//! * There is no window to bound the bytes in flight by 2 BDP, but in mode `yield` ([`BbrLite::window_bytes`]). A window of
//!   W bytes sends W per RTT, so Cruise paces at no more than `2 max_rate min_rtt / RTT`: what BBR's window would let
//!   through. The RTT is here the least of an interval. A queue of the flow's own is in every RTT; jitter, from a radio or from a busy host, in most of them, and
//!   with the mean a path whose RTT is commonly more than twice its shortest would wear the rate down to nothing, each
//!   estimate being of what the one before let through. Where the path has slowed down by
//!   a factor f the queue then stops growing at an RTT of 2 f min_rtt, and drains when `max_rate` has forgotten the
//!   faster days. (To pace at a fraction of what was *last* delivered drains sooner, but compounds: on a host that
//!   delays acknowledgements the RTT may stay high whatever the flow does, and its rate would fall to nothing.)
//!   ProbeRtt likewise, with half a BDP: at half of a rate that the path no longer has, a queue would not empty. The
//!   same reasoning ends Startup, whose window would be 2.885 BDP, and Drain.
//! * A round is a time of one mean RTT, not a window of packets; of two min_rtt at most, because while a queue grows
//!   the RTT runs ahead of any end. It gives one rate sample: what was delivered in it, but no more than was sent
//!   in it or in the round before. That is BBR's `min(send rate, ack rate)`: a burst of acknowledgements across a
//!   round's edge does not pass for bandwidth.
//! * An app-limited round counts only if it beats the maximum, and in Startup it is no stagnation.

use super::Evidence;
use crate::time::{BitsPerSec, Ns};

/// Gains are in 1/256, as `BBR_UNIT`.
const GAIN_ONE: u64 = 256;
/// 2/ln 2: the smallest gain that doubles the rate per round. `bbr_high_gain`.
const GAIN_STARTUP: u64 = 739;
/// Its inverse, to drain in one round what Startup queued. `bbr_drain_gain`.
const GAIN_DRAIN: u64 = 88;
/// `bbr_pacing_gain`: probe for more, drain the probe, cruise.
const GAIN_CYCLE: [u64; 8] = [320, 192, 256, 256, 256, 256, 256, 256];
/// BDPs in flight at most, in Cruise. `bbr_cwnd_gain`.
const GAIN_WINDOW: u64 = 2 * GAIN_ONE;
/// Pacing gain and BDPs in flight while the RTT is probed. BBR version 1 keeps 4 packets, `bbr_cwnd_min_target`; half a
/// BDP is version 2's `BBRProbeRTTCwndGain`, and empties the queue of flows that probe together as well.
const GAIN_PROBE_RTT: u64 = 128;
/// `bbr_pacing_margin_percent`: pace 1 % below the estimate, so that a queue from noise drains.
const MARGIN_PERCENT: u64 = 1;
/// `bbr_bw_rtts` is the cycle length + 2.
const RATE_WINDOW_ROUNDS: usize = 10;
/// `bbr_min_rtt_win_sec`.
const MIN_RTT_WINDOW: Ns = Ns::from_secs(10);
/// `bbr_probe_rtt_mode_ms`.
const PROBE_RTT_TIME: Ns = Ns::from_millis(200);
/// `bbr_full_bw_thresh` (1.25) and `bbr_full_bw_cnt`.
const FULL_GROWTH: u64 = 320;
const FULL_ROUNDS: u8 = 3;
/// Drain ends here at the latest. Linux needs no such bound, because what is in flight falls in any case; an RTT
/// does not when another flow's queue is in it.
const DRAIN_ROUNDS: u8 = 3;

/// One flow's estimate and state.
#[derive(Clone, Debug)]
pub struct BbrLite {
    /// What the last rounds delivered, in kbit/s, app-limited ones left out; a ring.
    rates: [u32; RATE_WINDOW_ROUNDS],
    /// Their maximum.
    max_rate: u32,
    oldest: u8,
    cycle: u8,
    state: State,
    /// Rounds in Startup without growth, or rounds in Drain.
    rounds_in_state: u8,
    /// Whether the pipe has been full: where to go after ProbeRtt.
    filled: bool,
    round_app_limited: bool,
    round_began: Clock,
    round_sent: u32,
    round_delivered: u32,
    /// What the round before sent, in kbit/s.
    sent_before: u32,
    /// `max_rate` when it last grew by a quarter, in kbit/s.
    full_rate: u32,
    /// In nanoseconds; 0 before the first sample. RTTs of more than 4.29 s count as that.
    min_rtt: u32,
    min_rtt_seen: Clock,
    /// The least RTT of the interval, in nanoseconds; `u32::MAX` without a sample.
    least_rtt: u32,
    /// The smallest RTT since ProbeRtt began.
    probe_min_rtt: u32,
    phase_began: Clock,
}

const _: () = assert!(size_of::<BbrLite>() <= 124, "shares its place in a paced flow's entry with a history");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Startup,
    Drain,
    Cruise,
    ProbeRtt,
}

/// Time in 2^14 ns (16 us), modulo 2^32 of those (19 hours); only spans below that are asked for.
#[derive(Clone, Copy, Debug)]
struct Clock(u32);

impl Clock {
    const UNIT_BITS: u32 = 14;

    fn at(now: Ns) -> Clock {
        Clock((now.0 >> Clock::UNIT_BITS) as u32)
    }
    fn until(self, now: Ns) -> Ns {
        Ns(u64::from(Clock::at(now).0.wrapping_sub(self.0)) << Clock::UNIT_BITS)
    }
}

impl BbrLite {
    /// Places in the cycle at which a flow may begin.
    pub const PHASES: u64 = 6;

    /// A flow about which nothing is known at `now`. `seed` chooses where in the cycle it begins to cruise, so that
    /// flows with different seeds do not all probe at once; never at 0.75, as in Linux.
    pub fn new(now: Ns, seed: u64) -> BbrLite {
        let now = Clock::at(now);
        BbrLite {
            rates: [0; RATE_WINDOW_ROUNDS],
            max_rate: 0,
            oldest: 0,
            cycle: 2 + (seed % BbrLite::PHASES) as u8,
            state: State::Startup,
            rounds_in_state: 0,
            filled: false,
            round_app_limited: false,
            round_began: now,
            round_sent: 0,
            round_delivered: 0,
            sent_before: 0,
            full_rate: 0,
            min_rtt: 0,
            min_rtt_seen: now,
            least_rtt: u32::MAX,
            probe_min_rtt: u32::MAX,
            phase_began: now,
        }
    }

    /// The smallest RTT of its window, in nanoseconds; 0 before the first.
    pub fn min_rtt_ns(&self) -> u64 {
        self.min_rtt.into()
    }

    /// An RTT sample.
    pub fn on_rtt(&mut self, now: Ns, rtt_ns: u64) {
        let rtt = saturate(rtt_ns).max(1);
        if self.min_rtt == 0 || rtt <= self.min_rtt {
            self.min_rtt = rtt;
            self.min_rtt_seen = Clock::at(now);
        }
        self.least_rtt = self.least_rtt.min(rtt);
        self.probe_min_rtt = self.probe_min_rtt.min(rtt);
    }

    /// The rate after an interval, given the rate in it. Unbounded: the guard's limits are the caller's. `None`
    /// while nothing has been measured.
    pub fn on_interval(&mut self, seen: &Evidence, rate: BitsPerSec) -> Option<BitsPerSec> {
        let mean_rtt = seen.mean_rtt?;
        let least_rtt = core::mem::replace(&mut self.least_rtt, u32::MAX);
        let least_rtt = if least_rtt == u32::MAX { mean_rtt } else { Ns(u64::from(least_rtt)) };
        self.round_sent = self.round_sent.saturating_add(saturate(seen.sent_bytes));
        self.round_delivered = self.round_delivered.saturating_add(saturate(seen.delivered_bytes));
        self.round_app_limited |= seen.app_limited;
        let span = self.round_began.until(seen.now);
        let round_over = span >= mean_rtt.min(Ns(2 * u64::from(self.min_rtt)));
        if round_over {
            self.end_round(seen.now, span);
        }
        if self.max_rate == 0 {
            return None;
        }
        self.advance(seen.now, mean_rtt, round_over);

        // < 2^32 x 2^10 x 2^10 x 2^7: fits.
        let paced = u64::from(self.max_rate) * 1_000 * self.gain(least_rtt) * (100 - MARGIN_PERCENT)
            / (GAIN_ONE * 100);
        let paced = BitsPerSec(paced);
        // As in Linux: until the pipe has been full once, an estimate below the present rate is only a young one.
        Some(if self.state == State::Startup { paced.max(rate) } else { paced })
    }

    /// Bytes in flight at most, in frames, for a sender that Weir may tell so; `None` while the path is not known.
    pub fn window_bytes(&self) -> Option<u64> {
        let window = match self.state {
            State::Startup | State::Drain => GAIN_STARTUP,
            State::Cruise => GAIN_WINDOW,
            State::ProbeRtt => GAIN_PROBE_RTT,
        };
        // kb/s x ns / 8 / 10^6 are bytes: 2^32 x 2^32 / 2^23 x 2^10 fits.
        let bdp = u64::from(self.max_rate) * u64::from(self.min_rtt) / 8_000_000;
        (bdp > 0).then_some(bdp * window / GAIN_ONE)
    }

    /// Takes the round's rate sample and begins the next.
    fn end_round(&mut self, now: Ns, span: Ns) {
        let sent = kbps(self.round_sent, span);
        let sample = kbps(self.round_delivered, span).min(sent.max(self.sent_before));
        if !self.round_app_limited || sample >= self.max_rate {
            self.rates[usize::from(self.oldest)] = sample;
            self.oldest = (self.oldest + 1) % RATE_WINDOW_ROUNDS as u8;
            self.max_rate = self.rates.into_iter().fold(0, u32::max);
        }
        match self.state {
            State::Startup if !self.round_app_limited => {
                let grown = u64::from(self.full_rate) * FULL_GROWTH / GAIN_ONE;
                if u64::from(self.max_rate) >= grown.max(1) {
                    self.full_rate = self.max_rate;
                    self.rounds_in_state = 0;
                } else {
                    self.rounds_in_state += 1;
                }
            }
            State::Drain => self.rounds_in_state += 1,
            _ => {}
        }
        self.round_began = Clock::at(now);
        self.round_app_limited = false;
        self.sent_before = sent;
        (self.round_sent, self.round_delivered) = (0, 0);
    }

    fn advance(&mut self, now: Ns, mean_rtt: Ns, round_over: bool) {
        let min_rtt = u64::from(self.min_rtt);
        let in_phase = self.phase_began.until(now);
        match self.state {
            State::ProbeRtt => {
                if in_phase >= PROBE_RTT_TIME.max(mean_rtt) {
                    if self.probe_min_rtt != u32::MAX {
                        self.min_rtt = self.probe_min_rtt;
                    }
                    self.min_rtt_seen = Clock::at(now);
                    self.enter(if self.filled { State::Cruise } else { State::Startup }, now);
                }
                return;
            }
            State::Startup => {
                if self.rounds_in_state >= FULL_ROUNDS || exceeds(mean_rtt, min_rtt, GAIN_STARTUP) {
                    self.filled = true;
                    self.enter(State::Drain, now);
                }
            }
            State::Drain => {
                let drained = !exceeds(mean_rtt, min_rtt, GAIN_CYCLE[0]);
                if round_over && (drained || self.rounds_in_state >= DRAIN_ROUNDS) {
                    self.enter(State::Cruise, now);
                }
            }
            State::Cruise => {
                if in_phase.0 >= min_rtt {
                    self.cycle = (self.cycle + 1) % GAIN_CYCLE.len() as u8;
                    self.phase_began = Clock::at(now);
                }
            }
        }
        if self.min_rtt_seen.until(now) > MIN_RTT_WINDOW {
            self.probe_min_rtt = u32::MAX;
            self.enter(State::ProbeRtt, now);
        }
    }

    fn enter(&mut self, state: State, now: Ns) {
        self.state = state;
        self.rounds_in_state = 0;
        self.phase_began = Clock::at(now);
    }

    /// The gain on `max_rate`: what the state paces at, and no more than a window of `w` BDPs would let through in the least RTT
    /// of an interval.
    fn gain(&self, least_rtt: Ns) -> u64 {
        let through = |window: u64| window * u64::from(self.min_rtt) / least_rtt.0.max(1);
        match self.state {
            State::Startup => GAIN_STARTUP,
            State::Drain => GAIN_DRAIN,
            State::ProbeRtt => GAIN_PROBE_RTT.min(through(GAIN_PROBE_RTT)),
            State::Cruise => GAIN_CYCLE[usize::from(self.cycle)].min(through(GAIN_WINDOW)),
        }
    }
}

/// Whether `rtt > min_rtt x gain`.
fn exceeds(rtt: Ns, min_rtt: u64, gain: u64) -> bool {
    rtt.0 > min_rtt * gain / GAIN_ONE
}

/// `bytes` per `span` in kbit/s, at least 1 so that "measured" differs from "nothing known".
fn kbps(bytes: u32, span: Ns) -> u32 {
    saturate(u64::from(bytes) * 8_000_000 / span.0.max(1)).max(1)
}

fn saturate(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
