//! A deterministic packet-level world (links, queues, ECN, hosts, fabrics) that drives the datapath's own engine.
//!
//! ```text
//!  stack (TCP ends) ── Weir: weir_engine::Worker ── edge ── uplink ══ links, switches ══ uplink ── Weir ── stack
//!                                                                ║
//!                                                  sources (UDP) ╝
//! ```
//!
//! One thread, one seed, one clock that moves from event to event. Frames are real header bytes ([`frame`]); the engine under
//! test is the worker that runs on DPDK, through [`weir_engine::io::PacketIo`]. At the end of every run each frame is accounted
//! for ([`Books`]). The same seed gives the same digits on any machine: no hash map is iterated, and what is drawn goes through
//! additions, multiplications, divisions and square roots only ([`weir_env::math`]). One thing comes from outside: a model is quantised
//! from its ONNX file by [`weir_trainer`], whose tables use the C library's `tanh`; two machines whose libraries round it
//! differently may build different snapshots.
//!
//! [`train`] makes the model that chooses paths. [`experiment`] runs what `weir sim run` is told; [`stats`] and [`report`] say what came of it.
#![forbid(unsafe_code)]

mod books;
mod conn;
pub mod edge;
pub mod events;
pub mod experiment;
pub mod fabric;
pub mod frame;
pub mod link;
pub mod random;
pub mod report;
pub mod source;
pub mod stats;
pub mod tcp;
pub mod train;
pub mod weir;
pub mod workload;
mod world;

pub use books::Books;
pub use conn::{FlowReport, FlowSpec, Priority};
pub use frame::HostId;
pub use weir::{Weir, WeirConfig};
pub use world::{BOTTLENECK, Gauge, Script, World};
