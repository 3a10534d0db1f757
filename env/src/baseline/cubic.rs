//! A CUBIC-like controller (RFC 9438): a window that grows with the cube of the time since the last loss, paced.
//!
//! ```text
//! W(t) = C (t - K)^3 + W_max      K = cbrt(W_max (1 - beta) / C)      rate = W / RTT
//! ```
//!
//! Where a Reno flow would grow faster, its window counts (section 4.3). Slow start doubles the window per RTT until the first
//! loss. One reduction per RTT, whatever was lost in it.

use crate::controller::{Controller, Ended};
use crate::link::PACKET_BYTES;

/// Windows are in packets, times in seconds.
const C: f64 = 0.4;
const BETA: f64 = 0.7;
/// Reno's increase per RTT that gives CUBIC's average window: 3 (1 - beta) / (1 + beta).
const RENO: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);
const WINDOW_MIN: f64 = 2.0;

/// See the head of the file.
#[derive(Debug, Clone, Default)]
pub struct CubicLike(Vec<State>);

#[derive(Debug, Clone, Default)]
struct State {
    /// 0 before the first interval.
    window: f64,
    window_max: f64,
    /// The window of a Reno flow since the last reduction.
    reno: f64,
    /// When the last reduction was; `None`: slow start.
    reduced_s: Option<f64>,
    at_s: f64,
}

impl Controller for CubicLike {
    fn begin(&mut self, flows: usize) {
        self.0 = vec![State::default(); flows];
    }

    fn decide(&mut self, ended: &Ended<'_>) -> u64 {
        let (Some(state), Some(report)) = (self.0.get_mut(ended.flow), ended.report) else {
            return ended.rate_bps;
        };
        let Some(rtt_s) = report.mean_rtt_ns.map(|ns| ns as f64 / 1e9) else { return ended.rate_bps };
        let bits = f64::from(PACKET_BYTES) * 8.0;
        if state.window == 0.0 {
            state.window = ended.rate_bps as f64 * rtt_s / bits;
            state.at_s = ended.at_s;
        }
        let rtts = (ended.at_s - state.at_s) / rtt_s;
        state.at_s = ended.at_s;
        let since = state.reduced_s.map(|at_s| ended.at_s - at_s);
        if report.lost_bytes > 0 && since.is_none_or(|since| since > rtt_s) {
            // Fast convergence (section 4.7): a flow that has to give way again gives a little more.
            let shrunk = state.window < state.window_max;
            state.window_max = state.window * if shrunk { (1.0 + BETA) / 2.0 } else { 1.0 };
            state.window = (state.window * BETA).max(WINDOW_MIN);
            state.reno = state.window;
            state.reduced_s = Some(ended.at_s);
        } else if let Some(since) = since {
            let k = (state.window_max * (1.0 - BETA) / C).cbrt();
            state.reno += RENO * rtts;
            let cubic = C * (since - k).powi(3) + state.window_max;
            // At most half as much again per RTT (section 4.4).
            let most = state.window * (1.0 + 0.5 * rtts);
            state.window = cubic.max(state.reno).clamp(WINDOW_MIN, most.max(WINDOW_MIN));
        } else {
            state.window *= 2f64.powf(rtts.min(4.0));
        }
        (state.window * bits / rtt_s) as u64
    }
}
