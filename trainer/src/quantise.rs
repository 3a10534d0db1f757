//! A float network to a snapshot's integers, per output channel.
//!
//! Every quantised value `q` of the snapshot stands for a real number `scale * q + base`; this file chooses scales
//! and bases and folds them away. For one output of one layer, with real weights `w[j]`, bias `b`, and inputs
//! `s[j] * q[j] + z[j]`:
//!
//! ```text
//! sum  = (b + sum_j w[j] z[j]) + sum_j (w[j] s[j]) q[j]
//!      = unit * (bias + sum_j W[j] q[j])             W[j] = round(w[j] s[j] / unit), an integer of 8 or 12 bits
//! unit = max_j |w[j] s[j]| / weight_max              one per output: the finest that the widest weight allows
//! ```
//!
//! The ranges of rectifiers and of linear hidden layers are interval bounds over the input box, so that no input
//! within its clip can leave them.

use crate::network::{Activation, Layer, Network, Output};
use thiserror::Error;
use weir_snapshot as snapshot;
use weir_snapshot::{CURVE_ARGUMENT_ONE, CURVE_ONE, Function, Precision, SHIFT_MAX, Snapshot, SnapshotError};

/// Room that a bias may take of an accumulator: with 256 products of 12 bits (under 2^30) and the rounding term (at
/// most 2^29) the sum stays below 2^31.
const BIAS_MAX: f64 = (1 << 29) as f64;
/// The largest value behind a last layer's activation. Below half of an i16, because the multiplication before it
/// may halve a saturated one.
const LAST_MAX: f64 = 16_000.0;
/// 1.0 in Q16.
const Q16: f64 = 65_536.0;

/// One input of the network: `scale * clip(feature) + offset`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InputRange {
    /// Factor behind the clip.
    pub scale: f64,
    /// Added behind the factor.
    pub offset: f64,
    /// Lowest and highest value of the feature, lowest first.
    pub clip: (f64, f64),
}

/// What the snapshot is to be.
#[derive(Clone, Debug)]
pub struct Target<'a> {
    /// 1 to 32 printable ASCII bytes.
    pub name: &'a str,
    /// What it decides.
    pub function: Function,
    /// How many bits.
    pub precision: Precision,
    /// The hash of the feature definitions behind `inputs`.
    pub schema_hash: u64,
    /// One per network input.
    pub inputs: &'a [InputRange],
}

/// Why a network cannot be had in these integers.
#[derive(Debug, Error)]
pub enum QuantiseError {
    /// The network and the description of its inputs differ in number.
    #[error("the network has {network} inputs, {described} are described")]
    Inputs {
        /// Inputs of the network.
        network: usize,
        /// Inputs described.
        described: usize,
    },
    /// A number left the range of f64, or an input's clip is empty.
    #[error("layer {layer}: its numbers leave the range of double precision; scale the network's inputs")]
    Range {
        /// From 1; 0 for the inputs.
        layer: usize,
    },
    /// One step of an input moves the argument of an activation by more than the argument's own resolution allows.
    #[error(
        "layer {layer}, output {output}: too steep for {}: one step of its inputs moves it {ratio:.1} times too far; \
         use precision \"12bit\", or narrower clips", .precision.name()
    )]
    TooSteep {
        /// From 1.
        layer: usize,
        /// From 0.
        output: usize,
        /// The precision asked for.
        precision: Precision,
        /// By how much.
        ratio: f64,
    },
    /// The snapshot's own checks refuse the result.
    #[error("the snapshot is not valid: {0}")]
    Snapshot(SnapshotError),
}

/// What a channel's quantised values stand for: `scale * q + base`, and the interval of reals that can occur.
#[derive(Clone, Copy, Debug)]
struct Channel {
    scale: f64,
    base: f64,
    lo: f64,
    hi: f64,
}

/// Quantises `network` and returns the snapshot with its file bytes.
///
/// # Errors
/// [`QuantiseError`].
pub fn quantise(network: &Network, target: &Target<'_>) -> Result<(Snapshot, Vec<u8>), QuantiseError> {
    if network.inputs() != target.inputs.len() {
        return Err(QuantiseError::Inputs { network: network.inputs(), described: target.inputs.len() });
    }
    let mut channels = Vec::new();
    let mut inputs = Vec::new();
    for range in target.inputs {
        let (parts, channel) = input(range, target.precision).ok_or(QuantiseError::Range { layer: 0 })?;
        inputs.push(parts);
        channels.push(channel);
    }
    let mut layers = Vec::new();
    let mut outputs = Vec::new();
    for (index, layer) in network.layers.iter().enumerate() {
        let last = index + 1 == network.layers.len();
        let made = quantise_layer(layer, index + 1, last, &channels, target.precision)?;
        layers.push(made.parts);
        channels = made.channels;
        outputs = made.outputs;
    }
    let parts = snapshot::Parts {
        function: target.function,
        precision: target.precision,
        schema_hash: target.schema_hash,
        name: target.name.to_owned(),
        inputs,
        layers,
        output: match network.output {
            Output::Linear => snapshot::Output::Linear,
            Output::Softmax => snapshot::Output::Softmax,
            Output::ArgMax => snapshot::Output::ArgMax,
        },
        outputs,
    };
    let bytes = snapshot::encode(&parts);
    let snapshot = Snapshot::decode(&bytes).map_err(QuantiseError::Snapshot)?;
    Ok((snapshot, bytes))
}

/// The largest magnitude that both signs reach.
fn symmetric_max(precision: Precision) -> f64 {
    f64::from(precision.value_range().1)
}

fn input(range: &InputRange, precision: Precision) -> Option<(snapshot::InputParts, Channel)> {
    let (clip_lo, clip_hi) = range.clip;
    let step = (clip_hi - clip_lo) / 2.0 / symmetric_max(precision);
    let offset = (clip_lo + clip_hi) / 2.0;
    // q = (x - offset) / step, with x in Q16.
    let (multiplier, shift) = wide_ratio(1.0 / (step * Q16))?;
    let ends = [clip_lo, clip_hi].map(|end| range.scale * end + range.offset);
    let channel = Channel {
        scale: range.scale * step,
        base: range.scale * offset + range.offset,
        lo: ends[0].min(ends[1]),
        hi: ends[0].max(ends[1]),
    };
    let finite = [channel.scale, channel.base, channel.lo, channel.hi].iter().all(|x| x.is_finite());
    let parts = snapshot::InputParts {
        multiplier,
        shift,
        offset: (offset * Q16).round() as i32,
        clip_lo: (clip_lo * Q16).round() as i32,
        clip_hi: (clip_hi * Q16).round() as i32,
    };
    (finite && step > 0.0).then_some((parts, channel))
}

/// `ratio` as a 30-bit integer over a power of two; `None` if it is not positive and finite, or too large.
fn wide_ratio(ratio: f64) -> Option<(i32, u8)> {
    if !(ratio.is_finite() && ratio > 0.0) {
        return None;
    }
    // multiplier in 2^29..2^30.
    let shift = (29.0 - ratio.log2().floor()).min(f64::from(snapshot::WIDE_SHIFT_MAX));
    let multiplier = (ratio * shift.exp2()).round();
    (shift >= 0.0 && multiplier <= f64::from(snapshot::INPUT_MULTIPLIER_MAX))
        .then_some((multiplier as i32, shift as u8))
}

struct MadeLayer {
    parts: snapshot::LayerParts,
    channels: Vec<Channel>,
    outputs: Vec<snapshot::OutputParts>,
}

/// How one output's sum becomes the integer argument `t = gain * sum + shift` of its activation, and what the
/// activation's result stands for.
struct Stage {
    gain: f64,
    shift: f64,
    activation: snapshot::Activation,
    result: Channel,
}

fn quantise_layer(
    layer: &Layer,
    number: usize,
    last: bool,
    inputs: &[Channel],
    precision: Precision,
) -> Result<MadeLayer, QuantiseError> {
    let linear_end = last && layer.activation == Activation::Identity;
    let mut made = MadeLayer {
        parts: snapshot::LayerParts {
            inputs: layer.inputs,
            outputs: layer.outputs,
            weights: Vec::with_capacity(layer.weights.len()),
            bias: Vec::with_capacity(layer.outputs),
            multiplier: Vec::with_capacity(layer.outputs),
            shift: Vec::with_capacity(layer.outputs),
            activation: snapshot::Activation::Identity,
        },
        channels: Vec::with_capacity(layer.outputs),
        outputs: Vec::new(),
    };
    let sums: Vec<(f64, f64)> =
        layer.weights.chunks_exact(layer.inputs).zip(&layer.bias).map(|(row, bias)| bounds(row, *bias, inputs)).collect();
    // A layer has one activation with one set of integer parameters, so a slope's or rectifier's zero must be the
    // same integer for all of its outputs: they share one range.
    let range = sums.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), (l, h)| (lo.min(*l), hi.max(*h)));
    let stage = stage(layer.activation, range, last, precision);
    made.parts.activation = stage.activation;
    for (output, (row, bias)) in layer.weights.chunks_exact(layer.inputs).zip(&layer.bias).enumerate() {
        let real_bias = bias + row.iter().zip(inputs).map(|(w, x)| w * x.base).sum::<f64>() + stage.shift / stage.gain;
        let weights: Vec<f64> = row.iter().zip(inputs).map(|(w, x)| w * x.scale).collect();
        let widest = weights.iter().fold(0.0_f64, |widest, w| widest.max(w.abs()));
        let unit = (widest / f64::from(precision.weight_max())).max(real_bias.abs() / BIAS_MAX);
        if !(unit.is_finite() && real_bias.is_finite() && stage.gain.is_finite()) {
            return Err(QuantiseError::Range { layer: number });
        }
        // An output that is zero whatever comes in has no unit; any will do.
        let unit = if unit > 0.0 { unit } else { 1.0 };
        made.parts.weights.extend(weights.iter().map(|w| (w / unit).round() as i16));
        made.parts.bias.push((real_bias / unit).round() as i32);
        if linear_end {
            made.parts.multiplier.push(0);
            made.parts.shift.push(0);
            made.outputs.push(output_stage(unit, 0.0).ok_or(QuantiseError::Range { layer: number })?);
        } else {
            let ratio = unit * stage.gain;
            let (multiplier, shift) =
                narrow_ratio(ratio).ok_or(QuantiseError::TooSteep { layer: number, output, precision, ratio })?;
            made.parts.multiplier.push(multiplier);
            made.parts.shift.push(shift);
            if last {
                let Channel { scale, base, .. } = stage.result;
                made.outputs.push(output_stage(scale, base).ok_or(QuantiseError::Range { layer: number })?);
            }
        }
        made.channels.push(stage.result);
    }
    Ok(made)
}

/// Interval bounds of one weighted sum.
fn bounds(row: &[f64], bias: f64, inputs: &[Channel]) -> (f64, f64) {
    row.iter().zip(inputs).fold((bias, bias), |(lo, hi), (w, x)| {
        let (a, b) = (w * x.lo, w * x.hi);
        (lo + a.min(b), hi + a.max(b))
    })
}

/// `ratio` as a Q15 multiplier behind a right shift; `None` where it is one or more.
fn narrow_ratio(ratio: f64) -> Option<(i16, u8)> {
    if ratio <= 0.0 {
        return Some((0, 0));
    }
    // multiplier / 2^(15 + shift), multiplier in 2^14..2^15.
    let shift = (-1.0 - ratio.log2().floor()).min(f64::from(SHIFT_MAX));
    let multiplier = (ratio * (15.0 + shift).exp2()).round().min(f64::from(i16::MAX));
    (shift >= 0.0).then_some((multiplier as i16, shift as u8))
}

fn output_stage(scale: f64, base: f64) -> Option<snapshot::OutputParts> {
    let (multiplier, shift) = wide_ratio(scale * Q16)?;
    Some(snapshot::OutputParts {
        multiplier,
        shift,
        offset: (base * Q16).round() as i32,
        lo: i32::MIN,
        hi: i32::MAX,
    })
}

/// Chooses the integers around an activation whose argument lies within `sum`.
fn stage(activation: Activation, sum: (f64, f64), last: bool, precision: Precision) -> Stage {
    let (value_lo, value_hi) = precision.value_range();
    let curve_one = if last { f64::from(CURVE_ONE) } else { f64::from(precision.curve_one()) };
    // Behind a hidden layer results use the precision's whole range; behind the last one, LAST_MAX both ways.
    let (level_lo, level_hi) =
        if last { (-LAST_MAX, LAST_MAX) } else { (f64::from(value_lo), f64::from(value_hi)) };
    // Reals lo..hi on the levels, with real 0 exactly on one.
    let around_zero = |lo: f64, hi: f64| {
        let (lo, hi) = (lo.min(0.0), hi.max(0.0));
        let step = ((hi - lo) / (level_hi - level_lo)).max(f64::MIN_POSITIVE.sqrt());
        let zero = (level_lo - lo / step).round().clamp(level_lo, level_hi);
        (Channel { scale: step, base: -zero * step, lo, hi }, zero)
    };
    // Reals lo..hi evenly on the levels, the ends on the outermost ones of equal magnitude.
    let centred = |lo: f64, hi: f64| {
        let step = ((hi - lo) / 2.0 / level_hi).max(f64::MIN_POSITIVE.sqrt());
        Channel { scale: step, base: (lo + hi) / 2.0, lo, hi }
    };
    let linear = |channel: Channel, activation| Stage {
        gain: 1.0 / channel.scale,
        shift: -channel.base / channel.scale,
        activation,
        result: channel,
    };
    let bound = level_hi as i16;
    match activation {
        Activation::Tanh => Stage {
            gain: f64::from(CURVE_ARGUMENT_ONE),
            shift: 0.0,
            activation: snapshot::Activation::Tanh,
            result: Channel { scale: 1.0 / curve_one, base: 0.0, lo: sum.0.tanh(), hi: sum.1.tanh() },
        },
        Activation::Sigmoid => Stage {
            gain: f64::from(CURVE_ARGUMENT_ONE) / 2.0,
            shift: 0.0,
            activation: snapshot::Activation::Sigmoid,
            result: Channel { scale: 0.5 / curve_one, base: 0.5, lo: 0.0, hi: 1.0 },
        },
        Activation::Identity => linear(centred(sum.0, sum.1), snapshot::Activation::Identity),
        Activation::Clip { lo, hi } => {
            let channel = centred(sum.0.clamp(lo, hi), sum.1.clamp(lo, hi));
            linear(channel, snapshot::Activation::Clip { lo: -bound, hi: bound })
        }
        Activation::Relu => {
            let (channel, zero) = around_zero(0.0, sum.1);
            linear(channel, snapshot::Activation::Relu { zero: zero as i16 })
        }
        Activation::LeakyRelu { slope } => {
            let (channel, zero) = around_zero(sum.0.min(0.0) * slope, sum.1);
            let slope = (slope * 32_768.0).round().min(f64::from(i16::MAX)) as i16;
            linear(channel, snapshot::Activation::LeakyRelu { zero: zero as i16, slope })
        }
        Activation::HardSigmoid { alpha, beta } => {
            let channel = centred(0.0, 1.0);
            let inner = linear(channel, snapshot::Activation::HardSigmoid { lo: -bound, hi: bound });
            Stage { gain: inner.gain * alpha, shift: inner.gain * beta + inner.shift, ..inner }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use weir_snapshot::{Executable, Executor, Scratch};

    /// Mean error of the integers against the float network, as a share of the output's standard deviation.
    fn mean_error(network: &Network, precision: Precision, seed: u64) -> Result<f64, QuantiseError> {
        let inputs = vec![InputRange { scale: 0.5, offset: 0.25, clip: (-3.0, 5.0) }; network.inputs()];
        let target =
            Target { name: "test", function: Function::Pacing, precision, schema_hash: 7, inputs: &inputs };
        let (snapshot, bytes) = quantise(network, &target)?;
        assert_eq!(Snapshot::decode(&bytes).unwrap().schema_hash(), 7);
        let executable = Executable::new(snapshot, Executor::Scalar).unwrap();
        let mut scratch = Scratch::new();
        let mut rng = Rng(seed);
        let (mut floats, mut errors) = (Vec::new(), Vec::new());
        for _ in 0..400 {
            let features: Vec<f64> = (0..network.inputs()).map(|_| rng.uniform() * 4.0 + 1.0).collect();
            let row: Vec<f64> = features.iter().map(|x| 0.5 * x + 0.25).collect();
            let q16: Vec<i32> = features.iter().map(|x| (x * Q16).round() as i32).collect();
            let mut out = vec![0; executable.outputs()];
            executable.evaluate(&q16, &mut out, &mut scratch);
            for (float, integer) in network.evaluate(&row).iter().zip(out) {
                floats.push(*float);
                errors.push((f64::from(integer) / Q16 - float).abs());
            }
        }
        let mean = floats.iter().sum::<f64>() / floats.len() as f64;
        let deviation = (floats.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / floats.len() as f64).sqrt();
        Ok(errors.iter().sum::<f64>() / errors.len() as f64 / deviation)
    }

    /// Uniform in -1..1, from SplitMix64.
    struct Rng(u64);

    impl Rng {
        fn uniform(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
        }
    }

    fn network(widths: &[usize], hidden: Activation, end: Activation, rng: &mut Rng) -> Network {
        let layers = widths.windows(2).enumerate().map(|(index, pair)| {
            let spread = 1.5 / (pair[0] as f64).sqrt();
            Layer {
                inputs: pair[0],
                outputs: pair[1],
                weights: (0..pair[0] * pair[1]).map(|_| rng.uniform() * spread).collect(),
                bias: (0..pair[1]).map(|_| rng.uniform() * 0.3).collect(),
                activation: if index + 2 == widths.len() { end } else { hidden },
            }
        });
        Network { layers: layers.collect(), output: Output::Linear }
    }

    const ACTIVATIONS: [Activation; 7] = [
        Activation::Identity,
        Activation::Relu,
        Activation::LeakyRelu { slope: 0.1 },
        Activation::Clip { lo: -0.5, hi: 0.75 },
        Activation::Tanh,
        Activation::Sigmoid,
        Activation::HardSigmoid { alpha: 0.2, beta: 0.5 },
    ];

    #[test]
    fn aurora_size_keeps_its_fidelity() {
        for (precision, limit) in [(Precision::Bits8, 0.03), (Precision::Bits12, 0.003)] {
            for seed in 0..5 {
                let network =
                    network(&[30, 32, 16, 1], Activation::Tanh, Activation::Identity, &mut Rng(seed));
                let error = mean_error(&network, precision, seed).unwrap();
                assert!(error < limit, "{precision:?}, seed {seed}: mean error {error} of the output's deviation");
            }
        }
    }

    #[test]
    fn every_activation_works_hidden_and_last() {
        for hidden in ACTIVATIONS {
            for end in ACTIVATIONS {
                let network = network(&[12, 16, 3], hidden, end, &mut Rng(5));
                let error = mean_error(&network, Precision::Bits12, 1).unwrap();
                assert!(error < 0.01, "{hidden:?} then {end:?}: {error}");
                let error = mean_error(&network, Precision::Bits8, 1).unwrap();
                assert!(error < 0.15, "{hidden:?} then {end:?}, 8-bit: {error}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_a_way_out() {
        let mut steep = network(&[4, 4, 1], Activation::Tanh, Activation::Identity, &mut Rng(1));
        steep.layers[0].weights[0] = 40.0;
        let error = mean_error(&steep, Precision::Bits8, 1).unwrap_err();
        assert!(matches!(error, QuantiseError::TooSteep { layer: 1, output: 0, .. }), "{error}");
        assert!(error.to_string().contains("12bit"), "{error}");
        assert!(mean_error(&steep, Precision::Bits12, 1).unwrap() < 0.02);

        let mut huge = network(&[4, 4, 1], Activation::Tanh, Activation::Identity, &mut Rng(1));
        huge.layers[0].weights[0] = 1e308;
        huge.layers[0].weights[1] = 1e308;
        huge.layers[0].bias[0] = f64::MAX;
        assert!(mean_error(&huge, Precision::Bits12, 1).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        /// Whatever finite numbers a network holds, it is quantised or refused, never a panic.
        #[test]
        fn any_finite_network_ends_in_a_result(exponent in -320.0_f64..308.0, seed in any::<u64>(), width in 1_usize..40) {
            let mut rng = Rng(seed);
            let mut network = network(&[width, width, 1], Activation::Relu, Activation::Identity, &mut rng);
            for layer in &mut network.layers {
                for number in layer.weights.iter_mut().chain(&mut layer.bias) {
                    *number *= 10.0_f64.powf(exponent);
                }
            }
            let inputs = vec![InputRange { scale: 1.0, offset: 0.0, clip: (-1.0, 1.0) }; width];
            let target = Target {
                name: "test", function: Function::Pacing, precision: Precision::Bits8, schema_hash: 0, inputs: &inputs,
            };
            let _either = quantise(&network, &target);
        }
    }
}
