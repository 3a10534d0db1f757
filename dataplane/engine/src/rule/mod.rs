//! The classical pacing rules: what governs a flow when no model may.

mod bbr_lite;

pub use bbr_lite::BbrLite;

use crate::time::Ns;

/// What one monitor interval showed, with bytes counted as the pacing rate counts them (whole frames).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The interval's end.
    pub now: Ns,
    /// Its length.
    pub duration: Ns,
    /// Bytes that departed.
    pub sent_bytes: u64,
    /// Bytes newly acknowledged.
    pub delivered_bytes: u64,
    /// Mean of its RTT samples; `None` without samples.
    pub mean_rtt: Option<Ns>,
    /// Whether the sender, not the pacing rate, was what limited the flow.
    pub app_limited: bool,
}
