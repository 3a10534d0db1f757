//! Writes a network of Gemm and activation nodes as ONNX: operator set 17, IR version 8.

use super::proto::{
    self, AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use crate::network::{Activation, Network, Output};
use prost::Message;

/// Encodes a network with float (f32) weights. Input `x` is [batch, inputs] with a symbolic batch, output `y`.
///
/// Weights are written as [in, out] (`transB = 0`), the form that training graphs take.
pub fn export(network: &Network, name: &str) -> Vec<u8> {
    let mut writer = Writer::default();
    let mut value = "x".to_string();
    for (index, layer) in network.layers.iter().enumerate() {
        let number = index + 1;
        let transposed =
            (0..layer.inputs).flat_map(|i| (0..layer.outputs).map(move |o| o * layer.inputs + i));
        let weights = transposed.map(|at| layer.weights[at] as f32).collect();
        let dims = vec![layer.inputs as i64, layer.outputs as i64];
        let (w, b) = (format!("w{number}"), format!("b{number}"));
        writer.floats(&w, dims, weights);
        writer.floats(&b, vec![layer.outputs as i64], layer.bias.iter().map(|&v| v as f32).collect());
        value = writer.node("Gemm", vec![value, w, b], vec![], &format!("z{number}"));
        value = writer.activation(layer.activation, value, number);
    }
    value = match network.output {
        Output::Linear => value,
        Output::Softmax => writer.node("Softmax", vec![value], vec![int("axis", -1)], "p"),
        Output::ArgMax => writer.node("ArgMax", vec![value], vec![int("axis", -1)], "index"),
    };
    // The last node's output is the graph's.
    let result = match writer.nodes.last_mut() {
        Some(last) => {
            last.output = vec!["y".into()];
            "y".to_string()
        }
        None => value,
    };
    let result_type = if network.output == Output::ArgMax { proto::INT64 } else { proto::FLOAT };
    let graph = GraphProto {
        node: writer.nodes,
        name: Some(name.to_string()),
        initializer: writer.initializers,
        input: vec![matrix("x", proto::FLOAT, network.inputs())],
        output: vec![matrix(&result, result_type, network.outputs())],
        sparse_initializer: vec![],
    };
    let model = ModelProto {
        ir_version: Some(8),
        producer_name: Some("weir".into()),
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(17) }],
        functions: vec![],
    };
    model.encode_to_vec()
}

#[derive(Default)]
struct Writer {
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
}

impl Writer {
    fn node(
        &mut self,
        operator: &str,
        input: Vec<String>,
        attribute: Vec<AttributeProto>,
        output: &str,
    ) -> String {
        self.nodes.push(NodeProto {
            input,
            output: vec![output.to_string()],
            name: Some(format!("{operator}_{output}")),
            op_type: Some(operator.to_string()),
            attribute,
            domain: None,
        });
        output.to_string()
    }

    fn activation(&mut self, activation: Activation, value: String, number: usize) -> String {
        let h = format!("h{number}");
        match activation {
            Activation::Identity => value,
            Activation::Relu => self.node("Relu", vec![value], vec![], &h),
            Activation::LeakyRelu { slope } => {
                self.node("LeakyRelu", vec![value], vec![float("alpha", slope)], &h)
            }
            Activation::Tanh => self.node("Tanh", vec![value], vec![], &h),
            Activation::Sigmoid => self.node("Sigmoid", vec![value], vec![], &h),
            Activation::HardSigmoid { alpha, beta } => {
                let attributes = vec![float("alpha", alpha), float("beta", beta)];
                self.node("HardSigmoid", vec![value], attributes, &h)
            }
            Activation::Clip { lo, hi } => {
                let mut inputs = vec![value];
                for (side, bound) in [("lo", lo), ("hi", hi)] {
                    // An empty name leaves the bound out.
                    let mut name = String::new();
                    if bound.is_finite() {
                        name = format!("{side}{number}");
                        self.floats(&name, vec![], vec![bound as f32]);
                    }
                    inputs.push(name);
                }
                self.node("Clip", inputs, vec![], &h)
            }
        }
    }

    fn floats(&mut self, name: &str, dims: Vec<i64>, values: Vec<f32>) {
        self.initializers.push(TensorProto {
            dims,
            data_type: Some(proto::FLOAT),
            name: Some(name.to_string()),
            raw_data: Some(values.iter().flat_map(|v| v.to_le_bytes()).collect()),
            ..TensorProto::default()
        });
    }
}

fn float(name: &str, value: f64) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_string()),
        f: Some(value as f32),
        r#type: Some(1),
        ..AttributeProto::default()
    }
}

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_string()),
        i: Some(value),
        r#type: Some(2),
        ..AttributeProto::default()
    }
}

fn matrix(name: &str, elem_type: i32, width: usize) -> ValueInfoProto {
    let symbolic = DimensionProto { dim_value: None, dim_param: Some("batch".into()) };
    let fixed = DimensionProto { dim_value: Some(width as i64), dim_param: None };
    ValueInfoProto {
        name: Some(name.to_string()),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: Some(elem_type),
                shape: Some(TensorShapeProto { dim: vec![symbolic, fixed] }),
            }),
        }),
    }
}
