//! Where frames wait for their time, and each flow's queue of them.
//!
//! A queue is a list through the places themselves. Unlike a wheel's slot it is never walked, but when limits change: one
//! frame is taken from its head at a time, and the link is read from the line that the departing frame needs anyway.

use crate::route::Hop;
use crate::track::SegmentInfo;
use weir_cpu::large_slice;

const NONE: u32 = u32::MAX;

/// A held frame, and what is told to the tracker when it departs.
#[derive(Debug)]
pub(super) struct Held<F> {
    pub(super) frame: F,
    /// Length of the whole frame.
    pub(super) bytes: u32,
    pub(super) segment: SegmentInfo,
}

/// A bounded store of held frames.
#[derive(Debug)]
pub(super) struct HeldFrames<F> {
    places: Box<[Place<F>]>,
    free: u32,
    len: u32,
}

#[derive(Debug)]
struct Place<F> {
    held: Option<Held<F>>,
    next: u32,
    /// Beside the frame and not in it: here it costs no room.
    hop: Hop,
}

/// The frames of one flow, first come first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queue {
    head: u32,
    tail: u32,
}

impl Queue {
    pub(super) const EMPTY: Queue = Queue { head: NONE, tail: NONE };

    pub(super) fn is_empty(self) -> bool {
        self.head == NONE
    }
}

impl<F> HeldFrames<F> {
    pub(super) fn new(max: u32) -> HeldFrames<F> {
        let next = |index: usize| if index + 1 < max as usize { index as u32 + 1 } else { NONE };
        let place = |index| Place { held: None, next: next(index), hop: Hop::NONE };
        HeldFrames { places: large_slice(max as usize, place), free: if max == 0 { NONE } else { 0 }, len: 0 }
    }

    pub(super) fn len(&self) -> u32 {
        self.len
    }

    pub(super) fn is_full(&self) -> bool {
        self.free == NONE
    }

    /// Appends to `queue`, and says in which place; hands the frame back when every place is taken.
    pub(super) fn push(&mut self, queue: &mut Queue, held: Held<F>, hop: Hop) -> Result<u32, Held<F>> {
        let index = self.free;
        let Some(place) = self.places.get_mut(index as usize) else {
            return Err(held);
        };
        self.free = place.next;
        *place = Place { held: Some(held), next: NONE, hop };
        match self.places.get_mut(queue.tail as usize) {
            Some(tail) => tail.next = index,
            None => queue.head = index,
        }
        queue.tail = index;
        self.len += 1;
        Ok(index)
    }

    /// The first frame of `queue`.
    pub(super) fn first(&self, queue: Queue) -> Option<&Held<F>> {
        self.places.get(queue.head as usize)?.held.as_ref()
    }

    /// The frames of `queue` and their places, first come first. Each costs a cache miss; the first of all does not count.
    pub(super) fn walk(&self, queue: Queue) -> impl Iterator<Item = (u32, &Held<F>)> {
        let mut next = queue.head;
        std::iter::from_fn(move || {
            let (index, place) = (next, self.places.get(next as usize)?);
            next = place.next;
            Some((index, place.held.as_ref()?))
        })
    }

    /// Takes the first frame out of `queue`, with its next hop.
    pub(super) fn pop(&mut self, queue: &mut Queue) -> Option<(Held<F>, Hop)> {
        let index = queue.head;
        let place = self.places.get_mut(index as usize)?;
        let held = place.held.take().map(|held| (held, place.hop));
        queue.head = core::mem::replace(&mut place.next, self.free);
        if queue.head == NONE {
            queue.tail = NONE;
        }
        self.free = index;
        self.len -= 1;
        held
    }
}
