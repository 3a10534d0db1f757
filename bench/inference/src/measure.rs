//! Interleaved rounds: in each, every contender infers the same fresh rows a few times over, and rounds begin with
//! another one each. What disturbs the machine for a while disturbs all, and ratios are taken within a round.

use crate::contender::Contender;
use crate::pool::{PASS, Pool, ROWS};
use anyhow::{Result, ensure};
use serde::Serialize;
use std::fmt::{self, Display, Formatter};
use std::io::{IsTerminal, Write, stderr};
use std::time::Instant;

/// Timed passes of one contender in one round, of which the median counts; one more before them warms caches.
const PASSES: usize = 3;

/// A median and how far from it the tenth and the ninetieth of a hundred are.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Spread {
    pub p10: f64,
    pub p50: f64,
    pub p90: f64,
}

impl Spread {
    /// Of at least one value.
    pub(crate) fn of(mut values: Vec<f64>) -> Spread {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
        Spread { p10: at(0.1), p50: at(0.5), p90: at(0.9) }
    }
}

impl Display for Spread {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // As one text, so that a width applies to all of it.
        f.pad(&format!("{:.2} ({:.2}-{:.2})", self.p50, self.p10, self.p90))
    }
}

/// Checks each contender against the float network over the whole pool. Returns mean errors in deviations of the
/// output.
///
/// # Errors
/// One computes something else than the network.
pub(crate) fn check(pool: &Pool, contenders: &mut [Contender]) -> Result<Vec<f64>> {
    let deviation = pool.deviation();
    let mut errors = Vec::new();
    for contender in contenders {
        let mut sum = 0.0;
        for first in (0..ROWS).step_by(PASS) {
            contender.run.load(pool, first);
            contender.run.pass()?;
            let results = contender.run.results();
            ensure!(results.len() == PASS, "{:?}: {} results of {PASS} rows", contender.label, results.len());
            sum += results
                .iter()
                .zip(&pool.exact[first..])
                .map(|(found, exact)| (found - exact).abs())
                .sum::<f64>();
        }
        let error = sum / ROWS as f64 / deviation;
        ensure!(
            error <= contender.error_max,
            "{:?} does not compute the network: mean error {error:.4} deviations, at most {} expected",
            contender.label,
            contender.error_max
        );
        errors.push(error);
    }
    Ok(errors)
}

/// Time per inference in nanoseconds, `[contender][round]`.
///
/// # Errors
/// A contender's.
pub(crate) fn rounds(pool: &Pool, contenders: &mut [Contender], rounds: usize) -> Result<Vec<Vec<f64>>> {
    let mut times = vec![Vec::with_capacity(rounds); contenders.len()];
    let mut first = 0;
    for round in 0..rounds {
        progress(round, rounds);
        for at in 0..contenders.len() {
            let at = (at + round) % contenders.len();
            let run = &mut contenders[at].run;
            let mut samples = [0.0; PASSES + 1];
            for (pass, sample) in samples.iter_mut().enumerate() {
                run.load(pool, (first + pass * PASS) % ROWS);
                let start = Instant::now();
                run.pass()?;
                *sample = start.elapsed().as_nanos() as f64 / PASS as f64;
            }
            times[at].push(Spread::of(samples[1..].to_vec()).p50);
        }
        first = (first + PASS) % ROWS;
    }
    progress(rounds, rounds);
    Ok(times)
}

/// The ratios `slow / fast`, round by round.
pub(crate) fn ratio(slow: &[f64], fast: &[f64]) -> Spread {
    Spread::of(slow.iter().zip(fast).map(|(slow, fast)| slow / fast).collect())
}

fn progress(done: usize, all: usize) {
    let mut err = stderr();
    // Progress is a courtesy: where it cannot be written, the measurement goes on.
    let _ = match (err.is_terminal(), done == all, done.is_multiple_of(50)) {
        (true, false, _) => write!(err, "\rround {done} of {all} "),
        (true, true, _) => writeln!(err, "\rround {done} of {all} "),
        (false, _, true) => writeln!(err, "round {done} of {all}"),
        (false, _, false) => Ok(()),
    };
}
