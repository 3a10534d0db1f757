//! The keys of `[balance]` and `[[path]]`, their kinds, bounds and defaults.

use crate::config::route::{AddressText, MacText, PrefixText};
use crate::config::units::{Rate, Real, Share, Span, Whole};
use serde::{Deserialize, Serialize};
use weir_engine::balance::WEIGHT_MAX;
use weir_engine::route::MTU_MIN;
use weir_engine::time::Ns;

/// The keys of `[balance]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BalanceKeys {
    pub(super) to: Vec<PrefixText>,
    pub(super) rule: RuleText,
    pub(crate) model: Option<String>,
    #[serde(default)]
    pub(super) cadence: CadenceText,
    #[serde(default = "default_flowlet_gap")]
    pub(super) flowlet_gap: Span,
    #[serde(default = "default_hysteresis")]
    pub(super) hysteresis: Real,
    #[serde(default = "default_tie")]
    pub(super) tie: Real,
    #[serde(default = "Share::of_control")]
    pub(super) control_share: Share,
    #[serde(default = "default_explore_share")]
    pub(super) explore_share: Share,
    #[serde(default = "default_sample_share")]
    pub(super) sample_share: Share,
    #[serde(default = "default_slow_start")]
    pub(super) slow_start: Span,
    #[serde(default = "default_timeout_min")]
    pub(super) timeout_min: Span,
    #[serde(default = "default_probe_interval")]
    pub(super) probe_interval: Span,
}

/// What the large experiments of CONGA, LetFlow and Clove use.
fn default_flowlet_gap() -> Span {
    Span(Ns::from_micros(500))
}
/// A tenth of a doubling of the delivery time: less is not worth what a move costs.
fn default_hysteresis() -> Real {
    Real(0.1)
}
/// A hundredth of it: nobody can tell such paths apart.
fn default_tie() -> Real {
    Real(0.01)
}
/// 2 % of decisions are drawn among all paths.
fn default_explore_share() -> Share {
    Share(0.02)
}
/// 10 % of flows tell the trainer.
fn default_sample_share() -> Share {
    Share(0.1)
}
fn default_slow_start() -> Span {
    Span(Ns::from_secs(10))
}
/// Linux' least.
fn default_timeout_min() -> Span {
    Span(Ns::from_millis(200))
}
/// A failure is found out within three of them.
fn default_probe_interval() -> Span {
    Span(Ns::from_millis(100))
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(super) enum RuleText {
    #[serde(rename = "maglev")]
    Maglev,
    #[serde(rename = "ecmp")]
    Ecmp,
    #[serde(rename = "letflow")]
    LetFlow,
    #[serde(rename = "plb")]
    Plb,
    #[serde(rename = "power-of-two")]
    PowerOfTwo,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CadenceText {
    #[default]
    Flowlet,
    Packet,
}

/// The keys of a `[[path]]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PathKeys {
    pub(super) name: String,
    pub(super) kind: KindText,
    pub(super) via: AddressText,
    pub(super) vlan: Option<Whole<1, 4_094>>,
    /// Own addresses in that VLAN.
    #[serde(default)]
    pub(super) addresses: Vec<PrefixText>,
    pub(super) local: Option<AddressText>,
    pub(super) remote: Option<AddressText>,
    pub(super) vni: Option<Whole<0, 0xff_ffff>>,
    pub(super) source_port: Option<Whole<1, 65_535>>,
    pub(super) peer_mac: Option<MacText>,
    #[serde(default)]
    pub(super) draw: DrawText,
    pub(super) mtu: Option<Whole<{ MTU_MIN as u64 }, 9_216>>,
    pub(super) rate: Option<Rate>,
    pub(super) probe: Option<AddressText>,
    #[serde(default = "default_weight")]
    pub(super) weight: Whole<0, { WEIGHT_MAX as u64 }>,
    #[serde(default)]
    pub(super) state: StateText,
}

fn default_weight() -> Whole<0, { WEIGHT_MAX as u64 }> {
    Whole::clamped(1)
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum KindText {
    NextHop,
    Ipip,
    Vxlan,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum DrawText {
    #[default]
    None,
    FlowLabel,
    SourcePort,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum StateText {
    #[default]
    Up,
    Drain,
}
