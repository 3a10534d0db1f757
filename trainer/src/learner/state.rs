//! What a training graph moves from step to step.

use super::LearnerError;

/// Parameters and Adam's state. All of it is f32, as the graph has it, so a copy goes on exactly where this was.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// The flat vector of parameters.
    pub parameters: Vec<f32>,
    /// Moving mean of the gradient, one for each parameter.
    pub mean: Vec<f32>,
    /// Moving mean of its square, one for each parameter.
    pub square: Vec<f32>,
    /// Steps so far. f32 counts up to 2^24 and then stays there; the bias corrections have long been 1.
    pub steps: f32,
}

impl State {
    /// The state before the first step.
    pub(super) fn new(parameters: Vec<f32>) -> Self {
        let zeros = vec![0.0; parameters.len()];
        Self { parameters, mean: zeros.clone(), square: zeros, steps: 0.0 }
    }

    pub(super) fn check(&self) -> Result<(), LearnerError> {
        let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        if !finite(&self.parameters) {
            return Err(LearnerError::NotFinite("a parameter"));
        }
        if !(finite(&self.mean) && finite(&self.square) && self.steps.is_finite()) {
            return Err(LearnerError::NotFinite("the optimiser's state"));
        }
        Ok(())
    }
}
