//! Features to a row: [`crate::arith::quantise`] on eight inputs at a time, even ones and odd ones in 64-bit lanes.

use super::lane::clamp_wide;
use crate::parts::{InputParts, Precision};
use alloc::vec::Vec;
use core::arch::x86_64::*;

/// Inputs that one register of features takes.
const EIGHT: usize = 8;

/// The constants of all inputs.
#[derive(Clone, Debug)]
pub(in crate::exec) struct Inputs {
    eights: Vec<Eight>,
    value_range: (i16, i16),
}

/// The constants of eight inputs; those beyond the last are zero.
#[derive(Clone, Debug)]
#[repr(C, align(32))]
struct Eight {
    clip_lo: [i32; EIGHT],
    clip_hi: [i32; EIGHT],
    /// Of the even inputs, then of the odd ones.
    wide: [Wide; 2],
}

/// The constants of four inputs.
#[derive(Clone, Debug)]
#[repr(C, align(32))]
struct Wide {
    multiplier: [i64; 4],
    /// The rounding term, less `offset * multiplier`, and 2^63, which makes the sum unsigned for the shift.
    added: [u64; 4],
    shift: [i64; 4],
    /// `2^63 >> shift`, what is too much after the shift.
    taken: [u64; 4],
}

impl Inputs {
    pub(super) fn new(inputs: &[InputParts], precision: Precision) -> Inputs {
        let eights = inputs.chunks(EIGHT).map(|inputs| {
            let field = |field: fn(&InputParts) -> i32| {
                core::array::from_fn(|lane| inputs.get(lane).map_or(0, field))
            };
            Eight {
                clip_lo: field(|input| input.clip_lo),
                clip_hi: field(|input| input.clip_hi),
                wide: [0, 1].map(|parity| Wide::new(inputs, parity)),
            }
        });
        Inputs { eights: eights.collect(), value_range: precision.value_range() }
    }

    /// Quantises `features`, as many as there are inputs and items in `row`.
    #[target_feature(enable = "avx2")]
    pub(super) fn quantise(&self, features: &[i32], row: &mut [i16]) {
        let lo = _mm256_set1_epi64x(self.value_range.0.into());
        let hi = _mm256_set1_epi64x(self.value_range.1.into());
        let numbers = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        let mut at = 0;
        while at < self.eights.len() {
            let eight = &self.eights[at];
            let end = features.len().min((at + 1) * EIGHT);
            let (features, row) = (&features[at * EIGHT..end], &mut row[at * EIGHT..end]);
            let mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(features.len() as i32), numbers);
            // SAFETY: the mask has as many lanes as `features` has items, and a masked load touches nothing else.
            let features = unsafe { _mm256_maskload_epi32(features.as_ptr(), mask) };
            let clipped = _mm256_max_epi32(features, load(&eight.clip_lo));
            let clipped = _mm256_min_epi32(clipped, load(&eight.clip_hi));
            let even = eight.wide[0].quantise(clipped, lo, hi);
            let odd = eight.wide[1].quantise(_mm256_srli_epi64::<32>(clipped), lo, hi);
            // Each fits a word: even ones in the lower half of their 32 bits, odd ones to the upper.
            let both = _mm256_blend_epi32::<0xAA>(even, _mm256_slli_epi64::<32>(odd));
            let words = _mm_packs_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256::<1>(both));
            if let Ok(row) = <&mut [i16; EIGHT]>::try_from(&mut *row) {
                // SAFETY: eight items are 128 bits, and the store may be unaligned.
                unsafe { _mm_storeu_si128(row.as_mut_ptr().cast(), words) };
            } else {
                let mut whole = [0; EIGHT];
                // SAFETY: as above.
                unsafe { _mm_storeu_si128(whole.as_mut_ptr().cast(), words) };
                row.copy_from_slice(&whole[..row.len()]);
            }
            at += 1;
        }
    }
}

impl Wide {
    /// Of every second input, from `parity` on.
    fn new(inputs: &[InputParts], parity: usize) -> Wide {
        let input = |lane: usize| inputs.get(2 * lane + parity);
        let shift = |lane: usize| input(lane).map_or(0, |input| input.shift);
        Wide {
            multiplier: core::array::from_fn(|lane| input(lane).map_or(0, |input| input.multiplier.into())),
            added: core::array::from_fn(|lane| {
                let centre =
                    input(lane).map_or(0, |input| i64::from(input.offset) * i64::from(input.multiplier));
                ((1_i64 << shift(lane) >> 1).wrapping_sub(centre) as u64).wrapping_add(1 << 63)
            }),
            shift: core::array::from_fn(|lane| shift(lane).into()),
            taken: core::array::from_fn(|lane| (1 << 63) >> shift(lane)),
        }
    }

    /// The even 32-bit lanes of `clipped`, in 64-bit lanes. The sum wraps on its way, but
    /// `(clipped - offset) * multiplier` and the rounding term fit.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn quantise(&self, clipped: __m256i, lo: __m256i, hi: __m256i) -> __m256i {
        let product = _mm256_mul_epi32(clipped, load(&self.multiplier));
        let shifted = _mm256_srlv_epi64(_mm256_add_epi64(product, load(&self.added)), load(&self.shift));
        clamp_wide(_mm256_sub_epi64(shifted, load(&self.taken)), lo, hi)
    }
}

/// 256 bits of lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn load<T, const N: usize>(lanes: &[T; N]) -> __m256i {
    const { assert!(size_of::<[T; N]>() == 32) }
    // SAFETY: 256 bits of integers, and the load may be unaligned.
    unsafe { _mm256_loadu_si256(lanes.as_ptr().cast()) }
}
