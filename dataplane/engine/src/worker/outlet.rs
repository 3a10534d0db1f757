//! Where a router's frames come from and end: the port's buffers, the backlogs, the books.

use super::backlog::Backlog;
use super::burst::queue;
use crate::counters::WorkerStats;
use crate::io::{PacketIo, Side};
use crate::route;
use crate::verdict::{Tally, Verdict};

/// What the worker lends its router for a while.
pub(super) struct Outlet<'a, Io: PacketIo> {
    pub(super) io: &'a mut Io,
    pub(super) backlogs: &'a mut [Backlog<Io::Frame>; 2],
    pub(super) tally: &'a mut Tally,
    pub(super) stats: &'a mut WorkerStats,
}

impl<Io: PacketIo> route::Outlet for Outlet<'_, Io> {
    type Frame = Io::Frame;

    fn make(&mut self, side: Side, len: usize) -> Option<Io::Frame> {
        let frame = self.io.make(side, len);
        match frame {
            Some(_) => self.tally.originated += 1,
            None => self.stats.originate_failed += 1,
        }
        frame
    }

    fn send(&mut self, side: Side, frame: Io::Frame, verdict: Verdict) {
        queue(&mut self.backlogs[side as usize], frame, verdict, self.tally);
    }

    fn end(&mut self, frame: Io::Frame, verdict: Verdict) {
        drop(frame);
        self.tally.end(verdict);
    }

    fn turn_round(&mut self) {
        self.tally.end(Verdict::Consumed);
        self.tally.originated += 1;
    }

    fn stats(&mut self) -> &mut WorkerStats {
        self.stats
    }
}
