//! Frames across the border, by ownership.
//!
//! Capsule makes its `Mbuf` from a raw pointer, and gives one up, only inside the crate; from outside there is `Mbuf::new`,
//! which allocates, and dropping, which frees. Both end here, in the functions that DPDK calls alloc and free. So a frame
//! enters when [`offer`] holds it out to the alloc within `Mbuf::new`, and leaves when [`catch`] keeps it from the free
//! within its drop. Nothing is assumed about how capsule lays out its types, and no byte of the frame is touched.
//!
//! All of it is per thread.

use std::cell::Cell;
use std::ops::Sub;
use std::ptr::{NonNull, null_mut};
use weir_dpdk_sys::rte_mbuf;

thread_local! {
    /// Held out to the next alloc; null for none.
    static OFFERED: Cell<*mut rte_mbuf> = const { Cell::new(null_mut()) };
    /// Whether the next free is to be kept from its frame.
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    /// The frame that was kept; null for none.
    static CAUGHT: Cell<*mut rte_mbuf> = const { Cell::new(null_mut()) };
    static FREED: Cell<Freed> = const { Cell::new(Freed { frames: 0, bytes: 0 }) };
}

/// What capsule has freed on a thread since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freed {
    /// Frames.
    pub frames: u64,
    /// Their bytes, over all segments.
    pub bytes: u64,
}

impl Sub for Freed {
    type Output = Freed;

    fn sub(self, earlier: Freed) -> Freed {
        Freed { frames: self.frames - earlier.frames, bytes: self.bytes - earlier.bytes }
    }
}

/// Runs `take` while `frame` is what the thread's next [`_rte_pktmbuf_alloc`](crate::_rte_pktmbuf_alloc) returns. Gives
/// back what `take` returned, and the frame where nothing asked for it.
///
/// # Safety
/// `frame` is a valid mbuf that the caller owns. Unless it is given back, whoever called alloc owns it.
#[inline]
pub unsafe fn offer<T>(frame: NonNull<rte_mbuf>, take: impl FnOnce() -> T) -> (T, Option<NonNull<rte_mbuf>>) {
    /// Also when `take` panics: the frame must not be held out to whoever allocates next.
    struct Withdraw;
    impl Drop for Withdraw {
        fn drop(&mut self) {
            OFFERED.set(null_mut());
        }
    }
    let _withdraw = Withdraw;
    OFFERED.set(frame.as_ptr());
    let taken = take();
    (taken, NonNull::new(OFFERED.get()))
}

/// Runs `give`, and keeps the first frame that it frees from being freed. `None` where it freed none.
#[inline]
pub fn catch(give: impl FnOnce()) -> Option<NonNull<rte_mbuf>> {
    /// Also when `give` panics: frames freed later are to be freed.
    struct Stop;
    impl Drop for Stop {
        fn drop(&mut self) {
            CATCHING.set(false);
        }
    }
    let _stop = Stop;
    CAUGHT.set(null_mut());
    CATCHING.set(true);
    give();
    NonNull::new(CAUGHT.get())
}

/// What capsule has freed on this thread, frames that were [caught](catch) aside.
#[inline]
pub fn freed() -> Freed {
    FREED.get()
}

#[inline]
pub(crate) fn take_offered() -> Option<NonNull<rte_mbuf>> {
    NonNull::new(OFFERED.replace(null_mut()))
}

/// Whether the frame is kept.
#[inline]
pub(crate) fn put_caught(frame: *mut rte_mbuf) -> bool {
    let catching = CATCHING.replace(false);
    if catching {
        CAUGHT.set(frame);
    }
    catching
}

/// # Safety
/// `frame` is a valid mbuf.
#[inline]
pub(crate) unsafe fn count_freed(frame: *const rte_mbuf) {
    let Freed { frames, bytes } = FREED.get();
    // SAFETY: the caller's promise.
    let length = unsafe { (*frame).pkt_len };
    FREED.set(Freed { frames: frames + 1, bytes: bytes + u64::from(length) });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::{_rte_pktmbuf_alloc, _rte_pktmbuf_free};

    #[test]
    fn what_is_offered_is_what_is_allocated_once_and_what_is_freed_is_what_is_caught() {
        let mut mbuf = rte_mbuf::default();
        let frame = NonNull::from(&mut mbuf);
        // SAFETY: no pool is touched: the frame is offered, then caught.
        unsafe {
            let (got, left) = offer(frame, || [(); 2].map(|()| _rte_pktmbuf_alloc(null_mut())));
            assert_eq!((got, left), ([frame.as_ptr(), null_mut()], None));
            assert_eq!(catch(|| _rte_pktmbuf_free(frame.as_ptr())), Some(frame));
        }
        assert_eq!(freed(), Freed::default());
    }

    #[test]
    fn what_nobody_takes_comes_back_and_where_nothing_is_freed_nothing_is_caught() {
        let mut mbuf = rte_mbuf::default();
        let frame = NonNull::from(&mut mbuf);
        // SAFETY: nobody asks for the frame, which comes back.
        let ((), left) = unsafe { offer(frame, || ()) };
        assert_eq!(left, Some(frame));
        assert!(take_offered().is_none());
        assert_eq!(catch(|| ()), None);
        assert!(!put_caught(frame.as_ptr()));
    }

    #[test]
    fn a_panic_leaves_neither_an_offer_nor_a_trap_behind() {
        let mut mbuf = rte_mbuf::default();
        let frame = NonNull::from(&mut mbuf);
        // SAFETY: nobody asks for the frame.
        let offered = std::panic::catch_unwind(|| unsafe { offer(frame, || panic!("on purpose")) });
        assert!(offered.is_err() && take_offered().is_none());
        let caught = std::panic::catch_unwind(|| catch(|| panic!("on purpose")));
        assert!(caught.is_err() && !put_caught(frame.as_ptr()));
    }
}
