//! `weir run` behind an access control list: everything that `weir` does, with a capsule pipeline in front of each
//! worker. README.md beside this file says how to run it.
#![forbid(unsafe_code)]

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tracing::info;
use weir_capsule::acl::{self, AclStage};
use weir_shell::cli::{ConfigArgs, ended, start_log};
use weir_shell::{models, run};

/// How often what was denied since the last time is logged.
const NEWS_EVERY: Duration = Duration::from_secs(10);
/// How long the end waits for whoever logs it.
const STEP: Duration = Duration::from_millis(100);

/// A learned host datapath behind an access control list.
#[derive(Debug, Parser)]
#[command(name = "acl")]
#[command(after_help = "Log level: set WEIR_LOG to error, warn, info (default) or debug.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a configuration behind the list until SIGTERM or Ctrl-C, then print what each rule decided.
    Run(Files),
    /// Check the configuration and the list, and print the rules in their order. Changes nothing.
    Check(Files),
}

#[derive(Debug, Args)]
struct Files {
    #[command(flatten)]
    weir: ConfigArgs,
    /// The list (TOML); `acl.toml` beside the configuration unless given.
    #[arg(long)]
    acl: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log();
    let done = match &cli.command {
        Command::Run(files) => forward(files),
        Command::Check(files) => check(files),
    };
    ended(done.map(|()| ExitCode::SUCCESS))
}

fn load(files: &Files) -> anyhow::Result<AclStage> {
    let file = files.acl.clone().unwrap_or_else(|| files.weir.config.with_file_name("acl.toml"));
    Ok(AclStage::new(acl::load(&file).context("access control list")?))
}

fn check(files: &Files) -> anyhow::Result<()> {
    let stage = load(files)?;
    models::check(&files.weir.config, &files.weir.overrides)?;
    print!("{stage}");
    Ok(())
}

fn forward(files: &Files) -> anyhow::Result<()> {
    let stage = load(files)?;
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| log_news(&stage, &over));
        let _over = SetLast(&over);
        let front = stage.clone();
        run::run_behind(&files.weir.config, &files.weir.overrides, move |worker, io| front.put(worker, io))
    })?;
    print!("{}", stage.report());
    Ok(())
}

/// Ends the log's thread however the run ends.
struct SetLast<'a>(&'a AtomicBool);

impl Drop for SetLast<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Logs what was denied meanwhile, by reason, as long as anything is.
fn log_news(stage: &AclStage, over: &AtomicBool) {
    let mut last = stage.report();
    let mut due = Instant::now() + NEWS_EVERY;
    while !over.load(Ordering::Relaxed) {
        std::thread::sleep(STEP);
        if Instant::now() < due {
            continue;
        }
        due += NEWS_EVERY;
        let now = stage.report();
        let news: Vec<String> = now
            .lines
            .iter()
            .zip(&last.lines)
            .filter(|(line, before)| line.action == "deny" && line.frames > before.frames)
            .map(|(line, before)| format!("{} {}", line.reason, line.frames - before.frames))
            .collect();
        if !news.is_empty() {
            info!("denied in the last {} s: {}", NEWS_EVERY.as_secs(), news.join(", "));
        }
        last = now;
    }
}
