//! *Safe*: the guard holds whatever a model says; a model that leans on it decides nothing.

use super::Refusal;
use crate::online::examples::{Answers, Examples};
use weir_features::{ACTION_MAX_Q16, ONE, apply_action};

/// What the guard allows a pacing decision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Safety {
    /// Lowest rate in bits per second.
    pub rate_min_bps: u64,
    /// Highest rate in bits per second.
    pub rate_max_bps: u64,
    /// Share of hold-out rows that may be clamped.
    pub clamped_max: f64,
}

impl Safety {
    /// DESIGN's 1 %, within these rates.
    pub fn new(rate_min_bps: u64, rate_max_bps: u64) -> Safety {
        Safety { rate_min_bps, rate_max_bps, clamped_max: 0.01 }
    }

    /// The share of hold-out rows whose decision the guard would clamp, if it is small enough, or no larger than the running
    /// snapshot's.
    ///
    /// A row counts when its action is larger than one decision may be, or when its rate leaves the bounds where the
    /// running snapshot's does not: of a flow that is held at a bound whatever the model says (a link faster than the
    /// highest rate), a clamp says nothing about the candidate.
    pub fn check(&self, hold_out: &Examples, candidate: &Answers, running: &Answers) -> Result<f64, Refusal> {
        let count = hold_out.len().max(1) as f64;
        let rows = || hold_out.outcomes().iter().zip(candidate.rows().zip(running.rows()));
        let clamped = rows().filter(|(outcome, (candidate, running))| {
            let (ours, theirs) = (q16(candidate), q16(running));
            beyond(ours) || (self.leaves(outcome.rate_bps, ours) && !self.leaves(outcome.rate_bps, theirs))
        });
        let share = clamped.count() as f64 / count;
        let already = running.rows().filter(|running| beyond(q16(running))).count() as f64 / count;
        let share_max = self.clamped_max.max(already);
        match share <= share_max {
            true => Ok(share),
            false => Err(Refusal::Unsafe { share, share_max }),
        }
    }

    /// Whether the guard had no part in this rate.
    pub(in crate::online) fn is_within(&self, rate_bps: u64) -> bool {
        self.rate_min_bps < rate_bps && rate_bps < self.rate_max_bps
    }

    fn leaves(&self, rate_bps: u64, action_q16: i32) -> bool {
        let rate = apply_action(rate_bps, action_q16.clamp(-ACTION_MAX_Q16, ACTION_MAX_Q16));
        // 0: nobody knows.
        rate_bps != 0 && !(self.rate_min_bps..=self.rate_max_bps).contains(&rate)
    }
}

/// Whether an action is larger than one decision may be.
const fn beyond(action_q16: i32) -> bool {
    action_q16.unsigned_abs() > ACTION_MAX_Q16.unsigned_abs()
}

/// A pacing network has one output.
fn q16(answers: &[f64]) -> i32 {
    // `as` saturates, as the executors do.
    answers.first().map_or(0, |action| (action * f64::from(ONE)).round() as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::online::examples::Outcome;

    const SAFETY: Safety = Safety { rate_min_bps: 1_000_000, rate_max_bps: 100_000_000, clamped_max: 0.01 };

    fn check(rows: &[(u64, f64, f64)]) -> Result<f64, Refusal> {
        let mut examples = Examples::new(1, rows.len());
        for (rate_bps, _, _) in rows {
            examples.push(&[0], Outcome { rate_bps: *rate_bps, ..Outcome::default() });
        }
        let answers =
            |value: fn(&(u64, f64, f64)) -> f64| Answers::of_one_output(rows.iter().map(value).collect());
        SAFETY.check(&examples, &answers(|row| row.1), &answers(|row| row.2))
    }

    #[test]
    fn one_row_in_a_hundred_may_be_clamped_and_not_two() {
        let mut rows = vec![(10_000_000, 1.0, 1.0); 200];
        rows[7].1 = 10.5;
        rows[8].1 = -1e6;
        assert_eq!(check(&rows), Ok(0.01));
        rows[9].1 = -10.5;
        assert_eq!(check(&rows), Err(Refusal::Unsafe { share: 0.015, share_max: 0.01 }));
    }

    #[test]
    fn what_runs_already_does_may_be_done() {
        let mut rows = vec![(10_000_000, 1.0, 1.0); 100];
        for row in &mut rows[..5] {
            (row.1, row.2) = (11.0, 12.0);
        }
        assert_eq!(check(&rows), Ok(0.05));
        rows[50].1 = 11.0;
        assert!(check(&rows).is_err());
    }

    #[test]
    fn leaving_the_bounds_counts_where_the_running_one_stays() {
        // From just above the floor downwards, and from just below the ceiling upwards.
        for (rate, action) in [(1_001_000, -1.0), (99_999_000, 1.0)] {
            assert!(check(&vec![(rate, action, 0.0); 100]).is_err());
            assert_eq!(check(&vec![(rate, action, action); 100]), Ok(0.0), "both would");
            assert_eq!(check(&vec![(rate, 0.0, action); 100]), Ok(0.0), "it stays");
        }
    }
}
