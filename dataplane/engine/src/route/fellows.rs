//! What makes the routers of several workers one router.
//!
//! Each worker has tables of neighbours of its own, so that a departure touches no memory that another core writes. They
//! are replicas of one table: what one worker hears of a neighbour it tells the others, who hear the same, and so it does
//! with each question that it asks. Values cross, never frames: a frame is answered, ended and counted where it is.
//!
//! ```text
//!   an answer arrives at any worker:    Heard ->  the others' tables change alike, what waited there leaves
//!   a worker asks for a neighbour:      Asked ->  the others count it as a question of their own
//! ```
//!
//! So of all workers one asks, a second apart (RFC 4861 section 7.2.2, RFC 1122 section 2.3.2.1): the next question is
//! due at worker *w* a little later than at worker *w* - 1 ([`LAG`]), who by then has asked, or else is away. Two workers
//! that meet the same stranger within some microseconds both ask.
//!
//! News may be lost, for want of room in a lane: it is counted, and made up for by the timers. Who misses an answer asks
//! a second later; who misses that a neighbour has moved finds out as anyone does whom nobody tells, by asking it in
//! person once it is stale.

use super::neighbour::Heard;
use crate::balance::PATHS_MAX;
use crate::counters::WorkerStats;
use crate::io::Side;
use crate::steer::Ends;
use crate::time::Ns;
use arrayvec::ArrayVec;
use core::net::IpAddr;
use weir_handoff::{Budget, SharedCounts};

/// News that a lane holds: from full bursts of nothing but answers on both sides, all timers of a turn, and as much again.
const LANE_NEWS: usize = 256;
/// News taken per turn at most. Each may release the few frames that waited for one neighbour; the next turn is near.
const NEWS_PER_TURN: usize = 32;
/// By how much a worker's timers go off later than those of the one before it: many turns, so that what that one has
/// asked is known; and little beside a second.
const LAG: Ns = Ns::from_millis(1);

/// What one worker tells the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct News {
    pub(super) side: Side,
    /// The neighbour.
    pub(super) address: IpAddr,
    pub(super) what: What,
}

// A mesh of workers has a lane of them for each ordered pair.
const _: () = assert!(size_of::<News>() <= 34);

#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// Something was heard of it.
    Heard(Heard),
    /// It was asked for.
    Asked,
}

/// What waits to be taken up.
pub(super) type Taken = ArrayVec<News, NEWS_PER_TURN>;

/// One worker's ends of what joins its router to those of the others.
#[derive(Debug)]
pub(crate) struct Fellows {
    index: usize,
    ends: Ends<News>,
    /// ICMP errors that all of them together may still send.
    errors: Budget,
    /// What each has sent and received by each path.
    counts: Option<SharedCounts<{ 2 * PATHS_MAX }>>,
}

impl Fellows {
    /// A router of one worker.
    pub(super) fn none() -> Fellows {
        Fellows { index: 0, ends: Ends::none(), errors: Budget::new(), counts: None }
    }

    /// By worker index. All memory is allocated here.
    pub(crate) fn mesh(workers: usize) -> Vec<Fellows> {
        let errors = Budget::new();
        let place =
            |(index, (ends, counts))| Fellows { index, ends, errors: errors.clone(), counts: Some(counts) };
        let counts = SharedCounts::mesh(workers);
        Ends::mesh(workers, LANE_NEWS).into_iter().zip(counts).enumerate().map(place).collect()
    }

    /// What all take from when they send ICMP errors.
    pub(super) fn errors(&self) -> Budget {
        self.errors.clone()
    }

    /// Where they show each other what each has sent and received by each path.
    pub(super) fn take_counts(&mut self) -> Option<SharedCounts<{ 2 * PATHS_MAX }>> {
        self.counts.take()
    }

    /// How much later than the first worker's this one's timers go off.
    pub(super) fn lag(&self) -> Ns {
        Ns(LAG.0 * self.index as u64)
    }

    /// Tells each of the others, as far as their lanes have room.
    #[cold]
    pub(super) fn tell(&mut self, news: News, stats: &mut WorkerStats) {
        let (took, full) = self.ends.push_to_all(news);
        stats.news_passed += took;
        stats.news_lane_full += full;
    }

    /// Shows the others what they were told in this turn. To be called before the turn sends: an answer that comes
    /// back to another worker finds it informed.
    #[inline]
    pub(super) fn flush(&mut self) {
        self.ends.flush();
    }

    /// Whether the others have told anything.
    #[inline]
    pub(super) fn have_news(&self) -> bool {
        self.ends.waiting() > 0
    }

    /// What the others have told.
    pub(super) fn take(&mut self, stats: &mut WorkerStats) -> Taken {
        let mut taken = Taken::new();
        self.ends.take(NEWS_PER_TURN, |news| taken.push(news));
        stats.news_taken += taken.len() as u64;
        taken
    }
}
