//! `weir doctor`: what of this machine helps or hinders, and the command that changes it. Reads, and runs nothing.

mod cpu;
mod devices;
mod finding;
mod host;
mod memory;
mod sysfs;
mod system;

pub use finding::{Finding, Findings, Level};
pub use host::{Host, Needs};
pub use sysfs::Sysfs;

use crate::{config, output};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Version of the JSON that `--json` prints.
const VERSION: u32 = 1;

/// Arguments of `weir doctor`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 1 when something is at fault that the configuration needs, otherwise 0."
)]
pub struct DoctorArgs {
    /// Look at what this configuration needs. Without it, at what a first deployment would.
    config: Option<PathBuf>,
    /// Override one key of the configuration, as for `weir run`. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE", requires = "config")]
    overrides: Vec<String>,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Runs `weir doctor`.
///
/// # Errors
/// The findings cannot be written.
pub fn doctor(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let mut findings = Vec::new();
    let mut library = None;
    let needs = match &args.config {
        None => Some(Needs::usual()),
        Some(file) => match config::load(file, &args.overrides) {
            Ok((plan, _)) => {
                findings.push(Finding::ok("configuration", file.display().to_string()));
                library = plan.trainer.as_ref().and_then(|trainer| trainer.onnxruntime.clone());
                Needs::of(&plan)
            }
            Err(error) => {
                let fix = format!("weir check {} says more once this is right", file.display());
                findings.push(Finding::fault(
                    "configuration",
                    error.to_string(),
                    "a configuration that holds",
                    fix,
                ));
                Some(Needs::usual())
            }
        },
    };
    let host = Host::this(library.as_deref());
    findings.extend(examine(&host, needs.as_ref()));
    let config = args.config.as_ref().map(|file| file.display().to_string());
    let findings = Findings { version: VERSION, config, findings };
    let text = if args.json { serde_json::to_string(&findings)? + "\n" } else { findings.render() };
    output::print(&text)?;
    Ok(if findings.count(Level::Fault) > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Every check. `needs` is `None` for a configuration on capture files: then nothing is at fault.
pub fn examine(host: &Host, needs: Option<&Needs>) -> Vec<Finding> {
    let usual = Needs::usual();
    let needed = needs.unwrap_or(&usual);
    let capabilities = system::Capabilities::of(&host.files);
    let mut findings = cpu::check(host, needed);
    findings.extend(memory::check(&host.files, needed, capabilities));
    findings.extend(devices::check(host, needed));
    findings.extend(system::check(host, needed));
    findings.into_iter().map(|finding| finding.if_needed(needed.real)).collect()
}
