//! Experiments on a leaf-spine fabric, and on a single switch of it.

use super::engine;
use super::link::{congestion, version};
use super::model;
use super::schema::{CaseKeys, FabricKeys, FaultWord, File, PathWord, PriorityWord, SchemeKeys};
use crate::config::error::ConfigError;
use crate::config::source::Source;
use weir_engine::time::Ns;
use weir_sim::edge::{HermesSettings, Plb};
use weir_sim::experiment::{
    FabricCase, FabricExperiment, FabricScheme, Fault, JobsCase, JobsExperiment, JobsScheme, PathRule,
    Priorities, WeirSettings,
};
use weir_sim::fabric::FabricConfig;
use weir_sim::workload::Sizes;

/// A Weir that forwards: in a fabric, what is compared is who chooses paths or says how urgent a frame is.
const FORWARDING: WeirSettings =
    WeirSettings { pacing: None, decision_delay: Ns::ZERO, decision_cost: Ns::ZERO };
/// Links that a frame and its acknowledgement cross between hosts of two leaves.
const HOPS: u64 = 8;
/// Gap that ends a flowlet where a scheme names none: CONGA's and LetFlow's large experiments.
const FLOWLET_GAP: Ns = Ns::from_micros(500);

pub(super) fn check(
    keys: &FabricKeys,
    file: &File,
    source: &Source,
) -> Result<FabricExperiment, ConfigError> {
    let config = config(keys);
    if config.leaves < 2 || config.spines < 1 {
        return Err(source
            .error("fabric", "expected at least 2 leaves and 1 spine: without, no path is to be chosen"));
    }
    let sizes = sizes(keys, source)?;
    let version = version(file, source)?;
    let cases = file.case.iter().enumerate();
    let schemes = file.scheme.iter().enumerate();
    let arrivals = arrivals(file, source)?;
    let base_rtt = Ns(HOPS * config.delay.0);
    Ok(FabricExperiment {
        sizes,
        arrivals,
        warm_up: warm_up(file, Ns::ZERO, arrivals, source)?,
        drain: keys.drain.0,
        congestion: congestion(keys.congestion),
        version,
        rto_min: keys.rto_min.0,
        conditions: cases.map(|(at, keys)| case(at, keys, &config, source)).collect::<Result<_, _>>()?,
        schemes: schemes.map(|(at, keys)| scheme(at, keys, base_rtt, source)).collect::<Result<_, _>>()?,
        fabric: config,
    })
}

pub(super) fn check_jobs(
    keys: &FabricKeys,
    file: &File,
    source: &Source,
) -> Result<JobsExperiment, ConfigError> {
    let jobs = file.jobs.as_ref().ok_or_else(|| source.error("jobs", "missing key"))?;
    let arrivals = arrivals(file, source)?;
    let case = |(at, keys): (usize, &CaseKeys)| {
        let key = |name: &str| format!("case[{at}].{name}");
        if keys.fault.is_some() {
            return Err(source.error(&key("fault"), "expected only without [jobs]"));
        }
        let predictability =
            keys.predictability.ok_or_else(|| source.error(&key("predictability"), "missing key"))?;
        Ok(JobsCase {
            name: keys.name.clone(),
            predictability: predictability.0,
            drift_at: keys.drift_at.map(|span| span.0),
            load: load(at, keys, source)?,
        })
    };
    let warm_up = warm_up(file, Ns(arrivals.0 / 5), arrivals, source)?;
    let schemes = file.scheme.iter().enumerate();
    Ok(JobsExperiment {
        fabric: config(keys),
        sizes: sizes(keys, source)?,
        application: jobs.application.get(),
        arrivals,
        warm_up,
        drain: keys.drain.0,
        ageing: jobs.ageing.0,
        rto_min: keys.rto_min.0,
        conditions: file.case.iter().enumerate().map(case).collect::<Result<_, _>>()?,
        schemes: schemes.map(|(at, keys)| jobs_scheme(at, keys, source)).collect::<Result<_, _>>()?,
    })
}

fn jobs_scheme(at: usize, keys: &SchemeKeys, source: &Source) -> Result<JobsScheme, ConfigError> {
    let key = |name: &str| format!("scheme[{at}].{name}");
    let word = keys.priorities.ok_or_else(|| source.error(&key("priorities"), "missing key"))?;
    let engine = matches!(word, PriorityWord::Engine);
    let only_with_engine = [
        ("model", keys.model.is_some()),
        ("adapt", keys.adapt),
        ("decision_delay", keys.decision_delay.is_some()),
    ];
    if let Some((name, _)) = only_with_engine.iter().find(|(_, there)| *there && !engine) {
        return Err(source.error(&key(name), "expected only with priorities = \"engine\""));
    }
    if keys.threshold_scale.is_some() && !engine && !matches!(word, PriorityWord::Ageing) {
        let reason = "expected only with priorities = \"ageing\" or \"engine\"";
        return Err(source.error(&key("threshold_scale"), reason));
    }
    if engine && !keys.weir {
        return Err(source.error(&key("priorities"), "expected only with weir = true"));
    }
    if keys.adapt && keys.model.is_none() {
        return Err(source.error(&key("adapt"), "expected only with a model: there is nothing to adapt"));
    }
    let scale = keys.threshold_scale.map_or(1.0, |real| real.0);
    let priorities = match word {
        PriorityWord::Fifo => Priorities::Fifo,
        PriorityWord::Ageing => Priorities::Ageing(scale),
        PriorityWord::Oracle => Priorities::Oracle,
        PriorityWord::Stage => Priorities::Stage,
        PriorityWord::Engine => {
            let build = |file| model::build_sizes(&key("model"), file, keys.precision, keys.adapt, source);
            Priorities::Engine { scale, model: keys.model.as_deref().map(build).transpose()? }
        }
    };
    let delay = keys.decision_delay.map_or(Ns::ZERO, |span| span.0);
    let weir = keys.weir.then_some(WeirSettings { decision_delay: delay, ..FORWARDING });
    Ok(JobsScheme { name: keys.name.clone(), priorities, weir })
}

/// The table of flow sizes.
fn sizes(keys: &FabricKeys, source: &Source) -> Result<Sizes, ConfigError> {
    let name = keys.workload.as_deref().ok_or_else(|| source.error("fabric.workload", "missing key"))?;
    let path = source.resolve(name);
    let refused = |reason: String| source.error("fabric.workload", format!("{}: {reason}", path.display()));
    let text = std::fs::read_to_string(&path).map_err(|error| refused(format!("cannot read: {error}")))?;
    Sizes::parse(&text, keys.cap.map(|cap| cap.0)).map_err(|error| refused(error.to_string()))
}

fn config(keys: &FabricKeys) -> FabricConfig {
    FabricConfig {
        leaves: keys.leaves.get() as u16,
        spines: keys.spines.get() as u16,
        hosts_per_leaf: keys.hosts_per_leaf.get() as u16,
        rate: keys.rate.0,
        delay: keys.delay.0,
        queue_frames: keys.queue_frames.get(),
        ecn_frames: (keys.ecn_frames.get() > 0).then_some(keys.ecn_frames.get()),
    }
}

fn arrivals(file: &File, source: &Source) -> Result<Ns, ConfigError> {
    if file.case.is_empty() {
        return Err(source.error("case", "missing key"));
    }
    file.duration.map(|span| span.0).ok_or_else(|| source.error("duration", "missing key"))
}

/// Time in which transfers begin that are not measured.
fn warm_up(file: &File, default: Ns, arrivals: Ns, source: &Source) -> Result<Ns, ConfigError> {
    match file.warm_up.map_or(default, |span| span.0) {
        warm_up if warm_up < arrivals => Ok(warm_up),
        _ => Err(source.error("warm_up", "expected less than duration")),
    }
}

fn load(at: usize, keys: &CaseKeys, source: &Source) -> Result<f64, ConfigError> {
    match keys.load.0 {
        load if load > 0.0 => Ok(load),
        _ => Err(source.error(&format!("case[{at}].load"), "expected more than nothing")),
    }
}

fn case(
    at: usize,
    keys: &CaseKeys,
    config: &FabricConfig,
    source: &Source,
) -> Result<FabricCase, ConfigError> {
    let key = |name: &str| format!("case[{at}].{name}");
    let missing = |name: &str| source.error(&key(name), "missing key");
    let exists = |name: &str, [leaf, spine]: [u64; 2]| {
        if leaf < u64::from(config.leaves) && spine < u64::from(config.spines) {
            Ok((leaf as u16, spine as u16))
        } else {
            let reason = format!(
                "expected leaf and spine below {} and {}, found {leaf} and {spine}",
                config.leaves, config.spines
            );
            Err(source.error(&key(name), reason))
        }
    };
    let links = || -> Result<Vec<(u16, u16)>, ConfigError> {
        let pairs = keys.links.as_ref().ok_or_else(|| missing("links"))?;
        pairs.iter().map(|pair| exists("links", pair.map(|number| number.get()))).collect()
    };
    let from = keys.at.map_or(Ns::ZERO, |span| span.0);
    let fault = match keys.fault {
        None => Fault::None,
        Some(FaultWord::Slow) => {
            let factor = keys.factor.ok_or_else(|| missing("factor"))?.0;
            if factor <= 0.0 {
                return Err(
                    source.error(&key("factor"), "expected more than nothing; a cut is fault = \"cut\"")
                );
            }
            Fault::Slow { links: links()?, factor, at: from }
        }
        Some(FaultWord::Lossy) => {
            let spine = keys.spine.ok_or_else(|| missing("spine"))?.get();
            let (_, spine) = exists("spine", [0, spine])?;
            Fault::Lossy { spine, loss: keys.loss.ok_or_else(|| missing("loss"))?.0, at: from }
        }
        Some(FaultWord::Cut) => {
            let link = *links()?.first().ok_or_else(|| missing("links"))?;
            Fault::Cut { link, at: keys.at.ok_or_else(|| missing("at"))?.0 }
        }
    };
    if keys.predictability.is_some() || keys.drift_at.is_some() {
        return Err(source.error(&key("predictability"), "expected only with [jobs]"));
    }
    Ok(FabricCase { name: keys.name.clone(), load: load(at, keys, source)?, fault })
}

fn scheme(at: usize, keys: &SchemeKeys, base_rtt: Ns, source: &Source) -> Result<FabricScheme, ConfigError> {
    let key = |name: &str| format!("scheme[{at}].{name}");
    let word = keys.paths.ok_or_else(|| source.error(&key("paths"), "missing key"))?;
    let gaps = [PathWord::Letflow, PathWord::PowerOfTwo, PathWord::Conga, PathWord::Engine];
    if keys.flowlet_gap.is_some() && !gaps.contains(&word) {
        let reason = "expected only with letflow, power-of-two, conga or engine";
        return Err(source.error(&key("flowlet_gap"), reason));
    }
    if word != PathWord::Engine {
        engine::refuse(at, keys, source)?;
    }
    if keys.rounds.is_some() && word != PathWord::Plb {
        return Err(source.error(&key("rounds"), "expected only with paths = \"plb\""));
    }
    let thresholds = [("rtt_good", keys.rtt_good), ("rtt_bad", keys.rtt_bad)];
    if let Some((name, _)) = thresholds.iter().find(|(_, span)| span.is_some() && word != PathWord::Hermes) {
        return Err(source.error(&key(name), "expected only with paths = \"hermes\""));
    }
    let hermes = HermesSettings::for_rtt(base_rtt);
    let hermes = HermesSettings {
        rtt_good: keys.rtt_good.map_or(hermes.rtt_good, |span| span.0),
        rtt_bad: keys.rtt_bad.map_or(hermes.rtt_bad, |span| span.0),
        ..hermes
    };
    let gap = keys.flowlet_gap.map_or(FLOWLET_GAP, |span| span.0);
    let mut tuned = None;
    let path = match word {
        PathWord::Ecmp => PathRule::Ecmp,
        PathWord::Letflow => PathRule::LetFlow(gap),
        PathWord::Plb => PathRule::Plb(keys.rounds.map_or(Plb::ROUNDS, |pair| pair.map(|n| n.get() as u32))),
        PathWord::PowerOfTwo => PathRule::PowerOfTwo(gap),
        PathWord::Conga => PathRule::Conga(gap),
        PathWord::Hermes => PathRule::Hermes(hermes),
        PathWord::Engine => {
            let (paths, tunes) = engine::check(at, keys, gap, source)?;
            tuned = tunes;
            PathRule::Engine(paths)
        }
    };
    Ok(FabricScheme { name: keys.name.clone(), path, weir: keys.weir.then_some(FORWARDING), tuned })
}
