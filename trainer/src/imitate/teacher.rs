//! The classical controller that the shipped model imitates: hold a standing queue of about a tenth of the base RTT.
//!
//! With I the latency inflation, L the latency ratio and S the send ratio of an interval, `mean n` over the newest n
//! intervals, q = L - 1 (queueing delay in base RTTs) and x = 2 I (how fast it grows, in base RTTs per base RTT: the
//! feature compares the means of two half intervals, which lie half an interval apart):
//!
//! ```text
//! probe = 3 clamp((0.09 - max(mean2 q, mean10 q)) / 0.09, 0, 1)     no queue for ten intervals: double in 5 RTTs
//! hold  = clamp(0.8 (0.08 - mean2 q), -4, 1)                         proportional
//! damp  = 20 mean2 x                                                 derivative
//! brake = 6 max(0, mean2 S - 1.7)                                    much more sent than comes back
//! a     = clamp(probe + hold - damp - brake, -10, 3)
//! ```
//!
//! Why both level and slope: the rate integrates actions and the queue integrates the rate, and a double integrator
//! under proportional control alone oscillates, the more so with feedback one RTT late. In RTTs, two decisions each:
//! q'' = -0.05 (0.8 q + 20 q'), damping ratio sqrt(0.05) 20 / (2 sqrt(0.8)) = 2.5, so the queue settles without
//! overshoot and the loop gain of the fast pole, 1 per RTT, leaves room for the delay. `probe` exists because a
//! proportional term this gentle would need minutes to find a free link. S must exceed 1.7 before it counts: its
//! definition leaves one packet out of what was received, so with five packets in an interval a perfectly steady flow
//! reads 1.25, and 1.67 whenever one acknowledgement falls into the next interval.
//!
//! Lacking: a fairness term (flows that see the same queue all keep their shares), and any way to unlearn a base RTT.

use weir_features::{FEATURES, HISTORY, INPUTS, ONE};

/// Smallest and largest action of the teacher.
pub const ACTION: (f64, f64) = (-10.0, 3.0);

/// Queueing delay up to which the rate is raised for lack of a queue, in base RTTs.
const PROBE_QUEUE: f64 = 0.09;
/// Action on an empty queue: 7.5 % of the rate per decision.
const PROBE: f64 = 3.0;
/// Queueing delay at which the controller rests, in base RTTs.
const HOLD_QUEUE: f64 = 0.08;
/// Action per base RTT of queueing delay.
const HOLD: f64 = 0.8;
/// Action per base RTT by which the queueing delay grows in one base RTT.
const DAMP: f64 = 20.0;
/// Send ratio above which the brake acts, and the action per unit above it.
const BRAKE_ABOVE: f64 = 1.7;
const BRAKE: f64 = 6.0;

/// The teacher's action for a network's inputs (1/65536, oldest interval first).
pub fn action(inputs: &[i32; INPUTS]) -> f64 {
    let mean = |feature: usize, intervals: usize| {
        let rows = inputs.chunks_exact(FEATURES).rev().take(intervals);
        let sum: f64 = rows.map(|row| f64::from(row[feature])).sum();
        sum / (f64::from(ONE) * intervals as f64)
    };
    let queue = mean(1, 2) - 1.0;
    let lately = queue.max(mean(1, HISTORY) - 1.0);
    let probe = PROBE * ((PROBE_QUEUE - lately) / PROBE_QUEUE).clamp(0.0, 1.0);
    let hold = (HOLD * (HOLD_QUEUE - queue)).clamp(-4.0, 1.0);
    let damp = DAMP * 2.0 * mean(0, 2);
    let brake = BRAKE * (mean(2, 2) - BRAKE_ABOVE).max(0.0);
    (probe + hold - damp - brake).clamp(ACTION.0, ACTION.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_features::History;

    fn after(rows: &[[f64; 3]]) -> f64 {
        let mut history = History::fresh();
        for row in rows {
            history.push(row.map(|v| (v * f64::from(ONE)).round() as i32));
        }
        let mut inputs = [0; INPUTS];
        history.write_inputs(&mut inputs);
        action(&inputs)
    }

    #[test]
    fn it_probes_an_empty_queue_rests_at_a_small_one_and_brakes_above() {
        assert_eq!(after(&[]), ACTION.1);
        let rest = after(&[[0.0, 1.09, 1.0]; HISTORY]);
        assert!((-0.05..0.05).contains(&rest), "{rest}");
        assert!(after(&[[0.0, 2.0, 1.0]; 2]) < -0.7);
        assert!(after(&[[0.1, 1.05, 1.0]; 2]) < -2.0);
        assert_eq!(after(&[[1.0, 5.0, 4.0]; 2]), ACTION.0);
    }
}
