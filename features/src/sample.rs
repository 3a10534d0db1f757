//! What the trainer is told: one record per monitor interval of a sampled flow, with what was decided and what came of it.

use crate::INPUTS;

/// One interval: who chose its rate, from what, and what the interval brought. Holds no pointer: it crosses from a
/// worker's core to the trainer's by value.
///
/// An interval is told of when its rate was decided at its beginning and nothing has changed that since. One that the
/// sender limited is no sample, because its outcome says nothing about the decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Who chose.
    pub source: Source,
    /// Names the definitions of `features`, and how the network takes them. 0 where the rule chose.
    pub schema_hash: u64,
    /// The generation that decided. 0 where the rule chose.
    pub generation: u32,
    /// The flow: its keyed hash, which says nothing about addresses.
    pub flow: u64,
    /// The network's inputs in 1/65536, oldest interval first. Zeros where the rule chose.
    pub features: [i32; INPUTS],
    /// What the network answered, in 1/65536, before noise and bounds. 0 where the rule chose.
    pub output_q16: i32,
    /// The action taken in 1/65536: output and noise within the guard's bounds. 0 where the rule chose.
    pub action_q16: i32,
    /// The pacing rate in the interval, in bits per second.
    pub rate_bps: u64,
    /// When the interval ended, in nanoseconds of the engine's clock.
    pub at_ns: u64,
    /// Its length in nanoseconds.
    pub duration_ns: u64,
    /// Payload bytes that departed in it, retransmissions included.
    pub sent_bytes: u64,
    /// Payload bytes newly acknowledged in it.
    pub acked_bytes: u64,
    /// Payload bytes found lost in it.
    pub lost_bytes: u64,
    /// Mean RTT in it, in nanoseconds, without Weir's own holding time.
    pub rtt_ns: u64,
    /// The smallest mean RTT of any interval of the flow on this path, in nanoseconds: what stands for an empty queue.
    pub base_rtt_ns: u64,
}

/// Who chose the rate of a sampled interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The network alone.
    Model,
    /// The network, with noise added to its output.
    Explored(Noise),
    /// The rule, in a flow of the control share.
    Control,
}

/// What an exploring flow added to its network's output, and how likely that was.
///
/// The policy that acted is a Gaussian around the network's integer output, cut off at three standard deviations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noise {
    /// The noise in 1/65536 of an action. Never beyond three times `sigma_q16`.
    pub noise_q16: i32,
    /// The Gaussian's standard deviation in 1/65536 of an action.
    pub sigma_q16: u32,
    /// Natural logarithm of the Gaussian's density, per unit of action, at output + noise, in 1/65536:
    /// `-(noise / sigma)^2 / 2 - ln(sigma) - ln(2 pi) / 2`. The cut adds 0.0027 wherever the density is not 0, whatever
    /// output and sigma are, and is left out: in a ratio of two such policies it cancels.
    pub log_prob_q16: i32,
}

impl Sample {
    /// Whether this interval followed `earlier` without a gap: then the outcome of the one is what the network of the other
    /// was shown. Who chose, and by which generation, may differ.
    pub fn follows(&self, earlier: &Sample) -> bool {
        self.flow == earlier.flow && self.at_ns.checked_sub(self.duration_ns) == Some(earlier.at_ns)
    }

    /// The noise that was added, where the flow explores.
    pub fn noise(&self) -> Option<&Noise> {
        match &self.source {
            Source::Explored(noise) => Some(noise),
            Source::Model | Source::Control => None,
        }
    }
}
