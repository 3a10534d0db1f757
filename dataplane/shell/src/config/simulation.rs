//! From an experiment's TOML file to a checked [`Experiment`]: the same layers, strictness and errors as a configuration.

mod engine;
mod fabric;
mod link;
mod model;
mod schema;

use super::error::ConfigError;
use super::source::Source;
use schema::{CompareKeys, ExpectKeys, File, Names};
use std::path::Path;
use weir_sim::experiment::{Better, Claim, Comparison, Expectation, Experiment, Metric, World};

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
        first_seed: file.first_seed.get(),
        baseline: 0,
        comparisons: Vec::new(),
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
    let known = Known { schemes: &schemes, cases: &cases, metrics: experiment.metrics() };
    for (at, keys) in file.compare.iter().enumerate() {
        experiment.comparisons.push(comparison(at, keys, &known, source)?);
    }
    for (at, keys) in file.expect.iter().enumerate() {
        experiment.expectations.push(expectation(at, keys, &known, source)?);
    }
    Ok(experiment)
}

/// What expectations and comparisons may name.
struct Known<'a> {
    schemes: &'a [String],
    cases: &'a [String],
    metrics: &'a [Metric],
}

impl Known<'_> {
    fn metric(&self, key: &str, name: &str, source: &Source) -> Result<&Metric, ConfigError> {
        let names: Vec<String> = self.metrics.iter().map(|metric| metric.name.to_owned()).collect();
        let at = find(key, name, &names, source)?;
        self.metrics.get(at).ok_or_else(|| source.error(key, "no such figure"))
    }

    /// All of `names`, at `key`, are among `known`.
    fn all(&self, key: &str, names: &Names, known: &[String], source: &Source) -> Result<(), ConfigError> {
        names.0.iter().try_for_each(|name| find(key, name, known, source).map(|_| ()))
    }
}

fn comparison(
    at: usize,
    keys: &CompareKeys,
    known: &Known<'_>,
    source: &Source,
) -> Result<Comparison, ConfigError> {
    let key = |name: &str| format!("compare[{at}].{name}");
    let first = known.metrics.first().map_or("", |metric| metric.name);
    let metric = keys.metric.clone().unwrap_or_else(|| first.to_owned());
    known.metric(&key("metric"), &metric, source)?;
    known.all(&key("case"), &keys.case, known.cases, source)?;
    find(&key("scheme"), &keys.scheme, known.schemes, source)?;
    over(&key("over"), &keys.over, (known, &metric), source)?;
    let (cases, scheme, over) = (keys.case.0.clone(), keys.scheme.clone(), keys.over.0.clone());
    Ok(Comparison { metric, cases, scheme, over })
}

/// The schemes of which the best is to be compared with.
fn over(
    key: &str,
    names: &Names,
    (known, metric): (&Known<'_>, &str),
    source: &Source,
) -> Result<(), ConfigError> {
    known.all(key, names, known.schemes, source)?;
    match names.0.len() {
        0 => Err(source.error(key, "expected at least one scheme")),
        2.. if known.metric(key, metric, source)?.better == Better::Neither => {
            Err(source.error(key, format!("expected one scheme: none is the best in {metric}")))
        }
        _ => Ok(()),
    }
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
    known: &Known<'_>,
    source: &Source,
) -> Result<Expectation, ConfigError> {
    let key = |name: &str| format!("expect[{at}].{name}");
    let schemes = known.schemes;
    known.metric(&key("metric"), &keys.metric, source)?;
    known.all(&key("case"), &keys.case, known.cases, source)?;
    if keys.whole_interval && keys.over.is_none() {
        return Err(
            source.error(&key("whole_interval"), "expected only beside over: it is that of a difference")
        );
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
                Some(others) => {
                    over(&key("over"), others, (known, &keys.metric), source)?;
                    let (over, whole_interval) = (others.0.clone(), keys.whole_interval);
                    Claim::Factor { scheme, over, at_least, at_most, whole_interval }
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
    Ok(Expectation { metric: keys.metric.clone(), cases: keys.case.0.clone(), claim })
}
