//! What tunes a network: Weir's own learners and users' processes alike.

use super::Batch;
use crate::network::Network;

/// Tunes one float network, step by step.
///
/// The trainer calls, in each of its steps with enough rows: [`adapt`](Self::adapt), [`evaluate`](Self::evaluate), and
/// [`freeze`](Self::freeze) when the stability values have been flat for a while. It never trusts what comes back: every
/// network passes the gate. A call may take as long as the trainer's interval; the datapath waits for none of them.
pub trait Adapter: Send {
    /// Tunes on the transitions of one step.
    ///
    /// # Errors
    /// [`AdaptError`]; the float network should then be as it was before the call.
    fn adapt(&mut self, batch: &Batch) -> Result<AdaptReport, AdaptError>;

    /// Itself, where it can be taught: it is then asked to imitate, and not to [`adapt`](Self::adapt), while flows under the
    /// rule earn much more than those under the network.
    fn pupil(&mut self) -> Option<&mut dyn Imitate> {
        None
    }

    /// The stability value: a number that stays flat once tuning has converged, in units of the adapter's own choice
    /// (LiteFlow's evaluation interface). Weir's own adapters give their loss on `batch`,
    /// those that predict beside how much their targets vary.
    ///
    /// # Errors
    /// [`AdaptError`]
    fn evaluate(&mut self, batch: &Batch) -> Result<f64, AdaptError>;

    /// The float network as it is now (LiteFlow's freezing interface).
    ///
    /// # Errors
    /// [`AdaptError`]
    fn freeze(&mut self) -> Result<Network, AdaptError>;

    /// Starts over from `network`, with no memory of steps taken: after a roll back, and after a candidate has failed.
    ///
    /// # Errors
    /// [`AdaptError`]; the trainer then asks for nothing more until a later reset has worked.
    fn reset(&mut self, network: &Network) -> Result<(), AdaptError>;
}

/// Tunes towards given answers.
pub trait Imitate {
    /// Tunes on rows whose [`reward`](super::Row::reward) is what the network should have said.
    ///
    /// # Errors
    /// [`AdaptError`]; the float network should then be as it was before the call.
    fn imitate(&mut self, lessons: &Batch) -> Result<AdaptReport, AdaptError>;
}

/// What one call of [`Adapter::adapt`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct AdaptReport {
    /// The loss on the batch before the last gradient step, in units of the adapter's own choice.
    pub loss: f64,
    /// Euclidean norm of the last gradient, before clipping; NaN where the adapter does not say.
    pub gradient_norm: f64,
    /// Rows that were tuned on; others of the batch were of no use (no exploration, no successor).
    pub rows: usize,
    /// Gradient steps.
    pub steps: usize,
}

/// Why an adapter has no answer. One line each; the step that asked goes on without.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdaptError {
    /// The training graph does not run, or gave numbers that are none.
    #[error("the learner failed: {0}")]
    Learner(String),
    /// The batch, or the network, is not of the shape that the adapter was made for.
    #[error("{what} of width {found}, the adapter was made for {expected}")]
    Width {
        /// Which one.
        what: &'static str,
        /// What the adapter was made for.
        expected: usize,
        /// What it was given.
        found: usize,
    },
    /// A user's process is not there, is late, or does not keep to the protocol.
    #[error("the adapter process failed: {0}")]
    Process(String),
}
