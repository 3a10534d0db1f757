//! Records of choices: gathered while a flowlet lasts, handed to the trainer's lane when it is over.

use crate::time::Ns;
use crate::track::Departed;
use weir_features::{PATH_INPUTS, PathSample, PathSource};
use weir_handoff::LaneSender;

/// Flowlets that are being recorded at once; beyond it a flowlet is no sample.
const OPEN_MAX: usize = 1_024;
/// How long a record may wait for its batch to fill.
const WAIT_MAX: Ns = Ns::from_millis(50);
const NONE: u16 = u16::MAX;

/// The records under way.
pub(super) struct Records {
    lane: Option<LaneSender<PathSample>>,
    open: Box<[PathSample]>,
    free: Vec<u16>,
    told: u64,
    dropped: u64,
    flushed: Ns,
}

impl Records {
    /// Of nobody who wants them.
    pub(super) fn new() -> Records {
        Records { lane: None, open: Box::default(), free: Vec::new(), told: 0, dropped: 0, flushed: Ns::ZERO }
    }

    /// All memory is allocated here.
    pub(super) fn tell_into(&mut self, lane: LaneSender<PathSample>) {
        self.lane = Some(lane);
        let nothing = PathSample {
            source: PathSource::Control,
            schema_hash: 0,
            generation: 0,
            flow: 0,
            features: [0; PATH_INPUTS],
            score_q16: 0,
            path: 0,
            choices: 0,
            probability_q16: 0,
            at_ns: 0,
            delivery_ns: 0,
            sent_bytes: 0,
            acked_bytes: 0,
            repeated_bytes: 0,
            base_rtt_ns: 0,
            rate_bps: 0,
        };
        self.open = vec![nothing; OPEN_MAX].into_boxed_slice();
        self.free = (0..OPEN_MAX as u16).collect();
    }

    /// Whether anybody listens.
    pub(super) fn wanted(&self) -> bool {
        self.lane.is_some()
    }

    /// Records handed over, and lost to a full lane.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.told, self.dropped)
    }

    /// A flow's flowlet `before` is over, and the next begins, if it is one to record: with no outcome yet. Its place.
    pub(super) fn turn_over(&mut self, before: u16, begun: Option<PathSample>) -> u16 {
        self.end(before);
        let Some(begun) = begun else { return NONE };
        let Some(place) = self.free.pop() else { return NONE };
        self.open[usize::from(place)] = begun;
        place
    }

    pub(super) fn on_depart(&mut self, place: u16, departed: &Departed) {
        if let Some(sample) = self.open.get_mut(usize::from(place)) {
            sample.sent_bytes += u64::from(departed.new_bytes);
            sample.repeated_bytes += u64::from(departed.retransmitted_bytes);
        }
    }

    pub(super) fn on_ack(&mut self, place: u16, delivered: u32, now: Ns) {
        if let Some(sample) = self.open.get_mut(usize::from(place))
            && delivered > 0
        {
            // What is acknowledged beyond what this flowlet sent is an earlier one's.
            let own = u64::from(delivered).min(sample.sent_bytes - sample.acked_bytes);
            if own > 0 {
                sample.acked_bytes += own;
                sample.delivery_ns = (now - Ns(sample.at_ns)).0;
            }
        }
    }

    /// A flowlet is over. One that carried no payload is no sample.
    pub(super) fn end(&mut self, place: u16) {
        let Some(sample) = self.open.get(usize::from(place)).copied() else { return };
        self.free.push(place);
        if sample.sent_bytes == 0 {
            return;
        }
        if let Some(lane) = &mut self.lane {
            match lane.push(sample) {
                Ok(()) => self.told += 1,
                Err(_) => self.dropped += 1,
            }
        }
    }

    /// Shows what has waited long enough.
    pub(super) fn flush(&mut self, now: Ns) {
        if now - self.flushed >= WAIT_MAX {
            self.flushed = now;
            if let Some(lane) = &mut self.lane {
                lane.flush();
            }
        }
    }
}
