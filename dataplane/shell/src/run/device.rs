//! DPDK ports: EAL, buffers, ports, and worker cores that poll them.

use super::control::Control;
use super::poll::{self, Outcome, Terms};
use super::publication::Publication;
use super::reload::Reloader;
use super::trainer::{Desk, Post, Runtime, TrainerThread};
use super::{Prepared, WorkerEnds};
use crate::board::{BoardWriter, board};
use crate::calendar::unix_seconds;
use crate::config::{Device as DevicePlan, Plan};
use crate::control::protocol::ConfigReport;
use crate::report::{Report, WORDS};
use crate::run::mbuf::{Completed, DeviceIo, MbufFrame};
use crate::status::{BufferStatus, PortStatus, Shared, Status};
use anyhow::{Context as _, anyhow, ensure};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;
use tracing::{info, warn};
use weir_cpu::TscClock;
use weir_dpdk::{
    CombinedChannels, Device, Eal, EalConfig, Filter, Interface, Lcore, LogLevel, Offloads, Pool, Port,
    PortConfig, Running,
};
use weir_engine::config::EngineConfig;
use weir_engine::counters::Stat;
use weir_engine::io::{PacketIo, Side};
use weir_engine::steer::{LANE_FRAMES, Steering};
use weir_engine::time::Ns;
use weir_engine::worker::Worker;

/// Free buffers that a core keeps for itself; DPDK's examples use about this many.
const POOL_CACHE: u32 = 256;
/// For the transmit ring to run empty after the last frame went into it: 1 024 full frames at 1 Gb/s take 12 ms.
const RING_EMPTIES: Duration = Duration::from_millis(20);

/// Runs until a signal asks for an end. `origin` is the configuration's file and what was set over it; `front` makes what a
/// worker polls from its number and its queues.
///
/// # Errors
/// Something that the configuration asks for is not there. Each message says what to do.
pub(super) fn run<Io: PacketIo<Frame = MbufFrame>>(
    plan: &Plan,
    devices: &[DevicePlan; 2],
    origin: (&Path, &[String]),
    prepared: Prepared,
    front: impl Fn(usize, DeviceIo) -> Io + Clone + Send + 'static,
) -> anyhow::Result<Vec<Outcome>> {
    let signals = super::signals::catch_signals()?;
    let clock = TscClock::calibrate()?;
    for (side, device) in Side::ALL.iter().zip(devices) {
        check_interface(*side, device)?;
    }
    let (eal, lcores) = start_eal(plan, devices)?;
    let buffers = plan.buffers();
    let frame_room = u16::try_from(plan.frame_room()).with_context(|| {
        format!("no buffer holds {} bytes: lower ports.mtu or framesz", plan.frame_room())
    })?;
    let pool = Pool::new(eal, "weir", buffers, POOL_CACHE, frame_room)?;
    let completed = Completed::default();
    let mut engine = plan.engine.clone();
    let (ports, queues) = start_ports(eal, plan, devices, &pool, clock, &completed, &mut engine)?;

    let (boards, board_readers) = lcores.iter().map(|_| board()).unzip();
    let started = unix_seconds();
    let status = Status {
        ports: ports
            .iter()
            .map(|port| PortStatus { name: port.name().to_owned(), ..PortStatus::default() })
            .collect(),
        buffers: Some(BufferStatus { total: buffers, in_use: pool.in_use() }),
        limits: prepared.live.limits(),
        models: prepared.live.shown(),
        cores: plan.cores.workers.clone(),
        paths: plan.path_names(),
        config: ConfigReport {
            file: origin.0.display().to_string(),
            overrides: origin.1.to_vec(),
            loaded_unix_seconds: started,
            ..ConfigReport::default()
        },
        decides: true,
        started_unix_seconds: started,
        ..Status::default()
    };
    let shared = Shared::new(status, board_readers, clock.calibration().hz);
    let (publication, submissions) = Publication::new(prepared.publisher, prepared.live);
    let mut lanes = prepared.lanes;
    let (mut box_of_trainer, mut desk) = (None, None);
    if let (Some(trainer), Some(begun)) = (&plan.trainer, prepared.begun) {
        let (sender, letters) = channel();
        box_of_trainer = Some(sender);
        let version = prepared.runtime.as_ref().and_then(Runtime::version);
        let ends = (std::mem::take(&mut lanes), letters, submissions.clone());
        desk = Some((trainer.core, Desk::new(begun, trainer, version, shared.clone(), ends)));
    }
    let post = Post::new(box_of_trainer, submissions);
    let runtime = prepared.runtime.unwrap_or_else(Runtime::unwanted);
    let (file, overrides) = (origin.0.to_owned(), origin.1.to_vec());
    let reloader = Reloader::new(file, overrides, plan.clone(), shared.clone(), runtime, post.clone());
    let mut control = Control::new(shared, publication, reloader, signals.reload, post, lanes);

    // Before the first frame, so that an address in use refuses the start. `/readyz` says no until ports were looked at.
    control.open_socket(plan.control.as_deref())?;
    control.serve(plan.metrics)?;
    let over = Arc::new(AtomicBool::new(false));
    let running = start_workers(plan, &engine, lcores, queues, clock, boards, &over, prepared.ends, front)?;
    // After the workers: it may have to compete with them for a core.
    let trainer = match desk {
        Some((core, mut desk)) => {
            let turn = move || {
                std::thread::sleep(TrainerThread::REST);
                desk.turn(clock.now_ns())
            };
            Some(TrainerThread::start(core, control.shared().clone(), turn).context("trainer")?)
        }
        None => None,
    };
    let interfaces = devices.each_ref().map(Beneath::of);
    let mut watch = PortWatch { ports, interfaces, pool, completed, warned: false };
    info!("forwarding; stop with SIGTERM or Ctrl-C");
    // A worker ends before it is told to only if it panics; the others then drain as in any stop.
    while !signals.stop.load(Ordering::Relaxed) && !running.iter().any(Running::is_finished) {
        control.tick(|status| watch.look(status));
        watch.warn_of_cut_frames(&control.shared().reports());
    }
    control.shared().update(|status| status.stopping = true);
    info!(
        "stopping: no more frames are taken, held ones may leave for up to {} ms",
        plan.drain_max.0 / 1_000_000
    );
    over.store(true, Ordering::Relaxed);
    drop(trainer);
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

/// Whether the driver sits on a kernel interface that is there already.
fn is_on_an_interface(device: &DevicePlan) -> bool {
    ["net_af_packet", "net_af_xdp"].iter().any(|driver| device.name().starts_with(driver))
}

/// The drivers that sit on a kernel interface say little when it is missing.
fn check_interface(side: Side, device: &DevicePlan) -> anyhow::Result<()> {
    let (true, Some(interface)) = (is_on_an_interface(device), device.argument("iface")) else {
        return Ok(());
    };
    ensure!(
        nix::net::if_::if_nametoindex(interface).is_ok(),
        "ports.{}: interface {interface} does not exist in this network namespace: `ip link` lists those that do",
        side.name()
    );
    let merges = Interface::named(interface).and_then(|mut found| found.merges_received_frames());
    if merges.unwrap_or(false) {
        warn!(
            "ports.{}: interface {interface} merges received frames, and those longer than a buffer are cut: `ethtool -K \
             {interface} gro off lro off`",
            side.name()
        );
    }
    if device.name().starts_with("net_af_packet") {
        check_slot(side, device, interface)?;
    } else {
        check_channels(side, device, interface)?;
    }
    Ok(())
}

/// DPDK's af_xdp has as many queues as the interface has combined channels, and one where it has none. Its own error
/// names neither the interface nor a way out.
fn check_channels(side: Side, device: &DevicePlan, interface: &str) -> anyhow::Result<()> {
    let Some((argument, Some(wanted))) = device.queues() else { return Ok(()) };
    let Ok(CombinedChannels { now, max }) =
        Interface::named(interface).and_then(|mut found| found.combined_channels())
    else {
        return Ok(());
    };
    let (queues, has) = match max {
        0 => (1, "has none and so counts for one".to_owned()),
        _ => (now, format!("has {now} of at most {max}")),
    };
    let next = if u64::from(max) >= wanted {
        format!("`ethtool -L {interface} combined {wanted}`")
    } else {
        format!("take net_af_packet with qpairs={wanted}, or fewer workers and {argument}={}", max.max(1))
    };
    ensure!(
        u64::from(queues) >= wanted,
        "ports.{}: {argument}={wanted} of {} needs that many combined channels, and interface {interface} {has} (see \
         `ethtool -l {interface}`): {next}",
        side.name(),
        device.name()
    );
    Ok(())
}

/// The kernel cuts a frame to the ring's slot, and the driver does not say so.
fn check_slot(side: Side, device: &DevicePlan, interface: &str) -> anyhow::Result<()> {
    /// The driver's `framesz` unless given.
    const SLOT: u32 = 2_048;
    /// Before the frame in its slot: tpacket2_hdr with sockaddr_ll (52), 16 for the MAC header, aligned to 16.
    const SLOT_OVERHEAD: u32 = 80;
    let slot = device.argument("framesz").and_then(|slot| slot.parse().ok()).unwrap_or(SLOT);
    let mtu = Interface::named(interface)
        .and_then(|mut found| found.mtu())
        .with_context(|| format!("ports.{}: interface {interface}", side.name()))?;
    let needed = mtu + weir_dpdk::FRAME_OVERHEAD + SLOT_OVERHEAD;
    ensure!(
        needed <= slot,
        "ports.{}: frames of interface {interface} (MTU {mtu}) would be cut to its ring's slots of {slot} bytes: \
         add framesz={1} and a blocksz that is a multiple of it, or lower the MTU",
        side.name(),
        needed.next_power_of_two()
    );
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

/// Opens and starts both ports: they by side, and each worker's queues. In mode `route` each side of `engine` is given
/// its port's Ethernet address unless the configuration has another.
fn start_ports(
    eal: Eal,
    plan: &Plan,
    devices: &[DevicePlan; 2],
    pool: &Pool,
    clock: TscClock,
    completed: &Completed,
    engine: &mut EngineConfig,
) -> anyhow::Result<([Port; 2], Vec<DeviceIo>)> {
    let workers = u16::try_from(plan.cores.workers.len()).unwrap_or(u16::MAX);
    let mtu = plan.mtu;
    // A frame longer than a buffer comes in several, and leaves the other port so.
    let chains = mtu.is_some_and(|mtu| u32::from(mtu) + weir_dpdk::FRAME_OVERHEAD > pool.frame_room().into());
    let mut open = |side: Side| {
        let mac_of_port = plan.mac_of_port[side as usize];
        let config = PortConfig {
            workers,
            // A port filters for its own address only.
            filter: if mac_of_port { Filter::OwnAndGroups } else { Filter::Open },
            mtu,
            offloads: Offloads { rx_scatter: chains, tx_segments: chains },
            ..PortConfig::default()
        };
        let mut port = Port::configure(eal, &device(&devices[side as usize])?, &config, pool)
            .with_context(|| side.name())?;
        ensure!(
            !chains || port.granted().offloads.tx_segments,
            "{}: {} does not send a frame that lies in several buffers, as those of ports.mtu = {} do: lower it to {}",
            side.name(),
            port.name(),
            mtu.unwrap_or_default(),
            u32::from(pool.frame_room()) - weir_dpdk::FRAME_OVERHEAD
        );
        let granted = port.granted();
        if let Some(route) = &mut engine.route {
            let interface = &mut route.sides[side as usize];
            if mac_of_port {
                interface.mac = port.mac().with_context(|| side.name())?.0;
            }
            if interface.mtu > granted.mtu {
                let raise = match is_on_an_interface(&devices[side as usize]) {
                    true => format!("`ip link set IFACE mtu {}`", interface.mtu),
                    false => format!("ports.mtu = {}", interface.mtu),
                };
                return Err(anyhow!(
                    "route.{}.mtu: expected at most {}, what {} takes, found {}; {raise} raises that",
                    side.name(),
                    granted.mtu,
                    port.name(),
                    interface.mtu
                ));
            }
        }
        let queues = port.start().with_context(|| side.name())?;
        info!(
            "{} is {}: {}/{} descriptors, MTU {}",
            side.name(),
            port.name(),
            granted.rx_descriptors,
            granted.tx_descriptors,
            granted.mtu
        );
        if granted.rx_queues < workers {
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
    let partial = devices.each_ref().map(is_on_an_interface);
    let queues = inside_queues.into_iter().zip(outside_queues);
    let io =
        |(inside, outside)| DeviceIo::new([inside, outside], *pool, clock, partial, Arc::clone(completed));
    Ok(([inside, outside], queues.map(io).collect()))
}

#[allow(clippy::too_many_arguments, reason = "each is one thing that moves to the workers' threads")]
fn start_workers<Io: PacketIo<Frame = MbufFrame>>(
    plan: &Plan,
    engine: &EngineConfig,
    lcores: Vec<Lcore>,
    queues: Vec<DeviceIo>,
    clock: TscClock,
    boards: Vec<BoardWriter<WORDS>>,
    over: &Arc<AtomicBool>,
    ends: Vec<WorkerEnds>,
    front: impl Fn(usize, DeviceIo) -> Io + Clone + Send + 'static,
) -> anyhow::Result<Vec<Running<Outcome>>> {
    let places = Steering::mesh(lcores.len(), LANE_FRAMES);
    let parts = lcores.into_iter().zip(queues).zip(boards).zip(ends).zip(places);
    type Part<B, P> = (usize, ((((Lcore, DeviceIo), B), WorkerEnds), P));
    let start = |(index, ((((lcore, queues), board), ends), place)): Part<_, _>| {
        let (engine, front) = (engine.clone(), front.clone());
        let terms = Terms {
            stop: Arc::clone(over),
            drain_max: plan.drain_max,
            shares_core: lcore.cpu() == plan.cores.control,
        };
        let WorkerEnds { mut policy, intervals, choices, flows } = ends;
        let job = move || {
            // On the worker's own core, so that its memory is near it.
            let mut io = front(index, queues);
            let mut worker: Worker<MbufFrame> =
                Worker::new(&engine, Ns(clock.now_ns()), intervals).among(place);
            if let Some(lane) = choices {
                worker = worker.recording(lane);
            }
            if let Some(lane) = flows {
                worker = worker.telling(lane);
            }
            poll::poll(worker, &mut io, &mut policy, clock, board, &terms)
        };
        // Those that run already are waited for on the way out.
        Ok(lcore.run(job).inspect_err(|_| over.store(true, Ordering::Relaxed))?)
    };
    parts.enumerate().map(start).collect()
}

/// Looks after ports and buffers from the control thread.
struct PortWatch {
    ports: [Port; 2],
    interfaces: [Option<Beneath>; 2],
    pool: Pool,
    completed: Completed,
    /// Of frames that were cut.
    warned: bool,
}

/// The kernel interface under a virtual device. The driver does not notice when it goes.
struct Beneath {
    name: String,
    index: u32,
}

impl Beneath {
    fn of(device: &DevicePlan) -> Option<Beneath> {
        let name = device.argument("iface")?.to_owned();
        // A driver that makes its own interface may name one that we cannot look up: then there is nothing to watch.
        let index = nix::net::if_::if_nametoindex(name.as_str()).ok()?;
        Some(Beneath { name, index })
    }

    /// Whether it is still the same interface: another of its name is not what the driver's socket is bound to.
    fn is_there(&self) -> bool {
        nix::net::if_::if_nametoindex(self.name.as_str()) == Ok(self.index)
    }
}

impl PortWatch {
    /// Says, once, why frames of a kernel interface have IP lengths that are longer than they are.
    fn warn_of_cut_frames(&mut self, reports: &[Report]) {
        let is_cut = |stat: &&Stat| stat.label == Some(("fault", "ip_length"));
        let cut: u64 =
            reports.iter().flat_map(|report| &report.stats).filter(is_cut).map(|stat| stat.value).sum();
        let mut names = self.interfaces.iter().flatten().map(|interface| interface.name.as_str());
        if cut > 0
            && !self.warned
            && let (Some(name), other) = (names.next(), names.next())
        {
            self.warned = true;
            warn!(
                "frames arrive whose IP length is longer than they are: most likely longer than a buffer, and cut. Senders \
                 whose device does segmentation offload make such; on both ends of {name}{}: `ethtool -K DEVICE tso off gso \
                 off gro off`",
                other.map_or(String::new(), |other| format!(" and {other}"))
            );
        }
    }

    fn look(&mut self, status: &mut Status) {
        for ((port, interface), seen) in self.ports.iter().zip(&self.interfaces).zip(&mut status.ports) {
            let there = !port.is_removed() && interface.as_ref().is_none_or(Beneath::is_there);
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
        for (seen, completed) in status.ports.iter_mut().zip(&*self.completed) {
            seen.rx_partial_checksums = completed.load(Ordering::Relaxed);
        }
        if let Some(buffers) = &mut status.buffers {
            buffers.in_use = self.pool.in_use();
        }
    }
}
