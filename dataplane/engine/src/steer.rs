//! Which worker a flow belongs to, and the lanes that take a frame there.
//!
//! A flow's state lies with one worker, its *owner*, chosen by the keyed flow hash. A network card spreads frames over
//! the workers' queues by a hash of its own, or not at all, so a frame may arrive at another worker: that one parses
//! and hashes it, finds that it is not the owner, and passes it on through a bounded lane. There is a lane for each
//! ordered pair of workers, so each lane has one sender and one receiver.
//!
//! What crosses is the frame, its side and its hash: 24 bytes on a lane of cache lines. The owner parses again. A parsed
//! frame is two cache lines more, written on one core and read on the other, for headers that the owner's core has to
//! fetch in any case when it rewrites or sends the frame; reading them again costs about what one of those lines does.
//!
//! Order: the frames of a flow that arrive at one worker leave in the order of their arrival, steered or not. Those
//! that arrive at several workers may overtake each other, as they may have on their way to the queues.

use crate::hash::below;
use crate::io::Side;
use crate::route::Fellows;
use weir_handoff::{Budget, SteerReceiver, SteerSender, steer_lane};

/// Frames that a lane holds. A worker passes at most two bursts a turn into one, so a peer may be away for a dozen turns
/// (some ten microseconds at full load) before frames are dropped.
pub const LANE_FRAMES: usize = 1024;

/// The worker to which a flow with this hash belongs.
///
/// By `below`: the leading bits decide, which choose no bucket in any table of the worker. Of a signature (the upper 16 bits)
/// they are a part: among `workers` workers it tells log2(`workers`) bits less apart.
#[inline]
pub fn owner(hash: u64, workers: usize) -> usize {
    below(hash, workers)
}

/// A frame on its way to its owner.
#[derive(Debug)]
pub(crate) struct Steered<F> {
    pub(crate) frame: F,
    /// Its flow hash.
    pub(crate) hash: u64,
    /// Where it arrived.
    pub(crate) side: Side,
}

/// One worker's ends of the lanes of `T` to and from each other worker.
#[derive(Debug)]
pub(crate) struct Ends<T> {
    /// By worker index; `None` at this worker's own, and everywhere once they are closed.
    to: Box<[Option<SteerSender<T>>]>,
    from: Box<[SteerReceiver<T>]>,
    /// The lane that is looked at first; goes round, so that none is always last.
    first: usize,
}

impl<T> Ends<T> {
    /// Those of a worker alone.
    pub(crate) fn none() -> Ends<T> {
        Ends { to: Box::default(), from: Box::default(), first: 0 }
    }

    /// Each worker's ends, by worker index, of lanes that hold `capacity` each. All memory is allocated here.
    pub(crate) fn mesh(workers: usize, capacity: usize) -> Vec<Ends<T>> {
        let mut places: Vec<(Vec<_>, Vec<_>)> = (0..workers).map(|_| (Vec::new(), Vec::new())).collect();
        for from in 0..workers {
            for to in 0..workers {
                let sender = (from != to).then(|| {
                    let (sender, receiver) = steer_lane(capacity);
                    places[to].1.push(receiver);
                    sender
                });
                places[from].0.push(sender);
            }
        }
        places.into_iter().map(|(to, from)| Ends { to: to.into(), from: from.into(), first: 0 }).collect()
    }

    /// Puts something into the lane to that worker, visible there after [`Ends::flush`]. Hands it back when the lane is
    /// full, or there is none.
    #[inline]
    pub(crate) fn push(&mut self, to: usize, element: T) -> Result<(), T> {
        match self.to.get_mut(to) {
            Some(Some(lane)) => lane.push(element),
            _ => Err(element),
        }
    }

    /// Shows the others what was put in since the last time.
    #[inline]
    pub(crate) fn flush(&mut self) {
        self.to.iter_mut().flatten().for_each(SteerSender::flush);
    }

    /// Takes up to `limit` from the lanes in turn, the next one first at the next call.
    #[inline]
    pub(crate) fn take(&mut self, limit: usize, mut each: impl FnMut(T)) -> usize {
        let lanes = self.from.len();
        let mut taken = 0;
        for step in 0..lanes {
            let at = (self.first + step) % lanes;
            taken += self.from[at].take(limit - taken, &mut each);
        }
        self.first = if self.first + 1 < lanes { self.first + 1 } else { 0 };
        taken
    }

    /// Puts the same into the lane to every other worker. How many took it, and how many had no room.
    pub(crate) fn push_to_all(&mut self, element: T) -> (u64, u64)
    where
        T: Copy,
    {
        self.to.iter_mut().flatten().fold((0, 0), |(took, full), lane| match lane.push(element) {
            Ok(()) => (took + 1, full),
            Err(_) => (took, full + 1),
        })
    }

    /// Closes the lanes to the others.
    fn close(&mut self) {
        self.to.iter_mut().for_each(|lane| *lane = None);
    }

    /// Whether another worker may still put something into a lane to this one, or has.
    fn may_receive(&self) -> bool {
        !self.from.iter().all(SteerReceiver::is_over)
    }

    /// How much is in the lanes to this worker.
    #[inline]
    pub(crate) fn waiting(&self) -> usize {
        self.from.iter().map(SteerReceiver::waiting).sum()
    }
}

/// One worker's place among all, with its ends of the lanes to and from each other one.
#[derive(Debug)]
pub struct Steering<F> {
    index: usize,
    workers: usize,
    ends: Ends<Steered<F>>,
    /// What joins the workers' routers; taken by this worker's, if it has one.
    fellows: Option<Fellows>,
    /// The link that all workers send through, for those that shape.
    link: Budget,
}

impl<F> Steering<F> {
    /// The only worker there is.
    pub fn alone() -> Steering<F> {
        Steering { index: 0, workers: 1, ends: Ends::none(), fellows: None, link: Budget::new() }
    }

    /// Whether there is no other worker.
    pub(crate) fn is_alone(&self) -> bool {
        self.workers == 1
    }

    /// Places for this many workers, joined by lanes of `lane_frames` frames each. All memory is allocated here.
    pub fn mesh(workers: usize, lane_frames: usize) -> Vec<Steering<F>> {
        let ends = Ends::mesh(workers, lane_frames);
        let link = Budget::new();
        let place = |(index, (ends, fellows))| Steering {
            index,
            workers,
            ends,
            fellows: Some(fellows),
            link: link.clone(),
        };
        ends.into_iter().zip(Fellows::mesh(workers)).enumerate().map(place).collect()
    }

    /// What joins this worker's router to those of the others. A worker without a router has no use for it.
    pub(crate) fn take_fellows(&mut self) -> Option<Fellows> {
        self.fellows.take()
    }

    /// The link that all workers send through.
    pub(crate) fn link(&self) -> Budget {
        self.link.clone()
    }

    /// The other worker to which a flow with this hash belongs; `None` when it is this one.
    #[inline]
    pub(crate) fn elsewhere(&self, hash: u64) -> Option<usize> {
        let owner = owner(hash, self.workers);
        (owner != self.index).then_some(owner)
    }

    /// Puts a frame into the lane to its owner, visible there after [`Steering::flush`]. Hands it back when the lane is
    /// full.
    #[inline]
    pub(crate) fn pass(&mut self, steered: Steered<F>) -> Result<(), Steered<F>> {
        self.ends.push(owner(steered.hash, self.workers), steered)
    }

    /// Shows the owners what was passed on since the last time.
    #[inline]
    pub(crate) fn flush(&mut self) {
        self.ends.flush();
    }

    /// Takes up to `limit` frames from the lanes in turn, the next one first at the next call.
    #[inline]
    pub(crate) fn take(&mut self, limit: usize, each: impl FnMut(Steered<F>)) -> usize {
        self.ends.take(limit, each)
    }

    /// Closes the lanes to the others.
    pub(crate) fn close(&mut self) {
        self.ends.close();
    }

    /// Whether another worker may still pass a frame on to this one, or has.
    pub(crate) fn may_receive(&self) -> bool {
        self.ends.may_receive()
    }

    /// Frames in the lanes to this worker.
    pub(crate) fn waiting(&self) -> usize {
        self.ends.waiting()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::FlowHasher;
    use crate::wire::Tuple;

    #[test]
    fn flows_are_spread_evenly_and_independently_of_their_buckets() {
        let hasher = FlowHasher::new(11);
        for workers in [1_usize, 2, 3, 7, 16] {
            let mut owned = vec![[0_u32; 4]; workers];
            for flow in 0..60_000_u32 {
                let mut tuple = Tuple::default();
                tuple.source.address[..4].copy_from_slice(&flow.to_be_bytes());
                let hash = hasher.hash(&tuple);
                owned[owner(hash, workers)][hash as usize & 3] += 1;
            }
            let share = 60_000 / workers as u32 / 4;
            for buckets in &owned {
                for count in buckets {
                    // Six sigmas of a binomial, and a bit for small shares.
                    let slack = 6 * share.isqrt() + 6;
                    assert!(count.abs_diff(share) <= slack, "{workers} workers: {owned:?}");
                }
            }
        }
        assert_eq!((owner(u64::MAX, 5), owner(0, 5)), (4, 0));
    }

    #[test]
    fn each_frame_reaches_its_owner_and_lanes_take_turns() {
        // A hash in the middle of that worker's third.
        let to = |worker: usize, frame: u32| {
            let hash = (2 * worker as u64 + 1) * (u64::MAX / 6);
            assert_eq!(owner(hash, 3), worker);
            Steered { frame, hash, side: Side::Outside }
        };
        let mut mesh: Vec<Steering<u32>> = Steering::mesh(3, 4);
        let mut last = mesh.remove(2);
        for (index, place) in mesh.iter_mut().enumerate() {
            for frame in 0..4 {
                let frame = 10 * index as u32 + frame;
                place.pass(to(2, frame)).unwrap();
            }
            assert!(place.pass(to(2, 99)).is_err(), "full");
            assert!(place.pass(to(index, 99)).is_err(), "own");
            place.flush();
        }
        assert_eq!(last.waiting(), 8);
        let mut order = Vec::new();
        while last.take(2, |steered| order.push(steered.frame)) > 0 {}
        assert_eq!(order, [0, 1, 10, 11, 2, 3, 12, 13]);
        assert!(last.may_receive());
        mesh.iter_mut().for_each(Steering::close);
        assert!(!last.may_receive());
        assert!(!Steering::<u32>::alone().may_receive());
    }
}
