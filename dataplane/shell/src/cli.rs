//! The command line.

use crate::config::ConfigError;
use crate::control::client;
use crate::{doctor, kernel_cmd, models, run, sim_cmd, snapshot_cmd, train_cmd, version};
use clap::{Args, Parser, Subcommand};
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// A learned host datapath: forwards frames between two ports and paces TCP flows by a quantised neural network.
#[derive(Debug, Parser)]
#[command(name = "weir", version, long_version = version::long())]
#[command(after_help = "Log level: set WEIR_LOG to error, warn, info (default) or debug.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a configuration until SIGTERM or Ctrl-C, or until its capture files end.
    Run(ConfigArgs),
    /// The trainer of a configuration in front of the kernel's core (`weir snapshot kernel`): learns from the flows of
    /// `weir_aurora`, and publishes there what passes the gate. Until SIGTERM or Ctrl-C.
    KernelTrainer(ConfigArgs),
    /// Check a configuration and all that it names, quantise its models, and say what would run. Needs no NIC, no
    /// hugepages, no DPDK, and changes nothing.
    Check(ConfigArgs),
    /// Look at this machine: what helps Weir, what hinders it, and the command that changes it. Changes nothing itself.
    Doctor(doctor::DoctorArgs),
    /// Speak to a running weir over its control socket.
    Ctl(client::CtlArgs),
    /// Congestion controls for this host's own kernel, as BPF programs: one that leaves the rate to a Weir on the way, and
    /// one that runs a pacing network itself. Needs root, and a kernel with BTF.
    #[cfg(feature = "bpf")]
    Bpf {
        #[command(subcommand)]
        command: crate::bpf_cmd::BpfCommand,
    },
    /// Networks of the kernel's core (`weir snapshot kernel` writes it): `weir_aurora` paces by them, `weir_select` chooses
    /// paths and priorities. Needs root, and the core loaded.
    Kernel {
        #[command(subcommand)]
        command: kernel_cmd::KernelCommand,
    },
    /// Make, read and verify quantised models.
    Snapshot {
        #[command(subcommand)]
        command: SnapshotCommand,
    },
    /// Train models from nothing.
    Train {
        #[command(subcommand)]
        command: TrainCommand,
    },
    /// Experiments in virtual time: the datapath's own engine between simulated hosts and links.
    Sim {
        #[command(subcommand)]
        command: SimCommand,
    },
}

/// A configuration on a command line.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The configuration file (TOML). Paths in it are relative to it.
    pub config: PathBuf,
    /// Override one key, as in `--set pacing.rate_max=1Gbps` or `--set model[0].precision=12bit`. The value is TOML,
    /// or plain text where it is not; nothing after `=` takes the key away. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum SnapshotCommand {
    /// Quantise an ONNX file into a snapshot.
    Build(snapshot_cmd::BuildArgs),
    /// Print what a snapshot is.
    Inspect(snapshot_cmd::InspectArgs),
    /// Hold a snapshot's integers against its ONNX file in floating point.
    Verify(snapshot_cmd::VerifyArgs),
    /// Write a snapshot as C, with Weir's kernel modules: a folder that Kbuild makes into modules.
    Kernel(snapshot_cmd::KernelArgs),
}

#[derive(Debug, Subcommand)]
enum SimCommand {
    /// Run an experiment's file: every scheme in every case with every seed, one table, and whether what the file expects
    /// holds. Same file, same seeds, same digits.
    Run(sim_cmd::SimArgs),
}

#[derive(Debug, Subcommand)]
enum TrainCommand {
    /// Train a pacing model by reinforcement in the small link world, from nothing, and write its card. Takes minutes on one
    /// core and needs ONNX Runtime; a training that was stopped goes on with --resume.
    Aurora(train_cmd::AuroraArgs),
    /// The same for a model that is shown a preference between throughput, latency and loss besides: mocc.onnx.
    Mocc(train_cmd::MoccArgs),
    /// Train the model that chooses paths, supervised by what the simulator knows: balance.onnx. Takes minutes.
    Balance(train_cmd::BalanceArgs),
    /// Train a network that predicts flow sizes, on the flows of made-up jobs: schedule.onnx.
    Schedule(train_cmd::ScheduleArgs),
    /// Train the starting model, a network that imitates a classical delay-based controller, and write its card.
    /// Takes a few minutes; what is there stays unless the new model passes its checks.
    Imitate(models::ImitateArgs),
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log();
    let done = match cli.command {
        Command::Doctor(args) => return ended(doctor::doctor(&args)),
        Command::Ctl(args) => return ended(client::ctl(&args)),
        Command::Sim { command: SimCommand::Run(args) } => return ended(sim_cmd::run(&args)),
        Command::Run(args) => run::run(&args.config, &args.overrides),
        Command::KernelTrainer(args) => run::kernel_trainer(&args.config, &args.overrides),
        Command::Check(args) => models::check(&args.config, &args.overrides),
        #[cfg(feature = "bpf")]
        Command::Bpf { command } => crate::bpf_cmd::bpf(&command),
        Command::Kernel { command } => kernel_cmd::kernel(&command),
        Command::Snapshot { command } => match command {
            SnapshotCommand::Build(args) => snapshot_cmd::build(&args),
            SnapshotCommand::Inspect(args) => snapshot_cmd::inspect(&args),
            SnapshotCommand::Verify(args) => snapshot_cmd::verify(&args),
            SnapshotCommand::Kernel(args) => snapshot_cmd::kernel(&args),
        },
        Command::Train { command } => match command {
            TrainCommand::Aurora(args) => train_cmd::aurora(&args),
            TrainCommand::Mocc(args) => train_cmd::mocc(&args),
            TrainCommand::Balance(args) => train_cmd::balance(&args),
            TrainCommand::Schedule(args) => train_cmd::schedule(&args),
            TrainCommand::Imitate(args) => models::imitate(&args),
        },
    };
    ended(done.map(|()| ExitCode::SUCCESS))
}

/// The exit status; an error goes to standard error.
pub fn ended(done: anyhow::Result<ExitCode>) -> ExitCode {
    match done {
        Ok(status) => status,
        Err(error) => {
            eprintln!("{}", one_line(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes on one line. A configuration's error begins with its place, as editors expect it; any
/// other says who speaks.
fn one_line(error: &anyhow::Error) -> String {
    let text = format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ");
    if error.is::<ConfigError>() { text } else { format!("weir: {text}") }
}

/// Sends what the library logs to standard error, from the level that `WEIR_LOG` names.
pub fn start_log() {
    let filter = EnvFilter::try_from_env("WEIR_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}
