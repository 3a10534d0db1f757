//! A world that knows everything: a sender that repeats at will, a network that loses and duplicates, a receiver with
//! an unbounded memory. Delays are constant and every arrival is acknowledged at once, so each true round trip takes
//! exactly [`ROUND_TRIP`], whatever was lost.
//!
//! The fuzzer plays in the same world.

use std::collections::{BTreeSet, VecDeque};
use weir_engine::time::Ns;
use weir_engine::track::{Detail, SegmentInfo, Track};
use weir_engine::wire::{Flags, SackBlock, Segment, Timestamps};

/// There and back, in ns.
const ROUND_TRIP: u64 = 20_000;
/// One tick of the sender's timestamp clock, in ns: several departures share a value.
const TICK: u64 = 3_000;
/// Payload comes in small units, so that the oracle can keep sets of bytes.
const UNIT: u32 = 4;

/// What the sender does next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Send {
    /// New bytes, so many units.
    New { units: u8, lost: bool },
    /// Bytes from before: how far back from the newest, and how many units.
    Again { back: u16, units: u8, lost: bool },
    /// New bytes that pass Weir by: they leave a gap.
    Around { units: u8 },
    /// Nothing for a while.
    Wait { ns: u16 },
}

/// How a run is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct World {
    /// The first sequence number.
    pub(crate) origin: u32,
    pub(crate) sack: bool,
    pub(crate) timestamps: bool,
    /// Whether the flow has a scoreboard.
    pub(crate) detail: bool,
    /// Whether bytes may pass Weir by.
    pub(crate) gaps: bool,
}

/// An acknowledgement on its way to Weir: what it says, and what the receiver had when it said so.
struct Reply {
    arrives: u64,
    segment: Segment,
    /// Bytes of the cumulative acknowledgement, from the origin.
    below: u32,
    blocks: Vec<(u32, u32)>,
}

struct Receiver {
    have: BTreeSet<u32>,
    echo: u32,
}

impl Receiver {
    fn first_missing(&self) -> u32 {
        (0..).find(|byte| !self.have.contains(byte)).unwrap_or(0)
    }

    /// The runs above the cumulative acknowledgement, the one around `recent` first (RFC 2018), three at most.
    fn blocks(&self, below: u32, recent: u32) -> Vec<(u32, u32)> {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for &byte in self.have.range(below..) {
            match runs.last_mut() {
                Some(run) if run.1 == byte => run.1 += 1,
                _ => runs.push((byte, byte + 1)),
            }
        }
        if let Some(at) = runs.iter().position(|run| (run.0..run.1).contains(&recent)) {
            let run = runs.remove(at);
            runs.insert(0, run);
        }
        runs.truncate(3);
        runs
    }

    fn on_arrival(&mut self, start: u32, end: u32, timestamp: u32, world: &World, arrives: u64) -> Reply {
        // RFC 7323 section 4.3: the clock of the segment at the left edge is the one echoed.
        if start <= self.first_missing() && timestamp > self.echo {
            self.echo = timestamp;
        }
        self.have.extend(start..end);
        let below = self.first_missing();
        let blocks = if world.sack { self.blocks(below, start) } else { Vec::new() };
        let mut segment = Segment {
            ack: world.origin.wrapping_add(below),
            window: 9,
            flags: Flags::ACK,
            timestamps: world.timestamps.then_some(Timestamps { value: 1, echo: self.echo }),
            ..Segment::default()
        };
        for (start, end) in &blocks {
            let block =
                SackBlock { start: world.origin.wrapping_add(*start), end: world.origin.wrapping_add(*end) };
            segment.sack.push(block);
        }
        Reply { arrives, segment, below, blocks }
    }
}

/// Plays the sends and then repeats everything until all has arrived. Checks every answer of the tracker against
/// what the world knows.
///
/// # Panics
/// When they disagree.
pub(crate) fn play(world: World, sends: &[Send]) {
    let mut run = Run {
        world,
        track: Track::new(world.origin),
        detail: world.detail.then_some(Detail::EMPTY),
        receiver: Receiver { have: BTreeSet::new(), echo: 0 },
        replies: VecDeque::new(),
        departed: BTreeSet::new(),
        known: BTreeSet::new(),
        delivered: 0,
        next: 0,
        now: 1_000_000,
    };
    for send in sends {
        match *send {
            Send::New { units, lost } => run.segment(run.next, u32::from(units) * UNIT, lost),
            Send::Again { back, units, lost } => {
                let back = u32::from(back) * UNIT;
                if back <= run.next {
                    let len = (u32::from(units) * UNIT).min(back);
                    run.segment(run.next - back, len, lost);
                }
            }
            Send::Around { units } if world.gaps => {
                let end = run.next + u32::from(units) * UNIT;
                run.receiver.have.extend(run.next..end);
                run.next = end;
            }
            Send::Around { .. } => {}
            Send::Wait { ns } => run.now += u64::from(ns),
        }
        run.now += 700;
        run.deliver_replies();
    }
    // The last byte makes the receiver speak even if all else arrived, and leaves no gap at the end.
    run.segment(run.next, UNIT, false);
    for start in (0..run.next).step_by(UNIT as usize) {
        if !run.receiver.have.contains(&start) {
            run.segment(start, UNIT, false);
            run.now += 700;
        }
    }
    run.now += 10 * ROUND_TRIP;
    run.deliver_replies();
    assert_eq!(run.track.outstanding(), 0);
    if !world.gaps {
        assert_eq!(run.delivered as usize, run.departed.len(), "in the end every byte was told once");
    }
}

struct Run {
    world: World,
    track: Track,
    detail: Option<Detail>,
    receiver: Receiver,
    replies: VecDeque<Reply>,
    /// Bytes that have departed from Weir.
    departed: BTreeSet<u32>,
    /// Of these, the ones that an acknowledgement has spoken of.
    known: BTreeSet<u32>,
    delivered: u64,
    next: u32,
    now: u64,
}

impl Run {
    /// A segment departs; unless lost, it arrives, and its acknowledgement is on its way.
    fn segment(&mut self, start: u32, len: u32, lost: bool) {
        let timestamp = (self.now / TICK) as u32;
        let info = SegmentInfo {
            seq: self.world.origin.wrapping_add(start),
            timestamp,
            payload_len: len as u16,
            flags: Flags::ACK,
            timestamped: self.world.timestamps,
        };
        let before = self.departed.len();
        self.departed.extend(start..start + len);
        self.next = self.next.max(start + len);
        let departed = self.track.on_depart(self.detail.as_mut(), &info, Ns(self.now));
        assert!(!departed.restarted);
        if !self.world.gaps && len > 1 {
            assert_eq!(departed.new_bytes as usize, self.departed.len() - before);
            assert_eq!(departed.new_bytes + departed.retransmitted_bytes, len);
        }
        if !lost {
            let arrives = self.now + ROUND_TRIP;
            self.replies.push_back(self.receiver.on_arrival(
                start,
                start + len,
                timestamp,
                &self.world,
                arrives,
            ));
        }
    }

    fn deliver_replies(&mut self) {
        while self.replies.front().is_some_and(|reply| reply.arrives <= self.now) {
            let Some(reply) = self.replies.pop_front() else { break };
            let acked = self.track.on_ack(self.detail.as_mut(), &reply.segment, Ns(reply.arrives));
            // A gap at the end: Weir cannot know yet of bytes that passed it by.
            if acked.unseen {
                assert!(self.world.gaps);
                continue;
            }
            self.known.extend(self.departed.range(..reply.below));
            for (start, end) in &reply.blocks {
                self.known.extend(self.departed.range(*start..*end));
            }
            self.delivered += u64::from(acked.delivered_bytes);
            // Bytes that went around Weir may be acknowledged early, or with the next segment that it sees.
            if self.world.gaps {
                continue;
            }
            assert!(acked.rtt_ns.is_none_or(|rtt| rtt == ROUND_TRIP), "{:?}", acked.rtt_ns);
            // The scoreboard is bounded, so it may tell late, never early and never twice.
            assert!(self.delivered <= self.known.len() as u64);
            let runs = reply.blocks.len();
            let is_exact = self.world.detail && self.world.sack && runs < 3;
            if is_exact || !self.world.sack {
                assert_eq!(self.delivered, self.known.len() as u64);
            }
        }
    }
}
