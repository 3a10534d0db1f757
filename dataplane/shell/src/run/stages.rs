//! Where a turn's cycles go, by the time-stamp counter.

use weir_cpu::tsc;
use weir_engine::worker::{Probe, Stage};

/// One turn in so many is timed stage by stage: thirteen readings of the counter are 2 ns a frame of a full turn, and
/// one turn in 64 tells as much as all.
const SAMPLED_EVERY: u32 = 64;
/// A step of this many ticks, some 100 us, is an interruption: that turn tells nothing about stages.
const INTERRUPTED: u64 = 1 << 18;
/// Readings for the cost of one: the least of so many is without interruption.
const CALIBRATION: usize = 1_000;

/// Times inference in every turn, and stages in some.
pub(super) struct StageClock {
    /// Ticks by stage, in the turns that were timed.
    pub(super) stages: [u64; Stage::COUNT],
    /// Frames received in those turns.
    pub(super) frames: u64,
    /// Ticks in running networks, in all turns.
    pub(super) inference: u64,
    inference_began: u64,
    /// What one reading costs, in ticks.
    own: u64,
    /// Of the turn under way.
    present: [u64; Stage::COUNT],
    turn: u32,
    timing: bool,
    last: u64,
}

impl StageClock {
    pub(super) fn new() -> StageClock {
        let own = (0..CALIBRATION)
            .map(|_| tsc())
            .fold((u64::MAX, tsc()), |(least, last), now| (least.min(now.saturating_sub(last)), now));
        StageClock {
            stages: [0; Stage::COUNT],
            frames: 0,
            inference: 0,
            inference_began: 0,
            own: own.0,
            present: [0; Stage::COUNT],
            turn: 0,
            timing: false,
            last: 0,
        }
    }

    /// A turn begins.
    pub(super) fn begin_turn(&mut self) {
        self.turn = self.turn.wrapping_add(1);
        self.timing = self.turn.is_multiple_of(SAMPLED_EVERY);
        if self.timing {
            self.present = [0; Stage::COUNT];
            self.last = tsc();
        }
    }

    /// It has ended, with so many frames received.
    pub(super) fn end_turn(&mut self, received: usize) {
        if self.timing && self.present.iter().all(|ticks| *ticks < INTERRUPTED) {
            self.frames += received as u64;
            for (sum, ticks) in self.stages.iter_mut().zip(self.present) {
                *sum += ticks;
            }
        }
    }
}

impl Probe for StageClock {
    #[inline(always)]
    fn stage(&mut self, stage: Stage) {
        if self.timing {
            let now = tsc();
            let spent = now.saturating_sub(self.last).saturating_sub(self.own);
            self.present[stage as usize] += spent;
            self.last = now;
        }
    }
    fn inference_begin(&mut self) {
        self.inference_began = tsc();
    }
    fn inference_end(&mut self, _rows: usize) {
        self.inference += tsc().saturating_sub(self.inference_began);
    }
}
