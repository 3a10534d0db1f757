//! Experiments over one bottleneck.

use super::model::{self, Terms};
use super::schema::{BackgroundKeys, CongestionWord, File, LinkKeys, PatternWord, RuleWord, SchemeKeys};
use crate::config::error::ConfigError;
use crate::config::schema::PacingCadence;
use crate::config::source::Source;
use weir_engine::config::PacingRule;
use weir_engine::time::{BitsPerSec, Ns};
use weir_engine::wire::IpVersion;
use weir_sim::experiment::{
    FlowSettings, LinkChange, LinkExperiment, LinkScheme, LinkSettings, PacingUse, WeirSettings,
};
use weir_sim::source::Pattern;
use weir_sim::tcp::CongestionKind;

pub(super) fn check(file: &File, source: &Source) -> Result<LinkExperiment, ConfigError> {
    let duration = file.duration.ok_or_else(|| source.error("duration", "missing key"))?.0;
    let warm_up = file.warm_up.map_or(Ns(duration.0 / 5), |span| span.0);
    if warm_up >= duration {
        return Err(source.error("warm_up", "expected less than duration"));
    }
    let links =
        file.link.iter().enumerate().map(|(at, keys)| link(at, keys, source)).collect::<Result<_, _>>()?;
    let change = |keys: &super::schema::ChangeKeys| LinkChange {
        at: keys.at.0,
        rate: keys.rate.map(|rate| rate.0),
        rtt: keys.rtt.map(|span| span.0),
        queue_frames: keys.queue_frames.map(|frames| frames.get()),
        loss: keys.loss.map(|share| share.0),
    };
    let schemes = file.scheme.iter().enumerate();
    let version = version(file, source)?;
    Ok(LinkExperiment {
        duration,
        warm_up,
        links,
        changes: file.change.iter().map(change).collect(),
        flows: FlowSettings {
            count: file.flows.count.get_u32(),
            stagger: file.flows.stagger.0,
            version,
            receive_window: file.flows.receive_window.0,
            ecn: file.flows.ecn,
        },
        schemes: schemes.map(|(at, keys)| scheme(at, keys, file, source)).collect::<Result<_, _>>()?,
    })
}

/// The IP version of all flows.
pub(super) fn version(file: &File, source: &Source) -> Result<IpVersion, ConfigError> {
    match file.flows.ip.get() {
        4 => Ok(IpVersion::V4),
        6 => Ok(IpVersion::V6),
        other => Err(source.error("flows.ip", format!("expected 4 or 6, found {other}"))),
    }
}

/// The congestion control of this name.
pub(super) fn congestion(word: CongestionWord) -> CongestionKind {
    match word {
        CongestionWord::Reno => CongestionKind::Reno,
        CongestionWord::Cubic => CongestionKind::Cubic,
        CongestionWord::Dctcp => CongestionKind::Dctcp,
        CongestionWord::Bbr => CongestionKind::Bbr,
        CongestionWord::WeirYield => CongestionKind::Yield,
    }
}

fn link(at: usize, keys: &LinkKeys, source: &Source) -> Result<LinkSettings, ConfigError> {
    let key = |name: &str| format!("link[{at}].{name}");
    if keys.rate.0.0 == 0 {
        return Err(source.error(&key("rate"), "expected more than nothing"));
    }
    let trace = keys.trace.as_ref().map(|file| trace(&key("trace"), file, source)).transpose()?;
    let backgrounds = keys.background.iter().enumerate();
    let background = backgrounds
        .map(|(place, keys)| pattern(&format!("{}[{place}]", key("background")), keys, source))
        .collect::<Result<_, _>>()?;
    Ok(LinkSettings {
        name: keys.name.clone(),
        rate: keys.rate.0,
        rtt: keys.rtt.0,
        queue_frames: keys.queue_frames.get(),
        ecn_frames: keys.ecn_frames.map(|frames| frames.get()),
        loss: keys.loss.map_or(0.0, |share| share.0),
        trace,
        background,
    })
}

fn pattern(key: &str, keys: &BackgroundKeys, source: &Source) -> Result<Pattern, ConfigError> {
    let rate = |name: &str, rate: Option<crate::config::units::Rate>| {
        rate.map(|rate| rate.0).ok_or_else(|| source.error(&format!("{key}.{name}"), "missing key"))
    };
    match keys.pattern {
        PatternWord::Constant => Ok(Pattern::Constant(rate("rate", keys.rate)?)),
        PatternWord::Toggle => {
            let mean = keys.mean.ok_or_else(|| source.error(&format!("{key}.mean"), "missing key"))?;
            Ok(Pattern::Toggle { low: rate("low", keys.low)?, high: rate("high", keys.high)?, mean: mean.0 })
        }
        PatternWord::Uniform => {
            let [shortest, longest] =
                keys.hold.ok_or_else(|| source.error(&format!("{key}.hold"), "missing key"))?;
            let hold = (shortest.0, longest.0);
            Ok(Pattern::Uniform { low: rate("low", keys.low)?, high: rate("high", keys.high)?, hold })
        }
    }
}

/// Reads a table of capacities: a header, then `seconds,mbps` at even steps.
fn trace(key: &str, file: &str, source: &Source) -> Result<(Ns, Vec<BitsPerSec>), ConfigError> {
    let path = source.resolve(file);
    let refused = |reason: String| source.error(key, format!("{}: {reason}", path.display()));
    let text = std::fs::read_to_string(&path).map_err(|error| refused(format!("cannot read: {error}")))?;
    let mut rows = Vec::new();
    for (number, line) in text.lines().enumerate().skip(1).filter(|(_, line)| !line.trim().is_empty()) {
        let parsed = line.split_once(',').and_then(|(at, mbps)| {
            let (at, mbps): (f64, f64) = (at.trim().parse().ok()?, mbps.trim().parse().ok()?);
            (at >= 0.0 && (0.0..1e6).contains(&mbps)).then_some((at, mbps))
        });
        let row = parsed
            .ok_or_else(|| refused(format!("line {}: expected seconds,mbps, found {line:?}", number + 1)))?;
        rows.push(row);
    }
    let step = match rows.as_slice() {
        [first, second, ..] if second.0 > first.0 => second.0 - first.0,
        _ => return Err(refused("expected at least two rows in the order of time".to_owned())),
    };
    // A link without any capacity serves nothing; a kilobit a second is as good as none.
    let rate = |(_, mbps): &(f64, f64)| BitsPerSec(((mbps * 1e6) as u64).max(1_000));
    Ok((Ns((step * 1e9).round() as u64), rows.iter().map(rate).collect()))
}

fn scheme(at: usize, keys: &SchemeKeys, file: &File, source: &Source) -> Result<LinkScheme, ConfigError> {
    let key = |name: &str| format!("scheme[{at}].{name}");
    let congestion = congestion(keys.congestion);
    if !keys.weir {
        if let Some(name) = [
            ("model", keys.model.is_some()),
            ("rule", keys.rule.is_some()),
            ("interval", keys.interval.is_some()),
            ("cadence", keys.cadence.is_some()),
            ("decision_delay", keys.decision_delay.is_some()),
            ("decision_cost", keys.decision_cost.is_some()),
        ]
        .iter()
        .find(|(_, there)| *there)
        {
            return Err(source.error(&key(name.0), "expected only with weir = true"));
        }
        return Ok(LinkScheme { name: keys.name.clone(), congestion, weir: None });
    }
    let rule = match (keys.rule, keys.rate) {
        (None | Some(RuleWord::None), None) => PacingRule::None,
        (Some(RuleWord::BbrLite), None) => PacingRule::BbrLite,
        (Some(RuleWord::Fixed), Some(rate)) => PacingRule::Fixed(rate.0),
        (Some(RuleWord::Fixed), None) => return Err(source.error(&key("rate"), "missing key")),
        (Some(_), None) => {
            return Err(source.error(&key("rule"), "expected none, bbr_lite or fixed: a pacing rule"));
        }
        (_, Some(_)) => return Err(source.error(&key("rate"), "expected only with rule = \"fixed\"")),
    };
    let interval = keys.interval.map(|span| span.0);
    let build = |name: &str, file: &str, number| {
        let terms = Terms { precision: keys.precision, preference: keys.preference, interval, number };
        model::build(&key(name), file, &terms, source)
    };
    let model = keys.model.as_ref().map(|file| build("model", file, 1)).transpose()?;
    let swap = match (&keys.swap_at, &keys.swap_model, &model) {
        (None, None, _) => None,
        (Some(at), Some(file), Some(_)) => Some((at.0, build("swap_model", file, 2)?)),
        (Some(_), None, _) => return Err(source.error(&key("swap_model"), "missing key")),
        (None, Some(_), _) => return Err(source.error(&key("swap_at"), "missing key")),
        (_, _, None) => return Err(source.error(&key("model"), "missing key: there is nothing to swap")),
    };
    let cadence = keys.cadence.unwrap_or_default();
    if cadence == PacingCadence::Packet && (model.is_none() || keys.decision_delay.is_some()) {
        let reason = "\"packet\" expected only with a model, and without decision_delay: it is asked inline";
        return Err(source.error(&key("cadence"), reason));
    }
    let pacing = PacingUse {
        rule,
        model,
        swap,
        interval,
        cadence: cadence.into(),
        mode: file.pacing.mode.into(),
        rate_min: file.pacing.rate_min.0,
        rate_max: file.pacing.rate_max.0,
        rate_start: file.pacing.rate_start.0,
    };
    if pacing.rate_min > pacing.rate_max {
        return Err(source.error("pacing.rate_min", "expected at most rate_max"));
    }
    let weir = WeirSettings {
        pacing: Some(pacing),
        decision_delay: keys.decision_delay.map_or(Ns::ZERO, |span| span.0),
        decision_cost: keys.decision_cost.map_or(Ns::ZERO, |span| span.0),
    };
    Ok(LinkScheme { name: keys.name.clone(), congestion, weir: Some(weir) })
}
