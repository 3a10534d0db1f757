//! One step's transitions, as columns.

/// Decisions with what came of them, in the order of their trajectories.
///
/// Columns and not rows, because training graphs and the adapter protocol take them so. All have [`len`](Self::len)
/// items; [`inputs`](Self::inputs) has `len * width`, row after row.
///
/// Row *i* leads to row *i + 1* exactly where row *i + 1* [continues](Row::continues). The last row of a trajectory leads
/// to a state that is not known: it has an action and a reward, but is good for the *value of its own state* only
/// (bootstrapping a truncated trajectory).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    width: usize,
    inputs: Vec<f32>,
    actions: Vec<f32>,
    noises: Vec<f32>,
    log_probs: Vec<f32>,
    rewards: Vec<f32>,
    weights: Vec<f32>,
    continues: Vec<bool>,
    explored: Vec<bool>,
    remembered: Vec<bool>,
}

/// One decision and its outcome.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row<'a> {
    /// What the float network is shown: `scale * feature + offset` of the *integer* features that the datapath saw, so
    /// that training sees what the wire saw.
    pub inputs: &'a [f32],
    /// What was done, in the network's output units, after noise and guard. For the bandit head the arm's number; for
    /// regression what was predicted.
    pub action: f32,
    /// The exploration noise in `action`; 0 where there was none.
    pub noise: f32,
    /// Natural logarithm of the probability (density) of `action` under the integer policy that acted; 0 where it did
    /// not explore.
    pub log_prob: f32,
    /// What came of it. Pacing: MOCC's reward, 0 to 1, see [`crate::reward`]. Bandit: the reward. Regression: the true
    /// value of what was predicted.
    pub reward: f32,
    /// How much the row counts, 1 for an ordinary one.
    pub weight: f32,
    /// Whether the row before is the same flow's decision directly before this one.
    pub continues: bool,
    /// Whether the decision was drawn at random, with the probability given: rows that were not say nothing about other
    /// actions, but are as good for a value network, for calibration and for comparing networks.
    pub explored: bool,
    /// Whether the row is older than the window, shown again against forgetting.
    pub remembered: bool,
}

impl Batch {
    /// No rows yet, of `width` inputs each.
    pub fn new(width: usize) -> Self {
        Self { width, ..Self::default() }
    }

    /// Appends a row whose inputs have the batch's width; another one changes nothing.
    ///
    /// Whether it was taken.
    pub fn push(&mut self, row: &Row<'_>) -> bool {
        if row.inputs.len() != self.width {
            return false;
        }
        self.inputs.extend_from_slice(row.inputs);
        self.actions.push(row.action);
        self.noises.push(row.noise);
        self.log_probs.push(row.log_prob);
        self.rewards.push(row.reward);
        self.weights.push(row.weight);
        self.continues.push(row.continues && !self.continues.is_empty());
        self.explored.push(row.explored);
        self.remembered.push(row.remembered);
        true
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.actions.len()
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }
    /// Inputs per row.
    pub fn width(&self) -> usize {
        self.width
    }
    /// All rows' [inputs](Row::inputs), one row after the other.
    pub fn inputs(&self) -> &[f32] {
        &self.inputs
    }
    /// [`Row::action`]
    pub fn actions(&self) -> &[f32] {
        &self.actions
    }
    /// [`Row::noise`]
    pub fn noises(&self) -> &[f32] {
        &self.noises
    }
    /// [`Row::log_prob`]
    pub fn log_probs(&self) -> &[f32] {
        &self.log_probs
    }
    /// [`Row::reward`]
    pub fn rewards(&self) -> &[f32] {
        &self.rewards
    }
    /// [`Row::weight`]
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }
    /// [`Row::continues`]; never true for the first row.
    pub fn continues(&self) -> &[bool] {
        &self.continues
    }
    /// [`Row::explored`]
    pub fn explored(&self) -> &[bool] {
        &self.explored
    }
    /// [`Row::remembered`]
    pub fn remembered(&self) -> &[bool] {
        &self.remembered
    }

    /// Whether each row is followed by the state that it led to.
    pub fn leads_on(&self) -> impl Iterator<Item = bool> + '_ {
        self.continues.iter().skip(1).copied().chain(std::iter::once(false)).take(self.len())
    }

    /// All rows in order.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.inputs.chunks_exact(self.width.max(1)).enumerate().map(|(at, inputs)| Row {
            inputs,
            action: self.actions[at],
            noise: self.noises[at],
            log_prob: self.log_probs[at],
            reward: self.rewards[at],
            weight: self.weights[at],
            continues: self.continues[at],
            explored: self.explored[at],
            remembered: self.remembered[at],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(inputs: &[f32], continues: bool) -> Row<'_> {
        Row {
            inputs,
            action: 0.5,
            noise: 0.1,
            log_prob: -1.0,
            reward: 0.75,
            weight: 1.0,
            continues,
            explored: true,
            remembered: false,
        }
    }

    #[test]
    fn rows_come_back_and_another_width_is_refused() {
        let mut batch = Batch::new(2);
        assert!(batch.push(&row(&[1.0, 2.0], false)));
        assert!(batch.push(&row(&[3.0, 4.0], true)));
        assert!(!batch.push(&row(&[5.0], true)));
        assert_eq!((batch.len(), batch.inputs()), (2, [1.0, 2.0, 3.0, 4.0].as_slice()));
        assert_eq!(batch.rows().nth(1), Some(row(&[3.0, 4.0], true)));
    }

    #[test]
    fn a_row_leads_on_where_the_next_continues() {
        let mut batch = Batch::new(1);
        // The first row cannot continue what is not there.
        for continues in [true, true, false, true] {
            batch.push(&row(&[0.0], continues));
        }
        assert_eq!(batch.continues(), [false, true, false, true]);
        assert_eq!(batch.leads_on().collect::<Vec<_>>(), [true, false, true, false]);
        assert_eq!(Batch::new(1).leads_on().count(), 0);
    }
}
