//! Senders, the worker, a bottleneck and receivers, driven event by event.

use super::allocations::during;
use super::frames::{ACK, HEADERS, SYN, Say, TestFrame, TestIo, segment};
use super::tcp::{Heard, Receiver, Sender};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::HashMap;
use weir_engine::Worker;
use weir_engine::config::EngineConfig;
use weir_engine::io::Side;
use weir_engine::models::ModelSet;
use weir_engine::policy::Policy;
use weir_engine::time::{BitsPerSec, Ns};
use weir_engine::worker::TurnReport;
use weir_features::Sample;
use weir_handoff::{LaneReceiver, Publisher, Reader, epoch, lane};

/// The link from Weir to the receivers, and back.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) rate: BitsPerSec,
    /// One way.
    pub(crate) delay: Ns,
    pub(crate) queue_bytes: u64,
    /// One frame in so many is lost whatever the queue; 0 for none.
    pub(crate) lose_every: u64,
    busy_until: Ns,
    pub(crate) entered: u64,
    pub(crate) dropped: u64,
    /// Queueing delay that each accepted frame met.
    pub(crate) waits: Vec<Ns>,
}

impl Link {
    pub(crate) fn new(mbps: u64, delay: Ns, queue_bytes: u64) -> Link {
        Link {
            rate: BitsPerSec::from_mbps(mbps),
            delay,
            queue_bytes,
            lose_every: 0,
            busy_until: Ns::ZERO,
            entered: 0,
            dropped: 0,
            waits: Vec::new(),
        }
    }

    fn enter(&mut self, bytes: usize, now: Ns) -> Option<Ns> {
        self.entered += 1;
        if self.lose_every > 0 && self.entered.is_multiple_of(self.lose_every) {
            return None;
        }
        let wait = self.busy_until - now;
        if wait.0 * self.rate.0 / 8_000_000_000 + bytes as u64 > self.queue_bytes {
            self.dropped += 1;
            return None;
        }
        self.waits.push(wait);
        self.busy_until = self.busy_until.max(now) + Ns(bytes as u64 * 8_000_000_000 / self.rate.0);
        Some(self.busy_until + self.delay)
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Receive(u16, u32, u32, u32),
    Acknowledge(u16, Heard),
    Timeout(u16),
}

/// A frame that came to the worker.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) at: Ns,
    /// The worker's turns before it came: what came later may have been said because of what left in between.
    pub(crate) turns: u64,
    pub(crate) side: Side,
    pub(crate) frame: TestFrame,
}

pub(crate) struct World {
    pub(crate) now: Ns,
    pub(crate) worker: Worker<TestFrame>,
    pub(crate) io: TestIo,
    publisher: Publisher<Policy>,
    /// What was published last.
    pub(crate) policy: Policy,
    pub(crate) reader: Reader<Policy>,
    pub(crate) samples: LaneReceiver<Sample>,
    pub(crate) link: Link,
    pub(crate) senders: HashMap<u16, Sender>,
    pub(crate) receivers: HashMap<u16, Receiver>,
    /// What left towards the network: when, which flow, how many bytes.
    pub(crate) departures: Vec<(Ns, u16, usize)>,
    /// Everything that came to the worker, in order, where a test asks for it.
    pub(crate) arrivals: Option<Vec<Arrival>>,
    events: BinaryHeap<Reverse<(Ns, u64, Event)>>,
    order: u64,
    serial: u64,
}

pub(crate) const START: Ns = Ns::from_secs(1_000);
const FIRST_SEQ: u32 = 1;

impl World {
    pub(crate) fn new(config: &EngineConfig, link: Link, models: ModelSet) -> World {
        let (sender, samples) = lane(64, 64);
        let policy = Policy { models, pacing: config.pacing.clone(), ..Policy::default() };
        let (publisher, mut readers) = epoch(policy.clone(), 1);
        World {
            now: START,
            worker: Worker::new(config, START, sender),
            io: TestIo::new(),
            publisher,
            policy,
            reader: readers.pop().expect("one reader"),
            samples,
            link,
            senders: HashMap::new(),
            receivers: HashMap::new(),
            departures: Vec::new(),
            arrivals: None,
            events: BinaryHeap::new(),
            order: 0,
            serial: 0,
        }
    }

    /// Puts a segment before the worker.
    pub(crate) fn offer(&mut self, side: Side, say: Say) {
        self.serial += 1;
        let frame = TestFrame { bytes: segment(side, say), flow: say.flow, serial: self.serial };
        if let Some(arrivals) = &mut self.arrivals {
            let turns = self.worker.stats().turns;
            arrivals.push(Arrival { at: self.now, turns, side, frame: frame.clone() });
        }
        self.io.inbox[side as usize].push_back(frame);
    }

    /// One turn at the present time; checks the books, and that nothing was allocated; the port checks the order.
    pub(crate) fn turn(&mut self) -> TurnReport {
        let (report, allocations) = during(|| self.worker.turn(self.now, &mut self.io, &mut self.reader));
        assert_eq!(allocations, 0, "a turn has allocated");
        assert!(self.worker.tally().balanced(), "{:?}", self.worker.tally());
        let stats = self.worker.stats();
        assert!(stats.following_active + stats.following_previous <= stats.paced_flows, "{stats:?}");
        report
    }

    /// Publishes what `change` makes of the policy, and frees what nobody reads any more.
    pub(crate) fn publish(&mut self, change: impl FnOnce(&mut Policy)) {
        change(&mut self.policy);
        self.publisher.publish(self.policy.clone()).expect("the worker keeps up");
    }

    /// A turn, and what left it goes on its way.
    pub(crate) fn turn_and_carry(&mut self) {
        self.turn();
        self.carry();
    }

    /// Opens a flow by handshake and adds its two ends.
    pub(crate) fn connect(&mut self, sender: Sender) {
        let flow = sender.flow;
        self.handshake(flow, sender.una.wrapping_sub(1));
        self.receivers.insert(flow, Receiver::new(sender.una));
        self.senders.insert(flow, sender);
        self.pump(flow);
    }

    /// SYN, SYN-ACK, ACK; the inside's first data byte is `syn_seq + 1`, the outside's is 1.
    pub(crate) fn handshake(&mut self, flow: u16, syn_seq: u32) {
        let syn = Say { flow, seq: syn_seq, flags: SYN, ..Say::default() };
        self.offer(Side::Inside, syn);
        self.turn();
        self.offer(
            Side::Outside,
            Say { flow, ack: syn_seq.wrapping_add(1), flags: SYN | ACK, ..Say::default() },
        );
        self.turn();
        let seq = syn_seq.wrapping_add(1);
        self.offer(Side::Inside, Say { flow, seq, ack: FIRST_SEQ, flags: ACK, ..Say::default() });
        self.turn();
        self.io.outbox.iter_mut().for_each(|out| out.clear());
    }

    fn schedule(&mut self, at: Ns, event: Event) {
        self.order += 1;
        self.events.push(Reverse((at, self.order, event)));
    }

    /// Lets a sender say what it may.
    fn pump(&mut self, flow: u16) {
        let Some(mut sender) = self.senders.remove(&flow) else { return };
        let before = sender.timeout_at;
        let now = self.now;
        sender.poll(now, |say| self.offer(Side::Inside, say));
        if before == Ns::NEVER && sender.timeout_at != Ns::NEVER {
            self.schedule(sender.timeout_at, Event::Timeout(flow));
        }
        self.senders.insert(flow, sender);
    }

    /// Tells a sender something and lets it speak.
    fn with_sender(&mut self, flow: u16, tell: impl FnOnce(&mut Sender)) {
        if let Some(sender) = self.senders.get_mut(&flow) {
            tell(sender);
            self.pump(flow);
        }
    }

    /// Runs until `until`, then stops with everything before it done.
    pub(crate) fn run_until(&mut self, until: Ns) {
        loop {
            let mut report = self.turn();
            self.carry();
            while self.io.inbox.iter().any(|inbox| !inbox.is_empty()) {
                report = self.turn();
                self.carry();
            }
            let event = self.events.peek().map(|Reverse((at, ..))| *at);
            // Never the same instant again for the worker's sake: real turns take time.
            let due = report.next_due.map(|due| due.max(self.now + Ns(500)));
            let next = match (event, due) {
                (Some(event), Some(due)) => event.min(due),
                (event, due) => event.or(due).unwrap_or(until),
            };
            if next >= until {
                self.now = until;
                return;
            }
            self.now = self.now.max(next);
            while let Some(Reverse((at, ..))) = self.events.peek()
                && *at <= self.now
                && let Some(Reverse((_, _, event))) = self.events.pop()
            {
                self.handle(event);
            }
        }
    }

    pub(crate) fn run_for(&mut self, span: Ns) {
        self.run_until(self.now + span);
    }

    /// The same, and what is told meanwhile, taken as often as a trainer would; the last few may still be in the batch
    /// that is being filled.
    pub(crate) fn run_and_listen(&mut self, span: Ns) -> Vec<Sample> {
        let until = self.now + span;
        let mut samples = Vec::new();
        while self.now < until {
            self.run_until(until.min(self.now + Ns::from_millis(50)));
            self.samples.drain(usize::MAX, |sample| samples.push(*sample));
        }
        assert_eq!(self.worker.stats().samples_dropped, 0);
        samples
    }

    fn handle(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Receive(flow, seq, payload, timestamp) => {
                if let Some(receiver) = self.receivers.get_mut(&flow) {
                    let heard = receiver.on_data(seq, payload, timestamp);
                    self.schedule(now + self.link.delay, Event::Acknowledge(flow, heard));
                }
            }
            Event::Acknowledge(flow, Heard { ack, echo, sack }) => {
                let say =
                    Say { flow, seq: FIRST_SEQ, ack, flags: ACK, timestamp: 1, echo, sack, ..Say::default() };
                self.offer(Side::Outside, say);
            }
            Event::Timeout(flow) => {
                self.with_sender(flow, |sender| sender.on_timeout(now));
                if let Some(sender) = self.senders.get(&flow)
                    && sender.timeout_at != Ns::NEVER
                {
                    let again = sender.timeout_at.max(now + Ns::from_millis(1));
                    self.schedule(again, Event::Timeout(flow));
                }
            }
        }
    }

    /// Takes what left the worker to where it goes.
    fn carry(&mut self) {
        while let Some(frame) = self.io.outbox[Side::Outside as usize].pop_front() {
            self.departures.push((self.now, frame.flow, frame.bytes.len()));
            let payload = frame.bytes.len().saturating_sub(HEADERS);
            if payload > 0
                && let Some(at) = self.link.enter(frame.bytes.len(), self.now)
            {
                let (seq, timestamp) = (word(&frame.bytes, 38), word(&frame.bytes, 58));
                self.schedule(at, Event::Receive(frame.flow, seq, payload as u32, timestamp));
            }
        }
        while let Some(frame) = self.io.outbox[Side::Inside as usize].pop_front() {
            let mut heard =
                Heard { ack: word(&frame.bytes, 42), echo: word(&frame.bytes, 62), sack: [(0, 0); 3] };
            for (block, option) in heard.sack.iter_mut().zip(frame.bytes.get(70..).unwrap_or(&[]).chunks(8)) {
                *block = (word(option, 0), word(option, 4));
            }
            let now = self.now;
            self.with_sender(frame.flow, |sender| sender.on_ack(heard, now));
        }
    }

    /// Payload bytes that have reached receivers.
    pub(crate) fn delivered(&self) -> u64 {
        self.receivers.values().map(|receiver| receiver.delivered).sum()
    }
}

/// The 32-bit field at `at`.
fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().fold(0, |word, byte| word << 8 | u32::from(*byte))
}
