//! The trainer's ends of what workers tell of their decisions.

use weir_features::{FlowSample, PathSample, Sample};
use weir_handoff::LaneReceiver;

/// One of each kind for each worker that tells of such decisions, by worker index.
#[derive(Default)]
pub(super) struct Lanes {
    /// Monitor intervals of paced flows.
    pub(super) intervals: Vec<LaneReceiver<Sample>>,
    /// Choices of paths; none without paths.
    pub(super) choices: Vec<LaneReceiver<PathSample>>,
    /// Scheduled flows that have ended; none where nobody could learn from them.
    pub(super) flows: Vec<LaneReceiver<FlowSample>>,
}

impl Lanes {
    /// Takes up to `max` samples from each lane, for nobody. How many there were.
    pub(super) fn discard(&mut self, max: usize) -> usize {
        let intervals: usize = self.intervals.iter_mut().map(|lane| lane.drain(max, |_| {})).sum();
        let choices: usize = self.choices.iter_mut().map(|lane| lane.drain(max, |_| {})).sum();
        let flows: usize = self.flows.iter_mut().map(|lane| lane.drain(max, |_| {})).sum();
        intervals + choices + flows
    }
}
