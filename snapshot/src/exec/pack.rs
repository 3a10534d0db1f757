//! Packs a snapshot's weights and constants the way that the vector kernels read them, and holds the memory that they
//! work in.
//!
//! A *group* is the inputs that one dot-product instruction takes per 32-bit lane: four bytes or two words.

use super::inputs::Inputs;
use crate::arith::to_q16;
use crate::parts::{Activation, LayerParts, Output, OutputParts, Precision, WIDTH_MAX};
use crate::snapshot::Snapshot;
use crate::softmax::finish;
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

/// Items of a [`Line`]: outputs of one block, samples of half of the widest burst.
pub(super) const LANES: usize = 16;
/// Lines that the values between two layers fill at most: two values a group, 32 samples.
const VALUE_LINES: usize = WIDTH_MAX / 2 * 2;
/// Lines between the values before a layer and those after it, beyond their length. Half a page, because a load waits
/// for an earlier store whose address ends in the same 12 bits (a third of the time of a small network).
const SKEW_LINES: usize = 32;

/// 16 lanes of 32 bits in memory: a register of AVX-512, two of AVX2.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Line(pub(super) [i32; LANES]);

/// 32 lanes of 16 bits in memory.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Words(pub(super) [i16; 32]);

impl Line {
    const ZERO: Line = Line([0; LANES]);

    fn from_fn(lane: impl FnMut(usize) -> i32) -> Line {
        Line(core::array::from_fn(lane))
    }
}

/// Memory that one run works in.
#[derive(Clone, Debug)]
pub(super) struct Buffers {
    /// Values before and after a layer, `[group][sample]` each.
    values: Vec<Line>,
    /// The network's results in Q16, or of a single sample `z`: `[output][sample]`.
    pub(super) results: Vec<Line>,
    /// The results of one sample, before the last stage.
    pub(super) sample: Box<[i32; WIDTH_MAX]>,
}

impl Default for Buffers {
    fn default() -> Self {
        Buffers {
            values: vec![Line::ZERO; 2 * VALUE_LINES + SKEW_LINES],
            results: vec![Line::ZERO; 2 * WIDTH_MAX],
            sample: Box::new([0; WIDTH_MAX]),
        }
    }
}

impl Buffers {
    /// Values before a layer, after it, and results.
    #[inline]
    pub(super) fn split(&mut self) -> (&mut [Line], &mut [Line], &mut [Line]) {
        let (before, after) = self.values.split_at_mut(VALUE_LINES);
        (before, &mut after[SKEW_LINES..], &mut self.results)
    }
}

/// How values travel between layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Values {
    /// `q + 128` as u8, four in a group; the packed bias is less by `128 * sum(weights)`.
    Bytes,
    /// `q` as i16, two in a group.
    Words,
}

/// A packed snapshot.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    pub(super) precision: Precision,
    pub(super) inputs: usize,
    pub(super) quantiser: Inputs,
    pub(super) hidden: Vec<Layer>,
    pub(super) last: Layer,
    pub(super) output: Output,
    pub(super) outputs: Vec<OutputParts>,
    /// Results per sample.
    pub(super) results: usize,
}

/// One packed layer.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) outputs: usize,
    /// One per 16 outputs.
    pub(super) blocks: Vec<Block>,
    pub(super) activation: Packing,
    /// Whether any output shifts to the left first; most networks have none.
    pub(super) lifts: bool,
}

/// 16 outputs of a layer; those beyond the layer's width are zero.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// `[group]`, the 16 outputs' weights for the group's inputs; zero groups fill up to a multiple of four.
    pub(super) weights: Vec<Line>,
    pub(super) bias: Line,
    /// Right shifts; where one is negative, 0 here and its magnitude in `lift`.
    pub(super) shift: Line,
    pub(super) lift: Line,
    /// The multipliers in the order of outputs; the upper half is not used.
    pub(super) multiplier: Words,
    /// Per four outputs and parity `p`: those of outputs `p` and `p + 2`, four times each, as the burst's packed
    /// words stand in each 128 bits.
    pub(super) pairs: [[[i16; 8]; 2]; 4],
}

/// A layer's activation and narrowing, as constants of 16-bit lanes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Packing {
    /// None: the accumulators are the layer's result.
    Raw,
    /// `clamp(t, lo, hi)`
    Clamp { lo: i16, hi: i16 },
    /// A leaky rectifier, then the clamp.
    Leaky { zero: i16, slope: i16, lo: i16, hi: i16 },
    /// The parabolas. `rounding` is what comes on top before the narrowing shift.
    Parabolas { rounding: i16 },
    /// The lines.
    Lines,
}

impl Packed {
    pub(super) fn new(snapshot: &Snapshot, values: Values) -> Packed {
        let parts = snapshot.parts();
        // A decoded snapshot has a layer.
        let (hidden, last) = parts.layers.split_at(parts.layers.len() - 1);
        let pack = |layer: &LayerParts| {
            Layer::new(layer, values, Packing::hidden(layer.activation, parts.precision))
        };
        Packed {
            precision: parts.precision,
            inputs: parts.inputs.len(),
            quantiser: Inputs::new(&parts.inputs, parts.precision),
            hidden: hidden.iter().map(pack).collect(),
            last: Layer::new(&last[0], values, Packing::last(last[0].activation)),
            output: parts.output,
            outputs: parts.outputs.clone(),
            results: snapshot.outputs(),
        }
    }
}

impl Packed {
    /// `z` of a single sample, in the buffers, to its results.
    #[inline]
    pub(super) fn finish_single(&self, buffers: &mut Buffers, out: &mut [i32]) {
        let Buffers { results, sample, .. } = buffers;
        let to_q16 = |values: &mut [i32]| {
            for (at, (value, parts)) in values.iter_mut().zip(&self.outputs).enumerate() {
                *value = to_q16(parts, results[at / LANES].0[at % LANES]);
            }
        };
        if self.output == Output::Linear {
            return to_q16(out);
        }
        let values = &mut sample[..self.outputs.len()];
        to_q16(values);
        finish(self.output, values, out);
    }

    /// Results in Q16 of `n` samples, in the buffers with `lines` lines per output, to results one sample after the
    /// other.
    #[inline]
    pub(super) fn finish_burst(&self, lines: usize, n: usize, buffers: &mut Buffers, out: &mut [i32]) {
        let Buffers { results, sample, .. } = buffers;
        if self.outputs.len() == 1 && self.output == Output::Linear {
            for (out, line) in out[..n].chunks_mut(LANES).zip(results) {
                out.copy_from_slice(&line.0[..out.len()]);
            }
            return;
        }
        let values = &mut sample[..self.outputs.len()];
        for (at, out) in out.chunks_exact_mut(self.results).take(n).enumerate() {
            for (value, lines) in values.iter_mut().zip(results.chunks_exact(lines)) {
                *value = lines[at / LANES].0[at % LANES];
            }
            finish(self.output, values, out);
        }
    }
}

impl Layer {
    fn new(layer: &LayerParts, values: Values, activation: Packing) -> Layer {
        let blocks =
            (0..layer.outputs).step_by(LANES).map(|first| Block::new(layer, values, first)).collect();
        let lifts = layer.shift.iter().any(|&shift| shift < 0);
        Layer { outputs: layer.outputs, blocks, activation, lifts }
    }
}

impl Block {
    fn new(layer: &LayerParts, values: Values, first: usize) -> Block {
        let here = LANES.min(layer.outputs - first);
        let per_group = match values {
            Values::Bytes => 4,
            Values::Words => 2,
        };
        let weight = |lane: usize, input: usize| {
            let inside = lane < here && input < layer.inputs;
            if inside { layer.weights[(first + lane) * layer.inputs + input] } else { 0 }
        };
        let group = |group: usize| {
            Line::from_fn(|lane| match values {
                Values::Bytes => {
                    i32::from_le_bytes(core::array::from_fn(|k| weight(lane, group * 4 + k) as i8 as u8))
                }
                Values::Words => {
                    let word = |k| i32::from(weight(lane, group * 2 + k));
                    word(0) & 0xFFFF | word(1) << 16
                }
            })
        };
        let bias = |lane: usize| {
            let at = first + lane;
            let rounding = (1_i32 << layer.shift[at].max(0)) >> 1;
            let zero_point = match values {
                Values::Bytes => (0..layer.inputs).map(|input| i32::from(weight(lane, input)) * 128).sum(),
                Values::Words => 0,
            };
            layer.bias[at].wrapping_add(rounding).wrapping_sub(zero_point)
        };
        let shift = |lane: usize| if lane < here { i32::from(layer.shift[first + lane]) } else { 0 };
        let multiplier = |lane: usize| if lane < here { layer.multiplier[first + lane] } else { 0 };
        let groups = layer.inputs.div_ceil(per_group).next_multiple_of(4);
        Block {
            weights: (0..groups).map(group).collect(),
            bias: Line::from_fn(|lane| if lane < here { bias(lane) } else { 0 }),
            shift: Line::from_fn(|lane| shift(lane).max(0)),
            lift: Line::from_fn(|lane| -shift(lane).min(0)),
            multiplier: Words(core::array::from_fn(|lane| if lane < LANES { multiplier(lane) } else { 0 })),
            pairs: core::array::from_fn(|four| {
                core::array::from_fn(|parity| {
                    core::array::from_fn(|word| multiplier(4 * four + parity + word / 4 * 2))
                })
            }),
        }
    }
}

impl Packing {
    fn hidden(activation: Activation, precision: Precision) -> Packing {
        match precision {
            Precision::Bits8 if activation.is_curve() => Packing::Lines,
            _ => Packing::new(activation, precision.value_range(), 8),
        }
    }

    fn last(activation: Activation) -> Packing {
        match activation {
            Activation::Identity => Packing::Raw,
            _ => Packing::new(activation, (i16::MIN, i16::MAX), 0),
        }
    }

    fn new(activation: Activation, (min, max): (i16, i16), rounding: i16) -> Packing {
        match activation {
            Activation::Identity => Packing::Clamp { lo: min, hi: max },
            Activation::Relu { zero } => Packing::Clamp { lo: zero, hi: max },
            Activation::Clip { lo, hi } | Activation::HardSigmoid { lo, hi } => Packing::Clamp { lo, hi },
            Activation::LeakyRelu { zero, slope } => Packing::Leaky { zero, slope, lo: min, hi: max },
            Activation::Tanh | Activation::Sigmoid => Packing::Parabolas { rounding },
        }
    }
}
