//! Decisions since the last step, and the trajectories that they form.

use super::batch::{Batch, Row};
use crate::quantise::InputMap;
use std::collections::{HashMap, HashSet};
use weir_features::ONE;

/// One decision with its outcome, besides its features.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Recorded {
    /// Decisions of one flow can be a trajectory.
    pub(super) flow: u64,
    /// The generation that decided.
    pub(super) generation: u32,
    /// When what it governed began and ended, in nanoseconds: where one ends as the next begins, nothing lies between.
    pub(super) span_ns: (u64, u64),
    /// See [`Row`].
    pub(super) action: f32,
    /// See [`Row`].
    pub(super) noise: f32,
    /// See [`Row`].
    pub(super) log_prob: f32,
    /// See [`Row`].
    pub(super) reward: f32,
    /// See [`Row`].
    pub(super) weight: f32,
    /// See [`Row`].
    pub(super) explored: bool,
}

/// A bounded window.
#[derive(Debug)]
pub(super) struct Window {
    width: usize,
    max: usize,
    features: Vec<i32>,
    records: Vec<Recorded>,
    /// How many at the front have been in a batch already, as the last of their trajectories: what follows them may come
    /// in this window.
    kept: usize,
}

impl Window {
    /// Nothing yet; never more than `max` decisions of `width` features.
    pub(super) fn new(width: usize, max: usize) -> Self {
        Self { width, max: max.max(1), features: Vec::new(), records: Vec::new(), kept: 0 }
    }

    /// Whether the decision was taken: it is not when the window is full.
    pub(super) fn push(&mut self, record: Recorded, features: &[i32]) -> bool {
        if self.records.len() >= self.max || features.len() != self.width {
            return false;
        }
        self.features.extend_from_slice(features);
        self.records.push(record);
        true
    }

    /// Decisions that have not been in a batch.
    pub(super) fn fresh(&self) -> usize {
        self.records.len() - self.kept
    }

    /// Everything since the last call, trajectory after trajectory. What each flow decided last stays: its successor makes it
    /// a transition of the next batch.
    pub(super) fn take(&mut self, inputs: &[InputMap], live: impl Fn(u32) -> bool) -> Batch {
        let mut order: Vec<usize> = (0..self.records.len()).collect();
        let mut first_seen = HashMap::new();
        for (at, record) in self.records.iter().enumerate() {
            first_seen.entry(record.flow).or_insert(at);
        }
        // Stable: a flow's decisions stay in order.
        order.sort_by_key(|&at| first_seen.get(&self.records[at].flow).copied());

        let mut batch = Batch::new(inputs.len());
        let mut before: Option<&Recorded> = None;
        let mut row = Vec::with_capacity(inputs.len());
        for &at in &order {
            let record = &self.records[at];
            if !live(record.generation) {
                before = None;
                continue;
            }
            let continues = before
                .is_some_and(|before| before.flow == record.flow && before.span_ns.1 == record.span_ns.0);
            before = Some(record);
            let features = &self.features[at * self.width..(at + 1) * self.width];
            row.clear();
            row.extend(inputs.iter().zip(features).map(|(map, &x)| network_input(map, x)));
            batch.push(&Row {
                inputs: &row,
                action: record.action,
                noise: record.noise,
                log_prob: record.log_prob,
                reward: record.reward,
                weight: record.weight,
                continues,
                explored: record.explored,
                remembered: false,
            });
        }
        self.keep_last(&order);
        batch
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.features.clear();
        self.records.clear();
        self.kept = 0;
    }

    /// Keeps each flow's newest decision if it is one of this window, not one that was kept before: nothing has followed
    /// that one, so nothing will.
    fn keep_last(&mut self, order: &[usize]) {
        let mut flows = HashSet::new();
        let newest = order.iter().rev().copied().filter(|&at| flows.insert(self.records[at].flow));
        let mut last: Vec<usize> = newest.filter(|&at| at >= self.kept).collect();
        last.sort_unstable();
        let (mut features, mut records) = (Vec::new(), Vec::new());
        for at in last {
            features.extend_from_slice(&self.features[at * self.width..(at + 1) * self.width]);
            records.push(self.records[at]);
        }
        // Half the room must stay for what is new.
        let surplus = records.len().saturating_sub(self.max / 2);
        records.drain(..surplus);
        features.drain(..surplus * self.width);
        self.kept = records.len();
        (self.features, self.records) = (features, records);
    }
}

/// What the float network is shown for a feature in 1/65536.
fn network_input(map: &InputMap, feature: i32) -> f32 {
    map.apply(f64::from(feature) / f64::from(ONE)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUTS: [InputMap; 1] = [InputMap { scale: 2.0, offset: 1.0, clip: [-4.0, 4.0] }];

    /// The `step`-th decision of a flow, an interval of 10 ns each; its feature is the step.
    fn decided(flow: u64, step: u64) -> (Recorded, [i32; 1]) {
        let record = Recorded {
            flow,
            generation: 1,
            span_ns: (10 * step, 10 * (step + 1)),
            action: step as f32,
            noise: 0.0,
            log_prob: 0.0,
            reward: 0.0,
            weight: 1.0,
            explored: true,
        };
        (record, [step as i32 * ONE])
    }

    fn push(window: &mut Window, flow: u64, step: u64) -> bool {
        let (record, features) = decided(flow, step);
        window.push(record, &features)
    }

    fn shown(batch: &Batch) -> Vec<(f32, bool)> {
        batch.actions().iter().copied().zip(batch.continues().iter().copied()).collect()
    }

    #[test]
    fn trajectories_are_put_together_and_gaps_end_them() {
        let mut window = Window::new(1, 100);
        for (flow, step) in [(1, 0), (2, 0), (1, 1), (2, 1), (1, 3), (2, 2)] {
            assert!(push(&mut window, flow, step));
        }
        let batch = window.take(&INPUTS, |_| true);
        let expected = [(0.0, false), (1.0, true), (3.0, false), (0.0, false), (1.0, true), (2.0, true)];
        assert_eq!(shown(&batch), expected);
        // Clipped to 4, doubled, and one more.
        assert_eq!(batch.inputs(), [1.0, 3.0, 7.0, 1.0, 3.0, 5.0]);
    }

    #[test]
    fn a_trajectory_goes_on_in_the_next_window_and_not_in_the_one_after() {
        let mut window = Window::new(1, 100);
        push(&mut window, 1, 0);
        push(&mut window, 2, 0);
        window.take(&INPUTS, |_| true);
        assert_eq!(window.fresh(), 0);
        push(&mut window, 1, 1);
        assert_eq!(window.fresh(), 1);
        let batch = window.take(&INPUTS, |_| true);
        assert_eq!(shown(&batch), [(0.0, false), (1.0, true), (0.0, false)]);
        push(&mut window, 2, 1);
        assert_eq!(shown(&window.take(&INPUTS, |_| true)), [(1.0, false), (1.0, false)]);
    }

    #[test]
    fn a_full_window_takes_nothing_and_generations_that_are_gone_leave_gaps() {
        let mut window = Window::new(1, 3);
        assert!((0..3).all(|step| push(&mut window, 1, step)));
        assert!(!push(&mut window, 1, 3));
        assert!(!window.push(decided(1, 3).0, &[]), "another width");
        window.records[1].generation = 9;
        let batch = window.take(&INPUTS, |generation| generation == 1);
        assert_eq!(shown(&batch), [(0.0, false), (2.0, false)]);
        window.clear();
        assert!(window.take(&INPUTS, |_| true).is_empty());
    }

    #[test]
    fn many_flows_leave_room_for_what_is_new() {
        let mut window = Window::new(1, 10);
        assert!((0..10).all(|flow| push(&mut window, flow, 0)));
        window.take(&INPUTS, |_| true);
        assert!((0..5).all(|flow| push(&mut window, flow, 1)));
        assert!(!push(&mut window, 5, 1));
    }
}
