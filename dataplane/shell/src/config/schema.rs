//! The keys of a configuration file, their kinds, bounds and defaults. What relates two keys is checked in
//! `super::plan`. Keys can be written out again, defaults included, so that `super::reload` can compare two files.

use super::adapt::AdaptKeys;
use super::balance::{BalanceKeys, PathKeys};
use super::limit::LimitKeys;
use super::route::RouteKeys;
use super::schedule::ScheduleKeys;
use super::trainer::TrainerKeys;
use super::units::{Rate, Real, Share, Size, Span, Whole};
use serde::{Deserialize, Serialize};
use weir_engine::time::Ns;

/// A whole file.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    #[serde(default)]
    pub(crate) eal: EalKeys,
    #[serde(default)]
    pub(crate) cores: CoreKeys,
    pub(crate) ports: PortKeys,
    pub(crate) route: Option<RouteKeys>,
    pub(crate) balance: Option<BalanceKeys>,
    #[serde(default)]
    pub(crate) path: Vec<PathKeys>,
    #[serde(default)]
    pub(crate) engine: EngineKeys,
    pub(crate) pacing: Option<PacingKeys>,
    pub(crate) schedule: Option<ScheduleKeys>,
    #[serde(default)]
    pub(crate) model: Vec<ModelKeys>,
    pub(crate) trainer: Option<TrainerKeys>,
    pub(crate) metrics: Option<MetricsKeys>,
    pub(crate) control: Option<ControlKeys>,
}

/// DPDK's environment. Not used with capture files.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EalKeys {
    pub(crate) hugepages: bool,
    pub(crate) memory_mb: Whole<64, 1_048_576>,
}

impl Default for EalKeys {
    fn default() -> EalKeys {
        EalKeys { hugepages: true, memory_mb: Whole::clamped(256) }
    }
}

/// Who runs where. Not used with capture files.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CoreKeys {
    pub(crate) control: Whole<0, 1023>,
    pub(crate) workers: Vec<Whole<0, 1023>>,
    pub(crate) shared: bool,
}

impl Default for CoreKeys {
    fn default() -> CoreKeys {
        CoreKeys { control: Whole::clamped(0), workers: vec![Whole::clamped(1)], shared: false }
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PortKeys {
    #[serde(default)]
    pub(crate) mode: Mode,
    pub(crate) inside: String,
    pub(crate) outside: String,
    /// Of both ports: a wire that takes longer frames on one side than on the other would lose them without a word.
    /// From IPv4's smallest to what one IP packet can be.
    pub(crate) mtu: Option<Whole<68, 65_535>>,
}

/// How frames cross.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    #[default]
    Wire,
    Route,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EngineKeys {
    pub(crate) seed: Whole<0, { u64::MAX }>,
    pub(crate) flows_max: Whole<16, 16_777_216>,
    pub(crate) half_open_max: Whole<16, 16_777_216>,
    pub(crate) flow_idle_max: Span,
    pub(crate) held_max: Whole<64, 4_194_304>,
    pub(crate) drain_max: Span,
}

impl Default for EngineKeys {
    fn default() -> EngineKeys {
        EngineKeys {
            seed: Whole::clamped(1),
            flows_max: Whole::clamped(65_536),
            half_open_max: Whole::clamped(16_384),
            flow_idle_max: Span(Ns::from_secs(120)),
            held_max: Whole::clamped(8_192),
            drain_max: Span(Ns::from_secs(2)),
        }
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PacingKeys {
    pub(crate) rule: Rule,
    pub(crate) rate: Option<Rate>,
    pub(crate) model: Option<String>,
    pub(crate) rate_min: Rate,
    pub(crate) rate_max: Rate,
    pub(crate) rate_start: Rate,
    #[serde(default = "Share::of_control")]
    pub(crate) control_share: Share,
    #[serde(default = "default_explore_share")]
    pub(crate) explore_share: Share,
    #[serde(default = "default_explore_sigma")]
    pub(crate) explore_sigma: Real,
    #[serde(default = "default_sample_share")]
    pub(crate) sample_share: Share,
    pub(crate) mark_delay: Span,
    pub(crate) delay_max: Span,
    pub(crate) flow_held_bytes_max: Size,
    #[serde(default)]
    pub(crate) cadence: PacingCadence,
    #[serde(default)]
    pub(crate) pin: Pin,
    pub(crate) pin_max: Option<Span>,
    #[serde(default)]
    pub(crate) mode: PacingMode,
    #[serde(default)]
    pub(crate) datagrams: bool,
    #[serde(default)]
    pub(crate) limit: Vec<LimitKeys>,
}

/// 5 % of flows try other actions: the trainer learns from them, and they pay for it.
fn default_explore_share() -> Share {
    Share(0.05)
}

/// Rates go up or down by some 1.25 % more than the network says: a step is a fortieth of an action.
fn default_explore_sigma() -> Real {
    Real(0.5)
}

/// 10 % of the others tell the trainer.
fn default_sample_share() -> Share {
    Share(0.1)
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Rule {
    None,
    BbrLite,
    Fixed,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PacingMode {
    #[default]
    Transparent,
    Yield,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PacingCadence {
    #[default]
    Interval,
    Packet,
}

impl From<PacingMode> for weir_engine::config::PacingMode {
    fn from(key: PacingMode) -> weir_engine::config::PacingMode {
        match key {
            PacingMode::Transparent => weir_engine::config::PacingMode::Transparent,
            PacingMode::Yield => weir_engine::config::PacingMode::Yield,
        }
    }
}

impl From<PacingCadence> for weir_engine::config::PacingCadence {
    fn from(key: PacingCadence) -> weir_engine::config::PacingCadence {
        match key {
            PacingCadence::Interval => weir_engine::config::PacingCadence::Interval,
            PacingCadence::Packet => weir_engine::config::PacingCadence::Packet,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Pin {
    #[default]
    Interval,
    Flow,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelKeys {
    pub(crate) name: String,
    pub(crate) function: ModelFunction,
    pub(crate) file: String,
    #[serde(default)]
    pub(crate) precision: ModelPrecision,
    pub(crate) history: Whole<1, 64>,
    pub(crate) inputs: Vec<InputKeys>,
    pub(crate) preference: Option<[Share; 3]>,
    pub(crate) adapt: Option<AdaptKeys>,
}

/// What a model decides.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ModelFunction {
    Pacing,
    Balance,
    Schedule,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) enum ModelPrecision {
    #[default]
    #[serde(rename = "8bit")]
    Bits8,
    #[serde(rename = "12bit")]
    Bits12,
}

impl From<ModelPrecision> for weir_snapshot::Precision {
    fn from(precision: ModelPrecision) -> Self {
        match precision {
            ModelPrecision::Bits8 => Self::Bits8,
            ModelPrecision::Bits12 => Self::Bits12,
        }
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InputKeys {
    pub(crate) feature: String,
    #[serde(default = "one")]
    pub(crate) scale: Real,
    #[serde(default = "zero")]
    pub(crate) offset: Real,
    pub(crate) clip: [Real; 2],
}

fn one() -> Real {
    Real(1.0)
}
fn zero() -> Real {
    Real(0.0)
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MetricsKeys {
    pub(crate) listen: String,
}

/// Where `weir ctl` finds a running Weir. Not used with capture files.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ControlKeys {
    pub(crate) socket: String,
}

impl Default for ControlKeys {
    fn default() -> ControlKeys {
        ControlKeys { socket: SOCKET_DEFAULT.to_owned() }
    }
}

/// The control socket where nothing else is said: in the folder that `conf/weir.service` makes.
pub const SOCKET_DEFAULT: &str = "/run/weir/weir.sock";
