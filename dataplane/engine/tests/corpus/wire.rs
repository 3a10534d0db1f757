//! A worker between two ports that hold one frame each.

use std::rc::Rc;
use weir_engine::Worker;
use weir_engine::config::{EngineConfig, PacingCadence, PacingConfig, PacingMode, PacingRule, Pin};
use weir_engine::io::{Burst, Frame, PacketIo, Side};
use weir_engine::policy::Policy;
use weir_engine::time::{BitsPerSec, Ns};
use weir_engine::verdict::Verdict;
use weir_features::PacingSpec;
use weir_handoff::{Reader, epoch, lane};

/// The first segment of a frame. The bytes are shared until somebody writes.
#[derive(Clone)]
struct Segment {
    bytes: Rc<[u8]>,
    first: usize,
    wire_len: usize,
}

impl Frame for Segment {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.first]
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut Rc::make_mut(&mut self.bytes)[..self.first]
    }
    fn wire_len(&self) -> u32 {
        self.wire_len as u32
    }
}

#[derive(Default)]
struct Ports {
    arriving: [Option<Segment>; 2],
    left: Vec<(Side, Segment)>,
}

impl PacketIo for Ports {
    type Frame = Segment;

    fn make(&mut self, _: Side, _: usize) -> Option<Segment> {
        None
    }

    fn rx(&mut self, side: Side, into: &mut Burst<Segment>) -> usize {
        let before = into.len();
        into.extend(self.arriving[side as usize].take());
        into.len() - before
    }

    fn tx(&mut self, side: Side, from: &mut Burst<Segment>) -> usize {
        let taken = from.len();
        self.left.extend(from.drain(..).map(|segment| (side, segment)));
        taken
    }
}

pub(crate) struct Wire {
    worker: Worker<Segment>,
    ports: Ports,
    models: Reader<Policy>,
    now: Ns,
    /// Between two frames.
    step: Ns,
}

impl Wire {
    /// Forwards only. Time stands still, so that no flow is forgotten between two of a frame's many cuts.
    pub(crate) fn unpaced() -> Wire {
        Wire::new(None, Ns::ZERO)
    }

    /// Paces so fast, and is fed so slowly, that each frame leaves at once.
    pub(crate) fn paced() -> Wire {
        let pacing = PacingConfig {
            rule: PacingRule::Fixed(BitsPerSec(1_000_000_000)),
            model: false,
            spec: PacingSpec::default(),
            rate_min: BitsPerSec(1_000_000),
            rate_max: BitsPerSec(1_000_000_000),
            rate_start: BitsPerSec(1_000_000_000),
            control_share: 0,
            explore_share: 0,
            explore_sigma_q16: 0,
            sample_share: 0,
            mark_delay: Ns::from_millis(10),
            delay_max: Ns::from_millis(100),
            mode: PacingMode::Transparent,
            flow_held_bytes_max: 1 << 20,
            limits: weir_engine::limit::Limits::none(),
            cadence: PacingCadence::Interval,
            pin: Pin::Interval,
        };
        Wire::new(Some(pacing), Ns::from_millis(1))
    }

    fn new(pacing: Option<PacingConfig>, step: Ns) -> Wire {
        let config = EngineConfig {
            seed: 5,
            flows_max: 256,
            half_open_max: 256,
            flow_idle_max: Ns::from_secs(120),
            held_max: 1_024,
            pacing,
            route: None,
            schedule: None,
        };
        let now = Ns::from_secs(1_000);
        let (samples, _) = lane(8, 8);
        let (_, mut readers) = epoch(Policy::default(), 1);
        Wire {
            worker: Worker::new(&config, now, samples),
            ports: Ports::default(),
            models: readers.pop().unwrap(),
            now,
            step,
        }
    }

    /// Offers the first `first` bytes of a frame of `wire_len`. Returns its verdict, and has checked that the books
    /// balance and that what left is what came, on the other side.
    pub(crate) fn offer(&mut self, side: Side, bytes: &Rc<[u8]>, first: usize, wire_len: usize) -> Verdict {
        let segment = Segment { bytes: Rc::clone(bytes), first, wire_len };
        self.now += self.step;
        self.ports.arriving[side as usize] = Some(segment);
        let before = *self.worker.tally();
        self.worker.turn(self.now, &mut self.ports, &mut self.models);
        let after = self.worker.tally();
        assert!(after.balanced(), "{after:?}");
        assert_eq!(after.held, 0, "{after:?}");
        let mut verdicts = Verdict::ALL
            .into_iter()
            .filter(|verdict| after.ended[*verdict as usize] != before.ended[*verdict as usize]);
        let verdict = verdicts.next().unwrap();
        assert_eq!(verdicts.next(), None, "one frame has two verdicts");
        let left = self.ports.left.pop();
        assert_eq!(left.is_some(), verdict.sent());
        if let Some((out, segment)) = left {
            assert_eq!((out, segment.first, segment.wire_len), (side.other(), first, wire_len));
            assert!(Rc::ptr_eq(&segment.bytes, bytes) || segment.bytes == *bytes, "bytes were changed");
        }
        verdict
    }

    pub(crate) fn finish(self) {
        let (tally, _) = self.worker.finish();
        assert!(tally.balanced() && tally.ended[Verdict::Undrained as usize] == 0, "{tally:?}");
    }
}
