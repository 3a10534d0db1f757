//! Batches: what a head learns from in one step.

use super::LearnerError;
use crate::graph::{Bandit, Head, Layout};
use crate::ort_engine::Input;

/// Rows of a training step, as flat matrices row by row.
#[derive(Debug, Clone, Copy)]
pub struct HeadBatch<'a> {
    /// Network inputs, [rows, inputs]; for [`Bandit::Options`] [rows, options, inputs].
    pub inputs: &'a [f32],
    /// What the head learns from them.
    pub labels: Labels<'a>,
    /// How much each row counts, at least 0 and not all 0; only their ratios matter. `None`: all the same.
    pub weights: Option<&'a [f32]>,
}

/// What rows are held to, by head.
#[derive(Debug, Clone, Copy)]
pub enum Labels<'a> {
    /// For [`Head::Regression`].
    Targets {
        /// [rows, outputs].
        targets: &'a [f32],
    },
    /// For [`Head::Ppo`].
    Actions {
        /// Actions taken, [rows, outputs].
        actions: &'a [f32],
        /// Natural logarithm of the density of each action under the policy that took it, one for each row.
        log_probs: &'a [f32],
        /// Advantages, one for each row; whoever wants them normalised does that before.
        advantages: &'a [f32],
    },
    /// For [`Bandit::Actions`] and [`Bandit::Options`].
    Chosen {
        /// Index of the action or option taken, one for each row.
        chosen: &'a [usize],
        /// What came of it, one for each row.
        rewards: &'a [f32],
        /// Probability with which it was taken, above 0 and at most 1, one for each row.
        propensities: &'a [f32],
    },
    /// For [`Bandit::Scorer`], whose inputs are those of the option taken.
    Scored {
        /// What came of it, one for each row.
        rewards: &'a [f32],
        /// Probability with which it was taken, above 0 and at most 1, one for each row.
        propensities: &'a [f32],
    },
}

/// Buffers for what a batch does not hold in the graph's form.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    one_hot: Vec<f32>,
    ones: Vec<f32>,
}

impl HeadBatch<'_> {
    /// The batch's tensors by the names of `interface::batch_inputs`, checked.
    pub(super) fn tensors<'a>(
        &'a self,
        layout: &Layout,
        head: &Head,
        scratch: &'a mut Scratch,
    ) -> Result<Vec<Input<'a>>, LearnerError> {
        let options = match head {
            Head::Bandit(Bandit::Options { options, .. }) => *options,
            _ => 1,
        };
        let (inputs, outputs) = (layout.inputs(), layout.outputs());
        let rows = self.inputs.len() / (inputs * options);
        if rows == 0 {
            return Err(refused("inputs", format!("hold {} values, not one row", self.inputs.len())));
        }
        let Scratch { one_hot, ones } = scratch;
        let mut tensors = vec![matrix("x", [rows * options, inputs], self.inputs)?];
        match (head, self.labels) {
            (Head::Regression(_), Labels::Targets { targets }) => {
                tensors.push(matrix("y", [rows, outputs], targets)?);
            }
            (Head::Ppo(_), Labels::Actions { actions, log_probs, advantages }) => {
                tensors.push(matrix("action", [rows, outputs], actions)?);
                tensors.push(matrix("log_prob", [rows, 1], log_probs)?);
                tensors.push(matrix("advantage", [rows, 1], advantages)?);
            }
            (
                Head::Bandit(Bandit::Actions { .. } | Bandit::Options { .. }),
                Labels::Chosen { chosen, rewards, propensities },
            ) => {
                let choices = if options > 1 { options } else { outputs };
                mark(chosen, rows, choices, one_hot)?;
                tensors.push(matrix("chosen", [rows, choices], one_hot)?);
                tensors.extend(outcome(rows, rewards, propensities)?);
            }
            (Head::Bandit(Bandit::Scorer { .. }), Labels::Scored { rewards, propensities }) => {
                tensors.extend(outcome(rows, rewards, propensities)?);
            }
            _ => return Err(refused("labels", format!("are not those of head {}", head.name()))),
        }
        let weights = match self.weights {
            Some(weights) => weights,
            None => {
                ones.resize(rows, 1.0);
                &ones[..]
            }
        };
        let total: f32 = weights.iter().sum();
        if !(total > 0.0 && total.is_finite() && weights.iter().all(|&weight| weight >= 0.0)) {
            return Err(refused("weights", "are not all at least 0 with a sum above 0".into()));
        }
        tensors.push(matrix("weight", [rows, 1], weights)?);
        Ok(tensors)
    }
}

/// Rewards and propensities as columns.
fn outcome<'a>(
    rows: usize,
    rewards: &'a [f32],
    propensities: &'a [f32],
) -> Result<[Input<'a>; 2], LearnerError> {
    if !propensities.iter().all(|&propensity| propensity > 0.0 && propensity <= 1.0) {
        return Err(refused("propensities", "are not all above 0 and at most 1".into()));
    }
    Ok([matrix("reward", [rows, 1], rewards)?, matrix("propensity", [rows, 1], propensities)?])
}

/// Fills `one_hot` with a one at each row's choice.
fn mark(chosen: &[usize], rows: usize, choices: usize, one_hot: &mut Vec<f32>) -> Result<(), LearnerError> {
    if chosen.len() != rows {
        return Err(refused("chosen", format!("hold {} values; {rows} expected", chosen.len())));
    }
    one_hot.clear();
    one_hot.resize(rows * choices, 0.0);
    for (row, &choice) in one_hot.chunks_exact_mut(choices).zip(chosen) {
        let Some(cell) = row.get_mut(choice) else {
            return Err(refused("chosen", format!("hold {choice}; there are {choices} choices")));
        };
        *cell = 1.0;
    }
    Ok(())
}

fn matrix<'a>(
    name: &'static str,
    [rows, columns]: [usize; 2],
    cells: &'a [f32],
) -> Result<Input<'a>, LearnerError> {
    if cells.len() != rows * columns {
        let reason = format!("holds {} values; {rows} x {columns} expected", cells.len());
        return Err(refused(name, reason));
    }
    Ok(Input { name, cells, columns: Some(columns) })
}

fn refused(tensor: &'static str, reason: String) -> LearnerError {
    LearnerError::Batch { tensor, reason }
}
