//! What a trainer is told.

use super::gate::GateConfig;
use super::watch::WatchConfig;
use crate::reward::Preference;

/// A trainer's settings. [`TrainerConfig::new`] has the defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainerConfig {
    /// Time between two steps, in nanoseconds. LiteFlow's finding: shorter ones cost, longer ones come late; 100 ms to 1 s
    /// is the useful range.
    pub interval_ns: u64,
    /// What a live interval is worth.
    pub preference: Preference,
    /// Fewest decisions since the last batch for another one.
    pub rows_min: usize,
    /// Most decisions in a batch, those shown again not counted; what comes beyond is counted and left out.
    pub rows_max: usize,
    /// Decisions in a batch that are rehearsed (or, where there is no link world, from earlier), as a share of all of it.
    pub remembered_share: f64,
    /// What must hold of a candidate.
    pub gate: GateConfig,
    /// When a generation is recalled.
    pub watch: WatchConfig,
    /// Generations that are kept to be rolled back to.
    pub keep: usize,
    /// Candidates in a row that the gate finds wrong (not merely early or needless), after which tuning starts over from
    /// what runs.
    pub wrong_max: u32,
    /// Everything random follows from it.
    pub seed: u64,
}

impl TrainerConfig {
    /// The defaults, with this gate.
    pub fn new(gate: GateConfig) -> TrainerConfig {
        TrainerConfig {
            interval_ns: 500_000_000,
            preference: Preference::DEFAULT,
            rows_min: 256,
            rows_max: 2048,
            remembered_share: 0.6,
            gate,
            watch: WatchConfig::default(),
            keep: 8,
            wrong_max: 8,
            seed: 1,
        }
    }
}
