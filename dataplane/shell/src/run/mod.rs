//! `weir run`: from a checked configuration to frames, and back down again.
//!
//! Order of the start: configuration, models, EAL, buffers, ports, HTTP, workers. Nothing is forwarded before all of the
//! former hold, and `/readyz` says so. Order of the stop: receive no more, drain, count, stop ports, exit.

#[cfg(feature = "dpdk")]
mod control;
#[cfg(feature = "dpdk")]
mod device;
mod kernel;
#[cfg(feature = "dpdk")]
mod mbuf;
mod models;
#[cfg(feature = "dpdk")]
mod poll;
#[cfg_attr(not(feature = "dpdk"), allow(dead_code, reason = "a replay of captures publishes once"))]
mod publication;
#[cfg(feature = "dpdk")]
mod reload;
mod replay;
mod signals;
#[cfg(feature = "dpdk")]
mod stages;
#[cfg_attr(not(feature = "dpdk"), allow(dead_code, reason = "nothing is learned from captures"))]
mod trainer;

#[cfg(feature = "dpdk")]
pub use mbuf::{DeviceIo, MbufFrame};

pub use kernel::kernel_trainer;

use crate::config::{self, CapturePair, ConfigError, Plan, PortsPlan, Source};
use models::{Live, NextPolicy};
use std::path::Path;
use tracing::info;
use trainer::{Begun, Parts, Runtime};
use weir_engine::counters::WorkerStats;
#[cfg(feature = "dpdk")]
use weir_engine::io::PacketIo;
use weir_engine::policy::Policy;
use weir_engine::sampler::{LANE_BATCH, LANE_BATCHES};
use weir_engine::verdict::{Tally, Verdict};
use weir_features::{PathSample, Sample};
use weir_handoff::{LaneReceiver, LaneSender, Publisher, Reader, epoch, lane};
use weir_trainer::Built;

/// What exists before ports do.
#[cfg_attr(not(feature = "dpdk"), allow(dead_code, reason = "a replay of captures publishes once"))]
struct Prepared {
    publisher: Publisher<Policy>,
    live: Live,
    begun: Option<Begun>,
    /// Loaded where there is a trainer.
    runtime: Option<Runtime>,
    /// By worker index.
    ends: Vec<WorkerEnds>,
    /// By worker index.
    samples_out: Vec<LaneReceiver<Sample>>,
    /// By worker index; none without paths.
    path_samples_out: Vec<LaneReceiver<PathSample>>,
}

/// A worker's ends of what joins it to control.
struct WorkerEnds {
    policy: Reader<Policy>,
    samples: LaneSender<Sample>,
    path_samples: Option<LaneSender<PathSample>>,
}

/// Runs a configuration until a signal, or until its capture files end.
///
/// # Errors
/// The configuration is wrong, or something that it asks for is not there.
pub fn run(file: &Path, overrides: &[String]) -> anyhow::Result<()> {
    let (plan, prepared) = prepare(file, overrides)?;
    match &plan.ports {
        PortsPlan::Captures(files) => replay_captures(&plan, files, prepared),
        #[cfg(feature = "dpdk")]
        PortsPlan::Devices(devices) => forward(&plan, devices, (file, overrides), prepared, |_, io| io),
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
}

/// The same with something in front of each worker: `front` makes what the worker polls from the worker's number and its
/// queues, on the worker's own thread. What it drops it reports by [`PacketIo::take_denied`].
///
/// # Errors
/// As [`run`], and where the ports are capture files: their frames are none of DPDK's.
#[cfg(feature = "dpdk")]
pub fn run_behind<Io: PacketIo<Frame = MbufFrame>>(
    file: &Path,
    overrides: &[String],
    front: impl Fn(usize, DeviceIo) -> Io + Clone + Send + 'static,
) -> anyhow::Result<()> {
    let (plan, prepared) = prepare(file, overrides)?;
    let PortsPlan::Devices(devices) = &plan.ports else {
        anyhow::bail!(
            "ports: expected devices, found capture files; what stands in front of a worker takes DPDK's frames, and \
             net_pcap0,rx_pcap=FILE,tx_pcap=FILE is a device that reads and writes captures"
        );
    };
    forward(&plan, devices, (file, overrides), prepared, front)
}

/// Reads the configuration and makes what exists before ports do.
fn prepare(file: &Path, overrides: &[String]) -> anyhow::Result<(Plan, Prepared)> {
    let (plan, source) = config::load(file, overrides)?;
    let runtime = plan.trainer.as_ref().map(|_| Runtime::load(&plan));
    let mut next = NextPolicy::build(&plan, &source)?;
    let built = next.built.take();
    let parts = match &runtime {
        Some(runtime) => Parts::build(&plan, &source, built, runtime)?,
        None => None,
    };
    let (live, begun) = trainer::begin(&plan, next, parts)?;
    for model in live.shown() {
        info!(
            "model {} is generation {}: {}, {} executor, schema {:016x}",
            model.name, model.generation, model.precision, model.executor, model.schema_hash
        );
    }
    let (publisher, readers) = epoch(live.policy.clone(), plan.cores.workers.len());
    let balances = plan.engine.route.as_ref().is_some_and(|route| route.balance.is_some());
    let (mut ends, mut samples_out, mut path_samples_out) = (Vec::new(), Vec::new(), Vec::new());
    for policy in readers {
        let (samples, out) = lane(LANE_BATCHES, LANE_BATCH);
        samples_out.push(out);
        let path_samples = balances.then(|| {
            let (path_samples, out) = lane(LANE_BATCHES, LANE_BATCH);
            path_samples_out.push(out);
            path_samples
        });
        ends.push(WorkerEnds { policy, samples, path_samples });
    }
    Ok((plan, Prepared { publisher, live, begun, runtime, ends, samples_out, path_samples_out }))
}

/// Runs capture files through one worker, until their end.
fn replay_captures(plan: &Plan, files: &[CapturePair; 2], prepared: Prepared) -> anyhow::Result<()> {
    let Prepared { mut ends, mut samples_out, mut path_samples_out, .. } = prepared;
    let (Some(ends), Some(samples_out)) = (ends.pop(), samples_out.pop()) else {
        anyhow::bail!("a replay has one worker, and the plan has none");
    };
    let replayed = replay::replay(files, &plan.engine, ends, (samples_out, path_samples_out.pop()))?;
    info!("{:.6} s of captured time, {} samples", replayed.span.0 as f64 / 1e9, replayed.samples);
    print_tally(&replayed.tally, &replayed.stats);
    Ok(())
}

/// Runs workers on devices, until a signal.
#[cfg(feature = "dpdk")]
fn forward<Io: PacketIo<Frame = MbufFrame>>(
    plan: &Plan,
    devices: &[config::Device; 2],
    origin: (&Path, &[String]),
    prepared: Prepared,
    front: impl Fn(usize, DeviceIo) -> Io + Clone + Send + 'static,
) -> anyhow::Result<()> {
    let outcomes = device::run(plan, devices, origin, prepared, front)?;
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
    Ok(())
}

/// How the model that paces would learn, in a line; `None` where it would not. `built` are the plan's models.
///
/// # Errors
/// What the tuner cannot work with, at the place of its key.
pub fn learning(plan: &Plan, source: &Source, built: Vec<Built>) -> Result<Option<String>, ConfigError> {
    let Some(index) = plan.pacing_model.filter(|_| plan.trainer.is_some()) else { return Ok(None) };
    let runtime = Runtime::load(plan);
    let parts = Parts::build(plan, source, built.into_iter().nth(index).map(Box::new), &runtime)?;
    Ok(parts.map(|parts| parts.to_string()))
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
