//! A board of counters that one thread writes and any thread reads whole: a sequence lock over plain atomics, with
//! no `unsafe`.
//!
//! The worker must never wait for a scrape, and a scrape must see counters of one moment, or received + originated =
//! verdicts + held could not be asserted. So the writer makes the sequence odd, writes the words, and makes it even
//! again; a reader that saw the same even number before and after has read one moment's words, else it tries again
//! (Boehm, "Can seqlocks get along with programming language memory models?", MSPC 2012, figure 6).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

struct Shared<const N: usize> {
    sequence: AtomicU64,
    words: [AtomicU64; N],
}

/// The only writer.
pub struct BoardWriter<const N: usize>(Arc<Shared<N>>);

/// One of any number of readers.
#[derive(Clone)]
pub struct BoardReader<const N: usize>(Arc<Shared<N>>);

/// Makes a board of `N` words, all zero.
pub fn board<const N: usize>() -> (BoardWriter<N>, BoardReader<N>) {
    let shared = Arc::new(Shared { sequence: AtomicU64::new(0), words: [const { AtomicU64::new(0) }; N] });
    (BoardWriter(Arc::clone(&shared)), BoardReader(shared))
}

impl<const N: usize> BoardWriter<N> {
    /// Replaces all words. Never waits.
    pub fn publish(&mut self, words: &[u64; N]) {
        let shared = &*self.0;
        let sequence = shared.sequence.load(Ordering::Relaxed);
        shared.sequence.store(sequence + 1, Ordering::Relaxed);
        // Keeps the words below from becoming visible before the odd number does: a reader that sees any of them
        // and then fences finds the sequence changed.
        fence(Ordering::Release);
        for (cell, word) in shared.words.iter().zip(words) {
            cell.store(*word, Ordering::Relaxed);
        }
        // Pairs with the reader's first load: an even number brings its words along.
        shared.sequence.store(sequence + 2, Ordering::Release);
    }
}

impl<const N: usize> BoardReader<N> {
    /// The words of one publication, and its number from 1 (0: nothing was published yet).
    pub fn read(&self) -> ([u64; N], u64) {
        let shared = &*self.0;
        loop {
            let before = shared.sequence.load(Ordering::Acquire);
            if before.is_multiple_of(2) {
                let mut words = [0; N];
                for (word, cell) in words.iter_mut().zip(&shared.words) {
                    *word = cell.load(Ordering::Relaxed);
                }
                // Keeps the loads above from moving below the second look at the sequence.
                fence(Ordering::Acquire);
                if shared.sequence.load(Ordering::Relaxed) == before {
                    return (words, before / 2);
                }
            }
            // The writer is between its two stores, for nanoseconds; or its thread was put to sleep there, and the
            // core should go to it.
            std::thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn a_reader_never_sees_two_moments_at_once() {
        let (mut writer, reader) = board::<64>();
        let stop = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (reader, stop) = (reader.clone(), Arc::clone(&stop));
                std::thread::spawn(move || {
                    let mut last = 0;
                    let mut reads = 0;
                    while !stop.load(Ordering::Relaxed) || reads == 0 {
                        let (words, number) = reader.read();
                        assert!(words.iter().all(|word| *word == words[0]), "torn: {words:?}");
                        assert_eq!(words[0], number, "the words are not those of this publication");
                        assert!(number >= last, "went back");
                        last = number;
                        reads += 1;
                    }
                })
            })
            .collect();
        for number in 1..=200_000 {
            writer.publish(&[number; 64]);
        }
        stop.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.join().unwrap();
        }
        assert_eq!(reader.read(), ([200_000; 64], 200_000));
    }
}
