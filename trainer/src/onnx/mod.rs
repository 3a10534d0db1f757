//! ONNX in and out: a closed set of operators, anything else refused by name.
//!
//! [`import()`] reads a file and gives a [`Network`](crate::network::Network) or one line that says what is wrong and
//! where; it never skips a node it does not know, because a skipped node is another model. [`export()`] writes the
//! networks that Weir trains itself.

mod attributes;
mod error;
mod export;
mod import;
mod operators;
pub(crate) mod proto;
mod scan;
mod stages;
mod tensor;
mod training;
pub(crate) mod writer;

#[cfg(test)]
mod tests;

pub use error::{FaultyNode, ImportError, Refusal};
pub use export::export;
pub use import::{import, import_bytes};
pub use training::TRAINING_OPERATORS;
pub(crate) use training::{Slot, TrainingFile, check_training, read_training};

use std::ops::RangeInclusive;

/// Largest model file in bytes; a file is measured before it is read.
pub const FILE_BYTES_MAX: u64 = 64 << 20;

/// Supported versions of ONNX's standard operator set.
pub const OPSETS: RangeInclusive<i64> = 11..=21;

/// The closed set of operators.
pub const OPERATORS: [&str; 21] = [
    "Gemm",
    "MatMul",
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Relu",
    "LeakyRelu",
    "Clip",
    "Tanh",
    "Sigmoid",
    "HardSigmoid",
    "Identity",
    "Flatten",
    "Reshape",
    "Concat",
    "BatchNormalization",
    "Dropout",
    "Constant",
    "Softmax",
    "ArgMax",
];
