//! One target's run: past crashes first, then made inputs.

use crate::targets::{self, Target};
use std::fmt;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};
use weir_trainer::rng::Rng;

/// An input that takes longer has found a loop: the slowest takes some milliseconds.
const CHECK_MAX: Duration = Duration::from_secs(10);

/// How many inputs a target gets.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    target: String,
    inputs: u64,
}

impl FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Budget, String> {
        let known = targets::NAMES;
        match text.split_once('=') {
            Some((target, inputs)) if known.contains(&target) => Ok(Budget {
                target: target.to_owned(),
                inputs: inputs.parse().map_err(|_| format!("expected a number, found {inputs:?}"))?,
            }),
            _ => Err(format!("expected TARGET=INPUTS with a target of {}", known.join(", "))),
        }
    }
}

/// A run without a finding.
pub(crate) struct Done {
    target: String,
    inputs: u64,
    replayed: usize,
    counted: u64,
    counts: &'static str,
    took: Duration,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Done { target, inputs, replayed, counted, counts, took } = self;
        let seconds = took.as_secs_f64();
        write!(f, "{target}: {replayed} past crashes, {inputs} inputs, {counted} {counts}, {seconds:.1} s")
    }
}

/// What a run has found.
#[derive(Debug)]
pub(crate) struct Failure {
    target: String,
    what: &'static str,
    /// How to make it again.
    again: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; again: {}", self.target, self.what, self.again)
    }
}

/// Runs one target.
///
/// # Errors
/// The first input that made it panic, or kept it busy for too long.
pub(crate) fn run(budget: &Budget, seed: u64, from: u64) -> Result<Done, Failure> {
    let began = Instant::now();
    let mut target = targets::named(&budget.target);
    let failure = |what, again| Failure { target: budget.target.clone(), what, again };
    let past = crashes(&budget.target);
    for file in &past {
        let input = fs::read(file).expect("a file that was listed");
        check(&mut *target, &input).map_err(|what| failure(what, file.display().to_string()))?;
    }
    let mut counted = 0;
    for number in from..from + budget.inputs {
        let input = target.make(&mut Rng::new(stream(seed, &budget.target, number)));
        counted += check(&mut *target, &input).map_err(|what| {
            let file = folder(&budget.target).join(format!("{seed}-{number}"));
            let kept = fs::create_dir_all(folder(&budget.target)).and_then(|()| fs::write(&file, &input));
            let kept = kept.map_or(String::new(), |()| format!(" (input kept in {})", file.display()));
            failure(what, format!("weir-fuzz --seed {seed} --from {number} {}=1{kept}", budget.target))
        })?;
    }
    Ok(Done {
        target: budget.target.clone(),
        inputs: budget.inputs,
        replayed: past.len(),
        counted,
        counts: target.counts(),
        took: began.elapsed(),
    })
}

fn check(target: &mut dyn Target, input: &[u8]) -> Result<u64, &'static str> {
    let began = Instant::now();
    let checked = catch_unwind(AssertUnwindSafe(|| target.check(input))).map_err(|_| "panicked")?;
    if began.elapsed() > CHECK_MAX { Err("took more than 10 s") } else { Ok(checked) }
}

/// Where the inputs lie that broke a target once.
fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("crashes").join(target)
}

fn crashes(target: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder(target)).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}

/// The seed of one input. Numbers are spread by the generator's own mixing.
fn stream(seed: u64, target: &str, number: u64) -> u64 {
    let name = target.bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(257).wrapping_add(byte.into()));
    Rng::new(Rng::new(seed ^ name).bits() ^ number).bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A few inputs each, so that a plain `cargo test` knows of a fault in a target; and all past crashes.
    #[test]
    fn every_target_survives_a_few_inputs() {
        for name in targets::NAMES {
            let done = run(&Budget { target: name.to_owned(), inputs: 60 }, 1, 0);
            assert!(done.is_ok(), "{}", done.err().map_or(String::new(), |failure| failure.to_string()));
        }
    }

    #[test]
    fn an_input_depends_on_seed_and_number_only() {
        for name in targets::NAMES {
            let make = |number| targets::named(name).make(&mut Rng::new(stream(3, name, number)));
            let used = targets::named(name);
            for number in 0..5 {
                used.make(&mut Rng::new(stream(3, name, number)));
            }
            assert!(make(5) == used.make(&mut Rng::new(stream(3, name, 5))), "{name}");
            assert!(make(5) != make(6), "{name}");
        }
    }
}
