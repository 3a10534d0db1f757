//! Frames on their way out of one side, and those that its port has not taken yet.

use crate::io::{BURST, Burst, Frame, PacketIo, Side};
use crate::verdict::{Tally, Verdict};
use arrayvec::ArrayVec;
use std::collections::VecDeque;

/// Frames that may wait for a port, per side: eight bursts, a quarter of a common transmit ring. A port that is
/// behind by more than its ring and this has no use for more.
const WAITING_MAX: usize = 8 * BURST;

/// What is counted when the frame has left.
type End = (Verdict, u32);

/// The bounded way out of one side. Frames leave in the order in which they came.
pub(super) struct Backlog<F> {
    side: Side,
    /// Offered to the port next, and how each will have ended.
    burst: Burst<F>,
    ends: ArrayVec<End, BURST>,
    /// Behind those.
    waiting: VecDeque<(F, End)>,
}

impl<F: Frame> Backlog<F> {
    pub(super) fn new(side: Side) -> Backlog<F> {
        Backlog {
            side,
            burst: Burst::new(),
            ends: ArrayVec::new(),
            waiting: VecDeque::with_capacity(WAITING_MAX),
        }
    }

    /// Frames inside.
    pub(super) fn len(&self) -> usize {
        self.burst.len() + self.waiting.len()
    }

    /// Frames that surely find room.
    pub(super) fn room(&self) -> usize {
        WAITING_MAX - self.waiting.len()
    }

    /// Appends a frame that ends in `verdict` once it has left. Hands it back when there is no room.
    #[inline(always)]
    pub(super) fn push(&mut self, frame: F, verdict: Verdict) -> Result<(), F> {
        let end = (verdict, frame.wire_len());
        if self.waiting.is_empty() && !self.burst.is_full() {
            self.burst.push(frame);
            self.ends.push(end);
            return Ok(());
        }
        self.wait(frame, end)
    }

    #[inline(never)]
    fn wait(&mut self, frame: F, end: End) -> Result<(), F> {
        if self.waiting.len() == WAITING_MAX {
            return Err(frame);
        }
        self.waiting.push_back((frame, end));
        Ok(())
    }

    /// Sends until all is sent or the port takes no more. Returns how many left.
    pub(super) fn flush<Io: PacketIo<Frame = F>>(&mut self, io: &mut Io, tally: &mut Tally) -> usize {
        let mut sent = 0;
        while !self.burst.is_empty() {
            let before = self.burst.len();
            io.tx(self.side, &mut self.burst);
            let taken = before - self.burst.len();
            self.count(taken, tally);
            sent += taken;
            while !self.burst.is_full()
                && let Some((frame, end)) = self.waiting.pop_front()
            {
                self.burst.push(frame);
                self.ends.push(end);
            }
            if taken == 0 {
                break;
            }
        }
        sent
    }

    /// Books the first `taken` of the burst, which have left.
    fn count(&mut self, taken: usize, tally: &mut Tally) {
        let bytes: u64 = self.ends[..taken].iter().map(|(_, bytes)| u64::from(*bytes)).sum();
        tally.sent[self.side as usize] += taken as u64;
        tally.sent_bytes[self.side as usize] += bytes;
        // Runs of one verdict are the rule: a counter is touched once per run.
        for run in self.ends[..taken].chunk_by(|a, b| a.0 == b.0) {
            if let [(verdict, _), ..] = run {
                tally.ended[*verdict as usize] += run.len() as u64;
            }
        }
        self.ends.drain(..taken);
    }
}
