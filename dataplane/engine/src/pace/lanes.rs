//! Where frames wait for a limit that are of no paced flow: datagrams, handshakes, ARP, and what found a table full.
//!
//! They have no state of their own, so they share queues, by flow hash (stochastic fairness queueing, McKenney, INFOCOM 1990): the
//! frames of a flow are in one *lane*, in order, and two flows share one by chance only. A lane claims like a paced flow, for
//! the limits of its first frame.

use super::claim::Claim;
use super::held::Queue;
use crate::limit::LimitSet;
use crate::verdict::Verdict;

/// Lanes of a worker: of a hundred flows that wait at a time, one in twenty shares a lane.
pub(super) const LANES: usize = 1_024;

/// All lanes of a worker, and what is known of each frame in them.
pub(super) struct Lanes {
    lanes: Box<[Lane]>,
    /// By the frame's place in the store of held frames.
    notes: Box<[Note]>,
    frames: u32,
}

/// One queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lane {
    pub(super) queue: Queue,
    pub(super) claim: Claim,
    /// Frames that have ever entered, and left, modulo 2^32.
    entered: u32,
    left: u32,
}

impl Lane {
    /// Its first frame is under these limits. What was claimed of others is void.
    pub(super) fn go_under(&mut self, set: LimitSet) {
        if self.claim.set != set {
            self.claim.renew(set, 0);
        }
    }
}

/// What a frame in a lane needs besides what every held frame has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Note {
    /// Its flow hash.
    pub(super) hash: u64,
    pub(super) set: LimitSet,
    /// How it will have ended.
    pub(super) verdict: Verdict,
    /// It begins a connection.
    pub(super) begins: bool,
}

/// A frame of a lane, behind which a flow that has become a paced one has to wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    pub(super) lane: u16,
    frame: u32,
}

impl Lanes {
    /// Lanes for at most `held_max` frames. Everything is allocated here.
    pub(super) fn new(held_max: u32) -> Lanes {
        let lane = Lane { queue: Queue::EMPTY, claim: Claim::default(), entered: 0, left: 0 };
        let note = Note { hash: 0, set: LimitSet::EMPTY, verdict: Verdict::Untracked, begins: false };
        Lanes {
            lanes: vec![lane; LANES].into_boxed_slice(),
            notes: vec![note; held_max as usize].into_boxed_slice(),
            frames: 0,
        }
    }

    /// The lane of frames with this hash. Of its bits those in the middle: the leading ones say whose worker it is, the last ones
    /// choose buckets.
    pub(super) fn of(hash: u64) -> u16 {
        (hash >> 24) as u16 % LANES as u16
    }

    /// Whether no lane has a frame.
    pub(super) fn is_empty(&self) -> bool {
        self.frames == 0
    }

    pub(super) fn get_mut(&mut self, lane: u16) -> Option<&mut Lane> {
        self.lanes.get_mut(usize::from(lane))
    }

    pub(super) fn note(&self, place: u32) -> Option<Note> {
        self.notes.get(place as usize).copied()
    }

    pub(super) fn note_mut(&mut self, place: u32) -> Option<&mut Note> {
        self.notes.get_mut(place as usize)
    }

    /// A frame has entered a lane, at this place of the store.
    pub(super) fn enter(&mut self, lane: u16, place: u32, note: Note) {
        if let Some(cell) = self.notes.get_mut(place as usize) {
            *cell = note;
        }
        if let Some(lane) = self.lanes.get_mut(usize::from(lane)) {
            lane.entered = lane.entered.wrapping_add(1);
        }
        self.frames += 1;
    }

    /// The first frame of a lane has left it.
    pub(super) fn leave(&mut self, lane: u16) {
        if let Some(lane) = self.lanes.get_mut(usize::from(lane)) {
            lane.left = lane.left.wrapping_add(1);
        }
        self.frames -= 1;
    }

    /// The last frame of the lane of this hash, if it has any.
    pub(super) fn ticket(&self, hash: u64) -> Option<Ticket> {
        let lane = Lanes::of(hash);
        let Lane { queue, entered, .. } = self.lanes.get(usize::from(lane))?;
        (!queue.is_empty()).then_some(Ticket { lane, frame: *entered })
    }

    /// Whether that frame is still in its lane.
    pub(super) fn holds(&self, ticket: Ticket) -> bool {
        let left = self.lanes.get(usize::from(ticket.lane)).map_or(ticket.frame, |lane| lane.left);
        ticket.frame.wrapping_sub(left) as i32 > 0
    }
}
