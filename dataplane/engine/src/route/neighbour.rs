//! Who is on a link, and at which Ethernet address: one side's table, a pure state machine. It says what is to be
//! asked; [`super`] asks.
//!
//! IPv6 follows RFC 4861 section 7.3; IPv4 has no state machine of its own (RFC 826 names none, RFC 1122 section
//! 2.3.2.1 only asks that entries be found out when they go stale), so ARP is driven by the same one.
//!
//! ```text
//!                     answered, solicited                 REACHABLE_TIME without
//!   - --- INCOMPLETE --------------------> REACHABLE <--+----- confirmation -----> STALE <--- heard by other ways
//!   ^         | MAX_MULTICAST_SOLICIT                   |                            | used
//!   +---------+ asked in vain                  answered |                            v
//!   ^                                                 PROBE <-- DELAY_FIRST_PROBE -- DELAY
//!   +------------------ MAX_UNICAST_SOLICIT in vain ----+
//! ```
//!
//! Where there are several workers, each has a replica of the table; see [`fellows`](super::fellows).
//!
//! TCP's progress is not taken as confirmation (RFC 4861 section 7.3.1 allows either): a router sees one path only.

use super::address::Address;
use super::interface::Mac;
use crate::hash::FlowHasher;
use crate::time::Ns;
use crate::verdict::Verdict;
use crate::wheel::Wheel;
use arrayvec::ArrayVec;
use core::net::IpAddr;

/// Neighbours per side at most: more stations than one Ethernet segment should hold.
pub(super) const NEIGHBOURS_MAX: usize = 1_024;
/// Neighbours that are being looked for at once, per side. Someone who scans an on-link network from afar makes an entry
/// per address (RFC 6583); they never get more than this, and never push out a neighbour that is known.
pub(super) const INCOMPLETE_MAX: u64 = 64;
/// Frames that wait for one neighbour. At least one, and of too many the newest (RFC 4861 section 7.2.2, RFC 1122
/// section 2.3.2.2); three let a handshake's first frames through.
pub(super) const WAITING_MAX: usize = 3;

// RFC 4861 section 10.
const MAX_MULTICAST_SOLICIT: u8 = 3;
const MAX_UNICAST_SOLICIT: u8 = 3;
const RETRANS_TIMER: Ns = Ns::from_secs(1);
/// Two workers' questions less apart than this are one: both met the neighbour at the same time.
const SAME_QUESTION: Ns = Ns(RETRANS_TIMER.0 / 2);
const REACHABLE_TIME: Ns = Ns::from_secs(30);
const DELAY_FIRST_PROBE_TIME: Ns = Ns::from_secs(5);

/// Names a neighbour without its address: what a held frame keeps. 0 is no neighbour. Becomes void when the entry is
/// given to another, which whoever uses it is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hop(u32);

impl Hop {
    /// In mode `wire` there are no neighbours.
    pub(crate) const NONE: Hop = Hop(0);
    /// A path is chosen at departure. No entry has generation 0.
    pub(crate) const PATHS: Hop = Hop(1);

    fn new(index: u16, generation: u16) -> Hop {
        Hop(u32::from(generation) << 16 | u32::from(index))
    }
    fn index(self) -> usize {
        (self.0 & 0xffff) as usize
    }
    fn generation(self) -> u16 {
        (self.0 >> 16) as u16
    }
}

/// A frame that waits for its neighbour's address, and how it will have ended when it has left.
#[derive(Debug)]
pub(super) struct Waiting<F> {
    pub(super) frame: F,
    pub(super) verdict: Verdict,
}

/// All frames that waited for one neighbour, in order.
pub(super) type Queue<F> = ArrayVec<Waiting<F>, WAITING_MAX>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Incomplete = 0,
    Reachable,
    Stale,
    Delay,
    Probe,
}

const STATES: usize = 5;

#[derive(Debug)]
struct Entry<F> {
    /// `None`: a free place.
    address: Option<IpAddr>,
    mac: Mac,
    state: State,
    /// Times asked in the present state, by whichever worker.
    asked: u8,
    /// Whether this worker asked last.
    asked_here: bool,
    /// Whether its handle is on the wheel.
    armed: bool,
    /// Never 0, so that no hop of an entry is [`Hop::NONE`].
    generation: u16,
    /// Next entry of the bucket, or next free place.
    next: u16,
    /// When the state ends by itself.
    until: Ns,
    /// When it was last used for sending.
    used: Ns,
    waiting: Queue<F>,
}

/// What became of a frame that was to leave.
#[derive(Debug)]
pub(super) enum Leave<F> {
    /// It goes to this address.
    To(Mac, F),
    /// It waits; the oldest that waited made room where there was none.
    Waits(Option<Waiting<F>>),
    /// The hop is void.
    Void(F),
}

/// What time has brought.
#[derive(Debug)]
pub(super) enum Due<F> {
    /// Ask everyone for this neighbour.
    AskAll(IpAddr),
    /// Ask this neighbour at its last known address.
    AskOne(IpAddr, Mac),
    /// It does not answer and is forgotten.
    Failed {
        /// These waited for it.
        waited: Queue<F>,
        /// This worker asked last, and not another one.
        asked_here: bool,
    },
}

/// What was heard of a neighbour.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    /// Its address, where told.
    pub(super) mac: Option<Mac>,
    /// In answer to a question of ours.
    pub(super) solicited: bool,
    /// It replaces what is known.
    pub(super) overrides: bool,
    /// The entry that it makes where there is none: reachable or stale.
    pub(super) creates: Option<(State, Mac)>,
}

/// One side's table.
#[derive(Debug)]
pub(super) struct Neighbours<F> {
    hasher: FlowHasher,
    entries: Box<[Entry<F>]>,
    buckets: Box<[u16]>,
    free: u16,
    /// Entries found last, by the last bits of their address: most frames go where others have just gone.
    recent: [u16; RECENT],
    by_state: [u64; STATES],
    timers: Wheel,
    waiting: usize,
    /// By how much questions are due later than at the first worker.
    lag: Ns,
}

const NONE: u16 = u16::MAX;
const BUCKETS: usize = 2 * NEIGHBOURS_MAX;
/// Places for entries found last.
const RECENT: usize = 16;
const _: () = assert!(NEIGHBOURS_MAX < NONE as usize && BUCKETS.is_power_of_two());

impl<F> Neighbours<F> {
    pub(super) fn new(seed: u64, now: Ns) -> Neighbours<F> {
        let entry = |index: usize| Entry {
            address: None,
            mac: [0; 6],
            state: State::Stale,
            asked: 0,
            asked_here: false,
            armed: false,
            generation: 1,
            next: if index + 1 < NEIGHBOURS_MAX { index as u16 + 1 } else { NONE },
            until: Ns::NEVER,
            used: now,
            waiting: Queue::new(),
        };
        Neighbours {
            hasher: FlowHasher::new(seed),
            entries: (0..NEIGHBOURS_MAX).map(entry).collect(),
            buckets: vec![NONE; BUCKETS].into_boxed_slice(),
            free: 0,
            recent: [NONE; RECENT],
            by_state: [0; STATES],
            timers: Wheel::new(NEIGHBOURS_MAX as u32, now),
            waiting: 0,
            lag: Ns::ZERO,
        }
    }

    /// Lets the workers before this one ask first.
    pub(super) fn lag_behind(&mut self, lag: Ns) {
        self.lag = lag;
    }

    /// Frames that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Neighbours in a state.
    pub(super) fn in_state(&self, state: State) -> u64 {
        self.by_state[state as usize]
    }

    /// When time may bring something next.
    pub(super) fn next_due(&self) -> Option<Ns> {
        self.timers.next_due()
    }

    /// The entry of `address`, if there is one.
    #[inline(always)]
    pub(super) fn find_hop(&mut self, address: impl Address) -> Option<Hop> {
        let last = address.low_bits() % RECENT;
        let recent = self.recent[last];
        match self.entries.get(usize::from(recent)) {
            Some(entry) if entry.address == Some(address.ip()) => Some(self.hop(recent)),
            _ => self.find_again(address.ip(), last),
        }
    }

    #[inline(never)]
    fn find_again(&mut self, address: IpAddr, last: usize) -> Option<Hop> {
        self.recent[last] = self.find(address)?;
        Some(self.hop(self.recent[last]))
    }

    /// Another worker has asked for `address`: as if this one had.
    pub(super) fn asked_elsewhere(&mut self, address: IpAddr, now: Ns) {
        let Some(index) = self.find(address) else {
            self.look_for(address, false, now);
            return;
        };
        let until = now + RETRANS_TIMER + self.lag;
        let entry = &mut self.entries[usize::from(index)];
        match entry.state {
            // What is known here is newer than the doubt there.
            State::Reachable => {}
            State::Stale | State::Delay => {
                self.enter(index, State::Probe, until);
                self.entries[usize::from(index)].asked = 1;
            }
            State::Incomplete | State::Probe => {
                if entry.until <= now + SAME_QUESTION {
                    entry.asked = entry.asked.saturating_add(1);
                    entry.asked_here = false;
                }
                entry.until = until;
            }
        }
    }

    /// Whose hop it is; `None` when it is void.
    pub(super) fn address(&self, hop: Hop) -> Option<IpAddr> {
        let entry = self.entries.get(hop.index()).filter(|entry| entry.generation == hop.generation())?;
        entry.address
    }

    /// Where `address` is, as far as known.
    pub(super) fn mac(&self, address: IpAddr) -> Option<Mac> {
        let entry = &self.entries[usize::from(self.find(address)?)];
        (entry.state != State::Incomplete).then_some(entry.mac)
    }

    /// Makes an entry for one that is unknown, and is asked for the first time. `None` when there is no room.
    pub(super) fn look_for(&mut self, address: IpAddr, asked_here: bool, now: Ns) -> Option<Hop> {
        if self.in_state(State::Incomplete) >= INCOMPLETE_MAX {
            return None;
        }
        let index = self.insert(address, State::Incomplete, now)?;
        let until = now + RETRANS_TIMER + self.lag;
        let entry = &mut self.entries[usize::from(index)];
        (entry.asked, entry.asked_here, entry.until) = (1, asked_here, until);
        self.arm(index);
        Some(self.hop(index))
    }

    /// A frame is to leave to `hop` now.
    #[inline]
    pub(super) fn leave(&mut self, hop: Hop, frame: F, verdict: Verdict, now: Ns) -> Leave<F> {
        let Some(entry) = self.entries.get_mut(hop.index()) else { return Leave::Void(frame) };
        if entry.generation != hop.generation() || entry.address.is_none() {
            return Leave::Void(frame);
        }
        entry.used = now;
        match entry.state {
            State::Incomplete => return self.wait(hop, Waiting { frame, verdict }),
            State::Stale => self.doubt(hop, now),
            State::Reachable | State::Delay | State::Probe => {}
        }
        Leave::To(self.entries[hop.index()].mac, frame)
    }

    #[cold]
    fn wait(&mut self, hop: Hop, waiting: Waiting<F>) -> Leave<F> {
        let queue = &mut self.entries[hop.index()].waiting;
        let oldest = if queue.is_full() { queue.pop_at(0) } else { None };
        self.waiting += usize::from(oldest.is_none());
        queue.push(waiting);
        Leave::Waits(oldest)
    }

    /// A stale neighbour is used: it is asked unless something is heard of it soon.
    #[cold]
    fn doubt(&mut self, hop: Hop, now: Ns) {
        self.enter(hop.index() as u16, State::Delay, now + DELAY_FIRST_PROBE_TIME + self.lag);
    }

    /// Something was heard of `address`. Returns its hop and what waited for it.
    pub(super) fn hear(&mut self, address: IpAddr, heard: Heard, now: Ns) -> Option<(Hop, Queue<F>)> {
        let until = now + self.reachable_time(address);
        let Some(index) = self.find(address) else {
            let (state, mac) = heard.creates?;
            // Without an entry to make there is nothing to remember: it is asked for when it is needed.
            let index = self.insert(address, State::Stale, now)?;
            self.entries[usize::from(index)].mac = mac;
            if state == State::Reachable {
                self.enter(index, state, until);
            }
            return Some((self.hop(index), Queue::new()));
        };
        let entry = &mut self.entries[usize::from(index)];
        if entry.state == State::Incomplete {
            // RFC 4861 section 7.2.5: without an address it says nothing. Another worker may know it.
            entry.mac = heard.mac.or(heard.creates.map(|(_, mac)| mac))?;
            let waited = core::mem::take(&mut entry.waiting);
            self.waiting -= waited.len();
            match heard.solicited {
                true => self.enter(index, State::Reachable, until),
                false => self.enter(index, State::Stale, Ns::NEVER),
            }
            return Some((self.hop(index), waited));
        }
        let moved = heard.mac.is_some_and(|mac| mac != entry.mac);
        if moved && !heard.overrides {
            // Another claims the address: what is known may be wrong, and is asked again on its next use.
            if entry.state == State::Reachable {
                self.enter(index, State::Stale, Ns::NEVER);
            }
            return Some((self.hop(index), Queue::new()));
        }
        entry.mac = heard.mac.unwrap_or(entry.mac);
        if heard.solicited {
            self.enter(index, State::Reachable, until);
        } else if moved {
            self.enter(index, State::Stale, Ns::NEVER);
        }
        Some((self.hop(index), Queue::new()))
    }

    /// The next thing that time has brought by `now`.
    pub(super) fn next_due_by(&mut self, now: Ns) -> Option<Due<F>> {
        loop {
            let index = self.timers.pop(now)? as u16;
            let Some(entry) = self.entries.get_mut(usize::from(index)) else { continue };
            entry.armed = false;
            let Some(address) = entry.address else { continue };
            if entry.until > now {
                // It came up at the wheel's horizon, or its state has changed since.
                self.arm(index);
                continue;
            }
            let again = now + RETRANS_TIMER + self.lag;
            match entry.state {
                State::Incomplete if entry.asked < MAX_MULTICAST_SOLICIT => {
                    (entry.asked, entry.asked_here, entry.until) = (entry.asked + 1, true, again);
                    self.arm(index);
                    return Some(Due::AskAll(address));
                }
                State::Probe if entry.asked < MAX_UNICAST_SOLICIT => {
                    (entry.asked, entry.asked_here, entry.until) = (entry.asked + 1, true, again);
                    let mac = entry.mac;
                    self.arm(index);
                    return Some(Due::AskOne(address, mac));
                }
                State::Incomplete | State::Probe => {
                    let (waited, asked_here) = (core::mem::take(&mut entry.waiting), entry.asked_here);
                    self.waiting -= waited.len();
                    self.remove(index);
                    return Some(Due::Failed { waited, asked_here });
                }
                State::Reachable => self.enter(index, State::Stale, Ns::NEVER),
                State::Delay => {
                    let mac = entry.mac;
                    self.enter(index, State::Probe, again);
                    let entry = &mut self.entries[usize::from(index)];
                    (entry.asked, entry.asked_here) = (1, true);
                    return Some(Due::AskOne(address, mac));
                }
                State::Stale => {}
            }
        }
    }

    /// Gives up what waits, one neighbour's frames at a time.
    pub(super) fn abandon(&mut self) -> Option<Queue<F>> {
        if self.waiting == 0 {
            return None;
        }
        let entry = self.entries.iter_mut().find(|entry| !entry.waiting.is_empty())?;
        let waited = core::mem::take(&mut entry.waiting);
        self.waiting -= waited.len();
        Some(waited)
    }

    fn hop(&self, index: u16) -> Hop {
        Hop::new(index, self.entries[usize::from(index)].generation)
    }

    /// What another worker's replica is to have of `hop` if it has nothing, given whether this was confirmed just now.
    pub(super) fn replica(&self, hop: Hop, confirmed: bool) -> Option<(State, Mac)> {
        let entry = self.entries.get(hop.index())?;
        let state = if confirmed && entry.state == State::Reachable { entry.state } else { State::Stale };
        Some((state, entry.mac))
    }

    /// Half to one and a half times [`REACHABLE_TIME`] (RFC 4861 section 6.3.2), so that neighbours that were met
    /// together are not asked together. The same in every replica.
    fn reachable_time(&self, address: IpAddr) -> Ns {
        let spread = self.hasher.hash_address(address) >> 48;
        Ns(REACHABLE_TIME.0 / 2 + (REACHABLE_TIME.0 >> 16) * spread)
    }

    fn bucket(&self, address: IpAddr) -> usize {
        self.hasher.hash_address(address) as usize & (BUCKETS - 1)
    }

    fn find(&self, address: IpAddr) -> Option<u16> {
        let mut index = self.buckets[self.bucket(address)];
        loop {
            let entry = self.entries.get(usize::from(index))?;
            if entry.address == Some(address) {
                return Some(index);
            }
            index = entry.next;
        }
    }

    fn insert(&mut self, address: IpAddr, state: State, now: Ns) -> Option<u16> {
        if self.free == NONE {
            self.evict();
        }
        let index = self.free;
        let bucket = self.bucket(address);
        let entry = self.entries.get_mut(usize::from(index))?;
        self.free = entry.next;
        entry.next = core::mem::replace(&mut self.buckets[bucket], index);
        entry.address = Some(address);
        (entry.state, entry.asked, entry.asked_here) = (state, 0, false);
        (entry.until, entry.used) = (Ns::NEVER, now);
        self.by_state[state as usize] += 1;
        Some(index)
    }

    /// Forgets the stale neighbour that was used longest ago.
    fn evict(&mut self) {
        let stale = |entry: &Entry<F>| entry.state == State::Stale && !entry.armed && entry.address.is_some();
        let all = self.entries.iter().enumerate();
        let oldest = all.filter(|(_, entry)| stale(entry)).min_by_key(|(_, entry)| entry.used);
        if let Some((index, _)) = oldest {
            self.remove(index as u16);
        }
    }

    /// Frees an entry without waiting frames and without a timer.
    fn remove(&mut self, index: u16) {
        let entry = &mut self.entries[usize::from(index)];
        debug_assert!(entry.waiting.is_empty() && !entry.armed);
        let Some(address) = entry.address.take() else { return };
        self.by_state[entry.state as usize] -= 1;
        entry.generation = entry.generation.checked_add(1).unwrap_or(1);
        let after = core::mem::replace(&mut entry.next, self.free);
        self.free = index;
        let bucket = self.bucket(address);
        if self.buckets[bucket] == index {
            self.buckets[bucket] = after;
            return;
        }
        let mut at = self.buckets[bucket];
        while let Some(entry) = self.entries.get_mut(usize::from(at)) {
            if entry.next == index {
                entry.next = after;
                return;
            }
            at = entry.next;
        }
    }

    fn enter(&mut self, index: u16, state: State, until: Ns) {
        let entry = &mut self.entries[usize::from(index)];
        self.by_state[entry.state as usize] -= 1;
        self.by_state[state as usize] += 1;
        (entry.state, entry.asked, entry.asked_here, entry.until) = (state, 0, false, until);
        if until != Ns::NEVER {
            self.arm(index);
        }
    }

    /// Puts the entry's handle on the wheel. One that is there already comes up early enough: a state that is entered
    /// while another's timer runs (by an answer, or by use) ends later than the wheel's horizon of 2.1 s. Where a question
    /// of another worker ends a delay, this one may be late to ask the next; then the other does.
    fn arm(&mut self, index: u16) {
        let entry = &mut self.entries[usize::from(index)];
        if !entry.armed && entry.until != Ns::NEVER {
            entry.armed = true;
            self.timers.insert(u32::from(index), entry.until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_last_is_found_for_as_long_as_it_is_there() {
        let now = Ns::from_secs(1);
        let mut table = Neighbours::<()>::new(7, now);
        let heard =
            Heard { mac: None, solicited: false, overrides: true, creates: Some((State::Stale, [2; 6])) };
        fn hear(table: &mut Neighbours<()>, address: impl Address, heard: Heard, now: Ns) -> Hop {
            table.hear(address.ip(), heard, now).unwrap().0
        }
        // Alike in their last bits.
        let ([one, other], six) = ([0x0a00_0001_u32, 0x0a00_0011], 0xfd_u128 << 120 | 1);
        let hop = hear(&mut table, one, heard, now);
        for _ in 0..2 {
            assert_eq!((table.find_hop(one), table.find_hop(other)), (Some(hop), None));
        }
        table.remove(hop.index() as u16);
        assert_eq!(table.find_hop(one), None);
        // The place that has become free.
        let next = hear(&mut table, other, heard, now);
        assert_eq!(next.index(), hop.index());
        assert_ne!(next, hop);
        assert_eq!((table.find_hop(one), table.find_hop(other)), (None, Some(next)));
        let (hop, of_six) = (hear(&mut table, one, heard, now), hear(&mut table, six, heard, now));
        for _ in 0..2 {
            assert_eq!(table.find_hop(one), Some(hop));
            assert_eq!(table.find_hop(other), Some(next));
            assert_eq!(table.find_hop(six), Some(of_six));
        }
    }
}
