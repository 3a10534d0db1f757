//! Writes ONNX: operator set 17, IR version 8. The same calls give the same bytes.

use super::proto::{
    self, AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use crate::network::Activation;
use prost::Message;

/// Nodes and constants of a graph under construction.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub(crate) nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
}

/// One dimension of a graph input or output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dimension {
    Fixed(usize),
    Symbol(&'static str),
}

impl Writer {
    /// Adds a node with one output, and names it after operator and output.
    pub(crate) fn node(
        &mut self,
        operator: &str,
        input: Vec<String>,
        attribute: Vec<AttributeProto>,
        output: &str,
    ) {
        self.split(operator, input, attribute, vec![output.to_string()]);
    }

    /// Adds a node with several outputs.
    pub(crate) fn split(
        &mut self,
        operator: &str,
        input: Vec<String>,
        attribute: Vec<AttributeProto>,
        output: Vec<String>,
    ) {
        self.nodes.push(NodeProto {
            input,
            name: output.first().map(|first| format!("{operator}_{first}")),
            output,
            op_type: Some(operator.to_string()),
            attribute,
            domain: None,
        });
    }

    /// Adds the activation of a value; [`Activation::Identity`] adds nothing and returns the value itself. `number`
    /// tells the constants of several Clips apart.
    pub(crate) fn activation(
        &mut self,
        activation: Activation,
        value: String,
        output: String,
        number: usize,
    ) -> String {
        match activation {
            Activation::Identity => return value,
            Activation::Relu => self.node("Relu", vec![value], vec![], &output),
            Activation::LeakyRelu { slope } => {
                self.node("LeakyRelu", vec![value], vec![float("alpha", slope)], &output);
            }
            Activation::Tanh => self.node("Tanh", vec![value], vec![], &output),
            Activation::Sigmoid => self.node("Sigmoid", vec![value], vec![], &output),
            Activation::HardSigmoid { alpha, beta } => {
                let attributes = vec![float("alpha", alpha), float("beta", beta)];
                self.node("HardSigmoid", vec![value], attributes, &output);
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
                self.node("Clip", inputs, vec![], &output);
            }
        }
        output
    }

    /// Adds a constant.
    pub(crate) fn floats(&mut self, name: &str, dims: Vec<i64>, values: Vec<f32>) {
        self.constant(name, dims, proto::FLOAT, values.iter().flat_map(|v| v.to_le_bytes()).collect());
    }

    /// Adds a constant in double precision.
    pub(crate) fn doubles(&mut self, name: &str, dims: Vec<i64>, values: Vec<f64>) {
        self.constant(name, dims, proto::DOUBLE, values.iter().flat_map(|v| v.to_le_bytes()).collect());
    }

    /// Adds a list of integers: a shape, or axes.
    pub(crate) fn ints(&mut self, name: &str, values: &[i64]) {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, vec![values.len() as i64], proto::INT64, raw);
    }

    fn constant(&mut self, name: &str, dims: Vec<i64>, data_type: i32, raw: Vec<u8>) {
        self.initializers.push(TensorProto {
            dims,
            data_type: Some(data_type),
            name: Some(name.to_string()),
            raw_data: Some(raw),
            ..TensorProto::default()
        });
    }

    /// Encodes the file.
    pub(crate) fn finish(
        self,
        name: &str,
        input: Vec<ValueInfoProto>,
        output: Vec<ValueInfoProto>,
    ) -> Vec<u8> {
        let graph = GraphProto {
            node: self.nodes,
            name: Some(name.to_string()),
            initializer: self.initializers,
            input,
            output,
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
}

/// A float attribute.
pub(crate) fn float(name: &str, value: f64) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_string()),
        f: Some(value as f32),
        r#type: Some(1),
        ..AttributeProto::default()
    }
}

/// An integer attribute.
pub(crate) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_string()),
        i: Some(value),
        r#type: Some(2),
        ..AttributeProto::default()
    }
}

/// A graph input or output.
pub(crate) fn tensor(name: &str, elem_type: i32, dims: &[Dimension]) -> ValueInfoProto {
    let dim = dims.iter().map(|dim| match *dim {
        Dimension::Fixed(size) => DimensionProto { dim_value: Some(size as i64), dim_param: None },
        Dimension::Symbol(symbol) => DimensionProto { dim_value: None, dim_param: Some(symbol.into()) },
    });
    ValueInfoProto {
        name: Some(name.to_string()),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: Some(elem_type),
                shape: Some(TensorShapeProto { dim: dim.collect() }),
            }),
        }),
    }
}
