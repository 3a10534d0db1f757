//! `weir ctl`: the operator's end of the control socket.

use super::learning::Changed;
use super::protocol::{Answer, Body, Command, ReloadResult, Reloaded, Request, VERSION};
use super::{connect, models_screen, screen};
use crate::config;
use crate::output::{self, Reading};
use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Exit status: what was asked for was refused.
const REFUSED: u8 = 1;
/// Exit status: there is no Weir to ask, or it does not answer.
const UNREACHABLE: u8 = 2;
/// For the connection.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// For a status.
const STATUS_MAX: Duration = Duration::from_secs(5);
/// For a reload: models are read and quantised before the answer.
const RELOAD_MAX: Duration = Duration::from_secs(60);
/// For a rollback and its like: the trainer may be in the midst of a step, and a worker be stuck.
const CHANGE_MAX: Duration = Duration::from_secs(30);
/// Bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 1 << 20;
/// Between two screens of `--watch`.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// Cursor home, and clear from there to the end.
const HOME: &str = "\x1b[H\x1b[J";

/// Arguments of `weir ctl`.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 done; 1 refused, with the reason; 2 no weir answers at the socket.")]
pub struct CtlArgs {
    /// The control socket of the weir to speak to.
    #[arg(long, value_name = "PATH", default_value = config::SOCKET_DEFAULT)]
    socket: PathBuf,
    /// Take the socket from this configuration's [control] instead. The rest of the file may be broken.
    #[arg(long, value_name = "FILE", conflicts_with = "socket")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: CtlCommand,
}

#[derive(Debug, Subcommand)]
enum CtlCommand {
    /// Read the configuration again. A bad file changes nothing.
    Reload,
    /// Show ports, workers, models and the last reload.
    Status {
        /// Print the answer as one line of JSON.
        #[arg(long)]
        json: bool,
        /// Print again every second, until Ctrl-C.
        #[arg(long)]
        watch: bool,
    },
    /// Show each model's generations, what the gate made of candidates, and how learning goes.
    Models {
        /// Print the answer as one line of JSON.
        #[arg(long)]
        json: bool,
    },
    /// Publish the generation before the active one again. What was learned since is forgotten.
    Rollback(ModelArgs),
    /// Publish nothing that is learned, until a resume.
    Freeze(ModelArgs),
    /// Learn and publish again.
    Resume(ModelArgs),
}

#[derive(Debug, Args)]
struct ModelArgs {
    /// The model's name. May be left out where one learns.
    model: Option<String>,
}

/// Runs `weir ctl`.
///
/// # Errors
/// `--config` names a file without a socket, or the output cannot be written.
pub fn ctl(args: &CtlArgs) -> anyhow::Result<ExitCode> {
    let socket = match &args.config {
        Some(file) => config::control_socket(file)?,
        None => args.socket.clone(),
    };
    match &args.command {
        CtlCommand::Reload => match ask(&socket, Command::Reload, None, RELOAD_MAX) {
            Ok((_, Body::Reload(Reloaded { result, reasons }))) => {
                reasons.iter().for_each(|reason| eprintln!("{reason}"));
                println!("{}", result.name());
                let refused = result == ReloadResult::Refused;
                Ok(if refused { ExitCode::from(REFUSED) } else { ExitCode::SUCCESS })
            }
            other => Ok(failed(&socket, other)),
        },
        CtlCommand::Rollback(model) => Ok(change(&socket, Command::Rollback, model)),
        CtlCommand::Freeze(model) => Ok(change(&socket, Command::Freeze, model)),
        CtlCommand::Resume(model) => Ok(change(&socket, Command::Resume, model)),
        CtlCommand::Models { json } => {
            let (line, report) = match ask(&socket, Command::Models, None, STATUS_MAX) {
                Ok((line, Body::Models(report))) => (line, report),
                other => return Ok(failed(&socket, other)),
            };
            output::print(&if *json { line } else { models_screen::render(&report) })?;
            Ok(ExitCode::SUCCESS)
        }
        &CtlCommand::Status { json, watch } => loop {
            let (line, report) = match ask(&socket, Command::Status, None, STATUS_MAX) {
                Ok((line, Body::Status(report))) => (line, report),
                other => return Ok(failed(&socket, other)),
            };
            let text = if json { line } else { screen::render(&report) };
            let home = if watch && !json { HOME } else { "" };
            let reading = output::print(&format!("{home}{text}"))?;
            if !watch || reading == Reading::Over {
                return Ok(ExitCode::SUCCESS);
            }
            std::thread::sleep(WATCH_EVERY);
        },
    }
}

/// Asks for a change, and says what came of it.
fn change(socket: &Path, command: Command, ModelArgs { model }: &ModelArgs) -> ExitCode {
    match ask(socket, command, model.clone(), CHANGE_MAX) {
        Ok((_, Body::Change(Changed { result, generation, reasons }))) => {
            reasons.iter().for_each(|reason| eprintln!("{reason}"));
            match generation {
                Some(generation) => println!("{}: generation {generation} is active", result.name()),
                None => println!("{}", result.name()),
            }
            if result == ReloadResult::Refused { ExitCode::from(REFUSED) } else { ExitCode::SUCCESS }
        }
        other => failed(socket, other),
    }
}

/// Says what went wrong, and is the exit status for it.
fn failed(socket: &Path, answer: anyhow::Result<(String, Body)>) -> ExitCode {
    match answer {
        Ok((_, Body::Error { message })) => {
            eprintln!("weir ctl: {}: {message}", socket.display());
            ExitCode::from(REFUSED)
        }
        Ok(_) => {
            eprintln!("weir ctl: {}: an answer to another question", socket.display());
            ExitCode::from(UNREACHABLE)
        }
        Err(error) => {
            eprintln!("weir ctl: {}: {error:#}", socket.display());
            ExitCode::from(UNREACHABLE)
        }
    }
}

/// Asks, and returns the answer as it came and as it reads.
fn ask(
    socket: &Path,
    command: Command,
    model: Option<String>,
    wait: Duration,
) -> anyhow::Result<(String, Body)> {
    let mut stream = connect(socket, CONNECT_MAX).map_err(|error| unreachable_because(&error))?;
    stream.set_read_timeout(Some(wait))?;
    stream.set_write_timeout(Some(CONNECT_MAX))?;
    let mut request = serde_json::to_vec(&Request { version: VERSION, command, model })?;
    request.push(b'\n');
    // One connection too many is answered and closed before it is read.
    let _ = stream.write_all(&request);
    let mut line = String::new();
    let read = stream.take(ANSWER_BYTES_MAX).read_to_string(&mut line);
    if !line.ends_with('\n') {
        read.with_context(|| format!("no answer within {} s: is the process stopped?", wait.as_secs()))?;
        bail!("the connection ended without an answer: did weir stop?");
    }
    let answer: Answer = serde_json::from_str(&line)
        .with_context(|| format!("not an answer in version {VERSION} of the protocol"))?;
    if answer.version != VERSION {
        bail!("expected version {VERSION} of the protocol, found {}", answer.version);
    }
    Ok((line, answer.body))
}

fn unreachable_because(error: &io::Error) -> anyhow::Error {
    let next = match error.kind() {
        io::ErrorKind::NotFound => {
            "does `weir run` run, with [control] in its configuration? --socket or --config names another"
        }
        io::ErrorKind::ConnectionRefused => "left behind by a weir that has ended: start it with `weir run`",
        io::ErrorKind::PermissionDenied => "only root and the socket's group may speak to weir",
        io::ErrorKind::TimedOut => "the process does not take connections: is it stopped?",
        _ => "cannot connect",
    };
    anyhow!("{error}: {next}")
}
