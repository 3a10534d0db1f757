//! Decide what happens to each frame of a burst, given bytes, snapshots and the time.
//!
//! The engine is sans-IO: it opens no port, starts no thread, reads no clock and allocates nothing after
//! [`Worker::new`]. Frames come and go through [`io::PacketIo`], time is an argument ([`time::Ns`]), and models
//! are borrowed for one burst from an epoch reader. The same code therefore runs on a DPDK port, on a capture
//! file and in the simulator.
//!
//! Order of use: build an [`config::EngineConfig`], make one [`Worker`] per core, then call [`Worker::turn`]
//! for as long as the appliance runs and [`Worker::drain`] when it stops.
#![forbid(unsafe_code)]

pub mod balance;
mod byte_time;
pub mod config;
pub mod counters;
pub mod explore;
pub mod flow;
pub mod guard;
pub mod hash;
pub mod io;
pub mod limit;
pub mod models;
pub mod pace;
pub mod policy;
pub mod probe;
pub mod route;
pub mod rule;
pub mod sampler;
pub mod schedule;
mod sets;
pub mod steer;
pub mod time;
pub mod track;
pub mod verdict;
pub mod wheel;
pub mod wire;
pub mod worker;

pub use worker::Worker;
