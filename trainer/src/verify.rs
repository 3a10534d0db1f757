//! A snapshot's integers against the float network that they came from, and against ONNX Runtime.

use crate::network::Network;
use crate::ort_engine::{Engine, EngineError};
use crate::quantise::InputMap;
use crate::rng::Rng;
use std::fmt;
use weir_features::ONE;
use weir_snapshot::{Executable, Executor, Scratch, Snapshot};

/// Largest step between neighbouring intervals of a realistic row, as a share of the clip.
const UNREST: f64 = 0.02;

/// Absolute errors over all rows and outputs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Errors {
    /// Their mean.
    pub mean: f64,
    /// Their 99th percentile.
    pub p99: f64,
    /// The largest.
    pub max: f64,
    /// Standard deviation of the float network's output on the same rows: what to hold the errors against.
    pub output_deviation: f64,
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |error: f64| 100.0 * error / self.output_deviation.max(f64::MIN_POSITIVE);
        write!(
            f,
            "mean {:.5} ({:.3} %), p99 {:.5} ({:.3} %), max {:.5} ({:.3} % of the output's deviation {:.4})",
            self.mean,
            share(self.mean),
            self.p99,
            share(self.p99),
            self.max,
            share(self.max),
            self.output_deviation
        )
    }
}

/// What [`verify`] found.
#[derive(Debug)]
pub struct VerifyReport {
    /// Rows evaluated.
    pub rows: usize,
    /// The integers (scalar executor) against our f64 network.
    pub float: Errors,
    /// The integers against ONNX Runtime, and our f64 network against it; or why there is no such comparison.
    pub runtime: Result<RuntimeErrors, EngineError>,
}

/// Comparisons with ONNX Runtime.
#[derive(Debug, Clone, PartialEq)]
pub struct RuntimeErrors {
    /// Version of the library.
    pub version: &'static str,
    /// The integers against it.
    pub integers: Errors,
    /// Our f64 network against it: shows that the file was understood.
    pub float: Errors,
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} rows", self.rows)?;
        writeln!(f, "integers against float:        {}", self.float)?;
        match &self.runtime {
            Ok(runtime) => {
                let version = runtime.version;
                writeln!(f, "integers against ONNX Runtime: {}", runtime.integers)?;
                write!(f, "float against ONNX Runtime:    {} (version {version})", runtime.float)
            }
            Err(error) => write!(f, "not compared with ONNX Runtime: {error}"),
        }
    }
}

/// Why a snapshot cannot be held against a network.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// They do not take or give the same number of values.
    #[error("the snapshot has {found} {what}, the model {expected}")]
    Width {
        /// `inputs` or `outputs`.
        what: &'static str,
        /// The snapshot's.
        found: usize,
        /// The model's.
        expected: usize,
    },
    /// The scalar executor is unavailable.
    #[error("the scalar executor is not available")]
    Executor,
}

/// Rows of feature values in 1/65536 within the clips: half of them uniform over the whole box, half as traffic has
/// them, one level per feature that wanders a little from interval to interval.
///
/// `inputs` are `features` maps per interval, intervals one after the other.
pub fn rows(inputs: &[InputMap], features: usize, count: usize, seed: u64) -> Vec<Vec<i32>> {
    let mut rng = Rng::new(seed);
    let q16 = |value: f64| (value * f64::from(ONE)).round() as i32;
    let mut row = |index: usize| {
        if index.is_multiple_of(2) {
            return inputs.iter().map(|map| q16(rng.uniform(map.clip[0], map.clip[1]))).collect();
        }
        let mut levels: Vec<f64> = inputs
            .iter()
            .take(features)
            .map(|map| {
                // Features rest near 0 or 1 and rarely reach their clips: the cube crowds levels there.
                let rest = if map.clip[0] > 0.0 { map.clip[0] } else { 0.0 };
                let end = map.clip[rng.below(2)];
                rest + (end - rest) * rng.unit().powi(3)
            })
            .collect();
        let mut cells = Vec::with_capacity(inputs.len());
        for (place, map) in inputs.iter().enumerate() {
            let level = &mut levels[place % features.max(1)];
            *level += (map.clip[1] - map.clip[0]) * rng.uniform(-UNREST, UNREST);
            *level = level.clamp(map.clip[0], map.clip[1]);
            cells.push(q16(*level));
        }
        cells
    };
    (0..count).map(&mut row).collect()
}

/// Compares a snapshot's integers with `network`, and with ONNX Runtime on the model file: its bytes, and the values of the
/// last inputs that it takes and `network` has folded in, a preference or none.
///
/// `rows` are feature values in 1/65536, see [`rows`]; `runtime` is what [`Engine::load`] gave.
///
/// # Errors
/// [`VerifyError`] when snapshot and network do not belong together. That ONNX Runtime is missing is no error but
/// part of the report.
pub fn verify(
    snapshot: &Snapshot,
    network: &Network,
    inputs: &[InputMap],
    rows: &[Vec<i32>],
    (model, held): (&[u8], &[f64]),
    runtime: Result<Engine, EngineError>,
) -> Result<VerifyReport, VerifyError> {
    let integers = evaluate_integers(snapshot, network, rows)?;
    let real: Vec<Vec<f64>> = rows.iter().map(|row| network_inputs(inputs, row)).collect();
    let float: Vec<Vec<f64>> = real.iter().map(|row| network.evaluate(row)).collect();
    let compare = |engine: Engine| {
        let whole: Vec<Vec<f64>> = real.iter().map(|row| [row, held].concat()).collect();
        let outputs = engine.evaluate(model, &whole)?;
        Ok(RuntimeErrors {
            version: engine.version(),
            integers: errors(&integers, &outputs),
            float: errors(&float, &outputs),
        })
    };
    Ok(VerifyReport {
        rows: rows.len(),
        float: errors(&integers, &float),
        runtime: runtime.and_then(compare),
    })
}

/// The error that quantisation alone makes, against the float network.
///
/// # Errors
/// [`VerifyError`] when snapshot and network do not belong together.
pub fn quantisation_error(
    snapshot: &Snapshot,
    network: &Network,
    inputs: &[InputMap],
    rows: &[Vec<i32>],
) -> Result<Errors, VerifyError> {
    let integers = evaluate_integers(snapshot, network, rows)?;
    let float: Vec<Vec<f64>> =
        rows.iter().map(|row| network.evaluate(&network_inputs(inputs, row))).collect();
    Ok(errors(&integers, &float))
}

/// The network's inputs for a row of feature values in 1/65536.
pub fn network_inputs(inputs: &[InputMap], row: &[i32]) -> Vec<f64> {
    inputs.iter().zip(row).map(|(map, &x)| map.apply(f64::from(x) / f64::from(ONE))).collect()
}

fn evaluate_integers(
    snapshot: &Snapshot,
    network: &Network,
    rows: &[Vec<i32>],
) -> Result<Vec<Vec<f64>>, VerifyError> {
    let check = |what, found, expected| match found == expected {
        true => Ok(()),
        false => Err(VerifyError::Width { what, found, expected }),
    };
    check("inputs", snapshot.inputs(), network.inputs())?;
    check("outputs", snapshot.outputs(), network.outputs())?;
    let executable =
        Executable::new(snapshot.clone(), Executor::Scalar).map_err(|_| VerifyError::Executor)?;
    let mut scratch = Scratch::new();
    let mut out = vec![0; snapshot.outputs()];
    let evaluate = |row: &Vec<i32>| {
        executable.evaluate(row, &mut out, &mut scratch);
        out.iter().map(|&y| f64::from(y) / f64::from(ONE)).collect()
    };
    Ok(rows.iter().map(evaluate).collect())
}

fn errors(found: &[Vec<f64>], expected: &[Vec<f64>]) -> Errors {
    let mut all: Vec<f64> = found
        .iter()
        .zip(expected)
        .flat_map(|(found, expected)| found.iter().zip(expected).map(|(a, b)| (a - b).abs()))
        .collect();
    all.sort_by(f64::total_cmp);
    let count = all.len().max(1);
    Errors {
        mean: all.iter().sum::<f64>() / count as f64,
        p99: all.get((count * 99).div_ceil(100) - 1).copied().unwrap_or(0.0),
        max: all.last().copied().unwrap_or(0.0),
        output_deviation: deviation(expected),
    }
}

/// Root mean square over all outputs of their distance from their own mean.
fn deviation(rows: &[Vec<f64>]) -> f64 {
    let count = rows.len().max(1) as f64;
    let width = rows.first().map_or(0, Vec::len);
    let variance = |column: usize| {
        let mean = rows.iter().map(|row| row[column]).sum::<f64>() / count;
        rows.iter().map(|row| (row[column] - mean).powi(2)).sum::<f64>() / count
    };
    ((0..width).map(variance).sum::<f64>() / width.max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests;
