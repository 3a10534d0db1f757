//! One core's loop body.
//!
//! ```text
//! turn:  release due frames -> from other workers, then from each side: receive, parse, pass on what is another
//!        worker's, look up, track, pace, queue -> end intervals, decide -> what the link has room for -> send -> forget a few silent flows
//!        -> report the quiescent state
//! ```
//!
//! Each step of a burst runs over all its frames before the next begins, so that the cache misses of one frame's
//! look-up overlap with another's. Nothing here allocates, locks, logs or reads a clock.

mod backlog;
mod burst;
mod outlet;

pub use crate::probe::{Probe, Stage};

use crate::balance::{Parcel, PathStats};
use crate::config::EngineConfig;
use crate::counters::WorkerStats;
use crate::flow::{FlowEntry, HalfOpen, PacedId, Table};
use crate::hash::FlowHasher;
use crate::io::{BURST, Frame, PacketIo, Side};
use crate::limit::LimitStats;
use crate::models::ModelSet;
use crate::pace::{Departure, Pacing, Whose};
use crate::policy::Policy;
use crate::route::{Hop, Router, Way};
use crate::schedule::{Leaving, Schedule};
use crate::steer::Steering;
use crate::time::Ns;
use crate::track::Departed;
use crate::verdict::{Tally, Verdict};
use arrayvec::ArrayVec;
use backlog::Backlog;
use burst::Arrivals;
use outlet::Outlet;
use weir_features::{FlowSample, PathSample, Sample};
use weir_handoff::{LaneSender, Reader};

/// Held frames released per turn at most: two bursts, so that arrivals wait no longer than they take.
const DEPARTURES_PER_TURN: usize = 64;
/// Slots of the flow table looked at per turn for flows that are over. At a million turns a second a table of a
/// million flows is seen every half second.
const FLOWS_SWEPT_PER_TURN: usize = 2;
/// Buckets of half-open connections likewise.
const HALF_OPEN_SWEPT_PER_TURN: usize = 1;
/// Bursts taken per turn from other workers, at most. Two would do when all pass on half of what they receive; more let a
/// worker catch up. With two from the ports and what is released, all of a turn fits into a side's backlog.
const STEERED_BURSTS_PER_TURN: usize = 4;
/// How long a sample may wait for its batch to fill.
const SAMPLE_WAIT_MAX: Ns = Ns::from_millis(50);

/// What one turn did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TurnReport {
    /// Frames received, from the ports and from other workers.
    pub received: usize,
    /// Frames sent.
    pub sent: usize,
    /// Frames still inside: held, or waiting for a port.
    pub inside: usize,
    /// Whether anything was received, heard of another worker, sent or decided: what an idle turn is not.
    pub busy: bool,
    /// When something may leave or be decided next without a new frame; a turn before that has nothing to do but
    /// receive. `None` when there is nothing to wait for.
    pub next_due: Option<Ns>,
    /// During a stop: another worker may still pass frames on to this one, or has.
    pub awaits_others: bool,
}

/// The engine of one core: its flows, its held frames, its counters.
pub struct Worker<F> {
    arrivals: Arrivals<F>,
    core: Core<F>,
    /// Whether the ports are polled.
    receives: bool,
    /// Version of the policy borrowed last.
    policy_seen: Option<u64>,
    samples_flushed: Ns,
}

/// Everything that a frame may change.
struct Core<F> {
    now: Ns,
    hasher: FlowHasher,
    steering: Steering<F>,
    flow_idle_max: Ns,
    flows: Table<FlowEntry>,
    half_open: HalfOpen,
    pacing: Option<Pacing<F>>,
    /// In mode `route`.
    router: Option<Router<F>>,
    schedule: Option<Schedule<F>>,
    backlogs: [Backlog<F>; 2],
    tally: Tally,
    stats: WorkerStats,
}

impl<F: Frame> Worker<F> {
    /// An engine at time `now` with all the memory that it will ever use, and the only one. Samples go into `samples`.
    pub fn new(config: &EngineConfig, now: Ns, samples: LaneSender<Sample>) -> Worker<F> {
        Worker {
            arrivals: Arrivals::new(),
            core: Core {
                now,
                hasher: FlowHasher::new(config.seed),
                steering: Steering::alone(),
                flow_idle_max: config.flow_idle_max,
                flows: Table::new(config.flows_max),
                half_open: HalfOpen::new(config.half_open_max),
                pacing: config.pacing.as_ref().map(|pacing| Pacing::new(config, pacing, now, samples)),
                router: config.route.as_ref().map(|route| {
                    Router::new(route, config.seed, (config.flows_max, config.flow_idle_max), now)
                }),
                schedule: config.schedule.as_ref().map(|schedule| Schedule::new(config, schedule)),
                backlogs: Side::ALL.map(Backlog::new),
                tally: Tally::default(),
                stats: WorkerStats::default(),
            },
            receives: true,
            policy_seen: None,
            samples_flushed: now,
        }
    }

    /// The same engine in its place among others, all of one configuration: it keeps the frames of the flows that are
    /// its own and passes the rest on.
    #[must_use]
    pub fn among(mut self, mut place: Steering<F>) -> Worker<F> {
        let fellows = place.take_fellows();
        if let (Some(router), Some(fellows)) = (&mut self.core.router, fellows) {
            router.join(fellows);
        }
        if let Some(balance) = self.core.router.as_mut().and_then(Router::balance_mut) {
            balance.choose_ports(|hash| place.elsewhere(hash).is_none());
        }
        if let Some(schedule) = &mut self.core.schedule {
            schedule.share(place.link());
        }
        self.core.steering = place;
        self
    }

    /// The same engine, which tells of scheduled flows that have ended in `samples`.
    #[must_use]
    pub fn telling(mut self, samples: LaneSender<FlowSample>) -> Worker<F> {
        if let Some(schedule) = &mut self.core.schedule {
            schedule.tell(samples);
        }
        self
    }

    /// The same engine with the networks that pace and predict sizes elsewhere: what one answers counts `delay` after it was
    /// asked. For simulation; it may allocate in a turn.
    #[must_use]
    pub fn deciding_late(mut self, delay: Ns) -> Worker<F> {
        if let Some(pacing) = &mut self.core.pacing {
            pacing.decide_late(delay);
        }
        if let Some(schedule) = &mut self.core.schedule {
            schedule.decide_late(delay);
        }
        self
    }

    /// The same engine, which tells `lane` of its choices of paths.
    #[must_use]
    pub fn recording(mut self, lane: LaneSender<PathSample>) -> Worker<F> {
        if let Some(balance) = self.core.router.as_mut().and_then(Router::balance_mut) {
            balance.record_into(lane);
        }
        self
    }

    /// One iteration: at most a burst from each side, and whatever is due at `now`. A `now` before the last one counts
    /// as the last one.
    pub fn turn<Io: PacketIo<Frame = F>>(
        &mut self,
        now: Ns,
        io: &mut Io,
        policy: &mut Reader<Policy>,
    ) -> TurnReport {
        self.turn_probed(now, io, policy, &mut ())
    }

    /// As [`turn`](Worker::turn), and tells `probe` how it goes on.
    pub fn turn_probed<Io: PacketIo<Frame = F>>(
        &mut self,
        now: Ns,
        io: &mut Io,
        policy: &mut Reader<Policy>,
        probe: &mut impl Probe,
    ) -> TurnReport {
        let core = &mut self.core;
        core.now = core.now.max(now);
        let (intervals_before, news_before) = (core.stats.intervals, core.stats.news_taken);
        let (version, live) = policy.borrow_versioned();
        if self.policy_seen != Some(version) {
            // The policy that the worker starts with is no swap.
            core.stats.swaps_seen += u64::from(self.policy_seen.is_some());
            self.policy_seen = Some(version);
            core.adopt(live);
        }
        let models = &live.models;
        core.release(io);
        core.tick(io);
        core.leave_by_paths(io, &live.path_models);
        probe.stage(Stage::Release);
        let mut received = 0;
        // First what arrived first: in an earlier turn of another worker.
        for _ in 0..STEERED_BURSTS_PER_TURN {
            let taken = self.arrivals.take_steered(io, core, models, probe);
            core.leave_by_paths(io, &live.path_models);
            received += taken;
            core.settle(&live.size_models);
            if taken < BURST {
                break;
            }
        }
        if self.receives {
            // Acknowledgements first: what they say is known when the data behind them is paced.
            for side in [Side::Outside, Side::Inside] {
                received += self.arrivals.receive(side, io, core, models, probe);
                core.settle(&live.size_models);
                core.leave_by_paths(io, &live.path_models);
            }
            core.flush();
        }
        core.feed();
        if let Some(pacing) = &mut core.pacing {
            pacing.end_intervals(core.now, models, &mut core.stats, probe);
        }
        probe.stage(Stage::Decide);
        core.let_go(io);
        core.leave_by_paths(io, &live.path_models);
        let sent = core.send(io);
        probe.stage(Stage::Send);
        core.sweep();
        self.flush_samples();
        policy.quiesce();
        let stats = &self.core.stats;
        let decided = stats.intervals != intervals_before || stats.news_taken != news_before;
        let mut report = self.core.report(received, sent, received > 0 || sent > 0 || decided);
        report.awaits_others = !self.receives && self.core.steering.may_receive();
        probe.stage(Stage::Keep);
        report
    }

    /// Begins a stop: from now on a turn takes frames from other workers only, and passes none on. Once reports no longer
    /// say that it [awaits others](TurnReport::awaits_others), [`drain`](Worker::drain) does the rest.
    pub fn stop_receiving(&mut self) {
        self.receives = false;
        self.core.steering.close();
    }

    /// One iteration of a stop: receives nothing, lets what is held leave in its time. Over when the report says that
    /// nothing is inside.
    pub fn drain<Io: PacketIo<Frame = F>>(&mut self, now: Ns, io: &mut Io) -> TurnReport {
        self.core.now = self.core.now.max(now);
        self.core.release(io);
        self.core.let_go(io);
        self.core.leave_by_paths(io, &ModelSet::empty());
        self.core.abandon(io);
        let sent = self.core.send(io);
        self.core.report(0, sent, sent > 0)
    }

    /// Ends the worker. What is still inside, or in a lane to it, is dropped and counted as [`Verdict::Undrained`].
    pub fn finish(self) -> (Tally, WorkerStats) {
        let Core { mut tally, mut stats, mut steering, .. } = self.core;
        let mut late = 0;
        while steering.waiting() > 0 {
            late += steering.take(usize::MAX, drop) as u64;
        }
        tally.steered_in += late;
        tally.ended[Verdict::Undrained as usize] += tally.held + late;
        tally.held = 0;
        (stats.held_frames, stats.backlog_frames) = (0, 0);
        (stats.steer_lane_frames, stats.neighbour_frames, stats.shaper_frames) = (0, 0, 0);
        debug_assert!(tally.balanced());
        (tally, stats)
    }

    /// Where every frame went. Balanced after every turn.
    pub fn tally(&self) -> &Tally {
        &self.core.tally
    }

    /// What each named path has done and is, in the configuration's order; empty without any.
    pub fn paths(&self) -> &[PathStats] {
        self.core.router.as_ref().map_or(&[], Router::path_stats)
    }

    /// What was counted of each limit, in the configuration's order, and the number of those limits; none for a worker that
    /// paces nothing.
    pub fn limits(&self) -> (&[LimitStats], u64) {
        self.core.pacing.as_ref().map_or((&[], 0), Pacing::limit_stats)
    }

    /// What else was counted.
    pub fn stats(&self) -> &WorkerStats {
        &self.core.stats
    }

    fn flush_samples(&mut self) {
        if self.core.now - self.samples_flushed >= SAMPLE_WAIT_MAX {
            self.samples_flushed = self.core.now;
            if let Some(pacing) = &mut self.core.pacing {
                pacing.flush_samples();
            }
            if let Some(schedule) = &mut self.core.schedule {
                schedule.flush_samples();
            }
        }
    }
}

impl<F: Frame> Core<F> {
    fn adopt(&mut self, policy: &Policy) {
        if let Some(pacing) = &mut self.pacing {
            pacing.take_up(&policy.models);
            if let Some(settings) = &policy.pacing {
                pacing.adopt(settings);
            }
        }
        if let (Some(schedule), Some(settings)) = (&mut self.schedule, &policy.schedule) {
            schedule.adopt(settings);
        }
        if let (Some(router), Some(settings)) = (&mut self.router, &policy.balance) {
            router.adopt(settings);
        }
    }

    /// Whether frames of no paced flow may be under a limit.
    #[inline]
    fn is_limited(&self) -> bool {
        self.pacing.as_ref().is_some_and(Pacing::is_limited)
    }

    fn held(&self) -> usize {
        self.pacing.as_ref().map_or(0, |pacing| pacing.held() as usize)
    }

    /// Moves held frames whose time has come to the outside's backlog, as far as that has room: a frame that has
    /// waited for its time is not dropped for want of a place.
    fn release<Io: PacketIo<Frame = F>>(&mut self, io: &mut Io) {
        let Core { now, flows, pacing, router, schedule, backlogs, tally, stats, .. } = self;
        let Some(pacing) = pacing else { return };
        for _ in 0..backlogs[Side::Outside as usize].room().min(DEPARTURES_PER_TURN) {
            let Some(departure) = pacing.next_departure(*now, stats) else { break };
            let Departure { frame, whose, hop } = departure;
            let (mut scheduled, mut departed) = (None, Departed::default());
            let verdict = match whose {
                Whose::Nobody { verdict, .. } => verdict,
                Whose::Datagrams { id, bytes, .. } => {
                    pacing.on_datagram_departed(id, bytes, *now);
                    Verdict::Paced
                }
                Whose::Flow { id, segment } => {
                    if let Some(entry) = flows.get_mut(id) {
                        departed = burst::depart(entry, Some(pacing), &segment, *now, stats);
                        scheduled = entry.scheduled;
                        if let (Some(schedule), Some(id)) = (&mut *schedule, scheduled) {
                            schedule.on_departed(id, departed.new_bytes, segment.flags, *now, stats);
                        }
                    }
                    Verdict::Paced
                }
            };
            if let Some(schedule) = schedule {
                match whose {
                    Whose::Flow { .. } => schedule.rejoin((frame, hop), scheduled, *now, tally, stats),
                    Whose::Datagrams { .. } | Whose::Nobody { .. } => {
                        schedule.join_late((frame, hop), verdict, *now, tally, stats);
                    }
                }
                continue;
            }
            match router {
                None => burst::queue(&mut backlogs[Side::Outside as usize], frame, verdict, tally),
                Some(router) => {
                    let way = Way { out: Side::Outside, hop };
                    let mut outlet = Outlet { io, backlogs, tally, stats };
                    if way.hop == Hop::PATHS {
                        let parcel = match whose {
                            Whose::Nobody { hash, begins, .. } => {
                                Parcel { hash, begins, ..Parcel::default() }
                            }
                            Whose::Datagrams { id, hash, bytes } => {
                                Parcel { hash, datagram: pacing.datagram(id, bytes), ..Parcel::default() }
                            }
                            Whose::Flow { id, .. } => {
                                let hash = flows.hash(id).unwrap_or_default();
                                Parcel { hash, departed, ..Parcel::default() }
                            }
                        };
                        router.queue(frame, verdict, parcel, &mut outlet);
                        continue;
                    }
                    router.depart(way, frame, verdict, *now, &mut outlet);
                }
            }
        }
    }

    /// Tells flows of datagrams what the answers to their paths' probes say.
    #[inline]
    fn feed(&mut self) {
        let Core { now, pacing: Some(pacing), router: Some(router), stats, .. } = self else { return };
        if pacing.paces_datagrams()
            && let Some(ledger) = router.ledger_mut()
        {
            let has_news = ledger.take_news();
            pacing.feed(*now, has_news, |slot| ledger.settle(slot), stats);
        }
    }

    /// What this burst has offered to the scheduler joins its queues.
    #[inline]
    fn settle(&mut self, models: &ModelSet) {
        if let Some(schedule) = &mut self.schedule {
            schedule.settle(models, self.now, &mut self.tally, &mut self.stats);
        }
    }

    /// Moves what the link has room for from the shaper to the outside's backlog, as far as that has room.
    fn let_go<Io: PacketIo<Frame = F>>(&mut self, io: &mut Io) {
        let Core { now, router, schedule: Some(schedule), backlogs, tally, stats, .. } = self else { return };
        for _ in 0..backlogs[Side::Outside as usize].room().min(DEPARTURES_PER_TURN) {
            let Some(Leaving { frame, verdict, hop }) = schedule.next(*now, stats) else { break };
            match router {
                None => burst::queue(&mut backlogs[Side::Outside as usize], frame, verdict, tally),
                Some(router) => {
                    let way = Way { out: Side::Outside, hop };
                    let mut outlet = Outlet { io, backlogs, tally, stats };
                    router.depart(way, frame, verdict, *now, &mut outlet);
                }
            }
        }
    }

    /// The router, and what it may use meanwhile; nothing in mode `wire`.
    fn router<'a, Io: PacketIo<Frame = F>>(
        &'a mut self,
        io: &'a mut Io,
    ) -> Option<(&'a mut Router<F>, Outlet<'a, Io>)> {
        let Core { router, backlogs, tally, stats, .. } = self;
        Some((router.as_mut()?, Outlet { io, backlogs, tally, stats }))
    }

    /// Shows the other workers what this one has for them.
    #[inline]
    fn flush(&mut self) {
        self.steering.flush();
        if let Some(router) = &mut self.router {
            router.flush();
        }
    }

    /// Hears of neighbours from the other workers, asks for them again, or gives them up.
    fn tick<Io: PacketIo<Frame = F>>(&mut self, io: &mut Io) {
        let now = self.now;
        if let Some((router, mut outlet)) = self.router(io) {
            router.tick(now, &mut outlet);
        }
    }

    /// What this burst has queued leaves by paths.
    #[inline]
    fn leave_by_paths<Io: PacketIo<Frame = F>>(&mut self, io: &mut Io, models: &ModelSet) {
        let now = self.now;
        if let Some((router, mut outlet)) = self.router(io).filter(|(router, _)| router.balances()) {
            router.leave_by_paths(models, now, &mut outlet);
        }
    }

    /// A stop: no neighbour will be heard any more.
    fn abandon<Io: PacketIo<Frame = F>>(&mut self, io: &mut Io) {
        if let Some((router, mut outlet)) = self.router(io) {
            router.abandon(&mut outlet);
        }
    }

    fn send<Io: PacketIo<Frame = F>>(&mut self, io: &mut Io) -> usize {
        self.backlogs.iter_mut().map(|backlog| backlog.flush(io, &mut self.tally)).sum()
    }

    /// Forgets flows that are over, a few places at a time. One that still holds frames is not: were it to come
    /// back, its new frames would overtake them.
    fn sweep(&mut self) {
        let (now, idle_max) = (self.now, self.flow_idle_max);
        self.half_open.sweep(now, idle_max, HALF_OPEN_SWEPT_PER_TURN);
        let pacing = self.pacing.as_ref();
        let holds = |id: PacedId| pacing.is_some_and(|pacing| pacing.holds(id));
        let schedule = self.schedule.as_ref();
        let waits = |id| schedule.is_some_and(|schedule| schedule.holds(id));
        let mut over = ArrayVec::<_, FLOWS_SWEPT_PER_TURN>::new();
        self.flows.sweep(
            FLOWS_SWEPT_PER_TURN,
            |entry| {
                entry.is_over(now, idle_max)
                    && !entry.paced.is_some_and(holds)
                    && !entry.scheduled.is_some_and(waits)
            },
            |_, entry| over.push(entry),
        );
        self.stats.flows_closed += over.len() as u64;
        for entry in over {
            if let (Some(pacing), Some(id)) = (&mut self.pacing, entry.paced) {
                pacing.close(id);
            }
            if let (Some(schedule), Some(id)) = (&mut self.schedule, entry.scheduled) {
                schedule.close(id, entry.seen, &mut self.stats);
            }
        }
        if let Some(router) = &mut self.router {
            router.keep_paths(now);
        }
        if let Some(pacing) = &mut self.pacing {
            pacing.sweep_datagrams(now, idle_max);
        }
    }

    /// Brings the present state into the counters and checks the books.
    fn report(&mut self, received: usize, sent: usize, busy: bool) -> TurnReport {
        let held = self.held();
        let backlog: usize = self.backlogs.iter().map(Backlog::len).sum();
        let waiting = self.router.as_ref().map_or(0, Router::waiting);
        let shaped = self.schedule.as_ref().map_or(0, |schedule| schedule.held() as usize);
        let inside = held + backlog + waiting + shaped;
        self.tally.held = inside as u64;
        debug_assert!(self.tally.balanced(), "{:?}", self.tally);
        self.stats.turns += 1;
        self.stats.flows = self.flows.len() as u64;
        self.stats.half_open = self.half_open.len() as u64;
        self.stats.half_open_replaced = self.half_open.replaced();
        self.stats.held_frames = held as u64;
        self.stats.backlog_frames = backlog as u64;
        self.stats.steer_lane_frames = self.steering.waiting() as u64;
        if let Some(pacing) = &self.pacing {
            pacing.show(&mut self.stats);
        }
        if let Some(router) = &self.router {
            router.show(&mut self.stats);
        }
        if let Some(schedule) = &self.schedule {
            schedule.show(&mut self.stats);
        }
        let next_due = match backlog {
            0 => {
                let pacing = self.pacing.as_ref().and_then(Pacing::next_due);
                let link = self.schedule.as_ref().and_then(|schedule| schedule.next_due(self.now));
                pacing.into_iter().chain(self.router.as_ref().and_then(Router::next_due)).chain(link).min()
            }
            _ => Some(self.now),
        };
        TurnReport { received, sent, inside, busy, next_due, awaits_others: false }
    }
}
