//! Weir between a host's stack and its uplink: the real worker, and what a core, a publisher and a trainer are to it.

use crate::frame::SimFrame;
use std::collections::VecDeque;
use std::sync::Arc;
use weir_engine::Worker;
use weir_engine::config::EngineConfig;
use weir_engine::counters::WorkerStats;
use weir_engine::io::{Burst, PacketIo, Side};
use weir_engine::models::{Generation, ModelSet};
use weir_engine::policy::Policy;
use weir_engine::time::Ns;
use weir_engine::verdict::Tally;
use weir_engine::wheel::SLOT;
use weir_features::{FlowSample, Sample};
use weir_handoff::{LaneReceiver, Publisher, Reader, epoch, lane};

/// Samples that wait for whoever asks for them, in batches of 64; those beyond are dropped and counted by the worker.
const SAMPLE_BATCHES: usize = 64;

/// What a Weir is, on a host of a world.
#[derive(Clone, Debug)]
pub struct WeirConfig {
    /// What the worker is told.
    pub engine: EngineConfig,
    /// The model that it starts with.
    pub model: Option<Arc<Generation>>,
    /// The model that predicts flow sizes, that it starts with.
    pub size_model: Option<Arc<Generation>>,
    /// From a network's answer to the moment when it counts: 0 inline, more where the network runs elsewhere.
    pub decision_delay: Ns,
    /// Time for which the core is taken by each run of a network over one flow's inputs; frames wait meanwhile.
    pub decision_cost: Ns,
}

/// A worker with its surroundings.
pub struct Weir {
    worker: Worker<SimFrame>,
    io: Io,
    publisher: Publisher<Policy>,
    reader: Reader<Policy>,
    policy: Policy,
    samples: LaneReceiver<Sample>,
    flow_samples: LaneReceiver<FlowSample>,
    decision_cost: Ns,
    busy_until: Ns,
    /// Publications that the epoch refused.
    pub refused: u64,
    /// A turn is scheduled for then, by whoever drives this.
    pub(crate) scheduled: Ns,
}

/// Two queues in, two queues out. The outside's port takes all: what a NIC's ring would refuse waits in the uplink's queue.
#[derive(Default)]
struct Io {
    inbox: [VecDeque<SimFrame>; 2],
    outbox: [VecDeque<SimFrame>; 2],
}

impl PacketIo for Io {
    type Frame = SimFrame;

    fn rx(&mut self, side: Side, into: &mut Burst<SimFrame>) -> usize {
        let queue = &mut self.inbox[side as usize];
        let take = queue.len().min(into.remaining_capacity());
        into.extend(queue.drain(..take));
        take
    }

    fn tx(&mut self, side: Side, from: &mut Burst<SimFrame>) -> usize {
        let take = from.len();
        self.outbox[side as usize].extend(from.drain(..));
        take
    }

    fn make(&mut self, _: Side, len: usize) -> Option<SimFrame> {
        Some(SimFrame::zeros(len))
    }
}

impl Weir {
    /// An idle worker at time `now`.
    pub fn new(config: &WeirConfig, now: Ns) -> Weir {
        let (sender, samples) = lane(SAMPLE_BATCHES, 64);
        let (flow_sender, flow_samples) = lane(SAMPLE_BATCHES, 64);
        let start = |model: &Option<Arc<Generation>>| match model {
            Some(model) => ModelSet::empty().with(Arc::clone(model)),
            None => ModelSet::empty(),
        };
        let (models, size_models) = (start(&config.model), start(&config.size_model));
        let (pacing, schedule) = (config.engine.pacing.clone(), config.engine.schedule.clone());
        let policy = Policy { models, pacing, size_models, schedule, ..Policy::default() };
        let (publisher, reader) = one_reader(&policy);
        Weir {
            worker: Worker::new(&config.engine, now, sender)
                .telling(flow_sender)
                .deciding_late(config.decision_delay),
            io: Io::default(),
            publisher,
            reader,
            policy,
            samples,
            flow_samples,
            decision_cost: config.decision_cost,
            busy_until: now,
            refused: 0,
            scheduled: Ns::NEVER,
        }
    }

    /// A frame comes from the stack or from the network.
    pub(crate) fn receive(&mut self, side: Side, frame: SimFrame) {
        self.io.inbox[side as usize].push_back(frame);
    }

    /// One turn, if the core is free: then what is due next, otherwise when it will be free. What left is in
    /// [`sent`](Weir::sent).
    pub(crate) fn turn(&mut self, now: Ns) -> Option<Ns> {
        if now < self.busy_until {
            return Some(self.busy_until);
        }
        let before = self.worker.stats().inferences;
        let report = self.worker.turn(now, &mut self.io, &mut self.reader);
        let inferences = self.worker.stats().inferences - before;
        self.busy_until = now + Ns(self.decision_cost.0.saturating_mul(inferences));
        let waits = self.io.inbox.iter().any(|queue| !queue.is_empty());
        // A wheel says no more than the slot in which something comes up. A turn that found nothing there is not repeated
        // before the next one.
        let earliest = if report.busy { now } else { now + SLOT };
        let next = if waits { Some(now) } else { report.next_due.map(|due| due.max(earliest)) };
        next.map(|due| due.max(self.busy_until))
    }

    /// The next frame that has left by this side.
    pub(crate) fn sent(&mut self, side: Side) -> Option<SimFrame> {
        self.io.outbox[side as usize].pop_front()
    }

    /// Publishes another model in the place of the present one, as a swap does.
    pub fn swap(&mut self, model: Arc<Generation>) {
        self.publish(Policy { models: self.policy.models.with(model), ..self.policy.clone() });
    }

    /// The same with the model that predicts flow sizes.
    pub fn swap_sizes(&mut self, model: Arc<Generation>) {
        self.publish(Policy { size_models: self.policy.size_models.with(model), ..self.policy.clone() });
    }

    fn publish(&mut self, next: Policy) {
        // One turn of the worker is all that the epoch waits for, and turns are many.
        self.publisher.reclaim();
        match self.publisher.publish(next.clone()) {
            Ok(_) => self.policy = next,
            Err(_) => self.refused += 1,
        }
    }

    /// Takes the samples that have come.
    pub fn drain(&mut self, mut each: impl FnMut(&Sample)) {
        self.samples.drain(usize::MAX, &mut each);
    }

    /// Takes what has been told of flows that have ended.
    pub fn drain_flows(&mut self, mut each: impl FnMut(&FlowSample)) {
        self.flow_samples.drain(usize::MAX, &mut each);
    }

    /// What the worker has counted.
    pub fn stats(&self) -> &WorkerStats {
        self.worker.stats()
    }

    /// Where its frames went.
    pub fn tally(&self) -> &Tally {
        self.worker.tally()
    }

    /// Number of the generation published last.
    pub fn generation(&self) -> u32 {
        self.policy.models.active().map_or(0, Generation::number)
    }

    /// Frames on the way to the worker, or from it.
    pub(crate) fn around(&self) -> u64 {
        self.io.inbox.iter().chain(&self.io.outbox).map(|queue| queue.len() as u64).sum()
    }

    /// Frames that ended inside, by a verdict that does not send them.
    pub(crate) fn ended(&self) -> u64 {
        let tally = self.tally();
        let sent: u64 = tally.sent.iter().sum();
        let received: u64 = tally.received.iter().sum();
        // Sent verdicts count frames that still wait for the port; with a port that takes all, none does.
        (received + tally.originated).saturating_sub(sent + tally.held)
    }
}

fn one_reader(policy: &Policy) -> (Publisher<Policy>, Reader<Policy>) {
    let (publisher, mut readers) = epoch(policy.clone(), 1);
    match readers.pop() {
        Some(reader) => (publisher, reader),
        // Asked for one, an epoch makes one.
        None => one_reader(policy),
    }
}
