//! A frame in DPDK's memory, owned.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::slice;
use thiserror::Error;
use weir_dpdk_sys as sys;

/// One frame: a chain of one or more buffers of a [`Pool`](crate::Pool). Dropping it gives the buffers back.
///
/// The bytes are those of the first buffer ([`Mbuf::bytes`]): the whole frame, unless the port was allowed to
/// scatter. Frames are not shared: nothing here makes a second reference to a buffer.
#[repr(transparent)]
pub struct Mbuf {
    raw: NonNull<sys::rte_mbuf>,
    owns: PhantomData<sys::rte_mbuf>,
}

// SAFETY: an mbuf belongs to one owner at a time, and its pool may be used from every thread.
unsafe impl Send for Mbuf {}

/// A type that is an [`Mbuf`] and nothing else, so that queues can move it without unpacking. For the crate that
/// wraps `Mbuf` to give it a trait of its own.
///
/// # Safety
/// The type is `#[repr(transparent)]` over `Mbuf`, adds no drop code and no invariant of its own.
pub unsafe trait Transparent {}

// SAFETY: it is the type itself.
unsafe impl Transparent for Mbuf {}

/// The buffer's free room does not hold the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{wanted} bytes do not fit the {room} free bytes of the buffer")]
pub struct NoRoom {
    /// Bytes to add.
    pub wanted: usize,
    /// Bytes free at that end.
    pub room: usize,
}

impl Mbuf {
    /// Takes ownership of an mbuf.
    ///
    /// # Safety
    /// `raw` is a valid mbuf (the head of its chain) with a reference count of 1, from a pool that is never
    /// freed, and nobody else will use or free it.
    pub unsafe fn from_raw(raw: NonNull<sys::rte_mbuf>) -> Mbuf {
        Mbuf { raw, owns: PhantomData }
    }

    /// Gives up ownership: the caller frees the mbuf or hands it on.
    pub fn into_raw(self) -> NonNull<sys::rte_mbuf> {
        ManuallyDrop::new(self).raw
    }

    #[inline(always)]
    fn head(&self) -> &sys::rte_mbuf {
        // SAFETY: owned and alive (`from_raw`); borrowed no longer than `self`.
        unsafe { self.raw.as_ref() }
    }

    /// The bytes of the first buffer.
    #[inline(always)]
    pub fn bytes(&self) -> &[u8] {
        bytes_of(self.head())
    }

    /// The same bytes, to rewrite in place.
    #[inline(always)]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let (start, length) = data_of(self.head());
        // SAFETY: as in `bytes_of`, and `&mut self` makes this the only view: buffers are never shared.
        unsafe { slice::from_raw_parts_mut(start, length) }
    }

    /// The length of the whole frame in bytes, over all buffers, without FCS.
    #[inline(always)]
    pub fn wire_len(&self) -> u32 {
        self.head().pkt_len
    }

    /// The bytes buffer by buffer: one slice, unless the port scatters.
    pub fn segments(&self) -> impl Iterator<Item = &[u8]> {
        let next = |segment: &&sys::rte_mbuf| {
            // SAFETY: the chain belongs to `self`; its links are null or valid mbufs.
            unsafe { segment.next.as_ref() }
        };
        std::iter::successors(Some(self.head()), next).map(bytes_of)
    }

    /// Adds bytes at the end of a frame of one buffer.
    ///
    /// # Errors
    /// The buffer's tail is too short (there is none to add to in a chain); the frame is unchanged.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), NoRoom> {
        let head = self.head();
        let used = usize::from(head.data_off) + usize::from(head.data_len);
        let room = if head.nb_segs == 1 { usize::from(head.buf_len).saturating_sub(used) } else { 0 };
        if bytes.len() > room {
            return Err(NoRoom { wanted: bytes.len(), room });
        }
        // SAFETY: `used + bytes.len()` lies within the buffer, which `&mut self` owns alone; `room` fits 16 bits,
        // and so do the lengths after adding.
        unsafe {
            let head = self.raw.as_mut();
            head.buf_addr.cast::<u8>().add(used).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            head.data_len += bytes.len() as u16;
            head.pkt_len += bytes.len() as u32;
        }
        Ok(())
    }

    /// Adds bytes in front of the frame, in the buffer's headroom.
    ///
    /// # Errors
    /// The headroom is too short; the frame is unchanged.
    pub fn prepend(&mut self, bytes: &[u8]) -> Result<(), NoRoom> {
        let room = usize::from(self.head().data_off);
        if bytes.len() > room {
            return Err(NoRoom { wanted: bytes.len(), room });
        }
        // SAFETY: `room - bytes.len()` lies within the buffer, which `&mut self` owns alone; the data offset plus
        // length is at most `buf_len`, so the sum below fits 16 bits.
        unsafe {
            let head = self.raw.as_mut();
            head.data_off -= bytes.len() as u16;
            head.data_len += bytes.len() as u16;
            head.pkt_len += bytes.len() as u32;
            let start = head.buf_addr.cast::<u8>().add(usize::from(head.data_off));
            start.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
        Ok(())
    }

    /// Takes bytes off the frame's front. Returns whether the first buffer has that many; if not, the frame is unchanged.
    pub fn trim_front(&mut self, len: usize) -> bool {
        let there = len <= usize::from(self.head().data_len);
        if there {
            // SAFETY: the data of the first buffer stay within it: what the offset gains, the length loses. `len` fits 16
            // bits, being at most `data_len`, and `pkt_len` counts those bytes too.
            unsafe {
                let head = self.raw.as_mut();
                head.data_off += len as u16;
                head.data_len -= len as u16;
                head.pkt_len -= len as u32;
            }
        }
        there
    }
}

impl Drop for Mbuf {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: owned, and nobody uses it afterwards.
        unsafe { sys::weir_pktmbuf_free(self.raw.as_ptr()) }
    }
}

impl std::fmt::Debug for Mbuf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mbuf")
            .field("wire_len", &self.wire_len())
            .field("segments", &self.head().nb_segs)
            .finish()
    }
}

#[inline(always)]
fn data_of(segment: &sys::rte_mbuf) -> (*mut u8, usize) {
    // `wrapping_add` computes an address only; that it lies in the buffer is argued where it is read.
    (segment.buf_addr.cast::<u8>().wrapping_add(usize::from(segment.data_off)), usize::from(segment.data_len))
}

#[inline(always)]
fn bytes_of(segment: &sys::rte_mbuf) -> &[u8] {
    let (start, length) = data_of(segment);
    // SAFETY: DPDK keeps `data_off + data_len <= buf_len`, drivers and `append` write what they count, and the
    // buffer lives and stays unwritten as long as the borrow of its mbuf.
    unsafe { slice::from_raw_parts(start, length) }
}
