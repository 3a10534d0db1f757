//! DPDK ports: EAL, buffers, ports, and worker cores that poll them.

use super::control::{self, Control};
use super::poll::{self, Outcome, Terms};
use super::{Prepared, WorkerEnds};
use crate::board::{BoardWriter, board};
use crate::config::{Device as DevicePlan, Plan};
use crate::report::WORDS;
use crate::run::mbuf::{DeviceIo, MbufFrame};
use crate::status::{BufferStatus, PortStatus, Shared, Status, unix_seconds};
use anyhow::{Context as _, anyhow};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tracing::{info, warn};
use weir_cpu::TscClock;
use weir_dpdk::{Device, Eal, EalConfig, Lcore, LogLevel, Pool, Port, PortConfig, Running};
use weir_engine::io::Side;
use weir_engine::steer::{LANE_FRAMES, Steering};
use weir_engine::time::Ns;
use weir_engine::worker::Worker;

/// Free buffers that a core keeps for itself; DPDK's examples use about this many.
const POOL_CACHE: u32 = 256;
/// Bytes of frame that a buffer holds: 1 518 and a jumbo's first part.
const FRAME_ROOM: u16 = 2_048;
/// For the transmit ring to run empty after the last frame went into it: 1 024 full frames at 1 Gb/s take 12 ms.
const RING_EMPTIES: Duration = Duration::from_millis(20);

/// Runs until a signal asks for an end.
///
/// # Errors
/// Something that the configuration asks for is not there. Each message says what to do.
pub(super) fn run(
    plan: &Plan,
    devices: &[DevicePlan; 2],
    prepared: Prepared,
) -> anyhow::Result<Vec<Outcome>> {
    let stop = control::catch_signals()?;
    let clock = TscClock::calibrate()?;
    for (side, device) in Side::ALL.iter().zip(devices) {
        check_interface(*side, device)?;
    }
    let (eal, lcores) = start_eal(plan, devices)?;
    let buffers = plan.buffers();
    let pool = Pool::new(eal, "weir", buffers, POOL_CACHE, FRAME_ROOM)?;
    let (ports, queues) = start_ports(eal, devices, lcores.len(), &pool)?;

    let (boards, board_readers) = lcores.iter().map(|_| board()).unzip();
    let status = Status {
        ports: ports
            .iter()
            .map(|port| PortStatus { name: port.name().to_owned(), ..PortStatus::default() })
            .collect(),
        buffers: Some(BufferStatus { total: buffers, in_use: pool.in_use() }),
        models: prepared.models,
        decides: true,
        started_unix_seconds: unix_seconds(),
        ..Status::default()
    };
    let shared = Shared::new(status, board_readers, clock.calibration().hz);
    let mut control = Control::new(shared, prepared.publisher, prepared.samples_out);

    // Before the first frame, so that an address in use refuses the start. `/readyz` says no until ports were looked at.
    control.serve(plan.metrics)?;
    let over = Arc::new(AtomicBool::new(false));
    let running = start_workers(plan, lcores, queues, clock, boards, &over, prepared.ends)?;
    let mut watch = PortWatch { ports, interfaces: devices.each_ref().map(Interface::of), pool };
    info!("forwarding; stop with SIGTERM or Ctrl-C");
    // A worker ends before it is told to only if it panics; the others then drain as in any stop.
    while !stop.load(Ordering::Relaxed) && !running.iter().any(Running::is_finished) {
        control.tick(|status| watch.look(status));
    }
    control.shared().update(|status| status.stopping = true);
    info!(
        "stopping: no more frames are taken, held ones may leave for up to {} ms",
        plan.drain_max.0 / 1_000_000
    );
    over.store(true, Ordering::Relaxed);
    let outcomes: Vec<_> = running.into_iter().map(|worker| worker.join().1).collect();
    let outcomes = outcomes
        .into_iter()
        .enumerate()
        .map(|(index, outcome)| {
            outcome.map_err(|_| anyhow!("the thread of worker {index} panicked; its last words are above"))
        })
        .collect::<Result<_, _>>()?;
    control.tick(|status| watch.look(status));
    std::thread::sleep(RING_EMPTIES);
    Ok(outcomes)
}

/// The drivers that sit on a kernel interface say little when it is missing.
fn check_interface(side: Side, device: &DevicePlan) -> anyhow::Result<()> {
    let needs_one = ["net_af_packet", "net_af_xdp"].iter().any(|driver| device.name().starts_with(driver));
    if let (true, Some(interface)) = (needs_one, device.argument("iface"))
        && nix::net::if_::if_nametoindex(interface).is_err()
    {
        return Err(anyhow!(
            "ports.{}: interface {interface} does not exist in this network namespace: `ip link` lists those that do",
            side.name()
        ));
    }
    Ok(())
}

fn start_eal(plan: &Plan, devices: &[DevicePlan; 2]) -> anyhow::Result<(Eal, Vec<Lcore>)> {
    let config = EalConfig {
        hugepages: plan.eal.hugepages,
        memory_mb: plan.eal.memory_mb,
        main_cpu: plan.cores.control,
        worker_cpus: plan.cores.workers.clone(),
        devices: devices.iter().map(device).collect::<Result<_, _>>()?,
        log_level: LogLevel::Notice,
    };
    let (eal, lcores) = Eal::init(&config)?;
    info!(
        "DPDK {}: cores: {}; {} MB{}",
        crate::version::DPDK,
        plan.cores,
        plan.eal.memory_mb,
        if plan.eal.hugepages { " of hugepages" } else { ", no hugepages: about half the speed" }
    );
    Ok((eal, lcores))
}

fn device(plan: &DevicePlan) -> anyhow::Result<Device> {
    Ok(plan.to_string().parse::<Device>()?)
}

/// Ports by side, and each worker's queues.
fn start_ports(
    eal: Eal,
    devices: &[DevicePlan; 2],
    workers: usize,
    pool: &Pool,
) -> anyhow::Result<([Port; 2], Vec<DeviceIo>)> {
    let config = PortConfig { workers: u16::try_from(workers).unwrap_or(u16::MAX), ..PortConfig::default() };
    let open = |side: Side| {
        let mut port = Port::configure(eal, &device(&devices[side as usize])?, &config, pool)
            .with_context(|| side.name())?;
        let queues = port.start().with_context(|| side.name())?;
        let granted = port.granted();
        info!(
            "{} is {}: {}/{} descriptors, MTU {}",
            side.name(),
            port.name(),
            granted.rx_descriptors,
            granted.tx_descriptors,
            granted.mtu
        );
        if usize::from(granted.rx_queues) < workers {
            warn!(
                "{} has {} receive queues for {workers} workers: the others get their flows' frames from those, through \
                 steering lanes",
                side.name(),
                granted.rx_queues
            );
        }
        anyhow::Ok((port, queues))
    };
    let (inside, inside_queues) = open(Side::Inside)?;
    let (outside, outside_queues) = open(Side::Outside)?;
    let queues = inside_queues.into_iter().zip(outside_queues);
    Ok(([inside, outside], queues.map(|(inside, outside)| DeviceIo::new([inside, outside])).collect()))
}

fn start_workers(
    plan: &Plan,
    lcores: Vec<Lcore>,
    queues: Vec<DeviceIo>,
    clock: TscClock,
    boards: Vec<BoardWriter<WORDS>>,
    over: &Arc<AtomicBool>,
    ends: Vec<WorkerEnds>,
) -> anyhow::Result<Vec<Running<Outcome>>> {
    let places = Steering::mesh(lcores.len(), LANE_FRAMES);
    let parts = lcores.into_iter().zip(queues).zip(boards).zip(ends).zip(places);
    let start = |((((lcore, mut io), board), ends), place): ((((Lcore, DeviceIo), _), WorkerEnds), _)| {
        let engine = plan.engine.clone();
        let terms = Terms {
            stop: Arc::clone(over),
            drain_max: plan.drain_max,
            shares_core: lcore.cpu() == plan.cores.control,
        };
        let WorkerEnds { mut models, samples } = ends;
        let job = move || {
            // On the worker's own core, so that its memory is near it.
            let worker: Worker<MbufFrame> = Worker::new(&engine, Ns(clock.now_ns()), samples).among(place);
            poll::poll(worker, &mut io, &mut models, clock, board, &terms)
        };
        // Those that run already are waited for on the way out.
        Ok(lcore.run(job).inspect_err(|_| over.store(true, Ordering::Relaxed))?)
    };
    parts.map(start).collect()
}

/// Looks after ports and buffers from the control thread.
struct PortWatch {
    ports: [Port; 2],
    interfaces: [Option<Interface>; 2],
    pool: Pool,
}

/// The kernel interface under a virtual device. The driver does not notice when it goes.
struct Interface {
    name: String,
    index: u32,
}

impl Interface {
    fn of(device: &DevicePlan) -> Option<Interface> {
        let name = device.argument("iface")?.to_owned();
        // A driver that makes its own interface may name one that we cannot look up: then there is nothing to watch.
        let index = nix::net::if_::if_nametoindex(name.as_str()).ok()?;
        Some(Interface { name, index })
    }

    /// Whether it is still the same interface: another of its name is not what the driver's socket is bound to.
    fn is_there(&self) -> bool {
        nix::net::if_::if_nametoindex(self.name.as_str()) == Ok(self.index)
    }
}

impl PortWatch {
    fn look(&mut self, status: &mut Status) {
        for ((port, interface), seen) in self.ports.iter().zip(&self.interfaces).zip(&mut status.ports) {
            let there = !port.is_removed() && interface.as_ref().is_none_or(Interface::is_there);
            let up = there && port.link().is_ok_and(|link| link.up);
            if seen.up && !up {
                seen.downs += 1;
                warn!(
                    "port {} is down or gone: its frames are lost until it is back; a device that was removed needs \
                    a restart",
                    seen.name
                );
            } else if up && !seen.up && seen.downs > 0 {
                info!("port {} is back", seen.name);
            }
            seen.up = up;
            if let Ok(stats) = port.stats() {
                seen.rx_missed = stats.rx_missed;
                seen.rx_errors = stats.rx_errors;
                seen.rx_no_buffer = stats.rx_no_buffer;
                seen.tx_errors = stats.tx_errors;
            }
        }
        if let Some(buffers) = &mut status.buffers {
            buffers.in_use = self.pool.in_use();
        }
    }
}
