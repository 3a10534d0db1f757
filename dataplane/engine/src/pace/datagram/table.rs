//! Which flows of datagrams there are, and which of them are to be looked at: a bounded table by hash, and a dense list of those that there
//! are, so that a round over them costs what there is and not what there may be.

use super::super::Whose;
use crate::flow::PacedId;
use crate::sets::Sets;
use crate::time::Ns;
use crate::verdict::Verdict;
use arrayvec::ArrayVec;
use weir_cpu::large_slice;

/// Intervals that end at most per turn because of an answer.
const ENDS_PER_TURN: usize = 16;
/// The lowest bits of a hash choose sets of other tables, the highest workers.
const SET_BITS_FROM: u32 = 16;

/// The datagram flows of a worker.
pub(in crate::pace) struct Datagrams {
    /// Places in the slab that are TCP's; behind them are these flows'.
    first: u32,
    sets: Sets,
    /// Where each flow is, by its place in those.
    slots: Box<[u32]>,
    flows: Box<[Known]>,
    free: Vec<u32>,
    /// Those that there are, in no order.
    active: Vec<u32>,
    /// Who is looked at next, how many are to be looked at, and who is looked at next for silence.
    cursor: usize,
    pending: usize,
    swept: usize,
    /// Whose interval is to end now.
    due: ArrayVec<u32, ENDS_PER_TURN>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    hash: u64,
    seen: Ns,
    /// Its place among those that there are.
    at: u32,
    /// Its interval is to end now.
    is_due: bool,
}

impl Datagrams {
    /// Everything is allocated here.
    pub(in crate::pace) fn new(first: u32, places: u32) -> Datagrams {
        let sets = Sets::new(places, SET_BITS_FROM);
        Datagrams {
            first,
            slots: large_slice(sets.places(), |_| 0),
            sets,
            flows: large_slice(places as usize, |_| Known::default()),
            free: (0..places).rev().collect(),
            active: Vec::with_capacity(places as usize),
            cursor: 0,
            pending: 0,
            swept: 0,
            due: ArrayVec::new(),
        }
    }

    /// Whether there is room for any flow at all.
    #[inline]
    pub(in crate::pace) fn has_places(&self) -> bool {
        !self.flows.is_empty()
    }

    /// Flows that there are.
    pub(in crate::pace) fn len(&self) -> usize {
        self.active.len()
    }

    /// Which of these flows has this place of the slab.
    #[inline]
    pub(in crate::pace) fn slot_of(&self, index: u32) -> Option<u32> {
        index.checked_sub(self.first)
    }

    /// Whose a departing datagram is.
    pub(in crate::pace) fn whose(&self, slot: u32, bytes: u32) -> Whose {
        let hash = self.flows.get(slot as usize).map_or(0, |known| known.hash);
        match PacedId::new(self.index(slot)) {
            Some(id) => Whose::Datagrams { id, hash, bytes },
            None => Whose::Nobody { hash, verdict: Verdict::Paced, begins: false },
        }
    }

    /// Its place in the slab.
    pub(in crate::pace) fn index(&self, slot: u32) -> u32 {
        self.first + slot
    }

    /// Whether something is to be done that waits for nothing.
    pub(in crate::pace) fn is_busy(&self) -> bool {
        self.pending > 0 || !self.due.is_empty()
    }

    /// The place of the flow with this hash.
    pub(in crate::pace) fn find(&self, hash: u64) -> Option<u32> {
        self.slots.get(self.sets.find(hash)?).copied()
    }

    /// A flow begins, in a place of its own, if there is one.
    pub(in crate::pace) fn open(&mut self, hash: u64, now: Ns) -> Option<u32> {
        let place = self.sets.vacancy(hash)?;
        let slot = self.free.pop()?;
        self.sets.put(place, hash);
        self.slots[place] = slot;
        let at = self.active.len() as u32;
        self.flows[slot as usize] = Known { hash, seen: now, at, is_due: false };
        self.active.push(slot);
        Some(slot)
    }

    /// It is over.
    pub(in crate::pace) fn close(&mut self, slot: u32) {
        let Known { hash, at, .. } = self.flows[slot as usize];
        if let Some(place) = self.sets.find(hash) {
            self.sets.clear(place);
        }
        self.active.swap_remove(at as usize);
        if let Some(moved) = self.active.get(at as usize) {
            self.flows[*moved as usize].at = at;
        }
        self.free.push(slot);
    }

    /// A datagram of the flow has come.
    #[inline]
    pub(in crate::pace) fn touch(&mut self, slot: u32, now: Ns) {
        if let Some(known) = self.flows.get_mut(slot as usize) {
            known.seen = now;
        }
    }

    /// Each flow is to be looked at.
    pub(in crate::pace) fn look_at_all(&mut self) {
        self.pending = self.active.len();
    }

    /// Whether no more intervals may end in this turn.
    pub(in crate::pace) fn ends_no_more(&self) -> bool {
        self.due.is_full()
    }

    /// Another flow in each call, and since when it has been silent; one whose interval is about to end is passed over.
    pub(in crate::pace) fn sweep(&mut self) -> Option<(u32, Ns)> {
        if self.swept >= self.active.len() {
            self.swept = 0;
        }
        let slot = *self.active.get(self.swept)?;
        self.swept += 1;
        let known = self.flows.get(slot as usize).filter(|known| !known.is_due)?;
        Some((slot, known.seen))
    }

    /// The next one to be looked at, if any is.
    pub(in crate::pace) fn next(&mut self) -> Option<u32> {
        self.pending = self.pending.min(self.active.len());
        self.pending = self.pending.checked_sub(1)?;
        if self.cursor >= self.active.len() {
            self.cursor = 0;
        }
        let slot = self.active.get(self.cursor).copied();
        self.cursor += 1;
        slot
    }

    /// The interval of a flow is to end, in this turn or the next, if there is room.
    pub(in crate::pace) fn end(&mut self, slot: u32) {
        let index = self.index(slot);
        if let Some(known) = self.flows.get_mut(slot as usize)
            && !known.is_due
            && self.due.try_push(index).is_ok()
        {
            known.is_due = true;
        }
    }

    /// The intervals that are to end now, by their places in the slab.
    pub(in crate::pace) fn take_due(&mut self) -> ArrayVec<u32, ENDS_PER_TURN> {
        let due = core::mem::take(&mut self.due);
        for index in &due {
            if let Some(known) = self.slot_of(*index).and_then(|slot| self.flows.get_mut(slot as usize)) {
                known.is_due = false;
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_are_found_by_their_hash_until_they_are_closed() {
        let mut datagrams = Datagrams::new(100, 8);
        let hashes: Vec<u64> = (1..=8_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        let slots: Vec<u32> = hashes.iter().map(|hash| datagrams.open(*hash, Ns(1)).unwrap()).collect();
        assert_eq!(datagrams.open(99 << 16, Ns(1)), None, "full");
        for (hash, slot) in hashes.iter().zip(&slots) {
            assert_eq!(datagrams.find(*hash), Some(*slot));
            assert_eq!(datagrams.slot_of(datagrams.index(*slot)), Some(*slot));
        }
        assert_eq!(datagrams.slot_of(99), None);
        for (hash, slot) in hashes.iter().zip(&slots).step_by(2) {
            datagrams.close(*slot);
            assert_eq!(datagrams.find(*hash), None);
        }
        assert_eq!(datagrams.len(), 4);
        for (hash, slot) in hashes.iter().zip(&slots).skip(1).step_by(2) {
            assert_eq!(datagrams.find(*hash), Some(*slot));
        }
        assert!(datagrams.open(99 << 16, Ns(1)).is_some());
    }

    #[test]
    fn after_an_answer_each_flow_is_looked_at_once() {
        let mut datagrams = Datagrams::new(0, 16);
        for hash in 0..10_u64 {
            datagrams.open(hash << 16, Ns(1)).unwrap();
        }
        assert_eq!(datagrams.next(), None);
        for round in 0..3 {
            datagrams.look_at_all();
            let mut seen: Vec<u32> = (0..7).map_while(|_| datagrams.next()).collect();
            assert!(datagrams.is_busy(), "round {round}");
            seen.extend(std::iter::from_fn(|| datagrams.next()));
            seen.sort_unstable();
            assert_eq!(seen, (0..10).collect::<Vec<_>>(), "round {round}");
        }
        assert_eq!(Datagrams::new(7, 0).find(5), None);
        assert_eq!(Datagrams::new(7, 0).open(5, Ns(1)), None);
    }

    #[test]
    fn an_interval_is_to_end_once() {
        let mut datagrams = Datagrams::new(50, 32);
        for hash in 0..20_u64 {
            let slot = datagrams.open(hash << 16, Ns(1)).unwrap();
            datagrams.end(slot);
            datagrams.end(slot);
        }
        assert_eq!(datagrams.take_due().as_slice(), (50..66).collect::<Vec<_>>());
        assert!(datagrams.take_due().is_empty());
        datagrams.end(3);
        assert_eq!(datagrams.take_due().as_slice(), [53]);
    }
}
