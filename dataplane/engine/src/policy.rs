//! What decides, as one value: the networks and the settings around them. The epoch publishes it whole, so a worker
//! acts on all of the old one or on all of the new one and never on half of each.

use crate::balance::BalanceSettings;
use crate::config::PacingConfig;
use crate::models::ModelSet;
use crate::schedule::ScheduleConfig;

/// Everything that may change while a worker runs. What is not in here is fixed for the worker's life.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// The published snapshots.
    pub models: ModelSet,
    /// How flows are paced. `None` for an engine that only forwards; one that paces keeps the settings that it has.
    pub pacing: Option<PacingConfig>,
    /// The published snapshots of the network that predicts flow sizes; only the active one is asked, as a flow keeps what was
    /// predicted.
    pub size_models: ModelSet,
    /// How what leaves by the outside is scheduled. `None` likewise.
    pub schedule: Option<ScheduleConfig>,
    /// The published snapshots of the network that chooses paths.
    pub path_models: ModelSet,
    /// How paths are chosen. `None` leaves what a worker has.
    pub balance: Option<BalanceSettings>,
}
