//! `weir-link`: a link between two tap devices, from the command line.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use serde::Serialize;
use weir_link::live::{HostReport, Live, Options};
use weir_link::{Change, Direction, Report, Scheduled, Settings, TapName, control, parse_span};

/// A seeded user-space link between two tap devices.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make two taps and carry frames between them until killed. Prints `ready` once the taps exist.
    Run(Run),
    /// Change a running link: `weir-link set --control PATH both rate=50Mbps`.
    Set {
        /// The running link's control socket.
        #[arg(long)]
        control: PathBuf,
        /// up, down or both, then KEY=VALUE...: see `weir-link run --help`.
        #[arg(required = true)]
        change: Vec<String>,
    },
    /// Print a running link's state as JSON.
    Show {
        /// The running link's control socket.
        #[arg(long)]
        control: PathBuf,
    },
}

/// A CHANGE is a direction (up = a to b, down, both) and settings:
/// rate=50Mbps|none  delay=10ms  queue=500kB  loss=1%  ecn=100kB|none  queues=shared|fair.
/// Without one the link has 100 Mb/s, 10 ms, a queue of 500 kB, no loss and no ECN each way.
#[derive(Args)]
#[command(verbatim_doc_comment)]
struct Run {
    /// Device at one end, NAME or NAME@NETNS.
    #[arg(long)]
    a: TapName,
    /// Device at the other end.
    #[arg(long)]
    b: TapName,
    /// CHANGE at the start; may be repeated.
    #[arg(long = "set", value_name = "CHANGE")]
    changes: Vec<Change>,
    /// CHANGE later: "10s both rate=50Mbps"; may be repeated.
    #[arg(long = "at", value_name = "SPAN CHANGE")]
    schedule: Vec<Scheduled>,
    /// Seed of the loss patterns, one stream per direction.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Unix socket to listen at for `weir-link set` and `show`.
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
    /// File for reports, one JSON object per line.
    #[arg(long, value_name = "PATH")]
    stats: Option<PathBuf>,
    /// How often to report.
    #[arg(long, value_name = "SPAN", default_value = "50ms", value_parser = parse_span)]
    every: u64,
    /// CPU to stay on.
    #[arg(long)]
    cpu: Option<usize>,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    link: &'a Report,
    #[serde(flatten)]
    host: &'a HostReport,
}

fn run(run: &Run) -> Result<()> {
    if run.every == 0 {
        bail!("--every must not be 0");
    }
    if let Some(cpu) = run.cpu {
        let mut set = CpuSet::new();
        set.set(cpu).with_context(|| format!("no CPU {cpu}"))?;
        sched_setaffinity(Pid::from_raw(0), &set).with_context(|| format!("cannot stay on CPU {cpu}"))?;
    }
    let mut settings = [Settings::default(); 2];
    for change in &run.changes {
        for direction in Direction::ALL.into_iter().filter(|&direction| change.target.includes(direction)) {
            change.settings.iter().for_each(|&setting| settings[direction as usize].set(setting));
        }
    }
    let mut stats = match &run.stats {
        Some(path) => Some(File::create(path).with_context(|| format!("cannot write {}", path.display()))?),
        None => None,
    };
    let mut live = Live::open(&Options {
        taps: [run.a.clone(), run.b.clone()],
        settings,
        seed: run.seed,
        schedule: run.schedule.clone(),
        report_every_ns: run.every,
    })?;
    if let Some(path) = &run.control {
        live.listen(path)?;
    }
    eprintln!("up: {}; down: {}", settings[0], settings[1]);
    println!("ready");
    let mut failure = Ok(());
    while failure.is_ok() {
        live.turn(&mut |link, host| {
            if let Some(file) = &mut stats {
                failure = write_line(file, &Line { link, host });
            }
        })?;
    }
    failure.context("cannot write the reports")
}

/// Whole lines only, each at once: a reader may follow, and a kill may come at any time.
fn write_line(file: &mut File, line: &Line<'_>) -> Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    Ok(file.write_all(&text)?)
}

fn ask(path: &Path, line: &str) -> Result<()> {
    let answer =
        control::request(path, line).with_context(|| format!("no link answers at {}", path.display()))?;
    match answer.strip_prefix("ok") {
        Some(rest) => println!("{}", rest.trim_start()),
        None => bail!("{}", answer.strip_prefix("error: ").unwrap_or("the link closed the connection")),
    }
    Ok(())
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(options) => run(&options),
        Command::Set { control, change } => ask(&control, &format!("set {}", change.join(" "))),
        Command::Show { control } => ask(&control, "show"),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weir-link: {error:#}");
            ExitCode::FAILURE
        }
    }
}
