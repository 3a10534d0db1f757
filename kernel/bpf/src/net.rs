//! A snapshot as the value of an inner map: `struct weir_net` of `c/weir_net.h`, field for field.

use weir_features::PacingSpec;
use weir_snapshot::{Activation, LAYERS, LayerParts, Output, Precision, Snapshot, WIDTH_MAX};

/// Inputs that the program multiplies at once; an output's weights are filled up to a multiple of it with zeros.
const BLOCK: usize = 16;
const LAYERS_MAX: usize = *LAYERS.end();
const UNITS_MAX: usize = LAYERS_MAX * WIDTH_MAX;
const WEIGHTS_MAX: usize = UNITS_MAX * WIDTH_MAX;
/// Bytes of the value.
pub(crate) const VALUE_BYTES: usize =
    136 + LAYERS_MAX * 32 + 2 * WIDTH_MAX * 20 + UNITS_MAX * 8 + WEIGHTS_MAX * 2;

/// Writes little-endian fields one after the other.
struct Writer(Vec<u8>);

impl Writer {
    fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_ne_bytes());
    }
    fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_ne_bytes());
    }
    fn i32(&mut self, value: i32) {
        self.0.extend_from_slice(&value.to_ne_bytes());
    }
    fn i16(&mut self, value: i16) {
        self.0.extend_from_slice(&value.to_ne_bytes());
    }
    fn count(&mut self, value: usize) {
        // Every count of a checked snapshot is at most 2^19.
        self.u32(value as u32);
    }
    /// Fills up to `end` with zeros.
    fn skip_to(&mut self, end: usize) {
        debug_assert!(self.0.len() <= end);
        self.0.resize(end, 0);
    }
}

/// How a status finds out what is live: the value's first bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Names the feature definitions.
    pub schema_hash: u64,
    /// Number of the network since the control was attached, from 1.
    pub generation: u32,
    /// The snapshot's.
    pub checksum: u32,
    /// The snapshot's.
    pub name: String,
}

impl Header {
    pub(crate) fn of(value: &[u8]) -> Option<Header> {
        let word = |at: usize| Some(u32::from_ne_bytes(value.get(at..at + 4)?.try_into().ok()?));
        let name = value.get(48..80)?;
        Some(Header {
            schema_hash: u64::from_ne_bytes(value.get(..8)?.try_into().ok()?),
            generation: word(8)?,
            checksum: word(12)?,
            name: String::from_utf8_lossy(name).trim_end_matches('\0').to_owned(),
        })
    }
}

/// The value for a snapshot whose features have these definitions.
pub(crate) fn value(snapshot: &Snapshot, spec: &PacingSpec, generation: u32) -> Vec<u8> {
    let parts = snapshot.parts();
    let (lo, hi) = parts.precision.value_range();
    let mut out = Writer(Vec::with_capacity(VALUE_BYTES));
    out.u64(parts.schema_hash);
    out.u32(generation);
    out.u32(snapshot.checksum());
    out.count(parts.inputs.len());
    out.count(parts.outputs.len());
    out.count(parts.layers.len());
    out.u32(match parts.output {
        Output::Linear => 0,
        Output::Softmax => 1,
        Output::ArgMax => 2,
    });
    out.i32(lo.into());
    out.i32(hi.into());
    out.u32(u32::from(parts.precision == Precision::Bits8));
    out.u32(0);
    out.0.extend_from_slice(parts.name.as_bytes());
    out.skip_to(80);

    out.u64(spec.rtt_floor_ns);
    out.u64(spec.interval_min_ns);
    out.u64(spec.interval_max_ns);
    out.u32(spec.interval_rtt_q8.into());
    out.u32(spec.interval_packets_min.into());
    for (low, high) in spec.clips {
        out.i32(low);
        out.i32(high);
    }

    let mut end = 136;
    let (mut unit, mut weight) = (0, 0);
    for (at, layer) in parts.layers.iter().enumerate() {
        let blocks = layer.inputs.div_ceil(BLOCK);
        let (activation, first, second) = activation(layer.activation);
        out.count(layer.outputs);
        out.count(blocks);
        out.u32(activation);
        out.i32(first.into());
        out.i32(second.into());
        out.count(unit);
        out.count(weight);
        out.u32(u32::from(at + 1 == parts.layers.len()));
        unit += layer.outputs;
        weight += layer.outputs * blocks * BLOCK;
    }
    end += LAYERS_MAX * 32;
    out.skip_to(end);
    for input in &parts.inputs {
        out.i32(input.multiplier);
        out.i32(input.offset);
        out.i32(input.clip_lo);
        out.i32(input.clip_hi);
        out.u32(input.shift.into());
    }
    end += WIDTH_MAX * 20;
    out.skip_to(end);
    for output in &parts.outputs {
        out.i32(output.multiplier);
        out.i32(output.offset);
        out.i32(output.lo);
        out.i32(output.hi);
        out.u32(output.shift.into());
    }
    end += WIDTH_MAX * 20;
    out.skip_to(end);
    parts.layers.iter().for_each(|layer| units(&mut out, layer));
    end += UNITS_MAX * 8;
    out.skip_to(end);
    for layer in &parts.layers {
        let blocks = layer.inputs.div_ceil(BLOCK);
        for row in layer.weights.chunks_exact(layer.inputs) {
            let filled = out.0.len() + blocks * BLOCK * 2;
            row.iter().for_each(|weight| out.i16(*weight));
            out.skip_to(filled);
        }
    }
    out.skip_to(VALUE_BYTES);
    out.0
}

/// Bias and rounding term in one addition, as `weir_rescale` wants them.
fn units(out: &mut Writer, layer: &LayerParts) {
    for ((bias, multiplier), shift) in layer.bias.iter().zip(&layer.multiplier).zip(&layer.shift) {
        let rounding = if *shift > 0 { 1 << (shift - 1) } else { 0 };
        out.i32(bias.wrapping_add(rounding));
        out.i16(*multiplier);
        out.0.extend_from_slice(&[*shift as u8, 0]);
    }
}

/// Number and parameters of an activation, as `c/weir_net.h` takes them. A sigmoid's integers are tanh's, a hard one's a clip's.
fn activation(activation: Activation) -> (u32, i16, i16) {
    match activation {
        Activation::Identity => (0, 0, 0),
        Activation::Relu { zero } => (1, zero, 0),
        Activation::LeakyRelu { zero, slope } => (2, zero, slope),
        Activation::Clip { lo, hi } | Activation::HardSigmoid { lo, hi } => (3, lo, hi),
        Activation::Tanh | Activation::Sigmoid => (4, 0, 0),
    }
}
