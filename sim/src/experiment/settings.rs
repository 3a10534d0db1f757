//! Weir in an experiment: how its worker is set up, and with which model.

use crate::weir::WeirConfig;
use std::sync::Arc;
use weir_engine::config::{EngineConfig, PacingCadence, PacingConfig, PacingMode, PacingRule, Pin};
use weir_engine::models::Generation;
use weir_engine::time::{BitsPerSec, Ns};
use weir_features::PacingSpec;

/// A model that an experiment runs: built, fitted to its features.
#[derive(Clone, Debug)]
pub struct ModelUse {
    /// Ready to run.
    pub generation: Arc<Generation>,
    /// Its features' definitions.
    pub spec: PacingSpec,
}

/// How flows are paced.
#[derive(Clone, Debug)]
pub struct PacingUse {
    /// What governs where no model does.
    pub rule: PacingRule,
    /// The network.
    pub model: Option<ModelUse>,
    /// Another one that is published later.
    pub swap: Option<(Ns, ModelUse)>,
    /// Length of every monitor interval, where it is not to follow the RTT.
    pub interval: Option<Ns>,
    /// When the network is asked.
    pub cadence: PacingCadence,
    /// Whether its senders are shown smaller windows; then what is held for long is marked as well.
    pub mode: PacingMode,
    /// The guard's lower bound.
    pub rate_min: BitsPerSec,
    /// The guard's upper bound.
    pub rate_max: BitsPerSec,
    /// A flow's first rate.
    pub rate_start: BitsPerSec,
}

/// A Weir.
#[derive(Clone, Debug)]
pub struct WeirSettings {
    /// How it paces, if it does.
    pub pacing: Option<PacingUse>,
    /// See [`WeirConfig::decision_delay`].
    pub decision_delay: Ns,
    /// See [`WeirConfig::decision_cost`].
    pub decision_cost: Ns,
}

/// Flows and frames for which a simulated Weir has room: more than any experiment here needs, so that no table's end decides.
const FLOWS_MAX: u32 = 2_048;
const HELD_MAX: u32 = 65_536;
/// What `conf/demo.toml` has.
const MARK_DELAY: Ns = Ns::from_millis(10);

impl WeirSettings {
    /// The features that this pacing's network is shown.
    pub fn spec(pacing: &PacingUse) -> PacingSpec {
        let base = pacing.model.as_ref().map_or_else(PacingSpec::default, |model| model.spec.clone());
        PacingUse::with_interval(base, pacing.interval)
    }

    /// What a worker of this seed is told.
    pub fn config(&self, seed: u64) -> WeirConfig {
        let pacing = self.pacing.as_ref().map(|pacing| PacingConfig {
            rule: pacing.rule,
            model: pacing.model.is_some(),
            spec: Self::spec(pacing),
            rate_min: pacing.rate_min,
            rate_max: pacing.rate_max,
            rate_start: pacing.rate_start,
            // Experiments compare schemes run by run; no flow of a run follows another.
            control_share: 0,
            explore_share: 0,
            explore_sigma_q16: 0,
            sample_share: 0,
            // What is simulated is the network's queue. Weir's own holds what the sender's window lets it.
            mark_delay: match pacing.mode {
                PacingMode::Transparent => Ns::NEVER,
                PacingMode::Yield => MARK_DELAY,
            },
            delay_max: Ns::NEVER,
            flow_held_bytes_max: u32::MAX,
            limits: weir_engine::limit::Limits::none(),
            cadence: pacing.cadence,
            pin: Pin::Interval,
            mode: pacing.mode,
        });
        WeirConfig {
            engine: EngineConfig {
                seed,
                flows_max: FLOWS_MAX,
                half_open_max: FLOWS_MAX,
                flow_idle_max: Ns::from_secs(10),
                held_max: HELD_MAX,
                pacing,
                route: None,
                schedule: None,
            },
            model: self
                .pacing
                .as_ref()
                .and_then(|pacing| pacing.model.as_ref())
                .map(|m| Arc::clone(&m.generation)),
            size_model: None,
            decision_delay: self.decision_delay,
            decision_cost: self.decision_cost,
        }
    }
}

impl PacingUse {
    /// `spec` with every interval of this length.
    pub fn with_interval(spec: PacingSpec, interval: Option<Ns>) -> PacingSpec {
        match interval {
            Some(Ns(ns)) => PacingSpec { interval_min_ns: ns, interval_max_ns: ns, ..spec },
            None => spec,
        }
    }
}
