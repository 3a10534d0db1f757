//! The shipped network and the rows that every contender is given, each in its own form.

use crate::liteflow;
use anyhow::{Context, Result};
use std::path::Path;
use weir_features::PacingSpec;
use weir_snapshot::{Executable, Executor, Precision, Snapshot};
use weir_trainer::network::Network;
use weir_trainer::{ModelSpec, verify};

/// Rows in the pool: far more than any cache or predictor learns in one pass.
pub(crate) const ROWS: usize = 1 << 15;
/// Rows of one pass. A multiple of every burst; 30 kB as quantised rows.
pub(crate) const PASS: usize = 512;
/// Rows on which the C's ranges are measured.
const CALIBRATION: usize = 4096;
const SEED: u64 = 11;

/// Everything that is the same for all contenders.
pub(crate) struct Pool {
    /// The model file.
    pub onnx: Vec<u8>,
    /// As Weir imports it.
    pub network: Network,
    /// 8-bit, 12-bit.
    pub snapshots: [Snapshot; 2],
    /// In the generated C's integers.
    pub liteflow: liteflow::Model,
    /// Q16, one row after the other.
    pub features: Vec<i32>,
    /// The same in 64 bits, as the generated C takes them.
    pub features_wide: Vec<i64>,
    /// The network's inputs.
    pub floats: Vec<f32>,
    /// Quantised rows, 8-bit and 12-bit.
    pub rows: [Vec<i16>; 2],
    /// The generated C's quantised rows.
    pub rows_wide: Vec<i64>,
    /// The network's exact results.
    pub exact: Vec<f64>,
}

/// Place of a precision in the pool's arrays.
pub(crate) fn index(precision: Precision) -> usize {
    match precision {
        Precision::Bits8 => 0,
        Precision::Bits12 => 1,
    }
}

impl Pool {
    /// Reads the model, quantises it and draws rows as `weir snapshot verify` does: half uniform within the clips, half
    /// as traffic has them.
    ///
    /// # Errors
    /// The model cannot be read or built.
    pub(crate) fn new(file: &Path) -> Result<Pool> {
        let onnx = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let build = |precision| weir_trainer::build(&ModelSpec::pacing("aurora", file, precision));
        let [narrow, wide] = [build(Precision::Bits8)?, build(Precision::Bits12)?];
        let (network, maps) = (narrow.network, narrow.inputs);
        let drawn = verify::rows(&maps, PacingSpec::FEATURES.len(), ROWS, SEED);
        let inputs: Vec<Vec<f64>> = drawn.iter().map(|row| verify::network_inputs(&maps, row)).collect();
        let liteflow = liteflow::Model::new(&network, &inputs[..CALIBRATION])?;
        let snapshots = [narrow.snapshot, wide.snapshot];
        let quantised = |snapshot: &Snapshot| -> Result<Vec<i16>> {
            let executable = Executable::new(snapshot.clone(), Executor::Scalar)?;
            let mut rows = vec![0; ROWS * executable.row_len()];
            for (row, features) in rows.chunks_exact_mut(executable.row_len()).zip(&drawn) {
                executable.quantise_row(features, row);
            }
            Ok(rows)
        };
        Ok(Pool {
            rows: [quantised(&snapshots[0])?, quantised(&snapshots[1])?],
            rows_wide: drawn.iter().flat_map(|row| liteflow.quantise(row)).collect(),
            exact: inputs.iter().map(|row| network.evaluate(row)[0]).collect(),
            floats: inputs.iter().flatten().map(|&x| x as f32).collect(),
            features_wide: drawn.iter().flatten().map(|&x| x.into()).collect(),
            features: drawn.into_iter().flatten().collect(),
            onnx,
            network,
            snapshots,
            liteflow,
        })
    }

    /// Items of a row.
    pub(crate) fn width(&self) -> usize {
        self.network.inputs()
    }

    /// The standard deviation of the exact results.
    pub(crate) fn deviation(&self) -> f64 {
        let n = self.exact.len() as f64;
        let mean = self.exact.iter().sum::<f64>() / n;
        (self.exact.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / n).sqrt()
    }
}
