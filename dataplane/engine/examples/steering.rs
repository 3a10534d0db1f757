//! What it costs when the card gives every frame to one queue: two workers on two cores, of which one receives all and
//! passes half of it on, against one worker that does everything.
//!
//! ```text
//! cargo run --release -p weir-engine --example steering [seconds]
//! ```
//!
//! 1 024 established flows; frames are acknowledgements of 60 bytes, written anew into memory at each receipt as a card
//! would, so that the owner's core does fetch what the receiver's core has written. Memory goes back through a lane, as
//! through a mempool's ring.

use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use weir_engine::Worker;
use weir_engine::config::EngineConfig;
use weir_engine::io::{Burst, Frame, PacketIo, Side};
use weir_engine::policy::Policy;
use weir_engine::steer::{LANE_FRAMES, Steering};
use weir_engine::time::Ns;
use weir_engine::verdict::{Tally, Verdict};
use weir_handoff::{Reader, SteerReceiver, SteerSender, epoch, lane, steer_lane};

const FLOWS: u32 = 1_024;
/// Frames in circulation at the start: more than both lanes and all bursts hold.
const FRAMES: usize = 8_192;
const ACK: u8 = 0x10;

type Memory = Box<[u8; 60]>;

struct MemoryFrame(Memory);

impl Frame for MemoryFrame {
    fn bytes(&self) -> &[u8] {
        &*self.0
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut *self.0
    }
    fn wire_len(&self) -> u32 {
        60
    }
}

/// A queue that always has frames, and memory for them; or none.
struct Queue {
    receives: bool,
    /// Used in the order in which it came back, as a card's descriptors are.
    free: VecDeque<Memory>,
    returned: Option<SteerReceiver<Memory>>,
    returns: Option<SteerSender<Memory>>,
    /// Frames so far, by side.
    count: [u32; 2],
}

fn write(memory: &mut Memory, side: Side, number: u32) {
    let flow = number % FLOWS;
    let (near, far) = (0x0A00_0001_u32, 0x0A00_0100 + flow);
    let (from, to) = if side == Side::Inside { (near, far) } else { (far, near) };
    memory[12..14].copy_from_slice(&[0x08, 0x00]);
    memory[14] = 0x45;
    memory[16..18].copy_from_slice(&40_u16.to_be_bytes());
    (memory[22], memory[23], memory[46]) = (64, 6, 0x50);
    memory[26..30].copy_from_slice(&from.to_be_bytes());
    memory[30..34].copy_from_slice(&to.to_be_bytes());
    memory[34..38].copy_from_slice(&[0x13, 0x88, 0x13, 0x88]);
    memory[42..46].copy_from_slice(&number.to_be_bytes());
    memory[47] = ACK;
}

impl PacketIo for Queue {
    type Frame = MemoryFrame;

    fn make(&mut self, _: Side, _: usize) -> Option<MemoryFrame> {
        None
    }

    fn rx(&mut self, side: Side, into: &mut Burst<MemoryFrame>) -> usize {
        if !self.receives {
            return 0;
        }
        if let Some(lane) = &mut self.returned {
            lane.take(usize::MAX, |memory| self.free.push_back(memory));
        }
        let before = into.len();
        let count = &mut self.count[side as usize];
        // From inside one frame of each flow, which establishes it.
        while !into.is_full() && (side == Side::Outside || *count < FLOWS) {
            // Anew for what was dropped.
            let mut memory = self.free.pop_front().unwrap_or_else(|| Box::new([0; 60]));
            write(&mut memory, side, *count);
            *count = count.wrapping_add(1);
            into.push(MemoryFrame(memory));
        }
        into.len() - before
    }

    fn tx(&mut self, _side: Side, from: &mut Burst<MemoryFrame>) -> usize {
        let taken = from.len();
        for MemoryFrame(mut memory) in from.drain(..) {
            match &mut self.returns {
                None => self.free.push_back(memory),
                // The other end empties it at each receipt.
                Some(lane) => {
                    while let Err(back) = lane.push(memory) {
                        memory = back;
                    }
                }
            }
        }
        if let Some(lane) = &mut self.returns {
            lane.flush();
        }
        taken
    }
}

fn config() -> EngineConfig {
    EngineConfig {
        seed: 0x5EED,
        flows_max: 8_192,
        half_open_max: 4_096,
        flow_idle_max: Ns::from_secs(120),
        held_max: 64,
        pacing: None,
        route: None,
        schedule: None,
    }
}

/// Turns until `stop`. The books, and the time of it.
fn poll(
    place: Steering<MemoryFrame>,
    mut queue: Queue,
    mut policy: Reader<Policy>,
    stop: &AtomicBool,
) -> (Tally, Duration) {
    let (samples, _drained) = lane(1, 1);
    let mut worker = Worker::new(&config(), Ns::from_secs(1), samples).among(place);
    let began = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let now = Ns(1_000_000_000 + began.elapsed().as_nanos() as u64);
        worker.turn(now, &mut queue, &mut policy);
    }
    (*worker.tally(), began.elapsed())
}

fn queue(receives: bool) -> Queue {
    let free = if receives { (0..FRAMES).map(|_| Box::new([0; 60])).collect() } else { VecDeque::new() };
    Queue { receives, free, returned: None, returns: None, count: [0; 2] }
}

/// Runs so many workers on so many cores; the first receives everything. Nanoseconds per frame that ended.
fn run(cpus: &[usize], span: Duration) -> Result<f64, String> {
    let (_publisher, readers) = epoch(Policy::default(), cpus.len());
    let places = Steering::mesh(cpus.len(), LANE_FRAMES);
    let mut queues: Vec<Queue> = (0..cpus.len()).map(|index| queue(index == 0)).collect();
    if let [first, second] = queues.as_mut_slice() {
        let (sender, receiver) = steer_lane(FRAMES);
        (first.returned, second.returns) = (Some(receiver), Some(sender));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let parts = places.into_iter().zip(queues).zip(readers).zip(cpus.iter().copied());
    let threads: Vec<_> = parts
        .map(|(((place, queue), policy), cpu)| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                weir_cpu::pin_current_thread(cpu).map_err(|error| error.to_string())?;
                Ok::<_, String>(poll(place, queue, policy, &stop))
            })
        })
        .collect();
    std::thread::sleep(span);
    stop.store(true, Ordering::Relaxed);
    let (mut sum, mut time) = (Tally::default(), Duration::ZERO);
    for thread in threads {
        let (tally, took) = thread.join().map_err(|_| "a worker panicked".to_owned())??;
        sum += &tally;
        time = time.max(took);
    }
    if !sum.balanced() {
        return Err(format!("not balanced: {sum:?}"));
    }
    let sent: u64 = sum.sent.iter().sum();
    // All but the first few belong to flows of the table.
    if sum.ended[Verdict::Forwarded as usize] * 100 < sent * 99 {
        return Err(format!("not of established flows: {sum:?}"));
    }
    let per_frame = time.as_secs_f64() * 1e9 / sent as f64;
    println!(
        "{} worker(s): {:.2} M frames/s, {per_frame:.1} ns a frame; {:.1} % steered, {} dropped for a full lane",
        cpus.len(),
        sent as f64 / time.as_secs_f64() / 1e6,
        sum.steered_in as f64 * 100.0 / sent as f64,
        sum.ended[Verdict::SteerFull as usize],
    );
    Ok(per_frame)
}

fn main() -> ExitCode {
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(3);
    let span = Duration::from_secs(seconds);
    let cpus = match weir_cpu::allowed_cpus() {
        Ok(cpus) if cpus.len() >= 2 => cpus,
        Ok(_) => {
            eprintln!("two workers need two cores");
            return ExitCode::FAILURE;
        }
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    // One, two, and one again: the first figure should be the third.
    for workers in [&cpus[..1], &cpus[..2], &cpus[..1]] {
        if let Err(error) = run(workers, span) {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
