//! `weir run`: from a checked configuration to frames, and back down again.
//!
//! Order of the start: configuration, models, EAL, buffers, ports, HTTP, workers. Nothing is forwarded before all of the
//! former hold, and `/readyz` says so. Order of the stop: receive no more, drain, count, stop ports, exit.

#[cfg(feature = "dpdk")]
mod control;
#[cfg(feature = "dpdk")]
mod device;
#[cfg(feature = "dpdk")]
mod mbuf;
mod models;
#[cfg(feature = "dpdk")]
mod poll;
#[cfg(feature = "dpdk")]
mod publication;
#[cfg(feature = "dpdk")]
mod reload;
mod replay;
#[cfg(feature = "dpdk")]
mod stages;

use crate::config::{self, PortsPlan};
use models::{Live, NextPolicy};
use std::path::Path;
use tracing::info;
use weir_engine::counters::WorkerStats;
use weir_engine::policy::Policy;
use weir_engine::sampler::{LANE_BATCH, LANE_BATCHES};
use weir_engine::verdict::{Tally, Verdict};
use weir_features::Sample;
use weir_handoff::{LaneReceiver, LaneSender, Publisher, Reader, epoch, lane};

/// What exists before ports do.
#[cfg_attr(not(feature = "dpdk"), allow(dead_code, reason = "a replay of captures publishes once"))]
struct Prepared {
    publisher: Publisher<Policy>,
    live: Live,
    /// By worker index.
    ends: Vec<WorkerEnds>,
    /// By worker index.
    samples_out: Vec<LaneReceiver<Sample>>,
}

/// A worker's ends of what joins it to control.
struct WorkerEnds {
    policy: Reader<Policy>,
    samples: LaneSender<Sample>,
}

/// Runs a configuration until a signal, or until its capture files end.
///
/// # Errors
/// The configuration is wrong, or something that it asks for is not there.
pub fn run(file: &Path, overrides: &[String]) -> anyhow::Result<()> {
    let (plan, source) = config::load(file, overrides)?;
    let live = Live::first(NextPolicy::build(&plan, &source)?);
    for model in &live.models {
        info!(
            "model {} is generation {}: {}, {} executor, schema {:016x}",
            model.name, model.generation, model.precision, model.executor, model.schema_hash
        );
    }
    let (publisher, readers) = epoch(live.policy.clone(), plan.cores.workers.len());
    let (ends, samples_out) = readers
        .into_iter()
        .map(|policy| {
            let (samples, samples_out) = lane(LANE_BATCHES, LANE_BATCH);
            (WorkerEnds { policy, samples }, samples_out)
        })
        .unzip();
    let prepared = Prepared { publisher, live, ends, samples_out };
    match &plan.ports {
        PortsPlan::Captures(files) => {
            let Prepared { mut ends, mut samples_out, .. } = prepared;
            let (Some(ends), Some(samples_out)) = (ends.pop(), samples_out.pop()) else {
                anyhow::bail!("a replay has one worker, and the plan has none");
            };
            let replayed = replay::replay(files, &plan.engine, ends, samples_out)?;
            info!("{:.6} s of captured time, {} samples", replayed.span.0 as f64 / 1e9, replayed.samples);
            print_tally(&replayed.tally, &replayed.stats);
        }
        #[cfg(feature = "dpdk")]
        PortsPlan::Devices(devices) => {
            let outcomes = device::run(&plan, devices, (file, overrides), prepared)?;
            let (mut tally, mut stats) = (Tally::default(), WorkerStats::default());
            for (index, outcome) in outcomes.iter().enumerate() {
                let total = (outcome.cycles.busy + outcome.cycles.idle).max(1);
                info!(
                    "worker {index} was busy for {:.1} % of its cycles",
                    outcome.cycles.busy as f64 * 100.0 / total as f64
                );
                tally += &outcome.tally;
                stats.inferences += outcome.stats.inferences;
                stats.flows_opened += outcome.stats.flows_opened;
            }
            print_tally(&tally, &stats);
        }
        #[cfg(not(feature = "dpdk"))]
        PortsPlan::Devices(devices) => {
            drop(prepared);
            anyhow::bail!(
                "ports {} and {} need DPDK, and this weir was built without it: `make build`, or `cargo build -p \
                 weir-shell --features dpdk`",
                devices[0].name(),
                devices[1].name()
            );
        }
    }
    Ok(())
}

/// The books of all workers, closed: one line. With the ports shut and the lanes empty, what was steered is in balance by
/// itself.
fn print_tally(tally: &Tally, stats: &WorkerStats) {
    let ended: Vec<String> = Verdict::ALL
        .iter()
        .filter(|verdict| tally.ended[**verdict as usize] > 0)
        .map(|verdict| format!("{} {}", verdict.name(), tally.ended[*verdict as usize]))
        .collect();
    println!(
        "received {} + originated {} = {} ({}); {} inferences, {} flows seen",
        tally.received.iter().sum::<u64>(),
        tally.originated,
        if tally.balanced() && tally.steered_in == tally.steered_out {
            "accounted for"
        } else {
            "NOT ACCOUNTED FOR"
        },
        if ended.is_empty() { "none".to_owned() } else { ended.join(", ") },
        stats.inferences,
        stats.flows_opened,
    );
}
