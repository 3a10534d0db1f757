//! How fast a flood of new flows one worker takes, and what it does to paced flows beside it. Frames come from memory and
//! go to nowhere: no port limits the rate, so this is the highest that the engine itself can be offered.
//!
//! ```text
//! cargo run --release -p weir-engine --example flood [seconds]
//! ```
//!
//! 64 established flows are paced at 10 Mb/s each, with 8 frames of 1 514 bytes always on the wheel; what leaves is
//! acknowledged at once. Every other frame of either side's bursts is the attacker's, with a new random tuple each time.

mod frames;

use frames::{ACK, HEADERS, blank, header, word};
use std::collections::VecDeque;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use weir_engine::Worker;
use weir_engine::config::{EngineConfig, PacingCadence, PacingConfig, PacingMode, PacingRule, Pin};
use weir_engine::io::{Burst, PacketIo, Side};
use weir_engine::policy::Policy;
use weir_engine::time::{BitsPerSec, Ns};
use weir_engine::verdict::Verdict;
use weir_features::PacingSpec;
use weir_handoff::{epoch, lane};

const FLOWS: u32 = 64;
/// The first paced flow's outside host: 10.0.1.0. The attacker's lie beyond 128.0.0.0.
const PACED_HOSTS: u32 = 0x0A00_0100;
const RATE_MBPS: u64 = 10;
const HELD_EACH: u64 = 8;
const DATA_LEN: usize = 1_514;
const PAYLOAD: u32 = (DATA_LEN - HEADERS) as u32;
const SYN: u8 = 0x02;

/// What the attacker sends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attack {
    Nothing,
    /// From outside; nobody answers.
    Syns,
    /// From outside, and a workload answers each; the table of half-open connections turns over.
    SynsAnswered,
    /// From outside, of connections that do not exist.
    Acks,
    /// True connections: SYN, SYN-ACK, ACK, until the flow table is full and beyond.
    Connections,
}

/// One paced flow's ends.
#[derive(Clone, Copy, Default)]
struct Ends {
    next: u32,
    held: u64,
    departed: u64,
    /// The number up to which the receiver has something to say.
    acknowledge: Option<u32>,
}

struct Memory {
    attack: Attack,
    random: u64,
    /// The tuple of the last SYN, and the step that follows.
    tuple: (u32, u16),
    step: u8,
    ends: Vec<Ends>,
    /// Flows that have something to say, by side; a flow is listed at most once.
    ready: [VecDeque<u32>; 2],
    small: Vec<Vec<u8>>,
    large: Vec<Vec<u8>>,
    attacked: u64,
}

impl Memory {
    fn new(attack: Attack) -> Memory {
        Memory {
            attack,
            random: 0x1234_5678_9ABC_DEF1,
            tuple: (0, 0),
            step: 0,
            ends: vec![Ends { next: 1, ..Ends::default() }; FLOWS as usize],
            ready: [(0..FLOWS).collect(), VecDeque::with_capacity(FLOWS as usize)],
            small: Vec::new(),
            large: Vec::new(),
            attacked: 0,
        }
    }

    fn small(&mut self, side: Side, host: u32, port: u16, what: (u8, u32, u32)) -> Vec<u8> {
        let mut bytes = self.small.pop().unwrap_or_else(|| blank(HEADERS));
        header(&mut bytes, side, host, port, what);
        bytes
    }

    /// The attacker's next frame, if it is one from this side.
    fn attack(&mut self, side: Side) -> Option<Vec<u8>> {
        let steps: &[(Side, u8, u32, u32)] = match self.attack {
            Attack::Nothing => return None,
            Attack::Syns => &[(Side::Outside, SYN, 9, 0)],
            Attack::SynsAnswered => &[(Side::Outside, SYN, 9, 0), (Side::Inside, SYN | ACK, 50_000_000, 10)],
            Attack::Acks => &[(Side::Outside, ACK, 10, 77)],
            Attack::Connections => &[
                (Side::Outside, SYN, 9, 0),
                (Side::Inside, SYN | ACK, 100, 10),
                (Side::Outside, ACK, 10, 101),
            ],
        };
        let (from, flags, seq, ack) = steps[usize::from(self.step)];
        if from != side {
            return None;
        }
        if self.step == 0 {
            // xorshift64 (Marsaglia 2003).
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            self.tuple = ((self.random >> 32) as u32 | 0x8000_0000, self.random as u16);
        }
        self.step = (self.step + 1) % steps.len() as u8;
        self.attacked += 1;
        let (host, port) = self.tuple;
        Some(self.small(side, host, port, (flags, seq, ack)))
    }

    /// A paced flow's next frame from this side, if one has something to say.
    fn established(&mut self, side: Side) -> Option<Vec<u8>> {
        let index = self.ready[side as usize].pop_front()?;
        let (host, ends) = (PACED_HOSTS + index, &mut self.ends[index as usize]);
        match side {
            Side::Inside => {
                let seq = ends.next;
                ends.next = ends.next.wrapping_add(PAYLOAD);
                ends.held += 1;
                if ends.held < HELD_EACH {
                    self.ready[side as usize].push_back(index);
                }
                let mut bytes = self.large.pop().unwrap_or_else(|| blank(DATA_LEN));
                header(&mut bytes, side, host, 5_000, (ACK, seq, 1));
                Some(bytes)
            }
            Side::Outside => {
                let ack = ends.acknowledge.take()?;
                Some(self.small(side, host, 5_000, (ACK, 1, ack)))
            }
        }
    }

    /// A paced flow's data frame has left.
    fn departed(&mut self, bytes: &[u8]) {
        let index = word(bytes, 30) - PACED_HOSTS;
        let ends = &mut self.ends[index as usize];
        if ends.held == HELD_EACH {
            self.ready[Side::Inside as usize].push_back(index);
        }
        if ends.acknowledge.replace(word(bytes, 38).wrapping_add(PAYLOAD)).is_none() {
            self.ready[Side::Outside as usize].push_back(index);
        }
        ends.held -= 1;
        ends.departed += 1;
    }
}

impl PacketIo for Memory {
    type Frame = Vec<u8>;

    fn make(&mut self, _: Side, _: usize) -> Option<Vec<u8>> {
        None
    }

    fn rx(&mut self, side: Side, into: &mut Burst<Vec<u8>>) -> usize {
        let before = into.len();
        while !into.is_full() {
            let Some(frame) = self.attack(side) else { break };
            into.push(frame);
            if let Some(frame) = (!into.is_full()).then(|| self.established(side)).flatten() {
                into.push(frame);
            }
        }
        while !into.is_full() {
            let Some(frame) = self.established(side) else { break };
            into.push(frame);
        }
        into.len() - before
    }

    fn tx(&mut self, _side: Side, from: &mut Burst<Vec<u8>>) -> usize {
        let taken = from.len();
        for bytes in from.drain(..) {
            if bytes.len() == DATA_LEN {
                self.departed(&bytes);
                self.large.push(bytes);
            } else {
                self.small.push(bytes);
            }
        }
        taken
    }
}

fn config() -> EngineConfig {
    EngineConfig {
        seed: 0x5EED,
        flows_max: 65_536,
        half_open_max: 16_384,
        flow_idle_max: Ns::from_secs(120),
        held_max: 8_192,
        pacing: Some(PacingConfig {
            rule: PacingRule::Fixed(BitsPerSec::from_mbps(RATE_MBPS)),
            model: false,
            spec: PacingSpec::default(),
            rate_min: BitsPerSec(500_000),
            rate_max: BitsPerSec(10_000_000_000),
            rate_start: BitsPerSec::from_mbps(RATE_MBPS),
            control_share: 0,
            explore_share: 0,
            explore_sigma_q16: 0,
            sample_share: 0,
            mark_delay: Ns::from_millis(100),
            delay_max: Ns::from_millis(200),
            mode: PacingMode::Transparent,
            flow_held_bytes_max: 1 << 20,
            limits: weir_engine::limit::Limits::none(),
            cadence: PacingCadence::Interval,
            pin: Pin::Interval,
        }),
        route: None,
        schedule: None,
    }
}

/// Runs one attack and prints a line. Whether the paced flows came through.
fn run(name: &str, attack: Attack, span: Duration) -> bool {
    let (samples, _drained) = lane(4, 64);
    let (_publisher, mut readers) = epoch(Policy::default(), 1);
    let Some(mut policy) = readers.pop() else { return false };
    let mut memory = Memory::new(Attack::Nothing);
    let mut worker: Worker<Vec<u8>> = Worker::new(&config(), Ns::from_secs(1), samples);
    let began = Instant::now();
    let now = || Ns(1_000_000_000 + began.elapsed().as_nanos() as u64);
    // The flows are adopted mid-stream and come to their rate.
    while began.elapsed() < Duration::from_millis(300) {
        worker.turn(now(), &mut memory, &mut policy);
    }
    let before = (*worker.tally(), *worker.stats());
    let departed: Vec<u64> = memory.ends.iter().map(|ends| ends.departed).collect();
    memory.attack = attack;
    let started = Instant::now();
    while started.elapsed() < span {
        worker.turn(now(), &mut memory, &mut policy);
    }
    // A gap that ended the loop is told of by the frames that leave after it.
    for _ in 0..4 {
        worker.turn(now(), &mut memory, &mut policy);
    }
    let seconds = started.elapsed().as_secs_f64();
    let rates: Vec<f64> = memory
        .ends
        .iter()
        .zip(departed)
        .map(|(ends, before)| (ends.departed - before) as f64 * DATA_LEN as f64 * 8e-6 / seconds)
        .collect();
    let (least, most) =
        rates.iter().fold((f64::MAX, 0.0_f64), |(least, most), rate| (least.min(*rate), most.max(*rate)));
    let (tally, stats) = (*worker.tally(), *worker.stats());
    let dropped: u64 = Verdict::ALL
        .iter()
        .filter(|verdict| !verdict.sent())
        .map(|verdict| tally.ended[*verdict as usize] - before.0.ended[*verdict as usize])
        .sum();
    let all = (tally.received.iter().sum::<u64>() - before.0.received.iter().sum::<u64>()) as f64;
    // What the wheel could not make up for, because this thread was away from its core: the machine's, not the flood's.
    let away = (stats.wheel_stall_ns - before.1.wheel_stall_ns) as f64 / 1e9 / f64::from(FLOWS) / seconds;
    println!(
        "{name:<28} {:>6.2} M attack frames/s ({:>3.0} ns a frame of all); paced {least:.3} to {most:.3} Mb/s \
         with {:.2} % of the time away; dropped \
         {dropped}; flows {}, table_full {}, half-open {} (replaced {}), late {}",
        memory.attacked as f64 / seconds / 1e6,
        seconds * 1e9 / all,
        away * 100.0,
        stats.flows,
        tally.ended[Verdict::TableFull as usize],
        stats.half_open,
        stats.half_open_replaced - before.1.half_open_replaced,
        stats.wheel_late - before.1.wheel_late,
    );
    dropped == 0 && stats.paced_flows >= u64::from(FLOWS) && least > 0.99 * (1.0 - away) * RATE_MBPS as f64
}

fn main() -> ExitCode {
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(3);
    let attacks = [
        ("no attack", Attack::Nothing),
        ("SYNs", Attack::Syns),
        ("SYNs, each answered", Attack::SynsAnswered),
        ("ACKs of no connection", Attack::Acks),
        ("connections, table full", Attack::Connections),
    ];
    let span = Duration::from_secs(seconds);
    // Every attack is run and told of before the verdict.
    let held: Vec<bool> = attacks.into_iter().map(|(name, attack)| run(name, attack, span)).collect();
    if held.iter().all(|held| *held) {
        println!(
            "every established flow kept its entry, its frames, and its rate within 1 % (less the time away)"
        );
        return ExitCode::SUCCESS;
    }
    println!("an established flow was disturbed: see above");
    ExitCode::FAILURE
}
