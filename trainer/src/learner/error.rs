//! Why a learner has not taken a step, or is none.

use crate::graph::GraphError;
use crate::ort_engine::EngineError;

/// A refusal. `Display` gives one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LearnerError {
    /// There is no training graph for the network.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// ONNX Runtime is missing, or refuses the graph, or fails in it.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The network is not the one that the training graph is for.
    #[error("a network of shape {found}; the training graph is for {expected}, with its activations")]
    Shape {
        /// Widths that the graph is for.
        expected: String,
        /// Widths of the network.
        found: String,
    },
    /// A batch that does not fit the head.
    #[error("batch: {tensor} {reason}")]
    Batch {
        /// The tensor at fault.
        tensor: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// No learning rate.
    #[error("learning rate {0}: a finite number of at least 0 is expected")]
    LearningRate(f64),
    /// A step, a network or a checkpoint holds an infinity or no number.
    #[error(
        "{0} would not be finite; nothing was changed: look for such values in the batch, or lower the learning rate"
    )]
    NotFinite(&'static str),
    /// A checkpoint of another network.
    #[error("a state of {found} parameters; the training graph has {expected}")]
    State {
        /// Parameters of the graph.
        expected: usize,
        /// Parameters of the state.
        found: usize,
    },
    /// The training graph has broken its promise about an output's shape.
    #[error("training graph: output '{name}' has {found} elements, not {expected}")]
    Output {
        /// The output.
        name: String,
        /// Elements that it should have.
        expected: usize,
        /// Elements that it has.
        found: usize,
    },
}
