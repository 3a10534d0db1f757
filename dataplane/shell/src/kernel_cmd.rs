//! `weir kernel install | status | rollback | withdraw`: networks of the kernel's core, over generic netlink.

use crate::kernel::{Core, CoreStatus};
use crate::output;
use crate::snapshot_cmd::{self, ForKernel, KernelSource};
use anyhow::ensure;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use std::fmt::Write as _;
use weir_snapshot::Function;

#[derive(Debug, Subcommand)]
pub(crate) enum KernelCommand {
    /// Publish a snapshot in place of the network that decides its function now. Under traffic; no compiler is needed.
    Install(KernelSource),
    /// What decides, by function.
    Status {
        /// Print one line of JSON.
        #[arg(long)]
        json: bool,
    },
    /// Publish the network before the active one again.
    Rollback(Which),
    /// Take a function's networks back: the rule decides.
    Withdraw(Which),
}

#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Of which function.
    function: Named,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Named {
    /// weir_aurora
    Pacing,
    /// weir_select: paths
    Balance,
    /// weir_select: sizes of flows
    Schedule,
}

impl From<Named> for Function {
    fn from(named: Named) -> Function {
        match named {
            Named::Pacing => Function::Pacing,
            Named::Balance => Function::Balance,
            Named::Schedule => Function::Schedule,
        }
    }
}

/// Runs `weir kernel`.
pub(crate) fn kernel(command: &KernelCommand) -> anyhow::Result<()> {
    let text = match command {
        KernelCommand::Install(source) => {
            let ForKernel { bytes, snapshot, pacing, affine } = snapshot_cmd::for_kernel(source)?;
            let mut core = Core::open()?;
            let expect = core.status()?.active(snapshot.function());
            let generation = core.install(&bytes, expect, &pacing, &affine)?;
            format!("{}: {} is generation {generation}\n", snapshot.function().name(), snapshot.name())
        }
        KernelCommand::Status { json } => {
            let status = Core::open()?.status()?;
            if *json { as_json(&status) } else { as_text(&status) }
        }
        KernelCommand::Rollback(which) => {
            let function = Function::from(which.function);
            let mut core = Core::open()?;
            let expect = core.status()?.active(function);
            let generation = core.roll_back(function, expect)?;
            format!("{}: the network before is generation {generation}\n", function.name())
        }
        KernelCommand::Withdraw(which) => {
            let function = Function::from(which.function);
            let mut core = Core::open()?;
            let expect = core.status()?.active(function);
            ensure!(expect != 0, "{}: no network is active, the rule decides already", function.name());
            core.withdraw(function, expect)?;
            format!("{}: the rule decides\n", function.name())
        }
    };
    output::print(&text)?;
    Ok(())
}

fn as_text(status: &CoreStatus) -> String {
    let mut text = String::new();
    for row in &status.rows {
        let function = row.function.name();
        // Writing to a String cannot fail.
        let _ = match row.active {
            0 => writeln!(text, "{function:<9} no network: the rule decides"),
            active => writeln!(
                text,
                "{function:<9} generation {active}: {}, checksum {:08x}, schema {:016x}; {}",
                row.name,
                row.checksum,
                row.schema_hash,
                match row.previous {
                    0 => "none before it".to_owned(),
                    previous => format!("{previous} before it"),
                }
            ),
        };
    }
    let _ = writeln!(text, "samples   {} lost, because nobody took them in time", status.samples_lost);
    text
}

fn as_json(status: &CoreStatus) -> String {
    let functions: Vec<_> = status
        .rows
        .iter()
        .map(|row| {
            let active = (row.active != 0).then(|| {
                json!({
                    "name": row.name,
                    "generation": row.active,
                    "checksum": format!("{:08x}", row.checksum),
                    "schema": format!("{:016x}", row.schema_hash),
                })
            });
            let previous = (row.previous != 0).then_some(row.previous);
            json!({ "function": row.function.name(), "active": active, "previous": previous })
        })
        .collect();
    let page = json!({ "version": 1, "functions": functions, "samples_lost": status.samples_lost });
    format!("{page}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Row;

    fn status() -> CoreStatus {
        let row = |function, active, previous| Row {
            function,
            active,
            previous,
            name: if active == 0 { String::new() } else { "fast".to_owned() },
            checksum: if active == 0 { 0 } else { 0x12AB },
            schema_hash: if active == 0 { 0 } else { 0xFE },
        };
        let rows =
            vec![row(Function::Pacing, 0, 0), row(Function::Balance, 4, 3), row(Function::Schedule, 1, 0)];
        CoreStatus { rows, samples_lost: 2 }
    }

    #[test]
    fn a_status_reads_well_and_as_json() {
        insta::assert_snapshot!(as_text(&status()), @r"
        pacing    no network: the rule decides
        balance   generation 4: fast, checksum 000012ab, schema 00000000000000fe; 3 before it
        schedule  generation 1: fast, checksum 000012ab, schema 00000000000000fe; none before it
        samples   2 lost, because nobody took them in time
        ");
        let page: serde_json::Value = serde_json::from_str(&as_json(&status())).unwrap();
        assert_eq!(page["functions"][1]["active"]["generation"], 4);
        assert_eq!(page["functions"][1]["previous"], 3);
        assert!(page["functions"][0]["active"].is_null() && page["functions"][2]["previous"].is_null());
        assert_eq!(page["samples_lost"], 2);
    }
}
