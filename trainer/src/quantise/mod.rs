//! From a float network to integers: per-output-channel symmetric weights, fixed steps, no retraining.
//!
//! Every quantised value `q` stands for the real number `step * q + zero`. For one layer with inputs
//! `x_j = step_j q_j + zero_j` and one output channel:
//!
//! ```text
//! z = sum_j w_j x_j + b = sum_j (w_j step_j) q_j + (b + sum_j w_j zero_j)
//! ```
//!
//! The weights `w_j step_j` are rounded to multiples of one *unit* per output channel, the largest over
//! `Precision::weight_max`, all of a channel together (`rounding.rs`); the accumulator counts units. Whatever rounding takes from
//! the weights is put back into the bias at one *reference* row (features at rest, or the mean of the calibration rows), so that
//! the network is exact there to within its activations' steps.
//!
//! Ranges: curves have theirs by definition; the others' come from interval bounds over the clip box, which never
//! overflow, or from calibration rows, which give finer steps to what occurs.

mod layer;
mod ranges;
mod rounding;
mod scale;

use crate::network::{Activation, Network, Output};
use layer::{Coding, Rows};
use weir_features::{ONE, q16_from_f64};
use weir_snapshot::{Function, InputParts, OutputParts, Parts, Precision, SnapshotError, encode};

pub use ranges::{LayerRange, Ranges, bounds, calibrate};

/// How one feature becomes one input of the network: `scale * clamp(feature, clip) + offset`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InputMap {
    /// Factor between the feature and the network's input.
    pub scale: f64,
    /// Added after scaling.
    pub offset: f64,
    /// Smallest and largest feature value that the network tells apart; also the quantisation range.
    pub clip: [f64; 2],
}

impl InputMap {
    /// The network's input for a feature value.
    pub fn apply(&self, feature: f64) -> f64 {
        self.scale * feature.clamp(self.clip[0], self.clip[1]) + self.offset
    }

    /// The feature value, within the clip, for which this is the network's input; the middle of the clip where none is told
    /// from another.
    pub fn unapply(&self, input: f64) -> f64 {
        let feature = (input - self.offset) / self.scale;
        match feature.is_finite() {
            true => feature.clamp(self.clip[0], self.clip[1]),
            false => f64::midpoint(self.clip[0], self.clip[1]),
        }
    }
}

/// What to make of a network.
#[derive(Debug, Clone, Copy)]
pub struct QuantiseOptions<'a> {
    /// 1 to 32 printable ASCII bytes.
    pub name: &'a str,
    /// What the network decides.
    pub function: Function,
    /// Width of weights and values.
    pub precision: Precision,
    /// Names the input definitions.
    pub schema_hash: u64,
    /// One per network input.
    pub inputs: &'a [InputMap],
    /// Feature values at which rounding errors of the weights are compensated; one per network input. Not used when
    /// there are calibration rows: then it is their mean.
    pub reference: &'a [f64],
    /// Rows of feature values that ranges are taken from; empty for interval bounds over the clips.
    pub calibration: &'a [Vec<f64>],
    /// Rows of feature values, as they occur, on which a channel's weights are rounded together at 8 bits; empty for each by itself.
    pub rows: &'a [Vec<f64>],
}

/// Why a network has no integers.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum QuantiseError {
    /// Inputs, reference or a calibration row of another width than the network's.
    #[error("{found} {what} for a network of {expected} inputs")]
    Width {
        /// What is of the wrong width.
        what: &'static str,
        /// Its width.
        found: usize,
        /// The network's.
        expected: usize,
    },
    /// A clip, scale or offset that the format cannot hold.
    #[error("input {index}: clip {clip:?} is empty or beyond -32768 to 32767")]
    Clip {
        /// Which input, from 0.
        index: usize,
        /// The clip.
        clip: [f64; 2],
    },
    /// Numbers beyond what the format's multipliers and shifts span.
    #[error("layer {layer}, output {output}: a scale of {factor:e} cannot be held")]
    Scale {
        /// From 1; 0 for the input stage.
        layer: usize,
        /// From 0.
        output: usize,
        /// The factor.
        factor: f64,
    },
    /// What came out is refused by the format's own checks (name, widths, depth).
    #[error("the snapshot would be invalid: {0}")]
    Snapshot(SnapshotError),
}

/// Quantises a network to the bytes of a snapshot.
///
/// # Errors
/// [`QuantiseError`]; what is returned passes `Snapshot::decode`.
pub fn quantise(network: &Network, options: &QuantiseOptions<'_>) -> Result<Vec<u8>, QuantiseError> {
    encode(&parts(network, options)?).map_err(QuantiseError::Snapshot)
}

fn parts(network: &Network, options: &QuantiseOptions<'_>) -> Result<Parts, QuantiseError> {
    check_widths(network, options)?;
    let (_, q_max) = options.precision.value_range();
    let mut inputs = Vec::new();
    // How the inputs of the layer at hand are coded.
    let mut codings = Vec::new();
    for (index, map) in options.inputs.iter().enumerate() {
        let (parts, coding) = input(index, map, q_max)?;
        inputs.push(parts);
        codings.push(coding);
    }

    let rows: Vec<Vec<f64>> = options.calibration.iter().map(|row| apply(options.inputs, row)).collect();
    let corners = |map: &InputMap| {
        let (a, b) = (map.apply(map.clip[0]), map.apply(map.clip[1]));
        (a.min(b), a.max(b))
    };
    let box_bounds = bounds(network, &options.inputs.iter().map(corners).collect());
    let ranges = if rows.is_empty() { box_bounds.clone() } else { calibrate(network, &rows) };
    let reference = if rows.is_empty() { apply(options.inputs, options.reference) } else { mean(&rows) };

    let float: Vec<Vec<f64>> = options.rows.iter().map(|row| apply(options.inputs, row)).collect();
    let code = |(coding, x): (&Coding, &f64)| coding.code(*x, options.precision);
    let coded = float.iter().map(|row| codings.iter().zip(row).map(code).collect()).collect();
    let mut fitted = Rows { reference, float, coded };

    let mut layers = Vec::new();
    let last = network.layers.len() - 1;
    let mut units = Vec::new();
    for (index, (float, range)) in network.layers.iter().zip(&ranges).enumerate() {
        let (is_last, precision) = (index == last, options.precision);
        let made = layer::quantise(float, &codings, &mut fitted, range, index, is_last, precision)?;
        fitted.reference = float.evaluate(&fitted.reference);
        codings = made.codings;
        units = made.units;
        layers.push(made.parts);
    }
    let outputs = match (network.layers.last(), box_bounds.last()) {
        (Some(float), Some(range)) => {
            let linear = float.activation == Activation::Identity;
            let result = |(output, coding): (usize, &Coding)| {
                // The accumulator itself counts units of the sum.
                let coding = if linear { Coding { step: units[output], zero: 0.0 } } else { *coding };
                self::output(output, coding, range.values[output], last + 1)
            };
            codings.iter().enumerate().map(result).collect::<Result<_, _>>()?
        }
        _ => Vec::new(),
    };
    Ok(Parts {
        function: options.function,
        precision: options.precision,
        schema_hash: options.schema_hash,
        name: options.name.to_string(),
        inputs,
        layers,
        output: match network.output {
            Output::Linear => weir_snapshot::Output::Linear,
            Output::Softmax => weir_snapshot::Output::Softmax,
            Output::ArgMax => weir_snapshot::Output::ArgMax,
        },
        outputs,
    })
}

fn check_widths(network: &Network, options: &QuantiseOptions<'_>) -> Result<(), QuantiseError> {
    let expected = network.inputs();
    let check = |what, found| match found == expected {
        true => Ok(()),
        false => Err(QuantiseError::Width { what, found, expected }),
    };
    check("inputs", options.inputs.len())?;
    check("reference values", options.reference.len())?;
    options.calibration.iter().try_for_each(|row| check("values in a calibration row", row.len()))?;
    options.rows.iter().try_for_each(|row| check("values in a row", row.len()))
}

/// A feature's clip spread over the whole range of quantised values, its middle at 0.
fn input(index: usize, map: &InputMap, q_max: i16) -> Result<(InputParts, Coding), QuantiseError> {
    let refused = QuantiseError::Clip { index, clip: map.clip };
    let [lo, hi] = map.clip.map(q16_from_f64);
    let (Some(clip_lo), Some(clip_hi)) = (lo, hi) else { return Err(refused) };
    if clip_lo >= clip_hi || !map.scale.is_finite() || !map.offset.is_finite() {
        return Err(refused);
    }
    let offset = ((i64::from(clip_lo) + i64::from(clip_hi)) / 2) as i32;
    let half_q16 = (i64::from(clip_hi) - i64::from(clip_lo)) as f64 / 2.0;
    let factor = f64::from(q_max) / half_q16;
    let held = scale::wide(factor).ok_or(QuantiseError::Scale { layer: 0, output: index, factor })?;
    let parts = InputParts { multiplier: held.0, shift: held.1, offset, clip_lo, clip_hi };
    let one = f64::from(ONE);
    let step = 1.0 / (scale::wide_value(held) * one);
    let coding = Coding { step: map.scale * step, zero: map.scale * f64::from(offset) / one + map.offset };
    Ok((parts, coding))
}

/// The last stage: coded value to Q16, clamped to what the float network can give at all.
fn output(
    index: usize,
    coding: Coding,
    range: (f64, f64),
    layer: usize,
) -> Result<OutputParts, QuantiseError> {
    let factor = coding.step * f64::from(ONE);
    let (multiplier, shift) =
        scale::wide(factor).ok_or(QuantiseError::Scale { layer, output: index, factor })?;
    // `as` saturates, which is what a bound beyond Q15.16 should do.
    let q16 = |value: f64| (value * f64::from(ONE)).round() as i32;
    Ok(OutputParts { multiplier, shift, offset: q16(coding.zero), lo: q16(range.0), hi: q16(range.1) })
}

fn apply(inputs: &[InputMap], features: &[f64]) -> Vec<f64> {
    inputs.iter().zip(features).map(|(map, feature)| map.apply(*feature)).collect()
}

fn mean(rows: &[Vec<f64>]) -> Vec<f64> {
    let mut sums = vec![0.0; rows.first().map_or(0, Vec::len)];
    for row in rows {
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value / rows.len() as f64);
    }
    sums
}

#[cfg(test)]
mod tests;
