//! One sample at a time, one output per lane.

use super::lane::{CLAMP, CURVE, Constants, LEAKY, Line, NARROW_8, NARROW_12, WIDE, dot};
use super::pack::{Block, Layer, Packed, Packing};
use super::{Buffers, LANES, gather};
use crate::arith::to_q16;
use crate::parts::{Precision, WIDTH_MAX};
use crate::softmax::finish;
use core::arch::x86_64::*;

/// Runs one row.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn run(packed: &Packed, row: &[i16], out: &mut [i32], buffers: &mut Buffers) {
    match packed.precision {
        Precision::Bits8 => layers::<8>(packed, row, buffers),
        Precision::Bits12 => layers::<12>(packed, row, buffers),
    }
    let z = buffers.results.iter().flat_map(|line| line.0);
    let q16 = packed.outputs.iter().zip(z).map(|(parts, z)| to_q16(parts, z));
    let mut values = [0; WIDTH_MAX];
    let values = &mut values[..packed.outputs.len()];
    values.iter_mut().zip(q16).for_each(|(value, q16)| *value = q16);
    finish(packed.output, values, out);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn layers<const BITS: u8>(packed: &Packed, row: &[i16], buffers: &mut Buffers) {
    let Buffers { before, after, results } = buffers;
    let (mut before, mut after) = (before, after);
    gather::row::<BITS>(row, before);
    for layer in &packed.hidden {
        match layer.activation {
            Packing::Curve { .. } => hidden::<BITS, CURVE>(layer, before, after),
            Packing::Leaky { .. } => hidden::<BITS, LEAKY>(layer, before, after),
            Packing::Clamp { .. } | Packing::Raw => hidden::<BITS, CLAMP>(layer, before, after),
        }
        core::mem::swap(&mut before, &mut after);
    }
    last::<BITS>(&packed.last, before, results);
}

/// Values of `before` through one layer to `after`.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn hidden<const BITS: u8, const KIND: u8>(layer: &Layer, before: &[Line], after: &mut [Line]) {
    let constants = Constants::new(&layer.activation);
    let blocks_per_line = if BITS == 8 { 4 } else { 2 };
    for (blocks, line) in layer.blocks.chunks(blocks_per_line).zip(after) {
        if BITS == 8 {
            for (block, bytes) in blocks.iter().zip(line.0.as_chunks_mut::<4>().0) {
                let words = words::<8, KIND, NARROW_8>(block, constants, before);
                let q = _mm512_cvtepi16_epi8(_mm512_srli_epi16::<8>(words));
                // SAFETY: four 32-bit items are 128 bits, and the store may be unaligned.
                unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), _mm256_castsi256_si128(q)) };
            }
        } else {
            for (block, words_of) in blocks.iter().zip(line.0.as_chunks_mut::<8>().0) {
                let q = _mm512_castsi512_si256(words::<12, KIND, NARROW_12>(block, constants, before));
                // SAFETY: eight 32-bit items are 256 bits, and the store may be unaligned.
                unsafe { _mm256_storeu_si256(words_of.as_mut_ptr().cast(), q) };
            }
        }
    }
}

/// The last layer's `z`, in the order of outputs.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn last<const BITS: u8>(layer: &Layer, before: &[Line], results: &mut [Line]) {
    let constants = Constants::new(&layer.activation);
    let widen = |words| _mm512_cvtepi16_epi32(_mm512_castsi512_si256(words));
    for (block, result) in layer.blocks.iter().zip(results) {
        result.store(match layer.activation {
            Packing::Raw => accumulate::<BITS>(block, before),
            Packing::Curve { .. } => widen(words::<BITS, CURVE, WIDE>(block, constants, before)),
            Packing::Leaky { .. } => widen(words::<BITS, LEAKY, WIDE>(block, constants, before)),
            Packing::Clamp { .. } => widen(words::<BITS, CLAMP, WIDE>(block, constants, before)),
        });
    }
}

/// Activated words of 16 outputs in the lower half; the upper half is noise.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn words<const BITS: u8, const KIND: u8, const WIDTH: u8>(
    block: &Block,
    constants: Constants,
    before: &[Line],
) -> __m512i {
    let shifted = _mm512_srav_epi32(accumulate::<BITS>(block, before), block.shift.load());
    let r = _mm512_castsi256_si512(_mm512_cvtsepi32_epi16(shifted));
    constants.activate::<KIND, WIDTH>(r, block.multiplier.load())
}

/// The accumulators of 16 outputs. Four partial sums, because a sum waits for the one before it.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn accumulate<const BITS: u8>(block: &Block, before: &[Line]) -> __m512i {
    let zero = _mm512_setzero_si512();
    let mut acc = [block.bias.load(), zero, zero, zero];
    for (weights, groups) in block.weights.chunks(LANES).zip(before) {
        for (weights, groups) in weights.chunks(4).zip(groups.0.as_chunks::<4>().0) {
            for ((weights, &group), acc) in weights.iter().zip(groups).zip(&mut acc) {
                *acc = dot::<BITS>(*acc, _mm512_set1_epi32(group), weights.load());
            }
        }
    }
    let [a, b, c, d] = acc;
    _mm512_add_epi32(_mm512_add_epi32(a, b), _mm512_add_epi32(c, d))
}
