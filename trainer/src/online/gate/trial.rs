//! A candidate that is right by itself, and whose replay goes on: a little in each step, so that no step takes long.

use super::not_worse::Replaying;
use super::{Encoded, Figures, Judged, Tolerance};
use crate::online::paths::{InUse, Met};
use crate::online::replay::Replay;
use weir_snapshot::Executable;

/// How far a judgement has got.
#[derive(Debug)]
pub enum Judging {
    /// There is a verdict.
    Done(Box<Judged>),
    /// What is left is the replay.
    Replay(Box<Trial>),
}

/// A candidate in replay.
#[derive(Debug)]
pub struct Trial {
    encoded: Encoded,
    figures: Figures,
    replaying: Replaying,
}

impl Judging {
    /// The verdict, however long it takes.
    pub fn to_end(self, world: &mut dyn Replay, running: &Executable, tolerance: &Tolerance) -> Judged {
        let mut trial = match self {
            Judging::Done(judged) => return *judged,
            Judging::Replay(trial) => trial,
        };
        loop {
            match trial.go_on(world, running, tolerance, u64::MAX) {
                Judging::Done(judged) => return *judged,
                Judging::Replay(rest) => trial = rest,
            }
        }
    }
}

impl Trial {
    pub(super) fn new(
        encoded: Encoded,
        figures: Figures,
        present: (&[InUse], u64),
        remembered: &[Met],
    ) -> Trial {
        Trial { encoded, figures, replaying: Replaying::new(present, remembered) }
    }

    /// What was measured so far.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Drives on beside `running`, which must be the same each time, for about as much as `budget` allows
    /// ([`Replay::cost`]); at least one driver, one episode.
    pub fn go_on(
        mut self: Box<Self>,
        world: &mut dyn Replay,
        running: &Executable,
        tolerance: &Tolerance,
        budget: u64,
    ) -> Judging {
        match self.replaying.go_on(world, [&self.encoded.executable, running], tolerance, budget) {
            None => Judging::Replay(self),
            Some(verdict) => {
                let Trial { encoded, mut figures, replaying } = *self;
                figures.bests = replaying.into_bests();
                let verdict = verdict.map(|replayed| {
                    figures.replayed = Some(replayed);
                    encoded
                });
                Judging::Done(Box::new(Judged { figures, verdict }))
            }
        }
    }
}
