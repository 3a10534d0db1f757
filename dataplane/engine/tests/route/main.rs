//! Mode `route` in virtual time. Frames are built and judged by `etherparse`, an independent implementation.
//!
//! [`world::World`] checks after every turn of every test that the books balance and that nothing was allocated, and of
//! every frame that leaves that its checksums are right and its source is the port's own address.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper that fails fails its test"
)]

#[path = "../worker/allocations.rs"]
mod allocations;
mod books;
mod datagrams;
mod errors;
mod fleet;
mod flows;
mod forward;
mod fragments;
mod frames;
mod hostile;
mod limits;
mod local;
mod measure;
mod neighbours;
#[path = "../worker/networks.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod networks;
mod pair;
mod paths;
mod paths_model;
mod script;
mod workers;
mod world;
