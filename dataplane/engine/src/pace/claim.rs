//! What a queue of frames has claimed of the limits that it is under.
//!
//! ```text
//!   idle --first frame's time has come--> claim on the inside end's limit --its time--> on the outside end's --its time-->
//!     ^                                   on every frame's --its time--> may send what was claimed
//!     '--------------------------------------- all of it has left ------------------------'
//! ```
//!
//! A claim is for what the queue holds, up to a full frame, and one frame at least: so queues of small frames and of large ones
//! get as many bytes. The next limit is asked only when the last one's time has come, from the most particular to the most
//! general: asked at once, a queue that waits for a slow prefix would keep others from what it does not use yet.

use super::limiter::Limiter;
use crate::limit::LimitSet;
use crate::time::{BitsPerSec, Ns};

/// Bytes of a claim, unless the first frame is longer: a full Ethernet frame with two VLAN tags, about the quantum of
/// deficit round robin (Shreedhar and Varghese, SIGCOMM 1995; `fq_codel`'s is one MTU).
pub(super) const QUANTUM: u32 = 1_522;

/// One queue's claim, and what waits in the queue.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Claim {
    /// When the queue began to claim, and when it may go on.
    began: Ns,
    ready: Ns,
    /// Bytes that are being claimed, and bytes that were and may leave.
    asked: u32,
    granted: u32,
    /// How long limits have it wait for those, all together. Not how long it took: a worker that comes late is no limit.
    wait_ns: u32,
    /// The same of the last whole claim.
    last_bytes: u32,
    last_ns: u32,
    /// How long the open monitor interval has waited for limits.
    waited_ns: u32,
    /// Bytes and frames in the queue.
    pub(super) held_bytes: u32,
    pub(super) held_frames: u32,
    /// The edition of limits for which all of this was found.
    pub(super) edition: u32,
    pub(super) set: LimitSet,
    /// The place after that of the limit that was asked last.
    place: u8,
    is_waiting: bool,
}

impl Claim {
    /// Nothing claimed, nothing held.
    pub(super) fn new(set: LimitSet, edition: u32) -> Claim {
        Claim { set, edition, ..Claim::default() }
    }

    /// A frame of `bytes`, the first of a queue of `queued` bytes, wants to leave at `now`. Where it may not, when to ask again.
    pub(super) fn ask(&mut self, limiter: &mut Limiter, bytes: u32, queued: u32, now: Ns) -> Result<(), Ns> {
        loop {
            if !self.is_waiting {
                if bytes <= self.granted || self.set.is_empty() {
                    return Ok(());
                }
                let wanted = queued.min(QUANTUM).max(bytes);
                (self.asked, self.began, self.ready, self.place) = (wanted - self.granted, now, now, 0);
                self.wait_ns = 0;
                self.is_waiting = true;
            }
            while self.ready <= now {
                let Some((index, place)) = self.set.first_from(self.place) else {
                    self.finish();
                    break;
                };
                self.place = place;
                self.ready = limiter.claim(index, self.asked, now);
                self.wait_ns = self.wait_ns.saturating_add(saturate(self.ready - now));
            }
            if self.is_waiting {
                return Err(self.ready);
            }
        }
    }

    fn finish(&mut self) {
        self.granted = self.granted.saturating_add(self.asked);
        (self.last_bytes, self.last_ns) = (self.asked, self.wait_ns);
        self.is_waiting = false;
    }

    /// A frame leaves that was granted.
    pub(super) fn spend(&mut self, bytes: u32) {
        self.granted = self.granted.saturating_sub(bytes);
    }

    /// Since when the queue has waited for a limit, if it does.
    pub(super) fn waits_since(&self) -> Option<Ns> {
        self.is_waiting.then_some(self.began)
    }

    /// A frame has waited, for as much of the open interval, as is since then.
    pub(super) fn add_wait(&mut self, since: Ns, now: Ns) {
        self.waited_ns = self.waited_ns.saturating_add(saturate(now - since));
    }

    /// How long the interval that ends has waited for limits; `start` is its beginning. The next one begins at nothing.
    pub(super) fn end_interval(&mut self, start: Ns, now: Ns) -> u64 {
        if let Some(since) = self.waits_since() {
            self.add_wait(since.max(start), now);
        }
        core::mem::take(&mut self.waited_ns).into()
    }

    /// Waits for limits that have ended in the open interval.
    pub(super) fn waited_ns(&self) -> u64 {
        self.waited_ns.into()
    }

    /// What a claim takes: bytes and time. The one under way tells where it is the slower.
    fn round(&self) -> (u32, Ns) {
        let slower = self.is_waiting && self.wait_ns >= self.last_ns;
        let (bytes, ns) = if slower { (self.asked, self.wait_ns) } else { (self.last_bytes, self.last_ns) };
        (bytes, Ns(ns.into()))
    }

    /// How long a frame that comes now will wait behind those that the queue holds, as claims take now.
    pub(super) fn expected_wait(&self) -> Ns {
        let (bytes, span) = self.round();
        Ns(span.0.saturating_mul(u64::from(self.held_bytes)) / u64::from(bytes.max(1)))
    }

    /// The rate that limits leave to the queue; `None` while they are no bound.
    pub(super) fn rate(&self) -> Option<BitsPerSec> {
        let (bytes, span) = self.round();
        (span > Ns::ZERO).then(|| BitsPerSec(u64::from(bytes) * 8_000_000_000 / span.0))
    }

    /// Goes on under other limits: what was claimed of the former ones is void.
    pub(super) fn renew(&mut self, set: LimitSet, edition: u32) {
        let Claim { waited_ns, held_bytes, held_frames, .. } = *self;
        *self = Claim { waited_ns, held_bytes, held_frames, ..Claim::new(set, edition) };
    }
}

fn saturate(span: Ns) -> u32 {
    u32::try_from(span.0).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::{LimitConfig, Limits, Scope};

    /// One limit of 8 Mb/s, a microsecond a byte, with a burst of 1 000 bytes.
    fn limiter() -> (Limiter, LimitSet) {
        let limits = Limits::new(vec![LimitConfig {
            name: "all".to_owned(),
            scope: Scope::All,
            rate: BitsPerSec::from_mbps(8),
            burst_bytes: 1_000,
            mark_delay: Ns::from_millis(10),
            delay_max: Ns::from_millis(100),
            queue_bytes: 1 << 20,
        }]);
        let set = limits.on_any();
        (Limiter::new(limits), set)
    }

    const START: Ns = Ns::from_secs(1);

    #[test]
    fn a_burst_leaves_at_once_then_each_frame_at_its_time() {
        let (mut limiter, set) = limiter();
        let mut claim = Claim::new(set, 1);
        assert_eq!(claim.ask(&mut limiter, 1_000, 1_000, START), Ok(()));
        claim.spend(1_000);
        let due = START + Ns::from_millis(1);
        assert_eq!(claim.ask(&mut limiter, 1_000, 1_000, START), Err(due));
        assert_eq!((claim.waits_since(), claim.rate()), (Some(START), Some(BitsPerSec::from_mbps(8))));
        // Asked again meanwhile, it has claimed once.
        assert_eq!(claim.ask(&mut limiter, 1_000, 1_000, due - Ns(1)), Err(due));
        assert_eq!(claim.ask(&mut limiter, 1_000, 1_000, due), Ok(()));
        claim.held_bytes = 5_000;
        assert_eq!((claim.waits_since(), claim.expected_wait()), (None, Ns::from_millis(5)));
    }

    #[test]
    fn a_late_worker_is_no_slow_limit() {
        let (mut limiter, set) = limiter();
        let mut claim = Claim::new(set, 1);
        assert!(claim.ask(&mut limiter, 1_000, 1_000, START).is_ok());
        claim.spend(1_000);
        assert!(claim.ask(&mut limiter, 1_000, 1_000, START).is_err());
        let late = START + Ns::from_millis(50);
        assert!(claim.ask(&mut limiter, 1_000, 1_000, late).is_ok());
        claim.held_bytes = 16_000;
        assert_eq!(claim.expected_wait(), Ns::from_millis(16));
    }

    #[test]
    fn small_frames_share_a_claim_and_queues_take_turns() {
        let (mut limiter, set) = limiter();
        let (mut small, mut large) = (Claim::new(set, 1), Claim::new(set, 1));
        let (mut now, mut left) = (START, [0_u32; 2]);
        while now < START + Ns::from_millis(400) {
            while small.ask(&mut limiter, 100, 10_000, now).is_ok() {
                small.spend(100);
                left[0] += 100;
            }
            while large.ask(&mut limiter, 1_500, 10_000, now).is_ok() {
                large.spend(1_500);
                left[1] += 1_500;
            }
            now += Ns::from_micros(10);
        }
        assert!(left[0].abs_diff(left[1]) <= 2 * QUANTUM, "{left:?}");
        assert!((left[0] + left[1]).abs_diff(400_000 + 1_000) <= 2 * QUANTUM, "{left:?}");
    }

    #[test]
    fn what_waits_counts_for_the_interval_that_is_open() {
        let (mut limiter, set) = limiter();
        let mut claim = Claim::new(set, 1);
        assert!(claim.ask(&mut limiter, 1_000, 0, START).is_ok());
        claim.spend(1_000);
        assert!(claim.ask(&mut limiter, 4_000, 0, START).is_err());
        let (first, second) = (START + Ns::from_millis(1), START + Ns::from_millis(3));
        assert_eq!(claim.end_interval(START - Ns(5), first), 1_000_000);
        assert_eq!(claim.end_interval(first, second), 2_000_000);
        claim.renew(LimitSet::EMPTY, 2);
        assert_eq!((claim.end_interval(second, second + Ns(9)), claim.rate()), (0, None));
        assert!(claim.ask(&mut limiter, 4_000, 0, second).is_ok());
    }
}
