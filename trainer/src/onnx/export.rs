//! Writes a network of Gemm and activation nodes as ONNX.

use super::proto;
use super::writer::{Dimension, Writer, int, tensor};
use crate::network::{Network, Output};

/// Encodes a network with float (f32) weights. Input `x` is [batch, inputs] with a symbolic batch, output `y`.
///
/// Weights are written as [in, out] (`transB = 0`), the form that training graphs take.
pub fn export(network: &Network, name: &str) -> Vec<u8> {
    let mut writer = Writer::default();
    let mut value = "x".to_string();
    for (index, layer) in network.layers.iter().enumerate() {
        let number = index + 1;
        let weights = layer.weights_by_input().map(|w| w as f32).collect();
        let dims = vec![layer.inputs as i64, layer.outputs as i64];
        let (w, b, z) = (format!("w{number}"), format!("b{number}"), format!("z{number}"));
        writer.floats(&w, dims, weights);
        writer.floats(&b, vec![layer.outputs as i64], layer.bias.iter().map(|&v| v as f32).collect());
        writer.node("Gemm", vec![value, w, b], vec![], &z);
        value = writer.activation(layer.activation, z, format!("h{number}"), number);
    }
    match network.output {
        Output::Linear => {}
        Output::Softmax => writer.node("Softmax", vec![value.clone()], vec![int("axis", -1)], "p"),
        Output::ArgMax => writer.node("ArgMax", vec![value.clone()], vec![int("axis", -1)], "index"),
    }
    // The last node's output is the graph's.
    if let Some(last) = writer.nodes.last_mut() {
        last.output = vec!["y".into()];
        value = "y".to_string();
    }
    let result_type = if network.output == Output::ArgMax { proto::INT64 } else { proto::FLOAT };
    let batch = Dimension::Symbol("batch");
    let x = tensor("x", proto::FLOAT, &[batch, Dimension::Fixed(network.inputs())]);
    let y = tensor(&value, result_type, &[batch, Dimension::Fixed(network.outputs())]);
    writer.finish(name, vec![x], vec![y])
}
