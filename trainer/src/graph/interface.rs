//! The names and shapes of a training graph's tensors: what Weir's own graphs have, and a user's may have.
//!
//! `docs/training-graph.md` is this table in words.

use super::head::{Bandit, Head};
use super::layout::Layout;
use crate::onnx::Slot;
use crate::onnx::writer::Dimension;

/// Rows of a batch.
pub(super) const BATCH: Dimension = Dimension::Symbol("batch");
/// Rows times options.
pub(super) const OPTIONS: Dimension = Dimension::Symbol("options");

/// All that a step takes.
pub(super) fn inputs(layout: &Layout, head: &Head) -> Vec<Slot> {
    let mut slots = state_inputs(layout.parameters());
    slots.extend(batch_inputs(layout, head));
    slots
}

/// What every step takes: parameters, Adam's two means, its steps so far, the learning rate.
fn state_inputs(parameters: usize) -> Vec<Slot> {
    let lengths = [("p", parameters), ("m", parameters), ("v", parameters), ("t", 1), ("lr", 1)];
    lengths.map(|(name, length)| vector(name, length, name == "p")).to_vec()
}

/// What a head's batch is made of.
fn batch_inputs(layout: &Layout, head: &Head) -> Vec<Slot> {
    let (inputs, outputs) = (layout.inputs(), layout.outputs());
    let x = match head {
        Head::Bandit(Bandit::Options { .. }) => OPTIONS,
        _ => BATCH,
    };
    let mut slots = vec![matrix("x", x, inputs), matrix("weight", BATCH, 1)];
    match *head {
        Head::Regression(_) => slots.push(matrix("y", BATCH, outputs)),
        Head::Ppo(_) => {
            slots.push(matrix("action", BATCH, outputs));
            slots.extend(["log_prob", "advantage"].map(|name| matrix(name, BATCH, 1)));
        }
        Head::Bandit(bandit) => {
            match bandit {
                Bandit::Actions { .. } => slots.push(matrix("chosen", BATCH, outputs)),
                Bandit::Options { options, .. } => slots.push(matrix("chosen", BATCH, options)),
                Bandit::Scorer { .. } => {}
            }
            slots.extend(["reward", "propensity"].map(|name| matrix(name, BATCH, 1)));
        }
    }
    slots
}

/// What a step gives: the state after it, the loss before it, and what else it may say.
pub(super) fn outputs(parameters: usize) -> Vec<Slot> {
    let state = [("p_next", parameters), ("m_next", parameters), ("v_next", parameters), ("t_next", 1)];
    let mut slots = state.map(|(name, length)| vector(name, length, name == "p_next")).to_vec();
    slots.push(vector("loss", 1, true));
    slots.extend(["grad_norm", "kl", "clip_fraction", "entropy"].map(|name| vector(name, 1, false)));
    slots
}

fn vector(name: &'static str, length: usize, required: bool) -> Slot {
    Slot { name, dims: vec![Dimension::Fixed(length)], required }
}

fn matrix(name: &'static str, rows: Dimension, columns: usize) -> Slot {
    Slot { name, dims: vec![rows, Dimension::Fixed(columns)], required: name == "x" }
}
