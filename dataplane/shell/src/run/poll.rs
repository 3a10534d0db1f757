//! A worker core's thread: turn after turn, until told to stop, then the drain.

use super::stages::StageClock;
use crate::board::BoardWriter;
use crate::report::{LoopCycles, WORDS, pack};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use weir_cpu::{TscClock, tsc};
use weir_engine::counters::WorkerStats;
use weir_engine::io::PacketIo;
use weir_engine::policy::Policy;
use weir_engine::time::Ns;
use weir_engine::verdict::Tally;
use weir_engine::worker::{TurnReport, Worker};
use weir_handoff::Reader;

/// How often the counters are published: often enough that a scrape is never stale, seldom enough that the hundred
/// stores are nothing (some 100 ns a millisecond).
const PUBLISH_EVERY: Ns = Ns::from_millis(1);
/// How long a worker that stops waits for the others to receive no more either. They see the same flag within a turn, unless
/// their thread is away from its core.
const OTHERS_MAX: Ns = Ns::from_secs(1);
/// The window of the worst-case gauges.
const WINDOW: Ns = Ns::from_secs(1);

/// How a worker ended.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Where every frame went; balanced, with nothing held.
    pub(super) tally: Tally,
    /// What else was counted.
    pub(super) stats: WorkerStats,
    /// Where the cycles went.
    pub(super) cycles: LoopCycles,
}

/// The loop's own books.
struct Pace {
    clock: TscClock,
    board: BoardWriter<WORDS>,
    cycles: LoopCycles,
    /// Worst cases of the window that is under way.
    window: (u64, u64),
    window_ends: Ns,
    publish_at: Ns,
    /// Ticks at which the present turn began.
    turn_began: u64,
    next_due: Option<Ns>,
}

impl Pace {
    fn new(clock: TscClock, board: BoardWriter<WORDS>) -> Pace {
        let began = tsc();
        let now = Ns(clock.ns_at(began));
        Pace {
            clock,
            board,
            cycles: LoopCycles::default(),
            window: (0, 0),
            window_ends: now + WINDOW,
            publish_at: now,
            turn_began: began,
            next_due: None,
        }
    }

    /// The time for the turn that begins.
    fn now(&self) -> Ns {
        Ns(self.clock.ns_at(self.turn_began))
    }

    /// Books the turn that ends here. The next one begins at the same tick, so no cycle is lost between two.
    fn end_turn(&mut self, report: &TurnReport) -> Ns {
        let (began, ended) = (self.turn_began, tsc());
        let spent = ended.saturating_sub(began);
        if report.busy {
            self.cycles.busy += spent;
        } else {
            self.cycles.idle += spent;
            weir_cpu::spin_hint();
        }
        let (turn_max, lag_max) = &mut self.window;
        *turn_max = spent.max(*turn_max);
        let now = Ns(self.clock.ns_at(ended));
        if let Some(due) = self.next_due
            && due < now
        {
            // Kept in nanoseconds here; turned into ticks when published.
            *lag_max = (now - due).0.max(*lag_max);
        }
        self.next_due = report.next_due;
        self.turn_began = ended;
        now
    }

    /// Books the time for which another thread had the core, which is no part of the turn that begins.
    fn come_back(&mut self) {
        let now = tsc();
        self.cycles.idle += now.saturating_sub(self.turn_began);
        self.turn_began = now;
    }

    fn take(&mut self, stages: &StageClock) {
        self.cycles.inference = stages.inference;
        self.cycles.stages = stages.stages;
        self.cycles.stage_frames = stages.frames;
    }

    fn publish<F: weir_engine::io::Frame>(&mut self, now: Ns, worker: &Worker<F>, stages: &StageClock) {
        self.publish_at = now + PUBLISH_EVERY;
        self.take(stages);
        if now >= self.window_ends {
            self.window_ends = now + WINDOW;
            let (turn_max, lag_max_ns) = std::mem::take(&mut self.window);
            let hz = u128::from(self.clock.calibration().hz);
            self.cycles.turn_max = turn_max;
            self.cycles.lag_max = (u128::from(lag_max_ns) * hz / 1_000_000_000) as u64;
        }
        self.board.publish(&pack(
            worker.tally(),
            worker.stats(),
            worker.paths(),
            worker.limits(),
            &self.cycles,
        ));
    }
}

/// How a worker's thread runs.
pub(super) struct Terms {
    /// Set when the appliance stops.
    pub(super) stop: Arc<AtomicBool>,
    /// How long a stop may wait for held frames to leave at their own time.
    pub(super) drain_max: Ns,
    /// Another thread needs this core: an idle turn offers it. That costs a system call per idle turn (some 300 ns on an
    /// otherwise idle core) and gaps as long as the other thread runs; it takes nothing from a busy worker.
    pub(super) shares_core: bool,
}

/// Polls until a stop, then receives no more and lets what is held leave in its time.
pub(super) fn poll<Io: PacketIo>(
    mut worker: Worker<Io::Frame>,
    io: &mut Io,
    policy: &mut Reader<Policy>,
    clock: TscClock,
    board: BoardWriter<WORDS>,
    terms: &Terms,
) -> Outcome {
    let mut stages = StageClock::new();
    let mut pace = Pace::new(clock, board);
    while !terms.stop.load(Ordering::Relaxed) {
        stages.begin_turn();
        let report = worker.turn_probed(pace.now(), io, policy, &mut stages);
        stages.end_turn(report.received);
        let now = pace.end_turn(&report);
        if now >= pace.publish_at {
            pace.publish(now, &worker, &stages);
        }
        if terms.shares_core && !report.busy {
            // Whoever is away from its core must not hold a snapshot back.
            policy.offline();
            std::thread::yield_now();
            pace.come_back();
        }
    }
    worker.stop_receiving();
    let drained_by = pace.now() + terms.drain_max;
    let others_by = pace.now() + OTHERS_MAX;
    loop {
        let report = worker.turn_probed(pace.now(), io, policy, &mut stages);
        if !report.awaits_others || pace.end_turn(&report) >= others_by {
            break;
        }
    }
    policy.offline();
    loop {
        let report = worker.drain(pace.now(), io);
        let now = pace.end_turn(&report);
        if report.inside == 0 || now >= drained_by {
            break;
        }
        if now >= pace.publish_at {
            pace.publish(now, &worker, &stages);
        }
    }
    pace.take(&stages);
    let Pace { mut board, cycles, .. } = pace;
    let paths = worker.paths().to_vec();
    let (limits, number) = worker.limits();
    let limits = limits.to_vec();
    let (tally, stats) = worker.finish();
    board.publish(&pack(&tally, &stats, &paths, (&limits, number), &cycles));
    Outcome { tally, stats, cycles }
}
