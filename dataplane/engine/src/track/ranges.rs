//! A small bounded set of sequence numbers, as sorted disjoint ranges.
//!
//! Bounded means that it may have to refuse or forget. Both err to the same side: a byte that the set does not
//! know is accounted for later, by the cumulative acknowledgement, and none is counted twice.

use super::seq::{before, earlier, later, span};

/// At most `N` ranges.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ranges<const N: usize> {
    starts: [u32; N],
    ends: [u32; N],
    len: u8,
}

impl<const N: usize> Ranges<N> {
    pub(super) const EMPTY: Ranges<N> = Ranges { starts: [0; N], ends: [0; N], len: 0 };

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Adds `start..end`. Returns how many numbers were not in the set before; none, and no change, when the range
    /// touches no other and all `N` are taken.
    pub(super) fn insert(&mut self, start: u32, end: u32) -> u32 {
        if !before(start, end) {
            return 0;
        }
        let len = self.len();
        // Ranges `first..last` overlap or touch the new one.
        let first = (0..len).find(|&i| !before(self.ends[i], start)).unwrap_or(len);
        let last = (first..len).find(|&i| before(end, self.starts[i])).unwrap_or(len);
        if first == last {
            if len == N {
                return 0;
            }
            self.starts.copy_within(first..len, first + 1);
            self.ends.copy_within(first..len, first + 1);
            (self.starts[first], self.ends[first]) = (start, end);
            self.len += 1;
            return span(start, end);
        }
        let known: u32 = (first..last).map(|i| span(self.starts[i], self.ends[i])).sum();
        self.starts[first] = earlier(self.starts[first], start);
        self.ends[first] = later(self.ends[last - 1], end);
        self.close_up(first + 1, last);
        span(self.starts[first], self.ends[first]) - known
    }

    /// Takes `start..end` out. Returns how many numbers of it were in the set. Where a range would fall in two and
    /// all `N` are taken, its upper part is forgotten.
    pub(super) fn remove(&mut self, start: u32, end: u32) -> u32 {
        let mut removed = 0;
        let mut i = 0;
        while i < self.len() {
            let (from, to) = (self.starts[i], self.ends[i]);
            let overlap = span(later(from, start), earlier(to, end));
            if overlap == 0 {
                i += 1;
                continue;
            }
            removed += overlap;
            match (before(from, start), before(end, to)) {
                (false, false) => {
                    self.close_up(i, i + 1);
                    continue;
                }
                (false, true) => self.starts[i] = end,
                (true, false) => self.ends[i] = start,
                (true, true) => {
                    self.ends[i] = start;
                    self.insert(end, to);
                }
            }
            i += 1;
        }
        removed
    }

    /// Takes out everything before `seq`. Returns how many numbers that was.
    #[inline]
    pub(super) fn remove_before(&mut self, seq: u32) -> u32 {
        if self.is_empty() || !before(self.starts[0], seq) {
            return 0;
        }
        self.remove(self.starts[0], seq)
    }

    /// How many numbers are in the set.
    pub(super) fn total(&self) -> u32 {
        (0..self.len()).map(|i| span(self.starts[i], self.ends[i])).sum()
    }

    /// How many numbers of `start..end` are in the set.
    #[inline]
    pub(super) fn overlap(&self, start: u32, end: u32) -> u32 {
        (0..self.len()).map(|i| span(later(self.starts[i], start), earlier(self.ends[i], end))).sum()
    }

    /// Drops ranges `from..to`.
    fn close_up(&mut self, from: usize, to: usize) {
        let len = self.len();
        self.starts.copy_within(to..len, from);
        self.ends.copy_within(to..len, from);
        self.len -= (to - from) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// Near the wrap, so that every comparison meets it.
    const BASE: u32 = u32::MAX - 40;

    #[derive(Clone, Debug)]
    enum Op {
        Insert(u32, u32),
        Remove(u32, u32),
        RemoveBefore(u32),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            3 => (0..90u32, 1..12u32).prop_map(|(start, len)| Op::Insert(start, start + len)),
            1 => (0..90u32, 1..12u32).prop_map(|(start, len)| Op::Remove(start, start + len)),
            1 => (0..90u32).prop_map(Op::RemoveBefore),
        ]
    }

    proptest! {
        #[test]
        fn agrees_with_a_set(ops in prop::collection::vec(op(), 0..60)) {
            // Sixty-four ranges never fill up here, so nothing may be refused.
            let mut ranges = Ranges::<64>::EMPTY;
            let mut oracle = BTreeSet::new();
            for op in ops {
                let size = oracle.len();
                let told = match op {
                    Op::Insert(start, end) => {
                        oracle.extend(start..end);
                        ranges.insert(BASE.wrapping_add(start), BASE.wrapping_add(end))
                    }
                    Op::Remove(start, end) => {
                        oracle.retain(|n| !(start..end).contains(n));
                        ranges.remove(BASE.wrapping_add(start), BASE.wrapping_add(end))
                    }
                    Op::RemoveBefore(seq) => {
                        oracle.retain(|&n| n >= seq);
                        ranges.remove_before(BASE.wrapping_add(seq))
                    }
                };
                prop_assert_eq!(told as usize, size.abs_diff(oracle.len()));
                prop_assert_eq!(ranges.overlap(BASE, BASE.wrapping_add(200)) as usize, oracle.len());
                prop_assert_eq!(ranges.is_empty(), oracle.is_empty());
            }
        }

        #[test]
        fn a_full_set_never_tells_a_number_twice(ops in prop::collection::vec(op(), 0..80)) {
            let mut ranges = Ranges::<3>::EMPTY;
            let mut inside = 0;
            for op in ops {
                match op {
                    Op::Insert(start, end) => {
                        inside += ranges.insert(BASE.wrapping_add(start), BASE.wrapping_add(end));
                        prop_assert_eq!(ranges.overlap(BASE, BASE.wrapping_add(200)), inside);
                    }
                    // Only a split may forget, so what is left is never more than told.
                    Op::Remove(start, end) => {
                        let removed = ranges.remove(BASE.wrapping_add(start), BASE.wrapping_add(end));
                        let left = ranges.overlap(BASE, BASE.wrapping_add(200));
                        prop_assert!(left + removed <= inside);
                        inside = left;
                    }
                    Op::RemoveBefore(seq) => inside -= ranges.remove_before(BASE.wrapping_add(seq)),
                }
            }
        }
    }
}
