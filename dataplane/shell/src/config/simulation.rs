//! From an experiment's TOML file to a checked [`Experiment`]: the same layers, strictness and errors as a configuration.

mod engine;
mod fabric;
mod link;
mod model;
mod schema;

use super::error::ConfigError;
use super::source::Source;
use schema::{ExpectKeys, File};
use std::path::Path;
use weir_sim::experiment::{Claim, Expectation, Experiment, Metric, World};

/// Reads and checks an experiment, and builds the models that it names.
///
/// # Errors
/// The first thing that is wrong.
pub fn experiment(file: &Path, overrides: &[String]) -> Result<Experiment, ConfigError> {
    let source = Source::read(file, overrides)?;
    from_source(&source)
}

/// The same for a text at hand.
///
/// # Errors
/// The first thing that is wrong.
pub fn from_source(source: &Source) -> Result<Experiment, ConfigError> {
    let file: File = source.fill()?;
    if file.scheme.is_empty() {
        return Err(source.error("scheme", "missing key"));
    }
    let world = match (&file.fabric, &file.jobs, file.link.as_slice()) {
        (None, None, [_, ..]) => World::Link(link::check(&file, source)?),
        (Some(keys), None, []) => World::Fabric(fabric::check(keys, &file, source)?),
        (Some(keys), Some(_), []) => World::Jobs(fabric::check_jobs(keys, &file, source)?),
        (_, _, [_, ..]) => return Err(source.error("link", "expected no [[link]] beside [fabric]")),
        (None, _, []) => return Err(source.error("link", "missing key: a world is [[link]] or [fabric]")),
    };
    let mut experiment = Experiment {
        title: file.title.clone(),
        seeds: file.seeds.get(),
        baseline: 0,
        expectations: Vec::new(),
        world,
    };
    let schemes = experiment.schemes();
    for (at, name) in schemes.iter().enumerate() {
        if schemes.iter().take(at).any(|earlier| earlier == name) {
            return Err(source.error(&format!("scheme[{at}].name"), format!("{name:?} is there already")));
        }
    }
    if let Some(name) = &file.baseline {
        experiment.baseline = find("baseline", name, &schemes, source)?;
    }
    let cases = experiment.cases();
    for (at, keys) in file.expect.iter().enumerate() {
        let expectation = expectation(at, keys, &schemes, &cases, experiment.metrics(), source)?;
        experiment.expectations.push(expectation);
    }
    Ok(experiment)
}

/// The place of `name` among `known`.
fn find(key: &str, name: &str, known: &[String], source: &Source) -> Result<usize, ConfigError> {
    let words: Vec<&str> = known.iter().map(String::as_str).collect();
    known.iter().position(|one| one == name).ok_or_else(|| {
        let near = super::read::nearest(name, &words)
            .map_or(String::new(), |near| format!("; did you mean {near:?}?"));
        let list: Vec<String> = known.iter().map(|one| format!("{one:?}")).collect();
        source.error(key, format!("expected one of {}, found {name:?}{near}", list.join(", ")))
    })
}

fn expectation(
    at: usize,
    keys: &ExpectKeys,
    schemes: &[String],
    cases: &[String],
    metrics: &[Metric],
    source: &Source,
) -> Result<Expectation, ConfigError> {
    let key = |name: &str| format!("expect[{at}].{name}");
    let names: Vec<String> = metrics.iter().map(|metric| metric.name.to_owned()).collect();
    find(&key("metric"), &keys.metric, &names, source)?;
    if let Some(case) = &keys.case {
        find(&key("case"), case, cases, source)?;
    }
    let (at_least, at_most) = (keys.at_least.map(|real| real.0), keys.at_most.map(|real| real.0));
    for (name, list) in [("rising", &keys.rising), ("falling", &keys.falling)] {
        for (place, scheme) in list.iter().flatten().enumerate() {
            find(&format!("{}[{place}]", key(name)), scheme, schemes, source)?;
        }
    }
    let claim = match (&keys.scheme, &keys.rising, &keys.falling) {
        (Some(scheme), None, None) => {
            find(&key("scheme"), scheme, schemes, source)?;
            if at_least.is_none() && at_most.is_none() {
                return Err(source
                    .error(&format!("expect[{at}]"), "expected at_least, at_most or both beside scheme"));
            }
            let scheme = scheme.clone();
            match &keys.over {
                None => Claim::Bounds { scheme, at_least, at_most },
                Some(over) => {
                    find(&key("over"), over, schemes, source)?;
                    Claim::Factor { scheme, over: over.clone(), at_least, at_most }
                }
            }
        }
        (None, Some(schemes), None) => Claim::Order { schemes: schemes.clone(), rising: true },
        (None, None, Some(schemes)) => Claim::Order { schemes: schemes.clone(), rising: false },
        _ => {
            let reason = "expected one of scheme (with at_least, at_most, over), rising or falling";
            return Err(source.error(&format!("expect[{at}]"), reason));
        }
    };
    Ok(Expectation { metric: keys.metric.clone(), case: keys.case.clone(), claim })
}
