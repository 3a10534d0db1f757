//! Counts that several workers keep, each for itself, and whose sums each of them may ask for.
//!
//! ```text
//!   worker 0 --store--> [ own line ] <--load--.
//!   worker 1 --store--> [ own line ] <--load-- whoever wants the sum
//! ```
//!
//! Each worker writes a line of its own and no other, with plain stores: no two cores ever write the same one. A sum is not of
//! one moment: each part is as its worker showed it last. Counts only rise, so a sum that is asked for later is never less.

use crate::primitive::{Arc, AtomicU64, Ordering};
use crossbeam_utils::CachePadded;

/// One worker's place among those that count `N` things together.
#[derive(Clone, Debug)]
pub struct SharedCounts<const N: usize> {
    workers: Arc<Vec<CachePadded<[AtomicU64; N]>>>,
    own: usize,
}

impl<const N: usize> SharedCounts<N> {
    /// A place for each worker, all counts zero. All memory is allocated here.
    pub fn mesh(workers: usize) -> Vec<SharedCounts<N>> {
        let line = |_| CachePadded::new(core::array::from_fn(|_| AtomicU64::new(0)));
        // Loom's `Arc` takes no slice.
        let all = Arc::new((0..workers).map(line).collect::<Vec<_>>());
        (0..workers).map(|own| SharedCounts { workers: Arc::clone(&all), own }).collect()
    }

    /// Shows the others what this worker has counted.
    #[inline]
    pub fn show(&self, counts: &[u64; N]) {
        let Some(line) = self.workers.get(self.own) else { return };
        for (shown, count) in line.iter().zip(counts) {
            // Relaxed: a count is all that is handed over, nothing is reached through it.
            shown.store(*count, Ordering::Relaxed);
        }
    }

    /// What the others have shown of one thing, together.
    pub fn of_others(&self, thing: usize) -> u64 {
        let others = self.workers.iter().enumerate().filter(|(worker, _)| *worker != self.own);
        let shown = |line: &[AtomicU64; N]| line.get(thing).map_or(0, |count| count.load(Ordering::Relaxed));
        others.map(|(_, line)| shown(line)).sum()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn each_sees_the_sum_of_what_the_others_have_shown() {
        let places = SharedCounts::<2>::mesh(3);
        for (worker, place) in places.iter().enumerate() {
            place.show(&[worker as u64 + 1, 100]);
        }
        assert_eq!(places.iter().map(|place| place.of_others(0)).collect::<Vec<_>>(), [5, 4, 3]);
        assert_eq!((places[0].of_others(1), places[0].of_others(2)), (200, 0));
        places[2].show(&[7, 100]);
        assert_eq!((places[0].of_others(0), places[2].of_others(0)), (9, 3));
        assert_eq!(SharedCounts::<2>::mesh(1)[0].of_others(0), 0);
    }

    #[test]
    fn a_sum_that_is_asked_for_later_is_never_less() {
        let mut places = SharedCounts::<1>::mesh(3);
        let last = places.remove(0);
        std::thread::scope(|scope| {
            for place in &places {
                scope.spawn(move || (0..10_000).for_each(|count| place.show(&[count])));
            }
            let mut before = 0;
            while before < 2 * 9_999 {
                let sum = last.of_others(0);
                assert!(sum >= before);
                before = sum;
            }
        });
    }
}
