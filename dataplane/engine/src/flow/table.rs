//! A bounded hash table that never moves an entry and never allocates after its start.
//!
//! Entries lie in a slab; a [`FlowId`] is a slot and the generation of its tenant, so that an id outlives its flow
//! harmlessly. The index over the slab consists of buckets of one cache line with eight ways: a 16-bit signature
//! and a slot number each. A hash has two buckets. A new entry takes its first while that has room, else its
//! second, else one of the sixteen tenants of the two is moved to *its* other bucket. Without that one
//! displacement such a table was seen to refuse at less than half load; with it, and at most four fifths of the
//! ways in use, it fills up.
//!
//! Most look-ups end in the first bucket, found or not: a bucket counts how many of its own it had to send
//! elsewhere, and the second is read only when that is not zero.
//!
//! For a burst: [`Table::prefetch`] every hash, then [`Table::prefetch_entry`] every hash, then look up.

use super::{FlowEntry, WAYS, matches, signature_of};
use crate::wire::Tuple;
use core::num::NonZeroU64;
use weir_cpu::large_slice;

/// Bytes of a tracked flow, its share of the index aside.
pub const FLOW_BYTES: usize = size_of::<Slot<FlowEntry>>();

/// Ways per entry that the table makes, in quarters: 5/4, so at most four fifths are in use.
const WAYS_PER_ENTRY_Q2: usize = 5;

/// Names an entry for as long as it lives.
///
/// One word, the slot above the tenant's generation, and never zero because that is odd: an optional id moves through a
/// burst's arrays in one register. As two fields it was written in halves and read back whole, which the processor makes
/// wait (measured: 3 ns a frame).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowId(NonZeroU64);

impl FlowId {
    /// No flow of any table: no slot has this number.
    pub(crate) const NONE: FlowId = FlowId(NonZeroU64::MAX);

    /// `None` for a slot without a tenant, whose generation is even.
    #[inline]
    fn new(slot: u32, generation: u32) -> Option<FlowId> {
        let tenant = !generation.is_multiple_of(2);
        NonZeroU64::new(if tenant { u64::from(slot) << 32 | u64::from(generation) } else { 0 }).map(FlowId)
    }

    #[inline]
    fn slot(self) -> u32 {
        (self.0.get() >> 32) as u32
    }

    #[inline]
    fn generation(self) -> u32 {
        self.0.get() as u32
    }
}

/// Where an entry most likely is.
#[derive(Clone, Copy, Debug)]
pub struct Hint(u32);

/// The table has no room for a new flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Bucket {
    signatures: [u16; WAYS],
    slots: [u32; WAYS],
    /// Entries whose first bucket this is, but who live in their second.
    sent_away: u32,
}

impl Bucket {
    const EMPTY: Bucket = Bucket { signatures: [0; WAYS], slots: [0; WAYS], sent_away: 0 };

    /// A free way.
    #[inline]
    fn free(&self) -> Option<usize> {
        let free = matches(&self.signatures, 0);
        (free != 0).then(|| free.trailing_zeros() as usize)
    }
}

#[repr(align(64))]
struct Slot<E> {
    entry: E,
    hash: u64,
    /// Odd while the slot has a tenant; counts arrivals and departures, and wraps.
    generation: u32,
    key: Tuple,
}

// DESIGN: a tracked flow costs at most 128 bytes, and a bucket is one line.
const _: () = assert!(FLOW_BYTES == 128);
const _: () = assert!(size_of::<Bucket>() == 64);

/// Flows by tuple, with an `E` each.
pub struct Table<E> {
    buckets: Box<[Bucket]>,
    slots: Box<[Slot<E>]>,
    /// Slots without a tenant; the last one freed, which is the likeliest to be cached, is taken first.
    vacant: Vec<u32>,
    /// Where the sweep goes on.
    cursor: usize,
}

impl<E: Default> Table<E> {
    /// A table for `flows_max` flows (at least one), all memory allocated.
    pub fn new(flows_max: u32) -> Table<E> {
        let flows_max = flows_max.max(1);
        let ways = (flows_max as usize * WAYS_PER_ENTRY_Q2).div_ceil(4);
        let vacant_slot = || Slot { entry: E::default(), hash: 0, generation: 0, key: Tuple::default() };
        Table {
            buckets: large_slice(ways.div_ceil(WAYS).next_power_of_two(), |_| Bucket::EMPTY),
            slots: large_slice(flows_max as usize, |_| vacant_slot()),
            vacant: (0..flows_max).rev().collect(),
            cursor: 0,
        }
    }

    /// Flows in the table.
    pub fn len(&self) -> usize {
        self.slots.len() - self.vacant.len()
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Flows at most.
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// First pass over a burst: asks for the bucket that a look-up of `hash` reads first.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        weir_cpu::prefetch_element(&self.buckets, self.first_bucket(hash));
    }

    /// Second pass: reads that bucket and asks for the entry that `hash` most likely means. Gives a hint for
    /// [`find_by`](Table::find_by).
    #[inline]
    pub fn prefetch_entry(&self, hash: u64) -> Hint {
        let bucket = &self.buckets[self.first_bucket(hash)];
        let found = matches(&bucket.signatures, signature_of(hash));
        // A mask of nothing points behind the ways: slot 0 then, which is as wrong as any.
        let slot = bucket.slots.get(found.trailing_zeros() as usize).copied().unwrap_or_default();
        weir_cpu::prefetch_element(&self.slots, slot as usize);
        Hint(slot)
    }

    /// The flow with this key. `hash` must be the flow hash of `key`.
    #[inline]
    pub fn find(&self, hash: u64, key: &Tuple) -> Option<FlowId> {
        self.find_slowly(hash, |tenant| tenant == key)
    }

    /// The flow whose key is the one that `is_key` accepts. `hash` must be that key's flow hash, `hint` what the second
    /// pass said of it.
    #[inline]
    pub fn find_by(&self, hash: u64, hint: Hint, is_key: impl Fn(&Tuple) -> bool) -> Option<FlowId> {
        if let Some(tenant) = self.slots.get(hint.0 as usize)
            && tenant.hash == hash
            && is_key(&tenant.key)
            && let id @ Some(_) = FlowId::new(hint.0, tenant.generation)
        {
            return id;
        }
        self.find_slowly(hash, is_key)
    }

    fn find_slowly(&self, hash: u64, is_key: impl Fn(&Tuple) -> bool) -> Option<FlowId> {
        let first = self.first_bucket(hash);
        self.find_in(first, hash, &is_key).or_else(|| {
            if self.buckets[first].sent_away == 0 {
                return None;
            }
            self.find_in(self.second_bucket(hash), hash, &is_key)
        })
    }

    /// The entry, unless it is gone.
    #[inline]
    pub fn get(&self, id: FlowId) -> Option<&E> {
        self.tenant(id).map(|slot| &slot.entry)
    }

    /// The entry, unless it is gone.
    #[inline]
    pub fn get_mut(&mut self, id: FlowId) -> Option<&mut E> {
        let slot = self.slots.get_mut(id.slot() as usize)?;
        (slot.generation == id.generation()).then_some(&mut slot.entry)
    }

    /// The key of an entry, unless it is gone.
    #[inline]
    pub fn key(&self, id: FlowId) -> Option<&Tuple> {
        self.tenant(id).map(|slot| &slot.key)
    }

    /// The flow hash of an entry, unless it is gone.
    #[inline]
    pub fn hash(&self, id: FlowId) -> Option<u64> {
        self.tenant(id).map(|slot| slot.hash)
    }

    /// Adds a flow that [`Table::find`] did not find. `hash` must be the flow hash of `key`.
    ///
    /// # Errors
    /// [`Full`] when all slots have tenants, or (not seen below nine tenths of the capacity) when neither bucket of
    /// the hash can be given room. Nothing has changed then.
    pub fn insert(&mut self, hash: u64, key: &Tuple, entry: E) -> Result<FlowId, Full> {
        debug_assert!(self.find(hash, key).is_none(), "a flow has one entry");
        let slot = *self.vacant.last().ok_or(Full)?;
        let (bucket, way) = self.make_room(hash).ok_or(Full)?;
        self.vacant.pop();
        self.occupy(bucket, way, hash, slot);
        let tenant = &mut self.slots[slot as usize];
        tenant.entry = entry;
        tenant.hash = hash;
        tenant.key = *key;
        tenant.generation = tenant.generation.wrapping_add(1);
        FlowId::new(slot, tenant.generation).ok_or(Full)
    }

    /// Takes a flow out; `None` when it is gone already.
    pub fn remove(&mut self, id: FlowId) -> Option<E> {
        let hash = self.hash(id)?;
        let (bucket, way) = self.locate(hash, id.slot())?;
        self.vacate(bucket, way, hash);
        let tenant = &mut self.slots[id.slot() as usize];
        tenant.generation = tenant.generation.wrapping_add(1);
        self.vacant.push(id.slot());
        Some(core::mem::take(&mut tenant.entry))
    }

    /// Looks at the next `slots` slots, in a circle, and takes out the flows that `is_over`; `gone` gets each. The
    /// whole table is seen once per `capacity / slots` calls.
    pub fn sweep(&mut self, slots: usize, is_over: impl Fn(&E) -> bool, mut gone: impl FnMut(FlowId, E)) {
        for _ in 0..slots.min(self.slots.len()) {
            let slot = self.cursor;
            self.cursor = if slot + 1 == self.slots.len() { 0 } else { slot + 1 };
            let tenant = &self.slots[slot];
            let Some(id) = FlowId::new(slot as u32, tenant.generation).filter(|_| is_over(&tenant.entry))
            else {
                continue;
            };
            if let Some(entry) = self.remove(id) {
                gone(id, entry);
            }
        }
        for next in self.cursor..self.cursor + slots {
            weir_cpu::prefetch_element(&self.slots, next);
        }
    }

    #[inline]
    fn first_bucket(&self, hash: u64) -> usize {
        hash as usize & (self.buckets.len() - 1)
    }

    #[inline]
    fn second_bucket(&self, hash: u64) -> usize {
        (hash >> 32) as usize & (self.buckets.len() - 1)
    }

    #[inline]
    fn tenant(&self, id: FlowId) -> Option<&Slot<E>> {
        self.slots.get(id.slot() as usize).filter(|slot| slot.generation == id.generation())
    }

    #[inline]
    fn find_in(&self, bucket: usize, hash: u64, is_key: impl Fn(&Tuple) -> bool) -> Option<FlowId> {
        let bucket = &self.buckets[bucket];
        let mut found = matches(&bucket.signatures, signature_of(hash));
        while found != 0 {
            let slot = bucket.slots[found.trailing_zeros() as usize];
            let tenant = &self.slots[slot as usize];
            if tenant.hash == hash && is_key(&tenant.key) {
                return FlowId::new(slot, tenant.generation);
            }
            found &= found - 1;
        }
        None
    }

    /// Bucket and way of the entry in `slot`.
    fn locate(&self, hash: u64, slot: u32) -> Option<(usize, usize)> {
        [self.first_bucket(hash), self.second_bucket(hash)].into_iter().find_map(|bucket| {
            let Bucket { signatures, slots, .. } = &self.buckets[bucket];
            let way = (0..WAYS).find(|&way| signatures[way] != 0 && slots[way] == slot)?;
            Some((bucket, way))
        })
    }

    /// A free way in one of the buckets of `hash`, by one displacement if need be.
    fn make_room(&mut self, hash: u64) -> Option<(usize, usize)> {
        let choices = [self.first_bucket(hash), self.second_bucket(hash)];
        let free = choices.into_iter().find_map(|bucket| Some((bucket, self.buckets[bucket].free()?)));
        if free.is_some() {
            return free;
        }
        for bucket in choices {
            for way in 0..WAYS {
                let slot = self.buckets[bucket].slots[way];
                let tenant_hash = self.slots[slot as usize].hash;
                // The one of the tenant's two buckets that it is not in.
                let other = self.first_bucket(tenant_hash) ^ self.second_bucket(tenant_hash) ^ bucket;
                if let Some(other_way) = self.buckets[other].free() {
                    self.vacate(bucket, way, tenant_hash);
                    self.occupy(other, other_way, tenant_hash, slot);
                    return Some((bucket, way));
                }
            }
        }
        None
    }

    fn occupy(&mut self, bucket: usize, way: usize, hash: u64, slot: u32) {
        self.buckets[bucket].signatures[way] = signature_of(hash);
        self.buckets[bucket].slots[way] = slot;
        let first = self.first_bucket(hash);
        self.buckets[first].sent_away += u32::from(bucket != first);
    }

    fn vacate(&mut self, bucket: usize, way: usize, hash: u64) {
        self.buckets[bucket].signatures[way] = 0;
        let first = self.first_bucket(hash);
        self.buckets[first].sent_away -= u32::from(bucket != first);
    }
}

#[cfg(test)]
mod tests;
