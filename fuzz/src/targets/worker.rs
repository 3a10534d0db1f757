//! A whole worker, fed frame by frame: the books balance after every turn, and every frame is somewhere.

use super::{Target, parser};
use crate::mutate::one_in;
use crate::seeds;
use std::cell::Cell;
use std::rc::Rc;
use weir_engine::config::{EngineConfig, PacingConfig, PacingRule, Pin};
use weir_engine::io::{Burst, Frame, PacketIo, Side};
use weir_engine::policy::Policy;
use weir_engine::time::{BitsPerSec, Ns};
use weir_engine::verdict::Verdict;
use weir_features::PacingSpec;
use weir_handoff::{epoch, lane};
use weir_trainer::rng::Rng;

/// The input is one byte for the configuration, and then steps: what happens (see [`Step`]), how long before, the
/// frame's length in two bytes, and the frame.
pub(crate) struct Worker {
    frames: Vec<Vec<u8>>,
    connection: Vec<(bool, Vec<u8>)>,
}

impl Worker {
    pub(crate) fn new() -> Worker {
        Worker { frames: seeds::frames(1_600), connection: seeds::connection() }
    }
}

/// Bits of a step's first byte.
struct Step;
impl Step {
    const OUTSIDE: u8 = 1;
    /// More frames come in the same turn.
    const MORE: u8 = 1 << 1;
    /// Only the first half of the frame is in the first segment.
    const SPLIT: u8 = 1 << 2;
    /// The ports take nothing in this turn.
    const STUCK: u8 = 1 << 3;
}

/// Waits that a step chooses from: nothing, a burst, a slot, an interval, an idle flow.
const WAITS: [Ns; 6] =
    [Ns::ZERO, Ns(700), Ns(9_000), Ns::from_millis(1), Ns::from_millis(40), Ns::from_secs(5)];

/// Offsets in an untagged IPv4 frame without options.
const SOURCE_PORT: usize = 34;
const DESTINATION_PORT: usize = 36;
const SEQ: usize = 38;
const ACK: usize = 42;

impl Target for Worker {
    fn make(&self, rng: &mut Rng) -> Vec<u8> {
        let mut input = vec![rng.bits() as u8];
        let mut progress = [0; 4];
        let mut sent: u32 = 0;
        for _ in 0..20 + rng.below(80) {
            let flow = rng.below(progress.len());
            let (inside, mut frame) = match rng.below(10) {
                0..4 => {
                    // The connection goes on; its end is seldom reached.
                    let next = &mut progress[flow];
                    let step = self.connection[*next].clone();
                    *next =
                        if *next < 4 || one_in(rng, 6) { (*next + 1) % self.connection.len() } else { *next };
                    step
                }
                4..6 => {
                    let (inside, mut data) = self.connection[3].clone();
                    sent = sent.wrapping_add(rng.below(200) as u32);
                    shift(&mut data, SEQ, sent);
                    (inside, data)
                }
                6..8 => {
                    let (inside, mut answer) = self.connection[4].clone();
                    shift(&mut answer, ACK, rng.below(sent as usize + 100) as u32);
                    (inside, answer)
                }
                _ => (one_in(rng, 2), parser::damaged(rng, &self.frames)),
            };
            let port = if inside { SOURCE_PORT } else { DESTINATION_PORT };
            if let Some(byte) = frame.get_mut(port + 1) {
                *byte = byte.wrapping_add(flow as u8);
            }
            let mut step = if inside { 0 } else { Step::OUTSIDE };
            for (bit, rarity) in [(Step::MORE, 2), (Step::SPLIT, 20), (Step::STUCK, 10)] {
                step |= if one_in(rng, rarity) { bit } else { 0 };
            }
            input.extend([step, rng.below(WAITS.len()) as u8]);
            input.extend((frame.len() as u16).to_le_bytes());
            input.extend(frame);
        }
        input
    }

    fn counts(&self) -> &'static str {
        "frames"
    }

    fn check(&mut self, input: &[u8]) -> u64 {
        let Some((setup, mut rest)) = input.split_first() else { return 0 };
        let (samples, _trainer) = lane(8, 8);
        let (_publisher, mut readers) = epoch(Policy::default(), 1);
        let mut models = readers.pop().expect("one reader");
        let mut now = Ns::from_secs(1_000);
        let mut ports = Ports::default();
        let mut worker = weir_engine::Worker::new(&config(*setup), now, samples);
        let mut frames = 0;
        while let Some(([step, wait, low, high], after)) = rest.split_first_chunk::<4>() {
            let len = usize::from(u16::from_le_bytes([*low, *high])).min(after.len());
            let (bytes, after) = after.split_at(len);
            rest = after;
            now += WAITS[usize::from(*wait) % WAITS.len()];
            let side = usize::from(step & Step::OUTSIDE);
            let first = if step & Step::SPLIT != 0 { len / 2 } else { len };
            ports.arriving[side].push(Counted::new(bytes, first, &ports.alive));
            frames += 1;
            if step & Step::MORE != 0 {
                continue;
            }
            ports.stuck = step & Step::STUCK != 0;
            worker.turn(now, &mut ports, &mut models);
            let tally = worker.tally();
            assert!(tally.balanced(), "{tally:?}");
            let waiting: usize = ports.arriving.iter().map(Vec::len).sum();
            assert_eq!(ports.alive.get() as u64, tally.held + waiting as u64, "a frame was lost, or kept");
        }
        ports.stuck = false;
        for _ in 0..1_000 {
            let report = worker.drain(now, &mut ports);
            let Some(due) = report.next_due.filter(|_| report.inside > 0) else { break };
            now = due.max(now + Ns(500));
        }
        let (tally, _) = worker.finish();
        assert!(tally.balanced() && tally.held == 0, "{tally:?}");
        let received: u64 = tally.received.iter().sum();
        let sent: u64 =
            Verdict::ALL.iter().filter(|verdict| verdict.sent()).map(|v| tally.ended[*v as usize]).sum();
        assert_eq!(sent, tally.sent.iter().sum::<u64>());
        assert_eq!(received, frames - ports.arriving.iter().map(Vec::len).sum::<usize>() as u64);
        ports.arriving = Default::default();
        assert_eq!(ports.alive.get(), 0, "frames outlive the worker");
        frames
    }
}

fn shift(frame: &mut [u8], at: usize, by: u32) {
    let field: [u8; 4] = [frame[at], frame[at + 1], frame[at + 2], frame[at + 3]];
    frame[at..at + 4].copy_from_slice(&u32::from_be_bytes(field).wrapping_add(by).to_be_bytes());
}

/// Small tables, so that they fill, and slow pacing, so that frames are held.
fn config(setup: u8) -> EngineConfig {
    let rule = match setup & 3 {
        0 => None,
        1 => Some(PacingRule::None),
        2 => Some(PacingRule::Fixed(BitsPerSec(2_000_000))),
        _ => Some(PacingRule::BbrLite),
    };
    let pacing = |rule| PacingConfig {
        rule,
        model: false,
        spec: PacingSpec::default(),
        rate_min: BitsPerSec(100_000),
        rate_max: BitsPerSec(1_000_000_000),
        rate_start: BitsPerSec(1_000_000),
        control_share: 6_554,
        explore_share: 16_384,
        explore_sigma_q16: 65_536,
        sample_share: 32_768,
        mark_delay: Ns::from_millis(2),
        delay_max: Ns::from_millis(30),
        flow_held_bytes_max: 1 << 14,
        pin: if setup & 4 != 0 { Pin::Interval } else { Pin::Flow { max: Ns::from_secs(1) } },
    };
    EngineConfig {
        seed: 9,
        flows_max: if setup & 8 != 0 { 16 } else { 64 },
        half_open_max: 16,
        flow_idle_max: Ns::from_secs(3),
        held_max: 64,
        pacing: rule.map(pacing),
        route: None,
    }
}

/// A frame that is counted for as long as it lives.
struct Counted {
    bytes: Vec<u8>,
    first: usize,
    alive: Rc<Cell<usize>>,
}

impl Counted {
    fn new(bytes: &[u8], first: usize, alive: &Rc<Cell<usize>>) -> Counted {
        alive.set(alive.get() + 1);
        Counted { bytes: bytes.to_vec(), first, alive: Rc::clone(alive) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.alive.set(self.alive.get() - 1);
    }
}

impl Frame for Counted {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.first]
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.first]
    }
    fn wire_len(&self) -> u32 {
        self.bytes.len() as u32
    }
}

#[derive(Default)]
struct Ports {
    arriving: [Vec<Counted>; 2],
    stuck: bool,
    alive: Rc<Cell<usize>>,
}

impl PacketIo for Ports {
    type Frame = Counted;

    fn make(&mut self, _: Side, _: usize) -> Option<Counted> {
        None
    }

    fn rx(&mut self, side: Side, into: &mut Burst<Counted>) -> usize {
        let arriving = &mut self.arriving[side as usize];
        let taken = arriving.len().min(into.remaining_capacity());
        into.extend(arriving.drain(..taken));
        taken
    }

    fn tx(&mut self, _: Side, from: &mut Burst<Counted>) -> usize {
        let taken = if self.stuck { 0 } else { from.len() };
        from.drain(..taken);
        taken
    }
}
