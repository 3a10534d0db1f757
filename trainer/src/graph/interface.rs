//! The names and shapes of a training graph's tensors: what Weir's own graphs have, and a user's must have.
//!
//! `docs/training-graph.md` is this table in words.

use super::head::{Bandit, Head};
use super::layout::Layout;
use crate::onnx::writer::Dimension;

/// Rows of a batch.
pub(crate) const BATCH: Dimension = Dimension::Symbol("batch");
/// Rows times options.
pub(crate) const OPTIONS: Dimension = Dimension::Symbol("options");

/// A tensor of the interface, f32.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tensor {
    pub(crate) name: &'static str,
    pub(crate) dims: Vec<Dimension>,
}

/// What every step takes: parameters, Adam's two means, its steps so far, the learning rate.
pub(crate) fn state_inputs(parameters: usize) -> Vec<Tensor> {
    let lengths = [("p", parameters), ("m", parameters), ("v", parameters), ("t", 1), ("lr", 1)];
    lengths.map(|(name, length)| vector(name, length)).to_vec()
}

/// What a head's batch is made of; row weights last.
pub(crate) fn batch_inputs(layout: &Layout, head: &Head) -> Vec<Tensor> {
    let matrix = |name, rows, columns| Tensor { name, dims: vec![rows, Dimension::Fixed(columns)] };
    let (inputs, outputs) = (layout.inputs(), layout.outputs());
    let mut tensors = match head {
        Head::Regression(_) => vec![matrix("x", BATCH, inputs), matrix("y", BATCH, outputs)],
        Head::Ppo(_) => vec![
            matrix("x", BATCH, inputs),
            matrix("action", BATCH, outputs),
            matrix("log_prob", BATCH, 1),
            matrix("advantage", BATCH, 1),
        ],
        Head::Bandit(bandit) => {
            let mut tensors = match *bandit {
                Bandit::Actions { .. } => {
                    vec![matrix("x", BATCH, inputs), matrix("chosen", BATCH, outputs)]
                }
                Bandit::Options { options, .. } => {
                    vec![matrix("x", OPTIONS, inputs), matrix("chosen", BATCH, options)]
                }
                Bandit::Scorer { .. } => vec![matrix("x", BATCH, inputs)],
            };
            tensors.extend([matrix("reward", BATCH, 1), matrix("propensity", BATCH, 1)]);
            tensors
        }
    };
    tensors.push(matrix("weight", BATCH, 1));
    tensors
}

fn vector(name: &'static str, length: usize) -> Tensor {
    Tensor { name, dims: vec![Dimension::Fixed(length)] }
}
