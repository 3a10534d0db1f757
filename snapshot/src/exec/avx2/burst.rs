//! Up to 16 samples at once, one per lane.
//!
//! The inner loops are `while` loops over written-out arrays: the compiler does not inline an iterator adapter into
//! code with more processor features.

use super::lane::{CLAMP, Constants, LEAKY, LINES, PARABOLAS, clamp_wide, dot, shift_wide};
use super::{LANES, gather};
use crate::exec::pack::{self, Block, Buffers, Layer, Line, Packed, Packing};
use crate::parts::OutputParts;
use core::arch::x86_64::*;

/// Runs all `rows`, at most eight per register of samples (`REGS`, 1 or 2).
#[target_feature(enable = "avx2")]
pub(super) fn run<const REGS: usize>(packed: &Packed, rows: &[i16], out: &mut [i32], buffers: &mut Buffers) {
    let (mut before, mut after, results) = buffers.split();
    let range = gather::Range::new(packed.precision);
    for reg in 0..REGS {
        gather::burst(&rows[reg * LANES * packed.inputs..], packed.inputs, range, before, reg);
    }
    for layer in &packed.hidden {
        match layer.activation {
            Packing::Lines => hidden::<LINES, REGS>(layer, before, after),
            Packing::Parabolas { .. } => hidden::<PARABOLAS, REGS>(layer, before, after),
            Packing::Leaky { .. } => hidden::<LEAKY, REGS>(layer, before, after),
            Packing::Clamp { .. } | Packing::Raw => hidden::<CLAMP, REGS>(layer, before, after),
        }
        core::mem::swap(&mut before, &mut after);
    }
    last::<REGS>(packed, before, results);
    packed.finish_burst(1, rows.len() / packed.inputs, buffers, out);
}

/// Values of `before` through one layer to `after`.
#[target_feature(enable = "avx2")]
fn hidden<const KIND: u8, const REGS: usize>(layer: &Layer, before: &[Line], after: &mut [Line]) {
    let constants = Constants::new(&layer.activation);
    let mut at = 0;
    while at < layer.outputs.div_ceil(4) {
        let (block, four) = (&layer.blocks[at / 4], at % 4);
        let acc = accumulate::<REGS>(block, four, before);
        let mut reg = 0;
        while reg < REGS {
            let r = rescaled(block, four, layer.lifts, acc[reg]);
            let [even, odd] =
                constants.values::<KIND>(r, [multiplier(block, four, 0), multiplier(block, four, 1)]);
            after[2 * at].set_half(reg, _mm256_unpacklo_epi16(even, odd));
            after[2 * at + 1].set_half(reg, _mm256_unpackhi_epi16(even, odd));
            reg += 1;
        }
        at += 1;
    }
}

/// The last layer and its way to Q16, one output after the other: most networks have one.
#[target_feature(enable = "avx2")]
fn last<const REGS: usize>(packed: &Packed, before: &[Line], results: &mut [Line]) {
    let layer = &packed.last;
    let constants = Constants::new(&layer.activation);
    let mut output = 0;
    while output < layer.outputs {
        let (block, lane) = (&layer.blocks[output / pack::LANES], output % pack::LANES);
        let mut acc = [_mm256_set1_epi32(block.bias.0[lane]); REGS];
        let mut group = 0;
        while group < block.weights.len() {
            let w = _mm256_set1_epi32(block.weights[group].0[lane]);
            let mut reg = 0;
            while reg < REGS {
                acc[reg] = dot(acc[reg], before[group].half(reg), w);
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
            results[output].set_half(reg, to_q16.of(z));
            reg += 1;
        }
        output += 1;
    }
}

/// One accumulator per sample to `y`.
#[inline]
#[target_feature(enable = "avx2")]
fn activated<const KIND: u8>(block: &Block, lane: usize, constants: Constants, acc: __m256i) -> __m256i {
    let lifted = _mm256_sll_epi32(acc, _mm_cvtsi32_si128(block.lift.0[lane]));
    let shifted = _mm256_sra_epi32(lifted, _mm_cvtsi32_si128(block.shift.0[lane]));
    let (r, multiplier) = (_mm256_packs_epi32(shifted, shifted), _mm256_set1_epi16(block.multiplier.0[lane]));
    let [words, _] = constants.activate::<KIND>([r, r], [multiplier, multiplier]);
    _mm256_srai_epi32::<16>(_mm256_unpacklo_epi16(words, words))
}

/// The accumulators of four outputs, per register of samples.
#[inline]
#[target_feature(enable = "avx2")]
fn accumulate<const REGS: usize>(block: &Block, four: usize, before: &[Line]) -> [[__m256i; 4]; REGS] {
    let all = |line: &Line, output: usize| _mm256_set1_epi32(line.0[4 * (four & 3) + output]);
    let bias = [all(&block.bias, 0), all(&block.bias, 1), all(&block.bias, 2), all(&block.bias, 3)];
    let mut acc = [bias; REGS];
    let before = &before[..block.weights.len()];
    let mut group = 0;
    while group < block.weights.len() {
        let line = &block.weights[group];
        let w = [all(line, 0), all(line, 1), all(line, 2), all(line, 3)];
        let mut reg = 0;
        while reg < REGS {
            let x = before[group].half(reg);
            acc[reg] = [
                dot(acc[reg][0], x, w[0]),
                dot(acc[reg][1], x, w[1]),
                dot(acc[reg][2], x, w[2]),
                dot(acc[reg][3], x, w[3]),
            ];
            reg += 1;
        }
        group += 1;
    }
    acc
}

/// Four accumulators to `r`: each 128 bits of the first hold outputs 0 and 2 of four samples, of the second outputs 1
/// and 3.
#[inline]
#[target_feature(enable = "avx2")]
fn rescaled(block: &Block, four: usize, lifts: bool, acc: [__m256i; 4]) -> [__m256i; 2] {
    let shifted = |output: usize| {
        let lane = 4 * (four & 3) + output;
        let lifted = match lifts {
            true => _mm256_sll_epi32(acc[output], _mm_cvtsi32_si128(block.lift.0[lane])),
            false => acc[output],
        };
        _mm256_sra_epi32(lifted, _mm_cvtsi32_si128(block.shift.0[lane]))
    };
    [_mm256_packs_epi32(shifted(0), shifted(2)), _mm256_packs_epi32(shifted(1), shifted(3))]
}

/// The multipliers for one register of [`rescaled`].
#[inline]
#[target_feature(enable = "avx2")]
fn multiplier(block: &Block, four: usize, parity: usize) -> __m256i {
    // SAFETY: eight words are 128 bits, and the load may be unaligned.
    let words = unsafe { _mm_loadu_si128(block.pairs[four & 3][parity].as_ptr().cast()) };
    _mm256_broadcastsi128_si256(words)
}

/// [`crate::arith::to_q16`] on eight samples: even lanes, then odd ones, in 64 bits.
struct ToQ16 {
    multiplier: __m256i,
    rounding: __m256i,
    shift: __m128i,
    offset: __m256i,
    lo: __m256i,
    hi: __m256i,
}

impl ToQ16 {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(parts: &OutputParts) -> ToQ16 {
        ToQ16 {
            multiplier: _mm256_set1_epi64x(parts.multiplier.into()),
            rounding: _mm256_set1_epi64x((1_i64 << parts.shift) >> 1),
            shift: _mm_cvtsi32_si128(parts.shift.into()),
            offset: _mm256_set1_epi64x(parts.offset.into()),
            lo: _mm256_set1_epi64x(parts.lo.into()),
            hi: _mm256_set1_epi64x(parts.hi.into()),
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn of(&self, z: __m256i) -> __m256i {
        let half = |lanes| {
            let product = _mm256_add_epi64(_mm256_mul_epi32(lanes, self.multiplier), self.rounding);
            clamp_wide(_mm256_add_epi64(shift_wide(product, self.shift), self.offset), self.lo, self.hi)
        };
        let (even, odd) = (half(z), half(_mm256_srli_epi64::<32>(z)));
        _mm256_blend_epi32::<0xAA>(even, _mm256_slli_epi64::<32>(odd))
    }
}
