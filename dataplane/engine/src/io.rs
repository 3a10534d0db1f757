//! The edge of the engine: what a frame is, and where frames come from and go to.

use crate::time::Ns;
use arrayvec::ArrayVec;

/// Frames taken or sent at once. 32 is DPDK's customary burst: large enough to amortise a poll, small enough
/// that its headers stay in the first-level cache.
pub const BURST: usize = 32;

/// Up to [`BURST`] frames, in order, in storage that the owner of the burst holds.
pub type Burst<F> = ArrayVec<F, BURST>;

/// The two sides of the appliance. Workloads are inside; the network is outside. Pacing acts on frames that
/// travel from inside to outside, because that is the direction whose sender can be slowed down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Side {
    /// The port that faces the host's workloads.
    Inside = 0,
    /// The port that faces the network.
    Outside = 1,
}

impl Side {
    /// Both sides, in the order of their index.
    pub const ALL: [Side; 2] = [Side::Inside, Side::Outside];

    /// The one opposite: where a frame that came in on `self` goes out in mode `wire`.
    pub const fn other(self) -> Side {
        match self {
            Side::Inside => Side::Outside,
            Side::Outside => Side::Inside,
        }
    }
    /// Lower-case name, as in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Side::Inside => "inside",
            Side::Outside => "outside",
        }
    }
}

/// A frame that owns its bytes; dropping it gives its memory back.
pub trait Frame {
    /// The bytes of the first segment: all of the frame unless the port delivers segments.
    fn bytes(&self) -> &[u8];
    /// The same bytes, to rewrite in place.
    fn bytes_mut(&mut self) -> &mut [u8];
    /// The length of the whole frame in bytes, over all segments, without FCS.
    fn wire_len(&self) -> u32;
    /// Makes the frame `len` bytes longer at its front; what they hold is for the caller to write. Returns whether there
    /// was room; without it nothing has changed. A frame that cannot grow takes no tunnel and no VLAN tag.
    fn grow_front(&mut self, len: usize) -> bool {
        let _ = len;
        false
    }
    /// Takes `len` bytes off the frame's front. Returns whether the first segment has that many; if not, nothing has
    /// changed.
    fn shrink_front(&mut self, len: usize) -> bool {
        let _ = len;
        false
    }
}

/// A whole frame in ordinary memory.
impl Frame for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }
    fn wire_len(&self) -> u32 {
        u32::try_from(self.len()).unwrap_or(u32::MAX)
    }
    fn grow_front(&mut self, len: usize) -> bool {
        self.splice(0..0, core::iter::repeat_n(0, len));
        true
    }
    fn shrink_front(&mut self, len: usize) -> bool {
        let there = len <= self.len();
        if there {
            self.drain(..len);
        }
        there
    }
}

/// Frames that a stage in front of the worker has dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Denied {
    /// How many.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A source and sink of frames. A pair of DPDK queues, a pair of capture files and a simulated link are all
/// just this.
pub trait PacketIo {
    /// The frames that this source owns.
    type Frame: Frame;

    /// Appends the frames that arrived on `side` to `into`, up to its free room. Returns how many.
    fn rx(&mut self, side: Side, into: &mut Burst<Self::Frame>) -> usize;

    /// The time now, where it goes on during a turn; `None` where it stands still, as in a simulation. Asked after an
    /// [`rx`](PacketIo::rx) that brought acknowledgements: a thread that lost its core between the beginning of its turn and
    /// that call would date them too early, by milliseconds, and an RTT below the path's own shortest is never
    /// unlearned.
    fn now(&self) -> Option<Ns> {
        None
    }

    /// What a stage in front of the worker, such as an access control list, has dropped of the frames that arrived on
    /// `side`, since it was last asked. The worker has not seen them; it counts them as received and
    /// [denied](crate::verdict::Verdict::Denied). Asked after each [`rx`](PacketIo::rx). None where there is no such stage.
    fn take_denied(&mut self, side: Side) -> Denied {
        let _ = side;
        Denied::default()
    }

    /// Takes frames from the front of `from` and sends them out of `side`. Those that the port refuses stay in
    /// `from`, in order. Returns how many were taken.
    fn tx(&mut self, side: Side, from: &mut Burst<Self::Frame>) -> usize;

    /// A new frame of `len` zero bytes that is to leave by `side`; `None` when there is no buffer, or none that long.
    /// Asked for in mode `route` only, for what Weir itself has to say.
    fn make(&mut self, side: Side, len: usize) -> Option<Self::Frame>;
}
