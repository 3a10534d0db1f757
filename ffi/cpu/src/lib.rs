//! Safe wrappers for what the packet path asks of the processor itself: prefetch hints, the time-stamp counter,
//! the spin hint, large pages, and on which core a thread runs; and a keyed hash and a search over several values
//! at once. No DPDK.
//!
//! On x86-64 these are single instructions. Elsewhere prefetch does nothing and the counter is the kernel's
//! `CLOCK_MONOTONIC_RAW`, so the crates above build and are right, only slower.
#![allow(unsafe_code, reason = "intrinsics: each call states why it cannot harm")]

mod affinity;
mod lanes;
mod large;
mod model;
mod prefetch;
mod siphash;
mod tsc;

pub use affinity::{CpuError, allowed_cpus, current_cpu, permitted_cpus, pin_current_thread};
pub use lanes::equal_lanes;
pub use large::large_slice;
pub use model::cpu_model;
pub use prefetch::{CACHE_LINE, prefetch_element, prefetch_headers};
pub use siphash::{TwoWords, siphash13_two_words};
pub use tsc::{Calibration, TscClock, TscError, TscSource, tsc};

/// Tells the core that the caller polls: it may give way to its sibling thread and leave the loop with less
/// speculation to undo. The thread keeps its time slice.
#[inline(always)]
pub fn spin_hint() {
    core::hint::spin_loop();
}
