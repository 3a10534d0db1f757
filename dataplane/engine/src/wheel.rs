//! A hierarchical timing wheel of `u32` handles.
//!
//! ```text
//! near   1 024 slots of 2^13 ns (8.192 us): the current epoch of 2^23 ns (8.4 ms), slot by slot
//! far      256 slots of 2^23 ns: one per later epoch, 2.1 s in all
//! ```
//!
//! A handle whose time lies in the current epoch goes into the near slot that begins at or after that time, so it
//! comes out never early and, while the caller keeps up, less than one slot late. Any other goes into its epoch's
//! far slot; when the cursor enters that epoch the far slot is emptied, in order, into the near ones. One epoch's
//! handles are thus all near or all far, and two handles put in with non-decreasing times come out in the order
//! in which they went in.
//!
//! A slot is a queue of chunks from a pool that is allocated once, never a list through the handles' own entries:
//! walking such a list misses the cache once per handle (measured with 100 000 handles: 164 ns against 3.5).

use crate::time::Ns;
use weir_cpu::large_slice;

/// log2 of the width of a near slot in nanoseconds.
const SLOT_BITS: u32 = 13;
/// log2 of the near slots.
const NEAR_BITS: u32 = 10;
const NEAR_SLOTS: usize = 1 << NEAR_BITS;
const FAR_SLOTS: usize = 256;
const SLOTS: usize = NEAR_SLOTS + FAR_SLOTS;
/// Handles per chunk: with the link, four cache lines.
const CHUNK: usize = 63;
const NONE: u32 = u32::MAX;

/// The width of a slot: how late a handle may come out.
pub const SLOT: Ns = Ns(1 << SLOT_BITS);
/// A time at most this far ahead is kept exactly; one further ahead comes out early, and the caller puts the handle
/// in again.
pub const HORIZON: Ns = Ns(((FAR_SLOTS as u64) - 1) << (NEAR_BITS + SLOT_BITS));

/// A bounded set of handles, each with a time at which it comes out. A handle may be inside once.
#[derive(Debug)]
pub struct Wheel {
    /// The slot that is emptied next, counted from the origin of time. No handle lies before it.
    cursor: u64,
    len: u32,
    near_used: [u64; NEAR_SLOTS / 64],
    far_used: [u64; FAR_SLOTS / 64],
    /// Near slots, then far ones.
    slots: Box<[Slot]>,
    chunks: Box<[Chunk]>,
    free: u32,
    /// The near slot, counted from the origin modulo 2^32, of each handle that is in a far slot.
    due: Box<[u32]>,
}

/// A queue: chunks `head` to `tail`, read from `read` in the first, written at `write` in the last.
#[derive(Clone, Copy, Debug)]
struct Slot {
    head: u32,
    tail: u32,
    read: u16,
    write: u16,
}

#[derive(Clone, Debug)]
struct Chunk {
    next: u32,
    handles: [u32; CHUNK],
}

const _: () = assert!(size_of::<Chunk>() == 256);

impl Wheel {
    /// A wheel for the handles below `handles`, with its cursor at `now`. Everything is allocated here.
    pub fn new(handles: u32, now: Ns) -> Wheel {
        let handles = handles as usize;
        // A slot of n > 0 handles holds at most n / CHUNK + 2 chunks: a partly read head, a partly written tail.
        // Only the slot at the cursor, or the far slot being emptied, is partly read, hence 2 beyond the sum.
        let chunks = handles.min(SLOTS) + handles / CHUNK + 2;
        let mut pool = large_slice(chunks, |_| Chunk { next: NONE, handles: [NONE; CHUNK] });
        for (index, chunk) in pool.iter_mut().enumerate() {
            chunk.next = if index + 1 < chunks { index as u32 + 1 } else { NONE };
        }
        Wheel {
            cursor: now.0 >> SLOT_BITS,
            len: 0,
            near_used: [0; NEAR_SLOTS / 64],
            far_used: [0; FAR_SLOTS / 64],
            slots: vec![Slot { head: NONE, tail: NONE, read: 0, write: 0 }; SLOTS].into_boxed_slice(),
            chunks: pool,
            free: 0,
            due: large_slice(handles, |_| 0),
        }
    }

    /// Handles inside.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether no handle is inside.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts in `handle`, which must not be inside, to come out at `at`: at once where that has passed, no later
    /// than the [`HORIZON`] where it lies beyond.
    pub fn insert(&mut self, handle: u32, at: Ns) {
        debug_assert!((handle as usize) < self.due.len() && (self.len as usize) < self.due.len());
        let epoch = self.cursor >> NEAR_BITS;
        let last = ((epoch + FAR_SLOTS as u64) << NEAR_BITS) - 1;
        let tick = at.0.div_ceil(1 << SLOT_BITS).clamp(self.cursor, last);
        self.len += 1;
        if tick >> NEAR_BITS == epoch {
            self.append_near(handle, tick);
        } else {
            let slot = (tick >> NEAR_BITS) as usize % FAR_SLOTS;
            self.due[handle as usize] = tick as u32;
            self.far_used[slot / 64] |= 1 << (slot % 64);
            self.append(NEAR_SLOTS + slot, handle);
        }
    }

    /// Takes out the next handle whose time has come at `now`; in order of time, and of insertion within a slot. A
    /// clock that steps back takes out nothing until it has caught up.
    pub fn pop(&mut self, now: Ns) -> Option<u32> {
        let target = now.0 >> SLOT_BITS;
        if target < self.cursor {
            return None;
        }
        loop {
            let epoch = self.cursor >> NEAR_BITS;
            if let Some(slot) = next_set(&self.near_used, self.cursor as usize % NEAR_SLOTS) {
                let tick = (epoch << NEAR_BITS) + slot as u64;
                if tick > target {
                    self.cursor = target;
                    return None;
                }
                self.cursor = tick;
                let (handle, emptied) = self.take(slot);
                if emptied {
                    self.near_used[slot / 64] &= !(1 << (slot % 64));
                }
                self.len -= 1;
                return Some(handle);
            }
            match self.next_far_epoch() {
                Some(next) if next <= target >> NEAR_BITS => self.enter(next),
                _ => {
                    self.cursor = target;
                    return None;
                }
            }
        }
    }

    /// The time before which [`pop`](Wheel::pop) gives nothing: the beginning of the next handle's near slot, or of
    /// its epoch while that is not the current one. `None` when empty.
    pub fn next_due(&self) -> Option<Ns> {
        let epoch = self.cursor >> NEAR_BITS;
        let tick = match next_set(&self.near_used, self.cursor as usize % NEAR_SLOTS) {
            Some(slot) => (epoch << NEAR_BITS) + slot as u64,
            None => self.next_far_epoch()? << NEAR_BITS,
        };
        Some(Ns(tick << SLOT_BITS))
    }

    /// The first later epoch that has handles. Far slots hold only the 255 epochs after the current one.
    fn next_far_epoch(&self) -> Option<u64> {
        let epoch = self.cursor >> NEAR_BITS;
        let first = (epoch + 1) as usize % FAR_SLOTS;
        let slot = next_set(&self.far_used, first).or_else(|| next_set(&self.far_used, 0))?;
        Some(epoch + 1 + ((slot + FAR_SLOTS - first) % FAR_SLOTS) as u64)
    }

    /// Moves the cursor to the beginning of `epoch` and its handles to their near slots.
    fn enter(&mut self, epoch: u64) {
        self.cursor = epoch << NEAR_BITS;
        let slot = epoch as usize % FAR_SLOTS;
        self.far_used[slot / 64] &= !(1 << (slot % 64));
        loop {
            let (handle, emptied) = self.take(NEAR_SLOTS + slot);
            let near = u64::from(self.due[handle as usize]) % NEAR_SLOTS as u64;
            self.append_near(handle, self.cursor + near);
            if emptied {
                return;
            }
        }
    }

    fn append_near(&mut self, handle: u32, tick: u64) {
        let slot = tick as usize % NEAR_SLOTS;
        self.near_used[slot / 64] |= 1 << (slot % 64);
        self.append(slot, handle);
    }

    fn append(&mut self, slot: usize, handle: u32) {
        let mut queue = self.slots[slot];
        if queue.head == NONE || usize::from(queue.write) == CHUNK {
            // `new` proves that a chunk is free.
            let fresh = self.free;
            self.free = core::mem::replace(&mut self.chunks[fresh as usize].next, NONE);
            if queue.head == NONE {
                queue = Slot { head: fresh, tail: fresh, read: 0, write: 0 };
            } else {
                self.chunks[queue.tail as usize].next = fresh;
                queue.tail = fresh;
                queue.write = 0;
            }
        }
        self.chunks[queue.tail as usize].handles[usize::from(queue.write)] = handle;
        queue.write += 1;
        self.slots[slot] = queue;
    }

    /// The first handle of a slot that is not empty, and whether it was the last.
    fn take(&mut self, slot: usize) -> (u32, bool) {
        let mut queue = self.slots[slot];
        let head = queue.head;
        let chunk = &mut self.chunks[head as usize];
        let handle = chunk.handles[usize::from(queue.read)];
        queue.read += 1;
        let emptied = head == queue.tail && queue.read == queue.write;
        if emptied || usize::from(queue.read) == CHUNK {
            queue.head = if emptied { NONE } else { chunk.next };
            queue.read = 0;
            chunk.next = self.free;
            self.free = head;
        }
        self.slots[slot] = queue;
        (handle, emptied)
    }
}

/// The first set bit at or after `from`, which must be below the number of bits.
fn next_set(words: &[u64], from: usize) -> Option<usize> {
    let (first, rest) = words.get(from / 64..)?.split_first()?;
    let first = first & (u64::MAX << (from % 64));
    if first != 0 {
        return Some(from / 64 * 64 + first.trailing_zeros() as usize);
    }
    let (index, word) = rest.iter().enumerate().find(|(_, word)| **word != 0)?;
    Some((from / 64 + 1 + index) * 64 + word.trailing_zeros() as usize)
}

#[cfg(test)]
mod tests;
