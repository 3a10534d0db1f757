//! The struct_ops twin: Weir's congestion controls as BPF programs for the host's own kernel.
//!
//! `weir_yield` leaves a flow's rate to a Weir on its way; `weir_aurora` runs a pacing snapshot itself, the same bytes that
//! the datapath runs, with the same features. Both are attached by [`Bpf`] and stay until they are detached.
//!
//! The programs are C (`c/`), compiled when this crate is built. Features and arithmetic are the text that the kernel module
//! shares (`kernel/module/`).
#![forbid(unsafe_code)]

mod bench;
mod control;
mod error;
mod net;
mod object;
mod preflight;

pub use bench::Bench;
pub use control::{AuroraStatus, Bpf, Congestion, Rates, Stats, Swapper};
pub use error::BpfError;
pub use net::Header;
