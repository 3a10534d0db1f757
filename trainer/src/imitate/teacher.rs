//! The classical controller that the shipped model imitates: fill the link, keep a short queue, share it.
//!
//! With I the latency inflation, L the latency ratio and S the send ratio of an interval, `mean n` over the newest n
//! intervals, and q = L - 1 (queueing delay in base RTTs):
//!
//! ```text
//! hold  = 2.2 (0.03 - mean4 q)                                      proportional: more queue, less rate
//! probe = 4.5 clamp((0.03 - max(mean2 q, mean10 q)) / 0.03, 0, 1)   no queue for ten intervals: double in 4 RTTs
//! damp  = 26 (q now - q before)                                     derivative
//! share = 15 clamp(mean10 S - 1 - 2 mean10 I, 0, 0.09) clamp(1 - mean10 q / 2, 0, 1)
//! a     = clamp(hold + probe - damp + share, -10, 10)
//! ```
//!
//! Why both level and slope: the rate integrates actions and the queue integrates the rate, and a double integrator
//! under proportional control alone oscillates, the more so with feedback one RTT late.
//!
//! Why `share`: every flow sees the same queue, so `hold` alone keeps whatever shares there are. But S leaves one
//! packet out of what was received (`weir_features::Interval`), so at n packets per interval a steady flow reads
//! S = n / (n - 1): 1/(n - 1) more than 1, which is large for a slow flow and small for a fast one. A queue that grows
//! by x RTTs per RTT multiplies S by 1 + x, and x = 2 I, because the feature compares the means of two half intervals,
//! which lie half an interval apart; less that, S tells n. A raise in proportion to 1/n of the rate is the same raise
//! in packets for every flow, against a lowering in proportion to the rate: additive increase, multiplicative decrease
//! (Chiu and Jain 1989), whose shares become equal. `weir_features::PacingSpec::interval_packets_min` is 16, so
//! 1/(n - 1) stays below 0.067; the bound leaves room for noise, and the last factor keeps loss, which also raises S,
//! from reading as room. A host that delays what it sends and sees makes every RTT look longer than the best one, at
//! any rate; `share` is also what keeps a flow from giving way to that for ever.
//!
//! Why these numbers: found by random search over this form for utilisation, RTT, loss and Jain's index, summed over
//! links of 10 Mb/s to 1 Gb/s and 1 to 80 ms, 1 to 16 flows, with and without delayed acknowledgements, jitter of half
//! a base RTT and stalls for half of the time; then rounded. Noise is symmetric, so the limits for raising and lowering
//! are equal: where only lowering may be large, noise drives the rate down.
//!
//! Lacking: any way to unlearn a base RTT.

use weir_features::{FEATURES, HISTORY, INPUTS, ONE};

/// Largest action of the teacher, either way.
pub const ACTION_MAX: f64 = 10.0;

/// Queueing delay at which `hold` rests, in base RTTs; up to here, the rate is raised for lack of a queue.
const QUEUE: f64 = 0.03;
/// Action per base RTT of queueing delay.
const HOLD: f64 = 2.2;
/// Action on an empty queue: 11 % of the rate per decision.
const PROBE: f64 = 4.5;
/// Action per base RTT by which the queueing delay has grown from one interval to the next.
const DAMP: f64 = 26.0;
/// Action per unit of 1/(n - 1), the largest value of that which counts, and the queueing delay that leaves no room.
const SHARE: f64 = 15.0;
const SHARE_MAX: f64 = 0.09;
const SHARE_QUEUE_MAX: f64 = 2.0;

/// The teacher's action for a network's inputs (1/65536, oldest interval first).
pub fn action(inputs: &[i32; INPUTS]) -> f64 {
    let mean = |feature: usize, intervals: usize| {
        let rows = inputs.chunks_exact(FEATURES).rev().take(intervals);
        let sum: f64 = rows.map(|row| f64::from(row[feature])).sum();
        sum / (f64::from(ONE) * intervals as f64)
    };
    let queue = |intervals: usize| mean(1, intervals) - 1.0;
    let hold = HOLD * (QUEUE - queue(4));
    let probe = PROBE * ((QUEUE - queue(2).max(queue(HISTORY))) / QUEUE).clamp(0.0, 1.0);
    // Of the newest two intervals: twice the newest less their sum.
    let damp = DAMP * 2.0 * (queue(1) - queue(2));
    let one_of_n = (mean(2, HISTORY) - 1.0 - 2.0 * mean(0, HISTORY)).clamp(0.0, SHARE_MAX);
    let share = SHARE * one_of_n * (1.0 - queue(HISTORY) / SHARE_QUEUE_MAX).clamp(0.0, 1.0);
    (hold + probe - damp + share).clamp(-ACTION_MAX, ACTION_MAX)
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
    fn it_probes_an_empty_queue_rests_at_a_small_one_and_gives_way_to_a_growing_one() {
        assert!(after(&[]) > 4.0);
        let rest = after(&[[0.0, 1.03, 1.0]; HISTORY]);
        assert!(rest.abs() < 0.05, "{rest}");
        assert!(after(&[[0.0, 1.5, 1.0]; HISTORY]) < -1.0);
        assert!(after(&[[0.1, 1.2, 1.2], [0.1, 1.3, 1.2]]) < -2.0, "a queue that grows");
        assert_eq!(after(&[[0.5, 2.0, 2.0], [0.5, 3.0, 2.0]]), -ACTION_MAX);
    }

    #[test]
    fn a_flow_of_few_packets_raises_more_than_one_of_many() {
        let steady = |packets: f64| after(&[[0.0, 1.2, packets / (packets - 1.0)]; HISTORY]);
        assert!(steady(16.0) > steady(64.0) + 0.6, "{} {}", steady(16.0), steady(64.0));
        // A growing queue and loss raise S, too, and are no room.
        let growing = after(&[[0.05, 1.2, 1.1 * 64.0 / 63.0]; HISTORY]);
        assert!((growing - steady(64.0)).abs() < 0.05, "{growing}");
    }
}
