//! Up to 32 samples at once, one per lane.

use super::lane::{CLAMP, CURVE, Constants, LEAKY, Line, NARROW_8, NARROW_12, WIDE, dot};
use super::pack::{Block, Layer, Packed, Packing};
use super::{Buffers, LANES, gather};
use crate::parts::{Output, OutputParts, Precision, WIDTH_MAX};
use crate::softmax::finish;
use core::arch::x86_64::*;

/// Runs the first `n` rows, at most 16 per register of samples (`REGS`, 1 or 2). Returns `n`.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn run<const REGS: usize>(
    packed: &Packed,
    rows: &[i16],
    n: usize,
    out: &mut [i32],
    buffers: &mut Buffers,
) -> usize {
    let rows = &rows[..n * packed.inputs];
    match packed.precision {
        Precision::Bits8 => layers::<8, REGS>(packed, rows, buffers),
        Precision::Bits12 => layers::<12, REGS>(packed, rows, buffers),
    }
    results::<REGS>(packed, &buffers.results, n, out);
    n
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn layers<const BITS: u8, const REGS: usize>(packed: &Packed, rows: &[i16], buffers: &mut Buffers) {
    let Buffers { before, after, results } = buffers;
    let (mut before, mut after) = (before, after);
    for reg in 0..REGS {
        let first = (reg * LANES * packed.inputs).min(rows.len() - packed.inputs);
        gather::burst::<BITS>(&rows[first..], packed.inputs, &mut before[reg..], REGS);
    }
    for layer in &packed.hidden {
        let constants = Constants::new(&layer.activation);
        match layer.activation {
            Packing::Curve { .. } => hidden::<BITS, CURVE, REGS>(layer, constants, before, after),
            Packing::Leaky { .. } => hidden::<BITS, LEAKY, REGS>(layer, constants, before, after),
            Packing::Clamp { .. } | Packing::Raw => {
                hidden::<BITS, CLAMP, REGS>(layer, constants, before, after)
            }
        }
        core::mem::swap(&mut before, &mut after);
    }
    last::<BITS, REGS>(packed, before, results);
}

/// Values of `before` through one layer to `after`.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn hidden<const BITS: u8, const KIND: u8, const REGS: usize>(
    layer: &Layer,
    constants: Constants,
    before: &[Line],
    after: &mut [Line],
) {
    // From 128-bit lanes of (output 0, output 1) words and (2, 3) words to (0, 1, 2, 3) bytes per sample.
    let order = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15));
    // The upper byte of each word.
    let upper = _mm512_set1_epi16(0xFF00_u16 as i16);
    let groups = if BITS == 8 { 1 } else { 2 };
    let mut after = after.chunks_exact_mut(groups * REGS);
    for (block, four) in fours(layer) {
        let Some(into) = after.next() else { return };
        let acc = accumulate::<BITS, REGS>(block, four, before);
        for reg in 0..REGS {
            if BITS == 8 {
                let [even, odd] = pair::<KIND, NARROW_8>(block, four, constants, acc[reg]);
                // upper ? odd : even >> 8
                let bytes = _mm512_ternarylogic_epi32::<0xD8>(_mm512_srli_epi16::<8>(even), odd, upper);
                into[reg].store(_mm512_shuffle_epi8(bytes, order));
            } else {
                let [even, odd] = pair::<KIND, NARROW_12>(block, four, constants, acc[reg]);
                into[reg].store(_mm512_unpacklo_epi16(even, odd));
                into[REGS + reg].store(_mm512_unpackhi_epi16(even, odd));
            }
        }
    }
}

/// The last layer and its way to Q16.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn last<const BITS: u8, const REGS: usize>(packed: &Packed, before: &[Line], results: &mut [Line]) {
    let layer = &packed.last;
    let constants = Constants::new(&layer.activation);
    let fours_of_parts = packed.outputs.chunks(4).zip(results.chunks_mut(4 * REGS));
    for ((block, four), (parts, results)) in fours(layer).zip(fours_of_parts) {
        let acc = accumulate::<BITS, REGS>(block, four, before);
        for reg in 0..REGS {
            let z = match layer.activation {
                Packing::Raw => acc[reg],
                Packing::Curve { .. } => widen(pair::<CURVE, WIDE>(block, four, constants, acc[reg])),
                Packing::Leaky { .. } => widen(pair::<LEAKY, WIDE>(block, four, constants, acc[reg])),
                Packing::Clamp { .. } => widen(pair::<CLAMP, WIDE>(block, four, constants, acc[reg])),
            };
            for (output, (parts, z)) in parts.iter().zip(z).enumerate() {
                results[output * REGS + reg].store(to_q16(parts, z));
            }
        }
    }
}

/// The layer's outputs by fours.
fn fours(layer: &Layer) -> impl Iterator<Item = (&Block, usize)> {
    (0..layer.outputs.div_ceil(4)).filter_map(|at| Some((layer.blocks.get(at / 4)?, at % 4)))
}

/// The accumulators of four outputs, per register of samples.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn accumulate<const BITS: u8, const REGS: usize>(
    block: &Block,
    four: usize,
    before: &[Line],
) -> [[__m512i; 4]; REGS] {
    let first = 4 * (four & 3);
    let bias: [__m512i; 4] = core::array::from_fn(|output| _mm512_set1_epi32(block.bias.0[first + output]));
    let mut acc = [bias; REGS];
    for (weights, values) in block.weights.iter().zip(before.chunks_exact(REGS)) {
        let weights: [__m512i; 4] =
            core::array::from_fn(|output| _mm512_set1_epi32(weights.0[first + output]));
        for reg in 0..REGS {
            let x = values[reg].load();
            for output in 0..4 {
                acc[reg][output] = dot::<BITS>(acc[reg][output], x, weights[output]);
            }
        }
    }
    acc
}

/// Four accumulators to activated words: each 128 bits of the first hold outputs 0 and 2 of four samples, of the second
/// outputs 1 and 3.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn pair<const KIND: u8, const WIDTH: u8>(
    block: &Block,
    four: usize,
    constants: Constants,
    acc: [__m512i; 4],
) -> [__m512i; 2] {
    let four = four & 3;
    let shifted: [__m512i; 4] = core::array::from_fn(|output| {
        _mm512_srav_epi32(acc[output], _mm512_set1_epi32(block.shift.0[4 * four + output]))
    });
    core::array::from_fn(|parity| {
        // SAFETY: eight words are 128 bits, and the load may be unaligned.
        let multiplier = unsafe { _mm_loadu_si128(block.pairs[four][parity].as_ptr().cast()) };
        let r = _mm512_packs_epi32(shifted[parity], shifted[parity + 2]);
        constants.activate::<KIND, WIDTH>(r, _mm512_broadcast_i32x4(multiplier))
    })
}

/// Words of four outputs to one register each.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn widen([even, odd]: [__m512i; 2]) -> [__m512i; 4] {
    let lower = |words| _mm512_srai_epi32::<16>(_mm512_unpacklo_epi16(words, words));
    let upper = |words| _mm512_srai_epi32::<16>(_mm512_unpackhi_epi16(words, words));
    [lower(even), lower(odd), upper(even), upper(odd)]
}

/// [`crate::arith::to_q16`] on 16 samples: even lanes, then odd ones, in 64 bits.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn to_q16(parts: &OutputParts, z: __m512i) -> __m512i {
    let multiplier = _mm512_set1_epi64(parts.multiplier.into());
    let rounding = _mm512_set1_epi64((1_i64 << parts.shift) >> 1);
    let shift = _mm512_set1_epi64(parts.shift.into());
    let offset = _mm512_set1_epi64(parts.offset.into());
    let (lo, hi) = (_mm512_set1_epi64(parts.lo.into()), _mm512_set1_epi64(parts.hi.into()));
    let half = |lanes| {
        let product = _mm512_add_epi64(_mm512_mul_epi32(lanes, multiplier), rounding);
        let scaled = _mm512_add_epi64(_mm512_srav_epi64(product, shift), offset);
        _mm512_min_epi64(_mm512_max_epi64(scaled, lo), hi)
    };
    let (even, odd) = (half(z), half(_mm512_srli_epi64::<32>(z)));
    _mm512_mask_blend_epi32(0xAAAA, even, _mm512_slli_epi64::<32>(odd))
}

/// `[output][sample]` to `[sample][result]`.
fn results<const REGS: usize>(packed: &Packed, results: &[Line], n: usize, out: &mut [i32]) {
    let outputs = packed.outputs.len();
    if outputs == 1 && packed.output == Output::Linear {
        for (line, out) in results.iter().zip(out[..n].chunks_mut(LANES)) {
            out.copy_from_slice(&line.0[..out.len()]);
        }
        return;
    }
    let mut values = [0; WIDTH_MAX];
    let values = &mut values[..outputs];
    for (sample, out) in out.chunks_exact_mut(packed.results).take(n).enumerate() {
        for (value, lines) in values.iter_mut().zip(results.chunks_exact(REGS)) {
            *value = lines[sample / LANES].0[sample % LANES];
        }
        finish(packed.output, values, out);
    }
}
