//! `weir run`: from a checked configuration to frames, and back down again.
//!
//! Order of the start: configuration, models, EAL, buffers, ports, HTTP, workers. Nothing is forwarded before all of the
//! former hold, and `/readyz` says so. Order of the stop: receive no more, drain, count, stop ports, exit.

#[cfg(feature = "dpdk")]
mod control;
#[cfg(feature = "dpdk")]
mod device;
mod each;
mod kernel;
mod lanes;
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
use each::Each;
use lanes::Lanes;
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
use weir_features::{FlowSample, PathSample, Sample};
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
    lanes: Lanes,
}

/// A worker's ends of what joins it to control.
struct WorkerEnds {
    policy: Reader<Policy>,
    intervals: LaneSender<Sample>,
    choices: Option<LaneSender<PathSample>>,
    flows: Option<LaneSender<FlowSample>>,
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
    let built = std::mem::take(&mut next.built);
    let parts = match &runtime {
        Some(runtime) => Parts::build(&plan, &source, built, runtime)?,
        None => Each::of(|_| None),
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
    // A reload may let a model learn, but brings no trainer and no scheduler.
    let learns_sizes = plan.trainer.is_some() && plan.engine.schedule.is_some();
    let (mut ends, mut lanes) = (Vec::new(), Lanes::default());
    for policy in readers {
        ends.push(WorkerEnds {
            policy,
            intervals: new_lane(&mut lanes.intervals),
            choices: balances.then(|| new_lane(&mut lanes.choices)),
            flows: learns_sizes.then(|| new_lane(&mut lanes.flows)),
        });
    }
    Ok((plan, Prepared { publisher, live, begun, runtime, ends, lanes }))
}

/// A worker's end of a new lane, whose other end joins the `others`.
fn new_lane<T>(others: &mut Vec<LaneReceiver<T>>) -> LaneSender<T> {
    let (sender, receiver) = lane(LANE_BATCHES, LANE_BATCH);
    others.push(receiver);
    sender
}

/// Runs capture files through one worker, until their end.
fn replay_captures(plan: &Plan, files: &[CapturePair; 2], prepared: Prepared) -> anyhow::Result<()> {
    let Prepared { mut ends, lanes, .. } = prepared;
    let Some(ends) = ends.pop() else {
        anyhow::bail!("a replay has one worker, and the plan has none");
    };
    let replayed = replay::replay(files, &plan.engine, ends, lanes)?;
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

/// How the plan's models would learn, a line for each that would. `built` are all of them.
///
/// # Errors
/// What the tuner cannot work with, at the place of its key.
pub fn learning(plan: &Plan, source: &Source, built: Vec<Built>) -> Result<Vec<String>, ConfigError> {
    if plan.trainer.is_none() || plan.models.iter().all(|model| model.adapt.is_none()) {
        return Ok(Vec::new());
    }
    let runtime = Runtime::load(plan);
    let parts = Parts::build(plan, source, models::chosen(plan, built), &runtime)?;
    Ok(parts.all().flatten().map(ToString::to_string).collect())
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
