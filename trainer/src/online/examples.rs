//! Decisions as the datapath saw them: what networks are held against each other on.

use crate::network::Network;
use crate::quantise::InputMap;
use crate::verify::network_inputs;
use weir_features::ONE;
use weir_snapshot::{Executable, Scratch};

/// The newest decisions of a kind, up to a bound; their order means nothing.
#[derive(Debug, Clone)]
pub struct Examples {
    width: usize,
    max: usize,
    features: Vec<i32>,
    outcomes: Vec<Outcome>,
    /// The oldest, which the next one replaces once there are `max`.
    oldest: usize,
}

/// What belongs to one decision besides its features.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// The pacing rate that the decision started from, in bits per second; 0 where it decided no rate.
    pub rate_bps: u64,
    /// The true value of what was predicted; 0 where nothing was.
    pub truth: f64,
    /// How much its error counts.
    pub weight: f64,
}

impl Default for Outcome {
    fn default() -> Outcome {
        Outcome { rate_bps: 0, truth: 0.0, weight: 1.0 }
    }
}

impl Examples {
    /// None yet of `width` features each, and never more than `max` (at least 1).
    pub fn new(width: usize, max: usize) -> Self {
        Self { width, max: max.max(1), features: Vec::new(), outcomes: Vec::new(), oldest: 0 }
    }

    /// Adds one, whose features (in 1/65536) have the right width; others are left out. The oldest goes when it is full.
    pub fn push(&mut self, features: &[i32], outcome: Outcome) {
        if features.len() != self.width {
            return;
        }
        if self.outcomes.len() < self.max {
            self.features.extend_from_slice(features);
            self.outcomes.push(outcome);
            return;
        }
        let at = self.oldest;
        self.features[at * self.width..(at + 1) * self.width].copy_from_slice(features);
        self.outcomes[at] = outcome;
        self.oldest = (at + 1) % self.max;
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.outcomes.len()
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.outcomes.is_empty()
    }
    /// Forgets all.
    pub fn clear(&mut self) {
        self.features.clear();
        self.outcomes.clear();
        self.oldest = 0;
    }
    /// Each one's features in 1/65536.
    pub fn rows(&self) -> impl Iterator<Item = &[i32]> {
        self.features.chunks_exact(self.width.max(1))
    }
    /// Each one's outcome, in the order of [`rows`](Self::rows).
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }
}

/// What a network answers to examples: one value per example and output, example after example.
#[derive(Debug, Clone, PartialEq)]
pub struct Answers {
    pub(super) outputs: usize,
    pub(super) values: Vec<f64>,
}

impl Answers {
    /// A float network's. `network` must be [sound](super::gate::sound) and take as many values as `inputs` has maps.
    pub fn float(network: &Network, inputs: &[InputMap], examples: &Examples) -> Answers {
        let evaluate = |row| network.evaluate(&network_inputs(inputs, row));
        Answers { outputs: network.outputs(), values: examples.rows().flat_map(evaluate).collect() }
    }

    /// A snapshot's, which must take rows of the examples' width.
    pub fn integers(executable: &Executable, examples: &Examples) -> Answers {
        let (width, outputs) = (executable.row_len(), executable.outputs());
        let mut rows = vec![0; examples.len() * width];
        for (features, row) in examples.rows().zip(rows.chunks_exact_mut(width)) {
            executable.quantise_row(features, row);
        }
        let mut out = vec![0; examples.len() * outputs];
        executable.run(&rows, examples.len(), &mut out, &mut Scratch::new());
        let real = |value: i32| f64::from(value) / f64::from(ONE);
        Answers { outputs, values: out.into_iter().map(real).collect() }
    }

    /// Values per example.
    pub fn outputs(&self) -> usize {
        self.outputs
    }
    /// Each example's answer.
    pub fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.outputs.max(1))
    }

    /// Standard deviation of each output over the examples.
    pub fn deviations(&self) -> Vec<f64> {
        let count = (self.values.len() / self.outputs.max(1)).max(1) as f64;
        let column = |output: usize| self.rows().map(move |row| row[output]);
        let deviation = |output: usize| {
            let mean = column(output).sum::<f64>() / count;
            (column(output).map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt()
        };
        (0..self.outputs).map(deviation).collect()
    }

    /// How far the other's answers are, example by example, each output in units of `scales`, mean over the outputs.
    /// NaN where an answer is no number.
    pub fn distances(&self, other: &Answers, scales: &[f64]) -> Vec<f64> {
        let distance = |(a, b): (&[f64], &[f64])| {
            let sum: f64 = a.iter().zip(b).zip(scales).map(|((a, b), scale)| (a - b).abs() / scale).sum();
            sum / self.outputs.max(1) as f64
        };
        self.rows().zip(other.rows()).map(distance).collect()
    }
}

/// Mean; 0 of nothing.
pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The smallest value that at least `share` of all values do not exceed; 0 of nothing, NaN where one is NaN.
pub(super) fn percentile(values: &[f64], share: f64) -> f64 {
    if values.iter().any(|value| value.is_nan()) {
        return f64::NAN;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(place.max(1) - 1).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_and_another_width_is_left_out() {
        let mut examples = Examples::new(2, 3);
        for n in 1..=5 {
            examples.push(&[n, -n], Outcome { rate_bps: n as u64, ..Outcome::default() });
        }
        examples.push(&[9], Outcome::default());
        let mut kept: Vec<&[i32]> = examples.rows().collect();
        kept.sort();
        assert_eq!(kept, [[3, -3], [4, -4], [5, -5]]);
        assert_eq!(examples.outcomes().iter().map(|o| o.rate_bps).sum::<u64>(), 12);
        examples.clear();
        assert!(examples.is_empty() && examples.rows().count() == 0);
    }

    #[test]
    fn distances_are_in_units_of_each_output() {
        let answers = |values: &[f64]| Answers { outputs: 2, values: values.to_vec() };
        let (a, b) = (answers(&[0.0, 10.0, 2.0, 30.0]), answers(&[1.0, 10.0, 2.0, 10.0]));
        assert_eq!(a.deviations(), [1.0, 10.0]);
        assert_eq!(a.distances(&b, &a.deviations()), [0.5, 1.0]);
        assert!(a.distances(&answers(&[f64::NAN; 4]), &[1.0, 1.0])[0].is_nan());
    }

    #[test]
    fn percentiles_of_little_and_of_nan() {
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!((percentile(&hundred, 0.99), percentile(&hundred, 1.0)), (99.0, 100.0));
        assert_eq!((percentile(&[], 0.99), percentile(&[7.0], 0.99)), (0.0, 7.0));
        assert!(percentile(&[1.0, f64::NAN], 0.5).is_nan());
    }
}
