//! A BBR-like controller: pace at a gain on the windowed maximum of what was delivered per round.
//!
//! The model and the constants are those of `weir_engine`'s rule `bbr_lite` (Cardwell et al., ACM Queue 14(5), 2016), whose
//! head explains them; this one is cut down to what a world of greedy flows needs.

use crate::controller::{Controller, Ended};
use std::collections::VecDeque;

const GAIN_STARTUP: f64 = 2.885;
const GAIN_CYCLE: [f64; 8] = [1.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
const WINDOW_BDP: f64 = 2.0;
const RATE_WINDOW_ROUNDS: usize = 10;
const MIN_RTT_WINDOW_S: f64 = 10.0;
const PROBE_RTT_S: f64 = 0.2;
const FULL_GROWTH: f64 = 1.25;
const FULL_ROUNDS: u32 = 3;

/// See the head of the file.
#[derive(Debug, Clone, Default)]
pub struct BbrLike(Vec<State>);

#[derive(Debug, Clone, Default)]
struct State {
    /// Delivered in the last rounds, in bits per second.
    rates_bps: VecDeque<f64>,
    round: Round,
    full_bps: f64,
    full_rounds: u32,
    phase: Phase,
    phase_s: f64,
    cycle: usize,
    min_rtt_s: f64,
    min_rtt_seen_s: f64,
    probe_rtt_s: f64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Round {
    began_s: f64,
    delivered_bits: f64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Startup,
    Drain,
    Cruise,
    ProbeRtt,
}

impl Controller for BbrLike {
    fn begin(&mut self, flows: usize) {
        // Flows that cruise in step would all probe at once.
        let begin = |flow: usize| State { cycle: 2 + flow % 6, ..State::default() };
        self.0 = (0..flows).map(begin).collect();
    }

    fn decide(&mut self, ended: &Ended<'_>) -> u64 {
        let (Some(state), Some(report)) = (self.0.get_mut(ended.flow), ended.report) else {
            return ended.rate_bps;
        };
        let Some(rtt_s) = report.mean_rtt_ns.map(|ns| ns as f64 / 1e9) else { return ended.rate_bps };
        state.round.delivered_bits += report.acked_bytes as f64 * 8.0;
        if state.min_rtt_s == 0.0 {
            state.round.began_s = ended.at_s - report.duration_ns as f64 / 1e9;
        }
        if state.min_rtt_s == 0.0 || rtt_s <= state.min_rtt_s {
            (state.min_rtt_s, state.min_rtt_seen_s) = (rtt_s, ended.at_s);
        }
        state.probe_rtt_s = state.probe_rtt_s.min(rtt_s);
        let round_over = ended.at_s - state.round.began_s >= rtt_s.min(2.0 * state.min_rtt_s);
        if round_over {
            state.end_round(ended.at_s);
        }
        state.advance(ended.at_s, rtt_s, round_over);
        let Some(rate_bps) = state.rates_bps.iter().copied().reduce(f64::max) else { return ended.rate_bps };
        let paced = rate_bps * state.gain(rtt_s) * 0.99;
        if state.phase == Phase::Startup { paced.max(ended.rate_bps as f64) as u64 } else { paced as u64 }
    }
}

impl State {
    fn end_round(&mut self, at_s: f64) {
        let rate_bps = self.round.delivered_bits / (at_s - self.round.began_s).max(1e-9);
        self.round = Round { began_s: at_s, delivered_bits: 0.0 };
        if self.rates_bps.len() == RATE_WINDOW_ROUNDS {
            self.rates_bps.pop_front();
        }
        self.rates_bps.push_back(rate_bps);
        if rate_bps >= self.full_bps * FULL_GROWTH {
            (self.full_bps, self.full_rounds) = (rate_bps, 0);
        } else {
            self.full_rounds += 1;
        }
    }

    fn advance(&mut self, at_s: f64, rtt_s: f64, round_over: bool) {
        let in_phase_s = at_s - self.phase_s;
        match self.phase {
            Phase::Startup if self.full_rounds >= FULL_ROUNDS || rtt_s > GAIN_STARTUP * self.min_rtt_s => {
                self.enter(Phase::Drain, at_s);
            }
            Phase::Drain if round_over && (rtt_s <= 1.25 * self.min_rtt_s || in_phase_s > 3.0 * rtt_s) => {
                self.enter(Phase::Cruise, at_s);
            }
            Phase::Cruise if in_phase_s >= self.min_rtt_s => {
                self.cycle = (self.cycle + 1) % GAIN_CYCLE.len();
                self.phase_s = at_s;
            }
            Phase::ProbeRtt if in_phase_s >= PROBE_RTT_S.max(rtt_s) => {
                (self.min_rtt_s, self.min_rtt_seen_s) = (self.probe_rtt_s, at_s);
                self.enter(Phase::Cruise, at_s);
            }
            Phase::Startup | Phase::Drain | Phase::Cruise | Phase::ProbeRtt => {}
        }
        if self.phase == Phase::Cruise && at_s - self.min_rtt_seen_s > MIN_RTT_WINDOW_S {
            self.probe_rtt_s = f64::INFINITY;
            self.enter(Phase::ProbeRtt, at_s);
        }
    }

    fn enter(&mut self, phase: Phase, at_s: f64) {
        (self.phase, self.phase_s) = (phase, at_s);
    }

    fn gain(&self, rtt_s: f64) -> f64 {
        let through = WINDOW_BDP * self.min_rtt_s / rtt_s;
        match self.phase {
            Phase::Startup => GAIN_STARTUP,
            Phase::Drain => 1.0 / GAIN_STARTUP,
            Phase::Cruise => GAIN_CYCLE[self.cycle].min(through),
            Phase::ProbeRtt => 0.5f64.min(through / 4.0),
        }
    }
}
