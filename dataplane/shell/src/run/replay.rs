//! Capture files instead of ports: time is what the stamps say, so the same files and the same seed give the same
//! bytes, on any machine and at any load.

use super::WorkerEnds;
use super::lanes::Lanes;
use crate::capture::{CaptureError, CaptureReader, CaptureWriter, Record};
use crate::config::CapturePair;
use weir_engine::config::EngineConfig;
use weir_engine::counters::WorkerStats;
use weir_engine::io::{Burst, Frame, PacketIo, Side};
use weir_engine::time::Ns;
use weir_engine::verdict::Tally;
use weir_engine::worker::Worker;

/// The least by which virtual time moves when something is due that this turn had no room for.
const TICK: Ns = Ns::from_micros(1);

/// A frame in ordinary memory.
#[derive(Debug)]
pub(super) struct HeapFrame {
    bytes: Vec<u8>,
    wire_len: u32,
}

impl Frame for HeapFrame {
    fn bytes(&self) -> &[u8] {
        &self.bytes
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
    fn wire_len(&self) -> u32 {
        self.wire_len
    }
    fn grow_front(&mut self, len: usize) -> bool {
        self.wire_len += len as u32;
        self.bytes.grow_front(len)
    }
    fn shrink_front(&mut self, len: usize) -> bool {
        let shrunk = self.bytes.shrink_front(len);
        if shrunk {
            self.wire_len -= len as u32;
        }
        shrunk
    }
}

/// One side's files.
struct Wire {
    reader: CaptureReader,
    writer: CaptureWriter,
    /// The record that arrives next.
    ahead: Option<Record>,
    /// Stamp of the last one: a capture whose clock stepped back does not turn time back.
    latest_ns: u64,
}

impl Wire {
    fn open(files: &CapturePair) -> Result<Wire, CaptureError> {
        let reader = CaptureReader::open(&files.input)?;
        let writer = CaptureWriter::create(&files.output)?;
        let mut wire = Wire { reader, writer, ahead: None, latest_ns: 0 };
        wire.advance()?;
        Ok(wire)
    }

    fn advance(&mut self) -> Result<(), CaptureError> {
        self.ahead = self.reader.read()?;
        if let Some(record) = &mut self.ahead {
            self.latest_ns = record.at_ns.max(self.latest_ns);
            record.at_ns = self.latest_ns;
        }
        Ok(())
    }
}

/// Two captures in, two captures out, under one virtual clock.
struct CaptureIo {
    wires: [Wire; 2],
    now: Ns,
    /// The first thing that went wrong; the turn ends, and so does the run.
    failed: Option<CaptureError>,
}

impl CaptureIo {
    fn next_arrival(&self) -> Option<Ns> {
        self.wires.iter().filter_map(|wire| wire.ahead.as_ref()).map(|record| Ns(record.at_ns)).min()
    }
}

impl PacketIo for CaptureIo {
    type Frame = HeapFrame;

    fn rx(&mut self, side: Side, into: &mut Burst<HeapFrame>) -> usize {
        let wire = &mut self.wires[side as usize];
        let before = into.len();
        while !into.is_full() && self.failed.is_none() {
            let Some(record) = wire.ahead.take_if(|record| record.at_ns <= self.now.0) else { break };
            into.push(HeapFrame { bytes: record.bytes, wire_len: record.wire_len });
            if let Err(error) = wire.advance() {
                self.failed = Some(error);
            }
        }
        into.len() - before
    }

    fn tx(&mut self, side: Side, from: &mut Burst<HeapFrame>) -> usize {
        let taken = from.len();
        for frame in from.drain(..) {
            if let Err(error) =
                self.wires[side as usize].writer.write(self.now.0, &frame.bytes, frame.wire_len)
            {
                self.failed.get_or_insert(error);
            }
        }
        taken
    }

    fn make(&mut self, _: Side, len: usize) -> Option<HeapFrame> {
        Some(HeapFrame { bytes: vec![0; len], wire_len: len as u32 })
    }
}

/// What a replay did.
#[derive(Debug)]
pub(super) struct Replayed {
    /// Where every frame went.
    pub(super) tally: Tally,
    /// What else was counted.
    pub(super) stats: WorkerStats,
    /// From the first arrival to the last departure, in virtual time.
    pub(super) span: Ns,
    /// Samples that came up the lane.
    pub(super) samples: u64,
}

/// Runs the engine over the files until both are at their end and nothing is held.
///
/// # Errors
/// A file cannot be read or written, or is not a capture.
pub(super) fn replay(
    files: &[CapturePair; 2],
    config: &EngineConfig,
    WorkerEnds { mut policy, intervals, choices, flows }: WorkerEnds,
    mut lanes: Lanes,
) -> Result<Replayed, CaptureError> {
    let [inside, outside] = files;
    let wires = [Wire::open(inside)?, Wire::open(outside)?];
    let mut io = CaptureIo { wires, now: Ns::ZERO, failed: None };
    let start = io.next_arrival().unwrap_or(Ns::ZERO);
    io.now = start;
    let mut worker: Worker<HeapFrame> = Worker::new(config, start, intervals);
    if let Some(lane) = choices {
        worker = worker.recording(lane);
    }
    if let Some(lane) = flows {
        worker = worker.telling(lane);
    }
    let mut sample_count = 0;
    let mut drain = || lanes.discard(usize::MAX) as u64;
    loop {
        let report = worker.turn(io.now, &mut io, &mut policy);
        if let Some(error) = io.failed.take() {
            return Err(error);
        }
        sample_count += drain();
        let arrival = io.next_arrival();
        if arrival.is_none() && report.inside == 0 {
            break;
        }
        let Some(next) = arrival.into_iter().chain(report.next_due).min() else { break };
        // What is due now and did not fit into this turn gets another; one that moves nothing must not stand still.
        io.now = if report.busy { next.max(io.now) } else { next.max(io.now + TICK) };
    }
    let span = io.now - start;
    let (tally, stats) = worker.finish();
    sample_count += drain();
    for wire in io.wires {
        wire.writer.finish()?;
    }
    Ok(Replayed { tally, stats, span, samples: sample_count })
}
