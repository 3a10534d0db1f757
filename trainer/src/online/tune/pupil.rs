//! A policy's network while it is taught: regression on what it should have said.

use crate::learner::{HeadBatch, Labels, Learner};
use crate::network::Network;
use crate::online::adapter::{AdaptError, AdaptReport};
use crate::online::batch::Batch;
use crate::online::tune::{PolicyTuning, Smoothed};
use crate::rng::Rng;

/// Lessons that are kept: of all states met since the lessons began, not only the newest (DAgger).
const LESSONS: usize = 8_192;
/// Gradient steps of a call: some 0.2 ms each.
const STEPS: usize = 24;

/// The learner, and what it was taught so far.
#[derive(Debug)]
pub(super) struct Pupil {
    learner: Learner,
    inputs: Vec<f32>,
    answers: Vec<f32>,
    /// The place of the oldest lesson, once all are taken.
    oldest: usize,
    /// Mean square error while lessons go on.
    square: Smoothed,
}

impl Pupil {
    pub(super) fn new(learner: Learner) -> Pupil {
        Pupil { learner, inputs: Vec::new(), answers: Vec::new(), oldest: 0, square: Smoothed::default() }
    }

    /// Lessons end: the next ones begin from nothing.
    pub(super) fn leave(&mut self) {
        self.inputs.clear();
        self.answers.clear();
        (self.oldest, self.square) = (0, Smoothed::default());
    }

    /// Root mean square of what the answers are off, in units of the action; `None` while there are no lessons.
    pub(super) fn error(&self) -> Option<f64> {
        self.square.get().map(f64::sqrt)
    }

    /// The network as it is now.
    pub(super) fn network(&self) -> Network {
        self.learner.network()
    }

    /// Learns from lessons with these scaled inputs; the first ones begin from `network`.
    ///
    /// # Errors
    /// As [`Learner::step`]; the network is then as it was.
    pub(super) fn learn(
        &mut self,
        network: &Network,
        inputs: &[f32],
        lessons: &Batch,
        tuning: &PolicyTuning,
        rng: &mut Rng,
    ) -> Result<AdaptReport, AdaptError> {
        if self.square.get().is_none() {
            self.learner.reset(network)?;
        }
        self.keep(inputs, lessons);
        let mut report = AdaptReport { rows: lessons.len(), ..AdaptReport::default() };
        if self.answers.is_empty() {
            return Ok(report);
        }
        let before = self.learner.state().clone();
        let width = lessons.width();
        let (mut rows, mut answers, mut squares) = (Vec::new(), Vec::new(), 0.0);
        for _ in 0..STEPS {
            rows.clear();
            answers.clear();
            for _ in 0..tuning.minibatch {
                let at = rng.below(self.answers.len());
                rows.extend_from_slice(&self.inputs[at * width..(at + 1) * width]);
                answers.push(self.answers[at]);
            }
            let labels = Labels::Targets { targets: &answers };
            let batch = HeadBatch { inputs: &rows, labels, weights: None };
            match self.learner.step(&batch, tuning.lesson_rate) {
                Ok(step) => {
                    (report.loss, report.steps) = (step.loss, report.steps + 1);
                    report.gradient_norm = step.grad_norm.unwrap_or(f64::NAN);
                    squares += step.loss / STEPS as f64;
                }
                Err(error) => {
                    self.learner.restore(before)?;
                    return Err(error.into());
                }
            }
        }
        self.square.note(squares);
        Ok(report)
    }

    fn keep(&mut self, inputs: &[f32], lessons: &Batch) {
        for (row, answer) in inputs.chunks_exact(lessons.width().max(1)).zip(lessons.rewards()) {
            if self.answers.len() < LESSONS {
                self.inputs.extend_from_slice(row);
                self.answers.push(*answer);
            } else {
                self.inputs[self.oldest * row.len()..(self.oldest + 1) * row.len()].copy_from_slice(row);
                self.answers[self.oldest] = *answer;
                self.oldest = (self.oldest + 1) % LESSONS;
            }
        }
    }
}
