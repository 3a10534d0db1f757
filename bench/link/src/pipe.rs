//! One direction of the link, as a pure function of arrivals and time.
//!
//! ```text
//!            loss?      tail drop?   ECN mark?       rate            delay
//! push(now) ──┬──────────┬────────────┬──▶ queues ─▶ wire ──▶ flight ──▶ pop(now)
//!             ▼          ▼
//!            lost      dropped
//! ```
//!
//! The wire serialises one frame at a time: frame *k* starts at s(k) = max(arrival, e(k-1)) and ends at
//! e(k) = s(k) + 8 * bytes / rate; it is delivered at e(k) + delay. The division's remainder is carried within
//! a busy period, so that the rate is exact over any number of frames. All times come from this recurrence and
//! never from when the caller happened to look, so a late poll delays frames but does not slow the link down.

use std::collections::VecDeque;

use crate::ecn;
use crate::rng::SplitMix64;
use crate::settings::Settings;
use crate::waiting::{Waiting, flow_of};

/// Bits per byte times nanoseconds per second: bytes * this / (bit/s) = ns.
const BIT_NS_PER_BYTE: u64 = 8_000_000_000;

/// A frame that has arrived at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// When it was due, in ns; at most `now`.
    pub due_ns: u64,
    /// Its bytes.
    pub frame: Vec<u8>,
}

/// What has happened since the start. `in = out + lost + dropped + held`, for frames and bytes alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counters {
    /// Frames that arrived.
    pub in_frames: u64,
    /// Bytes that arrived.
    pub in_bytes: u64,
    /// Frames handed on.
    pub out_frames: u64,
    /// Bytes handed on.
    pub out_bytes: u64,
    /// Frames lost by chance.
    pub lost_frames: u64,
    /// Bytes lost by chance.
    pub lost_bytes: u64,
    /// Frames that found the queue full.
    pub dropped_frames: u64,
    /// Bytes that found the queue full.
    pub dropped_bytes: u64,
    /// Frames that got a congestion mark.
    pub marked_frames: u64,
}

/// One direction.
#[derive(Debug)]
pub struct Pipe {
    settings: Settings,
    rng: SplitMix64,
    counters: Counters,
    /// Frames that wait for the wire.
    waiting: Waiting,
    /// When the wire is free, and the fraction of a ns beyond it in units of 1/rate.
    wire_free_ns: u64,
    wire_free_fraction: u64,
    /// Frames on the wire and in propagation, in order of their delivery.
    flight: VecDeque<Delivered>,
    flight_bytes: u64,
    /// No frame overtakes another, even when the delay shrinks.
    last_due_ns: u64,
}

impl Pipe {
    /// An empty pipe. `rng` decides which frames are lost: the fate of the k-th frame depends on it and on the
    /// loss then configured, and on nothing else.
    pub fn new(settings: Settings, rng: SplitMix64) -> Self {
        Pipe {
            settings,
            rng,
            counters: Counters::default(),
            waiting: Waiting::default(),
            wire_free_ns: 0,
            wire_free_fraction: 0,
            flight: VecDeque::new(),
            flight_bytes: 0,
            last_due_ns: 0,
        }
    }

    /// A frame arrives. `now` must not decrease between calls of any method.
    pub fn push(&mut self, now: u64, mut frame: Vec<u8>) {
        self.advance(now);
        let bytes = frame.len() as u64;
        self.counters.in_frames += 1;
        self.counters.in_bytes += bytes;

        // One draw per frame, whether loss is configured or not: turning loss on later does not shift the rest.
        if self.rng.uniform() < self.settings.loss {
            self.counters.lost_frames += 1;
            self.counters.lost_bytes += bytes;
            return;
        }
        // After `advance` something waits only while the wire is busy.
        if self.wire_free_ns <= now {
            if self.wire_free_ns < now {
                // A new busy period starts with this frame.
                self.wire_free_ns = now;
                self.wire_free_fraction = 0;
            }
            self.transmit(frame);
            return;
        }
        let flow = if self.settings.fair { flow_of(&frame) } else { 0 };
        let queue_bytes = self.waiting.bytes_of(flow) + bytes;
        if queue_bytes > self.settings.queue_bytes_max {
            self.counters.dropped_frames += 1;
            self.counters.dropped_bytes += bytes;
            return;
        }
        if self.settings.ecn_bytes.is_some_and(|limit| queue_bytes > limit) && ecn::mark(&mut frame) {
            self.counters.marked_frames += 1;
        }
        self.waiting.push(flow, frame);
    }

    /// The next frame that has arrived at the other end by `now`.
    pub fn pop(&mut self, now: u64) -> Option<Delivered> {
        self.advance(now);
        if self.flight.front()?.due_ns > now {
            return None;
        }
        let delivered = self.flight.pop_front()?;
        let bytes = delivered.frame.len() as u64;
        self.flight_bytes -= bytes;
        self.counters.out_frames += 1;
        self.counters.out_bytes += bytes;
        Some(delivered)
    }

    /// When [`Pipe::pop`] next has something to give. While frames wait, the frame on the wire is in flight, and
    /// it is due no earlier than the wire is free; so the first frame in flight is always the next event.
    pub fn next_event(&self) -> Option<u64> {
        self.flight.front().map(|first| first.due_ns)
    }

    /// Changes the behaviour from `now` on. The frame on the wire ends at its old rate and the frames in
    /// propagation keep their delay; frames that wait are served at the new rate, and stay even if the queue's
    /// limit is now lower.
    pub fn reconfigure(&mut self, now: u64, settings: Settings) {
        self.advance(now);
        if settings.rate_bps != self.settings.rate_bps {
            self.wire_free_fraction = 0;
        }
        self.settings = settings;
    }

    /// The behaviour in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What has happened so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Bytes that wait for the wire at `now`.
    pub fn queue_bytes(&mut self, now: u64) -> u64 {
        self.advance(now);
        self.waiting.bytes()
    }

    /// How long a frame that arrived at `now` would wait for the wire, in ns: the queueing delay. With a queue for each flow, what a
    /// frame waits in the mean over all (Little's law).
    pub fn queue_ns(&mut self, now: u64) -> u64 {
        self.advance(now);
        let waiting = self.settings.rate_bps.map_or(0, |rate| self.waiting.bytes() * BIT_NS_PER_BYTE / rate);
        self.wire_free_ns.saturating_sub(now) + waiting
    }

    /// Frames and bytes inside: waiting, on the wire or in propagation.
    pub fn held(&self) -> (u64, u64) {
        ((self.waiting.frames() + self.flight.len()) as u64, self.waiting.bytes() + self.flight_bytes)
    }

    /// Lets the wire take every frame whose turn came by `now`.
    fn advance(&mut self, now: u64) {
        while self.wire_free_ns <= now {
            let Some(frame) = self.waiting.pop() else { break };
            self.transmit(frame);
        }
    }

    /// Puts a frame on the wire at the moment when it is free.
    fn transmit(&mut self, frame: Vec<u8>) {
        let bytes = frame.len() as u64;
        if let Some(rate) = self.settings.rate_bps {
            let scaled = bytes * BIT_NS_PER_BYTE + self.wire_free_fraction;
            self.wire_free_ns += scaled / rate;
            self.wire_free_fraction = scaled % rate;
        }
        let due_ns = (self.wire_free_ns + self.settings.delay_ns).max(self.last_due_ns);
        self.last_due_ns = due_ns;
        self.flight_bytes += bytes;
        self.flight.push_back(Delivered { due_ns, frame });
    }
}
