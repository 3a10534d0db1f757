//! What decides, as one value: the networks and the settings around them. The epoch publishes it whole, so a worker
//! acts on all of the old one or on all of the new one and never on half of each.

use crate::config::PacingConfig;
use crate::models::ModelSet;

/// Everything that may change while a worker runs. What is not in here is fixed for the worker's life.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// The published snapshots.
    pub models: ModelSet,
    /// How flows are paced. `None` for an engine that only forwards; one that paces keeps the settings that it has.
    pub pacing: Option<PacingConfig>,
}
