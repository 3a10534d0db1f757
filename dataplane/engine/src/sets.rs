//! Where flows lie that are known by their keyed 64-bit hash alone: sets of eight ways, a cache line of hashes each.
//!
//! Two flows of one hash share a place. A place is a number below [`Sets::places`]; what is kept there, and who makes way where all
//! ways are taken, is the caller's.

use core::ops::Range;
use weir_cpu::large_slice;

/// Ways of a set: hashes of one cache line.
const WAYS: usize = 8;
/// Ways per flow that a table is made for: at half the load few sets are full.
const WAYS_PER_FLOW: usize = 2;
/// Nobody.
const FREE: u64 = 0;

/// Hashes by set.
#[derive(Debug)]
pub(crate) struct Sets {
    sets: Box<[Set]>,
    /// The lowest bit of a hash that chooses the set.
    shift: u32,
}

#[derive(Debug)]
#[repr(align(64))]
struct Set([u64; WAYS]);

impl Sets {
    /// Sets for this many flows, rounded up; none for none. Which bits of a hash choose the set: those from `shift` on.
    pub(crate) fn new(flows: u32, shift: u32) -> Sets {
        let sets = match flows as usize * WAYS_PER_FLOW {
            0 => 0,
            ways => ways.div_ceil(WAYS).next_power_of_two(),
        };
        Sets { sets: large_slice(sets, |_| Set([FREE; WAYS])), shift }
    }

    /// Sets.
    pub(crate) fn len(&self) -> usize {
        self.sets.len()
    }

    /// Places of all sets.
    pub(crate) fn places(&self) -> usize {
        self.sets.len() * WAYS
    }

    /// The places of one set.
    pub(crate) fn places_of(set: usize) -> Range<usize> {
        set * WAYS..(set + 1) * WAYS
    }

    /// The set of a hash.
    #[inline]
    pub(crate) fn set_of(&self, hash: u64) -> usize {
        (hash >> self.shift) as usize & self.sets.len().wrapping_sub(1)
    }

    /// Asks for the memory that a look-up will read.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u64) {
        weir_cpu::prefetch_element(&self.sets, self.set_of(hash));
    }

    /// The place of a hash.
    #[inline]
    pub(crate) fn find(&self, hash: u64) -> Option<usize> {
        self.position(hash, key(hash))
    }

    /// A free place of its set.
    pub(crate) fn vacancy(&self, hash: u64) -> Option<usize> {
        self.position(hash, FREE)
    }

    #[inline]
    fn position(&self, hash: u64, wanted: u64) -> Option<usize> {
        let set = self.set_of(hash);
        let way = self.sets.get(set)?.0.iter().position(|known| *known == wanted)?;
        Some(set * WAYS + way)
    }

    /// Whether somebody has this place.
    #[inline]
    pub(crate) fn is_taken(&self, place: usize) -> bool {
        self.sets.get(place / WAYS).is_some_and(|set| set.0[place % WAYS] != FREE)
    }

    /// Gives a place of its set to a hash.
    pub(crate) fn put(&mut self, place: usize, hash: u64) {
        debug_assert_eq!(place / WAYS, self.set_of(hash));
        self.write(place, key(hash));
    }

    /// Takes it away.
    pub(crate) fn clear(&mut self, place: usize) {
        self.write(place, FREE);
    }

    fn write(&mut self, place: usize, key: u64) {
        if let Some(set) = self.sets.get_mut(place / WAYS) {
            set.0[place % WAYS] = key;
        }
    }
}

/// What stands for a hash.
#[inline]
fn key(hash: u64) -> u64 {
    hash.max(FREE + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_has_one_place_in_its_own_set() {
        for shift in [0, 16] {
            let mut sets = Sets::new(5, shift);
            assert_eq!((sets.len(), sets.places()), (2, 16));
            let hash = |n: u64| n << shift;
            // All even ones share a set, 0 among them.
            for n in 0..8 {
                assert_eq!(sets.find(hash(2 * n)), None);
                let place = sets.vacancy(hash(2 * n)).unwrap();
                assert!(Sets::places_of(sets.set_of(hash(2 * n))).contains(&place) && !sets.is_taken(place));
                sets.put(place, hash(2 * n));
                assert!(sets.is_taken(place) && sets.find(hash(2 * n)) == Some(place));
            }
            assert_eq!((sets.vacancy(hash(16)), sets.find(hash(16))), (None, None));
            assert!(sets.vacancy(hash(1)).is_some());
            sets.clear(sets.find(hash(6)).unwrap());
            assert_eq!(sets.find(hash(6)), None);
            assert!(sets.vacancy(hash(16)).is_some());
        }
    }

    #[test]
    fn none_is_room_for_none() {
        let mut sets = Sets::new(0, 0);
        assert_eq!((sets.places(), sets.find(7), sets.vacancy(7), sets.is_taken(0)), (0, None, None, false));
        sets.prefetch(7);
        sets.clear(3);
    }
}
