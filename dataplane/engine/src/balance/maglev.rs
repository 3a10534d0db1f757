//! Weighted consistent hashing: Maglev's table (Eisenbud et al., NSDI 2016, section 3.4).

use super::config::PATHS_MAX;
use crate::hash::split_mix;

/// Entries: a prime, so that every skip visits all of them, and some 250 for each of eight paths, which keeps shares within
/// a percent or so of the weights.
pub(super) const ENTRIES: usize = 2_039;
const NOBODY: u8 = u8::MAX;

/// Which path a hash belongs to.
#[derive(Debug)]
pub(super) struct Maglev {
    table: Box<[u8; ENTRIES]>,
}

impl Maglev {
    /// Allocates; [`fill`](Maglev::fill) does not.
    pub(super) fn new() -> Maglev {
        Maglev { table: Box::new([NOBODY; ENTRIES]) }
    }

    /// Each path in turn takes the next free entry of its own permutation, as often as its weight says. `names` are what a
    /// path's permutation follows from, so that its place in the configuration does not matter.
    pub(super) fn fill(&mut self, names: &[u64], weights: &[u16; PATHS_MAX]) {
        self.table.fill(NOBODY);
        let total: u64 = names.iter().zip(weights).map(|(_, weight)| u64::from(*weight)).sum();
        if total == 0 {
            return;
        }
        let mut next = [0_u64; PATHS_MAX];
        // A path whose credit reaches the total may take an entry: the largest remainder's way of being fair at all times.
        let mut credit = [0_u64; PATHS_MAX];
        let mut free = ENTRIES;
        while free > 0 {
            for (path, (name, weight)) in names.iter().zip(weights).enumerate().take(PATHS_MAX) {
                credit[path] += u64::from(*weight);
                if credit[path] < total {
                    continue;
                }
                credit[path] -= total;
                let (offset, skip) = (split_mix(*name), split_mix(!*name) % (ENTRIES as u64 - 1) + 1);
                loop {
                    let at = ((offset % ENTRIES as u64 + next[path] * skip) % ENTRIES as u64) as usize;
                    next[path] += 1;
                    if self.table[at] == NOBODY {
                        self.table[at] = path as u8;
                        free -= 1;
                        break;
                    }
                }
                if free == 0 {
                    break;
                }
            }
        }
    }

    /// The path of a hash; `None` where no path has any weight.
    #[inline]
    pub(super) fn find(&self, hash: u64) -> Option<usize> {
        let path = self.table[(hash % ENTRIES as u64) as usize];
        (path != NOBODY).then_some(usize::from(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(names: &[u64], weights: [u16; PATHS_MAX]) -> Maglev {
        let mut maglev = Maglev::new();
        maglev.fill(names, &weights);
        maglev
    }

    #[test]
    fn shares_follow_the_weights() {
        let maglev = filled(&[11, 22, 33, 44], [1, 2, 0, 5, 0, 0, 0, 0]);
        let mut counts = [0_usize; 4];
        (0..ENTRIES as u64).for_each(|hash| counts[maglev.find(hash).unwrap()] += 1);
        for (count, expected) in counts.into_iter().zip([255, 510, 0, 1_274]) {
            assert!(count.abs_diff(expected) <= 2, "{counts:?}");
        }
        assert_eq!(filled(&[11, 22], [0; PATHS_MAX]).find(5), None);
    }

    #[test]
    fn a_path_that_goes_moves_few_others() {
        let names = [11, 22, 33, 44, 55];
        let before = filled(&names, [1, 1, 1, 1, 1, 0, 0, 0]);
        let after = filled(&names, [1, 1, 0, 1, 1, 0, 0, 0]);
        let moved = (0..ENTRIES as u64)
            .filter(|hash| before.find(*hash) != Some(2) && before.find(*hash) != after.find(*hash))
            .count();
        assert!(moved < ENTRIES / 10, "{moved} of {ENTRIES} moved that need not");
    }
}
