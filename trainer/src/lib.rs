//! Turn samples into a snapshot worth publishing: ONNX import, quantiser, verification.
//!
//! ```text
//! file --onnx::import--> Network (f64) --quantise--> snapshot bytes --Snapshot::decode--> what workers run
//! ```
//!
//! [`build`] is the whole way for one `[[model]]` of a configuration. [`verify`](mod@verify) holds the integers against
//! the float network, and against ONNX Runtime where its library is installed. [`imitate`] trains the shipped starting
//! model from nothing, [`sizes`] the one that predicts flow sizes. [`graph`] writes a training step for a network as an
//! ordinary ONNX graph, and a [`learner`] runs it.
//!
//! Nothing here runs on a packet core, and nothing but [`ort_engine`], and what runs on it, needs ONNX Runtime.
#![forbid(unsafe_code)]

pub mod adapter;
pub mod gae;
pub mod graph;
pub mod imitate;
pub mod learner;
pub mod network;
pub mod online;
pub mod onnx;
pub mod ort_engine;
pub mod paths;
pub mod ppo;
pub mod quantise;
pub mod reward;
pub mod sizes;
pub mod spec;
pub mod store;
#[cfg(test)]
mod testing;
pub mod verify;

pub use spec::{BuildError, BuildReport, Built, InputSpec, ModelSpec, build};
pub use weir_env::rng;
