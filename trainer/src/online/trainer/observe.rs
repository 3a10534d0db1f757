//! What samples become: rows to learn from, rows to judge by, and what flows earned.

use super::Trainer;
use crate::online::choices::{Told, importance, log_prob};
use crate::online::examples::Outcome;
use crate::online::gate::Safety;
use crate::online::window::Recorded;
use weir_features::{FlowSample, ONE, PathSample, PathSource, Sample, Source, apply_action, f64_from_q16};

/// One block of so many consecutive samples of a flow in [`HELD_OUT`] is held out: whole blocks, because a trajectory with
/// a hole is two.
const BLOCK: u64 = 32;
const HELD_OUT: u64 = 8;

/// A decision of a function that is judged by what it predicted (schedule, balance), with the truth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Labelled<'a> {
    /// Names the definitions of the features.
    pub schema_hash: u64,
    /// The generation that decided. A truth is one whoever predicted, so it need not be live any more: else flows that live
    /// longer than two generations would never be learned from.
    pub generation: u32,
    /// In 1/65536, as many as the network has inputs.
    pub features: &'a [i32],
    /// What was predicted, or the number of the arm that was taken.
    pub action: f64,
    /// What came of it: the true value, or the arm's reward.
    pub truth: f64,
    /// How much it counts.
    pub weight: f64,
    /// Natural logarithm of the probability with which the arm was taken; 0 where nothing was left to chance.
    pub log_prob: f64,
}

impl Trainer {
    /// Takes note of one sample. Bounded in time and memory, whatever comes.
    pub fn observe(&mut self, sample: &Sample) {
        let counts = &mut self.stats.samples;
        let decided = sample.source != Source::Control;
        if decided && sample.schema_hash != self.terms.schema_hash {
            counts.foreign_schema += 1;
            return;
        }
        if decided && !self.generations.live(sample.generation) {
            counts.stale_generation += 1;
            return;
        }
        let Some((flow, reward)) = self.flows.note(sample, &self.config.preference) else {
            counts.too_many_flows += 1;
            return;
        };
        if !decided {
            counts.control += 1;
            return;
        }
        if let Some(noise) = sample.noise() {
            self.sigma = f64::from(noise.sigma_q16.max(1)) / f64::from(ONE);
        }
        let block = (flow.samples - 1) / BLOCK;
        // Which block comes first depends on the flow, else short ones would never, or always, be held out.
        if sample.flow.wrapping_add(block).is_multiple_of(HELD_OUT) {
            counts.held_out += 1;
            self.hold_out.push(&sample.features, outcome(sample, self.config.gate.safety.as_ref()));
            return;
        }
        self.recent.push(&sample.features, outcome(sample, self.config.gate.safety.as_ref()));
        match self.window.push(recorded(sample, reward), &sample.features) {
            true => counts.taken += 1,
            false => counts.window_full += 1,
        }
    }

    /// Takes note of a prediction whose truth is known. Bounded in time and memory, whatever comes.
    pub fn observe_labelled(&mut self, labelled: &Labelled<'_>) {
        let counts = &mut self.stats.samples;
        if labelled.schema_hash != self.terms.schema_hash {
            counts.foreign_schema += 1;
            return;
        }
        let weight = labelled.weight * importance(labelled.log_prob);
        let outcome = Outcome { rate_bps: 0, truth: labelled.truth, weight };
        self.labelled += 1;
        if self.labelled.is_multiple_of(HELD_OUT) {
            counts.held_out += 1;
            self.hold_out.push(labelled.features, outcome);
            return;
        }
        self.recent.push(labelled.features, outcome);
        let record = Recorded {
            flow: 0,
            generation: labelled.generation,
            // No two follow each other.
            span_ns: (u64::MAX, 0),
            action: labelled.action as f32,
            noise: 0.0,
            log_prob: labelled.log_prob as f32,
            reward: labelled.truth as f32,
            weight: labelled.weight as f32,
            explored: labelled.log_prob < 0.0,
        };
        match self.window.push(record, labelled.features) {
            true => counts.taken += 1,
            false => counts.window_full += 1,
        }
    }

    /// Takes note of a flow that has ended, whose size was predicted. One of the control share was not, and is counted.
    pub fn observe_flow(&mut self, sample: &FlowSample) {
        if sample.control {
            self.stats.samples.control += 1;
            return;
        }
        self.observe_labelled(&Labelled {
            schema_hash: sample.schema_hash,
            generation: sample.generation,
            features: &sample.features,
            action: f64_from_q16(sample.output_q16),
            truth: f64_from_q16(sample.target_q16()),
            weight: 1.0,
            log_prob: 0.0,
        });
    }

    /// Takes note of a choice of path with what came of it.
    pub fn observe_choice(&mut self, sample: &PathSample) {
        if sample.source != PathSource::Control && sample.schema_hash != self.terms.schema_hash {
            self.stats.samples.foreign_schema += 1;
            return;
        }
        let truth = match self.choices.note(sample) {
            Told::Target(truth) => truth,
            Told::Control => {
                self.stats.samples.control += 1;
                return;
            }
            Told::Nothing => {
                self.stats.samples.no_outcome += 1;
                return;
            }
        };
        self.observe_labelled(&Labelled {
            schema_hash: sample.schema_hash,
            generation: sample.generation,
            features: &sample.features,
            action: f64_from_q16(sample.score_q16),
            truth,
            weight: 1.0,
            log_prob: log_prob(sample),
        });
    }
}

/// What a decision's outcome says to those who judge networks by it.
pub(super) fn outcome(sample: &Sample, safety: Option<&Safety>) -> Outcome {
    // Opposite actions undo each other, so this is the rate before the decision. Where the guard bounded it nobody knows:
    // taken for one that led just to the bound, it would count against every network that says a little more.
    let within = safety.is_none_or(|safety| safety.is_within(sample.rate_bps));
    let rate_bps = if within { apply_action(sample.rate_bps, sample.action_q16.saturating_neg()) } else { 0 };
    Outcome { rate_bps, ..Outcome::default() }
}

fn recorded(sample: &Sample, reward: f64) -> Recorded {
    let real = |q16: i32| f64_from_q16(q16) as f32;
    let noise = sample.noise();
    // The density is that of output and noise, before the guard.
    let action_q16 = noise.map_or(sample.action_q16, |n| sample.output_q16.saturating_add(n.noise_q16));
    Recorded {
        flow: sample.flow,
        generation: sample.generation,
        span_ns: (sample.at_ns.saturating_sub(sample.duration_ns), sample.at_ns),
        action: real(action_q16),
        noise: noise.map_or(0.0, |n| real(n.noise_q16)),
        log_prob: noise.map_or(0.0, |n| real(n.log_prob_q16)),
        reward: reward as f32,
        weight: 1.0,
        explored: noise.is_some(),
    }
}
