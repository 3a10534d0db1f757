//! *Better on what it was not shown*, for predictions: the candidate's integers and the running ones against the truth of the same
//! rows, row by row.
//!
//! Two means of squared errors differ whenever two networks do, and most of what a step's tuning changes is noise. What both
//! miss, because the truth is noisy, is in both errors and cancels in their difference row by row; what is left has a mean and a
//! standard error of that mean, and only a mean beyond [`ERRORS`] of them counts.

use super::Refusal;
use crate::online::examples::{Answers, Examples};

/// Standard errors by which the mean difference must be above 0 for better, below it for worse: 0.00135 one-sided, by the normal
/// distribution. A candidate is judged in each step while it is neither, twice a second by default, so the usual 0.05 would let
/// noise through several times a minute. The same as for an earlier generation that is to come back (`contest.rs`).
pub const ERRORS: f64 = 3.0;

/// Mean squared errors on the hold-out rows, each row by its weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HoldOut {
    /// The candidate's.
    pub candidate: f64,
    /// The running snapshot's.
    pub running: f64,
    /// Standard error of their difference, row by row.
    pub error: f64,
}

/// Compares on every row; who is not better beyond doubt is refused.
pub(super) fn hold_out(
    examples: &Examples,
    candidate: &Answers,
    running: &Answers,
) -> Result<HoldOut, Refusal> {
    let found = paired(examples, candidate, running);
    let HoldOut { candidate, running, error } = found;
    let gain = running - candidate;
    // What is no number is no better.
    if gain.is_nan() || gain < -ERRORS * error {
        return Err(Refusal::WorseHoldOut { candidate, running, error });
    }
    match gain > 0.0 && gain > ERRORS * error {
        true => Ok(found),
        false => Err(Refusal::Indistinguishable { candidate, running, error }),
    }
}

/// The weighted mean of differences is a ratio of two sums over the rows; its standard error by linearisation (Cochran, Sampling
/// Techniques, 3rd edition, section 6.3): rows that count twenty times as much tell of twenty times the error, and not of twenty rows.
fn paired(examples: &Examples, candidate: &Answers, running: &Answers) -> HoldOut {
    let loss = |row: &[f64], truth: f64| row.first().map_or(0.0, |y| (y - truth).powi(2));
    let answers = candidate.rows().zip(running.rows());
    let rows: Vec<(f64, f64, f64)> = (examples.outcomes().iter().zip(answers))
        .map(|(outcome, (ours, theirs))| {
            (outcome.weight, loss(ours, outcome.truth), loss(theirs, outcome.truth))
        })
        .collect();
    let weights = f64::max(rows.iter().map(|row| row.0).sum(), f64::MIN_POSITIVE);
    let mean = |value: &dyn Fn(&(f64, f64, f64)) -> f64| {
        rows.iter().map(|row| row.0 * value(row)).sum::<f64>() / weights
    };
    let (candidate, running) = (mean(&|row| row.1), mean(&|row| row.2));
    let difference = running - candidate;
    let squares: f64 =
        rows.iter().map(|(weight, ours, theirs)| (weight * (theirs - ours - difference)).powi(2)).sum();
    let count = rows.len() as f64;
    // Of one row nothing is known.
    let error =
        if rows.len() < 2 { f64::INFINITY } else { (squares * count / (count - 1.0)).sqrt() / weights };
    HoldOut { candidate, running, error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::online::examples::Outcome;
    use crate::online::gate::RefusalReason;
    use crate::rng::Rng;

    /// Rows of these truths and weights, and the verdict on answers to them.
    fn judged(rows: &[(f64, f64)], ours: &[f64], theirs: &[f64]) -> Result<HoldOut, Refusal> {
        let mut examples = Examples::new(1, rows.len());
        for (truth, weight) in rows {
            let outcome = Outcome { truth: *truth, weight: *weight, ..Outcome::default() };
            examples.push(&[0], outcome);
        }
        let answers = |values: &[f64]| Answers::of_one_output(values.to_vec());
        hold_out(&examples, &answers(ours), &answers(theirs))
    }

    fn reason(verdict: &Result<HoldOut, Refusal>) -> Option<RefusalReason> {
        verdict.as_ref().err().map(Refusal::reason)
    }

    #[test]
    fn losses_and_the_error_of_their_difference_are_by_weight() {
        // Gains 1, 1, 3 with weights 1, 1, 2: mean 2, residuals -1, -1, 1, so squares 1 + 1 + 4, times 3/2, rooted, over 4.
        let rows = [(0.0, 1.0), (0.0, 1.0), (0.0, 2.0)];
        let found = judged(&rows, &[0.0, 0.0, 1.0], &[1.0, 1.0, 2.0]);
        let Err(Refusal::Indistinguishable { candidate, running, error }) = found else {
            panic!("{found:?}")
        };
        assert_eq!((candidate, running, error), (0.5, 2.5, 9.0_f64.sqrt() / 4.0));
    }

    #[test]
    fn what_every_row_says_is_beyond_doubt_and_what_some_say_is_not() {
        let rows: Vec<(f64, f64)> = (0..64).map(|n| (f64::from(n % 7), 1.0)).collect();
        let off = |by: &dyn Fn(usize) -> f64| -> Vec<f64> {
            rows.iter().enumerate().map(|(n, (truth, _))| truth + by(n)).collect()
        };
        let running = off(&|_| 0.5);
        assert!(judged(&rows, &off(&|_| 0.4), &running).is_ok());
        assert_eq!(reason(&judged(&rows, &off(&|_| 0.6), &running)), Some(RefusalReason::WorseHoldOut));
        assert_eq!(reason(&judged(&rows, &running, &running)), Some(RefusalReason::Indistinguishable));
        // Right by chance about one row of eight, as the running one is about another.
        let by_turns = off(&|n| if n % 8 == 1 { 0.0 } else { 0.5 });
        let others = off(&|n| if n % 8 == 2 { 0.05 } else { 0.5 });
        assert_eq!(reason(&judged(&rows, &by_turns, &others)), Some(RefusalReason::Indistinguishable));
        let none = off(&|n| if n == 9 { f64::NAN } else { 0.0 });
        assert_eq!(reason(&judged(&rows, &none, &running)), Some(RefusalReason::WorseHoldOut));
        // Much better, by a single row.
        assert_eq!(reason(&judged(&[(0.0, 1.0)], &[0.0], &[9.0])), Some(RefusalReason::Indistinguishable));
    }

    /// A seeded set of `count` rows with noisy truths, where the candidate's own error is `ours` and the running snapshot's
    /// `theirs`, in standard deviations of the noise. Weighted: by what a choice of one in twenty decisions counts.
    fn drawn(
        rng: &mut Rng,
        count: usize,
        (ours, theirs): (f64, f64),
        weighted: bool,
    ) -> Option<RefusalReason> {
        let mut rows = Vec::new();
        let (mut candidate, mut running) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let value = 3.0 * rng.normal();
            let weight = if weighted && rng.below(20) == 0 { 20.0 } else { 1.0 };
            rows.push((value + rng.normal(), weight));
            candidate.push(value + ours * rng.normal());
            running.push(value + theirs * rng.normal());
        }
        reason(&judged(&rows, &candidate, &running))
    }

    #[test]
    fn of_equal_networks_hardly_one_is_published_or_called_worse() {
        const SETS: usize = 4_000;
        for (count, weighted) in [(64, false), (512, false), (512, true)] {
            let mut rng = Rng::new(7);
            let verdicts: Vec<_> = (0..SETS).map(|_| drawn(&mut rng, count, (0.3, 0.3), weighted)).collect();
            let share = |wanted: Option<RefusalReason>| {
                verdicts.iter().filter(|verdict| **verdict == wanted).count() as f64 / SETS as f64
            };
            // 0.00135 each, if errors were normal; heavy tails and few rows make it somewhat more. Without pairs it is half.
            assert!(share(None) < 0.006, "{count} rows, weighted {weighted}: {} published", share(None));
            assert!(share(Some(RefusalReason::WorseHoldOut)) < 0.006, "{count} rows, weighted {weighted}");
        }
    }

    #[test]
    fn a_truly_better_network_is_published_and_a_worse_one_is_called_so() {
        const SETS: usize = 400;
        // With weights 512 rows tell as much as some 90.
        for (weighted, far) in [(false, 1.0), (true, 3.0)] {
            let mut rng = Rng::new(8);
            let mut share = |errors, wanted| {
                let found = (0..SETS).filter(|_| drawn(&mut rng, 512, errors, weighted) == wanted).count();
                found as f64 / SETS as f64
            };
            let published = share((0.3, far), None);
            let called_worse = share((far, 0.3), Some(RefusalReason::WorseHoldOut));
            assert!(published > 0.95 && called_worse > 0.95, "{weighted}: {published} {called_worse}");
        }
    }
}
