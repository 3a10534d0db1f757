//! One sample at a time, one output per lane.

use super::gather;
use super::lane::{CLAMP, Constants, LEAKY, LINES, PARABOLAS, broadcast, dot};
use crate::exec::pack::{Block, Buffers, LANES, Layer, Line, Packed, Packing};
use crate::parts::Precision;
use core::arch::x86_64::*;

/// Runs one row.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn run(packed: &Packed, row: &[i16], out: &mut [i32], buffers: &mut Buffers) {
    match packed.precision {
        Precision::Bits8 => layers::<8>(packed, row, buffers),
        Precision::Bits12 => layers::<12>(packed, row, buffers),
    }
    packed.finish_single(buffers, out);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn layers<const BITS: u8>(packed: &Packed, row: &[i16], buffers: &mut Buffers) {
    let (mut before, mut after, results) = buffers.split();
    gather::row::<BITS>(row, before);
    for layer in &packed.hidden {
        match layer.activation {
            Packing::Lines => hidden::<BITS, LINES>(layer, before, after),
            Packing::Parabolas { .. } => hidden::<BITS, PARABOLAS>(layer, before, after),
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
    let mut at = 0;
    while at < layer.blocks.len() {
        let block = &layer.blocks[at];
        let words = words::<BITS, KIND>(block, constants, layer.lifts, before);
        if BITS == 8 {
            let bytes = if KIND == LINES {
                _mm512_cvtepi16_epi8(_mm512_srli_epi16::<5>(words))
            } else {
                _mm256_xor_si256(_mm512_cvtsepi16_epi8(words), _mm256_set1_epi8(i8::MIN))
            };
            after[at / 4].store_quarter(at, _mm256_castsi256_si128(bytes));
        } else {
            let words = if KIND == PARABOLAS { _mm512_srai_epi16::<4>(words) } else { words };
            after[at / 2].store_half(at, _mm512_castsi512_si256(words));
        }
        at += 1;
    }
}

/// The last layer's `z`, in the order of outputs.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn last<const BITS: u8>(layer: &Layer, before: &[Line], results: &mut [Line]) {
    let constants = Constants::new(&layer.activation);
    let widen = |words| _mm512_cvtepi16_epi32(_mm512_castsi512_si256(words));
    let mut at = 0;
    while at < layer.blocks.len() {
        let block = &layer.blocks[at];
        results[at].store(match layer.activation {
            Packing::Raw | Packing::Lines => accumulate::<BITS>(block, before),
            Packing::Parabolas { .. } => {
                widen(words::<BITS, PARABOLAS>(block, constants, layer.lifts, before))
            }
            Packing::Leaky { .. } => widen(words::<BITS, LEAKY>(block, constants, layer.lifts, before)),
            Packing::Clamp { .. } => widen(words::<BITS, CLAMP>(block, constants, layer.lifts, before)),
        });
        at += 1;
    }
}

/// Activated words of 16 outputs in the lower half; the upper half is noise.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn words<const BITS: u8, const KIND: u8>(
    block: &Block,
    constants: Constants,
    lifts: bool,
    before: &[Line],
) -> __m512i {
    let acc = accumulate::<BITS>(block, before);
    let lifted = if lifts { _mm512_sllv_epi32(acc, block.lift.load()) } else { acc };
    let shifted = _mm512_srav_epi32(lifted, block.shift.load());
    let r = _mm512_castsi256_si512(_mm512_cvtsepi32_epi16(shifted));
    constants.activate::<KIND>(r, block.multiplier.load())
}

/// The accumulators of 16 outputs. Four partial sums, because a sum waits for the one before it.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn accumulate<const BITS: u8>(block: &Block, before: &[Line]) -> __m512i {
    let zero = _mm512_setzero_si512();
    let mut acc = [block.bias.load(), zero, zero, zero];
    let weights = &block.weights[..];
    let mut group = 0;
    while group + 3 < weights.len() {
        let q = broadcast(&before[group / LANES], group / 4);
        acc = [
            dot::<BITS>(acc[0], q[0], weights[group].load()),
            dot::<BITS>(acc[1], q[1], weights[group + 1].load()),
            dot::<BITS>(acc[2], q[2], weights[group + 2].load()),
            dot::<BITS>(acc[3], q[3], weights[group + 3].load()),
        ];
        group += 4;
    }
    _mm512_add_epi32(_mm512_add_epi32(acc[0], acc[1]), _mm512_add_epi32(acc[2], acc[3]))
}
