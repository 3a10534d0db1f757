//! Raw bindings to the installed libdpdk: the names that `weir-dpdk` needs, as bindgen reads them from the
//! headers, and a C shim for what DPDK defines `static inline`. Everything here is unsafe to call; the rules
//! are DPDK's own (<https://doc.dpdk.org/api-22.11/>). Use `weir-dpdk` instead.
#![allow(unsafe_code, reason = "generated declarations of C functions")]

#[allow(
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    unsafe_op_in_unsafe_fn,
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    reason = "generated from C headers, which have other habits"
)]
mod bindings {
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}
pub use bindings::*;

/// The version of the libdpdk whose headers these bindings were made from, as pkg-config states it.
pub const DPDK_VERSION: &str = env!("WEIR_DPDK_VERSION");

#[cfg(test)]
mod tests;
