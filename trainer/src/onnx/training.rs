//! Reads a user's own training graph, as far as Weir must understand it before it hands it to ONNX Runtime.
//!
//! What is inside such a graph is the user's affair; what goes in and out is not, and neither is what a file may do. So
//! interface, operators and constants are checked, and ONNX Runtime never sees the file itself: it gets what was decoded
//! here, encoded again. A feature that `proto.rs` does not know (subgraphs, external data, training information) is gone.

use super::attributes::{FLOAT, FLOATS, INT, INTS, TENSOR};
use super::error::{Fault, ImportError, Refusal};
use super::import::{decode, label, read};
use super::proto::{self, GraphProto, NodeProto, ValueInfoProto};
use super::tensor::Constant;
use super::writer::Dimension;
use prost::Message;
use std::collections::HashSet;
use std::path::Path;

/// Operators of a user's training graph: arithmetic, comparison, shapes and reductions. None of them loops, holds a
/// graph, draws random numbers or makes a tensor of any size out of nothing.
pub const TRAINING_OPERATORS: [&str; 65] = [
    "Abs",
    "Add",
    "And",
    "Cast",
    "Ceil",
    "Clip",
    "Concat",
    "Constant",
    "Cos",
    "Div",
    "Elu",
    "Equal",
    "Erf",
    "Exp",
    "Flatten",
    "Floor",
    "Gather",
    "Gemm",
    "Greater",
    "GreaterOrEqual",
    "HardSigmoid",
    "Identity",
    "LeakyRelu",
    "Less",
    "LessOrEqual",
    "Log",
    "LogSoftmax",
    "MatMul",
    "Max",
    "Mean",
    "Min",
    "Mul",
    "Neg",
    "Not",
    "Or",
    "Pow",
    "Reciprocal",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
    "Relu",
    "Reshape",
    "Round",
    "Shape",
    "Sigmoid",
    "Sign",
    "Sin",
    "Slice",
    "Softmax",
    "Softplus",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Tanh",
    "Transpose",
    "Unsqueeze",
    "Where",
];

/// A tensor that a training graph may take or give, float.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slot {
    pub(crate) name: &'static str,
    pub(crate) dims: Vec<Dimension>,
    /// A graph without it is none.
    pub(crate) required: bool,
}

/// A checked training graph.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TrainingFile {
    /// For ONNX Runtime.
    pub(crate) bytes: Vec<u8>,
    /// Which of the inputs it takes.
    pub(crate) inputs: Vec<&'static str>,
}

/// Reads a file.
pub(crate) fn read_training(path: &Path) -> Result<Vec<u8>, ImportError> {
    read(path).map_err(|reason| ImportError::new(path, reason.into()))
}

/// Checks an encoded training graph; `name` is what errors call it.
pub(crate) fn check_training(
    bytes: &[u8],
    name: &Path,
    inputs: &[Slot],
    outputs: &[Slot],
) -> Result<TrainingFile, ImportError> {
    check(bytes, inputs, outputs).map_err(|fault| ImportError::new(name, fault))
}

fn check(bytes: &[u8], inputs: &[Slot], outputs: &[Slot]) -> Result<TrainingFile, Fault> {
    let model = decode(bytes)?;
    let graph = model.graph.as_ref().ok_or(Refusal::NoGraph)?;
    let mut defined = HashSet::new();
    for tensor in &graph.initializer {
        let name = tensor.name.as_deref().unwrap_or("");
        Constant::read(tensor, name)?;
        define(&mut defined, name)?;
    }
    let constants = defined.clone();
    let mut taken = Vec::new();
    for input in &graph.input {
        let name = input.name.as_deref().unwrap_or("");
        // Before IR version 4 every initialiser had to be listed as an input, too.
        if !constants.contains(name) {
            taken.push(slot(input, inputs).map_err(|reason| Refusal::Input { name: name.into(), reason })?);
            define(&mut defined, name)?;
        }
    }
    check_nodes(graph, &mut defined)?;
    let mut given = Vec::new();
    for output in &graph.output {
        let name = output.name.as_deref().unwrap_or("");
        given.push(slot(output, outputs).map_err(|reason| Refusal::Output { name: name.into(), reason })?);
        if !defined.contains(name) {
            return Err(Refusal::Missing(name.to_string()).into());
        }
    }
    for (slots, present) in [(inputs, &taken), (outputs, &given)] {
        if let Some(slot) = slots.iter().find(|slot| slot.required && !present.contains(&slot.name)) {
            return Err(Refusal::Absent(slot.name).into());
        }
    }
    Ok(TrainingFile { bytes: model.encode_to_vec(), inputs: taken })
}

fn check_nodes<'g>(graph: &'g GraphProto, defined: &mut HashSet<&'g str>) -> Result<(), Fault> {
    let made: HashSet<&str> =
        graph.node.iter().flat_map(|node| node.output.iter().map(String::as_str)).collect();
    for (index, node) in graph.node.iter().enumerate() {
        check_node(node, defined, &made)
            .map_err(|reason| Fault { node: Some(label(node, index)), reason })?;
    }
    Ok(())
}

fn check_node<'g>(
    node: &'g NodeProto,
    defined: &mut HashSet<&'g str>,
    made: &HashSet<&str>,
) -> Result<(), Refusal> {
    let domain = node.domain.as_deref().unwrap_or("");
    if !domain.is_empty() && domain != "ai.onnx" {
        return Err(Refusal::Domain(domain.to_string()));
    }
    let operator = node.op_type.as_deref().unwrap_or("");
    if !TRAINING_OPERATORS.contains(&operator) {
        return Err(Refusal::TrainingOperator);
    }
    for attribute in &node.attribute {
        let name = attribute.name.as_deref().unwrap_or("");
        if !matches!(attribute.r#type, Some(FLOAT | INT | TENSOR | FLOATS | INTS)) {
            let reason = "is neither a number, a list of numbers nor a tensor".into();
            return Err(Refusal::Attribute { name: name.into(), reason });
        }
        if let Some(tensor) = &attribute.t {
            Constant::read(tensor, name)?;
        }
    }
    for input in node.input.iter().map(String::as_str) {
        if !input.is_empty() && !defined.contains(input) {
            let name = input.to_string();
            return Err(if made.contains(input) { Refusal::Order(name) } else { Refusal::Missing(name) });
        }
    }
    for output in node.output.iter().filter(|output| !output.is_empty()) {
        define(defined, output)?;
    }
    Ok(())
}

fn define<'g>(defined: &mut HashSet<&'g str>, name: &'g str) -> Result<(), Refusal> {
    if defined.insert(name) { Ok(()) } else { Err(Refusal::Duplicate(name.to_string())) }
}

/// Finds the slot of this name, and compares type and shape.
fn slot(value: &ValueInfoProto, slots: &[Slot]) -> Result<&'static str, String> {
    let name = value.name.as_deref().unwrap_or("");
    let Some(slot) = slots.iter().find(|slot| slot.name == name) else {
        let known: Vec<&str> = slots.iter().map(|slot| slot.name).collect();
        return Err(format!("is none of {}", known.join(", ")));
    };
    let tensor = value.r#type.as_ref().and_then(|t| t.tensor_type.as_ref()).ok_or("is not a tensor")?;
    if tensor.elem_type != Some(proto::FLOAT) {
        return Err("is not float (f32)".into());
    }
    let found: Vec<Option<i64>> = match &tensor.shape {
        Some(shape) => shape.dim.iter().map(|dim| dim.dim_value).collect(),
        None => return Err(format!("has no shape; {} is expected", shape(&slot.dims))),
    };
    let fits = found.len() == slot.dims.len()
        && found.iter().zip(&slot.dims).all(|(found, expected)| match *expected {
            Dimension::Fixed(size) => *found == i64::try_from(size).ok(),
            Dimension::Symbol(_) => found.is_none(),
        });
    if fits {
        return Ok(slot.name);
    }
    let sizes: Vec<String> =
        found.iter().map(|size| size.map_or("?".to_string(), |size| size.to_string())).collect();
    Err(format!("has shape [{}]; {} is expected", sizes.join(", "), shape(&slot.dims)))
}

fn shape(dims: &[Dimension]) -> String {
    let sizes: Vec<String> = dims
        .iter()
        .map(|dim| match dim {
            Dimension::Fixed(size) => size.to_string(),
            Dimension::Symbol(symbol) => (*symbol).to_string(),
        })
        .collect();
    format!("[{}]", sizes.join(", "))
}
