//! `make bench-path`: Weir's packet path against DPDK's testpmd and l3fwd.
//!
//! Each program runs alone on one core, in turn, over the ports of `source/weirgen.c`, and is measured in the same way:
//! frames by the source's own count at transmission, time by the kernel's account of the polling thread. See
//! `bench/path/README.md` for what is fair about it and what is not.
//!
//! Fails when frames are lost, when Weir's books do not balance, or when nothing was decided where something should be.
#![forbid(unsafe_code)]

mod board;
mod exposition;
mod figure;
mod plan;
mod program;
mod report;
mod trial;

use anyhow::{Context, Result};
use clap::Parser;
use plan::Plan;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

/// Measures Weir's packet path against testpmd and l3fwd.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// Folder with l3fwd and libweirgen.so, as bench/path/peers.sh makes it.
    #[arg(long, default_value = "target/peers")]
    peers: PathBuf,
    /// The program under test, built with DPDK.
    #[arg(long, default_value = "target/release/weir")]
    weir: PathBuf,
    /// The configuration whose pacing and model Weir runs; rates are the bench's.
    #[arg(long, default_value = "conf/demo.toml")]
    demo: PathBuf,
    /// Where table, JSON and figures go.
    #[arg(long, default_value = "out/bench")]
    out: PathBuf,
    /// Times that every program is started; rounds are interleaved.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The core that polls.
    #[arg(long, default_value_t = 1)]
    core: usize,
    /// Only trials whose group or name contains this.
    #[arg(long, default_value = "")]
    only: String,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench-path: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every check held.
fn run(args: &Args) -> Result<bool> {
    for needed in [&args.weir, &args.demo, &args.peers.join("l3fwd"), &args.peers.join("libweirgen.so")] {
        needed
            .metadata()
            .with_context(|| format!("{} is missing: run `make bench-path`", needed.display()))?;
    }
    fs::create_dir_all(&args.out).with_context(|| format!("cannot make {}", args.out.display()))?;
    let outcomes = trial::run(args, &Plan::new(&args.only))?;
    let report = report::Report::new(&outcomes);
    let text = report.text();
    print!("{text}");
    fs::write(args.out.join("path.txt"), &text)?;
    fs::write(args.out.join("path.json"), serde_json::to_string_pretty(&outcomes)?)?;
    figure::stages(&args.out.join("path-stages.svg"), &outcomes)?;
    figure::slope(&args.out.join("path-slope.svg"), &outcomes)?;
    println!("{0}/path.txt, path.json, path-stages.svg, path-slope.svg", args.out.display());
    Ok(report.faults().is_empty())
}
