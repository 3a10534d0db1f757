//! A thousand TCP flows that a network paces, in memory and virtual time: the load does not depend on the machine, and each
//! turn has about the same to do. What differs from turn to turn is then what is measured.

use crate::frames::{ACK, HEADERS, blank, header, word};
use std::collections::VecDeque;
use std::error::Error;
use std::process::ExitCode;
use weir_engine::config::{EngineConfig, PacingCadence, PacingConfig, PacingMode, PacingRule, Pin};
use weir_engine::io::{Burst, PacketIo, Side};
use weir_engine::models::Generation;
use weir_engine::sampler::Draw;
use weir_engine::time::{BitsPerSec, Ns};
use weir_features::{INPUTS, ONE, PacingSpec};
use weir_snapshot::{
    Activation, Executable, Executor, Function, InputParts, LayerParts, Output, OutputParts, Parts,
    Precision, Snapshot,
};

/// Flows.
pub(crate) const FLOWS: u32 = 1_000;
/// Virtual time between two turns. Some 34 frames each way fall due in it.
pub(crate) const STEP: Ns = Ns(8_192);
/// From a departure to its acknowledgement.
const ROUND_TRIP: Ns = Ns::from_millis(1);
/// Each flow's rate, which the guard keeps whatever the network says: 4 167 frames of 60 bytes per second.
const RATE: BitsPerSec = BitsPerSec(2_000_000);
/// Frames of each flow that wait for their time, so that its rate and not its sender is the limit.
const HELD_EACH: u32 = 4;
const PAYLOAD: u32 = 60 - HEADERS as u32;
const HOSTS: u32 = 0x0A00_0100;

/// What a measurement ends with: failure where a promise does not hold, or where it could not be made.
pub(crate) fn told(holds: Result<bool, Box<dyn Error>>) -> ExitCode {
    match holds {
        Ok(true) => return ExitCode::SUCCESS,
        Ok(false) => println!("a promise is broken: see above"),
        Err(error) => println!("{error}"),
    }
    ExitCode::FAILURE
}

/// An interval of 1 ms, four frames: a million end per second.
fn spec() -> PacingSpec {
    PacingSpec { interval_packets_min: 4, ..PacingSpec::default() }
}

/// Every flow follows the network, and a share of them (in 1/65536) is sampled.
pub(crate) fn config(sample_share: u32) -> EngineConfig {
    EngineConfig {
        seed: 0x5EED,
        flows_max: 2 * FLOWS,
        half_open_max: 16,
        flow_idle_max: Ns::from_secs(120),
        held_max: 2 * FLOWS * HELD_EACH,
        pacing: Some(PacingConfig {
            rule: PacingRule::Fixed(RATE),
            model: true,
            spec: spec(),
            rate_min: RATE,
            rate_max: RATE,
            rate_start: RATE,
            control_share: 0,
            explore_share: 0,
            explore_sigma_q16: 0,
            sample_share,
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

/// A network of Aurora's size, 30-32-16-1 in 8 bits, with weights that follow from its number.
///
/// # Errors
/// What this machine's executor refuses.
pub(crate) fn generation(number: u32) -> Result<Generation, Box<dyn std::error::Error>> {
    let mut drawn = 0;
    let mut weights = |count: usize| -> Vec<i16> {
        let mut weight = || {
            drawn += 1;
            (Draw::Noise.nth(number.into(), drawn) % 81) as i16 - 40
        };
        (0..count).map(|_| weight()).collect()
    };
    let mut layer = |inputs: usize, outputs: usize, activation| {
        let last = activation == Activation::Identity;
        LayerParts {
            inputs,
            outputs,
            weights: weights(inputs * outputs),
            bias: vec![0; outputs],
            multiplier: vec![if last { 0 } else { i16::MAX }; outputs],
            shift: vec![if last { 0 } else { 1 }; outputs],
            activation,
        }
    };
    let parts = Parts {
        function: Function::Pacing,
        precision: Precision::Bits8,
        schema_hash: spec().schema_hash(),
        name: "random".into(),
        inputs: vec![
            InputParts { multiplier: 1, shift: 9, offset: ONE, clip_lo: -ONE, clip_hi: 3 * ONE };
            INPUTS
        ],
        layers: vec![
            layer(INPUTS, 32, Activation::Tanh),
            layer(32, 16, Activation::Tanh),
            layer(16, 1, Activation::Identity),
        ],
        output: Output::Linear,
        outputs: vec![OutputParts { multiplier: 1, shift: 0, offset: 0, lo: -10 * ONE, hi: 10 * ONE }],
    };
    let snapshot = Snapshot::decode(&weir_snapshot::encode(&parts)?)?;
    let executable = Executable::new(snapshot, Executor::best())?;
    Ok(Generation::new(number, executable, spec().schema_hash())?)
}

/// Both ends of all flows, and the ports between them and the worker.
pub(crate) struct Hosts {
    now: Ns,
    /// The next number of each flow.
    next: Vec<u32>,
    /// Flows that may send a frame.
    ready: VecDeque<u32>,
    /// Acknowledgements on their way: when they arrive, of which flow, and up to which number.
    acks: VecDeque<(Ns, u32, u32)>,
    /// Used again while they are in a near cache.
    buffers: Vec<Vec<u8>>,
}

impl Hosts {
    /// Flows whose connections are open.
    pub(crate) fn new() -> Hosts {
        Hosts {
            now: Ns::ZERO,
            next: vec![1; FLOWS as usize],
            ready: (0..HELD_EACH).flat_map(|_| 0..FLOWS).collect(),
            acks: VecDeque::new(),
            buffers: Vec::new(),
        }
    }

    /// What happens up to `now` may arrive.
    pub(crate) fn at(&mut self, now: Ns) -> &mut Hosts {
        self.now = now;
        self
    }

    fn next(&mut self, side: Side) -> Option<Vec<u8>> {
        let (flow, what) = match side {
            Side::Inside => {
                let flow = self.ready.pop_front()?;
                let seq = self.next[flow as usize];
                self.next[flow as usize] = seq.wrapping_add(PAYLOAD);
                (flow, (ACK, seq, 1))
            }
            Side::Outside => {
                let (_, flow, ack) = *self.acks.front().filter(|(at, ..)| *at <= self.now)?;
                self.acks.pop_front();
                (flow, (ACK, 1, ack))
            }
        };
        let mut bytes = self.buffers.pop().unwrap_or_else(|| blank(60));
        // What is not payload on the way out is padding on the way back.
        let ip_len = if side == Side::Inside { 60 - 14 } else { 40_u16 };
        bytes[16..18].copy_from_slice(&ip_len.to_be_bytes());
        header(&mut bytes, side, HOSTS + flow, 5_000, what);
        Some(bytes)
    }
}

impl PacketIo for Hosts {
    type Frame = Vec<u8>;

    fn make(&mut self, _: Side, _: usize) -> Option<Vec<u8>> {
        None
    }

    fn rx(&mut self, side: Side, into: &mut Burst<Vec<u8>>) -> usize {
        let before = into.len();
        while !into.is_full() {
            let Some(frame) = self.next(side) else { break };
            into.push(frame);
        }
        into.len() - before
    }

    fn tx(&mut self, side: Side, from: &mut Burst<Vec<u8>>) -> usize {
        let taken = from.len();
        for bytes in from.drain(..) {
            if side == Side::Outside {
                let flow = word(&bytes, 30) - HOSTS;
                self.acks.push_back((self.now + ROUND_TRIP, flow, word(&bytes, 38).wrapping_add(PAYLOAD)));
                self.ready.push_back(flow);
            }
            self.buffers.push(bytes);
        }
        taken
    }
}
