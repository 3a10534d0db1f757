//! A bottleneck small enough to train in: paced flows, one FIFO queue, a delay line, and nothing else.
//!
//! ```text
//! flow 1 --\
//! flow 2 ---> queue (bytes, drop-tail) -> capacity C(t) -> half the base RTT -> receiver -> half -> back to the flow
//! flow n --/
//! ```
//!
//! Packets are simulated one by one, but the queue needs no events of its own: behind a FIFO at capacity C a packet
//! that arrives at `t` leaves at `max(t, free) + bytes / C`, so its acknowledgement time is known when it is sent.
//! A change of capacity stretches what is still queued. Feedback is late by exactly the RTT, queue included, which is
//! what limits a controller's gain. Fast links use larger packets, so that an episode costs the same at any rate.
//!
//! Two things blur what a controller sees, as they do on a host. A receiver acknowledges every second packet, or after
//! 40 ms (*delayed acknowledgements*, RFC 5681 section 4.2): the first of a pair waits for its company. And the core
//! that paces and watches is taken away now and then (*stalls*): meanwhile nothing leaves and nothing that arrives is
//! seen, so whatever falls into a stall happens at its end.
//!
//! Features come from `weir_features`, through the calls that the datapath makes, and as many RTT samples as its tracker
//! takes. Not here: TCP (a flow always has data and is never window-limited), retransmission, several queues, ECN.

use crate::rng::Rng;
use std::collections::VecDeque;
use weir_features::{History, INPUTS, Interval, ONE, PacingSpec, RttBase, apply_action};

/// Wire bytes of an ordinary packet.
const PACKET_BYTES: f64 = 1500.0;
/// Packets of one fair share in half an RTT above which packets grow: more tells the features nothing new.
const PACKETS_PER_INTERVAL: f64 = 64.0;
/// Rate bounds in bits per second, as the guard has them in `conf/demo.toml`.
const RATE_BPS: (u64, u64) = (500_000, 10_000_000_000);
const NS: f64 = 1e9;
/// RTT samples per round trip, as many as the datapath's tracker has markers (`weir_engine::track`).
const SAMPLES_PER_RTT: u32 = 7;
/// How long a receiver keeps an acknowledgement back for a second packet: Linux `TCP_DELACK_MIN`.
const ACK_DELAY_S: f64 = 0.04;
/// What a pacer makes up for after a stall: `LATE_NS_MAX` in the engine's `pace/pacer.rs`.
const LATE_S_MAX: f64 = (1 << 22) as f64 / NS;

/// What a bottleneck is like when an episode begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link {
    /// Capacity in bits per second.
    pub capacity_bps: f64,
    /// Round-trip time of an empty queue, in seconds.
    pub base_rtt_s: f64,
    /// Queue in multiples of capacity times base RTT.
    pub queue_bdp: f64,
    /// Random delay per acknowledgement, uniform up to this many seconds; order is kept.
    pub jitter_s: f64,
    /// Whether the receiver acknowledges every second packet only.
    pub delayed_acks: bool,
    /// How the flows' core is taken away; `None`: never.
    pub stalls: Option<Stalls>,
}

/// How a core is taken away: mean time between two stalls and mean length of one, in seconds, both exponential.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stalls {
    /// From the end of one to the beginning of the next.
    pub gap_s: f64,
    /// From beginning to end.
    pub length_s: f64,
}

/// A flow decides: which one, its inputs (features in 1/65536, oldest interval first); answers its action.
pub trait Policy {
    /// The action for one decision of flow `flow`.
    fn act(&mut self, flow: usize, inputs: &[i32; INPUTS]) -> f64;
}

/// Measured over a stretch of time, see [`World::run`].
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Measured {
    /// Delivered bits over what the capacity allowed.
    pub utilisation: f64,
    /// Mean RTT over the base RTT, by packets.
    pub rtt_ratio: f64,
    /// Packets dropped at the full queue over packets sent.
    pub loss: f64,
    /// Jain's index over the flows' delivered packets: 1 where all got the same.
    pub fairness: f64,
}

struct Flow {
    rate_bps: u64,
    next_send_s: f64,
    interval: Interval,
    base: RttBase,
    history: History,
    /// Packets delivered in the stretch that is measured.
    delivered: u64,
    /// Packets sent and not heard of yet.
    outstanding: u32,
    /// Packets sent since the last whose RTT is taken.
    unmarked: u32,
    /// A packet that the receiver has, and whose acknowledgement waits for a second one.
    unacknowledged: Option<Feedback>,
}

#[derive(Clone, Copy)]
struct Feedback {
    at_s: f64,
    /// When the packet left (or would have left) the queue.
    served_s: f64,
    /// When the packet was sent whose RTT this gives, if it gives one.
    marked_s: Option<f64>,
    flow: usize,
    /// Packets of which it tells.
    packets: u32,
    lost: bool,
}

/// The bottleneck and its flows at one moment.
pub struct World {
    link: Link,
    spec: PacingSpec,
    packet_bytes: u32,
    now_s: f64,
    /// When the queue will be empty if nothing more arrives.
    free_s: f64,
    queue_bytes_max: f64,
    flows: Vec<Flow>,
    feedback: VecDeque<Feedback>,
    /// Beginning and end of the stall that is next or under way.
    stall_s: (f64, f64),
    rng: Rng,
}

impl World {
    /// `flows` flows that start together at `rate_bps(flow)`.
    pub fn new(link: Link, spec: PacingSpec, rates_bps: &[f64], rng: Rng) -> Self {
        let share = link.capacity_bps / rates_bps.len().max(1) as f64;
        let packets = share * link.base_rtt_s / 2.0 / (8.0 * PACKET_BYTES);
        let scale = (packets / PACKETS_PER_INTERVAL).ceil().clamp(1.0, 1000.0);
        let packet_bytes = (PACKET_BYTES * scale) as u32;
        let queue = link.queue_bdp * link.capacity_bps * link.base_rtt_s / 8.0;
        let mut world = Self {
            link,
            spec,
            packet_bytes,
            now_s: 0.0,
            free_s: 0.0,
            // A queue that cannot hold a few packets drops whatever the flows do.
            queue_bytes_max: queue.max(4.0 * f64::from(packet_bytes)),
            flows: Vec::new(),
            feedback: VecDeque::new(),
            stall_s: (f64::INFINITY, f64::INFINITY),
            rng,
        };
        world.next_stall();
        for &rate in rates_bps {
            let rate_bps = (rate as u64).clamp(RATE_BPS.0, RATE_BPS.1);
            let base = RttBase::default();
            let length = world.spec.interval_ns(&base, rate_bps, packet_bytes);
            let gap_s = f64::from(packet_bytes) * 8.0 / rate_bps as f64;
            world.flows.push(Flow {
                rate_bps,
                next_send_s: world.rng.uniform(0.0, gap_s),
                interval: Interval::new(0, length),
                base,
                history: History::fresh(),
                delivered: 0,
                outstanding: 0,
                unmarked: 0,
                unacknowledged: None,
            });
        }
        world
    }

    /// The capacity at this moment in bits per second.
    pub fn capacity_bps(&self) -> f64 {
        self.link.capacity_bps
    }

    /// Multiplies the capacity; what is queued stays queued.
    pub fn change_capacity(&mut self, factor: f64) {
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
    }

    /// Runs for `seconds` and measures them.
    pub fn run(&mut self, seconds: f64, policy: &mut dyn Policy) -> Measured {
        let (start_s, end_s) = (self.now_s, self.now_s + seconds);
        let (mut sent, mut lost) = (0u64, 0u64);
        self.flows.iter_mut().for_each(|flow| flow.delivered = 0);
        let (mut rtts, mut rtt_sum_s) = (0u64, 0.0);
        loop {
            let (flow, send_s) = self.next_sender();
            let feedback_s = self.feedback.front().map_or(f64::INFINITY, |f| f.at_s);
            if send_s.min(feedback_s) >= end_s {
                break;
            }
            // Both kinds of event wait for the end of the same stall: their order stays.
            self.now_s = self.awake(send_s.min(feedback_s));
            if send_s < feedback_s {
                sent += 1;
                self.send(flow);
                self.decide(flow, policy);
            } else if let Some(feedback) = self.feedback.pop_front() {
                let bytes = self.packet_bytes * feedback.packets;
                let flow = &mut self.flows[feedback.flow];
                flow.outstanding -= feedback.packets;
                if feedback.lost {
                    lost += 1;
                    flow.interval.on_loss(bytes);
                } else {
                    let rtt_s = feedback.marked_s.map(|sent_s| self.now_s - sent_s);
                    flow.delivered += u64::from(feedback.packets);
                    if let Some(rtt_s) = rtt_s {
                        rtts += 1;
                        rtt_sum_s += rtt_s;
                    }
                    flow.interval.on_ack(bytes, rtt_s.map(|rtt_s| (rtt_s * NS) as u64));
                }
                self.decide(feedback.flow, policy);
            }
        }
        self.now_s = self.now_s.max(end_s);
        let delivered = self.flows.iter().map(|flow| flow.delivered as f64);
        let (sum, squares) = delivered.fold((0.0, 0.0), |(sum, squares), d| (sum + d, squares + d * d));
        let bits = sum * f64::from(self.packet_bytes) * 8.0;
        Measured {
            utilisation: bits / (self.link.capacity_bps * (end_s - start_s)),
            rtt_ratio: rtt_sum_s / (rtts.max(1) as f64 * self.link.base_rtt_s),
            loss: lost as f64 / sent.max(1) as f64,
            fairness: if squares > 0.0 { sum * sum / (squares * self.flows.len() as f64) } else { 1.0 },
        }
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
        if at_s >= self.stall_s.0 { self.stall_s.1 } else { at_s }
    }

    fn next_stall(&mut self) {
        let Some(Stalls { gap_s, length_s }) = self.link.stalls else { return };
        let from_s = if self.stall_s.1.is_finite() { self.stall_s.1 } else { 0.0 };
        let begin_s = from_s + self.rng.exponential(gap_s);
        self.stall_s = (begin_s, begin_s + self.rng.exponential(length_s));
    }

    fn send(&mut self, index: usize) {
        let bits = f64::from(self.packet_bytes) * 8.0;
        let flow = &mut self.flows[index];
        flow.interval.on_send(self.packet_bytes);
        flow.next_send_s = flow.next_send_s.max(self.now_s - LATE_S_MAX) + bits / flow.rate_bps as f64;
        flow.outstanding += 1;
        flow.unmarked += 1;
        let marked = flow.unmarked >= flow.outstanding / SAMPLES_PER_RTT;
        if marked {
            flow.unmarked = 0;
        }
        let start_s = self.free_s.max(self.now_s);
        let queued_bytes = (start_s - self.now_s) * self.link.capacity_bps / 8.0;
        let lost = queued_bytes + f64::from(self.packet_bytes) > self.queue_bytes_max;
        let served_s = if lost { start_s } else { start_s + bits / self.link.capacity_bps };
        if !lost {
            self.free_s = served_s;
        }
        let at_s = served_s + self.link.base_rtt_s + self.rng.uniform(0.0, self.link.jitter_s);
        let marked_s = marked.then_some(self.now_s);
        self.answer(Feedback { at_s, served_s, marked_s, flow: index, packets: 1, lost });
    }

    /// The receiver has a packet, or misses one.
    fn answer(&mut self, mut feedback: Feedback) {
        let waiting = self.flows[feedback.flow].unacknowledged.take();
        match waiting {
            // What follows a gap is answered at once (RFC 5681 section 4.2).
            Some(first) if feedback.lost || feedback.at_s - first.at_s > ACK_DELAY_S => {
                self.tell(Feedback { at_s: feedback.at_s.min(first.at_s + ACK_DELAY_S), ..first });
            }
            Some(first) => {
                feedback.packets += first.packets;
                feedback.marked_s = feedback.marked_s.or(first.marked_s);
                return self.tell(feedback);
            }
            None => {}
        }
        if self.link.delayed_acks && !feedback.lost {
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

    fn decide(&mut self, index: usize, policy: &mut dyn Policy) {
        let now_ns = (self.now_s * NS) as u64;
        let flow = &mut self.flows[index];
        if !flow.interval.due(now_ns, &self.spec) {
            return;
        }
        let report = flow.interval.finish(now_ns, &mut flow.base, &self.spec);
        flow.history.push(report.features);
        let mut inputs = [0; INPUTS];
        flow.history.write_inputs(&mut inputs);
        let action = policy.act(index, &inputs);
        let rate_bps = apply_action(flow.rate_bps, (action * f64::from(ONE)).round() as i32);
        flow.rate_bps = rate_bps.clamp(RATE_BPS.0, RATE_BPS.1);
        flow.interval.restart(now_ns, self.spec.interval_ns(&flow.base, flow.rate_bps, self.packet_bytes));
    }
}

#[cfg(test)]
mod tests;
