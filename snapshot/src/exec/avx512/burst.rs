//! Up to 32 samples at once, one per lane.
//!
//! The inner loops are `while` loops over written-out arrays: the compiler does not inline an iterator adapter, or a
//! function that takes a closure, into code with more processor features (a factor of seven here).

use super::gather;
use super::lane::{CLAMP, Constants, LEAKY, LINES, PARABOLAS, broadcast, dot};
use crate::exec::pack::{Block, Buffers, LANES, Layer, Line, Packed, Packing};
use crate::parts::{OutputParts, Precision};
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
    packed.finish_burst(REGS, n, buffers, out);
    n
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn layers<const BITS: u8, const REGS: usize>(packed: &Packed, rows: &[i16], buffers: &mut Buffers) {
    let (mut before, mut after, results) = buffers.split();
    for reg in 0..REGS {
        let first = (reg * LANES * packed.inputs).min(rows.len() - packed.inputs);
        gather::burst::<BITS>(&rows[first..], packed.inputs, &mut before[reg..], REGS);
    }
    for layer in &packed.hidden {
        let constants = Constants::new(&layer.activation);
        match layer.activation {
            Packing::Lines => hidden::<BITS, LINES, REGS>(layer, constants, before, after),
            Packing::Parabolas { .. } => hidden::<BITS, PARABOLAS, REGS>(layer, constants, before, after),
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
    // Per 128 bits, from the bytes of outputs (0, 2, 1, 3) for four samples each to (0, 1, 2, 3) per sample; `LINES`
    // start with (0, 1) and then (2, 3) per sample.
    let order = if KIND == LINES {
        _mm_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15)
    } else {
        _mm_setr_epi8(0, 8, 4, 12, 1, 9, 5, 13, 2, 10, 6, 14, 3, 11, 7, 15)
    };
    let order = _mm512_broadcast_i32x4(order);
    let flip = _mm512_set1_epi8(i8::MIN);
    let upper = _mm512_set1_epi16(0xFF00_u16 as i16);
    let mut at = 0;
    while at < layer.outputs.div_ceil(4) {
        let (block, four) = (&layer.blocks[at / 4], at % 4);
        let acc = accumulate::<BITS, REGS>(block, four, before);
        let mut reg = 0;
        while reg < REGS {
            let [even, odd] = pair::<KIND>(block, four, constants, layer.lifts, acc[reg]);
            if BITS == 8 {
                let bytes = if KIND == LINES {
                    // The shift by 5 for both, and odd words moved to upper bytes: upper ? odd << 3 : even >> 5.
                    let (even, odd) = (_mm512_srli_epi16::<5>(even), _mm512_slli_epi16::<3>(odd));
                    _mm512_ternarylogic_epi32::<0xD8>(even, odd, upper)
                } else {
                    _mm512_xor_si512(_mm512_packs_epi16(even, odd), flip)
                };
                after[at * REGS + reg].store(_mm512_shuffle_epi8(bytes, order));
            } else {
                let (even, odd) = if KIND == PARABOLAS {
                    (_mm512_srai_epi16::<4>(even), _mm512_srai_epi16::<4>(odd))
                } else {
                    (even, odd)
                };
                after[2 * at * REGS + reg].store(_mm512_unpacklo_epi16(even, odd));
                after[(2 * at + 1) * REGS + reg].store(_mm512_unpackhi_epi16(even, odd));
            }
            reg += 1;
        }
        at += 1;
    }
}

/// The last layer and its way to Q16, one output after the other: most networks have one.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn last<const BITS: u8, const REGS: usize>(packed: &Packed, before: &[Line], results: &mut [Line]) {
    let layer = &packed.last;
    let constants = Constants::new(&layer.activation);
    let mut output = 0;
    while output < layer.outputs {
        let (block, lane) = (&layer.blocks[output / LANES], output % LANES);
        let mut acc = [_mm512_set1_epi32(block.bias.0[lane]); REGS];
        let mut group = 0;
        while group < block.weights.len() {
            let w = _mm512_set1_epi32(block.weights[group].0[lane]);
            let mut reg = 0;
            while reg < REGS {
                acc[reg] = dot::<BITS>(acc[reg], before[group * REGS + reg].load(), w);
                reg += 1;
            }
            group += 1;
        }
        let to_q16 = ToQ16::new(&packed.outputs[output]);
        let mut reg = 0;
        while reg < REGS {
            let z = match layer.activation {
                Packing::Raw | Packing::Lines => acc[reg],
                Packing::Parabolas { .. } => activated::<PARABOLAS>(block, lane, constants, acc[reg]),
                Packing::Leaky { .. } => activated::<LEAKY>(block, lane, constants, acc[reg]),
                Packing::Clamp { .. } => activated::<CLAMP>(block, lane, constants, acc[reg]),
            };
            results[output * REGS + reg].store(to_q16.of(z));
            reg += 1;
        }
        output += 1;
    }
}

/// One accumulator per sample to `y`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn activated<const KIND: u8>(block: &Block, lane: usize, constants: Constants, acc: __m512i) -> __m512i {
    let lifted = _mm512_sll_epi32(acc, _mm_cvtsi32_si128(block.lift.0[lane]));
    let shifted = _mm512_sra_epi32(lifted, _mm_cvtsi32_si128(block.shift.0[lane]));
    let words = constants
        .activate::<KIND>(_mm512_packs_epi32(shifted, shifted), _mm512_set1_epi16(block.multiplier.0[lane]));
    _mm512_srai_epi32::<16>(_mm512_unpacklo_epi16(words, words))
}

/// The accumulators of four outputs, per register of samples.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn accumulate<const BITS: u8, const REGS: usize>(
    block: &Block,
    four: usize,
    before: &[Line],
) -> [[__m512i; 4]; REGS] {
    let mut acc = [broadcast(&block.bias, four); REGS];
    let before = &before[..block.weights.len() * REGS];
    let mut group = 0;
    while group < block.weights.len() {
        let w = broadcast(&block.weights[group], four);
        let mut reg = 0;
        while reg < REGS {
            let x = before[group * REGS + reg].load();
            acc[reg] = [
                dot::<BITS>(acc[reg][0], x, w[0]),
                dot::<BITS>(acc[reg][1], x, w[1]),
                dot::<BITS>(acc[reg][2], x, w[2]),
                dot::<BITS>(acc[reg][3], x, w[3]),
            ];
            reg += 1;
        }
        group += 1;
    }
    acc
}

/// Four accumulators to activated words: each 128 bits of the first hold outputs 0 and 2 of four samples, of the second
/// outputs 1 and 3.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn pair<const KIND: u8>(
    block: &Block,
    four: usize,
    constants: Constants,
    lifts: bool,
    acc: [__m512i; 4],
) -> [__m512i; 2] {
    let four = four & 3;
    let acc = if lifts { lifted(block, four, acc) } else { acc };
    // A count for the whole register: from a variable shift by equal counts LLVM makes this and two steps more.
    let shift = |output: usize| _mm_cvtsi32_si128(block.shift.0[4 * four + output]);
    let shifted = [
        _mm512_sra_epi32(acc[0], shift(0)),
        _mm512_sra_epi32(acc[1], shift(1)),
        _mm512_sra_epi32(acc[2], shift(2)),
        _mm512_sra_epi32(acc[3], shift(3)),
    ];
    let words = |parity: usize| {
        // SAFETY: eight words are 128 bits, and the load may be unaligned.
        let multiplier = unsafe { _mm_loadu_si128(block.pairs[four][parity].as_ptr().cast()) };
        let r = _mm512_packs_epi32(shifted[parity], shifted[parity + 2]);
        constants.activate::<KIND>(r, _mm512_broadcast_i32x4(multiplier))
    };
    [words(0), words(1)]
}

/// Left shifts, which few layers have.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn lifted(block: &Block, four: usize, acc: [__m512i; 4]) -> [__m512i; 4] {
    let lift = broadcast(&block.lift, four);
    [
        _mm512_sllv_epi32(acc[0], lift[0]),
        _mm512_sllv_epi32(acc[1], lift[1]),
        _mm512_sllv_epi32(acc[2], lift[2]),
        _mm512_sllv_epi32(acc[3], lift[3]),
    ]
}

/// [`crate::arith::to_q16`] on 16 samples: even lanes, then odd ones, in 64 bits.
struct ToQ16 {
    multiplier: __m512i,
    rounding: __m512i,
    shift: __m128i,
    offset: __m512i,
    lo: __m512i,
    hi: __m512i,
}

impl ToQ16 {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    fn new(parts: &OutputParts) -> ToQ16 {
        ToQ16 {
            multiplier: _mm512_set1_epi64(parts.multiplier.into()),
            rounding: _mm512_set1_epi64((1_i64 << parts.shift) >> 1),
            shift: _mm_cvtsi32_si128(parts.shift.into()),
            offset: _mm512_set1_epi64(parts.offset.into()),
            lo: _mm512_set1_epi64(parts.lo.into()),
            hi: _mm512_set1_epi64(parts.hi.into()),
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    fn of(&self, z: __m512i) -> __m512i {
        let half = |lanes| {
            let product = _mm512_add_epi64(_mm512_mul_epi32(lanes, self.multiplier), self.rounding);
            let scaled = _mm512_add_epi64(_mm512_sra_epi64(product, self.shift), self.offset);
            _mm512_min_epi64(_mm512_max_epi64(scaled, self.lo), self.hi)
        };
        let (even, odd) = (half(z), half(_mm512_srli_epi64::<32>(z)));
        _mm512_mask_blend_epi32(0xAAAA, even, _mm512_slli_epi64::<32>(odd))
    }
}
