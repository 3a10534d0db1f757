//! One router of several workers, on a card that gives each frame to whichever queue the test wants, between stations
//! that answer when they are asked for.

use super::allocations::during;
use super::frames::{self, Station, WEIR_INSIDE, WEIR_OUTSIDE, advertisement, arp};
use super::world::TestIo;
use std::net::Ipv4Addr;
use weir_engine::Worker;
use weir_engine::config::EngineConfig;
use weir_engine::counters::WorkerStats;
use weir_engine::io::Side;
use weir_engine::policy::Policy;
use weir_engine::steer::Steering;
use weir_engine::time::Ns;
use weir_engine::verdict::{Tally, Verdict};
use weir_handoff::{Publisher, Reader, epoch, lane};

/// To which of so many queues the card gives a frame: its bytes, and how many came before it.
pub(crate) type Spread = fn(&[u8], usize, usize) -> usize;

fn is_resolution(frame: &[u8]) -> bool {
    frame[12..14] == [8, 6] || (frame[12..14] == [0x86, 0xdd] && frame[20..22] == [58, 255])
}
/// Everything to one queue.
pub(crate) fn one_queue(_: &[u8], _: usize, _: usize) -> usize {
    0
}
/// What tells of neighbours to one queue, all else to another.
pub(crate) fn apart(frame: &[u8], _: usize, queues: usize) -> usize {
    if is_resolution(frame) { queues - 1 } else { 0 }
}
/// The one frame here, the next there; a TCP flow's all to one, which keeps their order.
pub(crate) fn scattered(frame: &[u8], before: usize, queues: usize) -> usize {
    let tcp = [23, 20].into_iter().zip([[8, 0], [0x86, 0xdd]]);
    let mut tcp = tcp.filter(|(at, kind)| frame[12..14] == *kind && frame[*at] == 6);
    let of = if tcp.next().is_some() { usize::from(frame[15]) + usize::from(frame[37]) } else { before };
    (of * 7 + 3) % queues
}
pub(crate) const SPREADS: [Spread; 3] = [one_queue, apart, scattered];

struct Member {
    worker: Worker<Vec<u8>>,
    io: TestIo,
    reader: Reader<Policy>,
}

/// A station on a link. A silent one hears nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attached {
    pub(crate) side: Side,
    pub(crate) station: Station,
    pub(crate) silent: bool,
}

/// A question that Weir has asked: when, for whom, and whether all were asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    pub(crate) at: Ns,
    pub(crate) target: [u8; 16],
    pub(crate) to_all: bool,
}

pub(crate) struct Fleet {
    pub(crate) now: Ns,
    pub(crate) stations: Vec<Attached>,
    pub(crate) questions: Vec<Question>,
    /// What else has left, by side, in order.
    pub(crate) left: [Vec<Vec<u8>>; 2],
    members: Vec<Member>,
    spread: Spread,
    /// Whether what leaves must have right checksums: what came with wrong ones leaves with them.
    pub(crate) judges: bool,
    /// Frames that the card has received.
    arrived: usize,
    /// Who takes the first turn; goes round.
    first: usize,
    _publisher: Publisher<Policy>,
}

/// The address for which a frame asks, an IPv4 one as IPv6 maps it.
fn asked_for(frame: &[u8]) -> Option<[u8; 16]> {
    match (frame.get(12..14)?, frame.get(20..22)?) {
        ([8, 6], [0, 1]) => {
            let [a, b, c, d] = *frame.get(38..)?.first_chunk()?;
            Some(Ipv4Addr::new(a, b, c, d).to_ipv6_mapped().octets())
        }
        ([0x86, 0xdd], [58, 255]) if frame.get(54) == Some(&135) => frame.get(62..)?.first_chunk().copied(),
        _ => None,
    }
}

impl Fleet {
    pub(crate) fn new(config: &EngineConfig, workers: usize, spread: Spread) -> Fleet {
        let now = Ns::from_secs(1_000);
        let (publisher, readers) = epoch(Policy::default(), workers);
        let members = readers.into_iter().zip(Steering::mesh(workers, 512)).map(|(reader, place)| {
            let (samples, _) = lane(4, 16);
            let worker = Worker::new(config, now, samples).among(place);
            Member { worker, io: TestIo::new(4_096), reader }
        });
        Fleet {
            now,
            stations: Vec::new(),
            questions: Vec::new(),
            left: Default::default(),
            members: members.collect(),
            spread,
            judges: true,
            arrived: 0,
            first: 0,
            _publisher: publisher,
        }
    }

    pub(crate) fn attach(&mut self, side: Side, station: Station) {
        self.stations.push(Attached { side, station, silent: false });
    }

    /// A frame on the wire of a side; the card gives it to a queue.
    pub(crate) fn arrive(&mut self, side: Side, frame: Vec<u8>) {
        let queue = (self.spread)(&frame, self.arrived, self.members.len());
        self.arrived += 1;
        self.offer(queue, side, frame);
    }

    /// A frame before one worker's queue.
    pub(crate) fn offer(&mut self, queue: usize, side: Side, frame: Vec<u8>) {
        self.members[queue].io.inbox[side as usize].push_back(frame);
    }

    /// One turn of one worker. The books must balance, and nothing may have been allocated. Returns whether it did
    /// anything, and when something is due.
    pub(crate) fn turn_of(&mut self, index: usize) -> (bool, Option<Ns>) {
        let member = &mut self.members[index];
        let (report, allocations) =
            during(|| member.worker.turn(self.now, &mut member.io, &mut member.reader));
        assert_eq!(allocations, 0, "a turn has allocated");
        assert!(member.worker.tally().balanced(), "{:?}", member.worker.tally());
        for side in Side::ALL {
            for frame in std::mem::take(&mut self.members[index].io.outbox[side as usize]) {
                self.sent(side, frame);
            }
            self.members[index].io.outbox[side as usize].reserve(4_096);
        }
        let inbox = &self.members[index].io.inbox;
        (report.busy || inbox.iter().any(|inbox| !inbox.is_empty()), report.next_due)
    }

    fn sent(&mut self, side: Side, frame: Vec<u8>) {
        if self.judges {
            frames::check(&frame);
        }
        let own = [WEIR_INSIDE, WEIR_OUTSIDE][side as usize];
        assert_eq!(frames::macs(&frame).0, own.mac, "the source is not the port's own address");
        let Some(target) = asked_for(&frame) else {
            return self.left[side as usize].push(frame);
        };
        let to = frames::macs(&frame).1;
        self.questions.push(Question { at: self.now, target, to_all: to[0] & 1 != 0 });
        let heard = |attached: &&Attached| {
            let Attached { side: at, station, silent } = **attached;
            at == side && !silent && (to[0] & 1 != 0 || to == station.mac)
        };
        let answer = self.stations.iter().filter(heard).find_map(|Attached { station, .. }| {
            if target == Ipv4Addr::from(station.v4).to_ipv6_mapped().octets() {
                return Some(arp(false, *station, own, own.mac));
            }
            (target == station.v6).then(|| advertisement(*station, own, 0x60))
        });
        if let Some(answer) = answer {
            self.arrive(side, answer);
        }
    }

    /// A turn of each worker. Their books must balance together, whatever is within lanes.
    pub(crate) fn round(&mut self) -> (bool, Option<Ns>) {
        let (mut busy, mut due) = (false, None);
        let count = self.members.len();
        for step in 0..count {
            let (did, next) = self.turn_of((self.first + step) % count);
            busy |= did;
            due = [due, next].into_iter().flatten().min();
        }
        self.first = (self.first + 1) % count;
        let tally = self.tally();
        assert!(tally.balanced(), "{tally:?}");
        (busy, due)
    }

    /// Turns at the present time until nothing happens. Returns when something is due.
    pub(crate) fn settle(&mut self) -> Option<Ns> {
        loop {
            let (busy, due) = self.round();
            if !busy {
                return due;
            }
        }
    }

    /// Goes on for this long, from one time at which something is due to the next.
    pub(crate) fn run_for(&mut self, span: Ns) {
        let until = self.now + span;
        loop {
            let due = self.settle().unwrap_or(until).max(self.now + Ns::from_micros(1));
            self.now = due.min(until);
            if due >= until {
                self.settle();
                return;
            }
        }
    }

    /// The books of all workers.
    pub(crate) fn tally(&self) -> Tally {
        let mut sum = Tally::default();
        self.members.iter().for_each(|member| sum += member.worker.tally());
        sum
    }

    /// When it was asked for an IPv4 address.
    pub(crate) fn asked(&self, target: [u8; 4]) -> Vec<Ns> {
        let target = Ipv4Addr::from(target).to_ipv6_mapped().octets();
        self.questions
            .iter()
            .filter(|question| question.target == target)
            .map(|question| question.at)
            .collect()
    }

    pub(crate) fn ended(&self, verdict: Verdict) -> u64 {
        self.tally().ended[verdict as usize]
    }

    /// One worker's books.
    pub(crate) fn tally_of(&self, worker: usize) -> Tally {
        *self.members[worker].worker.tally()
    }

    /// One worker's counters.
    pub(crate) fn stats_of(&self, worker: usize) -> WorkerStats {
        *self.members[worker].worker.stats()
    }

    /// The sum of one counter.
    pub(crate) fn sum(&self, of: fn(&WorkerStats) -> u64) -> u64 {
        self.members.iter().map(|member| of(member.worker.stats())).sum()
    }

    /// What each worker knows of neighbours in any state.
    pub(crate) fn known(&self) -> Vec<u64> {
        let known = |stats: WorkerStats| {
            stats.neighbours_incomplete
                + stats.neighbours_reachable
                + stats.neighbours_stale
                + stats.neighbours_delay
                + stats.neighbours_probe
        };
        (0..self.members.len()).map(|worker| known(self.stats_of(worker))).collect()
    }

    /// Ends all workers as a stop does that waits for nobody. Returns their closed books.
    pub(crate) fn stop(mut self) -> Vec<Tally> {
        self.members.iter_mut().for_each(|member| member.worker.stop_receiving());
        for _ in 0..2 {
            for member in &mut self.members {
                member.worker.turn(self.now, &mut member.io, &mut member.reader);
            }
        }
        for member in &mut self.members {
            member.worker.drain(self.now, &mut member.io);
        }
        self.members.into_iter().map(|member| member.worker.finish().0).collect()
    }
}
