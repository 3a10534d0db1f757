//! Graphs against the reference and against finite differences, in f64 and without ONNX Runtime.

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
    let mut inputs: Vec<(&str, Tensor)> = interface::state_inputs(p.len())
        .iter()
        .map(|tensor| {
            let cells = match tensor.name {
                "p" => p.iter().map(|&p| f64::from(p)).collect(),
                "lr" => vec![rate],
                "t" => vec![0.0],
                _ => vec![0.0; p.len()],
            };
            (tensor.name, Tensor::new(&[cells.len()], cells))
        })
        .collect();
    let rows = &case.rows;
    let choices = match case.head {
        Head::Bandit(Bandit::Options { options, .. }) => options,
        _ => case.network.outputs(),
    };
    let one_hot: Vec<f32> =
        rows.chosen.iter().flat_map(|&c| (0..choices).map(move |k| f32::from(u8::from(k == c)))).collect();
    let ones = vec![1.0; rows.rewards.len()];
    for tensor in interface::batch_inputs(graph.layout(), &case.head) {
        let cells = match tensor.name {
            "x" => &rows.inputs,
            "y" | "action" => &rows.targets,
            "log_prob" => &rows.log_probs,
            "advantage" => &rows.advantages,
            "chosen" => &one_hot,
            "reward" => &rows.rewards,
            "propensity" => &rows.propensities,
            "weight" => rows.weights.as_ref().unwrap_or(&ones),
            other => panic!("tensor {other}"),
        };
        let [_, Dimension::Fixed(columns)] = tensor.dims[..] else { panic!("{tensor:?}") };
        let cells: Vec<f64> = cells.iter().map(|&cell| f64::from(cell)).collect();
        inputs.push((tensor.name, Tensor::new(&[cells.len() / columns, columns], cells)));
    }
    interpreter::run(graph.bytes(), &inputs)
}
