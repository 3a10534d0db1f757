//! What DPDK defines inline on mbufs and queues.

use crate::handover;
use std::ffi::{c_int, c_uint, c_void};
use weir_dpdk_sys as sys;
use weir_dpdk_sys::{rte_mbuf, rte_mempool};

/// An mbuf of `pool`, or the frame that [`handover::offer`] holds out. Null where the pool is empty, or null itself: that
/// is what capsule has on a thread that its runtime does not manage.
///
/// # Safety
/// `pool` is null or a valid pool of mbufs.
#[inline]
pub unsafe fn _rte_pktmbuf_alloc(pool: *mut rte_mempool) -> *mut rte_mbuf {
    if let Some(offered) = handover::take_offered() {
        return offered.as_ptr();
    }
    if pool.is_null() {
        return std::ptr::null_mut();
    }
    // SAFETY: the caller's promise, and not null.
    unsafe { sys::weir_pktmbuf_alloc(pool) }
}

/// `count` mbufs of `pool`, or none and an error below zero.
///
/// # Safety
/// `pool` is null or a valid pool of mbufs; `into` has room for `count` pointers.
pub unsafe fn _rte_pktmbuf_alloc_bulk(
    pool: *mut rte_mempool,
    into: *mut *mut rte_mbuf,
    count: c_uint,
) -> c_int {
    /// ENOENT, as DPDK answers when a pool does not hold as many.
    const TOO_FEW: c_int = -2;
    for at in 0..count as usize {
        let frame = match pool.is_null() {
            true => std::ptr::null_mut(),
            // SAFETY: the caller's promise, and not null.
            false => unsafe { sys::weir_pktmbuf_alloc(pool) },
        };
        if frame.is_null() {
            // SAFETY: the first `at` pointers are mbufs that nobody else has seen.
            unsafe { sys::rte_pktmbuf_free_bulk(into, at as c_uint) };
            return TOO_FEW;
        }
        // SAFETY: `at` is below `count`.
        unsafe { into.add(at).write(frame) };
    }
    0
}

/// Frees a frame, all its segments, unless [`handover::catch`] waits for it.
///
/// # Safety
/// `frame` is a valid mbuf that the caller owns, and nobody uses it afterwards.
#[inline]
pub unsafe fn _rte_pktmbuf_free(frame: *mut rte_mbuf) {
    if handover::put_caught(frame) {
        return;
    }
    // SAFETY: the caller's promise.
    unsafe {
        handover::count_freed(frame);
        sys::weir_pktmbuf_free(frame);
    }
}

/// Frees `count` frames. Capsule names one pool for all of them, the first one's, also where they are of several, and
/// knows no segments; DPDK's function would take it at its word. Here each segment goes to the pool of its own.
///
/// # Safety
/// `frames` are `count` valid mbufs that the caller owns, and nobody uses them afterwards.
pub unsafe fn _rte_mempool_put_bulk(_pool: *mut rte_mempool, frames: *const *mut c_void, count: c_uint) {
    let frames = frames.cast::<*mut rte_mbuf>();
    // SAFETY: the caller's promise; DPDK reads the array and does not write to it, in spite of its type.
    unsafe {
        for at in 0..count as usize {
            handover::count_freed(frames.add(at).read());
        }
        sys::rte_pktmbuf_free_bulk(frames.cast_mut(), count);
    }
}

/// Takes up to `room` frames that have arrived.
///
/// # Safety
/// The port is started and has the queue, which no other thread polls; `frames` has room for `room` pointers.
#[inline]
pub unsafe fn _rte_eth_rx_burst(port: u16, queue: u16, frames: *mut *mut rte_mbuf, room: u16) -> u16 {
    // SAFETY: the caller's promise.
    unsafe { sys::weir_rx_burst(port, queue, frames, room) }
}

/// Sends up to `count` frames and returns how many the port has taken.
///
/// # Safety
/// The port is started and has the queue, which no other thread uses; `frames` are `count` mbufs that the caller owns.
/// Those that were taken it owns no more.
#[inline]
pub unsafe fn _rte_eth_tx_burst(port: u16, queue: u16, frames: *mut *mut rte_mbuf, count: u16) -> u16 {
    // SAFETY: the caller's promise.
    unsafe { sys::weir_tx_burst(port, queue, frames, count) }
}
