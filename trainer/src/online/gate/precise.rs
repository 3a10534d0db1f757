//! From floats to integers, and how far apart the two are: the cheapest precision that is close enough.

use super::{Refusal, Terms, valid};
use crate::network::Network;
use crate::online::examples::{Answers, Examples, mean, percentile};
use crate::quantise::{QuantiseError, QuantiseOptions, quantise};
use crate::verify::network_inputs;
use weir_features::{ONE, f64_from_q16};
use weir_snapshot::{Executable, Executor, Precision};

/// Largest quantisation error that passes, in standard deviations of the output.
///
/// The mean must stay below the fidelity threshold, else a snapshot differs enough from its own floats to be published
/// again and again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantisation {
    /// Of the mean.
    pub mean_max: f64,
    /// Of the 99th percentile.
    pub p99_max: f64,
}

impl Default for Quantisation {
    fn default() -> Self {
        Quantisation { mean_max: 0.025, p99_max: 0.1 }
    }
}

/// Rows on which weights are rounded together; more would cost a step more time than they gain.
const ROUNDING_ROWS: usize = 512;

/// A candidate in integers.
#[derive(Debug)]
pub struct Encoded {
    /// The snapshot's bytes.
    pub bytes: Vec<u8>,
    /// Ready to be run.
    pub executable: Executable,
    /// What it answers to the examples.
    pub answers: Answers,
    /// Mean quantisation error.
    pub mean: f64,
    /// 99th percentile of the quantisation error.
    pub p99: f64,
}

/// Makes bytes of a network, at a precision.
pub type Quantiser<'a> = dyn FnMut(&Network, Precision) -> Result<Vec<u8>, QuantiseError> + 'a;

/// Quantises with ranges from `calibration`, features as they really were (in 1/65536).
pub fn calibrated(
    network: &Network,
    precision: Precision,
    terms: &Terms,
    calibration: &Examples,
) -> Result<Vec<u8>, QuantiseError> {
    let rows: Vec<Vec<f64>> =
        calibration.rows().map(|row| row.iter().map(|&x| f64_from_q16(x)).collect()).collect();
    let middle: Vec<f64> = terms.inputs.iter().map(|map| (map.clip[0] + map.clip[1]) / 2.0).collect();
    let options = QuantiseOptions {
        name: &terms.name,
        function: terms.function,
        precision,
        schema_hash: terms.schema_hash,
        inputs: &terms.inputs,
        reference: &middle,
        calibration: &rows,
        rows: &rows[..rows.len().min(ROUNDING_ROWS)],
    };
    quantise(network, &options)
}

/// The cheapest of `precisions` whose integers are close enough to `float`, the network's answers to `examples`.
/// `scales` are the outputs' standard deviations.
pub(super) fn encode(
    network: &Network,
    terms: &Terms,
    precisions: &[Precision],
    bound: &Quantisation,
    (examples, float, scales): (&Examples, &Answers, &[f64]),
    quantiser: &mut Quantiser<'_>,
) -> Result<Encoded, Refusal> {
    let mut refusal = Refusal::Unquantisable("no precision is allowed".to_owned());
    for &precision in precisions {
        let bytes = match quantiser(network, precision) {
            Ok(bytes) => bytes,
            Err(QuantiseError::Snapshot(error)) => return Err(Refusal::Invalid(error)),
            Err(error) => return Err(Refusal::Unquantisable(error.to_string())),
        };
        let snapshot = valid::valid(&bytes, terms)?;
        let executable = Executable::new(snapshot, Executor::best())
            .map_err(|error| Refusal::Unquantisable(error.to_string()))?;
        let answers = Answers::integers(&executable, examples);
        let errors = float.distances(&answers, scales);
        let (mean, p99) = (mean(&errors), percentile(&errors, 0.99));
        if mean <= bound.mean_max && p99 <= bound.p99_max {
            return Ok(Encoded { bytes, executable, answers, mean, p99 });
        }
        let (mean_max, p99_max) = (bound.mean_max, bound.p99_max);
        refusal = Refusal::Imprecise { mean, p99, mean_max, p99_max };
    }
    Err(refusal)
}

/// Bounds of each output over the whole box of inputs (interval arithmetic; never too narrow).
pub(super) fn output_bounds(network: &Network, terms: &Terms) -> Vec<(f64, f64)> {
    let low: Vec<i32> = terms.inputs.iter().map(|map| q16(map.clip[0])).collect();
    let high: Vec<i32> = terms.inputs.iter().map(|map| q16(map.clip[1])).collect();
    let corners = network_inputs(&terms.inputs, &low).into_iter().zip(network_inputs(&terms.inputs, &high));
    let ranges = corners.map(|(a, b)| (a.min(b), a.max(b))).collect();
    crate::quantise::bounds(network, &ranges).pop().map_or_else(Vec::new, |last| last.values)
}

fn q16(value: f64) -> i32 {
    (value * f64::from(ONE)).round() as i32
}

#[cfg(test)]
mod tests {
    use super::super::tests::{examples, network, terms};
    use super::*;

    fn encode_with(bound: &Quantisation, precisions: &[Precision]) -> Result<Encoded, Refusal> {
        let (terms, network, examples) = (terms(), network(1), examples());
        let float = Answers::float(&network, &terms.inputs, &examples);
        let scales = float.deviations();
        let mut quantiser = |network: &Network, precision| calibrated(network, precision, &terms, &examples);
        encode(&network, &terms, precisions, bound, (&examples, &float, &scales), &mut quantiser)
    }

    #[test]
    fn the_cheapest_that_is_close_enough_is_taken() {
        let loose = Quantisation { mean_max: 0.5, p99_max: 1.0 };
        let cheap = encode_with(&loose, &Precision::ALL).unwrap();
        assert_eq!(cheap.executable.snapshot().precision(), Precision::Bits8);
        let tight = Quantisation { mean_max: cheap.mean / 2.0, p99_max: cheap.p99 / 2.0 };
        let dear = encode_with(&tight, &Precision::ALL).unwrap();
        assert_eq!(dear.executable.snapshot().precision(), Precision::Bits12);
        assert!(dear.mean <= tight.mean_max && dear.p99 <= tight.p99_max);
    }

    #[test]
    fn where_none_is_close_enough_the_best_one_is_told() {
        let hopeless = Quantisation { mean_max: 1e-9, p99_max: 1e-9 };
        let refused = encode_with(&hopeless, &Precision::ALL).unwrap_err();
        let eight = encode_with(&hopeless, &[Precision::Bits8]).unwrap_err();
        let mean = |refusal| match refusal {
            Refusal::Imprecise { mean, .. } => mean,
            other => panic!("{other}"),
        };
        assert!(mean(refused) < mean(eight) / 4.0);
        // A mean alone does not make a snapshot precise.
        let tail = Quantisation { mean_max: 1.0, p99_max: 1e-9 };
        assert!(matches!(encode_with(&tail, &Precision::ALL), Err(Refusal::Imprecise { .. })));
    }

    #[test]
    fn no_answer_is_outside_of_the_bounds() {
        let (terms, network, examples) = (terms(), network(1), examples());
        let bounds = output_bounds(&network, &terms);
        let (low, high) = bounds[0];
        let answers = Answers::float(&network, &terms.inputs, &examples);
        assert!(low < high && answers.rows().all(|row| (low..=high).contains(&row[0])));
    }
}
