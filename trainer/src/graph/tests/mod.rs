//! Graphs against the reference and against finite differences, in f64 and without ONNX Runtime.

mod file;
mod gradients;
mod interpreter;
mod refusals;

use super::interface;
use super::{Bandit, Head, TrainingGraph};
use crate::onnx::writer::Dimension;
use crate::testing::cases::Case;
use interpreter::Tensor;
use std::collections::HashMap;

/// One step of a case's graph from fresh optimiser state, in f64.
fn step(case: &Case, rate: f64) -> HashMap<String, Tensor> {
    let graph = TrainingGraph::build(&case.network, &case.head, &case.adam).unwrap();
    let p = graph.layout().pack(&case.network, &case.head).unwrap();
    let rows = &case.rows;
    let choices = match case.head {
        Head::Bandit(Bandit::Options { options, .. }) => options,
        _ => case.network.outputs(),
    };
    let one_hot: Vec<f32> =
        rows.chosen.iter().flat_map(|&c| (0..choices).map(move |k| f32::from(u8::from(k == c)))).collect();
    let ones = vec![1.0; rows.rewards.len()];
    let widen = |cells: &[f32]| cells.iter().map(|&cell| f64::from(cell)).collect::<Vec<f64>>();
    let mut inputs = Vec::new();
    for slot in interface::inputs(graph.layout(), &case.head) {
        let cells = match slot.name {
            "p" => widen(&p),
            "m" | "v" => vec![0.0; p.len()],
            "t" => vec![0.0],
            "lr" => vec![rate],
            "x" => widen(&rows.inputs),
            "y" | "action" => widen(&rows.targets),
            "log_prob" => widen(&rows.log_probs),
            "advantage" => widen(&rows.advantages),
            "chosen" => widen(&one_hot),
            "reward" => widen(&rows.rewards),
            "propensity" => widen(&rows.propensities),
            "weight" => widen(rows.weights.as_ref().unwrap_or(&ones)),
            other => panic!("tensor {other}"),
        };
        let dims = match slot.dims[..] {
            [_, Dimension::Fixed(columns)] => vec![cells.len() / columns, columns],
            _ => vec![cells.len()],
        };
        inputs.push((slot.name, Tensor::new(&dims, cells)));
    }
    interpreter::run(graph.bytes(), &inputs)
}
