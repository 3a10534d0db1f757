//! The engine's choice of paths, as a scheme of a fabric names it.

use super::model;
use super::schema::{RuleWord, SchemeKeys};
use crate::config::error::ConfigError;
use crate::config::source::Source;
use crate::config::units::Real;
use weir_engine::balance::{BalanceSettings, PathRule};
use weir_engine::time::Ns;
use weir_features::ONE;
use weir_sim::edge::EnginePaths;
use weir_sim::experiment::Tuned;

/// Refuses what only the engine could do something with.
pub(super) fn refuse(at: usize, keys: &SchemeKeys, source: &Source) -> Result<(), ConfigError> {
    let given = [
        ("rule", keys.rule.is_some()),
        ("model", keys.model.is_some()),
        ("decision_delay", keys.decision_delay.is_some()),
        ("hysteresis", keys.hysteresis.is_some()),
        ("tie", keys.tie.is_some()),
        ("control_share", keys.control_share.is_some()),
        ("explore_share", keys.explore_share.is_some()),
        ("probe_interval", keys.probe_interval.is_some()),
        ("adapt", keys.adapt),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((key, _)) => {
            Err(source.error(&format!("scheme[{at}].{key}"), "expected only with paths = \"engine\""))
        }
        None => Ok(()),
    }
}

/// Settings and model of a scheme, and what tunes that. Nobody explores or stays with the rule unless the scheme says so:
/// schemes are compared run by run.
pub(super) fn check(
    at: usize,
    keys: &SchemeKeys,
    flowlet_gap: Ns,
    source: &Source,
) -> Result<(EnginePaths, Option<Tuned>), ConfigError> {
    let key = |name: &str| format!("scheme[{at}].{name}");
    let defaults = BalanceSettings::default();
    let rule = match keys.rule {
        None | Some(RuleWord::Maglev) => PathRule::Maglev,
        Some(RuleWord::Ecmp) => PathRule::Ecmp,
        Some(RuleWord::LetFlow) => PathRule::LetFlow,
        Some(RuleWord::Plb) => PathRule::Plb,
        Some(RuleWord::PowerOfTwo) => PathRule::PowerOfTwo,
        Some(RuleWord::None | RuleWord::BbrLite | RuleWord::Fixed) => {
            let reason = "expected maglev, ecmp, letflow, plb or power-of-two: a rule for paths";
            return Err(source.error(&key("rule"), reason));
        }
    };
    if keys.decision_delay.is_some() && keys.model.is_none() {
        return Err(source.error(&key("decision_delay"), "expected only beside a model: rules are inline"));
    }
    let q16 = |name: &str, value: Option<Real>, default: u32| match value {
        None => Ok(default),
        Some(value) if (0.0..=100.0).contains(&value.0) => Ok((value.0 * f64::from(ONE)).round() as u32),
        Some(_) => Err(source.error(&key(name), "expected 0 to 100")),
    };
    let hysteresis_q16 = q16("hysteresis", keys.hysteresis, defaults.hysteresis_q16)?;
    let tie_q16 = q16("tie", keys.tie, defaults.tie_q16)?;
    if keys.adapt && keys.model.is_none() {
        return Err(source.error(&key("adapt"), "expected only with a model: there is nothing to adapt"));
    }
    if keys.adapt && keys.decision_delay.is_some() {
        let reason = "expected no decision_delay beside it: choices that count later are not recorded";
        return Err(source.error(&key("adapt"), reason));
    }
    let build = |file: &String| model::build_paths(&key("model"), file, keys.precision, keys.adapt, source);
    let (model, tuned) = match keys.model.as_ref().map(build).transpose()? {
        Some((model, tuned)) => (Some(model), tuned),
        None => (None, None),
    };
    let settings = BalanceSettings {
        rule,
        model: model.is_some(),
        flowlet_gap,
        hysteresis_q16,
        tie_q16,
        control_share: keys.control_share.map_or(0, |share| share.in_65536()),
        explore_share: keys.explore_share.map_or(0, |share| share.in_65536()),
        // Of every flow; whether anybody asks is another matter.
        sample_share: 65_536,
        spec: weir_trainer::paths::spec(),
        ..defaults
    };
    let decision_delay = keys.decision_delay.map_or(Ns::ZERO, |delay| delay.0);
    let probe_interval = keys.probe_interval.map(|interval| interval.0);
    if probe_interval.is_some_and(|interval| !(Ns::from_micros(10)..=Ns::from_secs(60)).contains(&interval)) {
        return Err(source.error(&key("probe_interval"), "expected 10us to 60s"));
    }
    Ok((EnginePaths { settings, model, decision_delay, probe_interval }, tuned))
}
