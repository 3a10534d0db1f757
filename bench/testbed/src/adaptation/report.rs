//! The table, and the sentence under it, computed from the runs and nothing else.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Conditions, Mode, Run};
use crate::text::put;

/// The whole report as plain text.
pub fn text(conditions: &Conditions, runs: &[Run]) -> String {
    let mut text = String::new();
    put!(
        text,
        "{:<10} {:<10} {:>8} {:>6} {:>12} {:>10} {:>8} {:>6}",
        "link",
        "weir",
        "reward",
        "share",
        "utilisation",
        "base/RTT",
        "loss",
        "Jain"
    );
    for (index, stretch) in conditions.stretches.iter().enumerate() {
        for run in runs {
            let Some(worth) = run.settled.get(index) else { continue };
            let fairness = worth.fairness.map_or_else(|| "-".to_owned(), |jain| format!("{jain:.2}"));
            put!(
                text,
                "{:<10} {:<10} {:>8.3} {:>6.2} {:>12.2} {:>10.2} {:>7.2}% {:>6}",
                stretch.name,
                run.mode.name(),
                worth.reward,
                worth.share,
                worth.utilisation,
                worth.emptiness,
                worth.loss * 100.0,
                fairness
            );
        }
    }
    for run in runs {
        let listed = |counts: &BTreeMap<String, u64>| {
            let all: Vec<String> = counts
                .iter()
                .filter(|(_, count)| **count > 0)
                .map(|(name, count)| format!("{name} {count}"))
                .collect();
            if all.is_empty() { "none".to_owned() } else { all.join(", ") }
        };
        put!(
            text,
            "\n{}: {} steps, {} swaps; samples: {}; candidates: {}",
            run.mode.name(),
            run.steps,
            run.generations.len().saturating_sub(1),
            listed(&run.samples),
            listed(&run.candidates)
        );
    }
    if let Some(sentence) = verdict(conditions, runs) {
        put!(text, "\n{sentence}");
    }
    text
}

/// What learning brought, stretch by stretch, and what it cost on the way back to the first.
fn verdict(conditions: &Conditions, runs: &[Run]) -> Option<String> {
    let of = |mode| runs.iter().find(|run| run.mode == mode);
    let (frozen, learning) = (of(Mode::Frozen)?, of(Mode::Learning)?);
    let gained = |index: usize| Some(learning.settled.get(index)?.reward - frozen.settled.get(index)?.reward);
    let parts: Vec<String> = (0..conditions.stretches.len())
        .filter_map(|index| Some(format!("{} {:+.3}", conditions.stretches.get(index)?.name, gained(index)?)))
        .collect();
    Some(format!("reward of learning over frozen, in the settled half of each stretch: {}", parts.join(", ")))
}
