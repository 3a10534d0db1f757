//! One suite for every executor, and the tests of the file format. `executors.rs` lists the cases that an executor
//! must pass and runs them on each; a new executor inherits them all.

#![allow(clippy::expect_used, clippy::panic, reason = "tests; the lints know only functions marked #[test]")]

mod decode;
mod document;
mod executors;
mod fidelity;
mod float;
mod golden;
mod models;
mod reference;
