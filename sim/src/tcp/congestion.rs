//! How much a sender may have in flight. Windows are in segments, as the textbooks have them.

use weir_engine::time::Ns;
use weir_env::math;

/// RFC 6928.
const WINDOW_INITIAL: f64 = 10.0;
const WINDOW_MIN: f64 = 2.0;
/// `weir_yield` leaves its window to the receiver and its rate to Weir.
const UNBOUNDED: f64 = 1e9;
/// RFC 9438 sections 4.1 and 4.6; seconds and segments.
const CUBIC_C: f64 = 0.4;
const CUBIC_BETA: f64 = 0.7;
/// Reno's increase per RTT that gives CUBIC's average window: 3 (1 - beta) / (1 + beta).
const CUBIC_RENO: f64 = 3.0 * (1.0 - CUBIC_BETA) / (1.0 + CUBIC_BETA);
/// RFC 8257 section 4.2.
const DCTCP_G: f64 = 1.0 / 16.0;
/// Linux `net/ipv4/tcp_bbr.c`: `bbr_high_gain`, `bbr_pacing_gain`, `bbr_cwnd_gain`, `bbr_min_rtt_win_sec`,
/// `bbr_probe_rtt_mode_ms`, `bbr_full_bw_thresh`, `bbr_full_bw_cnt`.
const BBR_HIGH_GAIN: f64 = 2.885;
const BBR_CYCLE: [f64; 8] = [1.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
const BBR_WINDOW_GAIN: f64 = 2.0;
const BBR_MIN_RTT_WINDOW: Ns = Ns::from_secs(10);
const BBR_PROBE_RTT: Ns = Ns::from_millis(200);
const BBR_FULL_GROWTH: f64 = 1.25;
const BBR_FULL_ROUNDS: u32 = 3;
const BBR_RATE_ROUNDS: u64 = 10;
const BBR_MARGIN: f64 = 0.99;

/// Which congestion control a sender runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CongestionKind {
    /// RFC 5681.
    Reno,
    /// RFC 9438, without HyStart.
    Cubic,
    /// RFC 8257.
    Dctcp,
    /// The model and constants of BBR version 1, without its long-term estimate of policers.
    Bbr,
    /// Weir's own: the window is the receiver's, nothing reacts to loss, Weir's pacing governs.
    Yield,
}

impl CongestionKind {
    /// Lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            CongestionKind::Reno => "reno",
            CongestionKind::Cubic => "cubic",
            CongestionKind::Dctcp => "dctcp",
            CongestionKind::Bbr => "bbr",
            CongestionKind::Yield => "weir_yield",
        }
    }
}

/// What an acknowledgement brought.
#[derive(Clone, Copy, Debug)]
pub(super) struct Acked {
    pub(super) now: Ns,
    /// Segments newly delivered, cumulatively or selectively.
    pub(super) segments: u64,
    /// Segments delivered so far, these included.
    pub(super) delivered: u64,
    /// Segments in flight before it came.
    pub(super) flight: u64,
    pub(super) rtt: Option<Ns>,
    pub(super) smoothed_rtt: Ns,
    /// Segments per second over the flight of the newest segment that it acknowledges, and what had been delivered when
    /// that was sent.
    pub(super) rate: Option<(f64, u64)>,
    /// Whether it echoes a congestion mark.
    pub(super) marked: bool,
    /// Whether the window was what kept the sender from sending more.
    pub(super) limited: bool,
    /// Whether losses are being repaired.
    pub(super) recovering: bool,
}

/// One sender's window.
#[derive(Clone, Debug)]
pub(super) struct Congestion {
    window: f64,
    threshold: f64,
    law: Law,
    /// Window and threshold before the last timeout, in case it was a mistake.
    before: (f64, f64),
}

#[derive(Clone, Debug)]
enum Law {
    Reno,
    Cubic { window_max: f64, reno: f64, since: Option<Ns> },
    Dctcp { alpha: f64, acked: u64, marked: u64, round_end: u64 },
    Bbr(Box<Bbr>),
    Yield,
}

impl Congestion {
    pub(super) fn new(kind: CongestionKind) -> Congestion {
        let law = match kind {
            CongestionKind::Reno => Law::Reno,
            CongestionKind::Cubic => Law::Cubic { window_max: 0.0, reno: 0.0, since: None },
            CongestionKind::Dctcp => Law::Dctcp { alpha: 1.0, acked: 0, marked: 0, round_end: 0 },
            CongestionKind::Bbr => Law::Bbr(Box::default()),
            CongestionKind::Yield => Law::Yield,
        };
        let window = if kind == CongestionKind::Yield { UNBOUNDED } else { WINDOW_INITIAL };
        Congestion { window, threshold: f64::INFINITY, law, before: (window, f64::INFINITY) }
    }

    /// Segments in flight at most.
    pub(super) fn window(&self) -> f64 {
        self.window
    }

    /// Segments per second, where the sender itself paces.
    pub(super) fn pacing(&self) -> Option<f64> {
        match &self.law {
            Law::Bbr(bbr) => bbr.pacing(),
            _ => None,
        }
    }

    pub(super) fn on_ack(&mut self, acked: &Acked) {
        let segments = acked.segments as f64;
        match &mut self.law {
            Law::Yield => self.window = UNBOUNDED,
            Law::Bbr(bbr) => self.window = bbr.on_ack(acked),
            Law::Reno | Law::Cubic { .. } | Law::Dctcp { .. } => {
                if let Law::Dctcp { alpha, acked: count, marked, round_end } = &mut self.law {
                    *count += acked.segments;
                    *marked += if acked.marked { acked.segments } else { 0 };
                    if acked.delivered >= *round_end {
                        let share = *marked as f64 / (*count).max(1) as f64;
                        *alpha = (1.0 - DCTCP_G) * *alpha + DCTCP_G * share;
                        if *marked > 0 {
                            self.window = (self.window * (1.0 - *alpha / 2.0)).max(WINDOW_MIN);
                            self.threshold = self.window;
                        }
                        let reduced = *marked > 0;
                        (*count, *marked, *round_end) = (0, 0, acked.delivered + acked.flight);
                        // Without marks the window grows on, with the last acknowledgement of a round, too: a window of two
                        // segments has no other.
                        if reduced {
                            return;
                        }
                    }
                }
                if acked.recovering || !acked.limited {
                    return;
                }
                if self.window < self.threshold {
                    self.window = (self.window + segments).min(self.threshold.max(self.window));
                } else if let Law::Cubic { window_max, reno, since } = &mut self.law {
                    let rtt_s = seconds(acked.smoothed_rtt);
                    let since = *since.get_or_insert(acked.now);
                    if *window_max == 0.0 {
                        (*window_max, *reno) = (self.window, self.window);
                    }
                    let k = math::cbrt(*window_max * (1.0 - CUBIC_BETA) / CUBIC_C);
                    let t = seconds(acked.now - since) + rtt_s - k;
                    let target = (CUBIC_C * t * t * t + *window_max).clamp(self.window, 1.5 * self.window);
                    *reno += CUBIC_RENO * segments / self.window;
                    self.window += (target - self.window) / self.window * segments;
                    self.window = self.window.max(*reno);
                } else {
                    self.window += segments / self.window;
                }
            }
        }
    }

    /// Loss, or the echo of a mark: at most once in a round trip.
    pub(super) fn on_congestion(&mut self, now: Ns) {
        match &mut self.law {
            Law::Yield | Law::Bbr(_) => return,
            Law::Reno | Law::Dctcp { .. } => self.window /= 2.0,
            Law::Cubic { window_max, reno, since } => {
                // Fast convergence (section 4.7): who has to give way again gives a little more.
                let again = self.window < *window_max;
                *window_max = self.window * if again { (1.0 + CUBIC_BETA) / 2.0 } else { 1.0 };
                self.window *= CUBIC_BETA;
                (*reno, *since) = (self.window, Some(now));
            }
        }
        self.window = self.window.max(WINDOW_MIN);
        self.threshold = self.window;
    }

    pub(super) fn on_timeout(&mut self, now: Ns) {
        self.before = (self.window, self.threshold);
        match &self.law {
            Law::Yield => self.window = 1.0,
            Law::Bbr(_) => {}
            Law::Reno | Law::Cubic { .. } | Law::Dctcp { .. } => {
                self.on_congestion(now);
                self.window = 1.0;
            }
        }
    }

    /// The last timeout was a mistake.
    pub(super) fn undo_timeout(&mut self) {
        (self.window, self.threshold) = (self.window.max(self.before.0), self.before.1);
    }

    /// Whether a mark's echo counts as congestion by itself; DCTCP counts marks.
    pub(super) fn heeds_echo(&self) -> bool {
        matches!(self.law, Law::Reno | Law::Cubic { .. })
    }
}

fn seconds(span: Ns) -> f64 {
    span.0 as f64 / 1e9
}

/// Cardwell et al., "BBR: Congestion-Based Congestion Control", ACM Queue 14(5), 2016.
#[derive(Clone, Debug)]
struct Bbr {
    /// What was delivered per second in the last rounds: round, rate; falling.
    rates: Vec<(u64, f64)>,
    round: u64,
    round_end: u64,
    full: f64,
    full_rounds: u32,
    state: State,
    cycle: usize,
    since: Ns,
    min_rtt: Ns,
    min_rtt_at: Ns,
    probe_rtt: Ns,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Startup,
    Drain,
    ProbeBandwidth,
    ProbeRtt,
}

impl Default for Bbr {
    fn default() -> Bbr {
        Bbr {
            rates: Vec::new(),
            round: 0,
            round_end: 0,
            full: 0.0,
            full_rounds: 0,
            state: State::Startup,
            cycle: 2,
            since: Ns::ZERO,
            min_rtt: Ns::NEVER,
            min_rtt_at: Ns::ZERO,
            probe_rtt: Ns::NEVER,
        }
    }
}

impl Bbr {
    fn rate(&self) -> Option<f64> {
        self.rates.first().map(|(_, rate)| *rate)
    }

    fn pacing(&self) -> Option<f64> {
        let gain = match self.state {
            State::Startup => BBR_HIGH_GAIN,
            State::Drain => 1.0 / BBR_HIGH_GAIN,
            State::ProbeBandwidth => BBR_CYCLE[self.cycle],
            State::ProbeRtt => 1.0,
        };
        self.rate().map(|rate| rate * gain * BBR_MARGIN)
    }

    /// The window after an acknowledgement.
    fn on_ack(&mut self, acked: &Acked) -> f64 {
        let now = acked.now;
        if let Some(rtt) = acked.rtt {
            if rtt <= self.min_rtt {
                (self.min_rtt, self.min_rtt_at) = (rtt, now);
            }
            self.probe_rtt = self.probe_rtt.min(rtt);
        }
        let mut round_over = false;
        if let Some((rate, delivered_before)) = acked.rate {
            round_over = delivered_before >= self.round_end;
            if round_over {
                self.round += 1;
                self.round_end = acked.delivered;
            }
            self.rates.retain(|(round, known)| *round + BBR_RATE_ROUNDS > self.round && *known > rate);
            self.rates.push((self.round, rate));
        }
        let (Some(rate), true) = (self.rate(), self.min_rtt < Ns::NEVER) else { return WINDOW_INITIAL };
        self.advance(acked, rate, round_over);
        let bdp = rate * seconds(self.min_rtt);
        match self.state {
            State::Startup | State::Drain => (BBR_HIGH_GAIN * bdp).max(WINDOW_INITIAL),
            // Version 1 adds three segmentation-offload bursts; one segment each here.
            State::ProbeBandwidth => (BBR_WINDOW_GAIN * bdp + 3.0).max(4.0),
            State::ProbeRtt => 4.0,
        }
    }

    fn advance(&mut self, acked: &Acked, rate: f64, round_over: bool) {
        let now = acked.now;
        match self.state {
            State::Startup if round_over => {
                if rate >= self.full * BBR_FULL_GROWTH {
                    (self.full, self.full_rounds) = (rate, 0);
                } else {
                    self.full_rounds += 1;
                    if self.full_rounds >= BBR_FULL_ROUNDS {
                        self.state = State::Drain;
                    }
                }
            }
            State::Drain if acked.flight as f64 <= rate * seconds(self.min_rtt) => {
                (self.state, self.since) = (State::ProbeBandwidth, now);
            }
            State::ProbeBandwidth if now - self.since >= self.min_rtt => {
                self.cycle = (self.cycle + 1) % BBR_CYCLE.len();
                self.since = now;
            }
            State::ProbeRtt if now - self.since >= BBR_PROBE_RTT => {
                (self.min_rtt, self.min_rtt_at) = (self.probe_rtt, now);
                (self.state, self.since) = (State::ProbeBandwidth, now);
            }
            State::Startup | State::Drain | State::ProbeBandwidth | State::ProbeRtt => {}
        }
        if self.state == State::ProbeBandwidth && now - self.min_rtt_at > BBR_MIN_RTT_WINDOW {
            (self.state, self.since, self.probe_rtt) = (State::ProbeRtt, now, Ns::NEVER);
        }
    }
}
