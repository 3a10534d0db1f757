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

/// Share of what a policy trained in a place reaches there that adaptation is to reach, and what returning may cost.
const REACHED: f64 = 0.8;
const COST_MAX: f64 = 0.05;

/// Median, least and greatest.
pub(crate) fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    (at(values.len() / 2), at(0), at(values.len().saturating_sub(1)))
}

/// Median reward of the last fifth of the first stage.
pub(crate) fn settled(runs: &[RunResult]) -> f64 {
    spread(runs.iter().map(|run| in_stage(run, 0)).collect()).0
}

fn in_stage(run: &RunResult, stage: usize) -> f64 {
    run.stages.get(stage).map_or(f64::NAN, |stage| stage.settled)
}

/// What the adapted runs reach of what policies that were trained in a place reach there, by seed, and what coming back cost.
pub(crate) fn promise(
    stages: &[Stage],
    adapted: &[RunResult],
    trained: &[(usize, Vec<RunResult>)],
) -> String {
    let mut text = String::new();
    for (stage, runs) in trained {
        let pairs = adapted.iter().zip(runs);
        let shares: Vec<f64> =
            pairs.map(|(adapted, there)| in_stage(adapted, *stage) / in_stage(there, 0)).collect();
        let enough = shares.iter().filter(|share| **share >= REACHED).count();
        let (share, least, most) = spread(shares);
        put!(
            text,
            "{}: trained there {:.3}; adapted over that {share:.2} ({least:.2} to {most:.2}), at least {REACHED} in {enough} of {}",
            stages[*stage].name,
            settled(runs),
            runs.len()
        );
    }
    let last = stages.len().saturating_sub(1);
    let costs: Vec<f64> = adapted.iter().map(|run| 1.0 - in_stage(run, last) / in_stage(run, 0)).collect();
    let cheap = costs.iter().filter(|cost| **cost < COST_MAX).count();
    let (cost, least, most) = spread(costs);
    put!(
        text,
        "coming back: {:.1} % less than at first ({:.1} to {:.1}), below {:.0} % in {cheap} of {}",
        100.0 * cost,
        100.0 * least,
        100.0 * most,
        100.0 * COST_MAX,
        adapted.len()
    );
    text
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
