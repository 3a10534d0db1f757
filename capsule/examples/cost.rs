//! What a capsule pipeline in front of a worker costs: CPU nanoseconds a frame through worker and pipeline against the
//! worker alone, cases by turns in one process, on an EAL core with hugepages.
//!
//!     cargo run --release --example cost

use anyhow::{Context as _, ensure};
use capsule::batch::{Batch, Poll};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use weir_capsule::Front;
use weir_capsule::acl::{Acl, AclStage, Action, Network, Rule};
use weir_dpdk::{Eal, EalConfig, LogLevel, Pool};
use weir_engine::Worker;
use weir_engine::config::EngineConfig;
use weir_engine::io::{BURST, Burst, PacketIo, Side};
use weir_engine::policy::Policy;
use weir_engine::route::Prefix;
use weir_engine::time::Ns;
use weir_engine::verdict::Verdict;
use weir_handoff::{epoch, lane};
use weir_shell::run::MbufFrame;

/// Frames that circulate: their headers lie in the second-level cache, as those of a busy port.
const FRAMES: usize = 1_024;
const FRAMES_MEASURED: u64 = 8_000_000;
const ROUNDS: usize = 7;

/// Frames that arrive inside and leave outside, again and again.
struct Loop {
    frames: VecDeque<MbufFrame>,
    /// Where what was denied is made anew from.
    pool: Pool,
    image: Vec<u8>,
    /// Whether frames are made for each burst and freed behind the worker, as where they are denied.
    fresh: bool,
}

impl Loop {
    fn make_one(&self, flow: u16) -> MbufFrame {
        let mut bytes = self.image.clone();
        let ports = bytes.len() - 20;
        bytes[ports..ports + 2].copy_from_slice(&flow.to_be_bytes());
        self.of(&bytes)
    }

    fn of(&self, bytes: &[u8]) -> MbufFrame {
        let mut mbuf = self.pool.alloc().unwrap_or_else(|| std::process::abort());
        if mbuf.append(bytes).is_err() {
            std::process::abort();
        }
        MbufFrame::from(mbuf)
    }
}

impl PacketIo for Loop {
    type Frame = MbufFrame;

    fn rx(&mut self, side: Side, into: &mut Burst<MbufFrame>) -> usize {
        if side == Side::Outside {
            return 0;
        }
        if self.fresh {
            (0..BURST).for_each(|_| into.push(self.of(&self.image)));
        } else {
            into.extend(self.frames.drain(..BURST.min(self.frames.len())));
        }
        into.len()
    }

    fn tx(&mut self, _: Side, from: &mut Burst<MbufFrame>) -> usize {
        let sent = from.len();
        match self.fresh {
            true => from.clear(),
            false => self.frames.extend(from.drain(..)),
        }
        sent
    }

    fn make(&mut self, _: Side, _: usize) -> Option<MbufFrame> {
        None
    }
}

/// A TCP segment without payload, Ethernet included.
fn image(is_ipv4: bool) -> Vec<u8> {
    let mut bytes = vec![2; 12];
    if is_ipv4 {
        bytes.extend([8, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 9, 0, 2]);
    } else {
        bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 6, 64]);
        bytes.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        bytes.extend([0xfd, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    }
    bytes.extend([0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0]);
    bytes
}

/// Rules that match none of these frames, half of either version of IP.
fn list(rules: u8, default: Action) -> Acl {
    let rule = |number: u8| {
        let address = match number % 2 {
            0 => IpAddr::from([192, 0, 2, number]),
            _ => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(number)]),
        };
        let len = if address.is_ipv4() { 32 } else { 128 };
        Rule {
            name: format!("rule {number}"),
            action: Action::Deny,
            from: None,
            protocol: None,
            source: Some(Network::from(Prefix { address, len })),
            destination: None,
            source_port: None,
            destination_port: None,
        }
    };
    Acl { rules: (0..rules).map(rule).collect(), default }
}

/// CPU time that this thread has had, ns: the first word of proc(5)'s schedstat.
fn cpu_ns() -> anyhow::Result<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split(' ').next().unwrap_or_default().parse()?)
}

/// CPU nanoseconds a frame.
fn run<Io: PacketIo<Frame = MbufFrame>>(
    config: &EngineConfig,
    mut io: Io,
    denies: bool,
) -> anyhow::Result<f64> {
    let (samples, _samples) = lane(8, 8);
    let (_publisher, mut readers) = epoch(Policy::default(), 1);
    let mut models = readers.pop().context("a reader")?;
    let mut worker = Worker::new(config, Ns::from_secs(1), samples);
    let mut now = Ns::from_secs(1);
    let (mut measured_from, mut began) = (None, 0);
    loop {
        now += Ns(1_000);
        worker.turn(now, &mut io, &mut models);
        let received = worker.tally().received[0];
        match measured_from {
            // A sixteenth to warm up.
            None if received >= FRAMES_MEASURED / 16 => {
                measured_from = Some(received);
                began = cpu_ns()?;
            }
            Some(from) if received - from >= FRAMES_MEASURED => {
                let spent = cpu_ns()? - began;
                let denied = worker.tally().ended[Verdict::Denied as usize];
                ensure!(worker.tally().balanced() && denied == if denies { received } else { 0 });
                return Ok(spent as f64 / (received - from) as f64);
            }
            _ => {}
        }
    }
}

/// (name, of IPv4, made anew, the list in front; without rules but with `Some`, an empty pipeline)
const CASES: [(&str, bool, bool, Option<u8>); 9] = [
    ("worker alone, IPv4", true, false, None),
    ("pipeline without a stage, IPv4", true, false, Some(u8::MAX)),
    ("list of 0 rules, IPv4", true, false, Some(0)),
    ("list of 4 rules, IPv4", true, false, Some(4)),
    ("list of 64 rules, IPv4", true, false, Some(64)),
    ("worker alone, IPv6", false, false, None),
    ("list of 4 rules, IPv6", false, false, Some(4)),
    ("worker alone, IPv4, a buffer taken and freed each", true, true, None),
    ("list that denies all, IPv4, likewise", true, true, Some(4)),
];

fn measure(config: &EngineConfig, pool: Pool) -> anyhow::Result<()> {
    let mut found = vec![Vec::new(); CASES.len()];
    for _ in 0..ROUNDS {
        for ((_, is_ipv4, fresh, rules), found) in CASES.iter().zip(&mut found) {
            let mut io = Loop { frames: VecDeque::new(), pool, image: image(*is_ipv4), fresh: *fresh };
            if !fresh {
                io.frames = (0..FRAMES as u16).map(|flow| io.make_one(flow)).collect();
            }
            found.push(match rules {
                None => run(config, io, false)?,
                Some(u8::MAX) => run(
                    config,
                    Front::new(io, Arc::default(), |_, inlet, outlet| Poll::new(inlet).send(outlet)),
                    false,
                )?,
                Some(rules) => {
                    let default = if *fresh { Action::Deny } else { Action::Allow };
                    run(config, AclStage::new(list(*rules, default)).put(0, io), *fresh)?
                }
            });
            ensure!(pool.in_use() == 0, "{} buffers are missing", pool.in_use());
        }
    }
    println!("{:52}{:>8}{:>16}{:>9}", "CPU ns a frame, bursts of 32", "median", "least..most", "added");
    let mut alone = 0.0;
    for ((name, _, _, rules), mut found) in CASES.into_iter().zip(found) {
        found.sort_by(f64::total_cmp);
        let (least, median, most) = (found[0], found[ROUNDS / 2], found[ROUNDS - 1]);
        if rules.is_none() {
            alone = median;
        }
        println!("{name:52}{median:>8.1}{:>16}{:>9.1}", format!("{least:.1}..{most:.1}"), median - alone);
    }
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let cpus = weir_cpu::allowed_cpus()?;
    let config = EalConfig {
        main_cpu: cpus[0],
        worker_cpus: vec![cpus[cpus.len() - 1]],
        memory_mb: 64,
        log_level: LogLevel::Warning,
        ..EalConfig::default()
    };
    // A worker that forwards, by the file, so that what else an engine may be told stays at its default.
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/acl/weir.toml");
    let small = ["pacing.rule=none", "pacing.model=", "engine.flows_max=4096", "engine.half_open_max=1024"];
    let (plan, _) = weir_shell::config::load(&file, &small.map(str::to_owned))?;
    let (eal, mut lcores) = Eal::init(&config)?;
    let pool = Pool::new(eal, "cost", 8_191, 256, 2_048)?;
    let lcore = lcores.pop().context("a worker core")?;
    let (_, outcome) = lcore.run(move || measure(&plan.engine, pool))?.join();
    outcome.map_err(|_| anyhow::anyhow!("the measuring thread panicked"))?
}
