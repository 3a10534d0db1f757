//! What a monitor interval was worth: MOCC's reward (Ma et al., EuroSys 2022).
//!
//! ```text
//! reward = w_throughput * throughput / capacity + w_latency * base RTT / RTT + w_loss * (1 - loss),   in 0 to 1
//! ```
//!
//! The world knows the link's capacity and base RTT. A live flow has estimates for them ([`Outcome::live`]): its largest
//! delivery rate over a window, and its smallest RTT. All three terms are ratios, so flows of slow and of fast links can
//! be averaged, which Aurora's reward (packets per second, [`Reward::Published`]) does not allow.

use crate::controller::Ended;
use crate::link::PACKET_BYTES;
use weir_features::Sample;

/// How an interval of the world is judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reward {
    /// Aurora's (Jay et al., ICML 2019, as its simulator has it): `(10 throughput - 1000 latency - 2000 loss) / 1000`,
    /// with throughput in packets of 1500 B per second and latency in seconds.
    Published,
    /// MOCC's. A flow's capacity is its fair share, so that nobody gains by taking more.
    Preferred(Preference),
    /// For flows that share: `sqrt(min(s, 1)) - min(max(q - 0.1, 0), 4) / 2 - 2 loss`, with s the throughput over a fair share
    /// of the capacity and q the queueing delay in base RTTs, less one packet of each other flow. Nobody gains by more than
    /// a fair share, and who has little gains more by a little. A tenth of a base RTT is free: who is to have no queue at
    /// all leaves the link idle now and then. Unlike in MOCC's, a queue or a loss that is twice as large is twice as bad, so
    /// that flooding a link never pays.
    Fair,
}

/// How much each of the three counts. They add up to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preference {
    /// Weight of throughput over capacity.
    pub throughput: f64,
    /// Weight of base RTT over RTT.
    pub latency: f64,
    /// Weight of what was not lost.
    pub loss: f64,
}

/// What an interval brought, beside what the link could have given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// Delivered bits per second.
    pub throughput_bps: f64,
    /// What the flow could have had, in bits per second.
    pub capacity_bps: f64,
    /// Mean RTT in the interval, in seconds.
    pub rtt_s: f64,
    /// RTT of an empty queue, in seconds.
    pub base_rtt_s: f64,
    /// Bytes lost over bytes lost and delivered, 0 to 1.
    pub loss: f64,
}

impl Preference {
    /// The middle of MOCC's three bootstrapping objectives that favours throughput: what the shipped models serve.
    pub const DEFAULT: Preference = Preference { throughput: 0.6, latency: 0.3, loss: 0.1 };

    /// From the weights of throughput, latency and loss; `None` unless each is from 0 to 1 and they add up to 1, to within a
    /// millionth.
    pub fn from_weights(weights: [f64; 3]) -> Option<Preference> {
        let [throughput, latency, loss] = weights;
        let within = weights.iter().all(|weight| (0.0..=1.0).contains(weight));
        let whole = (throughput + latency + loss - 1.0).abs() <= 1e-6;
        (within && whole).then_some(Preference { throughput, latency, loss })
    }

    /// The weights of throughput, latency and loss: what a network is shown of a preference, in that order.
    pub fn weights(&self) -> [f64; 3] {
        [self.throughput, self.latency, self.loss]
    }

    /// The interval's reward, in 0 to 1 for every outcome: an estimate of capacity or base RTT that the interval itself
    /// disproves counts as met. A ratio of which nothing is known (capacity or RTT 0) counts as 0.
    pub fn reward(&self, outcome: &Outcome) -> f64 {
        let throughput = share(outcome.throughput_bps, outcome.capacity_bps);
        let latency = share(outcome.base_rtt_s, outcome.rtt_s);
        let kept = 1.0 - outcome.loss.clamp(0.0, 1.0);
        self.throughput * throughput + self.latency * latency + self.loss * kept
    }
}

/// `part / whole` within 0 to 1; 0 where that says nothing (also for what is no number).
fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 && part > 0.0 { (part / whole).min(1.0) } else { 0.0 }
}

impl Outcome {
    /// Of an interval of the world, beside its flow's fair share of the capacity. `None` of one that was shown to nobody.
    pub fn of(ended: &Ended<'_>) -> Option<Outcome> {
        let report = ended.report?;
        let (acked, lost) = (report.acked_bytes as f64, report.lost_bytes as f64);
        Some(Outcome {
            throughput_bps: acked * 8e9 / report.duration_ns.max(1) as f64,
            capacity_bps: ended.truth.capacity_bps / ended.truth.flows.max(1) as f64,
            rtt_s: report.mean_rtt_ns.unwrap_or(0) as f64 * 1e-9,
            base_rtt_s: ended.truth.empty_rtt_s,
            loss: share(lost, acked + lost),
        })
    }

    /// Of a live interval, beside its flow's capacity as known from elsewhere, in bits per second.
    pub fn live(sample: &Sample, capacity_bps: f64) -> Outcome {
        const NS: f64 = 1e-9;
        let (acked, lost) = (sample.acked_bytes as f64, sample.lost_bytes as f64);
        Outcome {
            throughput_bps: delivery_rate_bps(sample),
            capacity_bps,
            rtt_s: sample.rtt_ns as f64 * NS,
            base_rtt_s: sample.base_rtt_ns as f64 * NS,
            loss: share(lost, acked + lost),
        }
    }
}

/// Payload bits acknowledged per second of the sample's interval.
pub fn delivery_rate_bps(sample: &Sample) -> f64 {
    sample.acked_bytes as f64 * 8e9 / sample.duration_ns.max(1) as f64
}

/// Queueing delay in base RTTs that [`Reward::Fair`] does not count.
const QUEUE_FREE: f64 = 0.1;

impl Reward {
    /// How much the interval counts in a mean: the published reward is one per interval; elsewhere time counts, or a flow
    /// would do well to be slow seldom but for long.
    pub fn weight(&self, ended: &Ended<'_>) -> f64 {
        match self {
            Reward::Published => 1.0,
            Reward::Preferred(_) | Reward::Fair => {
                ended.report.map_or(0.0, |report| report.duration_ns as f64 * 1e-9)
            }
        }
    }

    /// The interval's reward; 0 of one that was shown to nobody.
    pub fn of(&self, ended: &Ended<'_>) -> f64 {
        let (Some(report), Some(outcome)) = (ended.report, Outcome::of(ended)) else { return 0.0 };
        match self {
            Reward::Published => {
                // As in the features: n acknowledgements span n - 1 gaps.
                let acked = report.acked_bytes.saturating_sub(u64::from(PACKET_BYTES));
                let seconds = report.duration_ns.max(1) as f64 * 1e-9;
                let packets_per_s = acked as f64 / f64::from(PACKET_BYTES) / seconds;
                (10.0 * packets_per_s - 1000.0 * outcome.rtt_s - 2000.0 * outcome.loss) / 1000.0
            }
            Reward::Preferred(preference) => preference.reward(&outcome),
            Reward::Fair => {
                let truth = &ended.truth;
                // A packet of every other flow may be ahead whatever they all do.
                let unavoidable_s = truth.packet_s * truth.flows.saturating_sub(1) as f64;
                let queue = (truth.queue_s - unavoidable_s) / truth.empty_rtt_s.max(truth.rtt_floor_s);
                share(outcome.throughput_bps, outcome.capacity_bps).sqrt()
                    - (queue - QUEUE_FREE).clamp(0.0, 4.0) / 2.0
                    - 2.0 * outcome.loss
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::Truth;
    use weir_features::{FEATURES, INPUTS, IntervalReport};

    fn outcome() -> Outcome {
        Outcome { throughput_bps: 5e6, capacity_bps: 1e7, rtt_s: 0.04, base_rtt_s: 0.01, loss: 0.1 }
    }

    #[test]
    fn mocc_by_hand() {
        let preference = Preference { throughput: 0.5, latency: 0.3, loss: 0.2 };
        assert!((preference.reward(&outcome()) - (0.25 + 0.075 + 0.18)).abs() < 1e-12);
    }

    /// Of a flow's second on a link of 10 Mb/s that two share: a packet takes 1 ms, an RTT 10.
    fn fair(acked_bytes: u64, lost_bytes: u64, queue_s: f64) -> f64 {
        let report = IntervalReport {
            features: [0; FEATURES],
            duration_ns: 1_000_000_000,
            mean_rtt_ns: Some(10_000_000),
            sent_bytes: acked_bytes + lost_bytes,
            acked_bytes,
            lost_bytes,
            rtt_samples: 7,
        };
        let truth = Truth {
            capacity_bps: 1e7,
            empty_rtt_s: 0.01,
            queue_s,
            packet_s: 0.001,
            rtt_floor_s: 1e-4,
            flows: 2,
        };
        let (inputs, report) = (&[0; INPUTS], Some(&report));
        Reward::Fair.of(&Ended { flow: 0, at_s: 1.0, rate_bps: 0, inputs, report, decided: true, truth })
    }

    #[test]
    fn a_fair_share_with_a_short_queue_is_worth_one() {
        let share = 625_000;
        // One packet of the other flow and a tenth of an RTT are free; more than the share brings nothing.
        for (acked_bytes, queue_s) in [(share, 0.0), (share, 0.002), (2 * share, 0.002)] {
            assert!((fair(acked_bytes, 0, queue_s) - 1.0).abs() < 1e-9, "{acked_bytes} {queue_s}");
        }
        assert!((fair(share / 4, 0, 0.0) - 0.5).abs() < 1e-9);
        assert!((fair(share, 0, 0.006) - 0.8).abs() < 1e-9);
        assert!((fair(share, share, 0.0) - 0.0).abs() < 1e-9);
        assert!((fair(share, 0, 1.0) + 1.0).abs() < 1e-9);
    }

    #[test]
    fn weights_that_are_no_preference_are_none() {
        let weights = [0.6, 0.3, 0.1];
        assert_eq!(Preference::from_weights(weights), Some(Preference::DEFAULT));
        assert_eq!(Preference::DEFAULT.weights(), weights);
        for wrong in [[0.6, 0.3, 0.2], [1.2, -0.3, 0.1], [f64::NAN, 0.5, 0.5], [0.6, 0.3, 0.100_01]] {
            assert_eq!(Preference::from_weights(wrong), None, "{wrong:?}");
        }
        assert!(Preference::from_weights([1.0, 0.0, 0.0]).is_some());
    }

    #[test]
    fn estimates_that_are_wrong_or_missing_stay_within_zero_and_one() {
        let preference = Preference::DEFAULT;
        let best = Outcome { throughput_bps: 2e7, base_rtt_s: 0.05, loss: -1.0, ..outcome() };
        assert!((preference.reward(&best) - 1.0).abs() < 1e-12);
        let nothing = Outcome { capacity_bps: 0.0, rtt_s: 0.0, loss: f64::INFINITY, ..outcome() };
        assert_eq!(preference.reward(&nothing), 0.0);
        let none = Outcome { throughput_bps: f64::NAN, base_rtt_s: f64::NAN, ..outcome() };
        assert!((preference.reward(&none) - 0.1 * 0.9).abs() < 1e-12);
    }
}
