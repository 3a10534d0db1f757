//! Connections of which not enough has been seen to track them.
//!
//! An 8-way table that never refuses: a newcomer to a full bucket takes the place of the one that was silent
//! longest. It may forget, because a flow that was forgotten is adopted later, mid-stream.
//!
//! Only a frame from inside makes an entry. Whoever sends from outside can forge any number of tuples at no cost, and
//! leaves no trace here until a workload answers: a flood of SYNs to a closed port or of ACKs to anything, never.
//!
//! A connection is established
//! * when one side answers the other's SYN-ACK with its number: only who received it can, so a flood of forged SYNs
//!   gets no further, although the inside host answers each; or
//! * when both sides have sent an ordinary segment (ACK, neither SYN nor RST), the inside first: Weir came up under
//!   traffic, or had forgotten the handshake. A stray ACK from outside is answered by a reset, which ends the matter.
//!
//! Under a flood that workloads do answer (SYNs to an open port), entries make way within `capacity / answers a second`.
//! A new connection whose round trip is longer is not recognised while that lasts: it is forwarded unpaced, as
//! `untracked`. What is established is in the other table, which no flood reaches.

use super::scale::WindowScales;
use super::{WAYS, matches, signature_of};
use crate::io::Side;
use crate::time::Ns;
use crate::wire::{Flags, Segment, Tuple};
use weir_cpu::large_slice;

/// How far beyond the SYN-ACK's number its answer may lie. The answer is the next number, unless the accepting side
/// sent its first data before (TCP Fast Open): an initial window, which 64 KiB exceeds by far. A guess hits
/// one time in 65 536.
const ANSWER_SPAN: u32 = 1 << 16;

/// Times in the table are kept in units of 2^20 ns, about a millisecond, in 32 bits: they wrap after 52 days.
const TICK_BITS: u32 = 20;

/// What a side has sent.
const SYN: u8 = 1;
const SYN_ACK: u8 = 1 << 1;
const ORDINARY: u8 = 1 << 2;
const DATA: u8 = 1 << 3;

/// Where an established flow's tracking begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seed {
    /// The first sequence number from inside that has not passed Weir yet.
    pub next: u32,
    /// The handshake was seen, and no data from inside came before this.
    pub whole: bool,
    /// What the handshake said of windows, as far as it was seen.
    pub scales: WindowScales,
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Bucket {
    signatures: [u16; WAYS],
    /// When each way was last touched, in ticks.
    touched: [u32; WAYS],
}

#[derive(Clone, Copy, Default)]
#[repr(C, align(64))]
struct Pending {
    key: Tuple,
    /// What each side has sent, by side index.
    sent: [u8; 2],
    /// By side: the sequence number after the last that it sent.
    next: [u32; 2],
    scales: WindowScales,
}

const _: () = assert!(size_of::<Bucket>() == 64 && size_of::<Pending>() == 64);

/// The table of half-open connections.
pub struct HalfOpen {
    buckets: Box<[Bucket]>,
    pending: Box<[[Pending; WAYS]]>,
    len: usize,
    replaced: u64,
    /// Where the sweep goes on.
    cursor: usize,
}

impl HalfOpen {
    /// A table for `half_open_max` connections, rounded down to a power of two, at least 8. All memory is allocated
    /// here.
    pub fn new(half_open_max: u32) -> HalfOpen {
        let wanted = (half_open_max as usize / WAYS).max(1);
        let buckets = 1 << wanted.ilog2();
        HalfOpen {
            buckets: large_slice(buckets, |_| Bucket { signatures: [0; WAYS], touched: [0; WAYS] }),
            pending: large_slice(buckets, |_| [Pending::default(); WAYS]),
            len: 0,
            replaced: 0,
            cursor: 0,
        }
    }

    /// Connections in the table.
    pub fn len(&self) -> usize {
        self.len
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    /// Connections at most.
    pub fn capacity(&self) -> usize {
        self.buckets.len() * WAYS
    }
    /// Connections that had to make way for newer ones, since the start.
    pub fn replaced(&self) -> u64 {
        self.replaced
    }

    /// A segment of a flow that is not tracked arrives from side `from`. `key` is the flow's outbound tuple and
    /// `hash` its flow hash.
    ///
    /// Returns where to begin when the flow is established now. It stays in this table until [`HalfOpen::forget`],
    /// so a flow that finds the table of tracked flows full asks again with its next segment.
    pub fn observe(
        &mut self,
        hash: u64,
        key: &Tuple,
        from: Side,
        segment: &Segment,
        now: Ns,
    ) -> Option<Seed> {
        let flags = segment.flags;
        if flags.has(Flags::RST) {
            self.forget(hash, key);
            return None;
        }
        if !flags.has(Flags::SYN) && !flags.has(Flags::ACK) {
            return None;
        }
        let pending = match (self.find(hash, key, now), from) {
            (Some(pending), _) => pending,
            (None, Side::Inside) => self.add(hash, key, now),
            (None, Side::Outside) => return None,
        };
        let (this, other) = (from as usize, from.other() as usize);
        let control = u32::from(flags.has(Flags::SYN)) + u32::from(flags.has(Flags::FIN));
        let after = segment.seq.wrapping_add(u32::from(segment.payload_len)).wrapping_add(control);
        let data = if segment.payload_len > 0 { DATA } else { 0 };
        if flags.has(Flags::SYN) {
            pending.scales.observe(from, segment);
            if !flags.has(Flags::ACK) && pending.sent[this] != 0 && pending.next[this] != after {
                // Another number: another connection on the same ports.
                pending.sent = [0; 2];
            }
            pending.sent[this] |= if flags.has(Flags::ACK) { SYN_ACK } else { SYN } | data;
            pending.next[this] = after;
            return None;
        }
        let answers = pending.sent[other] & SYN_ACK != 0
            && segment.ack.wrapping_sub(pending.next[other]) <= ANSWER_SPAN;
        let established = answers || pending.sent[other] & ORDINARY != 0;
        let inside = Side::Inside as usize;
        let whole = pending.sent[inside] & (SYN | SYN_ACK) != 0 && pending.sent[inside] & DATA == 0;
        let next = if pending.sent[inside] == 0 { segment.seq } else { pending.next[inside] };
        // Not backwards: this may be a repeated segment, or an old one.
        if pending.sent[this] == 0 || (after.wrapping_sub(pending.next[this]) as i32) > 0 {
            pending.next[this] = after;
        }
        pending.sent[this] |= ORDINARY | data;
        established.then_some(Seed { next, whole, scales: pending.scales })
    }

    /// Takes a flow out, if it is there: it is tracked now, or has ended.
    pub fn forget(&mut self, hash: u64, key: &Tuple) {
        let bucket = self.bucket_of(hash);
        if let Some(way) = self.way_of(bucket, hash, key) {
            self.buckets[bucket].signatures[way] = 0;
            self.len -= 1;
        }
    }

    /// Looks at the next `buckets` buckets, in a circle, and forgets what has been silent for more than `idle_max`.
    pub fn sweep(&mut self, now: Ns, idle_max: Ns, buckets: usize) {
        let (now, idle_max) = (ticks(now), idle_max.0 >> TICK_BITS);
        for _ in 0..buckets.min(self.buckets.len()) {
            let next = (self.cursor + 1) & (self.buckets.len() - 1);
            let bucket = &mut self.buckets[core::mem::replace(&mut self.cursor, next)];
            for way in 0..WAYS {
                let silent = u64::from(now.wrapping_sub(bucket.touched[way]));
                if bucket.signatures[way] != 0 && silent > idle_max {
                    bucket.signatures[way] = 0;
                    self.len -= 1;
                }
            }
        }
        for next in self.cursor..self.cursor + buckets {
            weir_cpu::prefetch_element(&self.buckets, next);
        }
    }

    #[inline]
    fn bucket_of(&self, hash: u64) -> usize {
        hash as usize & (self.buckets.len() - 1)
    }

    #[inline]
    fn way_of(&self, bucket: usize, hash: u64, key: &Tuple) -> Option<usize> {
        let mut found = matches(&self.buckets[bucket].signatures, signature_of(hash));
        while found != 0 {
            let way = found.trailing_zeros() as usize;
            if self.pending[bucket][way].key == *key {
                return Some(way);
            }
            found &= found - 1;
        }
        None
    }

    /// The entry, touched.
    fn find(&mut self, hash: u64, key: &Tuple, now: Ns) -> Option<&mut Pending> {
        let bucket = self.bucket_of(hash);
        let way = self.way_of(bucket, hash, key)?;
        self.buckets[bucket].touched[way] = ticks(now);
        Some(&mut self.pending[bucket][way])
    }

    /// An entry for a flow that has none.
    fn add(&mut self, hash: u64, key: &Tuple, now: Ns) -> &mut Pending {
        let (bucket, now) = (self.bucket_of(hash), ticks(now));
        let way = self.take_way(bucket, now);
        self.buckets[bucket].signatures[way] = signature_of(hash);
        self.buckets[bucket].touched[way] = now;
        let pending = &mut self.pending[bucket][way];
        *pending = Pending { key: *key, ..Pending::default() };
        pending
    }

    /// A free way, or the one that was silent longest.
    fn take_way(&mut self, bucket: usize, now: u32) -> usize {
        let Bucket { signatures, touched } = &self.buckets[bucket];
        let free = matches(signatures, 0);
        if free != 0 {
            self.len += 1;
            return free.trailing_zeros() as usize;
        }
        self.replaced += 1;
        let mut oldest = 0;
        for way in 1..WAYS {
            if now.wrapping_sub(touched[way]) > now.wrapping_sub(touched[oldest]) {
                oldest = way;
            }
        }
        oldest
    }
}

#[inline]
fn ticks(time: Ns) -> u32 {
    (time.0 >> TICK_BITS) as u32
}

#[cfg(test)]
mod tests;
