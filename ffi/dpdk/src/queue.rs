//! The hot loop's two calls: receive a burst, send a burst.
//!
//! `rte_eth_rx_burst` and `rte_eth_tx_burst` are inline functions in C. Their bodies are repeated here over
//! `rte_eth_fp_ops`, DPDK's public table of a port's fast-path functions, which saves a call per burst. A queue
//! with debugging callbacks installed takes the C version, which runs them.

use crate::mbuf::Transparent;
use crate::port::Shared;
use arrayvec::ArrayVec;
use std::ffi::c_void;
use std::mem::size_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};
use weir_dpdk_sys as sys;

/// One receive queue of a started port. There is one value per queue; the port stays open while it lives.
#[derive(Debug)]
pub struct RxQueue {
    port: Arc<Shared>,
    queue: u16,
}

/// One transmit queue of a started port. There is one value per queue; the port stays open while it lives.
#[derive(Debug)]
pub struct TxQueue {
    port: Arc<Shared>,
    queue: u16,
}

impl RxQueue {
    /// # Safety
    /// The port is started with this queue set up, and no other value exists for it.
    pub(crate) unsafe fn new(port: Arc<Shared>, queue: u16) -> RxQueue {
        RxQueue { port, queue }
    }

    /// Appends frames that arrived to `into`, up to its free room, and returns how many. Some drivers deliver
    /// only in groups of 4 or 8, so offer at least that much room. A port that was removed delivers none.
    #[inline]
    pub fn rx<T: Transparent, const N: usize>(&mut self, into: &mut ArrayVec<T, N>) -> usize {
        const { assert!(size_of::<T>() == size_of::<*mut sys::rte_mbuf>()) };
        if self.port.is_removed() {
            return 0;
        }
        let held = into.len();
        let room = (N - held).min(usize::from(u16::MAX)) as u16;
        // SAFETY: the port is started and `queue` set up (`new`), and `&mut self` keeps other threads off it. The
        // driver writes at most `room` pointers, each to an mbuf that it gives away, into the vector's free room;
        // `T` is such a pointer (`Transparent`), so `got` more elements are initialised when `set_len` says so.
        unsafe {
            let frames = into.as_mut_ptr().add(held).cast::<*mut sys::rte_mbuf>();
            let ops = fast_path(&self.port);
            let callbacks = has_callbacks(&(*ops).rxq, self.queue);
            let got = match (*ops).rx_pkt_burst {
                Some(burst) if !callbacks => burst(queue_data(&(*ops).rxq, self.queue), frames, room),
                _ => sys::weir_rx_burst(self.port.id(), self.queue, frames, room),
            };
            into.set_len(held + usize::from(got));
            usize::from(got)
        }
    }
}

impl TxQueue {
    /// # Safety
    /// The port is started with this queue set up, and no other value exists for it.
    pub(crate) unsafe fn new(port: Arc<Shared>, queue: u16) -> TxQueue {
        TxQueue { port, queue }
    }

    /// Takes frames from the front of `from` and sends them, and returns how many. Those that the queue has no
    /// room for stay in `from`, in order. A port that was removed takes none.
    #[inline]
    pub fn tx<T: Transparent, const N: usize>(&mut self, from: &mut ArrayVec<T, N>) -> usize {
        const { assert!(size_of::<T>() == size_of::<*mut sys::rte_mbuf>()) };
        let count = from.len().min(usize::from(u16::MAX)) as u16;
        if count == 0 || self.port.is_removed() {
            return 0;
        }
        // SAFETY: the port is started and `queue` set up (`new`), and `&mut self` keeps other threads off it. The
        // first `count` elements are owned mbufs (`Transparent`). The driver takes the first `sent` of them,
        // which `forget_front` then removes without dropping, so none is freed twice.
        unsafe {
            let frames = from.as_mut_ptr().cast::<*mut sys::rte_mbuf>();
            let ops = fast_path(&self.port);
            let callbacks = has_callbacks(&(*ops).txq, self.queue);
            let sent = match (*ops).tx_pkt_burst {
                Some(burst) if !callbacks => burst(queue_data(&(*ops).txq, self.queue), frames, count),
                _ => sys::weir_tx_burst(self.port.id(), self.queue, frames, count),
            };
            let sent = usize::from(sent).min(usize::from(count));
            forget_front(from, sent);
            sent
        }
    }
}

/// Removes the first `gone` elements, which now belong to somebody else, and moves the rest to the front.
///
/// # Safety
/// `gone` is at most `from.len()`, and those elements are not used again.
#[inline(always)]
unsafe fn forget_front<T, const N: usize>(from: &mut ArrayVec<T, N>, gone: usize) {
    let left = from.len() - gone;
    // SAFETY: source and target lie within the vector; the `left` elements moved are the initialised ones.
    unsafe {
        if left != 0 && gone != 0 {
            let start = from.as_mut_ptr();
            start.copy_from(start.add(gone), left);
        }
        from.set_len(left);
    }
}

/// The port's row of the table. Read through a raw pointer: DPDK rewrites other ports' rows at any time.
#[inline(always)]
fn fast_path(port: &Shared) -> *const sys::rte_eth_fp_ops {
    (&raw const sys::rte_eth_fp_ops).cast::<sys::rte_eth_fp_ops>().wrapping_add(usize::from(port.id()))
}

/// # Safety
/// The port is started, so its arrays hold an entry for `queue`.
#[inline(always)]
unsafe fn queue_data(queues: &sys::rte_ethdev_qdata, queue: u16) -> *mut c_void {
    // SAFETY: the caller's promise.
    unsafe { *queues.data.add(usize::from(queue)) }
}

/// # Safety
/// The port is started, so its arrays hold an entry for `queue`.
#[inline(always)]
unsafe fn has_callbacks(queues: &sys::rte_ethdev_qdata, queue: u16) -> bool {
    // SAFETY: the caller's promise; another thread may install a callback meanwhile, hence the atomic load.
    let installed =
        unsafe { AtomicPtr::from_ptr(queues.clbk.add(usize::from(queue))).load(Ordering::Relaxed) };
    !installed.is_null()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[test]
    fn the_front_is_forgotten_and_the_tail_kept_in_order() {
        for gone in 0..=4 {
            let items: Vec<Rc<usize>> = (0..4).map(Rc::new).collect();
            let mut held: ArrayVec<Rc<usize>, 4> = items.iter().cloned().collect();
            // SAFETY: at most 4; the forgotten counts are accounted for below.
            unsafe { forget_front(&mut held, gone) };
            assert!(held.iter().map(|item| **item).eq(gone..4));
            drop(held);
            for (index, item) in items.iter().enumerate() {
                assert_eq!(
                    Rc::strong_count(item),
                    if index < gone { 2 } else { 1 },
                    "dropped once, or not at all"
                );
            }
            for item in &items[..gone] {
                // SAFETY: gives back the count that was forgotten.
                unsafe { Rc::decrement_strong_count(Rc::as_ptr(item)) };
            }
        }
    }
}
