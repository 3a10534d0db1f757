//! A bottleneck small enough to train in: paced flows, one FIFO queue, a delay line, and nothing else.
//!
//! ```text
//! flow 1 --\
//! flow 2 ---> loss -> queue (bytes, drop-tail) -> capacity C(t) -> base RTT, there and back -> back to the flow
//! flow n --/
//! ```
//!
//! Packets are simulated one by one, but the queue needs no events of its own: behind a FIFO at capacity C a packet
//! that arrives at `t` leaves at `max(t, free) + bytes / C`, so its acknowledgement time is known when it is sent. A packet
//! that is lost, at random or at the full queue, is noticed when its acknowledgement would have come. A change of capacity
//! stretches what is still queued. Feedback is late by exactly the RTT, queue included, which is what limits a
//! controller's gain. The packets of a fast flow travel together, so that an episode costs the same at any rate; what is
//! counted and timed are the packets, and their RTT is that of the first of them.
//!
//! Two things blur what a controller sees, as they do on a host. A receiver acknowledges every second packet, or after
//! 40 ms (*delayed acknowledgements*, RFC 5681 section 4.2): the first of a pair waits for its company. And the core
//! that paces and watches is taken away now and then (*stalls*): meanwhile nothing leaves and nothing that arrives is
//! seen, so whatever falls into a stall happens at its end.

use crate::conditions::{Change, Conditions};
use crate::controller::{Controller, Ended, Truth};
use crate::link::{Host, Link, PACKET_BYTES, Stalls};
use crate::rng::Rng;
use flow::Flow;
use std::collections::VecDeque;
use weir_features::{INPUTS, PacingSpec};

mod flow;
mod measure;

pub use measure::Measured;

const NS: f64 = 1e9;
/// How long a receiver keeps an acknowledgement back for a second packet: Linux `TCP_DELACK_MIN`.
const ACK_DELAY_S: f64 = 0.04;

/// What the receiver or the silence of it says about packets that travelled together.
#[derive(Debug, Clone, Copy)]
struct Feedback {
    at_s: f64,
    /// When the first packet left (or would have left) the queue.
    served_s: f64,
    /// When the packets were sent whose RTT this gives, if it gives one.
    marked_s: Option<f64>,
    /// Departures of which it tells, and the sum of their times in the queue.
    departures: u32,
    queued_s: f64,
    flow: usize,
    packets: u32,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Delivered,
    LostAtRandom,
    Dropped,
}

/// What follows from the link's present state, so that no packet needs a division.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Time of one packet and of a full queue at the bottleneck.
    packet_s: f64,
    queue_s: f64,
    /// What RTTs are held against, at least the features' floor: below it nobody can tell RTTs apart.
    floor_s: f64,
    empty_rtt_s: f64,
}

impl Pace {
    fn new(link: &Link, spec: &PacingSpec) -> Self {
        let (packet_s, floor_s) = (link.packet_s(), spec.rtt_floor_ns as f64 / NS);
        // A millionth of a packet for rounding, so that a queue of n packets takes n.
        let queue_s = link.queue_bytes * 8.0 / link.capacity_bps + packet_s * 1e-6;
        Self { packet_s, queue_s, floor_s, empty_rtt_s: link.empty_rtt_s().max(floor_s) }
    }
}

/// The bottleneck and its flows at one moment.
#[derive(Debug, Clone)]
pub struct World {
    link: Link,
    pace: Pace,
    host: Host,
    spec: PacingSpec,
    rate_bps: (u64, u64),
    warm_up_length_ns: u64,
    changes: VecDeque<Change>,
    now_s: f64,
    /// When the queue will be empty if nothing more arrives.
    free_s: f64,
    flows: Vec<Flow>,
    feedback: VecDeque<Feedback>,
    /// Beginning and end of the stall that is next or under way.
    stall_s: (f64, f64),
    decided: u64,
    meter: measure::Meter,
    rng: Rng,
}

impl World {
    /// The beginning of an episode.
    pub fn new(conditions: &Conditions) -> Self {
        let mut rng = Rng::new(conditions.seed);
        let flows = conditions.flows.iter().map(|start| Flow::new(start, conditions, &mut rng)).collect();
        let mut world = Self {
            link: conditions.link,
            pace: Pace::new(&conditions.link, &conditions.spec),
            host: conditions.host,
            spec: conditions.spec.clone(),
            rate_bps: conditions.rate_bps,
            warm_up_length_ns: conditions.warm_up.map_or(0, |warm_up| warm_up.length_ns()),
            changes: conditions.changes.iter().copied().collect(),
            now_s: 0.0,
            free_s: 0.0,
            flows,
            feedback: VecDeque::new(),
            stall_s: (f64::INFINITY, f64::INFINITY),
            decided: 0,
            meter: measure::Meter::default(),
            rng,
        };
        world.next_stall();
        world
    }

    /// Intervals so far that a decision governed, of all flows.
    pub fn decided(&self) -> u64 {
        self.decided
    }

    /// Runs until a time in seconds, or until so many intervals have been [`decided`](Self::decided).
    pub fn run<C: Controller + ?Sized>(&mut self, until_s: f64, decisions: u64, controller: &mut C) {
        while self.now_s < until_s && self.decided < decisions {
            let change_s = self.changes.front().map_or(f64::INFINITY, |change| change.at_s);
            self.advance(until_s.min(change_s), decisions, controller);
            if self.now_s >= change_s
                && let Some(change) = self.changes.pop_front()
            {
                self.change_capacity(change.factor);
            }
        }
    }

    /// Begins a new measurement.
    pub fn measure(&mut self) {
        self.flows.iter_mut().for_each(|flow| flow.delivered = 0);
        self.meter = measure::Meter::default();
    }

    /// What has been measured since [`measure`](Self::measure), or since the beginning.
    pub fn measured(&self) -> Measured {
        self.meter.read(self.flows.iter().map(|flow| flow.delivered))
    }

    /// Multiplies the capacity; what is queued stays queued.
    fn change_capacity(&mut self, factor: f64) {
        let now = self.now_s;
        let stretch = |at: f64| if at > now { now + (at - now) / factor } else { at };
        self.free_s = stretch(self.free_s);
        let waiting = self.flows.iter_mut().filter_map(|flow| flow.unacknowledged.as_mut());
        for feedback in self.feedback.iter_mut().chain(waiting) {
            let served = stretch(feedback.served_s);
            feedback.at_s += served - feedback.served_s;
            feedback.served_s = served;
        }
        self.link.capacity_bps *= factor;
        self.pace = Pace::new(&self.link, &self.spec);
    }

    /// Runs at one capacity.
    fn advance<C: Controller + ?Sized>(&mut self, until_s: f64, decisions: u64, controller: &mut C) {
        let start_s = self.now_s;
        while self.decided < decisions {
            let (flow, send_s) = self.next_sender();
            let feedback_s = self.feedback.front().map_or(f64::INFINITY, |f| f.at_s);
            if send_s.min(feedback_s) >= until_s {
                self.now_s = self.now_s.max(until_s);
                break;
            }
            // Both kinds of event wait for the end of the same stall: their order stays.
            self.now_s = self.awake(send_s.min(feedback_s));
            if send_s < feedback_s {
                self.send(flow);
                self.decide(flow, controller);
            } else if let Some(feedback) = self.feedback.pop_front() {
                self.hear(&feedback);
                self.decide(feedback.flow, controller);
            }
        }
        self.meter.capacity_bits += self.link.capacity_bps * (self.now_s - start_s);
    }

    fn next_sender(&self) -> (usize, f64) {
        let mut first = (0, f64::INFINITY);
        for (index, flow) in self.flows.iter().enumerate() {
            if flow.next_send_s < first.1 {
                first = (index, flow.next_send_s);
            }
        }
        first
    }

    /// The time at which something that is due at `at_s` really happens: at the end of the stall that it falls into.
    fn awake(&mut self, at_s: f64) -> f64 {
        while at_s >= self.stall_s.1 {
            self.next_stall();
        }
        let at_s = if at_s >= self.stall_s.0 { self.stall_s.1 } else { at_s };
        at_s.max(self.now_s)
    }

    fn next_stall(&mut self) {
        let Some(Stalls { gap_s, length_s }) = self.host.stalls else { return };
        let from_s = if self.stall_s.1.is_finite() { self.stall_s.1 } else { 0.0 };
        let begin_s = from_s + self.rng.exponential(gap_s);
        self.stall_s = (begin_s, begin_s + self.rng.exponential(length_s));
    }

    fn send(&mut self, index: usize) {
        let now_s = self.now_s;
        let flow = &mut self.flows[index];
        flow.next_send_s = flow.next_send_s.max(now_s - flow.late_s) + flow.gap_s;
        let marked_s = flow.depart(self.host.rtt_samples).then_some(now_s);
        let packets = flow.together;
        self.meter.sent += u64::from(packets);

        let start_s = self.free_s.max(now_s);
        let (queued_s, all_s) = (start_s - now_s, self.pace.packet_s * f64::from(packets));
        let (mut fate, mut served_s) = (Fate::Delivered, start_s);
        if self.link.loss > 0.0 && self.rng.unit() < self.link.loss {
            fate = Fate::LostAtRandom;
        } else if queued_s + self.pace.packet_s > self.pace.queue_s {
            // Of packets that travel together the first decides: one at a time, they would find room as it comes.
            fate = Fate::Dropped;
        } else {
            self.free_s = start_s + all_s;
            served_s = start_s + self.pace.packet_s;
            let rtt_s = queued_s + self.pace.packet_s + self.link.base_rtt_s;
            self.meter.delivered += u64::from(packets);
            self.meter.rtt_ratios +=
                f64::from(packets) * rtt_s.max(self.pace.floor_s) / self.pace.empty_rtt_s;
        }
        let jitter_s = if self.link.jitter_s > 0.0 { self.rng.uniform(0.0, self.link.jitter_s) } else { 0.0 };
        let at_s = served_s + self.link.base_rtt_s + jitter_s;
        self.answer(Feedback {
            at_s,
            served_s,
            marked_s,
            departures: 1,
            queued_s,
            flow: index,
            packets,
            fate,
        });
    }

    /// The receiver has packets, or misses some.
    fn answer(&mut self, mut feedback: Feedback) {
        let lost = feedback.fate != Fate::Delivered;
        match self.flows[feedback.flow].unacknowledged.take() {
            // What follows a gap is answered at once (RFC 5681 section 4.2).
            Some(first) if lost || feedback.at_s - first.at_s > ACK_DELAY_S => {
                self.tell(Feedback { at_s: feedback.at_s.min(first.at_s + ACK_DELAY_S), ..first });
            }
            Some(first) => {
                feedback.packets += first.packets;
                feedback.departures += first.departures;
                feedback.queued_s += first.queued_s;
                feedback.marked_s = feedback.marked_s.or(first.marked_s);
                return self.tell(feedback);
            }
            None => {}
        }
        if self.host.delayed_acks && !lost && feedback.packets == 1 {
            self.flows[feedback.flow].unacknowledged = Some(feedback);
        } else {
            self.tell(feedback);
        }
    }

    fn tell(&mut self, feedback: Feedback) {
        // Jitter delays acknowledgements but does not reorder them.
        let at_s = self.feedback.back().map_or(feedback.at_s, |last| last.at_s.max(feedback.at_s));
        self.feedback.push_back(Feedback { at_s, ..feedback });
    }

    /// The flow learns what has become of packets.
    fn hear(&mut self, feedback: &Feedback) {
        let bytes = PACKET_BYTES.saturating_mul(feedback.packets);
        let flow = &mut self.flows[feedback.flow];
        flow.outstanding -= feedback.departures;
        if feedback.fate != Fate::Delivered {
            self.meter.dropped +=
                if feedback.fate == Fate::Dropped { u64::from(feedback.packets) } else { 0 };
            return flow.interval.on_loss(bytes);
        }
        flow.delivered += u64::from(feedback.packets);
        flow.waits.0 += f64::from(feedback.departures);
        flow.waits.1 += feedback.queued_s;
        let rtt_ns = feedback.marked_s.map(|sent_s| ((self.now_s - sent_s) * NS) as u64);
        flow.interval.on_ack(bytes, rtt_ns);
    }

    /// Ends the flow's interval if it is due, and asks for the next rate.
    fn decide<C: Controller + ?Sized>(&mut self, index: usize, controller: &mut C) {
        let now_ns = (self.now_s * NS) as u64;
        let flow = &mut self.flows[index];
        if !flow.interval.due(now_ns, &self.spec) {
            return;
        }
        let (mut inputs, mut length_ns) = ([0; INPUTS], self.warm_up_length_ns);
        let (heard, waited_s) = std::mem::take(&mut flow.waits);
        let queue_s = if heard > 0.0 { waited_s / heard } else { 0.0 };
        let decided = std::mem::replace(&mut flow.deciding, true);
        let report = if flow.warm_up > 0 {
            flow.warm_up -= 1;
            if flow.warm_up > 0 {
                return flow.interval.restart(now_ns, length_ns);
            }
            None
        } else {
            let report = flow.interval.finish(now_ns, &mut flow.base, &self.spec);
            if report.mean_rtt_ns.is_none() {
                flow.deciding = false;
                // Silence is no ground for a decision; the engine's rule, too.
                let length_ns = self.spec.interval_ns(&flow.base, flow.rate_bps, PACKET_BYTES);
                return flow.interval.restart(now_ns, length_ns);
            }
            self.decided += u64::from(decided);
            flow.history.push(report.features);
            Some(report)
        };
        flow.history.write_inputs(&mut inputs);
        let rate_bps = flow.rate_bps;
        let truth = Truth {
            capacity_bps: self.link.capacity_bps,
            empty_rtt_s: self.link.empty_rtt_s(),
            rtt_floor_s: self.pace.floor_s,
            packet_s: self.pace.packet_s,
            queue_s,
            flows: self.flows.iter().filter(|flow| flow.from_s <= self.now_s).count(),
        };
        let report = report.as_ref();
        let ended =
            Ended { flow: index, at_s: self.now_s, rate_bps, inputs: &inputs, report, decided, truth };
        let decided_bps = controller.decide(&ended).clamp(self.rate_bps.0, self.rate_bps.1);
        let flow = &mut self.flows[index];
        flow.set_rate(decided_bps, &self.link);
        if report.is_some() {
            length_ns = self.spec.interval_ns(&flow.base, decided_bps, PACKET_BYTES);
        }
        flow.interval.restart(now_ns, length_ns);
    }
}

#[cfg(test)]
mod tests;
