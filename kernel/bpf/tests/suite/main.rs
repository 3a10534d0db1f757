//! What the BPF programs compute, in the running kernel: the scalar executor's integers, and the shared trace's.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod controls;
mod exact;
mod trace;

/// Random models of any shape: the executors' own suite draws from the same.
#[path = "../../../../snapshot/tests/suite/models.rs"]
#[allow(dead_code, unreachable_pub)]
mod models;

/// What both executors of the kernel are held to.
#[path = "../../../../snapshot/tests/suite/cases.rs"]
mod cases;

use std::io::Write as _;
use weir_bpf::{Bench, BpfError};

/// The test programs, or why they cannot run here: loudly, and not where nothing may be skipped.
fn bench(test: &str) -> Option<Bench> {
    match Bench::new() {
        Ok(bench) => Some(bench),
        Err(error) => {
            skipped(test, &error);
            None
        }
    }
}

fn skipped(test: &str, error: &BpfError) {
    assert!(std::env::var_os("WEIR_REQUIRE_ALL").is_none_or(|value| value != "1"), "{test}: {error}");
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {error}");
}
