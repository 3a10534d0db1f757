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

/// Rows in an order of their own each time, in minibatches of about `size`.
fn minibatches(rows: &mut [usize], size: usize, rng: &mut Rng) -> Vec<Vec<usize>> {
    // Fisher and Yates.
    for last in (1..rows.len()).rev() {
        rows.swap(last, rng.below(last + 1));
    }
    let count = (rows.len() / size.max(1)).max(1);
    rows.chunks(rows.len().div_ceil(count).max(1)).map(<[usize]>::to_vec).collect()
}
