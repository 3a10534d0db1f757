//! Results as text, and what was expected of them.

mod compare;
mod figure;

pub use compare::comparisons;
pub use figure::{DrawError, draw};

use crate::experiment::{Better, Claim, Expectation, Experiment, Results};
use crate::stats::Estimate;
use std::fmt::Write as _;

/// A table for each case: means with 95 % confidence intervals over the seeds, and each scheme's difference from the baseline in
/// the first figure, seed by seed.
pub fn tables(experiment: &Experiment, results: &Results) -> String {
    let (cases, schemes, metrics) = (experiment.cases(), experiment.schemes(), experiment.metrics());
    let mut text = String::new();
    let baseline = schemes.get(experiment.baseline).cloned().unwrap_or_default();
    for (case, name) in cases.iter().enumerate() {
        let _ = writeln!(text, "{name}");
        let header = ["scheme".to_owned()]
            .into_iter()
            .chain(metrics.iter().map(|metric| metric.name.to_owned()))
            .chain([format!("{} - {baseline}", metrics.first().map_or("", |metric| metric.name))]);
        let mut rows: Vec<Vec<String>> = vec![header.collect()];
        for (scheme, name) in schemes.iter().enumerate() {
            let mut row = vec![name.clone()];
            row.extend((0..metrics.len()).map(|metric| cell(&results.estimate(case, scheme, metric))));
            let own = results.values(case, scheme, 0);
            let other = results.values(case, experiment.baseline, 0);
            row.push(if scheme == experiment.baseline {
                "-".to_owned()
            } else {
                cell(&Estimate::paired(&own, &other))
            });
            rows.push(row);
        }
        text.push_str(&aligned(&rows));
        text.push('\n');
    }
    text
}

/// A mean and its interval; the digits that the interval leaves.
fn cell(estimate: &Estimate) -> String {
    let Estimate { mean, half_width, count } = *estimate;
    if count == 0 {
        return "none".to_owned();
    }
    let digits = |value: f64| {
        let value = value.abs();
        if value >= 100.0 || value == 0.0 {
            0
        } else if value >= 10.0 {
            1
        } else if value >= 1.0 {
            2
        } else if value >= 0.01 {
            3
        } else {
            5
        }
    };
    let places = digits(mean);
    match half_width {
        Some(half) => {
            let places = places.max(digits(half).min(3));
            format!("{mean:.places$} +- {half:.places$}")
        }
        None => format!("{mean:.places$}"),
    }
}

/// Columns as wide as their widest cell; the first to the left, the others to the right.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// What became of an expectation in one case.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Whether it holds.
    pub holds: bool,
    /// What was expected and what was found, one line.
    pub text: String,
}

/// Holds results against what was expected; one verdict for each expectation and case.
pub fn judge(experiment: &Experiment, results: &Results) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for expectation in &experiment.expectations {
        for (case, name) in experiment.cases().iter().enumerate() {
            if is_meant(&expectation.cases, name) {
                verdicts.push(judge_one(experiment, results, expectation, case, name));
            }
        }
    }
    verdicts
}

/// Whether a case is one of those named; where none is, each is meant.
fn is_meant(cases: &[String], name: &str) -> bool {
    cases.is_empty() || cases.iter().any(|case| case == name)
}

fn judge_one(
    experiment: &Experiment,
    results: &Results,
    expectation: &Expectation,
    case: usize,
    case_name: &str,
) -> Verdict {
    let metric = &expectation.metric;
    let metric_at = experiment.metrics().iter().position(|known| known.name == metric).unwrap_or(usize::MAX);
    let schemes = experiment.schemes();
    let mean = |name: &String| {
        let scheme = schemes.iter().position(|known| known == name).unwrap_or(usize::MAX);
        results.estimate(case, scheme, metric_at).mean
    };
    let within = |value: f64, least: Option<f64>, most: Option<f64>| {
        least.is_none_or(|least| value >= least) && most.is_none_or(|most| value <= most)
    };
    let bounds = |least: Option<f64>, most: Option<f64>| match (least, most) {
        (Some(least), Some(most)) => format!("{least} to {most}"),
        (Some(least), None) => format!("at least {least}"),
        (None, Some(most)) => format!("at most {most}"),
        (None, None) => "anything".to_owned(),
    };
    let (holds, text) = match &expectation.claim {
        Claim::Factor { scheme, over, at_least, at_most, whole_interval } => {
            let compared = compare::compare(experiment, results, case, (metric, scheme, over));
            let wanted = bounds(*at_least, *at_most);
            let (low, high) = match whole_interval {
                true => compared.interval(),
                false => (compared.factor(), compared.factor()),
            };
            let interval = if *whole_interval { ", the whole interval" } else { "" };
            (
                within(low, *at_least, *at_most) && within(high, *at_least, *at_most),
                format!("{metric} of {scheme:?} is {} ({wanted}{interval})", compared.told(over.len())),
            )
        }
        Claim::Bounds { scheme, at_least, at_most } => {
            let found = mean(scheme);
            let wanted = bounds(*at_least, *at_most);
            (within(found, *at_least, *at_most), format!("{metric} of {scheme:?} is {found:.3} ({wanted})"))
        }
        Claim::Order { schemes, rising } => {
            let means: Vec<f64> = schemes.iter().map(mean).collect();
            let in_order = |pair: &[f64]| if *rising { pair[0] < pair[1] } else { pair[0] > pair[1] };
            let told: Vec<String> = means.iter().map(|mean| format!("{mean:.3}")).collect();
            let how = if *rising { "rises" } else { "falls" };
            (means.windows(2).all(in_order), format!("{metric} {how}: {}", told.join(", ")))
        }
    };
    // A comparison with what is no number is false: a claim about nothing does not hold.
    let word = if holds { "holds" } else { "FAILS" };
    Verdict { holds, text: format!("{word}: {case_name}: {text}") }
}

/// All figures as comma-separated values: case, scheme, seed, metric, value.
pub fn csv(experiment: &Experiment, results: &Results) -> String {
    let mut text = "case,scheme,seed,metric,value\n".to_owned();
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    for (case, schemes) in experiment.cases().iter().zip(&results.figures) {
        for (scheme, runs) in experiment.schemes().iter().zip(schemes) {
            for (seed, run) in (experiment.first_seed..).zip(runs) {
                for (metric, value) in experiment.metrics().iter().zip(run) {
                    let _ =
                        writeln!(text, "{},{},{seed},{},{value}", quoted(case), quoted(scheme), metric.name);
                }
            }
        }
    }
    text
}

/// Which way a figure is better, as a figure's caption says it.
pub(crate) fn direction(better: Better) -> &'static str {
    match better {
        Better::More => ", more is better",
        Better::Less => ", less is better",
        Better::Neither => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_keep_the_digits_that_count() {
        let of = |values: &[f64]| cell(&Estimate::of(values.iter().copied()));
        assert_eq!(of(&[612.3456]), "612");
        assert_eq!(of(&[1.0, 3.0]), "2.00 +- 12.71");
        assert_eq!(of(&[0.0, 0.0]), "0 +- 0");
        assert_eq!(of(&[]), "none");
        assert_eq!(of(&[0.98123, 0.98127]), "0.981 +- 0.000");
        assert_eq!(of(&[0.00123]), "0.00123");
    }

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".to_owned(), "12".to_owned()], vec!["bcd".to_owned(), "3".to_owned()]];
        assert_eq!(aligned(&rows), "a    12\nbcd   3\n");
    }
}
