//! Adaptation while traffic flows: samples in, now and then a snapshot worth publishing out.
//!
//! An [`Adapter`] tunes the float network on a [`Batch`] of transitions. It is LiteFlow's user interface (freeze,
//! evaluate, adapt; SIGCOMM 2022) with a way back added: what Weir tunes itself and what a user's own process tunes look
//! the same from here.

mod adapter;
mod batch;

pub mod examples;
pub mod gate;
pub mod paths;
pub mod replay;

pub use adapter::{AdaptError, AdaptReport, Adapter};
pub use batch::{Batch, Row};
