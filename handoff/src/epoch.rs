//! One value, one writer, many readers that never wait: quiescent-state-based reclamation (QSBR), as in DPDK's
//! `rte_rcu_qsbr` and the userspace RCU library.
//!
//! # The protocol
//!
//! Shared are a pointer to the live value (`current`), a counter of publications (`token`), and for each reader a
//! `slot` on a cache line of its own: the last token under which the reader held nothing, or `OFFLINE`.
//!
//! ```text
//!    publisher                                   reader
//!    P1  current <- new value                    R1  p <- current; use *p          (a burst, many times)
//!    P2  token   <- token + 1 = t                    ... no reference survives the burst ...
//!    P3  full fence                              R2  t' <- token
//!    P4  read every slot; free the old           R3  slot <- t'
//!        value once each is >= t (or OFFLINE)    ... R1 again ...
//! ```
//!
//! *Why the old value is not freed too early.* Suppose P4 reads a slot >= t. Then R2 read a token >= t, so
//! whatever P2 published before it (P1) is visible to every later R1: no later burst can find the old pointer.
//! Earlier bursts ended before R3, and R3 happens before P4, so their reads are over.
//!
//! *What breaks if P1 and P2 swap places:*
//!
//! ```text
//!    token <- t
//!                          R2  t' = t
//!                          R3  slot <- t             "I hold nothing older than t"
//!                          R1  p = the OLD value     current has not changed yet
//!    current <- new value
//!    slot >= t: free the old value                   while p is in use
//! ```
//!
//! *What breaks if R2 comes after the R1 of the next burst, or R3 before the end of this one*: the same picture,
//! from the other side. Both are ruled out by the types: a reference from [`Reader::borrow`] borrows the reader
//! mutably, so [`Reader::quiesce`] cannot be called while one lives.
//!
//! *Going online* is the one moment that needs a full fence on the reader's side. Until its slot store is
//! visible the publisher counts the reader as absent, so the store must not linger behind the load of `current`
//! that follows it:
//!
//! ```text
//!    publisher:  current <- new ; FENCE ; read slot           reader:  slot <- t' ; FENCE ; p <- current
//! ```
//!
//! With both fences, either the publisher sees the slot or the reader sees the new value. With one missing, both
//! may see the past: the publisher frees what the reader has just picked up.

use crate::primitive::{Arc, AtomicPtr, AtomicU64, Ordering, fence};
use crossbeam_utils::CachePadded;
use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// How many replaced values may await their grace period. A publication that would make it one more is refused,
/// so that a stuck reader costs a bounded amount of memory and shows.
#[cfg(not(loom))]
pub const RETIRED_MAX: usize = 4;
/// How many replaced values may await their grace period: fewer under the model checker, to get there sooner.
#[cfg(loom)]
pub const RETIRED_MAX: usize = 2;

/// A slot's value while its reader promises to hold nothing. Above every token, so that "passed t" is one
/// comparison.
const OFFLINE: u64 = u64::MAX;

/// A value and the token of its publication, together on the heap.
struct Node<T> {
    version: u64,
    value: T,
}

/// What every reader looks at once per burst: written only by a publication, so it stays in each core's cache.
struct Board<T> {
    current: AtomicPtr<Node<T>>,
    token: AtomicU64,
}

struct Shared<T> {
    board: CachePadded<Board<T>>,
    slots: Box<[CachePadded<AtomicU64>]>,
    /// What the publisher could not free before it was dropped. Written by `Publisher::drop` alone, read by
    /// `Shared::drop` alone.
    left_behind: UnsafeCell<Vec<Retired<T>>>,
}

// SAFETY: readers on several threads get `&T` (hence `T: Sync`), and a value may be dropped on another thread than
// the one that made it (hence `T: Send`). `left_behind` has one writer, which is the only `Publisher`, and is read
// only by the last owner; the count of the `Arc` orders the two.
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // Relaxed: the `Arc` that held this made everything before its last decrement visible.
        let current = self.board.current.load(Ordering::Relaxed);
        // SAFETY: `current` came from `Box::into_raw` and is never null; the last handle is gone, so nobody can
        // reach it any more, and it is never in the retire list at the same time.
        drop(unsafe { Box::from_raw(current) });
        self.left_behind.get_mut().clear();
    }
}

/// A replaced value on its way to be freed; dropping this frees it. Whoever drops it must know that no reader can
/// still hold it.
struct Retired<T> {
    node: NonNull<Node<T>>,
    /// Every reader that has reported this token or a later one is past the value.
    token: u64,
}

// SAFETY: a `Retired` is the sole owner of its node apart from readers' `&T`; see `Shared`.
unsafe impl<T: Send + Sync> Send for Retired<T> {}

impl<T> Drop for Retired<T> {
    fn drop(&mut self) {
        // SAFETY: `node` came from `Box::into_raw` and was swapped out of `current` exactly once, into this.
        // `Publisher::reclaim` drops it only after every reader has passed `token`; `Shared::drop` only when no
        // handle is left.
        drop(unsafe { Box::from_raw(self.node.as_ptr()) });
    }
}

/// Makes an epoch around `initial` with this many readers, all offline. The place in the list is the reader's
/// index.
pub fn epoch<T: Send + Sync>(initial: T, readers: usize) -> (Publisher<T>, Vec<Reader<T>>) {
    let first = Box::into_raw(Box::new(Node { version: 0, value: initial }));
    let shared = Arc::new(Shared {
        board: CachePadded::new(Board { current: AtomicPtr::new(first), token: AtomicU64::new(0) }),
        slots: (0..readers).map(|_| CachePadded::new(AtomicU64::new(OFFLINE))).collect(),
        left_behind: UnsafeCell::new(Vec::new()),
    });
    let readers = (0..readers)
        .map(|index| Reader {
            shared: shared.clone(),
            index,
            reported: OFFLINE,
            version: 0,
            not_sync: PhantomData,
        })
        .collect();
    (Publisher { shared, version: 0, retired: Vec::with_capacity(RETIRED_MAX) }, readers)
}

/// The only writer. Values are dropped on the thread that owns this, in [`publish`](Publisher::publish) and
/// [`reclaim`](Publisher::reclaim); once it is gone, the rest go with the last handle.
pub struct Publisher<T> {
    shared: Arc<Shared<T>>,
    version: u64,
    /// Oldest first.
    retired: Vec<Retired<T>>,
}

impl<T: Send + Sync> Publisher<T> {
    /// Makes `next` the live value and returns its version. Readers find it at their next
    /// [`borrow`](Reader::borrow). Never waits for them.
    ///
    /// # Errors
    /// [`PublishRefused`] when [`RETIRED_MAX`] replaced values still await a reader. Nothing has changed then;
    /// the error names the reader that lags most and hands `next` back.
    pub fn publish(&mut self, next: T) -> Result<u64, PublishRefused<T>> {
        self.reclaim();
        if self.retired.len() >= RETIRED_MAX {
            let (reader, passed) = self.laggard();
            return Err(PublishRefused { next, reader, passed, version: self.version });
        }
        let version = self.version + 1;
        let node = Box::into_raw(Box::new(Node { version, value: next }));
        let board = &self.shared.board;

        // P1. Release: who loads the pointer also sees what it points to.
        let old = board.current.swap(node, Ordering::Release);
        // P2, after P1: swapped, a reader reports the new token and then picks up the old value; see the head of
        // this file. Release keeps P1 before it, also on processors that reorder stores.
        board.token.store(version, Ordering::Release);
        // P3. Pairs with the fence in `Reader::online`: without it the slots below (or in any later `reclaim`)
        // may be read as they were before P1, and a reader that came online with the old value is missed.
        fence(Ordering::SeqCst);

        self.version = version;
        if let Some(node) = NonNull::new(old) {
            self.retired.push(Retired { node, token: version });
        }
        Ok(version)
    }

    /// Frees the replaced values that every reader has passed, and returns how many that were. Never waits.
    pub fn reclaim(&mut self) -> usize {
        if self.retired.is_empty() {
            return 0;
        }
        let (_, passed) = self.laggard();
        let free = self.retired.iter().take_while(|retired| retired.token <= passed).count();
        self.retired.drain(..free);
        free
    }

    /// The version of the live value: 0 for the initial one, one more with each publication.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The reader whose last report is the oldest, and the token of that report.
    fn laggard(&self) -> (usize, u64) {
        // P4. Acquire: the reads of the reader's bursts, which came before its report, are over before anything
        // that we do next, such as freeing what they read.
        let slots = self.shared.slots.iter().map(|slot| slot.load(Ordering::Acquire)).enumerate();
        slots.min_by_key(|(_, passed)| *passed).unwrap_or((0, OFFLINE))
    }
}

impl<T> Drop for Publisher<T> {
    fn drop(&mut self) {
        // SAFETY: this is the only publisher and it is going away, so nobody else writes `left_behind`; the only
        // reader is `Shared::drop`, which runs after our `Arc` is gone.
        unsafe { *self.shared.left_behind.get() = std::mem::take(&mut self.retired) };
    }
}

/// One worker's view of the epoch. Moves between threads, but belongs to one at a time: two threads that share a
/// slot could each speak for the other.
pub struct Reader<T> {
    shared: Arc<Shared<T>>,
    index: usize,
    /// What our slot holds. We are its only writer, so it need not be loaded.
    reported: u64,
    version: u64,
    not_sync: PhantomData<Cell<()>>,
}

impl<T: Send + Sync> Reader<T> {
    /// The live value. It stays valid until the reference is given up, however often another is published
    /// meanwhile. Comes online first if need be.
    pub fn borrow(&mut self) -> &T {
        self.borrow_versioned().1
    }

    /// As [`borrow`](Reader::borrow), with the value's version: a reader that keeps something made from the value
    /// sees by it when that is out of date.
    pub fn borrow_versioned(&mut self) -> (u64, &T) {
        if self.reported == OFFLINE {
            self.online();
        }
        // R1. Acquire: pairs with P1, so the value is seen as it was when it was published.
        let node = self.shared.board.current.load(Ordering::Acquire);
        // SAFETY: `node` was live when it was loaded, and we are online with a token no newer than its
        // replacement's: the publisher frees it only after our slot has passed that. Our slot changes only in
        // `quiesce`, `offline` and `drop`, and the returned reference borrows `self` mutably, so none of them can
        // run before it is given up.
        let node = unsafe { &*node };
        self.version = node.version;
        (node.version, &node.value)
    }

    /// The version of the value last borrowed; 0 before the first.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Our place among the readers; what [`PublishRefused::reader`] names.
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Says that nothing borrowed before is still held, as a worker does at the end of each turn. One load of a
    /// line that only publications write; a store, to our own line, only after one. Nothing while offline.
    pub fn quiesce(&mut self) {
        if self.reported == OFFLINE {
            return;
        }
        // R2. Acquire: pairs with P2. Relaxed, a later R1 might still load the pointer from before P1 although we
        // report the token from after it.
        let token = self.shared.board.token.load(Ordering::Acquire);
        if token != self.reported {
            self.report(token);
        }
    }

    /// Says that nothing is held from here on, so that the publisher need not wait for us: to be called before
    /// blocking or stopping.
    pub fn offline(&mut self) {
        if self.reported != OFFLINE {
            self.report(OFFLINE);
        }
    }

    /// Takes part again. [`borrow`](Reader::borrow) does it by itself; explicitly, it keeps the fence out of the
    /// first burst.
    pub fn online(&mut self) {
        if self.reported != OFFLINE {
            return;
        }
        // Relaxed is enough here, unlike in R2: the fence that follows also acquires what this load has seen, so
        // the token that we report is never newer than the pointer that we load next.
        let token = self.shared.board.token.load(Ordering::Relaxed);
        self.report(token);
        // Pairs with P3: the publisher must see our slot before we load the pointer, or else we see its new one.
        fence(Ordering::SeqCst);
    }

    /// R3. Release: our bursts' reads come before the report that they are over. Relaxed, the publisher could
    /// free a value under a read that the processor has not finished.
    fn report(&mut self, token: u64) {
        self.shared.slots[self.index].store(token, Ordering::Release);
        self.reported = token;
    }
}

impl<T> Drop for Reader<T> {
    fn drop(&mut self) {
        // Offline for ever. Release, as in R3.
        self.shared.slots[self.index].store(OFFLINE, Ordering::Release);
    }
}

/// Too many replaced values await a reader; nothing was published.
pub struct PublishRefused<T> {
    /// The value that was not published.
    pub next: T,
    /// Index of the reader that has not passed a quiescent state for the longest time.
    pub reader: usize,
    /// The version at which that reader last passed one.
    pub passed: u64,
    /// The version that stays live.
    pub version: u64,
}

impl<T> fmt::Display for PublishRefused<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PublishRefused { reader, passed, version, .. } = self;
        write!(
            f,
            "reader {reader} has passed no quiescent state since version {passed}; version {version} stays live \
             and {RETIRED_MAX} older ones cannot be freed"
        )
    }
}

impl<T> fmt::Debug for PublishRefused<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishRefused")
            .field("reader", &self.reader)
            .field("passed", &self.passed)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl<T> std::error::Error for PublishRefused<T> {}

/// Facts about threads that the safety argument rests on, checked when this compiles.
const _: () = {
    const fn send<T: Send>() {}
    send::<Publisher<u64>>();
    send::<Reader<u64>>();
    // Not `Sync`: were `Reader` so, both impls would fit and `_` could not be inferred.
    trait UnlessSync<Case> {
        const OK: () = ();
    }
    struct IsSync;
    impl<T: ?Sized> UnlessSync<()> for T {}
    impl<T: ?Sized + Sync> UnlessSync<IsSync> for T {}
    <Reader<u64> as UnlessSync<_>>::OK
};
