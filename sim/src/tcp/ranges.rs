//! Which of the numbers from 0 on have been seen.

/// Disjoint ranges `[start, end)` in rising order; neighbours are one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Adds a range, and shows each part of it that was not there.
    pub(super) fn insert(&mut self, start: u64, end: u64, mut new: impl FnMut(u64, u64)) {
        if start >= end {
            return;
        }
        // All that touch it, neighbours included.
        let from = self.0.partition_point(|range| range.1 < start);
        let mut at = start;
        let mut to = from;
        let mut merged = (start, end);
        while let Some(&(low, high)) = self.0.get(to)
            && low <= end
        {
            if at < low {
                new(at, low);
            }
            at = at.max(high);
            merged = (merged.0.min(low), merged.1.max(high));
            to += 1;
        }
        if at < end {
            new(at, end);
        }
        self.0.splice(from..to, [merged]);
    }

    /// The range that holds `number`.
    pub(super) fn around(&self, number: u64) -> Option<(u64, u64)> {
        let at = self.0.partition_point(|range| range.1 <= number);
        self.0.get(at).copied().filter(|range| range.0 <= number)
    }

    /// Forgets what is below `number`.
    pub(super) fn forget_below(&mut self, number: u64) {
        let gone = self.0.partition_point(|range| range.1 <= number);
        self.0.drain(..gone);
        if let Some(first) = self.0.first_mut() {
            first.0 = first.0.max(number);
        }
    }

    /// Takes the range that begins at or below `number` and ends above it off the front, and says where it ends.
    pub(super) fn take_front(&mut self, number: u64) -> Option<u64> {
        let (start, end) = *self.0.first()?;
        if start > number {
            return None;
        }
        self.0.remove(0);
        Some(end.max(number))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn as_a_set_of_numbers(inserts in proptest::collection::vec((0_u64..60, 0_u64..12), 1..30), below in 0_u64..60) {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            for (start, len) in inserts {
                let mut new = Vec::new();
                ranges.insert(start, start + len, |low, high| new.extend(low..high));
                let expected: Vec<u64> = (start..start + len).filter(|n| set.insert(*n)).collect();
                prop_assert_eq!(new, expected);
            }
            ranges.forget_below(below);
            set.retain(|n| *n >= below);
            prop_assert_eq!(ranges.is_empty(), set.is_empty());
            for n in 0..80 {
                prop_assert_eq!(ranges.around(n).is_some(), set.contains(&n));
            }
            prop_assert!(ranges.0.windows(2).all(|pair| pair[0].1 < pair[1].0));
            if let Some(&first) = set.first() {
                prop_assert_eq!(ranges.take_front(first), Some((first..).find(|n| !set.contains(n)).unwrap()));
            }
        }
    }
}
