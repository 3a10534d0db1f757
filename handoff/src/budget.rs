//! A token bucket from which several workers take: a limit per second that holds for all of them together.
//!
//! What is kept is the time at which the bucket will be full again, which is all that there is to know (GCRA, the
//! generic cell rate algorithm of ITU-T I.371): one word, moved on by compare and exchange. Whoever finds the bucket
//! empty only reads it, so under a flood the cache line stays with everybody and is written at the granted rate.

use crate::primitive::{Arc, AtomicU64, Ordering};
use crossbeam_utils::CachePadded;

/// A bucket, full at first. Clones are the same bucket.
#[derive(Clone, Debug)]
pub struct Budget(Arc<CachePadded<AtomicU64>>);

impl Budget {
    /// A full bucket.
    #[allow(clippy::new_without_default, reason = "a default is no shared thing")]
    pub fn new() -> Budget {
        Budget(Arc::new(CachePadded::new(AtomicU64::new(0))))
    }

    /// Takes a token if there is one at `now_ns`. One grows back each `token_ns`, and no more than `tokens_max` are
    /// there at once. All who share the bucket are to give the same two numbers, and times of one clock.
    pub fn take(&self, now_ns: u64, token_ns: u64, tokens_max: u64) -> bool {
        self.spend(now_ns, token_ns, tokens_max.saturating_mul(token_ns))
    }

    /// Takes what grows back in `cost_ns` if that much is there at `now_ns`, in a bucket that fills in `depth_ns`. A cost
    /// beyond the depth is never there. All who share the bucket are to give the same depth, and times of one clock.
    pub fn spend(&self, now_ns: u64, cost_ns: u64, depth_ns: u64) -> bool {
        // Relaxed throughout: nothing but this word is handed over, and its own changes have one order for all.
        let mut full_at = self.0.load(Ordering::Relaxed);
        loop {
            let next = full_at.max(now_ns).saturating_add(cost_ns);
            if next - now_ns > depth_ns {
                return false;
            }
            match self.0.compare_exchange_weak(full_at, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(seen) => full_at = seen,
            }
        }
    }

    /// Takes what grows back in `cost_ns` whether it is there or not, and says when it will be: a time that has passed where
    /// it is there at `now_ns`, else one before which whoever took it has to wait. Who comes later is given a later time, so
    /// each has a turn that nobody can take away. The same depth and clock for all, as with [`spend`](Budget::spend).
    pub fn reserve(&self, now_ns: u64, cost_ns: u64, depth_ns: u64) -> u64 {
        let mut full_at = self.0.load(Ordering::Relaxed);
        loop {
            let next = full_at.max(now_ns).saturating_add(cost_ns);
            match self.0.compare_exchange_weak(full_at, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return next.saturating_sub(depth_ns),
                Err(seen) => full_at = seen,
            }
        }
    }

    /// When that much would be there if nobody took anything meanwhile; a time that has passed where it is.
    pub fn ready_at(&self, cost_ns: u64, depth_ns: u64) -> u64 {
        self.0.load(Ordering::Relaxed).saturating_add(cost_ns).saturating_sub(depth_ns)
    }
}
