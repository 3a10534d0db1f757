//! Prefetch hints. A hint never faults, whatever the address, and never changes what a program computes.

/// Bytes that one prefetch fetches: the cache line of every x86-64 and of the common AArch64 cores.
pub const CACHE_LINE: usize = 64;

/// Asks for the cache line in which `value` begins, to read from.
#[inline(always)]
pub fn prefetch_read<T: ?Sized>(value: &T) {
    line_read(core::ptr::from_ref(value).cast());
}

/// Asks for the cache line in which `value` begins, to write to: other cores' copies are dropped at once, not
/// at the first store.
#[inline(always)]
pub fn prefetch_write<T: ?Sized>(value: &T) {
    line_write(core::ptr::from_ref(value).cast());
}

/// Asks for all lines of `slice[index]`, to read from; for elements of a few lines that begin on a line. An
/// index out of range is harmless and costs what any other does: there is no bounds check to mispredict.
#[inline(always)]
pub fn prefetch_element_read<T>(slice: &[T], index: usize) {
    each_line(slice, index, line_read);
}

/// As [`prefetch_element_read`], to write to.
#[inline(always)]
pub fn prefetch_element_write<T>(slice: &[T], index: usize) {
    each_line(slice, index, line_write);
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
    use core::arch::x86_64::{_MM_HINT_ET0, _MM_HINT_T0, _mm_prefetch};

    #[inline(always)]
    pub(super) fn line_read(address: *const u8) {
        // SAFETY: PREFETCHT0 is a hint: it reads nothing that the program can see and does not fault on any
        // address (Intel SDM vol. 2B, PREFETCHh). SSE is part of the x86-64 baseline.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }

    #[inline(always)]
    pub(super) fn line_write(address: *const u8) {
        // SAFETY: as above; PREFETCHW asks for ownership of the line but stores nothing.
        unsafe { _mm_prefetch::<_MM_HINT_ET0>(address.cast()) }
    }
}

#[cfg(any(not(target_arch = "x86_64"), miri))]
mod arch {
    #[inline(always)]
    pub(super) fn line_read(_address: *const u8) {}
    #[inline(always)]
    pub(super) fn line_write(_address: *const u8) {}
}

use arch::{line_read, line_write};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_leave_values_alone_and_take_any_index() {
        let table = [[7u64; 16]; 4];
        prefetch_read(&table[0]);
        prefetch_write("frame");
        for index in [0, 3, 4, 1 << 40, usize::MAX] {
            prefetch_element_read(&table, index);
            prefetch_element_write(&table, index);
        }
        prefetch_element_read::<u64>(&[], 0);
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
