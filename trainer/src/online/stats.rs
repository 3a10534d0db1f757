//! What an operator sees of a trainer.

use super::gate::{Refusal, RefusalReason};
use super::watch::LiveReward;

/// Counters since the start, and gauges. A gauge that nothing has set is NaN.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainerStats {
    /// What became of the samples.
    pub samples: SampleCounts,
    /// Decisions in the window that have not been in a batch.
    pub window_rows: usize,
    /// Decisions from earlier that are kept.
    pub remembered_rows: usize,
    /// Paths that are kept for replay.
    pub remembered_paths: usize,
    /// Steps, whether or not there was anything to tune on.
    pub steps: u64,
    /// Steps that tuned.
    pub steps_tuned: u64,
    /// Those of them in which the network was taught, because flows under the rule fare much better.
    pub steps_taught: u64,
    /// The adapter's last loss.
    pub loss: f64,
    /// Norm of the adapter's last gradient.
    pub gradient_norm: f64,
    /// The adapter's last stability value.
    pub stability: f64,
    /// The last candidate's fidelity loss, in sigmas.
    pub fidelity_loss: f64,
    /// The last candidate's mean quantisation error, in sigmas.
    pub quantisation_mean: f64,
    /// The 99th percentile of it.
    pub quantisation_p99: f64,
    /// Candidates that passed the gate.
    pub accepted: u64,
    /// Candidates that did not.
    pub refused: Refused,
    /// Calls of the adapter that failed.
    pub adapter_errors: u64,
    /// How often tuning started over.
    pub resets: u64,
    /// Generations rolled back by an operator.
    pub rolled_back: u64,
    /// Generations rolled back by the trainer itself.
    pub recalled: u64,
    /// Earlier generations published again because they do better on the paths in use.
    pub returned: u64,
    /// The active generation; 0 before the first.
    pub generation: u32,
    /// When it was published, in nanoseconds of the trainer's clock.
    pub published_ns: u64,
    /// Live reward over the watch's window.
    pub live: LiveReward,
    /// Whether adaptation has been stopped.
    pub frozen: bool,
}

/// Samples by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SampleCounts {
    /// Decisions of the model that went into the window.
    pub taken: u64,
    /// Kept from the adapter, to judge candidates by.
    pub held_out: u64,
    /// Intervals of the control share.
    pub control: u64,
    /// Choices of which nobody knows what came.
    pub no_outcome: u64,
    /// Of other input definitions than the model's.
    pub foreign_schema: u64,
    /// Of a generation that is no longer live.
    pub stale_generation: u64,
    /// The window was full.
    pub window_full: u64,
    /// Of a flow beyond those that are told apart.
    pub too_many_flows: u64,
}

/// Candidates that the gate refused, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refused([u64; RefusalReason::ALL.len()]);

impl Refused {
    /// One more.
    pub(super) fn count(&mut self, refusal: &Refusal) {
        self.0[refusal.reason() as usize] += 1;
    }
    /// Refused for this reason.
    pub fn of(&self, reason: RefusalReason) -> u64 {
        self.0[reason as usize]
    }
    /// All, by reason.
    pub fn iter(&self) -> impl Iterator<Item = (RefusalReason, u64)> + '_ {
        RefusalReason::ALL.into_iter().map(|reason| (reason, self.of(reason)))
    }
}

impl TrainerStats {
    pub(super) fn new() -> Self {
        Self {
            samples: SampleCounts::default(),
            window_rows: 0,
            remembered_rows: 0,
            remembered_paths: 0,
            steps: 0,
            steps_tuned: 0,
            steps_taught: 0,
            loss: f64::NAN,
            gradient_norm: f64::NAN,
            stability: f64::NAN,
            fidelity_loss: f64::NAN,
            quantisation_mean: f64::NAN,
            quantisation_p99: f64::NAN,
            accepted: 0,
            refused: Refused::default(),
            adapter_errors: 0,
            resets: 0,
            rolled_back: 0,
            recalled: 0,
            returned: 0,
            generation: 0,
            published_ns: 0,
            live: LiveReward::default(),
            frozen: false,
        }
    }

    /// How long the active generation has been, in nanoseconds.
    pub fn age_ns(&self, now_ns: u64) -> u64 {
        now_ns.saturating_sub(self.published_ns)
    }
}
