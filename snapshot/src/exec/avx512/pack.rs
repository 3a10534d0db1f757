//! Packs a snapshot's weights and constants the way that the kernels read them.

use super::lane::{Line, Words};
use super::quantise::Inputs;
use super::{LANES, detect};
use crate::curve;
use crate::parts::{Activation, LayerParts, Output, OutputParts, Precision};
use crate::snapshot::Snapshot;
use alloc::vec::Vec;

/// A packed snapshot. Exists only on machines that can run it.
#[derive(Clone, Debug)]
pub(in crate::exec) struct Packed {
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
#[derive(Clone, Debug)]
pub(super) enum Packing {
    /// None: the accumulators are the layer's result.
    Raw,
    /// `clamp(t, lo, hi)`
    Clamp { lo: i16, hi: i16 },
    /// A leaky rectifier, then the clamp.
    Leaky { zero: i16, slope: i16, lo: i16, hi: i16 },
    /// The parabolas. `value` includes what rounding adds before the narrowing shift.
    Parabolas { value: Words, slope: Words, curvature: Words },
    /// The lines, lower and upper half of each table. `intercept` includes what rounding adds before the narrowing
    /// shift, and 128 on the scale of the result, which makes it unsigned.
    Lines { intercept: [Words; 2], rise: [Words; 2] },
}

impl Packed {
    /// Packs `snapshot`; `None` where the executor cannot run.
    pub(in crate::exec) fn new(snapshot: &Snapshot) -> Option<Packed> {
        if !detect::is_available() {
            return None;
        }
        let parts = snapshot.parts();
        let (last, hidden) = parts.layers.split_last()?;
        Some(Packed {
            precision: parts.precision,
            inputs: parts.inputs.len(),
            quantiser: Inputs::new(&parts.inputs, parts.precision),
            hidden: hidden
                .iter()
                .map(|layer| {
                    Layer::new(layer, parts.precision, Packing::hidden(layer.activation, parts.precision))
                })
                .collect(),
            last: Layer::new(last, parts.precision, Packing::last(last.activation)),
            output: parts.output,
            outputs: parts.outputs.clone(),
            results: snapshot.outputs(),
        })
    }
}

impl Layer {
    fn new(layer: &LayerParts, precision: Precision, activation: Packing) -> Layer {
        let blocks =
            (0..layer.outputs).step_by(LANES).map(|first| Block::new(layer, precision, first)).collect();
        let lifts = layer.shift.iter().any(|&shift| shift < 0);
        Layer { outputs: layer.outputs, blocks, activation, lifts }
    }
}

impl Block {
    fn new(layer: &LayerParts, precision: Precision, first: usize) -> Block {
        let here = LANES.min(layer.outputs - first);
        let per_group = match precision {
            Precision::Bits8 => 4,
            Precision::Bits12 => 2,
        };
        let weight = |lane: usize, input: usize| {
            let inside = lane < here && input < layer.inputs;
            if inside { layer.weights[(first + lane) * layer.inputs + input] } else { 0 }
        };
        let group = |group: usize| {
            Line::from_fn(|lane| match precision {
                Precision::Bits8 => {
                    i32::from_le_bytes(core::array::from_fn(|k| weight(lane, group * 4 + k) as i8 as u8))
                }
                Precision::Bits12 => {
                    let word = |k| i32::from(weight(lane, group * 2 + k));
                    word(0) & 0xFFFF | word(1) << 16
                }
            })
        };
        let bias = |lane: usize| {
            let at = first + lane;
            let rounding = (1_i32 << layer.shift[at].max(0)) >> 1;
            let zero_point = match precision {
                Precision::Bits8 => (0..layer.inputs).map(|input| i32::from(weight(lane, input)) * 128).sum(),
                Precision::Bits12 => 0,
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
            multiplier: Words::from_fn(|lane| if lane < LANES { multiplier(lane) } else { 0 }),
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
            Precision::Bits8 if activation.is_curve() => Packing::Lines {
                intercept: halves(&curve::INTERCEPT, 16 + 128 * 32),
                rise: halves(&curve::RISE, 0),
            },
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
            Activation::Tanh | Activation::Sigmoid => Packing::Parabolas {
                value: turned(&curve::VALUE, rounding, 0),
                slope: turned(&curve::SLOPE, 0, 0),
                curvature: turned(&curve::CURVATURE, 0, 0),
            },
        }
    }
}

/// 32 items of a table from `first` on, in the order in which a look-up counts: it takes the segment's number, which
/// is 0 in the middle of the table, for unsigned.
fn turned(table: &[i16], added: i16, first: usize) -> Words {
    Words::from_fn(|index| table[(first + index + table.len() / 2) % table.len()] + added)
}

fn halves(table: &[i16; 64], added: i16) -> [Words; 2] {
    [turned(table, added, 0), turned(table, added, 32)]
}
