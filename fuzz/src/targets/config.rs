//! `config::Source` and `config::Plan`: a configuration file and overrides.

use super::Target;
use crate::mutate::{self, one_in, pick};
use crate::seeds;
use std::path::Path;
use weir_shell::config::{Plan, Source};
use weir_trainer::rng::Rng;

/// Parts the text from each override.
const PART: &str = "\u{1e}";

/// The input is a text, and behind record separators what `--set` was given.
pub(crate) struct Configurations {
    seeds: Vec<String>,
}

impl Configurations {
    pub(crate) fn new() -> Configurations {
        Configurations { seeds: seeds::configurations() }
    }
}

impl Target for Configurations {
    fn make(&self, rng: &mut Rng) -> Vec<u8> {
        let mut text = pick(rng, &self.seeds).clone();
        for _ in 0..1 + rng.below(4) {
            mutate::toml(rng, &mut text);
        }
        if one_in(rng, 4) {
            let lines: Vec<&str> = text.lines().collect();
            let line = pick(rng, &lines).replace(' ', "");
            let table =
                *pick(rng, &["engine", "pacing", "model[0]", "eal", "cores", "ports", "model[9].inputs[2]"]);
            text = format!("{text}{PART}{table}.{line}");
        }
        let mut input = text.into_bytes();
        if one_in(rng, 20) {
            mutate::bytes(rng, &mut input);
        }
        input
    }

    fn counts(&self) -> &'static str {
        "accepted"
    }

    fn check(&mut self, input: &[u8]) -> u64 {
        let text = String::from_utf8_lossy(input);
        let mut parts = text.split(PART).map(str::to_owned);
        let file = parts.next().unwrap_or_default();
        let overrides: Vec<String> = parts.collect();
        let planned = Source::from_text(Path::new("fuzzed.toml"), file, &overrides)
            .and_then(|source| Plan::check(&source));
        let Err(error) = planned else { return 1 };
        let said = error.to_string();
        assert!(!said.is_empty() && !said.contains('\n'), "expected one line, found {said:?}");
        0
    }
}
