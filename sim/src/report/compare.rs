//! Schemes against each other, run by run.

use super::is_meant;
use crate::experiment::{Better, Experiment, Results};
use crate::stats::Estimate;
use std::fmt::Write as _;

/// A scheme against the best of others in one case.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Compared {
    /// The best of the others, by its mean.
    over: String,
    /// Its mean.
    base: f64,
    /// The scheme's value less the other's, of the same seed.
    difference: Estimate,
}

impl Compared {
    /// The scheme's mean over the other's.
    pub(super) fn factor(&self) -> f64 {
        1.0 + self.difference.mean / self.base
    }

    /// The same at the ends of the paired difference's 95 % interval; no number of fewer than two seeds.
    pub(super) fn interval(&self) -> (f64, f64) {
        let half = self.difference.half_width.unwrap_or(f64::NAN) / self.base;
        (self.factor() - half, self.factor() + half)
    }

    /// In words, where the other is the best of `of`.
    pub(super) fn told(&self, of: usize) -> String {
        let Compared { over, .. } = self;
        let best = if of > 1 { format!(", the best of {of}") } else { String::new() };
        let percent = |share: f64| 100.0 * share;
        let change = match self.difference.half_width {
            Some(half) => {
                format!("{:+.1} % +- {:.1}", percent(self.factor() - 1.0), percent((half / self.base).abs()))
            }
            None => format!("{:+.1} %", percent(self.factor() - 1.0)),
        };
        format!("{:.3} times that of {over:?}{best}: {change}", self.factor())
    }
}

/// `scheme` against the best of `over` in a figure of a case, by mean. What is not there compares as no number.
pub(super) fn compare(
    experiment: &Experiment,
    results: &Results,
    case: usize,
    (metric, scheme, over): (&str, &str, &[String]),
) -> Compared {
    let schemes = experiment.schemes();
    let at = |name: &str| schemes.iter().position(|known| known == name).unwrap_or(usize::MAX);
    let metrics = experiment.metrics();
    let metric_at = metrics.iter().position(|known| known.name == metric).unwrap_or(usize::MAX);
    let better = metrics.get(metric_at).map_or(Better::Neither, |metric| metric.better);
    let mean = |name: &String| results.estimate(case, at(name), metric_at).mean;
    let best = over.iter().min_by(|a, b| {
        let order = mean(a).total_cmp(&mean(b));
        if better == Better::More { order.reverse() } else { order }
    });
    let over = best.cloned().unwrap_or_default();
    let values = |name: &str| results.values(case, at(name), metric_at);
    Compared {
        base: Estimate::of(values(&over)).mean,
        difference: Estimate::paired(&values(scheme), &values(&over)),
        over,
    }
}

/// What the experiment wants to be told, a line for each comparison and case.
pub fn comparisons(experiment: &Experiment, results: &Results) -> String {
    let mut text = String::new();
    for comparison in &experiment.comparisons {
        let (metric, scheme, over) = (&comparison.metric, &comparison.scheme, &comparison.over);
        for (case, name) in experiment.cases().iter().enumerate() {
            if is_meant(&comparison.cases, name) {
                let compared = compare(experiment, results, case, (metric, scheme, over));
                // Writing to a String cannot fail.
                let _ = writeln!(text, "{name}: {metric} of {scheme:?} is {}", compared.told(over.len()));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(own: &[f64], other: &[f64]) -> Compared {
        let base = Estimate::of(other.iter().copied()).mean;
        Compared { over: "other".to_owned(), base, difference: Estimate::paired(own, other) }
    }

    #[test]
    fn a_share_and_its_interval_are_of_the_differences() {
        // Seeds differ by far more than schemes do: pairs tell them apart.
        let found = compared(&[0.9, 1.7, 3.8], &[1.0, 2.0, 4.0]);
        assert!((found.factor() - 6.4 / 7.0).abs() < 1e-12);
        // Differences -0.1, -0.3, -0.2: standard error 0.1 / sqrt(3), 4.303 of them (two degrees of freedom), over 7 / 3.
        let half = 4.303 * 0.1 / 3.0_f64.sqrt() / (7.0 / 3.0);
        let (low, high) = found.interval();
        assert!((high - low - 2.0 * half).abs() < 1e-9, "{low} {high}");
        assert_eq!(found.told(3), "0.914 times that of \"other\", the best of 3: -8.6 % +- 10.6");
        assert_eq!(compared(&[1.1], &[1.0]).told(1), "1.100 times that of \"other\": +10.0 %");
        assert!(compared(&[1.1], &[1.0]).interval().0.is_nan(), "one seed has no interval");
    }
}
