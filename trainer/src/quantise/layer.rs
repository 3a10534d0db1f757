//! One layer's weights, bias, scales and activation as integers.

use super::ranges::LayerRange;
use super::rounding::Rounding;
use super::{QuantiseError, scale};
use crate::network::{Activation, Layer};
use weir_snapshot::{self as snapshot, CURVE_ARGUMENT_ONE, CURVE_ONE, LayerParts, Precision};

/// Largest magnitude of a channel's bias in units, that of its sum and that of its activation each: leaves room for the
/// products of a 256-wide 12-bit layer (2^30) in 31 bits.
const BIAS_MAX: f64 = (1 << 28) as f64;
/// Least unit, so that a channel of zeros has a scale, too.
const UNIT_MIN: f64 = 1e-12;
/// Most counts of `t` per count of the accumulator: more would only number what the accumulator cannot tell apart.
const FACTOR_MAX: f64 = 32_767.0 / 32_768.0;
/// What `t` can hold: a multiplier of only a half reaches 16 383 from the largest i16; the rest is for rounding. Behind
/// the last layer, where values are not narrowed, also the range of values.
const ARGUMENT_RANGE: (f64, f64) = (-16_000.0, 16_000.0);

/// What a quantised value stands for: `step * q + zero`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Coding {
    pub(super) step: f64,
    pub(super) zero: f64,
}

impl Coding {
    /// The quantised value for a real one, as far as its range goes.
    pub(super) fn code(self, real: f64, precision: Precision) -> f64 {
        let (lo, hi) = precision.value_range();
        ((real - self.zero) / self.step).round().clamp(lo.into(), hi.into())
    }
}

/// A layer in integers, how its results are coded, and what one count of each accumulator stands for.
pub(super) struct Quantised {
    pub(super) parts: LayerParts,
    pub(super) codings: Vec<Coding>,
    pub(super) units: Vec<f64>,
}

/// Rows at one place of the network: as the float network has them there, and as the integers do; and the reference.
pub(super) struct Rows {
    pub(super) reference: Vec<f64>,
    pub(super) float: Vec<Vec<f64>>,
    pub(super) coded: Vec<Vec<f64>>,
}

/// Between a weighted sum and the integer `t` that goes into the activation: `t = gain * z + rest`.
#[derive(Clone, Copy)]
struct Argument {
    gain: f64,
    rest: f64,
}

pub(super) fn quantise(
    float: &Layer,
    inputs: &[Coding],
    rows: &mut Rows,
    range: &LayerRange,
    index: usize,
    last: bool,
    precision: Precision,
) -> Result<Quantised, QuantiseError> {
    let mut float = float.clone();
    if let Activation::HardSigmoid { alpha, beta } = float.activation {
        // clamp(alpha z + beta, 0, 1): the line folds into the layer, whatever its sign.
        float.weights.iter_mut().for_each(|w| *w *= alpha);
        float.bias.iter_mut().for_each(|b| *b = *b * alpha + beta);
    }
    // What is left of the activation once that line is gone.
    let folded = match float.activation {
        Activation::HardSigmoid { .. } => Activation::Clip { lo: 0.0, hi: 1.0 },
        other => other,
    };
    let weight_max = f64::from(precision.weight_max());
    let mut channels: Vec<Channel> = float
        .weights
        .chunks_exact(float.inputs)
        .zip(&float.bias)
        .map(|(weights, bias)| Channel::new(weights, *bias, inputs, weight_max))
        .collect();
    let stage = Stage { float: &float, range, channels: &channels, last, precision };
    let (activation, arguments, codings) = stage.activation();
    let unread = last && float.activation == Activation::Identity;
    if !unread {
        for (channel, argument) in channels.iter_mut().zip(&arguments) {
            channel.hold((argument.rest / argument.gain).abs());
        }
    }

    let reference = &rows.reference;
    let reference_sums = float.sums(reference);
    let reference_values: Vec<f64> =
        inputs.iter().zip(reference).map(|(coding, x)| (x - coding.zero) / coding.step).collect();
    let sums: Vec<Vec<f64>> = rows.float.iter().map(|row| float.sums(row)).collect();
    // What plain rounding leaves of 12 bits is little, and the closed loop minds more where an error lies than how large it is: with
    // weights rounded together mocc.onnx lost a third of its goodput at its last preference (`sim/experiments/preference.toml`).
    let together = precision == Precision::Bits8;
    let rounding = together.then(|| Rounding::new(&rows.coded, &reference_values)).flatten();
    let mut parts = LayerParts {
        inputs: float.inputs,
        outputs: float.outputs,
        weights: Vec::with_capacity(float.weights.len()),
        bias: Vec::with_capacity(float.outputs),
        multiplier: Vec::with_capacity(float.outputs),
        shift: Vec::with_capacity(float.outputs),
        activation,
    };
    for (output, (channel, argument)) in channels.iter().zip(&arguments).enumerate() {
        let factor = channel.unit * argument.gain;
        let scale = || scale::narrow(factor).ok_or(QuantiseError::Scale { layer: index + 1, output, factor });
        let (multiplier, shift) = if unread { (0, 0) } else { scale()? };
        let exact: Vec<f64> = channel.weights.iter().map(|w| w / channel.unit).collect();
        let targets = sums.iter().map(|row| (row[output] - reference_sums[output]) / channel.unit);
        let weights = match &rounding {
            Some(rounding) => rounding.round(&exact, &targets.collect::<Vec<f64>>(), weight_max),
            None => exact.iter().map(|w| w.round()).collect(),
        };
        let rounded: f64 = weights.iter().zip(&reference_values).map(|(w, q)| w * q).sum();
        let rest = if unread { 0.0 } else { argument.rest / argument.gain };
        let bias = ((reference_sums[output] + rest) / channel.unit - rounded).round();
        // `as` saturates; the decoder's overflow proof refuses what does.
        parts.bias.push(bias as i32);
        parts.weights.extend(weights.iter().map(|&w| w as i16));
        parts.multiplier.push(multiplier);
        parts.shift.push(shift);
    }
    let units: Vec<f64> = channels.iter().map(|channel| channel.unit).collect();
    if !last {
        let rests = arguments.iter().map(|argument| argument.rest / argument.gain).collect::<Vec<f64>>();
        let next = |row: &Vec<f64>| -> Vec<f64> {
            let weights = parts.weights.chunks_exact(float.inputs).zip(&parts.bias);
            let channel = |((weights, bias), output): ((&[i16], &i32), usize)| {
                let sum = weights.iter().zip(row).map(|(w, q)| f64::from(*w) * q).sum::<f64>();
                let z = (sum + f64::from(*bias)) * units[output] - rests[output];
                codings[output].code(folded.apply(z), precision)
            };
            weights.zip(0..).map(channel).collect()
        };
        rows.coded = rows.coded.iter().map(next).collect();
        rows.float = sums.iter().map(|row| row.iter().map(|z| folded.apply(*z)).collect()).collect();
    }
    Ok(Quantised { parts, codings, units })
}

/// One output channel before rounding.
struct Channel {
    /// On the scale of the quantised inputs.
    weights: Vec<f64>,
    /// What one count of the accumulator stands for.
    unit: f64,
}

impl Channel {
    fn new(weights: &[f64], bias: f64, inputs: &[Coding], weight_max: f64) -> Self {
        let scaled: Vec<f64> = weights.iter().zip(inputs).map(|(w, coding)| w * coding.step).collect();
        let shift: f64 = weights.iter().zip(inputs).map(|(w, coding)| w * coding.zero).sum();
        let largest = scaled.iter().fold(0.0_f64, |top, w| top.max(w.abs()));
        let mut channel = Self { weights: scaled, unit: (largest / weight_max).max(UNIT_MIN) };
        channel.hold((bias + shift).abs());
        channel
    }

    /// A bias far above all weights would overflow in their unit, so it gets a coarser one.
    fn hold(&mut self, bias: f64) {
        self.unit = self.unit.max(bias / BIAS_MAX);
    }
}

struct Stage<'a> {
    float: &'a Layer,
    range: &'a LayerRange,
    channels: &'a [Channel],
    last: bool,
    precision: Precision,
}

impl Stage<'_> {
    /// The activation in integers, its arguments, and the coding of its results, per channel.
    fn activation(&self) -> (snapshot::Activation, Vec<Argument>, Vec<Coding>) {
        match self.float.activation {
            Activation::Tanh => {
                let coding = Coding { step: 1.0 / self.curve_one(), zero: 0.0 };
                self.curve(snapshot::Activation::Tanh, 1.0, coding)
            }
            Activation::Sigmoid => {
                // sigmoid(z) = (1 + tanh(z / 2)) / 2
                let coding = Coding { step: 0.5 / self.curve_one(), zero: 0.5 };
                self.curve(snapshot::Activation::Sigmoid, 0.5, coding)
            }
            Activation::Identity => {
                let (arguments, codings) = (0..self.channels.len()).map(|i| self.own_range(i)).unzip();
                (snapshot::Activation::Identity, arguments, codings)
            }
            Activation::Relu => {
                let (zero, arguments, codings) = self.common_zero(|_| (0.0, 0.0));
                (snapshot::Activation::Relu { zero }, arguments, codings)
            }
            Activation::LeakyRelu { slope } => {
                // `t` goes further down than the values do, by 1 / slope, and must not saturate there.
                let lowest = |channel: usize| {
                    let sum = self.range.sums[channel].0.min(0.0);
                    (if self.last { sum } else { self.range.values[channel].0.min(0.0) }, sum)
                };
                let (zero, arguments, codings) = self.common_zero(lowest);
                let slope = (slope * 32_768.0).round().min(32_767.0) as i16;
                (snapshot::Activation::LeakyRelu { zero, slope }, arguments, codings)
            }
            Activation::Clip { lo, hi } => {
                let (bounds, arguments, codings) = self.common_clip(lo, hi);
                (snapshot::Activation::Clip { lo: bounds.0, hi: bounds.1 }, arguments, codings)
            }
            Activation::HardSigmoid { .. } => {
                let (bounds, arguments, codings) = self.common_clip(0.0, 1.0);
                (snapshot::Activation::HardSigmoid { lo: bounds.0, hi: bounds.1 }, arguments, codings)
            }
        }
    }

    fn curve_one(&self) -> f64 {
        f64::from(if self.last { CURVE_ONE } else { self.precision.curve_one() })
    }

    fn curve(
        &self,
        activation: snapshot::Activation,
        argument: f64,
        coding: Coding,
    ) -> (snapshot::Activation, Vec<Argument>, Vec<Coding>) {
        let argument = Argument { gain: argument * f64::from(CURVE_ARGUMENT_ONE), rest: 0.0 };
        (activation, vec![argument; self.channels.len()], vec![coding; self.channels.len()])
    }

    /// Smallest and largest integer behind the activation.
    fn integers(&self) -> (f64, f64) {
        if self.last {
            return ARGUMENT_RANGE;
        }
        let (lo, hi) = self.precision.value_range();
        (lo.into(), hi.into())
    }

    /// A step of at least the channel's unit: finer ones would hold nothing that the accumulator knows.
    fn step(&self, channel: usize, wanted: f64) -> f64 {
        wanted.max(self.channels[channel].unit / FACTOR_MAX)
    }

    /// The channel's range over all integers, wherever real zero falls.
    fn own_range(&self, channel: usize) -> (Argument, Coding) {
        let (q_lo, q_hi) = self.integers();
        let (lo, hi) = self.range.values[channel];
        let step = self.step(channel, (hi - lo) / (q_hi - q_lo));
        let zero = lo - step * q_lo;
        (Argument { gain: 1.0 / step, rest: -zero / step }, Coding { step, zero })
    }

    /// Steps per channel, but one integer for real zero. `lowest` gives the lower end of a channel's values, and of the
    /// arguments that must not saturate.
    fn common_zero(&self, lowest: impl Fn(usize) -> (f64, f64)) -> (i16, Vec<Argument>, Vec<Coding>) {
        let (q_lo, q_hi) = self.integers();
        let highest = |channel: usize| self.range.values[channel].1.max(0.0);
        let all = 0..self.channels.len();
        let below: f64 = all.clone().map(|channel| -lowest(channel).0).sum();
        let above: f64 = all.clone().map(highest).sum();
        let share = if below > 0.0 { below / (below + above) } else { 0.0 };
        let zero = (q_lo + share * (q_hi - q_lo)).round().min(q_hi - 1.0);
        let scale = |channel: usize| {
            let (value, argument) = lowest(channel);
            // Above zero there are q_hi - zero integers, below it zero - q_lo for values and more for arguments.
            let step = (highest(channel) / (q_hi - zero))
                .max(-value / (zero - q_lo).max(1.0))
                .max(-argument / (zero - ARGUMENT_RANGE.0).max(1.0));
            let step = self.step(channel, step);
            (Argument { gain: 1.0 / step, rest: zero }, Coding { step, zero: -step * zero })
        };
        let (arguments, codings) = all.map(scale).unzip();
        (zero as i16, arguments, codings)
    }

    /// One step and one zero for all channels, because the bounds are the layer's.
    fn common_clip(&self, lo: f64, hi: f64) -> ((i16, i16), Vec<Argument>, Vec<Coding>) {
        let (q_lo, q_hi) = self.integers();
        // A bound that is infinite, or that nothing reaches, gives way to what is reached.
        let reached = self.range.values.iter();
        let (least, most) =
            reached.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &(x, y)| (a.min(x), b.max(y)));
        let (lo, hi) = (lo.max(least), hi.min(most));
        let wanted = (hi - lo).max(0.0) / (q_hi - q_lo);
        let step = (0..self.channels.len()).fold(wanted, |step, channel| self.step(channel, step));
        let zero = lo - step * q_lo;
        let top = (q_lo + ((hi - lo).max(0.0) / step).round()).min(q_hi);
        let argument = Argument { gain: 1.0 / step, rest: -zero / step };
        let all = self.channels.len();
        ((q_lo as i16, top as i16), vec![argument; all], vec![Coding { step, zero }; all])
    }
}
