//! Reads an ONNX file into a [`Network`].

use super::error::{Fault, FaultyNode, ImportError, Refusal};
use super::operators::{Call, Effect, Row, Value};
use super::proto::{self, GraphProto, ModelProto, NodeProto, ValueInfoProto};
use super::stages::{self, Stage};
use super::tensor::Constant;
use super::{FILE_BYTES_MAX, OPSETS, scan};
use crate::network::{Layer, Network};
use prost::Message;
use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::path::Path;
use std::rc::Rc;
use weir_snapshot::WIDTH_MAX;

/// Nodes in a graph. Eight layers, each with a bias, a normalisation, an activation and constants, take under 100.
const NODES_MAX: usize = 1024;

/// Imports a model file.
///
/// # Errors
/// One line that names the file, the node and operator where there is one, and the reason. Hostile files are refused
/// without large allocations: the size is checked before reading, the number of entries before decoding, and shapes
/// before any element is touched.
pub fn import(path: &Path) -> Result<Network, ImportError> {
    let bytes = read(path).map_err(|reason| ImportError::new(path, reason.into()))?;
    import_bytes(&bytes, path)
}

/// Imports a model from memory; `name` is what errors call it.
///
/// # Errors
/// As [`import`].
pub fn import_bytes(bytes: &[u8], name: &Path) -> Result<Network, ImportError> {
    network(bytes).map_err(|fault| ImportError::new(name, fault))
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, Refusal> {
    let unreadable = |error: std::io::Error| Refusal::Unreadable(error.to_string());
    // Before opening: opening a pipe would block.
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Refusal::NotAFile);
    }
    let too_large = |found| Refusal::TooLarge { found, max: FILE_BYTES_MAX };
    if metadata.len() > FILE_BYTES_MAX {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::new();
    // The file may grow after it was measured.
    let mut file = std::fs::File::open(path).map_err(unreadable)?.take(FILE_BYTES_MAX + 1);
    file.read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes)
}

fn network(bytes: &[u8]) -> Result<Network, Fault> {
    let model = decode(bytes)?;
    let graph = model.graph.as_ref().ok_or(Refusal::NoGraph)?;
    Importer::new(graph)?.run(graph)
}

/// Decodes a file, and refuses what no graph that Weir reads may have.
pub(super) fn decode(bytes: &[u8]) -> Result<ModelProto, Refusal> {
    scan::check(bytes)?;
    let model = ModelProto::decode(bytes).map_err(|error| Refusal::Malformed(error.to_string()))?;
    let graph = model.graph.as_ref().ok_or(Refusal::NoGraph)?;
    check_model(&model, graph)?;
    Ok(model)
}

fn check_model(model: &ModelProto, graph: &GraphProto) -> Result<(), Refusal> {
    let standard = |domain: &str| domain.is_empty() || domain == "ai.onnx";
    let mut versions = model.opset_import.iter().filter(|set| standard(set.domain.as_deref().unwrap_or("")));
    let found = versions.next().ok_or(Refusal::NoOpset)?.version.unwrap_or(0);
    if versions.next().is_some() {
        return Err(Refusal::Duplicate("opset_import".into()));
    }
    if !OPSETS.contains(&found) {
        return Err(Refusal::Opset { found });
    }
    if !model.functions.is_empty() {
        return Err(Refusal::Feature("model-local functions"));
    }
    if !graph.sparse_initializer.is_empty() {
        return Err(Refusal::Feature("sparse initialisers"));
    }
    if graph.node.len() > NODES_MAX {
        return Err(Refusal::TooMany { what: "nodes", max: NODES_MAX });
    }
    Ok(())
}

/// The graph's values so far. Stages form a tree by index (a value may be used twice), so nothing recurses.
struct Importer<'g> {
    values: HashMap<&'g str, Value>,
    stages: Vec<(Option<usize>, Stage)>,
    /// Names that some node makes, to tell "too early" from "never".
    made: HashSet<&'g str>,
    columns: usize,
    batch: Option<usize>,
}

impl<'g> Importer<'g> {
    fn new(graph: &'g GraphProto) -> Result<Self, Fault> {
        let mut importer = Self {
            values: HashMap::new(),
            stages: Vec::new(),
            made: graph.node.iter().flat_map(|node| node.output.iter().map(String::as_str)).collect(),
            columns: 0,
            batch: None,
        };
        for tensor in &graph.initializer {
            let name = tensor.name.as_deref().unwrap_or("");
            let constant = Constant::read(tensor, name)?;
            importer.define(name, Value::Constant(Rc::new(constant)))?;
        }
        let constants: HashSet<&str> = importer.values.keys().copied().collect();
        for input in &graph.input {
            // Before IR version 4 every initialiser had to be listed as an input, too.
            if !constants.contains(input.name.as_deref().unwrap_or("")) {
                importer.input(input)?;
            }
        }
        if importer.columns == 0 {
            return Err(Refusal::Interface { what: "inputs", found: 0, expected: "1 or more" }.into());
        }
        Ok(importer)
    }

    fn input(&mut self, input: &'g ValueInfoProto) -> Result<(), Refusal> {
        let name = input.name.as_deref().unwrap_or("");
        let refuse = |reason: String| Refusal::Input { name: name.to_string(), reason };
        let tensor = input.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
        let tensor = tensor.ok_or_else(|| refuse("is not a tensor".into()))?;
        if !matches!(tensor.elem_type, Some(proto::FLOAT | proto::DOUBLE)) {
            return Err(refuse("is not float or double".into()));
        }
        let dims = tensor.shape.as_ref().map_or(&[][..], |shape| &shape.dim[..]);
        let [batch, width] = dims else {
            return Err(refuse(format!("has {} dimensions; [batch, features] is expected", dims.len())));
        };
        if let Some(batch) = batch.dim_value {
            match usize::try_from(batch) {
                Ok(rows) if rows > 0 && self.batch.is_none_or(|known| known == rows) => {
                    self.batch = Some(rows)
                }
                _ => return Err(refuse(format!("has a batch of {batch}"))),
            }
        }
        let width = width.dim_value.ok_or_else(|| refuse("has no fixed number of features".into()))?;
        let width = match usize::try_from(width) {
            Ok(width) if (1..=WIDTH_MAX).contains(&width) => width,
            _ => return Err(refuse(format!("has {width} features; supported: 1 to {WIDTH_MAX}"))),
        };
        let columns: Vec<usize> = (self.columns..self.columns + width).collect();
        self.columns += width;
        if self.columns > WIDTH_MAX {
            return Err(Refusal::TooMany { what: "features in all graph inputs together", max: WIDTH_MAX });
        }
        self.define(name, Value::Row(Row { columns: Rc::new(columns), tail: None, width }))
    }

    fn run(mut self, graph: &'g GraphProto) -> Result<Network, Fault> {
        for (index, node) in graph.node.iter().enumerate() {
            self.node(node).map_err(|reason| Fault { node: Some(label(node, index)), reason })?;
        }
        let [output] = &graph.output[..] else {
            return Err(
                Refusal::Interface { what: "outputs", found: graph.output.len(), expected: "1" }.into()
            );
        };
        match self.look_up(output.name.as_deref().unwrap_or(""))? {
            Value::Row(row) => Ok(self.network(&row)?),
            Value::Constant(_) => Err(Refusal::Structure("the graph's output is a constant".into()).into()),
        }
    }

    fn node(&mut self, node: &'g NodeProto) -> Result<(), Refusal> {
        let domain = node.domain.as_deref().unwrap_or("");
        if !domain.is_empty() && domain != "ai.onnx" {
            return Err(Refusal::Domain(domain.to_string()));
        }
        let operator = node.op_type.as_deref().unwrap_or("");
        if !super::OPERATORS.contains(&operator) {
            return Err(Refusal::Operator);
        }
        let look_up = |name: &String| match name.as_str() {
            "" => Ok(None),
            name => self.look_up(name).map(Some),
        };
        let inputs = node.input.iter().map(look_up).collect::<Result<_, _>>()?;
        // Dropout's second output, its mask, stays undefined.
        let outputs_max = if operator == "Dropout" { 2 } else { 1 };
        let name = match &node.output[..] {
            [name, rest @ ..] if !name.is_empty() && rest.len() < outputs_max => name,
            outputs => return Err(Refusal::Count { what: "outputs", found: outputs.len(), expected: "1" }),
        };
        let value = match (Call { node, inputs, batch: self.batch }).apply()? {
            Effect::Value(value) => value,
            Effect::Stage(row, stage, width) => {
                self.stages.push((row.tail, stage));
                Value::Row(Row { tail: Some(self.stages.len() - 1), width, ..row })
            }
        };
        self.define(name, value)
    }

    fn define(&mut self, name: &'g str, value: Value) -> Result<(), Refusal> {
        match self.values.insert(name, value) {
            None => Ok(()),
            Some(_) => Err(Refusal::Duplicate(name.to_string())),
        }
    }

    fn look_up(&self, name: &str) -> Result<Value, Refusal> {
        match self.values.get(name) {
            Some(value) => Ok(value.clone()),
            None if self.made.contains(name) => Err(Refusal::Order(name.to_string())),
            None => Err(Refusal::Missing(name.to_string())),
        }
    }

    fn network(&self, row: &Row) -> Result<Network, Refusal> {
        let mut path = Vec::new();
        let mut at = row.tail;
        while let Some(index) = at {
            let (parent, stage) = &self.stages[index];
            path.push(stage);
            at = *parent;
        }
        path.reverse();
        let mut network = stages::fold(row.columns.len(), &path)?;
        if let Some(first) = network.layers.first_mut() {
            self.in_file_order(first, &row.columns);
        }
        Ok(network)
    }

    /// Rearranges a first layer of these columns to take all graph inputs in the file's order, whatever a Concat did
    /// with them. A column that nothing reads gets weights of zero.
    fn in_file_order(&self, first: &mut Layer, columns: &[usize]) {
        let mut weights = vec![0.0; first.outputs * self.columns];
        let rows = weights.chunks_exact_mut(self.columns).zip(first.weights.chunks_exact(first.inputs));
        for (wide, narrow) in rows {
            for (&column, weight) in columns.iter().zip(narrow) {
                wide[column] += weight;
            }
        }
        first.inputs = self.columns;
        first.weights = weights;
    }
}

pub(super) fn label(node: &NodeProto, index: usize) -> Box<FaultyNode> {
    let name = match node.name.as_deref() {
        None | Some("") => format!("#{index}"),
        Some(name) => name.to_string(),
    };
    Box::new(FaultyNode { name, operator: node.op_type.clone().unwrap_or_default() })
}
