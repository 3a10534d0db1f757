//! One sample at a time, one output per lane.

use super::gather;
use super::lane::{CLAMP, Constants, LEAKY, LINES, PARABOLAS, dot};
use crate::exec::pack::{Block, Buffers, LANES, Layer, Line, Packed, Packing};
use core::arch::x86_64::*;

/// Runs one row.
#[target_feature(enable = "avx2")]
pub(super) fn run(packed: &Packed, row: &[i16], out: &mut [i32], buffers: &mut Buffers) {
    let (mut before, mut after, results) = buffers.split();
    gather::row(row, gather::Range::new(packed.precision), before);
    for layer in &packed.hidden {
        match layer.activation {
            Packing::Lines => hidden::<LINES>(layer, before, after),
            Packing::Parabolas { .. } => hidden::<PARABOLAS>(layer, before, after),
            Packing::Leaky { .. } => hidden::<LEAKY>(layer, before, after),
            Packing::Clamp { .. } | Packing::Raw => hidden::<CLAMP>(layer, before, after),
        }
        core::mem::swap(&mut before, &mut after);
    }
    last(&packed.last, before, results);
    packed.finish_single(buffers, out);
}

/// Values of `before` through one layer to `after`.
#[target_feature(enable = "avx2")]
fn hidden<const KIND: u8>(layer: &Layer, before: &[Line], after: &mut [Line]) {
    let constants = Constants::new(&layer.activation);
    let mut at = 0;
    while at < layer.blocks.len() {
        let block = &layer.blocks[at];
        let (r, multiplier) = (rescaled(block, layer.lifts, before), multiplier(block));
        let [words, _] = constants.values::<KIND>([r, r], [multiplier, multiplier]);
        after[at / 2].set_half(at, words);
        at += 1;
    }
}

/// The last layer's `z`, in the order of outputs.
#[target_feature(enable = "avx2")]
fn last(layer: &Layer, before: &[Line], results: &mut [Line]) {
    let constants = Constants::new(&layer.activation);
    let mut at = 0;
    while at < layer.blocks.len() {
        let block = &layer.blocks[at];
        let z = match layer.activation {
            Packing::Raw | Packing::Lines => accumulate(block, before),
            Packing::Parabolas { .. } => activated::<PARABOLAS>(block, constants, layer.lifts, before),
            Packing::Leaky { .. } => activated::<LEAKY>(block, constants, layer.lifts, before),
            Packing::Clamp { .. } => activated::<CLAMP>(block, constants, layer.lifts, before),
        };
        results[at].set_half(0, z[0]);
        results[at].set_half(1, z[1]);
        at += 1;
    }
}

/// `y` of 16 outputs.
#[inline]
#[target_feature(enable = "avx2")]
fn activated<const KIND: u8>(
    block: &Block,
    constants: Constants,
    lifts: bool,
    before: &[Line],
) -> [__m256i; 2] {
    let (r, multiplier) = (rescaled(block, lifts, before), multiplier(block));
    let [y, _] = constants.activate::<KIND>([r, r], [multiplier, multiplier]);
    [
        _mm256_cvtepi16_epi32(_mm256_castsi256_si128(y)),
        _mm256_cvtepi16_epi32(_mm256_extracti128_si256::<1>(y)),
    ]
}

/// Multipliers of 16 outputs.
#[inline]
#[target_feature(enable = "avx2")]
fn multiplier(block: &Block) -> __m256i {
    // SAFETY: the first half of the words is 256 bits at an address that 32 divides.
    unsafe { _mm256_load_si256(block.multiplier.0.as_ptr().cast()) }
}

/// `r` of 16 outputs.
#[inline]
#[target_feature(enable = "avx2")]
fn rescaled(block: &Block, lifts: bool, before: &[Line]) -> __m256i {
    let mut acc = accumulate(block, before);
    if lifts {
        acc = [_mm256_sllv_epi32(acc[0], block.lift.half(0)), _mm256_sllv_epi32(acc[1], block.lift.half(1))];
    }
    let words = _mm256_packs_epi32(
        _mm256_srav_epi32(acc[0], block.shift.half(0)),
        _mm256_srav_epi32(acc[1], block.shift.half(1)),
    );
    // Quarters (0, 2, 1, 3) of the outputs.
    _mm256_permute4x64_epi64::<0b11_01_10_00>(words)
}

/// The accumulators of 16 outputs.
#[inline]
#[target_feature(enable = "avx2")]
fn accumulate(block: &Block, before: &[Line]) -> [__m256i; 2] {
    let mut acc = [block.bias.half(0), block.bias.half(1)];
    let mut group = 0;
    while group < block.weights.len() {
        let x = _mm256_set1_epi32(before[group / LANES].0[group % LANES]);
        let w = &block.weights[group];
        acc = [dot(acc[0], x, w.half(0)), dot(acc[1], x, w.half(1))];
        group += 1;
    }
    acc
}
