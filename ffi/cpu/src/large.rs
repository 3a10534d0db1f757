//! Tables of more entries than the processor's address caches reach.

use core::mem::MaybeUninit;

/// Below this a table is left alone: the address caches hold its small pages (Zen 4: 3 072 of 4 KiB), and many small tables
/// would each waste most of a large page.
const BYTES_MIN: usize = 4 << 20;
/// A multiple of every base page that Linux has on the processors that Weir is built for.
#[cfg(not(miri))]
const BASE_PAGE: usize = 64 << 10;

/// A slice of `len` entries, `entry` of each index, all of it written: the packet path meets no page for the first time.
///
/// A large one is put on large pages, as far as the kernel has transparent ones and is not set against them
/// (`/sys/kernel/mm/transparent_hugepage/enabled`). Of a table in small pages, an entry costs a walk through the page table
/// besides its lines; 32 entries of 448 bytes out of a million, asked for together and then read, took 110 cycles each on
/// large pages and 177 on small ones (Zen 4).
pub fn large_slice<T>(len: usize, entry: impl FnMut(usize) -> T) -> Box<[T]> {
    let mut entries = Vec::with_capacity(len);
    let spare = entries.spare_capacity_mut();
    if size_of_val(spare) >= BYTES_MIN {
        ask_for_large_pages(spare);
    }
    entries.extend((0..len).map(entry));
    entries.into_boxed_slice()
}

#[cfg(not(miri))]
fn ask_for_large_pages<T>(memory: &mut [MaybeUninit<T>]) {
    use nix::sys::mman::{MmapAdvise, madvise};
    let start = memory.as_mut_ptr().cast::<u8>();
    let before = start.addr().next_multiple_of(BASE_PAGE) - start.addr();
    let bytes = size_of_val(memory).saturating_sub(before) / BASE_PAGE * BASE_PAGE;
    if let Some(first) = core::ptr::NonNull::new(start.wrapping_add(before).cast())
        && bytes > 0
    {
        // SAFETY: the range lies within `memory`, which is ours alone. The advice changes no content, only in which pages it is
        // kept (madvise(2), MADV_HUGEPAGE). A kernel without them refuses: the table is as good, and slower.
        let _ = unsafe { madvise(first, bytes, MmapAdvise::MADV_HUGEPAGE) };
    }
}

#[cfg(miri)]
fn ask_for_large_pages<T>(_memory: &mut [MaybeUninit<T>]) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_those_of_their_indices_whatever_the_size() {
        for len in [0, 1, 1_000, (BYTES_MIN / 8) - 1, BYTES_MIN / 8, 5_000_003] {
            let table = large_slice(len, |index| index as u64 ^ 0x5a5a);
            assert_eq!(table.len(), len);
            assert!(table.iter().enumerate().all(|(index, entry)| *entry == index as u64 ^ 0x5a5a));
        }
        assert_eq!(large_slice(1 << 40, |_| ()).len(), 1 << 40);
    }

    /// What the kernel says of the pages around `address`.
    #[cfg(target_os = "linux")]
    fn flags_of(address: usize) -> Option<String> {
        let maps = std::fs::read_to_string("/proc/self/smaps").ok()?;
        let mut inside = false;
        for line in maps.lines() {
            if let Some((from, to)) = line.split(' ').next().and_then(|range| range.split_once('-'))
                && let (Ok(from), Ok(to)) = (usize::from_str_radix(from, 16), usize::from_str_radix(to, 16))
            {
                inside = (from..to).contains(&address);
            } else if inside && let Some(flags) = line.strip_prefix("VmFlags:") {
                return Some(flags.to_owned());
            }
        }
        None
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn only_large_tables_ask_for_large_pages() {
        if !std::path::Path::new("/sys/kernel/mm/transparent_hugepage/enabled").exists() {
            eprintln!("SKIPPED: this kernel has no transparent hugepages");
            return;
        }
        let asked = |table: &[u64]| {
            let middle = table.as_ptr().addr() + size_of_val(table) / 2;
            flags_of(middle).is_some_and(|flags| flags.split(' ').any(|flag| flag == "hg"))
        };
        assert!(asked(&large_slice(BYTES_MIN, |_| 0)));
        assert!(!asked(&large_slice(1_000, |_| 0)));
    }
}
