//! Scheduling: which frames leave by the outside first.
//!
//! ```text
//! first data segment --row--> network (a batch per burst) --guard--> size --thresholds--> priority of the flow
//!                                                                      ^                        |
//!                                          rule (bytes sent) ----------+      outlived: twice   v
//! frame --offer--> of its burst --settle--> mark --> the queue of its priority --link has room--> leaves
//! ```
//!
//! Priority is worth something only where frames wait, so a shaper holds back what the link would have to queue
//! (`shaper`). A flow's prediction is made once and belongs to it: a swap of the network moves no live flow. A flow that
//! outlives its prediction is taken for twice as large, and so becomes less urgent; a frame that has waited long goes
//! first: a wrong guess in either direction has a bound.
//!
//! Frames of a flow keep their order. A less urgent queue is behind a more urgent one, or, by age, takes its turn after
//! everything older; a more urgent one is barred to a flow until its frames have left the other (`flow::Lane`). Frames of
//! connections that have no scheduling state share one such lane, which a new flow begins in.

mod config;
mod decide;
mod flow;
mod peers;
mod queues;
mod shaper;

pub use config::{PRIORITIES, ScheduleConfig, ScheduleRule, Thresholds, Trust};
pub use flow::{SCHEDULED_FLOW_BYTES, ScheduledId};

use crate::config::EngineConfig;
use crate::counters::WorkerStats;
use crate::hash::FlowHasher;
use crate::io::{BURST, Frame};
use crate::models::ModelSet;
use crate::route::Hop;
use crate::sampler::Draw;
use crate::time::Ns;
use crate::verdict::{Tally, Verdict};
use crate::wire::{self, Flags, Parsed, TcpFrame, Untracked};
use arrayvec::ArrayVec;
use decide::Batch;
use flow::{Decider, Lane, ScheduledFlow};
use peers::{Found, Peers};
use queues::Waiting;
use shaper::Shaper;
use std::collections::VecDeque;
use weir_cpu::large_slice;
use weir_features::{FirstData, FlowEnd, FlowSample, PeerHistory, log2_1p_q16};
use weir_handoff::{Budget, LaneSender};

/// All scheduled flows of a worker, what it knows of their peers, and the frames that wait for the link.
pub struct Schedule<F> {
    hasher: FlowHasher,
    config: ScheduleConfig,
    flows: Box<[Option<ScheduledFlow>]>,
    free: Vec<u32>,
    peers: Peers,
    shaper: Shaper<F>,
    /// Frames of the burst that is being handled.
    offered: ArrayVec<Option<Offered<F>>, BURST>,
    batch: Batch,
    /// For simulation: flows whose prediction is on its way, and when it counts.
    late: Option<(Ns, VecDeque<(Ns, ScheduledId)>)>,
    /// Where frames of connections without a scheduling state went last; of nobody, and urgent; of nobody else.
    unowned: Lane,
    control: Lane,
    other: Lane,
    samples: Option<LaneSender<FlowSample>>,
}

/// A frame that is to leave by the outside.
#[derive(Debug)]
struct Offered<F> {
    frame: F,
    verdict: Verdict,
    hop: Hop,
    whose: Whose,
    /// Where in its flow's data it begins.
    position: u64,
}

/// Who a frame belongs to, as far as its priority goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// A scheduled flow.
    Flow(ScheduledId),
    /// A connection without a scheduling state: its handshake is under way, it has sent no data, or found a table full.
    Unowned {
        /// Without it, it counts as urgent.
        full: bool,
    },
    /// Nobody: neighbour discovery and ICMP.
    Control,
    /// Nobody: anything else.
    Other,
}

/// A frame that may leave now.
pub(crate) struct Leaving<F> {
    pub(crate) frame: F,
    pub(crate) verdict: Verdict,
    pub(crate) hop: Hop,
}

impl<F: Frame> Schedule<F> {
    /// Scheduling for as many flows as the engine tracks. Everything is allocated here.
    pub fn new(engine: &EngineConfig, config: &ScheduleConfig) -> Schedule<F> {
        Schedule {
            hasher: FlowHasher::new(engine.seed),
            config: config.clone(),
            flows: large_slice(engine.flows_max as usize, |_| None),
            free: (0..engine.flows_max).rev().collect(),
            peers: Peers::new(config.peers_max),
            shaper: Shaper::new(config, Budget::new()),
            offered: ArrayVec::new(),
            batch: Batch::new(),
            late: None,
            unowned: Lane::default(),
            control: Lane::default(),
            other: Lane::default(),
            samples: None,
        }
    }

    /// The link is one that several workers share.
    pub(crate) fn share(&mut self, link: Budget) {
        self.shaper.share(link);
    }

    /// Ended flows are told of here.
    pub(crate) fn tell(&mut self, samples: LaneSender<FlowSample>) {
        self.samples = Some(samples);
    }

    /// Answers count `delay` after they were asked for; until then the rule governs.
    pub(crate) fn decide_late(&mut self, delay: Ns) {
        self.late = (delay > Ns::ZERO).then(|| (delay, VecDeque::with_capacity(BURST)));
    }

    /// Goes on with other settings. They hold for every frame from here on; who decides about a flow was decided at its first
    /// data segment. What `queue_frames_max` and `peers_max` say stays. Allocates nothing.
    pub(crate) fn adopt(&mut self, config: &ScheduleConfig) {
        if *config == self.config {
            return;
        }
        // Compared field by field above; nothing in it is on the heap.
        self.config.clone_from(config);
        self.shaper.adopt(config);
    }

    /// Brings the present state into the counters.
    pub(crate) fn show(&self, stats: &mut WorkerStats) {
        stats.scheduled_flows = (self.flows.len() - self.free.len()) as u64;
        stats.shaper_frames = self.shaper.len().into();
        stats.peers = self.peers.len().into();
    }

    /// Frames that wait for the link.
    pub(crate) fn held(&self) -> u32 {
        self.shaper.len()
    }

    /// When the next of them may leave.
    pub(crate) fn next_due(&self, now: Ns) -> Option<Ns> {
        self.shaper.next_due(now)
    }

    /// Whether frames of the flow may still wait.
    pub(crate) fn holds(&self, id: ScheduledId) -> bool {
        let lane = match self.flows.get(id.index()) {
            Some(Some(flow)) => flow.lane,
            _ => return false,
        };
        !self.shaper.has_left(lane.priority, lane.ticket)
    }

    /// Another connection begins on a scheduled flow's ports: what the last one was is over, and its first data segment will
    /// [`begin`](Schedule::begin) it anew.
    pub(crate) fn restart(&mut self, id: ScheduledId, now: Ns, stats: &mut WorkerStats) {
        self.end(id, FlowEnd::Reset, now, stats);
        if let Some(Some(flow)) = self.flows.get_mut(id.index()) {
            flow.restarted = true;
        }
    }

    /// Whether the flow's next data are the first of a connection.
    #[inline]
    pub(crate) fn is_restarted(&self, id: ScheduledId) -> bool {
        matches!(self.flows.get(id.index()), Some(Some(flow)) if flow.restarted)
    }

    /// A flow sends its first data: its row is read, and who will decide is drawn. `whole` says that all of it has been
    /// seen; `present` is the place that it has from an earlier connection. `None` when there is no room for another.
    pub(crate) fn begin(
        &mut self,
        present: Option<ScheduledId>,
        hash: u64,
        tcp: &TcpFrame,
        whole: bool,
        now: Ns,
        stats: &mut WorkerStats,
    ) -> Option<ScheduledId> {
        let id = match present {
            Some(id) => id,
            None => ScheduledId::new(self.free.pop()?)?,
        };
        let (from, to) = (tcp.tuple.source.port, tcp.tuple.destination.port);
        let service_port = from.min(to);
        let first =
            FirstData { payload_len: tcp.segment.payload_len, service_port, serving: from == service_port };
        let found = self.peers.find(self.hasher.hash_peer(&tcp.tuple, service_port), now);
        stats.peers_replaced += u64::from(matches!(found, Found::Replaced(_)));
        stats.peers_refused += u64::from(found == Found::Full);
        let peer = match found {
            Found::There(peer) | Found::Replaced(peer) => Some(peer),
            Found::Full => None,
        };
        let features = match peer.and_then(|peer| self.peers.history_mut(peer)) {
            Some(history) => {
                let row = self.config.spec.row(&first, history, now.0);
                history.on_begin(now.0);
                row
            }
            None => self.config.spec.row(&first, &PeerHistory::default(), now.0),
        };
        let control = self.config.model && Draw::ScheduleControl.hits(hash, self.config.control_share);
        let decider = match (self.config.model, control) {
            (false, _) => Decider::Rule,
            (true, true) => Decider::Control,
            (true, false) => Decider::Undecided,
        };
        match decider {
            Decider::Rule => stats.scheduled_rule += 1,
            Decider::Control => stats.scheduled_control += 1,
            // There is room: a burst has no more flows than frames.
            _ => self.batch.flows.push(id),
        }
        let lane = match present.and_then(|id| self.flows.get(id.index())) {
            Some(Some(flow)) => flow.lane,
            _ if self.shaper.has_left(self.unowned.priority, self.unowned.ticket) => Lane::default(),
            _ => self.unowned,
        };
        *self.flows.get_mut(id.index())? = Some(ScheduledFlow {
            hash,
            features,
            sent: 0,
            position: 0,
            estimate: u64::MAX,
            began: now,
            schema_hash: 0,
            lane,
            output_q16: 0,
            generation: 0,
            peer,
            decider,
            whole,
            ended: false,
            restarted: false,
            sampled: control || Draw::ScheduleSample.hits(hash, self.config.sample_share),
            first_priority: u8::MAX,
        });
        Some(id)
    }

    /// A segment of the flow has departed, `new_bytes` of its payload for the first time. A FIN ends the flow: whatever the
    /// sender had has departed before it.
    pub(crate) fn on_departed(
        &mut self,
        id: ScheduledId,
        new_bytes: u32,
        flags: Flags,
        now: Ns,
        stats: &mut WorkerStats,
    ) {
        let Some(Some(flow)) = self.flows.get_mut(id.index()) else { return };
        flow.position = flow.sent;
        flow.sent += u64::from(new_bytes);
        if flags.has(Flags::RST) {
            self.end(id, FlowEnd::Reset, now, stats);
        } else if flags.has(Flags::FIN) {
            self.end(id, FlowEnd::Fin, now, stats);
        }
    }

    /// The flow has come to its end: its size goes to the peer's history and, where it is sampled, to the trainer.
    pub(crate) fn end(&mut self, id: ScheduledId, end: FlowEnd, at: Ns, stats: &mut WorkerStats) {
        let Some(Some(flow)) = self.flows.get_mut(id.index()) else { return };
        if std::mem::replace(&mut flow.ended, true) {
            return;
        }
        let size = flow.whole.then_some(flow.sent);
        if let Some(history) = flow.peer.take().and_then(|peer| self.peers.history_mut(peer)) {
            history.on_end(size);
        }
        // Of a flow that fell silent nobody knows whether it is complete.
        let took = (end == FlowEnd::Fin && flow.whole).then(|| (at - flow.began).0);
        let (completed, completion_ns) = match flow.decider {
            Decider::Model => (&mut stats.completed_model, &mut stats.completion_ns_model),
            Decider::Control => (&mut stats.completed_control, &mut stats.completion_ns_control),
            Decider::Rule | Decider::Undecided => (&mut stats.completed_rule, &mut stats.completion_ns_rule),
        };
        *completed += u64::from(took.is_some());
        *completion_ns += took.unwrap_or(0);
        let (Some(bytes), decider) = (size, flow.decider) else { return };
        if decider == Decider::Model {
            stats.predictions_judged += 1;
            stats.prediction_error_q16 += u64::from(flow.output_q16.abs_diff(log2_1p_q16(bytes)));
        }
        if !flow.sampled || !matches!(decider, Decider::Model | Decider::Control) {
            return;
        }
        let sample = FlowSample {
            schema_hash: flow.schema_hash,
            generation: flow.generation,
            flow: flow.hash,
            features: flow.features,
            output_q16: flow.output_q16,
            priority: flow.first_priority,
            control: decider == Decider::Control,
            bytes,
            began_ns: flow.began.0,
            ended_ns: at.0,
            end,
        };
        if let Some(lane) = &mut self.samples {
            match lane.push(sample) {
                Ok(()) => stats.flow_samples += 1,
                Err(_) => stats.flow_samples_dropped += 1,
            }
        }
    }

    /// The flow, whose frames have all left, has left the flow table: it fell silent at `seen`, unless it ended before.
    pub(crate) fn close(&mut self, id: ScheduledId, seen: Ns, stats: &mut WorkerStats) {
        self.end(id, FlowEnd::Idle, seen, stats);
        if let Some(place) = self.flows.get_mut(id.index())
            && place.take().is_some()
        {
            self.free.push(id.index() as u32);
        }
    }

    /// Passes a batch of samples on although it is not full.
    pub(crate) fn flush_samples(&mut self) {
        if let Some(samples) = &mut self.samples {
            samples.flush();
        }
    }

    /// A frame of the burst is to leave by the outside for `hop`, and to end in `verdict`; [`settle`](Schedule::settle) is to
    /// follow before the next burst. `flow` is whose it is, if it is scheduled.
    #[inline]
    pub(crate) fn offer(
        &mut self,
        mut frame: F,
        verdict: Verdict,
        hop: Hop,
        parsed: &Parsed,
        flow: Option<ScheduledId>,
        stats: &mut WorkerStats,
    ) {
        if let Parsed::Tcp(tcp) = parsed
            && self.config.mark_frames > 0
            && self.shaper.len() >= self.config.mark_frames
            && wire::set_ce(frame.bytes_mut(), tcp)
        {
            stats.ecn_marks += 1;
        }
        let whose = match (flow, parsed) {
            (Some(id), _) => Whose::Flow(id),
            (None, Parsed::Tcp(_)) => Whose::Unowned { full: verdict == Verdict::TableFull },
            (None, Parsed::Quote(_)) => Whose::Control,
            (None, Parsed::Untracked { kind, .. }) => match kind {
                Untracked::Arp | Untracked::Icmp | Untracked::Icmp6 | Untracked::Ndp => Whose::Control,
                _ => Whose::Other,
            },
            (None, Parsed::Malformed(_)) => Whose::Other,
        };
        let position = self.position(flow);
        // There is room: a burst's frames at most.
        self.offered.push(Some(Offered { frame, verdict, hop, whose, position }));
    }

    /// What was offered takes its places in the queues, after the flows among it that are new have got their prediction.
    pub(crate) fn settle(&mut self, models: &ModelSet, now: Ns, tally: &mut Tally, stats: &mut WorkerStats) {
        if self.late.is_some() {
            self.predict_late(models, now, stats);
        } else if !self.batch.flows.is_empty() {
            self.predict(models, stats);
        }
        self.take_places(now, tally, stats);
    }

    fn take_places(&mut self, now: Ns, tally: &mut Tally, stats: &mut WorkerStats) {
        for at in 0..self.offered.len() {
            if let Some(offered) = self.offered.get_mut(at).and_then(Option::take) {
                self.enqueue(offered, now, tally, stats);
            }
        }
        self.offered.clear();
    }

    /// A frame that pacing has held leaves it, and joins the queues.
    pub(crate) fn rejoin(
        &mut self,
        (frame, hop): (F, Hop),
        flow: Option<ScheduledId>,
        now: Ns,
        tally: &mut Tally,
        stats: &mut WorkerStats,
    ) {
        let whose = flow.map_or(Whose::Unowned { full: false }, Whose::Flow);
        let position = self.position(flow);
        self.enqueue(Offered { frame, verdict: Verdict::Paced, hop, whose, position }, now, tally, stats);
    }

    /// A frame of no paced flow that has waited for a limit joins the queues. No burst is being handled.
    pub(crate) fn join_late(
        &mut self,
        (frame, hop): (F, Hop),
        verdict: Verdict,
        now: Ns,
        tally: &mut Tally,
        stats: &mut WorkerStats,
    ) {
        let parsed = wire::parse(frame.bytes(), frame.wire_len());
        self.offer(frame, verdict, hop, &parsed, None, stats);
        self.take_places(now, tally, stats);
    }

    /// The next frame that the link has room for.
    pub(crate) fn next(&mut self, now: Ns, stats: &mut WorkerStats) -> Option<Leaving<F>> {
        let Waiting { frame, verdict, hop, .. } = self.shaper.pop(now, stats)?;
        Some(Leaving { frame, verdict, hop })
    }

    fn position(&self, flow: Option<ScheduledId>) -> u64 {
        match flow.and_then(|id| self.flows.get(id.index())) {
            Some(Some(flow)) => flow.position,
            _ => 0,
        }
    }

    fn enqueue(&mut self, offered: Offered<F>, now: Ns, tally: &mut Tally, stats: &mut WorkerStats) {
        let Offered { mut frame, verdict, hop, whose, position } = offered;
        let said = self.said(&frame, whose);
        let urgent = match self.config.rule {
            ScheduleRule::Fifo => self.config.other_priority,
            ScheduleRule::Ageing => 0,
        };
        let flow = match whose {
            Whose::Flow(id) => self.flows.get_mut(id.index()).and_then(Option::as_mut),
            _ => None,
        };
        let wanted = match (flow, whose) {
            (Some(flow), _) => {
                let (decided, outlived) = flow.priority(position, &self.config);
                stats.schedule_outlived += u64::from(outlived);
                if flow.first_priority == u8::MAX {
                    flow.first_priority = decided;
                }
                said.unwrap_or(decided)
            }
            (None, Whose::Flow(_) | Whose::Unowned { full: true } | Whose::Other) => {
                said.unwrap_or(self.config.other_priority)
            }
            (None, Whose::Unowned { full: false } | Whose::Control) => said.unwrap_or(urgent),
        };
        let lane = self.lane_mut(whose).map_or_else(Lane::default, |lane| *lane);
        let has_left = |priority, ticket| self.shaper.has_left(priority, ticket);
        // What nobody owns and is marked goes where its sender says, frame by frame.
        let free = said.is_some() && matches!(whose, Whose::Control | Whose::Other);
        let priority = if free { wanted } else { lane.bound(wanted, has_left) };
        if verdict != Verdict::Malformed {
            self.mark(&mut frame, priority, said.is_some());
        }
        let cost_bytes = frame.wire_len().saturating_add(self.config.overhead_bytes);
        match self.shaper.push(priority, Waiting { frame, verdict, hop, cost_bytes }, now) {
            Ok(ticket) => {
                if let Some(lane) = self.lane_mut(whose).filter(|_| !free) {
                    *lane = Lane { priority, ticket };
                }
            }
            Err(frame) => {
                drop(frame);
                tally.end(Verdict::ScheduleFull);
            }
        }
    }

    /// Where frames of the same owner went to last; `None` for a flow that is gone.
    fn lane_mut(&mut self, whose: Whose) -> Option<&mut Lane> {
        match whose {
            Whose::Flow(id) => Some(&mut self.flows.get_mut(id.index())?.as_mut()?.lane),
            Whose::Unowned { .. } => Some(&mut self.unowned),
            Whose::Control => Some(&mut self.control),
            Whose::Other => Some(&mut self.other),
        }
    }

    /// The priority that the frame's own mark asks for, where marks are trusted. Those of connections that are not known yet
    /// are not: what one says later might send its data ahead of its handshake.
    fn said(&self, frame: &F, whose: Whose) -> Option<u8> {
        let (Trust::Trust, Some(table)) = (self.config.trust, &self.config.dscp) else { return None };
        if matches!(whose, Whose::Unowned { .. }) {
            return None;
        }
        let dscp = wire::dscp(frame.bytes()).filter(|dscp| *dscp != 0)?;
        table.iter().position(|known| *known == dscp).map(|priority| priority as u8)
    }

    /// Writes the marks of a priority. One that is trusted stays, and so does one that is in no table.
    fn mark(&self, frame: &mut F, priority: u8, trusted: bool) {
        let marks = |table: &Option<[u8; PRIORITIES]>| table.as_ref()?.get(usize::from(priority)).copied();
        match self.config.trust {
            Trust::Ignore => return,
            Trust::Trust if trusted || wire::dscp(frame.bytes()).is_some_and(|dscp| dscp != 0) => return,
            Trust::Trust | Trust::Remark => {}
        }
        if let Some(dscp) = marks(&self.config.dscp) {
            wire::set_dscp(frame.bytes_mut(), dscp);
        }
        if let Some(pcp) = marks(&self.config.pcp) {
            wire::set_pcp(frame.bytes_mut(), pcp);
        }
    }
}
