//! A worker's side of the limits: what it has claimed of them to a fraction of a nanosecond, what waits here, and what is
//! counted.

use crate::byte_time::ByteTime;
use crate::limit::{LIMITS_MAX, LimitSet, LimitStats, Limits};
use crate::time::Ns;

/// The limits as one worker has them.
pub(super) struct Limiter {
    limits: Limits,
    /// Number of the present limits, among those that this worker has had; 0 is nobody's.
    edition: u32,
    terms: Box<[Terms; LIMITS_MAX]>,
    stats: Box<[LimitStats; LIMITS_MAX]>,
}

/// One limit's figures, as they are used.
#[derive(Clone, Copy, Debug, Default)]
struct Terms {
    byte_time: ByteTime,
    /// Time claimed beyond whole nanoseconds, in 2^-24 ns.
    rest: u64,
    burst_ns: u64,
    mark_delay: Ns,
    delay_max: Ns,
    queue_bytes: u64,
}

/// Why a limit refuses to have a frame wait.
pub(super) enum Held {
    /// It may wait.
    Yes,
    /// It may wait, and is to be marked for this limit.
    Marked(u8),
    /// Because of this limit, it may not.
    No(u8),
}

impl Limiter {
    pub(super) fn new(limits: Limits) -> Limiter {
        let mut limiter = Limiter {
            limits: Limits::none(),
            edition: 0,
            terms: Box::new([Terms::default(); LIMITS_MAX]),
            stats: Box::new([LimitStats::default(); LIMITS_MAX]),
        };
        limiter.adopt(limits);
        limiter
    }

    /// Goes on with other limits. A limit that keeps its name keeps what was counted; what waits is counted anew, by whoever
    /// finds out under which limits it is now. Allocates nothing.
    pub(super) fn adopt(&mut self, limits: Limits) {
        let before = *self.stats;
        let counted = |name: &str| {
            self.limits.iter().zip(&before).find(|(old, _)| old.name == name).map(|(_, stats)| *stats)
        };
        *self.stats = [LimitStats::default(); LIMITS_MAX];
        for (limit, stats) in limits.iter().zip(self.stats.iter_mut()) {
            *stats = LimitStats { held_bytes: 0, ..counted(&limit.name).unwrap_or_default() };
        }
        for (limit, terms) in limits.iter().zip(self.terms.iter_mut()) {
            let byte_time = ByteTime::new(limit.rate);
            *terms = Terms {
                byte_time,
                rest: 0,
                burst_ns: byte_time.span_ns(limit.burst_bytes),
                mark_delay: limit.mark_delay,
                delay_max: limit.delay_max,
                queue_bytes: limit.queue_bytes,
            };
        }
        self.limits = limits;
        self.edition += 1;
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn edition(&self) -> u32 {
        self.edition
    }

    pub(super) fn stats(&self) -> &[LimitStats; LIMITS_MAX] {
        &self.stats
    }

    /// Claims time for so many bytes. When they may leave.
    pub(super) fn claim(&mut self, index: u8, bytes: u32, now: Ns) -> Ns {
        let at = usize::from(index);
        let (Some((_, clock)), Some(terms), Some(stats)) =
            (self.limits.get(index), self.terms.get_mut(at), self.stats.get_mut(at))
        else {
            return now;
        };
        let (cost_ns, rest) = terms.byte_time.of(bytes, terms.rest);
        terms.rest = rest;
        let ready = Ns(clock.reserve(now.0, cost_ns, terms.burst_ns));
        if ready > now {
            stats.waits += 1;
            stats.wait_ns += (ready - now).0;
        }
        ready
    }

    /// Whether a frame of `bytes` may wait behind what its queue holds. One whose queue is empty may: so whoever sends little
    /// always gets through.
    pub(super) fn may_hold(&self, set: LimitSet, queued: Queued, bytes: u32) -> Held {
        let mut marked = None;
        for index in set.iter() {
            let at = usize::from(index);
            let (Some(terms), Some(stats)) = (self.terms.get(at), self.stats.get(at)) else { continue };
            let full = stats.held_bytes + u64::from(bytes) > terms.queue_bytes && queued.frames > 0;
            // Alone it would wait this long; claims that a burst has shortened do not tell.
            let wait = queued.expected_wait.max(Ns(terms.byte_time.span_ns(queued.bytes)));
            if full || wait > terms.delay_max && queued.frames >= super::QUEUED_BEFORE_DROP {
                return Held::No(index);
            }
            if wait > terms.mark_delay && queued.frames >= super::QUEUED_BEFORE_MARK {
                marked.get_or_insert(index);
            }
        }
        marked.map_or(Held::Yes, Held::Marked)
    }

    /// A frame begins to wait.
    pub(super) fn hold(&mut self, set: LimitSet, bytes: u32) {
        self.each(set, |stats| stats.held_bytes += u64::from(bytes));
    }

    /// A frame that has waited leaves.
    pub(super) fn release(&mut self, set: LimitSet, bytes: u32) {
        self.each(set, |stats| stats.held_bytes = stats.held_bytes.saturating_sub(bytes.into()));
        self.pass(set, bytes);
    }

    /// A frame leaves.
    pub(super) fn pass(&mut self, set: LimitSet, bytes: u32) {
        self.each(set, |stats| {
            stats.frames += 1;
            stats.bytes += u64::from(bytes);
        });
    }

    pub(super) fn count_mark(&mut self, index: u8) {
        if let Some(stats) = self.stats.get_mut(usize::from(index)) {
            stats.marks += 1;
        }
    }

    /// A frame is dropped: because of this limit, or of the first of its own.
    pub(super) fn count_drop(&mut self, index: Option<u8>, set: LimitSet) {
        let index = index.or_else(|| set.iter().next());
        if let Some(stats) = index.and_then(|index| self.stats.get_mut(usize::from(index))) {
            stats.dropped += 1;
        }
    }

    fn each(&mut self, set: LimitSet, mut change: impl FnMut(&mut LimitStats)) {
        for index in set.iter() {
            if let Some(stats) = self.stats.get_mut(usize::from(index)) {
                change(stats);
            }
        }
    }
}

/// What a frame would wait behind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queued {
    pub(super) frames: u32,
    pub(super) bytes: u32,
    /// As long as claims take.
    pub(super) expected_wait: Ns,
}
