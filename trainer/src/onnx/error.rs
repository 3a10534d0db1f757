//! Why a model file was refused: one line that names file, node, operator and reason.

use std::fmt;
use std::path::{Path, PathBuf};

/// A refusal of a model file. `Display` gives one line.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportError {
    /// The file, as it was named to [`super::import()`].
    pub file: PathBuf,
    /// The node at fault, when the fault lies in one.
    pub node: Option<Box<FaultyNode>>,
    /// What is wrong.
    pub reason: Refusal,
}

/// A node as the file calls it.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultyNode {
    /// Its name, or `#index` where it has none.
    pub name: String,
    /// Its operator.
    pub operator: String,
}

impl ImportError {
    pub(super) fn new(file: &Path, fault: Fault) -> Self {
        Self { file: file.to_path_buf(), node: fault.node, reason: fault.reason }
    }
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file.display())?;
        if let Some(node) = &self.node {
            write!(f, "node '{}' ({}): ", clean(&node.name), clean(&node.operator))?;
        }
        write!(f, "{}", self.reason)
    }
}

impl std::error::Error for ImportError {}

/// A refusal before the file's name is added to it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fault {
    pub(super) node: Option<Box<FaultyNode>>,
    pub(super) reason: Refusal,
}

impl From<Refusal> for Fault {
    fn from(reason: Refusal) -> Self {
        Self { node: None, reason }
    }
}

/// What is wrong with a model file.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The file could not be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// A directory, a device or a pipe.
    #[error("not a regular file")]
    NotAFile,
    /// Larger than [`super::FILE_BYTES_MAX`].
    #[error("{found} bytes; a model file may have at most {max}")]
    TooLarge {
        /// Size of the file in bytes.
        found: u64,
        /// The limit in bytes.
        max: u64,
    },
    /// Not protobuf, or cut short.
    #[error("not a complete ONNX file (truncated or damaged): {0}")]
    Malformed(String),
    /// More nodes, tensors, attributes or shape entries than any supported model needs.
    #[error("more than {max} {what}")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// Valid protobuf without a graph in it.
    #[error("holds no ONNX graph")]
    NoGraph,
    /// No `opset_import` for the standard domain.
    #[error("names no version of the standard operator set")]
    NoOpset,
    /// The standard operator set's version is outside what is supported.
    #[error("operator set {found}; supported: {} to {}", super::OPSETS.start(), super::OPSETS.end())]
    Opset {
        /// The file's operator set version.
        found: i64,
    },
    /// A feature of ONNX that is outside the supported part.
    #[error("uses {0}, which is not supported")]
    Feature(&'static str),
    /// The operator is not in the closed set.
    #[error("operator not supported; supported: {}", super::OPERATORS.join(", "))]
    Operator,
    /// The operator is not one that a user's training graph may have.
    #[error("operator not supported; supported: {}", super::TRAINING_OPERATORS.join(", "))]
    TrainingOperator,
    /// The node's operator comes from another domain.
    #[error("operator of domain '{}' not supported; only the standard domain is", clean(.0))]
    Domain(String),
    /// An attribute that the operator does not have, or a value that is not supported.
    #[error("attribute '{}' {reason}", clean(.name))]
    Attribute {
        /// The attribute's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A wrong number of inputs or outputs.
    #[error("{found} {what}; {expected} expected")]
    Count {
        /// `inputs` or `outputs`.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many the operator takes.
        expected: &'static str,
    },
    /// A name that nothing defines.
    #[error("input '{}' is defined nowhere", clean(.0))]
    Missing(String),
    /// A name that is used before the node that defines it.
    #[error("input '{}' is used before the node that makes it (a cycle, or nodes out of order)", clean(.0))]
    Order(String),
    /// Two definitions of one name.
    #[error("'{}' is defined twice", clean(.0))]
    Duplicate(String),
    /// The graph has no inputs, or not one output.
    #[error("the graph has {found} {what}; {expected} expected")]
    Interface {
        /// `inputs` or `outputs`.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many are supported.
        expected: &'static str,
    },
    /// A graph input of another kind or shape than is expected: of a network, a float matrix [batch, features].
    #[error("graph input '{}' {reason}", clean(.name))]
    Input {
        /// The input's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A graph output that a training graph does not have, or of another shape.
    #[error("graph output '{}' {reason}", clean(.name))]
    Output {
        /// The output's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A training graph without one of its tensors.
    #[error("has no graph input or output '{0}', without which it is no training graph")]
    Absent(&'static str),
    /// A constant tensor that is inconsistent or not supported.
    #[error("tensor '{}' {reason}", clean(.name))]
    Tensor {
        /// The tensor's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Shapes that do not fit together.
    #[error("{0}")]
    Shape(String),
    /// An operand must be constant (an initialiser or a Constant node), or must not be.
    #[error("{0}")]
    Operand(String),
    /// The network computes nothing, or something that is no layered network.
    #[error("{0}")]
    Structure(String),
    /// Weights are finite one by one but not after folding constants into them.
    #[error("folding constants gives a weight that is infinite or not a number")]
    NotFinite,
}

/// Names come from the file: keep a hostile one from breaking the "one clear line" promise.
pub(super) fn clean(name: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 80;
    let mut shown: String =
        name.chars().take(SHOWN_CHARS_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if name.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push_str("...");
    }
    shown
}
