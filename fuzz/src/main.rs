//! Hostile bytes for everything in Weir that reads bytes.
//!
//! `weir-fuzz parser=200000 worker=5000` first replays the inputs that broke a target once (`crashes/TARGET/*`), then
//! makes and checks so many inputs. An input depends on the target, the seed and its number only, so that
//! `weir-fuzz --seed S --from N parser=1` makes the very one again. docs/decisions/0006-fuzzing.md says why this is
//! no libFuzzer.
#![forbid(unsafe_code)]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a fuzzer tells what it has found by panicking, and its own faults too"
)]

mod mutate;
mod protobuf;
mod run;
mod seeds;
mod targets;

use clap::Parser;
use run::Budget;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

/// Checks seeded hostile inputs.
#[derive(Parser)]
struct Arguments {
    /// Seed of all inputs; from the clock unless given.
    #[arg(long)]
    seed: Option<u64>,
    /// Number of the first input.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Targets, each with how many inputs it gets.
    #[arg(required = true, value_name = "TARGET=INPUTS")]
    budgets: Vec<Budget>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs());
    let seed = arguments.seed.unwrap_or_else(clock);
    println!("seed {seed}");
    for budget in &arguments.budgets {
        match run::run(budget, seed, arguments.from) {
            Ok(done) => println!("{done}"),
            Err(failure) => {
                eprintln!("{failure}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
