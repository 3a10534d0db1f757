//! A pool of equal buffers for frames.

use crate::error::{Errno, PoolError};
use crate::{Eal, Mbuf};
use std::ffi::CString;
use std::ptr::NonNull;
use weir_dpdk_sys as sys;

/// A mempool of mbufs. It lives as long as the process; the value is a handle.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    raw: NonNull<sys::rte_mempool>,
    frame_room: u16,
}

// SAFETY: the pool is never freed, and its default ring takes many producers and consumers at once.
unsafe impl Send for Pool {}
// SAFETY: as above; all methods take `&self` and call functions that are safe across threads.
unsafe impl Sync for Pool {}

/// The longest name: RTE_MEMPOOL_NAMESIZE less its NUL.
const NAME_MAX: usize = 25;

impl Pool {
    /// Makes a pool of `buffers` buffers that hold `frame_room` bytes of frame each, plus DPDK's usual headroom
    /// for prepending. Each lcore keeps up to `cache` free buffers of its own, so `buffers` should exceed the
    /// descriptors of all receive queues, the frames held, and `1.5 * cache` per lcore.
    ///
    /// # Errors
    /// The name is taken or too long, a size is out of range, or EAL's memory does not suffice.
    pub fn new(eal: Eal, name: &str, buffers: u32, cache: u32, frame_room: u16) -> Result<Pool, PoolError> {
        let refuse = |what: String| PoolError::Argument { name: name.to_owned(), what };
        let c_name = match CString::new(name) {
            Ok(c_name) if (1..=NAME_MAX).contains(&name.len()) => c_name,
            _ => return Err(refuse(format!("a name has 1 to {NAME_MAX} bytes, none of them NUL"))),
        };
        let headroom = sys::RTE_PKTMBUF_HEADROOM as u16;
        let Some(data_room) = frame_room.checked_add(headroom) else {
            return Err(refuse(format!("a buffer holds at most {} bytes", u16::MAX - headroom)));
        };
        if cache > sys::RTE_MEMPOOL_CACHE_MAX_SIZE || u64::from(cache) * 3 > u64::from(buffers) * 2 {
            return Err(refuse(format!(
                "a cache holds at most {} buffers and two thirds of the pool ({buffers})",
                sys::RTE_MEMPOOL_CACHE_MAX_SIZE
            )));
        }
        let (made, log) = eal.control(|| {
            // SAFETY: `eal` proves that EAL runs; the name is NUL-terminated and copied. -1 is SOCKET_ID_ANY.
            let raw =
                unsafe { sys::rte_pktmbuf_pool_create(c_name.as_ptr(), buffers, cache, 0, data_room, -1) };
            NonNull::new(raw).ok_or_else(Errno::last)
        });
        let raw = made.map_err(|errno| PoolError::Create {
            name: name.to_owned(),
            buffers,
            mb: u64::from(buffers) * (u64::from(data_room) + 256) / 1_000_000,
            errno,
            log,
        })?;
        Ok(Pool { raw, frame_room })
    }

    /// An empty frame, or `None` when all buffers are in use.
    #[inline]
    pub fn alloc(&self) -> Option<Mbuf> {
        // SAFETY: the pool lives; the result is null or an mbuf that nobody else owns.
        unsafe { NonNull::new(sys::weir_pktmbuf_alloc(self.raw.as_ptr())).map(|raw| Mbuf::from_raw(raw)) }
    }

    /// Buffers that can be taken, those in lcores' caches included. Exact while no thread takes or frees.
    pub fn available(&self) -> u32 {
        // SAFETY: the pool lives.
        unsafe { sys::rte_mempool_avail_count(self.raw.as_ptr()) }
    }

    /// Buffers that are in frames or in ports' receive rings.
    pub fn in_use(&self) -> u32 {
        // SAFETY: the pool lives.
        unsafe { sys::rte_mempool_in_use_count(self.raw.as_ptr()) }
    }

    /// Bytes of frame that one buffer holds.
    pub fn frame_room(&self) -> u16 {
        self.frame_room
    }

    pub(crate) fn as_ptr(&self) -> *mut sys::rte_mempool {
        self.raw.as_ptr()
    }
}
