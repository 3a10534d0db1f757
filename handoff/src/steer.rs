//! Steering lanes: frames from the worker that received them to the worker that owns their flow.
//!
//! A ring of slots with one sender and one receiver. The sender fills slots that only it can see and then makes a
//! whole burst visible with one store ([`SteerSender::flush`]); the receiver takes what it sees and gives the slots
//! back with one store. Each keeps a copy of the other's counter and looks at the real one, on the other core's cache
//! line, only when the copy says that there is nothing to do. Nothing waits, wakes or allocates after the start.
//!
//! ```text
//!    sender                                      receiver
//!    S1  room?  taken (acquire) if need be       R1  pushed (acquire) if need be
//!    S2  write slots [next, next + n)            R2  read slots [next, pushed)
//!    S3  pushed <- next + n (release)            R3  taken <- next (release)
//! ```
//!
//! *Why a slot is never read and written at once.* S2 writes a slot of the first lap, or one that S1 saw as taken:
//! R3 published the counter after R2 had read the slot. R2 reads only below a `pushed` that S3 published after S2.
//! Relaxing either store or either load breaks exactly one of the two, and the model checker finds each
//! (`tests/loom_steer.rs`).
//!
//! A sender that goes away closes the lane. The receiver can tell "nothing now" from "nothing ever again", so that a
//! stop need not guess how long another core may still be in the midst of a burst.

use crate::primitive::{Arc, AtomicBool, AtomicU64, Ordering, UnsafeCell};
use crossbeam_utils::CachePadded;
use std::fmt;
use std::mem::MaybeUninit;

struct Ring<T> {
    /// A power of two of them.
    slots: Box<[UnsafeCell<MaybeUninit<T>>]>,
    /// Elements made visible since the start. Written by the sender only. 64 bits: never wraps.
    pushed: CachePadded<AtomicU64>,
    /// Elements taken since the start. Written by the receiver only.
    taken: CachePadded<AtomicU64>,
    /// The sender is gone, and all that it pushed is visible.
    closed: AtomicBool,
}

// SAFETY: the slots between `taken` and `pushed` hold values that move from one thread to another, hence `T: Send`;
// which thread may touch a slot is decided by the two counters (see the head of this file).
unsafe impl<T: Send> Send for Ring<T> {}
// SAFETY: as above; no two threads ever hold a reference to one `T`.
unsafe impl<T: Send> Sync for Ring<T> {}

impl<T> Ring<T> {
    fn slot(&self, at: u64) -> &UnsafeCell<MaybeUninit<T>> {
        // The mask keeps the index within the slice.
        &self.slots[at as usize & (self.slots.len() - 1)]
    }
}

impl<T> Drop for Ring<T> {
    /// What nobody has taken is dropped here. Both ends are gone, so nobody else looks.
    fn drop(&mut self) {
        let pushed = self.pushed.load(Ordering::Relaxed);
        for at in self.taken.load(Ordering::Relaxed)..pushed {
            // SAFETY: published, not taken, and `&mut self` is the only access.
            self.slot(at).with_mut(|slot| unsafe { (*slot).assume_init_drop() });
        }
    }
}

/// The end of the worker that received the frames.
pub struct SteerSender<T> {
    ring: Arc<Ring<T>>,
    /// Where the next element goes; those from the published counter up to here are not visible yet.
    next: u64,
    /// `pushed`, which only this end writes.
    published: u64,
    /// `taken`, as last seen.
    taken_seen: u64,
}

/// The end of the worker that owns them.
pub struct SteerReceiver<T> {
    ring: Arc<Ring<T>>,
    /// What is taken next. `taken`, which only this end writes, after each call.
    next: u64,
    /// `pushed`, as last seen.
    pushed_seen: u64,
}

/// Makes a lane for up to `capacity` elements, rounded up to a power of two.
pub fn steer_lane<T>(capacity: usize) -> (SteerSender<T>, SteerReceiver<T>) {
    let capacity = capacity.max(1).next_power_of_two();
    let ring = Arc::new(Ring {
        slots: (0..capacity).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect(),
        pushed: CachePadded::new(AtomicU64::new(0)),
        taken: CachePadded::new(AtomicU64::new(0)),
        closed: AtomicBool::new(false),
    });
    (
        SteerSender { ring: Arc::clone(&ring), next: 0, published: 0, taken_seen: 0 },
        SteerReceiver { ring, next: 0, pushed_seen: 0 },
    )
}

impl<T> SteerSender<T> {
    /// Puts an element into the lane. The receiver sees it after the next [`flush`](Self::flush).
    ///
    /// # Errors
    /// Hands the element back when the lane is full.
    #[inline]
    pub fn push(&mut self, element: T) -> Result<(), T> {
        let capacity = self.ring.slots.len() as u64;
        if self.next - self.taken_seen == capacity {
            // S1. Acquire: the receiver has read the slots below before they are written again.
            self.taken_seen = self.ring.taken.load(Ordering::Acquire);
            if self.next - self.taken_seen == capacity {
                return Err(element);
            }
        }
        // SAFETY: S2. The slot is beyond `pushed`, so the receiver keeps off it, and its last tenant, if any, was taken
        // (S1). Writing through the pointer drops nothing.
        self.ring.slot(self.next).with_mut(|slot| unsafe {
            (*slot).write(element);
        });
        self.next += 1;
        Ok(())
    }

    /// Makes everything pushed so far visible to the receiver. One store; none if there is nothing new.
    #[inline]
    pub fn flush(&mut self) {
        if self.published != self.next {
            self.published = self.next;
            // S3. Release: the slots' contents come along.
            self.ring.pushed.store(self.next, Ordering::Release);
        }
    }
}

impl<T> Drop for SteerSender<T> {
    /// What has been pushed arrives; then the lane is closed.
    fn drop(&mut self) {
        self.flush();
        // Release: who sees this also sees the last `pushed`.
        self.ring.closed.store(true, Ordering::Release);
    }
}

impl<T> SteerReceiver<T> {
    /// Takes up to `limit` elements in the order in which they were pushed, gives each to `each`, and returns how
    /// many. Returns at once when there are none.
    #[inline]
    pub fn take(&mut self, limit: usize, mut each: impl FnMut(T)) -> usize {
        if self.next == self.pushed_seen {
            // R1. Acquire: the slots below are written.
            self.pushed_seen = self.ring.pushed.load(Ordering::Acquire);
        }
        let count = (self.pushed_seen - self.next).min(limit as u64);
        if count == 0 {
            return 0;
        }
        // Gives the slots back also when `each` unwinds, less the one that it was given.
        let taking = Taking { receiver: self };
        for _ in 0..count {
            let receiver = &mut *taking.receiver;
            // SAFETY: R2. Below `pushed`, so written; not taken before, and counted as taken by the next line, so read
            // once.
            let element =
                receiver.ring.slot(receiver.next).with_mut(|slot| unsafe { (*slot).assume_init_read() });
            receiver.next += 1;
            each(element);
        }
        drop(taking);
        count as usize
    }

    /// Elements that wait to be taken. A look at the sender's cache line.
    pub fn waiting(&self) -> usize {
        (self.ring.pushed.load(Ordering::Relaxed) - self.next) as usize
    }

    /// Whether nothing is in the lane and nothing will ever be.
    pub fn is_over(&self) -> bool {
        // In this order: a sender that closes in between has made visible what it pushed before.
        self.ring.closed.load(Ordering::Acquire) && self.waiting() == 0
    }
}

struct Taking<'a, T> {
    receiver: &'a mut SteerReceiver<T>,
}

impl<T> Drop for Taking<'_, T> {
    fn drop(&mut self) {
        // R3. Release: the slots have been read before the sender may write them again.
        self.receiver.ring.taken.store(self.receiver.next, Ordering::Release);
    }
}

impl<T> fmt::Debug for SteerSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SteerSender").field("next", &self.next).finish_non_exhaustive()
    }
}
impl<T> fmt::Debug for SteerReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SteerReceiver").field("next", &self.next).finish_non_exhaustive()
    }
}
