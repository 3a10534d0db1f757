//! Tables as plain text.

use crate::experiment::{RunResult, Stage};
use std::fmt::Write;

/// Writing into a `String` cannot fail; this says so once.
macro_rules! put {
    ($text:expr, $($format:tt)*) => {
        let _ = writeln!($text, $($format)*);
    };
}

/// Runs of one variant, one per seed.
pub(crate) struct Row<'a> {
    pub name: String,
    pub runs: &'a [RunResult],
}

/// Median, least and greatest.
pub(crate) fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    (at(values.len() / 2), at(0), at(values.len().saturating_sub(1)))
}

/// Settled reward by stage, then what the trainer did.
pub(crate) fn stages(stages: &[Stage], rows: &[Row<'_>]) -> String {
    let mut text = String::new();
    put!(
        text,
        "{:<18} {:<14} {:>24} {:>12} {:>8}",
        "environment",
        "variant",
        "settled reward",
        "utilisation",
        "swaps"
    );
    for (index, stage) in stages.iter().enumerate() {
        for row in rows {
            let of = |figure: fn(&crate::experiment::StageResult) -> f64| {
                spread(row.runs.iter().filter_map(|run| run.stages.get(index)).map(figure).collect())
            };
            let (reward, least, most) = of(|stage| stage.settled);
            let (utilisation, ..) = of(|stage| stage.utilisation);
            let (swaps, ..) = of(|stage| stage.swaps as f64);
            put!(
                text,
                "{:<18} {:<14} {:>8.3} ({least:.3} to {most:.3}) {:>12.2} {:>8.0}",
                stage.name,
                row.name,
                reward,
                utilisation,
                swaps
            );
        }
    }
    for row in rows {
        let mut verdicts = std::collections::BTreeMap::<&str, u64>::new();
        for (name, count) in row.runs.iter().flat_map(|run| &run.verdicts) {
            *verdicts.entry(name).or_default() += count;
        }
        let verdicts: Vec<String> = verdicts.iter().map(|(name, count)| format!("{name} {count}")).collect();
        let steps: u64 = row.runs.iter().map(|run| run.steps).sum();
        let seconds: f64 = row.runs.iter().map(|run| run.trainer_seconds).sum();
        put!(
            text,
            "{}: {steps} steps of {:.1} ms in the mean; candidates: {}",
            row.name,
            1e3 * seconds / steps.max(1) as f64,
            if verdicts.is_empty() { "none".to_owned() } else { verdicts.join(", ") }
        );
    }
    text
}
