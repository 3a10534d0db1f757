//! The keys of an experiment's file.

use crate::config::schema::{ModelPrecision, PacingCadence, PacingMode};
use crate::config::units::{Rate, Real, Share, Size, Span, Whole};
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use std::fmt;

/// A whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) title: String,
    #[serde(default = "default_seeds")]
    pub(super) seeds: Whole<1, 1_000>,
    #[serde(default = "default_first_seed")]
    pub(super) first_seed: Whole<0, 1_000_000>,
    /// Name of the scheme that the others are compared with; the first one.
    pub(super) baseline: Option<String>,
    pub(super) duration: Option<Span>,
    pub(super) warm_up: Option<Span>,
    #[serde(default)]
    pub(super) link: Vec<LinkKeys>,
    #[serde(default)]
    pub(super) change: Vec<ChangeKeys>,
    pub(super) fabric: Option<FabricKeys>,
    pub(super) jobs: Option<JobsKeys>,
    #[serde(default)]
    pub(super) case: Vec<CaseKeys>,
    #[serde(default)]
    pub(super) flows: FlowKeys,
    #[serde(default)]
    pub(super) pacing: PacingKeys,
    pub(super) scheme: Vec<SchemeKeys>,
    #[serde(default)]
    pub(super) compare: Vec<CompareKeys>,
    #[serde(default)]
    pub(super) expect: Vec<ExpectKeys>,
}

/// One name, or a list of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Names, D::Error> {
        struct OneOrMore;
        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Names;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name or a list of names")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<Names, E> {
                Ok(Names(vec![name.to_owned()]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = list.next_element()? {
                    names.push(name);
                }
                Ok(Names(names))
            }
        }
        from.deserialize_any(OneOrMore)
    }
}

fn default_seeds() -> Whole<1, 1_000> {
    Whole::clamped(3)
}

fn default_first_seed() -> Whole<0, 1_000_000> {
    Whole::clamped(1)
}

/// A bottleneck.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkKeys {
    pub(super) name: String,
    pub(super) rate: Rate,
    pub(super) rtt: Span,
    pub(super) queue_frames: Whole<1, 1_000_000>,
    pub(super) ecn_frames: Option<Whole<0, 1_000_000>>,
    #[serde(default)]
    pub(super) loss: Option<Share>,
    /// A table of capacities: a CSV file with the columns `seconds,mbps`, at even steps.
    pub(super) trace: Option<String>,
    #[serde(default)]
    pub(super) background: Vec<BackgroundKeys>,
}

/// Background traffic.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BackgroundKeys {
    pub(super) pattern: PatternWord,
    pub(super) rate: Option<Rate>,
    pub(super) low: Option<Rate>,
    pub(super) high: Option<Rate>,
    pub(super) mean: Option<Span>,
    pub(super) hold: Option<[Span; 2]>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PatternWord {
    Constant,
    Toggle,
    Uniform,
}

/// What changes on the way.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeKeys {
    pub(super) at: Span,
    pub(super) rate: Option<Rate>,
    pub(super) rtt: Option<Span>,
    pub(super) queue_frames: Option<Whole<1, 1_000_000>>,
    pub(super) loss: Option<Share>,
}

/// The flows under test.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FlowKeys {
    pub(super) count: Whole<1, 1_000>,
    pub(super) stagger: Span,
    pub(super) ip: Whole<4, 6>,
    pub(super) receive_window: Size,
    pub(super) ecn: bool,
}

impl Default for FlowKeys {
    fn default() -> FlowKeys {
        FlowKeys {
            count: Whole::clamped(1),
            stagger: Span(weir_engine::time::Ns::ZERO),
            ip: Whole::clamped(4),
            receive_window: Size(6 << 20),
            ecn: false,
        }
    }
}

/// How every pacing Weir is set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PacingKeys {
    pub(super) rate_min: Rate,
    pub(super) rate_max: Rate,
    pub(super) rate_start: Rate,
    pub(super) mode: PacingMode,
}

impl Default for PacingKeys {
    fn default() -> PacingKeys {
        let mbps = |mbps| Rate(weir_engine::time::BitsPerSec::from_mbps(mbps));
        PacingKeys {
            rate_min: mbps(1),
            rate_max: mbps(10_000),
            rate_start: mbps(10),
            mode: PacingMode::Transparent,
        }
    }
}

/// What is compared.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SchemeKeys {
    pub(super) name: String,
    #[serde(default)]
    pub(super) congestion: CongestionWord,
    /// Whether a Weir paces; without one the sender's own congestion control is all there is.
    #[serde(default = "yes")]
    pub(super) weir: bool,
    pub(super) model: Option<String>,
    #[serde(default)]
    pub(super) precision: ModelPrecision,
    pub(super) preference: Option<[Share; 3]>,
    pub(super) rule: Option<RuleWord>,
    pub(super) rate: Option<Rate>,
    pub(super) interval: Option<Span>,
    pub(super) cadence: Option<PacingCadence>,
    pub(super) decision_delay: Option<Span>,
    pub(super) decision_cost: Option<Span>,
    pub(super) swap_at: Option<Span>,
    pub(super) swap_model: Option<String>,
    pub(super) paths: Option<PathWord>,
    pub(super) flowlet_gap: Option<Span>,
    pub(super) hysteresis: Option<Real>,
    pub(super) tie: Option<Real>,
    pub(super) control_share: Option<Share>,
    pub(super) explore_share: Option<Share>,
    pub(super) probe_interval: Option<Span>,
    pub(super) rounds: Option<[Whole<1, 1_000>; 2]>,
    pub(super) rtt_good: Option<Span>,
    pub(super) rtt_bad: Option<Span>,
    pub(super) priorities: Option<PriorityWord>,
    pub(super) threshold_scale: Option<Real>,
    #[serde(default)]
    pub(super) adapt: bool,
}

/// Who chooses paths in a fabric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum PathWord {
    Ecmp,
    Letflow,
    Plb,
    PowerOfTwo,
    Conga,
    Hermes,
    Engine,
}

/// What decides where no model does: of pacing, or of the engine's paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum RuleWord {
    #[serde(rename = "none")]
    None,
    #[serde(rename = "bbr_lite")]
    BbrLite,
    #[serde(rename = "fixed")]
    Fixed,
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

/// Who says how urgent a transfer is.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PriorityWord {
    Fifo,
    Ageing,
    Oracle,
    Stage,
    Engine,
}

/// A leaf-spine fabric, or with `[jobs]` its one leaf.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FabricKeys {
    pub(super) leaves: Whole<1, 64>,
    pub(super) spines: Whole<0, 64>,
    pub(super) hosts_per_leaf: Whole<1, 64>,
    pub(super) rate: Rate,
    pub(super) delay: Span,
    pub(super) queue_frames: Whole<1, 1_000_000>,
    /// 0: no marks.
    pub(super) ecn_frames: Whole<0, 1_000_000>,
    /// A table of flow sizes: a CSV file with the columns `bytes,cdf`.
    pub(super) workload: Option<String>,
    /// Sizes end here.
    pub(super) cap: Option<Size>,
    pub(super) drain: Span,
    pub(super) congestion: CongestionWord,
    pub(super) rto_min: Span,
}

impl Default for FabricKeys {
    fn default() -> FabricKeys {
        let ns = weir_engine::time::Ns::from_micros;
        FabricKeys {
            leaves: Whole::clamped(4),
            spines: Whole::clamped(4),
            hosts_per_leaf: Whole::clamped(8),
            rate: Rate(weir_engine::time::BitsPerSec::from_mbps(10_000)),
            delay: Span(ns(10)),
            queue_frames: Whole::clamped(600),
            ecn_frames: Whole::clamped(65),
            workload: None,
            cap: None,
            drain: Span(ns(2_000_000)),
            congestion: CongestionWord::Dctcp,
            rto_min: Span(ns(10_000)),
        }
    }
}

/// Jobs under one switch.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct JobsKeys {
    /// Whose jobs they are; after a drift those of the next one.
    pub(super) application: Whole<0, 1_000_000>,
    /// A frame that has waited longer goes first, whatever its class.
    pub(super) ageing: Span,
}

impl Default for JobsKeys {
    fn default() -> JobsKeys {
        JobsKeys { application: Whole::clamped(1), ageing: Span(weir_engine::time::Ns::from_millis(10)) }
    }
}

/// A condition of a fabric.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaseKeys {
    pub(super) name: String,
    pub(super) load: Real,
    pub(super) fault: Option<FaultWord>,
    /// Leaf and spine of each link that the fault is about.
    pub(super) links: Option<Vec<[Whole<0, 63>; 2]>>,
    pub(super) factor: Option<Share>,
    pub(super) spine: Option<Whole<0, 63>>,
    pub(super) loss: Option<Share>,
    pub(super) at: Option<Span>,
    pub(super) predictability: Option<Share>,
    pub(super) drift_at: Option<Span>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FaultWord {
    Slow,
    Lossy,
    Cut,
}

fn yes() -> bool {
    true
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CongestionWord {
    Reno,
    Cubic,
    Dctcp,
    Bbr,
    #[default]
    WeirYield,
}

/// What is told beside the tables.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CompareKeys {
    pub(super) metric: Option<String>,
    #[serde(default)]
    pub(super) case: Names,
    pub(super) scheme: String,
    pub(super) over: Names,
}

/// What must hold.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectKeys {
    pub(super) metric: String,
    #[serde(default)]
    pub(super) case: Names,
    pub(super) scheme: Option<String>,
    pub(super) over: Option<Names>,
    pub(super) at_least: Option<Real>,
    pub(super) at_most: Option<Real>,
    #[serde(default)]
    pub(super) whole_interval: bool,
    pub(super) rising: Option<Vec<String>>,
    pub(super) falling: Option<Vec<String>>,
}
