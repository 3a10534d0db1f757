//! `weir bpf attach | swap | detach | status`: Weir's congestion controls in this host's kernel.

use crate::config;
use crate::output;
use crate::snapshot_cmd::{self, Source};
use anyhow::{Context as _, ensure};
use clap::{Args, Subcommand, ValueEnum};
use std::fmt::Write as _;
use weir_bpf::{Bpf, Congestion, Rates};

#[derive(Debug, Subcommand)]
pub(crate) enum BpfCommand {
    /// Register a congestion control; it stays until it is detached, or until the machine restarts.
    #[command(subcommand)]
    Attach(AttachCommand),
    /// Give the flows of weir_aurora another network, at each flow's next interval. No flow is interrupted.
    Swap(Source),
    /// Take a congestion control away. Flows that use it go on with it to their end.
    Detach {
        /// Which.
        control: Control,
    },
    /// What is attached, and what it has done.
    Status {
        /// Print one line of JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AttachCommand {
    /// weir_yield: sends what the receive window admits and answers no loss, so that a Weir on the way governs the rate.
    /// Not for a sender without such a Weir.
    Yield,
    /// weir_aurora: a pacing network decides in the kernel, without a Weir on the way.
    Aurora(AuroraArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AuroraArgs {
    #[command(flatten)]
    source: Source,
    /// A flow's rate before its first decision.
    #[arg(long, value_name = "RATE", default_value = "10Mbps", value_parser = config::rate_bps)]
    rate_start: u64,
    /// The guard's lower bound, whatever the network says.
    #[arg(long, value_name = "RATE", default_value = "500kbps", value_parser = config::rate_bps)]
    rate_min: u64,
    /// The guard's upper bound.
    #[arg(long, value_name = "RATE", default_value = "10Gbps", value_parser = config::rate_bps)]
    rate_max: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Control {
    Yield,
    Aurora,
}

impl From<Control> for Congestion {
    fn from(control: Control) -> Congestion {
        match control {
            Control::Yield => Congestion::Yield,
            Control::Aurora => Congestion::Aurora,
        }
    }
}

/// Runs `weir bpf`.
pub(crate) fn bpf(command: &BpfCommand) -> anyhow::Result<()> {
    let bpf = Bpf::default();
    let text = match command {
        BpfCommand::Attach(AttachCommand::Yield) => {
            bpf.attach_yield()?;
            attached(Congestion::Yield)
        }
        BpfCommand::Attach(AttachCommand::Aurora(args)) => {
            let [start, min, max] = [args.rate_start, args.rate_min, args.rate_max];
            ensure!(
                0 < min && min <= start && start <= max,
                "expected 0 < --rate-min <= --rate-start <= --rate-max, found {min}, {start} and {max} bit/s"
            );
            let (snapshot, spec) = snapshot_cmd::pacing(&args.source)?;
            let rates = Rates { start_bps: start, min_bps: min, max_bps: max };
            bpf.attach_aurora(&snapshot, &spec, rates)?;
            attached(Congestion::Aurora)
        }
        BpfCommand::Swap(source) => {
            let (snapshot, spec) = snapshot_cmd::pacing(source)?;
            let generation = bpf.swap(&snapshot, &spec)?;
            format!("weir_aurora: {} is generation {generation}\n", snapshot.name())
        }
        BpfCommand::Detach { control } => {
            let congestion = Congestion::from(*control);
            bpf.detach(congestion)?;
            format!("{} is detached; flows that use it go on with it to their end\n", congestion.name())
        }
        BpfCommand::Status { json } => status(&bpf, *json)?,
    };
    output::print(&text)?;
    Ok(())
}

fn attached(congestion: Congestion) -> String {
    let name = congestion.name();
    format!(
        "{name} is attached. For one program: setsockopt TCP_CONGESTION, as in `iperf3 -C {name}`; for all of a network \
         namespace: sysctl -w net.ipv4.tcp_congestion_control={name}\n"
    )
}

fn status(bpf: &Bpf, json: bool) -> anyhow::Result<String> {
    let yields = bpf.is_attached(Congestion::Yield);
    let aurora = match bpf.is_attached(Congestion::Aurora) {
        true => Some(bpf.aurora().context("weir_aurora")?),
        false => None,
    };
    if json {
        let aurora = aurora.map(|aurora| {
            serde_json::json!({
                "network": aurora.network.name,
                "generation": aurora.network.generation,
                "checksum": format!("{:08x}", aurora.network.checksum),
                "schema": format!("{:016x}", aurora.network.schema_hash),
                "rate_start_bps": aurora.rates.start_bps,
                "rate_min_bps": aurora.rates.min_bps,
                "rate_max_bps": aurora.rates.max_bps,
                "flows": aurora.stats.flows,
                "refused": aurora.stats.refused,
                "decisions": aurora.stats.decisions,
                "app_limited": aurora.stats.app_limited,
                "bounded": aurora.stats.bounded,
                "braked": aurora.stats.braked,
            })
        });
        let all = serde_json::json!({ "version": 1, "weir_yield": yields, "weir_aurora": aurora });
        return Ok(format!("{all}\n"));
    }
    let mut text = format!("weir_yield   {}\n", if yields { "attached" } else { "not attached" });
    let Some(aurora) = aurora else { return Ok(text + "weir_aurora  not attached\n") };
    let (network, rates, stats) = (&aurora.network, &aurora.rates, &aurora.stats);
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "weir_aurora  attached: {}, generation {}, checksum {:08x}, schema {:016x}\n  rates      {} to {} bit/s, from {}\n  \
         flows      {} begun, {} times no memory for one\n  decisions  {}: {} for a flow with nothing to send, {} held by the \
         bounds, {} by the brake",
        network.name,
        network.generation,
        network.checksum,
        network.schema_hash,
        rates.min_bps,
        rates.max_bps,
        rates.start_bps,
        stats.flows,
        stats.refused,
        stats.decisions,
        stats.app_limited,
        stats.bounded,
        stats.braked
    );
    Ok(text)
}
