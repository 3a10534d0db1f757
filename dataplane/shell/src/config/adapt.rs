//! Section `[model.adapt]`: how one model learns while traffic flows, and how carefully.

use super::error::ConfigError;
use super::plan::Plan;
use super::schema::File;
use super::source::Source;
use super::units::{Least, Real, Share, Span, Whole};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;
use weir_engine::time::Ns;
use weir_snapshot::{Function, Precision};
use weir_trainer::ModelSpec;
use weir_trainer::online::gate::{
    Fidelity, GateConfig, Quantisation, Safety, Stability, Statistic, Tolerance,
};
use weir_trainer::online::{TrainerConfig, WatchConfig};
use weir_trainer::reward::Preference;

/// The keys of `[model.adapt]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdaptKeys {
    adapter: Option<String>,
    adapter_deadline: Option<Span>,
    training_graph: Option<String>,
    learning_rate: Option<Real>,
    #[serde(default = "default_rows_min")]
    rows_min: Whole<32, 65_536>,
    #[serde(default = "default_rows_max")]
    rows_max: Whole<32, 65_536>,
    remembered_share: Option<Share>,
    reward_weights: Option<[Share; 3]>,
    #[serde(default)]
    precision: AdaptPrecision,
    #[serde(default)]
    gate: GateKeys,
    recall: Option<RecallKeys>,
}

/// A policy's network takes small steps: what it does decides what it sees.
const LEARNING_RATE_POLICY: f64 = 0.000_3;
/// Of a network that predicts: what it learns from does not depend on it.
const LEARNING_RATE_PREDICTION: f64 = 0.001;
/// What is shown again to a network that predicts says what was true then: of traffic that has changed, a part of this size
/// stays wrong for good.
const REMEMBERED_SHARE_PREDICTION: f64 = 0.25;

fn default_rows_min() -> Whole<32, 65_536> {
    Whole::clamped(defaults().rows_min as u64)
}
fn default_rows_max() -> Whole<32, 65_536> {
    Whole::clamped(defaults().rows_max as u64)
}

/// The trainer's own defaults, so that there is one place for them.
fn defaults() -> TrainerConfig {
    TrainerConfig::new(GateConfig::new(None))
}

/// The keys of `[model.adapt.gate]`: what a candidate must be to be published.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct GateKeys {
    stability_window: Whole<2, 64>,
    stability_tolerance: Least,
    fidelity_threshold: Least,
    fidelity_statistic: FidelityStatistic,
    quantisation_mean_max: Least,
    quantisation_p99_max: Least,
    /// These of a model that paces alone.
    clamped_share_max: Option<Share>,
    reward_loss_max: Option<Share>,
    episode_reward_loss_max: Option<Share>,
    episode_loss_max: Option<Share>,
    forgotten_share_max: Option<Share>,
    rows_min: Whole<16, 512>,
}

impl Default for GateKeys {
    fn default() -> GateKeys {
        let gate = defaults().gate;
        let statistic = match gate.fidelity.statistic {
            Statistic::Mean => FidelityStatistic::Mean,
            Statistic::P99 => FidelityStatistic::P99,
        };
        GateKeys {
            stability_window: Whole::clamped(gate.stability.window as u64),
            stability_tolerance: Least(gate.stability.tolerance),
            fidelity_threshold: Least(gate.fidelity.threshold),
            fidelity_statistic: statistic,
            quantisation_mean_max: Least(gate.quantisation.mean_max),
            quantisation_p99_max: Least(gate.quantisation.p99_max),
            clamped_share_max: None,
            reward_loss_max: None,
            episode_reward_loss_max: None,
            episode_loss_max: None,
            forgotten_share_max: None,
            rows_min: Whole::clamped(gate.rows_min as u64),
        }
    }
}

/// What stands for the fidelity losses of a batch.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum FidelityStatistic {
    Mean,
    P99,
}

/// The keys of `[model.adapt.recall]`: when live traffic takes a generation back.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct RecallKeys {
    window: Span,
    probation: Span,
    observations_min: Whole<2, 1_000_000>,
    margin: Share,
}

impl Default for RecallKeys {
    fn default() -> RecallKeys {
        let watch = defaults().watch;
        RecallKeys {
            window: Span(Ns(watch.window_ns)),
            probation: Span(Ns(watch.probation_ns)),
            observations_min: Whole::clamped(watch.observations_min),
            margin: Share(watch.margin),
        }
    }
}

/// What candidates may be quantised to.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
enum AdaptPrecision {
    /// The cheapest that meets the bound on quantisation error.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    #[serde(rename = "8bit")]
    Bits8,
    #[serde(rename = "12bit")]
    Bits12,
}

/// How one model learns.
#[derive(Clone, Debug, PartialEq)]
pub struct AdaptPlan {
    /// Who tunes.
    pub tuner: TunerPlan,
    /// Step size of the built-in optimiser.
    pub learning_rate: f64,
    /// What the trainer is told; its interval and its seed come from elsewhere, and so does the guard.
    pub config: TrainerConfig,
}

/// Who tunes the float network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TunerPlan {
    /// Weir, with a training graph that it builds.
    Built,
    /// Weir, with a user's training graph.
    Graph(PathBuf),
    /// A user's process.
    Process {
        /// Where it listens.
        socket: PathBuf,
        /// For each of its calls.
        deadline: Duration,
    },
}

/// Checks the `[model.adapt]` of the model at `index`, which is the one that decides, or is not.
pub(super) fn check(
    keys: &AdaptKeys,
    index: usize,
    decides: bool,
    spec: &ModelSpec,
    file: &File,
    source: &Source,
) -> Result<AdaptPlan, ConfigError> {
    let at = |key: &str| Plan::model_key(index, &format!("adapt.{key}"));
    let refuse = |key: &str, reason: String| Err(source.error(&at(key), reason));
    if file.trainer.is_none() {
        let reason = "expected only with a [trainer], which is to adapt it";
        return Err(source.error(&Plan::model_key(index, "adapt"), reason));
    }
    if !decides {
        let reason = format!(
            "expected only on the model that {}.model names: nothing is learned of one that decides nothing",
            spec.function.name()
        );
        return Err(source.error(&Plan::model_key(index, "adapt"), reason));
    }
    if let Some((key, reason)) = foreign(keys, spec.function) {
        return refuse(key, reason.to_owned());
    }
    if keys.adapter.is_some() && keys.training_graph.is_some() {
        return refuse("training_graph", "expected none beside adapter, which trains by itself".to_owned());
    }
    let tuner = match (&keys.adapter, &keys.training_graph) {
        (Some(text), _) => {
            let socket = super::plan::socket_path(text, source)
                .map_err(|reason| source.error(&at("adapter"), reason))?;
            let deadline = keys.adapter_deadline.unwrap_or(DEADLINE_DEFAULT);
            if !(DEADLINE_MIN..=DEADLINE_MAX).contains(&deadline) {
                let reason = format!("expected from {DEADLINE_MIN} to {DEADLINE_MAX}, found {deadline}");
                return refuse("adapter_deadline", reason);
            }
            TunerPlan::Process { socket, deadline: Duration::from_nanos(deadline.0.0) }
        }
        (None, _) if keys.adapter_deadline.is_some() => {
            return refuse("adapter_deadline", "expected only with adapter".to_owned());
        }
        (None, Some(text)) => TunerPlan::Graph(source.resolve(text)),
        (None, None) => TunerPlan::Built,
    };
    let paces = spec.function == Function::Pacing;
    let rate_default = if paces { LEARNING_RATE_POLICY } else { LEARNING_RATE_PREDICTION };
    let learning_rate = keys.learning_rate.map_or(rate_default, |rate| rate.0);
    if !(learning_rate > 0.0 && learning_rate <= 1.0) {
        return refuse("learning_rate", format!("expected more than 0 and at most 1, found {learning_rate}"));
    }
    let preference = match (spec.preference, keys.reward_weights) {
        (Some(_), Some(_)) => {
            let reason = "expected none beside the model's preference, which it is adapted for";
            return refuse("reward_weights", reason.to_owned());
        }
        (Some(preference), None) => preference,
        (None, Some(weights)) => {
            super::plan::preference(weights).map_err(|reason| source.error(&at("reward_weights"), reason))?
        }
        (None, None) => Preference::DEFAULT,
    };
    let (rows_min, rows_max) = (keys.rows_min.get(), keys.rows_max.get());
    if rows_max < rows_min {
        return refuse("rows_max", format!("expected at least rows_min = {rows_min}, found {rows_max}"));
    }
    let recall = keys.recall.clone().unwrap_or_default();
    if recall.probation < recall.window {
        let reason = format!("expected at least window = {}, found {}", recall.window, recall.probation);
        return refuse("recall.probation", reason);
    }
    let (threshold, mean_max) = (keys.gate.fidelity_threshold.0, keys.gate.quantisation_mean_max.0);
    if threshold > 0.0 && mean_max >= threshold {
        let reason = format!(
            "expected less than fidelity_threshold = {threshold}, found {mean_max}: a snapshot's own rounding would be \
             worth another publication"
        );
        return refuse("gate.quantisation_mean_max", reason);
    }
    let remembered_default = if paces { defaults().remembered_share } else { REMEMBERED_SHARE_PREDICTION };
    let config = TrainerConfig {
        preference,
        rows_min: rows_min as usize,
        rows_max: rows_max as usize,
        remembered_share: keys.remembered_share.map_or(remembered_default, |share| share.0),
        watch: WatchConfig {
            window_ns: recall.window.0.0,
            probation_ns: recall.probation.0.0,
            observations_min: recall.observations_min.get(),
            margin: recall.margin.0,
        },
        ..TrainerConfig::new(gate(&keys.gate, keys.precision, paces))
    };
    Ok(AdaptPlan { tuner, learning_rate, config })
}

/// The first key that says nothing about a model of this function, and why.
fn foreign(keys: &AdaptKeys, function: Function) -> Option<(&'static str, &'static str)> {
    let reason = match function {
        Function::Pacing => return None,
        Function::Balance => {
            "expected only with function = \"pacing\": scores of paths are judged by their error on decisions that were not learned \
             from"
        }
        Function::Schedule => {
            "expected only with function = \"pacing\": predicted sizes are judged by their error on flows that were not learned from"
        }
    };
    let gate = &keys.gate;
    let mut set = [
        ("reward_weights", keys.reward_weights.is_some()),
        ("gate.clamped_share_max", gate.clamped_share_max.is_some()),
        ("gate.reward_loss_max", gate.reward_loss_max.is_some()),
        ("gate.episode_reward_loss_max", gate.episode_reward_loss_max.is_some()),
        ("gate.episode_loss_max", gate.episode_loss_max.is_some()),
        ("gate.forgotten_share_max", gate.forgotten_share_max.is_some()),
    ]
    .into_iter();
    if let Some((key, _)) = set.find(|(_, set)| *set) {
        return Some((key, reason));
    }
    let reason = "expected only with function = \"pacing\" or \"balance\": how long a flow takes is first of all its \
                  application's affair, so a prediction is taken back by an operator only";
    (function == Function::Schedule && keys.recall.is_some()).then_some(("recall", reason))
}

/// `paces`: the model's output has a guard on it, and replay a world for it.
fn gate(keys: &GateKeys, precision: AdaptPrecision, paces: bool) -> GateConfig {
    let precisions = match precision {
        AdaptPrecision::Auto => Precision::ALL.to_vec(),
        AdaptPrecision::Bits8 => vec![Precision::Bits8],
        AdaptPrecision::Bits12 => vec![Precision::Bits12],
    };
    let statistic = match keys.fidelity_statistic {
        FidelityStatistic::Mean => Statistic::Mean,
        FidelityStatistic::P99 => Statistic::P99,
    };
    let defaults = GateConfig::new(None);
    let or = |key: &Option<Share>, default: f64| key.as_ref().map_or(default, |share| share.0);
    GateConfig {
        stability: Stability {
            window: keys.stability_window.get() as usize,
            tolerance: keys.stability_tolerance.0,
        },
        fidelity: Fidelity { threshold: keys.fidelity_threshold.0, statistic },
        precisions,
        quantisation: Quantisation {
            mean_max: keys.quantisation_mean_max.0,
            p99_max: keys.quantisation_p99_max.0,
        },
        // Rates come from [pacing], when the trainer is made.
        safety: paces.then(|| {
            let safety = Safety::new(0, 0);
            Safety { clamped_max: or(&keys.clamped_share_max, safety.clamped_max), ..safety }
        }),
        tolerance: Tolerance {
            mean: or(&keys.reward_loss_max, defaults.tolerance.mean),
            each: or(&keys.episode_reward_loss_max, defaults.tolerance.each),
            lost: or(&keys.episode_loss_max, defaults.tolerance.lost),
            forgotten: or(&keys.forgotten_share_max, defaults.tolerance.forgotten),
        },
        rows_min: keys.rows_min.get() as usize,
    }
}

/// Of an adapter process: see [`weir_trainer::adapter::Options::at`].
const DEADLINE_DEFAULT: Span = Span(Ns::from_secs(1));
/// Less is a process that never answers in time on a busy machine.
const DEADLINE_MIN: Span = Span(Ns::from_millis(10));
/// The trainer waits for it, and for nothing else meanwhile.
const DEADLINE_MAX: Span = Span(Ns::from_secs(60));
