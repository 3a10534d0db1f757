//! Several workers on one card that spreads frames over their queues as the test wants, in virtual time.

use super::allocations::during;
use super::frames::{TestFrame, TestIo};
use super::world::{Arrival, START};
use std::collections::BTreeMap;
use weir_engine::Worker;
use weir_engine::config::EngineConfig;
use weir_engine::counters::WorkerStats;
use weir_engine::io::Side;
use weir_engine::models::ModelSet;
use weir_engine::policy::Policy;
use weir_engine::steer::Steering;
use weir_engine::time::Ns;
use weir_engine::verdict::Tally;
use weir_features::Sample;
use weir_handoff::{LaneReceiver, Publisher, Reader, epoch, lane};

/// To which of so many queues the card gives a frame.
pub(crate) type Spread = fn(&Arrival, usize) -> usize;

/// What left one side of one flow: when, and the bytes.
pub(crate) type Left = BTreeMap<(usize, u16), Vec<(Ns, Vec<u8>)>>;

struct Member {
    worker: Worker<TestFrame>,
    io: TestIo,
    reader: Reader<Policy>,
    samples: LaneReceiver<Sample>,
}

/// The workers, and what they did.
pub(crate) struct Fleet {
    members: Vec<Member>,
    _publisher: Publisher<Policy>,
    pub(crate) now: Ns,
    pub(crate) left: Left,
    /// Records of all workers.
    pub(crate) samples: Vec<Sample>,
    /// Who goes first; goes round, so that no worker is always a step ahead of the lanes.
    first: usize,
}

impl Fleet {
    pub(crate) fn new(config: &EngineConfig, models: ModelSet, workers: usize, lane_frames: usize) -> Fleet {
        let (publisher, readers) =
            epoch(Policy { models, pacing: config.pacing.clone(), ..Policy::default() }, workers);
        let places = Steering::mesh(workers, lane_frames);
        let members = readers.into_iter().zip(places).map(|(reader, place)| {
            let (sender, samples) = lane(64, 64);
            Member {
                worker: Worker::new(config, START, sender).among(place),
                io: TestIo::new(),
                reader,
                samples,
            }
        });
        Fleet {
            members: members.collect(),
            _publisher: publisher,
            now: START,
            left: Left::new(),
            samples: Vec::new(),
            first: 0,
        }
    }

    /// The same, where the card may scatter a flow's frames: nobody looks at their order.
    pub(crate) fn unordered(
        config: &EngineConfig,
        models: ModelSet,
        workers: usize,
        lane_frames: usize,
    ) -> Fleet {
        let mut fleet = Fleet::new(config, models, workers, lane_frames);
        fleet.members.iter_mut().for_each(|member| member.io.ordered = false);
        fleet
    }

    /// A turn of each worker at the present time. Each worker's books must balance, and so must their sum, whatever is
    /// within lanes; and nothing may have been allocated. Returns whether anything happened or is left to do at once, and
    /// when something is due.
    fn round(&mut self) -> (bool, Option<Ns>) {
        let (mut busy, mut due) = (false, None);
        let count = self.members.len();
        for step in 0..count {
            let member = &mut self.members[(self.first + step) % count];
            let (report, allocations) =
                during(|| member.worker.turn(self.now, &mut member.io, &mut member.reader));
            assert_eq!(allocations, 0, "a turn has allocated");
            assert!(member.worker.tally().balanced(), "{:?}", member.worker.tally());
            busy |= report.busy || member.io.inbox.iter().any(|inbox| !inbox.is_empty());
            due = match (due, report.next_due) {
                (Some(one), Some(other)) => Some(Ns::min(one, other)),
                (one, other) => one.or(other),
            };
            for (side, outbox) in member.io.outbox.iter_mut().enumerate() {
                for frame in outbox.drain(..) {
                    self.left.entry((side, frame.flow)).or_default().push((self.now, frame.bytes));
                }
            }
            member.samples.drain(usize::MAX, |sample| self.samples.push(*sample));
        }
        self.first = (self.first + 1) % count;
        let tally = self.tally();
        assert!(tally.balanced(), "{tally:?}");
        (busy, due)
    }

    /// Lets everything arrive at its time, spread over the queues, and goes on until `until`. What arrived at one instant
    /// arrives in the order of the record, as far as one frame may have been an answer to another: from the other side, or
    /// after a turn. In between the workers take turns until none has anything to do: time is no dearer to many workers
    /// than to one.
    pub(crate) fn play(&mut self, arrivals: &[Arrival], spread: Spread, until: Ns) {
        let mut ahead =
            arrivals.chunk_by(|one, next| (one.at, one.turns, one.side) == (next.at, next.turns, next.side));
        let mut group = ahead.next();
        while self.now < until {
            if let Some(now) = group.take_if(|group| group[0].at <= self.now) {
                for arrival in now {
                    let queue = spread(arrival, self.members.len());
                    self.offer(queue, arrival.side, arrival.frame.clone());
                }
                group = ahead.next();
            }
            let due = self.settle().map(|due| due.max(self.now + Ns(500)));
            let next = group.map(|group| group[0].at).into_iter().chain(due).min();
            self.now = next.unwrap_or(until).min(until).max(self.now);
        }
    }

    /// Turns at the present time until nothing happens.
    fn settle(&mut self) -> Option<Ns> {
        loop {
            let (busy, due) = self.round();
            if !busy {
                return due;
            }
        }
    }

    /// One round of turns, as it comes: frames may stay within lanes.
    pub(crate) fn turn(&mut self) {
        self.round();
    }

    /// The same, the last worker first.
    pub(crate) fn turn_backwards(&mut self) {
        for member in self.members.iter_mut().rev() {
            member.worker.turn(self.now, &mut member.io, &mut member.reader);
        }
    }

    /// Ends all workers as they are. Returns their closed books.
    pub(crate) fn end(self) -> Vec<Tally> {
        self.members.into_iter().map(|member| member.worker.finish().0).collect()
    }

    /// A frame before one worker's queue.
    pub(crate) fn offer(&mut self, queue: usize, side: Side, frame: TestFrame) {
        self.members[queue].io.inbox[side as usize].push_back(frame);
    }

    /// The books of all workers.
    pub(crate) fn tally(&self) -> Tally {
        let mut sum = Tally::default();
        self.members.iter().for_each(|member| sum += member.worker.tally());
        sum
    }

    /// One worker's counters.
    pub(crate) fn stats(&self, worker: usize) -> WorkerStats {
        *self.members[worker].worker.stats()
    }

    /// One worker's books.
    pub(crate) fn tally_of(&self, worker: usize) -> Tally {
        *self.members[worker].worker.tally()
    }

    /// The sum of one counter.
    pub(crate) fn sum(&self, of: fn(&WorkerStats) -> u64) -> u64 {
        self.members.iter().map(|member| of(member.worker.stats())).sum()
    }

    /// A stop, as the shell does it: each worker stops receiving when it sees the flag, after a turn or two of others; then
    /// drains for `span`; then ends. Returns the closed books of each.
    pub(crate) fn stop(mut self, span: Ns) -> Vec<Tally> {
        for index in 0..self.members.len() {
            self.members[index].worker.stop_receiving();
            self.round();
        }
        loop {
            let mut awaits = false;
            for member in &mut self.members {
                awaits |= member.worker.turn(self.now, &mut member.io, &mut member.reader).awaits_others;
            }
            if !awaits {
                break;
            }
        }
        let until = self.now + span;
        while self.now < until {
            for member in &mut self.members {
                member.worker.drain(self.now, &mut member.io);
            }
            self.now += Ns::from_micros(100);
        }
        self.end()
    }
}
