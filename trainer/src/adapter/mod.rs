//! A user's own tuner in a process of its own: LiteFlow's three user interfaces over a Unix socket.
//!
//! [`AdapterProcess`] is an [`Adapter`](crate::online::Adapter) whose work is done elsewhere. `docs/adapter-protocol.md`
//! is the reference for what crosses the socket, `trainer/python/` the other end in Python.
//!
//! The process is trusted with nothing. One that is hung, slow, dead or lying costs the trainer's thread at most one
//! deadline per connection, then a wait that doubles; each way of failing is a [`Fault`] with a counter. What it freezes
//! is read by the ordinary [ONNX import](crate::onnx) and then goes through the gate like any network.

mod backoff;
mod fault;
mod process;
mod stream;
mod watch;
mod wire;

pub use fault::{Fault, Reason};
pub use process::{AdapterProcess, Options, Subject};
pub use watch::Watch;
pub use wire::{FRAME_BYTES_MAX, MODEL_BYTES_MAX, ROWS_MAX, VERSION};
