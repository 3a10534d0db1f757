//! What emitted C computes, compiled in user space: the scalar executor's integers, and the shared traces'.
#![allow(clippy::expect_used, clippy::panic)]

mod cc;
mod features;
mod snapshots;
mod table;

/// Random models of any shape: the executors' own suite draws from the same.
#[path = "../../../../snapshot/tests/suite/models.rs"]
#[allow(dead_code, unreachable_pub)]
mod models;

/// What both executors of the kernel are held to.
#[path = "../../../../snapshot/tests/suite/cases.rs"]
mod cases;
