//! What a quantised model is, byte for byte and integer for integer.
//!
//! This crate defines the snapshot file ([`Snapshot::decode`], [`encode`]), the arithmetic behind it, and executors
//! that run it. The scalar executor *is* the definition; every other one agrees with it bit for bit on the suite in
//! `tests/suite`. It does not train, quantise or import models, reads no file and no clock, and uses no floating
//! point. `no_std` with `alloc`; nothing allocates after [`Executable::new`] and [`Scratch::new`],
//! save for [`Executable::evaluate_rows`].
//!
//! Order of use: [`Snapshot::decode`], [`Executable::new`] with [`Executor::best`], one [`Scratch`] per core, then
//! [`Executable::quantise_row`] per decision and [`Executable::run`] per burst.
//!
//! `docs/snapshot-format.md` holds what somebody needs to write another executor.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

pub mod arith;
pub mod curve;
mod error;
mod exec;
mod format;
mod parts;
mod snapshot;
pub mod softmax;

pub use error::{Field, SnapshotError};
pub use exec::{Executable, Executor, Reason, Scratch, Unavailable};
pub use format::{FILE_BYTES_MAX, FORMAT_VERSION, encode};
pub use parts::{
    Activation, CURVE_ARGUMENT_ONE, CURVE_ONE, Function, INPUT_MULTIPLIER_MAX, INPUTS, InputParts, LAYERS,
    LayerParts, NAME_BYTES_MAX, Output, OutputParts, Parts, Precision, SHIFT_MAX, SHIFT_MIN, WIDE_SHIFT_MAX,
    WIDTH_MAX,
};
pub use snapshot::Snapshot;
