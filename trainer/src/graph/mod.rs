//! Training graphs: one gradient step as an ordinary ONNX file.
//!
//! ```text
//! p m v t lr, batch --> [ forward | loss | backward | Adam ] --> p_next m_next v_next t_next loss ...
//! ```
//!
//! [`TrainingGraph::build`] writes the forward pass of a network, a loss [`Head`], the gradient by reverse-mode
//! differentiation (a tape, and a rule for each operator), and Adam. The result is plain operator set 17 and runs in any
//! ONNX engine; ONNX Runtime's training packages are not needed. All parameters are one vector, because one concatenation
//! is cheaper than an optimiser for each tensor. `docs/training-graph.md` has the names and shapes.

mod adam;
mod head;
pub(crate) mod interface;
mod layout;
mod loss;
mod nodes;
mod rules;
mod tape;

#[cfg(test)]
mod tests;

pub use head::{AdamOptions, Bandit, Head, LogStd, PpoHead, Regression};
pub(crate) use layout::Layout;

use crate::network::Network;
use crate::onnx::{ImportError, TrainingFile, check_training, read_training};
use loss::Parts;
use nodes::{Rows, Shape, Tape, Value};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::path::Path;

/// A training graph, and the network shape and head that it is for.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingGraph {
    bytes: Vec<u8>,
    layout: Layout,
    head: Head,
    /// Graph inputs that it has.
    inputs: Vec<&'static str>,
}

/// Why a network has no training graph.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// The network has no layers.
    #[error("a network without layers has nothing to train")]
    Empty,
    /// A layer does not fit the one before, or its weights do not fit its widths.
    #[error("layer {0}: widths and weights do not fit together")]
    Layer(usize),
    /// The network ends in an index.
    #[error("the network ends in ArgMax, which has no gradient: train it with Softmax at its end instead")]
    ArgMax,
    /// The network's outputs are not what the head needs.
    #[error("head {head} needs a network with {expected}")]
    Output {
        /// The head's name.
        head: &'static str,
        /// What it needs.
        expected: &'static str,
    },
    /// A setting of the head or of the optimiser is out of its range.
    #[error("{name} = {value}: {expected} is expected")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: f64,
        /// Its range.
        expected: &'static str,
    },
    /// A user's training graph that is none, or not one for this network and head.
    #[error(transparent)]
    File(#[from] ImportError),
}

impl TrainingGraph {
    /// Builds the training graph of a network's shape; its weights are no part of it.
    ///
    /// # Errors
    /// [`GraphError`] when the head cannot train the network, or a setting is out of range.
    pub fn build(network: &Network, head: &Head, adam: &AdamOptions) -> Result<Self, GraphError> {
        head.check()?;
        adam.check()?;
        let layout = Layout::new(network, head)?;
        let bytes = write(&layout, head, adam);
        let inputs = interface::inputs(&layout, head).iter().map(|slot| slot.name).collect();
        Ok(Self { bytes, layout, head: *head, inputs })
    }

    /// Reads a user's own training graph for a network's shape. Loss and optimiser are the file's; of `head` it takes the
    /// kind, which says what a batch is made of, and whether a log deviation is trained.
    ///
    /// The file is configuration, not input from a stranger: it is checked (size, operators, names, types, shapes), but
    /// what it computes may take any time and memory that arithmetic on its tensors can take.
    ///
    /// # Errors
    /// [`GraphError::File`] with one line that says what is wrong in it and where; others as [`build`](Self::build).
    pub fn read(path: &Path, network: &Network, head: &Head) -> Result<Self, GraphError> {
        Self::from_bytes(&read_training(path)?, path, network, head)
    }

    /// Reads a user's own training graph from memory; `name` is what errors call it.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn from_bytes(bytes: &[u8], name: &Path, network: &Network, head: &Head) -> Result<Self, GraphError> {
        head.check()?;
        let layout = Layout::new(network, head)?;
        let (inputs, outputs) = (interface::inputs(&layout, head), interface::outputs(layout.parameters()));
        let TrainingFile { bytes, inputs } = check_training(bytes, name, &inputs, &outputs)?;
        Ok(Self { bytes, layout, head: *head, inputs })
    }

    /// The ONNX file: as it was built (the same network shape, head and settings give the same bytes), or what was
    /// understood of the one that was read.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of the file, hexadecimal: what a log says a model was trained by.
    pub fn hash(&self) -> String {
        let mut text = String::new();
        for byte in Sha256::digest(&self.bytes) {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// Length of the vector of parameters.
    pub fn parameters(&self) -> usize {
        self.layout.parameters()
    }

    /// What the network is trained for.
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// Whether the graph has an input of this name.
    pub(crate) fn takes(&self, input: &str) -> bool {
        self.inputs.contains(&input)
    }

    pub(crate) const fn layout(&self) -> &Layout {
        &self.layout
    }
}

fn write(layout: &Layout, head: &Head, adam: &AdamOptions) -> Vec<u8> {
    let mut tape = Tape::default();
    let length = layout.parameters();
    let [p, m, v] = ["p", "m", "v"].map(|name| tape.input(name, Shape::Vector(length)));
    let [t, lr] = ["t", "lr"].map(|name| tape.input(name, Shape::Vector(1)));
    let per_row = match head {
        Head::Bandit(Bandit::Options { options, .. }) => *options,
        _ => 1,
    };
    let x = tape.input("x", Shape::Matrix(Rows::Batch(per_row), layout.inputs()));
    let weight = tape.input("weight", Shape::Matrix(Rows::Batch(1), 1));
    let weights = tape.normalised(weight);

    let parameters = parameters(&mut tape, layout, p);
    let mut output = x;
    for (shape, pair) in layout.layers.iter().zip(parameters.chunks_exact(2)) {
        let sums = tape.gemm(output, pair[0], Some(pair[1]));
        output = tape.activation(shape.activation, sums);
    }
    let log_std = parameters.get(2 * layout.layers.len()).copied();
    let loss = tape.loss(head, &Parts { output, outputs: layout.outputs(), log_std, weights });

    let gradients: Vec<Value> = tape
        .gradient(loss.value, &parameters)
        .into_iter()
        .map(|gradient| tape.reshaped(gradient, Shape::Vector(tape.length(gradient))))
        .collect();
    let gradient = tape.concat(&gradients);
    tape.adam(adam, adam::State { p, m, v, t, lr }, gradient);
    tape.output("loss", loss.value);
    for (name, value) in loss.diagnostics {
        tape.output(name, value);
    }
    tape.finish(&format!("weir_{}", head.name()))
}

/// Cuts the vector of parameters: weights and bias of each layer, then a trained log deviation.
fn parameters(tape: &mut Tape, layout: &Layout, p: Value) -> Vec<Value> {
    let mut shapes: Vec<(usize, usize)> = Vec::new();
    for layer in &layout.layers {
        shapes.extend([(layer.inputs, layer.outputs), (1, layer.outputs)]);
    }
    if layout.log_stds > 0 {
        shapes.push((1, layout.log_stds));
    }
    let lengths: Vec<usize> = shapes.iter().map(|(rows, columns)| rows * columns).collect();
    let pieces = tape.split(p, &lengths);
    pieces
        .into_iter()
        .zip(shapes)
        .map(|(piece, (rows, columns))| tape.reshaped(piece, Shape::Matrix(Rows::Fixed(rows), columns)))
        .collect()
}
