//! Workers with ports, a clock, and frames.

use super::allocations::during;
use super::frames::{ACK, FIN, SYN, Say, TestFrame, TestIo, segment};
use weir_engine::Worker;
use weir_engine::config::EngineConfig;
use weir_engine::counters::WorkerStats;
use weir_engine::io::Side;
use weir_engine::models::ModelSet;
use weir_engine::policy::Policy;
use weir_engine::steer::Steering;
use weir_engine::time::Ns;
use weir_engine::verdict::{Tally, Verdict};
use weir_features::FlowSample;
use weir_handoff::{LaneReceiver, Publisher, Reader, epoch, lane};

pub(crate) const START: Ns = Ns::from_secs(1_000);
const ISN: u32 = 0;

struct Member {
    worker: Worker<TestFrame>,
    io: TestIo,
    reader: Reader<Policy>,
    samples: LaneReceiver<FlowSample>,
}

pub(crate) struct Bench {
    members: Vec<Member>,
    publisher: Publisher<Policy>,
    policy: Policy,
    pub(crate) now: Ns,
    /// What left by the outside: when, and the frame.
    pub(crate) left: Vec<(Ns, TestFrame)>,
    serial: u64,
}

impl Bench {
    pub(crate) fn new(config: &EngineConfig, size_models: ModelSet) -> Bench {
        Bench::of(1, config, size_models)
    }

    pub(crate) fn of(workers: usize, config: &EngineConfig, size_models: ModelSet) -> Bench {
        let policy = Policy {
            pacing: config.pacing.clone(),
            schedule: config.schedule.clone(),
            size_models,
            ..Policy::default()
        };
        let (publisher, readers) = epoch(policy.clone(), workers);
        let member = |(reader, place)| {
            let (told, samples) = lane(64, 64);
            let worker = Worker::new(config, START, lane(1, 1).0).among(place).telling(told);
            Member { worker, io: TestIo::new(), reader, samples }
        };
        let members = readers.into_iter().zip(Steering::mesh(workers, 256)).map(member).collect();
        Bench { members, publisher, policy, now: START, left: Vec::new(), serial: 0 }
    }

    /// The same with its network elsewhere.
    pub(crate) fn deciding_late(mut self, delay: Ns) -> Bench {
        let late = |member: Member| Member { worker: member.worker.deciding_late(delay), ..member };
        self.members = self.members.into_iter().map(late).collect();
        self
    }

    pub(crate) fn publish(&mut self, change: impl FnOnce(&mut Policy)) {
        change(&mut self.policy);
        self.publisher.publish(self.policy.clone()).expect("the worker keeps up");
        self.turn();
    }

    pub(crate) fn frame(&mut self, side: Side, flow: u16, bytes: Vec<u8>) {
        self.serial += 1;
        let frame = TestFrame { bytes, flow, serial: self.serial };
        self.members[0].io.inbox[side as usize].push_back(frame);
    }

    pub(crate) fn say(&mut self, side: Side, say: Say) {
        self.frame(side, say.flow, segment(side, say));
    }

    /// SYN, SYN-ACK, ACK; the inside's first data byte is 1.
    pub(crate) fn connect(&mut self, flow: u16) {
        self.say(Side::Inside, Say { flow, seq: ISN, flags: SYN, ..Say::default() });
        self.turn();
        self.say(Side::Outside, Say { flow, ack: ISN + 1, flags: SYN | ACK, ..Say::default() });
        self.turn();
        self.say(Side::Inside, Say { flow, seq: ISN + 1, ack: 1, flags: ACK, ..Say::default() });
        self.turn();
    }

    /// Data from inside; `sent` bytes of the flow came before.
    pub(crate) fn data(&mut self, flow: u16, sent: u32, payload: usize) {
        self.say(Side::Inside, Say { flow, seq: 1 + sent, ack: 1, payload, flags: ACK, ..Say::default() });
    }

    pub(crate) fn fin(&mut self, flow: u16, sent: u32) {
        self.say(Side::Inside, Say { flow, seq: 1 + sent, ack: 1, flags: ACK | FIN, ..Say::default() });
    }

    /// A turn of each worker at the present time, and what it checks.
    pub(crate) fn turn(&mut self) {
        for member in &mut self.members {
            let (_, allocations) =
                during(|| member.worker.turn(self.now, &mut member.io, &mut member.reader));
            assert_eq!(allocations, 0, "a turn has allocated");
            assert!(member.worker.tally().balanced(), "{:?}", member.worker.tally());
            for frame in member.io.outbox[Side::Outside as usize].drain(..) {
                self.left.push((self.now, frame));
            }
            member.io.outbox[Side::Inside as usize].clear();
        }
    }

    /// Turns every 10 us, with at most a burst each.
    pub(crate) fn run_for(&mut self, span: Ns) {
        let until = self.now + span;
        while self.now < until {
            self.turn();
            self.now += Ns::from_micros(10);
        }
    }

    /// What left since the last time: flow numbers, in order.
    pub(crate) fn take_flows(&mut self) -> Vec<u16> {
        self.left.drain(..).map(|(_, frame)| frame.flow).collect()
    }

    pub(crate) fn samples(&mut self) -> Vec<FlowSample> {
        // What is in a batch that is not full is passed on after a while.
        self.run_for(Ns::from_millis(60));
        let mut samples = Vec::new();
        for member in &mut self.members {
            member.samples.drain(usize::MAX, |sample| samples.push(*sample));
        }
        samples
    }

    pub(crate) fn stats(&self) -> WorkerStats {
        *self.members[0].worker.stats()
    }

    pub(crate) fn tally(&self) -> Tally {
        let mut sum = Tally::default();
        self.members.iter().for_each(|member| sum += member.worker.tally());
        sum
    }

    pub(crate) fn ended(&self, verdict: Verdict) -> u64 {
        self.tally().ended[verdict as usize]
    }

    /// The outside port takes so many frames and then none.
    pub(crate) fn stick(&mut self, frames: usize) {
        self.members[0].io.credit[Side::Outside as usize] = Some(frames);
    }

    pub(crate) fn unstick(&mut self) {
        self.members[0].io.credit[Side::Outside as usize] = None;
    }

    /// What is inside leaves in its time.
    pub(crate) fn drain(&mut self, span: Ns) {
        let until = self.now + span;
        while self.now < until {
            for member in &mut self.members {
                member.worker.drain(self.now, &mut member.io);
                let out = member.io.outbox[Side::Outside as usize].drain(..);
                self.left.extend(out.map(|frame| (self.now, frame)));
            }
            self.now += Ns::from_micros(50);
        }
    }

    pub(crate) fn finish(self) -> Vec<(Tally, WorkerStats)> {
        self.members.into_iter().map(|member| member.worker.finish()).collect()
    }
}
