//! Which path each flow is on: a bounded table keyed by the flow's keyed 64-bit hash.
//!
//! All balanced traffic has its place here, whatever it is: TCP from its first SYN on, UDP, what has no ports. A newcomer takes a
//! free way of its set, or one whose flow has been silent for long, never one in use: then the rule places its frames without
//! remembering, and that is counted. Two flows of one hash share a path; that harms neither.

use super::config::PATHS_MAX;
use crate::sets::Sets;
use crate::time::Ns;
use weir_cpu::large_slice;

/// A flow of few packets may make way after this silence: a scan leaves nothing behind for long.
const SHORT_IDLE: Ns = Ns::from_secs(1);
const SHORT_BYTES: u64 = 4_096;
/// What has not been acknowledged after this silence will not be.
pub(super) const LOST_AFTER: Ns = Ns::from_secs(2);
/// Sets looked at per sweep.
const SETS_PER_SWEEP: usize = 1;

/// No path yet.
pub(super) const NO_PATH: u8 = u8::MAX;
/// No record under way.
pub(super) const NO_RECORD: u16 = u16::MAX;

/// What is kept of a flow: a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct FlowPath {
    /// When its last frame departed.
    pub(super) last: Ns,
    /// When it came to its path. What was sent before tells of another.
    pub(super) moved: Ns,
    /// PLB: when the present round ends, and until when it is suspended.
    pub(super) round_ends: Ns,
    pub(super) suspended_until: Ns,
    /// Bytes of frames that departed.
    pub(super) bytes: u64,
    /// Payload bytes on their way on the present path.
    pub(super) in_flight: u32,
    /// What its path draws for it: a flow label or an outer port.
    pub(super) label: u32,
    /// Decisions so far.
    pub(super) decisions: u32,
    /// The burst in which it was last looked at.
    pub(super) burst: u32,
    /// Where its sample is gathered.
    pub(super) sample: u16,
    /// PLB: acknowledgements, and marked ones, of the present round; congested rounds in a row.
    pub(super) acks: u16,
    pub(super) marks: u16,
    pub(super) rounds: u8,
    pub(super) path: u8,
}

impl FlowPath {
    pub(super) const NEW: FlowPath = FlowPath {
        last: Ns::ZERO,
        moved: Ns::ZERO,
        round_ends: Ns::ZERO,
        suspended_until: Ns::ZERO,
        bytes: 0,
        in_flight: 0,
        label: 0,
        decisions: 0,
        burst: 0,
        sample: NO_RECORD,
        acks: 0,
        marks: 0,
        rounds: 0,
        path: NO_PATH,
    };

    /// The path, if it has one.
    pub(super) fn path(&self) -> Option<usize> {
        (self.path != NO_PATH).then_some(usize::from(self.path))
    }

    fn may_go(&self, now: Ns, idle_max: Ns) -> bool {
        let silent = now - self.last;
        silent > idle_max || silent > SHORT_IDLE && self.bytes < SHORT_BYTES
    }
}

/// The table.
#[derive(Debug)]
pub(super) struct FlowPaths {
    sets: Sets,
    /// By place.
    flows: Box<[FlowPath]>,
    idle_max: Ns,
    cursor: usize,
    /// By path.
    pub(super) on_path: [u64; PATHS_MAX],
}

/// Where a flow lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u32);

/// Where a newcomer was put, and the flow that made way for it.
pub(super) type Placed = (Place, Option<FlowPath>);

impl FlowPaths {
    /// Room for this many flows, rounded up. All memory is allocated here.
    pub(super) fn new(flows_max: u32, idle_max: Ns) -> FlowPaths {
        let sets = Sets::new(flows_max.max(1), 0);
        FlowPaths {
            flows: large_slice(sets.places(), |_| FlowPath::NEW),
            sets,
            idle_max,
            cursor: 0,
            on_path: [0; PATHS_MAX],
        }
    }

    /// Asks for the memory that a look-up will read.
    #[inline]
    pub(super) fn prefetch(&self, hash: u64) {
        self.sets.prefetch(hash);
    }

    #[inline]
    pub(super) fn find(&self, hash: u64) -> Option<Place> {
        self.sets.find(hash).map(|place| Place(place as u32))
    }

    /// The flow's place, made if need be; with it the flow that made way. `None` where all ways are in use.
    pub(super) fn find_or_make(&mut self, hash: u64, now: Ns) -> Option<Placed> {
        if let Some(place) = self.find(hash) {
            return Some((place, None));
        }
        let free = self.sets.vacancy(hash);
        let mut of_set = Sets::places_of(self.sets.set_of(hash));
        let idle = || of_set.find(|place| self.flows[*place].may_go(now, self.idle_max));
        let place = free.or_else(idle)?;
        let gone = free.is_none().then(|| self.flows[place]);
        if let Some(path) = gone.and_then(|flow| flow.path()) {
            self.on_path[path] -= 1;
        }
        self.sets.put(place, hash);
        self.flows[place] = FlowPath { last: now, moved: now, ..FlowPath::NEW };
        Some((Place(place as u32), gone))
    }

    #[inline]
    pub(super) fn get(&self, place: Place) -> &FlowPath {
        &self.flows[place.0 as usize]
    }

    #[inline]
    pub(super) fn get_mut(&mut self, place: Place) -> &mut FlowPath {
        &mut self.flows[place.0 as usize]
    }

    /// Puts the flow on a path; what it had on its way there, and which path that was, if it was another.
    pub(super) fn put(&mut self, place: Place, path: usize, now: Ns) -> Option<(usize, u32)> {
        let flow = self.get_mut(place);
        if usize::from(flow.path) == path {
            return None;
        }
        let before = flow.path();
        (flow.path, flow.moved, flow.rounds) = (path as u8, now, 0);
        let left = core::mem::take(&mut flow.in_flight);
        self.on_path[path] += 1;
        let before = before?;
        self.on_path[before] -= 1;
        Some((before, left))
    }

    /// Looks at a few flows, in a circle. Those that are over are taken out; of one that has been silent for a while nothing
    /// is on its way any more. `gone` is told of each: its path, what it had there, and its sample.
    pub(super) fn sweep(&mut self, now: Ns, mut gone: impl FnMut(usize, u32, u16)) {
        for _ in 0..SETS_PER_SWEEP {
            let set = self.cursor;
            self.cursor = if set + 1 == self.sets.len() { 0 } else { set + 1 };
            for place in Sets::places_of(set) {
                if !self.sets.is_taken(place) {
                    continue;
                }
                let flow = &mut self.flows[place];
                let over = now - flow.last > self.idle_max;
                if !over && (flow.in_flight == 0 || now - flow.last <= LOST_AFTER) {
                    continue;
                }
                let left = core::mem::take(&mut flow.in_flight);
                let sample = if over { flow.sample } else { NO_RECORD };
                let path = flow.path();
                if over {
                    self.sets.clear(place);
                    *flow = FlowPath::NEW;
                }
                if let Some(path) = path {
                    self.on_path[path] -= u64::from(over);
                    gone(path, left, sample);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_in_use_stay_and_silent_ones_make_way() {
        let idle_max = Ns::from_secs(60);
        let mut flows = FlowPaths::new(4, idle_max);
        let now = Ns::from_secs(100);
        for hash in 1..=8 {
            let (place, gone) = flows.find_or_make(hash, now).unwrap();
            assert!(gone.is_none());
            flows.put(place, hash as usize - 1, now);
            flows.get_mut(place).bytes = 1 << 20;
        }
        assert!(flows.find_or_make(9, now + idle_max).is_none(), "all are in use");
        let place = flows.find(2).unwrap();
        flows.get_mut(place).last = now + Ns::from_secs(30);
        let (_, gone) = flows.find_or_make(9, now + idle_max + Ns(1)).unwrap();
        assert!(gone.is_some() && flows.find(2).is_some() && flows.find(9).is_some());
        assert_eq!(flows.on_path.iter().sum::<u64>(), 7);
    }

    #[test]
    fn a_move_leaves_what_is_on_its_way_behind() {
        let mut flows = FlowPaths::new(16, Ns::from_secs(60));
        let now = Ns::from_secs(100);
        let (place, _) = flows.find_or_make(77, now).unwrap();
        assert_eq!(flows.put(place, 3, now), None);
        flows.get_mut(place).in_flight = 900;
        assert_eq!(flows.put(place, 3, now), None);
        assert_eq!(flows.put(place, 1, now), Some((3, 900)));
        assert_eq!((flows.on_path[3], flows.on_path[1], flows.get(place).in_flight), (0, 1, 0));
        let mut gone = Vec::new();
        flows.get_mut(place).in_flight = 5;
        for _ in 0..4 {
            flows.sweep(now + Ns::from_secs(3), |path, left, _| gone.push((path, left)));
        }
        assert_eq!(gone, [(1, 5)]);
        for _ in 0..4 {
            flows.sweep(now + Ns::from_secs(61), |path, left, _| gone.push((path, left)));
        }
        assert_eq!((gone.len(), flows.find(77)), (2, None));
    }
}
