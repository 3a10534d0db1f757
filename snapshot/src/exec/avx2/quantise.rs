//! Features to a row: [`crate::arith::quantise`] on eight inputs at a time, even ones and odd ones in 64-bit lanes.

use super::lane::clamp_wide;
use crate::exec::inputs::{CHUNK, Inputs, Wide};
use core::arch::x86_64::*;

/// Inputs that one register of features takes: half a chunk.
const EIGHT: usize = CHUNK / 2;

/// Quantises `features`, as many as there are inputs and items in `row`.
#[target_feature(enable = "avx2")]
pub(super) fn quantise(inputs: &Inputs, features: &[i32], row: &mut [i16]) {
    let lo = _mm256_set1_epi64x(inputs.value_range.0.into());
    let hi = _mm256_set1_epi64x(inputs.value_range.1.into());
    let numbers = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    let mut first = 0;
    while first < features.len() {
        let (chunk, half) = (&inputs.chunks[first / CHUNK], first / EIGHT % 2);
        let end = features.len().min(first + EIGHT);
        let (features, row) = (&features[first..end], &mut row[first..end]);
        let mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(features.len() as i32), numbers);
        // SAFETY: the mask has as many lanes as `features` has items, and a masked load touches nothing else.
        let features = unsafe { _mm256_maskload_epi32(features.as_ptr(), mask) };
        let clipped = _mm256_max_epi32(features, load(&chunk.clip_lo, half));
        let clipped = _mm256_min_epi32(clipped, load(&chunk.clip_hi, half));
        let even = four(&chunk.wide[0], half, clipped, lo, hi);
        let odd = four(&chunk.wide[1], half, _mm256_srli_epi64::<32>(clipped), lo, hi);
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
        first += EIGHT;
    }
}

/// The even 32-bit lanes of `clipped`, in 64-bit lanes. Lanes move up by 2^63 for the shift, which AVX2 has for
/// unsigned ones alone.
#[inline]
#[target_feature(enable = "avx2")]
fn four(wide: &Wide, half: usize, clipped: __m256i, lo: __m256i, hi: __m256i) -> __m256i {
    let product = _mm256_mul_epi32(clipped, load(&wide.multiplier, half));
    let sum = _mm256_add_epi64(product, load(&wide.added, half));
    let moved = _mm256_xor_si256(sum, _mm256_set1_epi64x(i64::MIN));
    let shifted = _mm256_srlv_epi64(moved, load(&wide.shift, half));
    clamp_wide(_mm256_sub_epi64(shifted, load(&wide.taken, half)), lo, hi)
}

/// One half of 512 bits of lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn load<T, const N: usize>(lanes: &[T; N], half: usize) -> __m256i {
    const { assert!(size_of::<[T; N]>() == 64) }
    // SAFETY: either half of 512 bits of integers is 256 bits of them, and the load may be unaligned.
    unsafe { _mm256_loadu_si256(lanes.as_ptr().cast::<__m256i>().add(half % 2)) }
}
