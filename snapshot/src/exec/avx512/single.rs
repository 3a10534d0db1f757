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
        // Two blocks at a time read each value once. The next layer reads four bytes at a time, which it gets sooner
        // from a narrow store than from one of both blocks together (Zen 4).
        if let [first, second, ..] = &layer.blocks[at..] {
            let [a, b] = accumulate_two::<BITS>([first, second], before);
            store::<BITS, KIND>(activated::<KIND>(first, constants, layer.lifts, a), at, after);
            store::<BITS, KIND>(activated::<KIND>(second, constants, layer.lifts, b), at + 1, after);
        } else {
            let block = &layer.blocks[at];
            let acc = accumulate::<BITS>(block, before);
            store::<BITS, KIND>(activated::<KIND>(block, constants, layer.lifts, acc), at, after);
        }
        at += 2;
    }
}

/// Narrows 16 activated words to the values of block `at`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn store<const BITS: u8, const KIND: u8>(words: __m512i, at: usize, after: &mut [Line]) {
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
}

/// The last layer's `z`, in the order of outputs.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn last<const BITS: u8>(layer: &Layer, before: &[Line], results: &mut [Line]) {
    let constants = Constants::new(&layer.activation);
    let mut at = 0;
    while at < layer.blocks.len() {
        let block = &layer.blocks[at];
        results[at].store(finished(layer, block, constants, accumulate::<BITS>(block, before)));
        at += 1;
    }
}

/// Accumulators of 16 outputs of the last layer to their `z`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn finished(layer: &Layer, block: &Block, constants: Constants, acc: __m512i) -> __m512i {
    let widen = |words| _mm512_cvtepi16_epi32(_mm512_castsi512_si256(words));
    match layer.activation {
        Packing::Raw | Packing::Lines => acc,
        Packing::Parabolas { .. } => widen(activated::<PARABOLAS>(block, constants, layer.lifts, acc)),
        Packing::Leaky { .. } => widen(activated::<LEAKY>(block, constants, layer.lifts, acc)),
        Packing::Clamp { .. } => widen(activated::<CLAMP>(block, constants, layer.lifts, acc)),
    }
}

/// Accumulators of 16 outputs to activated words in the lower half; the upper half is noise.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn activated<const KIND: u8>(block: &Block, constants: Constants, lifts: bool, acc: __m512i) -> __m512i {
    let r = _mm512_castsi256_si512(_mm512_cvtsepi32_epi16(shifted(block, lifts, acc)));
    constants.activate::<KIND>(r, block.multiplier.load())
}

/// Accumulators of 16 outputs shifted to the scale of their multipliers.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn shifted(block: &Block, lifts: bool, acc: __m512i) -> __m512i {
    let lifted = if lifts { _mm512_sllv_epi32(acc, block.lift.load()) } else { acc };
    _mm512_srav_epi32(lifted, block.shift.load())
}

/// The accumulators of 16 outputs.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn accumulate<const BITS: u8>(block: &Block, before: &[Line]) -> __m512i {
    let mut acc = begun(block);
    let weights = &block.weights[..];
    let mut group = 0;
    while group + 3 < weights.len() {
        let q = broadcast(&before[group / LANES], group / 4);
        acc = continued::<BITS>(acc, q, weights, group);
        group += 4;
    }
    sum(acc)
}

/// The same of two blocks of one layer. Written out, because a loop over blocks costs what this saves.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn accumulate_two<const BITS: u8>(blocks: [&Block; 2], before: &[Line]) -> [__m512i; 2] {
    let (mut first, mut second) = (begun(blocks[0]), begun(blocks[1]));
    let weights = &blocks[0].weights[..];
    let others = &blocks[1].weights[..weights.len()];
    let mut group = 0;
    while group + 3 < weights.len() {
        let q = broadcast(&before[group / LANES], group / 4);
        first = continued::<BITS>(first, q, weights, group);
        second = continued::<BITS>(second, q, others, group);
        group += 4;
    }
    [sum(first), sum(second)]
}

/// Four partial sums, because a sum waits for the one before it.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn begun(block: &Block) -> [__m512i; 4] {
    let zero = _mm512_setzero_si512();
    [block.bias.load(), zero, zero, zero]
}

/// Partial sums and the products of four groups from `group` on.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn continued<const BITS: u8>(
    acc: [__m512i; 4],
    q: [__m512i; 4],
    weights: &[Line],
    group: usize,
) -> [__m512i; 4] {
    [
        dot::<BITS>(acc[0], q[0], weights[group].load()),
        dot::<BITS>(acc[1], q[1], weights[group + 1].load()),
        dot::<BITS>(acc[2], q[2], weights[group + 2].load()),
        dot::<BITS>(acc[3], q[3], weights[group + 3].load()),
    ]
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn sum(acc: [__m512i; 4]) -> __m512i {
    _mm512_add_epi32(_mm512_add_epi32(acc[0], acc[1]), _mm512_add_epi32(acc[2], acc[3]))
}
