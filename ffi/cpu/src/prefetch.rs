//! Prefetch hints. A hint never faults, whatever the address, and never changes what a program computes.

/// Bytes that one prefetch fetches: the cache line of every x86-64 and of the common AArch64 cores.
pub const CACHE_LINE: usize = 64;

/// Asks for all lines of `slice[index]`, into the second-level cache; for elements of a few lines that begin on a line. An
/// index out of range is harmless and costs what any other does: there is no bounds check to mispredict.
///
/// Not into the first level: a burst asks for some three hundred lines before it reads the first, and the first level has
/// room for two dozen requests. Zen 4 drops the hints beyond those, so that nearly each line was waited for after all: 32
/// elements of 448 bytes out of a million, all on large pages, asked for and then read one after the other, cost 462
/// cycles of the time-stamp counter each with PREFETCHT0 and 110 with PREFETCHT1. Nothing that is asked for is shared
/// between cores, so a line that is read is owned already: a hint to write (PREFETCHW) has nothing to add.
#[inline(always)]
pub fn prefetch_element<T>(slice: &[T], index: usize) {
    each_line(slice, index, line);
}

/// Asks for the first bytes of a frame, as many as headers commonly take: a card leaves frames in memory, or at best in the third
/// level. Into the first level, because they are read at once, and a burst's are hardly more than it keeps track of (frames from
/// memory, forwarded by a Zen 4: 93 ns each so, 117 by way of the second level, 128 without).
#[inline(always)]
pub fn prefetch_headers(frame: &[u8]) {
    near_line(frame.as_ptr());
    if frame.len() > CACHE_LINE {
        near_line(frame.as_ptr().wrapping_add(CACHE_LINE));
    }
}

#[inline(always)]
fn each_line<T>(slice: &[T], index: usize, hint: impl Fn(*const u8)) {
    // `wrapping_add`: an address is computed, never read, so it may lie outside the slice.
    let start = slice.as_ptr().wrapping_add(index).cast::<u8>();
    for line in 0..size_of::<T>().div_ceil(CACHE_LINE) {
        hint(start.wrapping_add(line * CACHE_LINE));
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod arch {
    use core::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};

    #[inline(always)]
    pub(super) fn line(address: *const u8) {
        // SAFETY: PREFETCHT1 is a hint: it reads nothing that the program can see and does not fault on any
        // address (Intel SDM vol. 2B, PREFETCHh). SSE is part of the x86-64 baseline.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(address.cast()) }
    }

    #[inline(always)]
    pub(super) fn near_line(address: *const u8) {
        // SAFETY: as above; this one is PREFETCHT0.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }
}

#[cfg(any(not(target_arch = "x86_64"), miri))]
mod arch {
    #[inline(always)]
    pub(super) fn line(_address: *const u8) {}
    #[inline(always)]
    pub(super) fn near_line(_address: *const u8) {}
}

use arch::{line, near_line};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_leave_values_alone_and_take_any_index() {
        let table = [[7u64; 16]; 4];
        for index in [0, 3, 4, 1 << 40, usize::MAX] {
            prefetch_element(&table, index);
            prefetch_headers(&[7; 60]);
            prefetch_headers(&[]);
        }
        prefetch_element::<u64>(&[], 0);
        assert_eq!(table, [[7u64; 16]; 4]);
    }

    #[test]
    fn an_element_is_covered_line_by_line() {
        let table = [[0u8; 130]; 2];
        let asked = std::cell::RefCell::new(Vec::new());
        each_line(&table, 1, |address| asked.borrow_mut().push(address.addr() - table.as_ptr().addr()));
        assert_eq!(*asked.borrow(), [130, 194, 258]);
    }
}
