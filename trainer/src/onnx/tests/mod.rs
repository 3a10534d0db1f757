//! Files made with the importer's own message structs, operator by operator.

mod hostile;
mod operators;
mod refusals;
mod runtime;

use super::proto::*;
use super::{ImportError, import_bytes};
use crate::network::Network;
use prost::Message;
use std::path::Path;

/// A graph with input `x` [batch, 3] and output `y`, to be changed by each test.
#[derive(Clone)]
pub(super) struct File {
    pub(super) model: ModelProto,
}

impl File {
    pub(super) fn new(nodes: Vec<NodeProto>) -> Self {
        let graph = GraphProto {
            node: nodes,
            name: Some("test".into()),
            initializer: vec![],
            input: vec![matrix("x", FLOAT, None, 3)],
            output: vec![ValueInfoProto { name: Some("y".into()), r#type: None }],
            sparse_initializer: vec![],
        };
        let opset = OperatorSetIdProto { domain: None, version: Some(17) };
        Self {
            model: ModelProto {
                ir_version: Some(8),
                producer_name: None,
                graph: Some(graph),
                opset_import: vec![opset],
                functions: vec![],
            },
        }
    }

    pub(super) fn graph(&mut self) -> &mut GraphProto {
        self.model.graph.as_mut().unwrap()
    }

    pub(super) fn with(mut self, tensor: TensorProto) -> Self {
        self.graph().initializer.push(tensor);
        self
    }

    pub(super) fn opset(mut self, version: i64) -> Self {
        self.model.opset_import[0].version = Some(version);
        self
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.model.encode_to_vec()
    }

    pub(super) fn import(&self) -> Result<Network, ImportError> {
        import_bytes(&self.bytes(), Path::new("test.onnx"))
    }

    /// The result for one row.
    pub(super) fn evaluate(&self, row: &[f64]) -> Vec<f64> {
        self.import().unwrap().evaluate(row)
    }

    /// The refusal's one line.
    pub(super) fn refusal(&self) -> String {
        let line = self.import().unwrap_err().to_string();
        assert!(!line.contains('\n'), "{line}");
        assert!(line.starts_with("test.onnx: "), "{line}");
        line
    }
}

pub(super) fn node(operator: &str, input: &[&str], output: &[&str]) -> NodeProto {
    NodeProto {
        input: input.iter().map(|s| s.to_string()).collect(),
        output: output.iter().map(|s| s.to_string()).collect(),
        name: Some(format!("{operator}_1")),
        op_type: Some(operator.into()),
        attribute: vec![],
        domain: None,
    }
}

impl NodeProto {
    pub(super) fn float(mut self, name: &str, value: f32) -> Self {
        self.attribute.push(AttributeProto {
            name: Some(name.into()),
            f: Some(value),
            r#type: Some(1),
            ..Default::default()
        });
        self
    }

    pub(super) fn int(mut self, name: &str, value: i64) -> Self {
        self.attribute.push(AttributeProto {
            name: Some(name.into()),
            i: Some(value),
            r#type: Some(2),
            ..Default::default()
        });
        self
    }

    pub(super) fn tensor(mut self, name: &str, value: TensorProto) -> Self {
        self.attribute.push(AttributeProto {
            name: Some(name.into()),
            t: Some(value),
            r#type: Some(4),
            ..Default::default()
        });
        self
    }
}

/// A float tensor with typed data.
pub(super) fn floats(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        dims: dims.to_vec(),
        data_type: Some(FLOAT),
        float_data: values.to_vec(),
        name: Some(name.into()),
        ..Default::default()
    }
}

/// The same with raw data.
pub(super) fn raw_floats(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        raw_data: Some(values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        float_data: vec![],
        ..floats(name, dims, values)
    }
}

pub(super) fn ints(name: &str, values: &[i64]) -> TensorProto {
    TensorProto {
        dims: vec![values.len() as i64],
        data_type: Some(INT64),
        int64_data: values.to_vec(),
        name: Some(name.into()),
        ..Default::default()
    }
}

/// A graph input; `None` for a symbolic batch.
pub(super) fn matrix(name: &str, elem_type: i32, batch: Option<i64>, width: i64) -> ValueInfoProto {
    let symbol = batch.is_none().then(|| "N".to_string());
    let dim = vec![
        DimensionProto { dim_value: batch, dim_param: symbol },
        DimensionProto { dim_value: Some(width), dim_param: None },
    ];
    ValueInfoProto {
        name: Some(name.into()),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: Some(elem_type),
                shape: Some(TensorShapeProto { dim }),
            }),
        }),
    }
}

/// One operator on `x`.
pub(super) fn single(operator: &str) -> File {
    File::new(vec![node(operator, &["x"], &["y"])])
}

/// Gemm from 3 to 2 with weights 1..6 as [3, 2] and bias (0.5, -0.5).
pub(super) fn gemm() -> File {
    File::new(vec![node("Gemm", &["x", "w", "b"], &["y"])])
        .with(floats("w", &[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
        .with(floats("b", &[2], &[0.5, -0.5]))
}
