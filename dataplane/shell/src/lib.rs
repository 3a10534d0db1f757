//! DPDK at the edge, threads, config, metrics, control: the composition root.
//!
//! `weir` the program is a thin `main` over this library, so that tests can reach its parts. Who may know whom:
//! [`config`] turns text into a checked plan and knows no thread; [`run`] builds threads from a plan; [`status`] is what
//! they show through [`http`], [`metrics`] and [`control`]; a worker speaks only through its [`board`].

mod acceptor;
pub mod board;
#[cfg(feature = "bpf")]
mod bpf_cmd;
pub mod calendar;
pub mod capture;
pub mod cli;
pub mod config;
pub mod control;
pub mod doctor;
pub mod http;
mod kernel;
mod kernel_cmd;
pub mod learning;
pub mod meter;
pub mod metrics;
pub mod models;
mod output;
pub mod report;
pub mod run;
mod sim_cmd;
mod snapshot_cmd;
pub mod status;
mod train_cmd;
pub mod version;
