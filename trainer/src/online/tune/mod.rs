//! Weir's own adapters: gradient steps by ONNX Runtime through [`crate::learner`].

mod policy;
mod prediction;
mod pupil;
mod scaling;

#[cfg(test)]
mod tests;

pub use policy::{PolicyTuner, PolicyTuning};
pub use prediction::{PredictionTuner, PredictionTuning};

use super::adapter::AdaptError;
use crate::learner::LearnerError;
use crate::rng::Rng;

impl From<LearnerError> for AdaptError {
    fn from(error: LearnerError) -> Self {
        AdaptError::Learner(error.to_string())
    }
}

/// Weight of the newest value in a smoothed one: single batches differ by a factor of two.
const SMOOTHING: f64 = 0.3;

/// A smoothed value; nothing before the first, and begun anew after what was no number.
#[derive(Debug, Clone, Copy, Default)]
struct Smoothed(Option<f64>);

impl Smoothed {
    fn note(&mut self, value: f64) {
        let before = self.0.filter(|before| !before.is_nan()).unwrap_or(value);
        self.0 = Some(before + SMOOTHING * (value - before));
    }

    fn get(self) -> Option<f64> {
        self.0
    }
}

/// Rows in an order of their own each time, in minibatches of about `size`.
fn minibatches(rows: &mut [usize], size: usize, rng: &mut Rng) -> Vec<Vec<usize>> {
    // Fisher and Yates.
    for last in (1..rows.len()).rev() {
        rows.swap(last, rng.below(last + 1));
    }
    let count = (rows.len() / size.max(1)).max(1);
    rows.chunks(rows.len().div_ceil(count).max(1)).map(<[usize]>::to_vec).collect()
}
