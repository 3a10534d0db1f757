//! Workers with ports, a clock, and hosts that say what a test wants.

use super::allocations::during;
use super::frames::{ACK, SYN, TestFrame, TestIo, ip_checksum};
use std::collections::HashMap;
use std::net::IpAddr;
use weir_engine::Worker;
use weir_engine::config::{EngineConfig, PacingConfig};
use weir_engine::counters::WorkerStats;
use weir_engine::io::Side;
use weir_engine::limit::{LimitConfig, LimitStats, Limits};
use weir_engine::policy::Policy;
use weir_engine::steer::Steering;
use weir_engine::time::Ns;
use weir_engine::verdict::{Tally, Verdict};
use weir_engine::wheel::SLOT;
use weir_handoff::{Publisher, Reader, epoch, lane};

pub(crate) const START: Ns = Ns::from_secs(1_000);
/// Payload of a full frame without TCP options.
pub(crate) const FULL: usize = 1_460;

/// What a flow carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tcp,
    Udp,
}

/// One flow from an inside end to an outside one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    pub(crate) kind: Kind,
    pub(crate) inside: IpAddr,
    pub(crate) outside: IpAddr,
    /// Of every frame's IP header.
    pub(crate) ecn: u8,
    /// Payload bytes that were sent, or are on their way.
    pub(crate) sent: u32,
    /// Frames that came to Weir, and that have left it.
    pub(crate) offered: u64,
    pub(crate) left: u64,
}

struct Member {
    worker: Worker<TestFrame>,
    io: TestIo,
    reader: Reader<Policy>,
}

pub(crate) struct Bench {
    members: Vec<Member>,
    publisher: Publisher<Policy>,
    policy: Policy,
    pub(crate) now: Ns,
    /// Time between two turns.
    pub(crate) step: Ns,
    pub(crate) flows: HashMap<u16, Flow>,
    /// What left by the outside: when, whose, and how long.
    pub(crate) left: Vec<(Ns, u16, u64)>,
    /// The frames themselves, where a test wants them.
    pub(crate) frames: Option<Vec<TestFrame>>,
    serial: u64,
}

impl Bench {
    pub(crate) fn new(config: &EngineConfig) -> Bench {
        Bench::of(1, config)
    }

    pub(crate) fn of(workers: usize, config: &EngineConfig) -> Bench {
        let policy =
            Policy { pacing: config.pacing.clone(), schedule: config.schedule.clone(), ..Policy::default() };
        let (publisher, readers) = epoch(policy.clone(), workers);
        let member = |(reader, place)| {
            let worker = Worker::new(config, START, lane(1, 1).0).among(place);
            Member { worker, io: TestIo::new(), reader }
        };
        let members = readers.into_iter().zip(Steering::mesh(workers, 1_024)).map(member).collect();
        Bench {
            members,
            publisher,
            policy,
            now: START,
            step: Ns::from_micros(10),
            flows: HashMap::new(),
            left: Vec::new(),
            frames: None,
            serial: 0,
        }
    }

    /// Publishes what `change` makes of the pacing settings.
    pub(crate) fn publish(&mut self, change: impl FnOnce(&mut PacingConfig)) {
        change(self.policy.pacing.as_mut().expect("the test configuration paces"));
        self.publisher.publish(self.policy.clone()).expect("the workers keep up");
    }

    /// Publishes other limits.
    pub(crate) fn set_limits(&mut self, limits: Vec<LimitConfig>) {
        self.publish(|pacing| pacing.limits = Limits::new(limits));
    }

    /// Adds a flow; of TCP, opens its connection.
    pub(crate) fn add(&mut self, id: u16, kind: Kind, inside: &str, outside: &str) {
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let (inside, outside) = (address(inside), address(outside));
        self.flows.insert(id, Flow { kind, inside, outside, ecn: 0, sent: 0, offered: 0, left: 0 });
        if kind == Kind::Tcp {
            self.segment(id, Side::Inside, (0, 0), SYN, 0);
            self.settle();
            self.segment(id, Side::Outside, (0, 1), SYN | ACK, 0);
            self.settle();
            self.segment(id, Side::Inside, (1, 1), ACK, 0);
            self.settle();
        }
    }

    /// Turns until nothing is held any more.
    fn settle(&mut self) {
        self.turn();
        while self.tally().held > 0
            || self.members.iter().any(|member| member.worker.stats().steer_lane_frames > 0)
        {
            self.now += self.step;
            self.turn();
        }
    }

    /// Puts a frame before the first worker.
    pub(crate) fn frame(&mut self, id: u16, side: Side, bytes: Vec<u8>) {
        self.serial += 1;
        if side == Side::Inside
            && let Some(flow) = self.flows.get_mut(&id)
        {
            flow.offered += 1;
        }
        let frame = TestFrame { bytes, flow: id, serial: self.serial };
        self.members[0].io.inbox[side as usize].push_back(frame);
    }

    /// A TCP segment with these numbers, of sequence and acknowledgement.
    pub(crate) fn segment(&mut self, id: u16, side: Side, (seq, ack): (u32, u32), flags: u8, payload: usize) {
        let flow = self.flows[&id];
        let mut tcp = vec![0; 20 + payload];
        tcp[4..8].copy_from_slice(&seq.to_be_bytes());
        tcp[8..12].copy_from_slice(&ack.to_be_bytes());
        (tcp[12], tcp[13]) = (5 << 4, flags);
        tcp[14..16].copy_from_slice(&u16::MAX.to_be_bytes());
        let bytes = packet(&flow, id, side, tcp);
        self.frame(id, side, bytes);
    }

    /// `payload` bytes more from the flow's inside end; of TCP, one segment.
    pub(crate) fn send(&mut self, id: u16, payload: usize) {
        let flow = self.flows.get_mut(&id).expect("the flow was added");
        let seq = 1 + flow.sent;
        flow.sent += payload as u32;
        match flow.kind {
            Kind::Tcp => self.segment(id, Side::Inside, (seq, 1), ACK, payload),
            Kind::Udp => {
                let mut udp = vec![0; 8 + payload];
                udp[4..6].copy_from_slice(&((8 + payload) as u16).to_be_bytes());
                let bytes = packet(&self.flows[&id], id, Side::Inside, udp);
                self.frame(id, Side::Inside, bytes);
            }
        }
    }

    /// A turn of each worker at the present time, and what it checks.
    pub(crate) fn turn(&mut self) {
        for member in &mut self.members {
            let (_, allocations) =
                during(|| member.worker.turn(self.now, &mut member.io, &mut member.reader));
            assert_eq!(allocations, 0, "a turn has allocated");
            assert!(member.worker.tally().balanced(), "{:?}", member.worker.tally());
        }
        self.collect();
    }

    fn collect(&mut self) {
        for member in &mut self.members {
            for frame in member.io.outbox[Side::Outside as usize].drain(..) {
                self.left.push((self.now, frame.flow, frame.bytes.len() as u64));
                if let Some(flow) = self.flows.get_mut(&frame.flow) {
                    flow.left += 1;
                }
                if let Some(frames) = &mut self.frames {
                    frames.push(frame);
                }
            }
            member.io.outbox[Side::Inside as usize].clear();
        }
    }

    pub(crate) fn run_for(&mut self, span: Ns) {
        let until = self.now + span;
        while self.now < until {
            self.turn();
            self.now += self.step;
        }
    }

    /// Runs while each of these flows has `waiting` frames of `payload` bytes inside at any time.
    pub(crate) fn press(&mut self, ids: &[u16], (waiting, payload): (u64, usize), span: Ns) {
        let until = self.now + span;
        while self.now < until {
            for id in ids {
                let flow = self.flows[id];
                for _ in flow.offered - flow.left..waiting {
                    self.send(*id, payload);
                }
            }
            self.turn();
            self.now += self.step;
        }
    }

    /// Bytes that left in the last `span`, by flow.
    pub(crate) fn bytes_in(&self, span: Ns) -> HashMap<u16, u64> {
        let mut sums = HashMap::new();
        for (at, id, bytes) in self.left.iter().rev().take_while(|(at, ..)| *at >= self.now - span) {
            let _ = at;
            *sums.entry(*id).or_default() += bytes;
        }
        sums
    }

    /// Asserts that what left of these flows was never more than `limit` lets through, but for the lateness of a slot and a
    /// turn: GCRA over the departures.
    pub(crate) fn assert_within(&self, limit: &LimitConfig, is_under: impl Fn(u16) -> bool) {
        let late = SLOT + self.step + self.step;
        let byte_ns = 8e9 / limit.rate.0 as f64;
        let depth = f64::from(limit.burst_bytes) * byte_ns + late.0 as f64 + 2.0;
        let mut full_at = 0.0_f64;
        for (at, id, bytes) in self.left.iter().filter(|(_, id, _)| is_under(*id)) {
            let now = (*at - START).0 as f64;
            full_at = full_at.max(now) + *bytes as f64 * byte_ns;
            assert!(
                full_at - now <= depth,
                "{}: flow {id} at {now} ns: {} ns early",
                limit.name,
                full_at - now - depth
            );
        }
    }

    pub(crate) fn stats(&self, of: fn(&WorkerStats) -> u64) -> u64 {
        self.members.iter().map(|member| of(member.worker.stats())).sum()
    }

    /// What all workers have counted of a limit.
    pub(crate) fn limit(&self, index: usize, of: fn(&LimitStats) -> u64) -> u64 {
        self.members.iter().map(|member| of(&member.worker.limits().0[index])).sum()
    }

    pub(crate) fn flows_of(&self, worker: usize) -> u64 {
        self.members[worker].worker.stats().flows
    }

    pub(crate) fn tally(&self) -> Tally {
        let mut sum = Tally::default();
        self.members.iter().for_each(|member| sum += member.worker.tally());
        sum
    }

    pub(crate) fn ended(&self, verdict: Verdict) -> u64 {
        self.tally().ended[verdict as usize]
    }

    /// What is inside leaves in its time, and the rest is counted.
    pub(crate) fn drain(mut self, span: Ns) -> (Vec<Tally>, Vec<(Ns, u16, u64)>) {
        self.members.iter_mut().for_each(|member| member.worker.stop_receiving());
        let until = self.now + span;
        while self.now < until {
            for member in &mut self.members {
                member.worker.drain(self.now, &mut member.io);
            }
            self.collect();
            self.now += self.step;
        }
        (self.members.into_iter().map(|member| member.worker.finish().0).collect(), self.left)
    }
}

/// Jain's fairness index: 1 where all got the same, 1/n where one got all (Jain, Chiu and Hawe, DEC-TR-301, 1984).
pub(crate) fn jain(shares: impl Iterator<Item = u64> + Clone) -> f64 {
    let (count, sum) = (shares.clone().count() as f64, shares.clone().sum::<u64>() as f64);
    let squares: f64 = shares.map(|share| (share as f64).powi(2)).sum();
    sum * sum / (count * squares)
}

/// A frame of the flow as it comes from `side`, around a transport header without ports and its payload.
fn packet(flow: &Flow, id: u16, side: Side, mut transport: Vec<u8>) -> Vec<u8> {
    let (inside_port, outside_port) = (10_000 + id, 5_201_u16);
    let ends = [(flow.inside, inside_port), (flow.outside, outside_port)];
    let [(from, from_port), (to, to_port)] = match side {
        Side::Inside => ends,
        Side::Outside => [ends[1], ends[0]],
    };
    transport[..2].copy_from_slice(&from_port.to_be_bytes());
    transport[2..4].copy_from_slice(&to_port.to_be_bytes());
    let protocol = match flow.kind {
        Kind::Tcp => 6,
        Kind::Udp => 17,
    };
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            bytes.extend([0x08, 0x00]);
            let mut ip = [0; 20];
            (ip[0], ip[1], ip[8], ip[9]) = (0x45, flow.ecn, 64, protocol);
            ip[2..4].copy_from_slice(&((20 + transport.len()) as u16).to_be_bytes());
            ip[12..16].copy_from_slice(&from.octets());
            ip[16..20].copy_from_slice(&to.octets());
            let checksum = ip_checksum(&ip);
            ip[10..12].copy_from_slice(&checksum.to_be_bytes());
            bytes.extend(ip);
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            bytes.extend([0x86, 0xdd, 0x60, flow.ecn << 4, 0, 0]);
            bytes.extend((transport.len() as u16).to_be_bytes());
            bytes.extend([protocol, 64]);
            bytes.extend(from.octets());
            bytes.extend(to.octets());
        }
        _ => panic!("both ends are of one version"),
    }
    bytes.extend(transport);
    bytes
}
