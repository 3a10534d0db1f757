//! An EAL for tests: no hugepages, no PCI, no root, nothing written outside the process.
//!
//! EAL starts once per process, and `cargo test` runs the tests of one binary as threads of one process. All of
//! them share this EAL, so each must use device and pool names of its own.
#![allow(clippy::panic, reason = "a test that cannot have its EAL has failed")]

use crate::{Eal, EalConfig, Lcore, LogLevel};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Ordinary memory for all pools of one test binary, in MB.
const MEMORY_MB: u32 = 128;

/// Worker lcores to share between the tests of one binary.
const WORKERS: usize = 2;

static EAL: OnceLock<(Eal, Mutex<Vec<Lcore>>)> = OnceLock::new();

/// The process's EAL, started at the first call. The calling thread is not bound to a core.
///
/// # Panics
/// EAL does not start.
pub fn eal() -> Eal {
    start().0
}

/// A worker core that no other test has. Not given back: ask once per test.
///
/// # Panics
/// EAL does not start, or all worker cores are taken.
pub fn worker() -> Lcore {
    let idle = start().1.lock().unwrap_or_else(PoisonError::into_inner).pop();
    idle.unwrap_or_else(|| panic!("all {WORKERS} worker lcores of this test binary are taken"))
}

fn start() -> &'static (Eal, Mutex<Vec<Lcore>>) {
    EAL.get_or_init(|| {
        // On a thread of its own: starting EAL binds the caller to a core.
        let starting = std::thread::spawn(|| {
            let cpus = weir_cpu::allowed_cpus()?;
            let config = EalConfig {
                hugepages: false,
                memory_mb: MEMORY_MB,
                main_cpu: cpus[0],
                worker_cpus: cpus.iter().copied().cycle().skip(1).take(WORKERS).collect(),
                devices: Vec::new(),
                log_level: LogLevel::Warning,
            };
            Eal::init(&config)
        });
        match starting.join() {
            Ok(Ok((eal, workers))) => (eal, Mutex::new(workers)),
            Ok(Err(error)) => panic!("{error}"),
            Err(payload) => std::panic::resume_unwind(payload),
        }
    })
}
