//! Forwards frames between two devices on one worker core and prints the rate once a second: what `dpdk-testpmd
//! --forward-mode=io` does, to see what the wrappers cost.
//!
//! ```text
//! cargo run --release -p weir-dpdk --example io -- net_null0 net_null1 --seconds 5 --hugepages
//! ```

use arrayvec::ArrayVec;
use nix::time::{ClockId, clock_gettime};
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use weir_dpdk::{Device, Eal, EalConfig, LogLevel, Mbuf, Pool, Port, PortConfig, QueuePair};

const USAGE: &str = "usage: io DEVICE DEVICE [--seconds N] [--hugepages] [--main-cpu N] [--worker-cpu N]";

/// As many buffers as the testpmd runs that this is compared with (`--total-num-mbufs`), and its cache.
const BUFFERS: u32 = 16_384;
const CACHE: u32 = 250;

struct Arguments {
    devices: [Device; 2],
    seconds: u32,
    hugepages: bool,
    main_cpu: usize,
    worker_cpu: usize,
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut devices = Vec::new();
    let (mut seconds, mut hugepages, mut main_cpu, mut worker_cpu) = (5, false, 0, 1);
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        let mut value = || given.next().ok_or(USAGE);
        match argument.as_str() {
            "--hugepages" => hugepages = true,
            "--seconds" => seconds = value()?.parse()?,
            "--main-cpu" => main_cpu = value()?.parse()?,
            "--worker-cpu" => worker_cpu = value()?.parse()?,
            device => devices.push(device.parse()?),
        }
    }
    let devices = devices.try_into().map_err(|_| USAGE)?;
    Ok(Arguments { devices, seconds, hugepages, main_cpu, worker_cpu })
}

/// What the worker and the printing thread share.
#[derive(Default)]
struct Progress {
    received: AtomicU64,
    stop: AtomicBool,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("io: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments = arguments()?;
    let config = EalConfig {
        hugepages: arguments.hugepages,
        main_cpu: arguments.main_cpu,
        worker_cpus: vec![arguments.worker_cpu],
        devices: arguments.devices.to_vec(),
        log_level: LogLevel::Warning,
        ..EalConfig::default()
    };
    let (eal, workers) = Eal::init(&config)?;
    let pool = Pool::new(eal, "io", BUFFERS, CACHE, 2048)?;
    let mut ports = Vec::new();
    let mut queues = Vec::new();
    for device in &arguments.devices {
        let mut port = Port::configure(eal, device, &PortConfig::default(), &pool)?;
        queues.extend(port.start()?);
        println!("{} {}: {:?}", port.name(), port.mac()?, port.granted());
        ports.push(port);
    }

    let progress = Arc::new(Progress::default());
    let worker = workers.into_iter().next().ok_or("no worker core")?;
    let seen = Arc::clone(&progress);
    let running = worker.run(move || forward(queues, &seen))?;
    for _ in 0..arguments.seconds {
        let (start, before) = (Instant::now(), progress.received.load(Ordering::Relaxed));
        std::thread::sleep(Duration::from_secs(1));
        let frames = progress.received.load(Ordering::Relaxed) - before;
        println!("{:.1} Mpps", frames as f64 / start.elapsed().as_secs_f64() / 1e6);
    }
    progress.stop.store(true, Ordering::Relaxed);
    let (_, outcome) = running.join();
    let report = outcome.map_err(|_| "the worker panicked")??;
    let (cpu, wall) = (report.cpu.as_secs_f64(), report.wall.as_secs_f64());
    println!(
        "{:.1} Mpps over {wall:.1} s with {:.0} % of a core: {:.2} ns a frame; {} dropped at full queues",
        report.received as f64 / wall / 1e6,
        cpu / wall * 100.0,
        cpu * 1e9 / report.received as f64,
        report.dropped
    );
    Ok(())
}

/// What the worker did in its life.
struct Report {
    received: u64,
    /// Frames that no transmit queue took.
    dropped: u64,
    wall: Duration,
    /// Time for which the worker had its core. Less than `wall` where others ran there too.
    cpu: Duration,
}

/// Moves bursts both ways until told to stop.
fn forward(mut queues: Vec<QueuePair>, progress: &Progress) -> nix::Result<Report> {
    let mut burst: ArrayVec<Mbuf, 32> = ArrayVec::new();
    let (mut received, mut dropped) = (0, 0);
    let (wall, cpu) = (Instant::now(), thread_time()?);
    while !progress.stop.load(Ordering::Relaxed) {
        for from in 0..2 {
            received += queues[from].rx(&mut burst) as u64;
            queues[1 - from].tx(&mut burst);
            dropped += burst.len() as u64;
            burst.clear();
        }
        progress.received.store(received, Ordering::Relaxed);
    }
    Ok(Report { received, dropped, wall: wall.elapsed(), cpu: thread_time()? - cpu })
}

/// Processor time of the calling thread.
fn thread_time() -> nix::Result<Duration> {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from)
}
