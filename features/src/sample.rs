//! What the trainer is told: one record per decision of a sampled flow, with its outcome.

use crate::INPUTS;

/// One decision, and what the interval that it governed brought. Holds no pointer: it crosses from a worker's core to
/// the trainer's by value.
///
/// Two samples of a flow follow each other without a gap when the later one's `at_ns - duration_ns` is the earlier
/// one's `at_ns`. An interval that the sender limited is no sample, because its outcome says nothing about the decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Names the definitions of `features`, and how the network takes them.
    pub schema_hash: u64,
    /// The generation that decided.
    pub generation: u32,
    /// The flow: its keyed hash, which says nothing about addresses.
    pub flow: u64,
    /// The network's inputs in 1/65536, oldest interval first.
    pub features: [i32; INPUTS],
    /// The action taken in 1/65536: the network's output within the guard's bounds.
    pub action_q16: i32,
    /// The pacing rate that followed from it, in bits per second.
    pub rate_bps: u64,
    /// When the governed interval ended, in nanoseconds of the engine's clock.
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
    /// The smallest mean RTT of any interval of the flow so far, in nanoseconds: what stands for an empty queue.
    pub base_rtt_ns: u64,
}
