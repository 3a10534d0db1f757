//! Features to a row: [`crate::arith::quantise`] on 16 inputs at a time, even ones and odd ones in 64-bit lanes.

use crate::exec::inputs::{CHUNK, Inputs, Wide};
use core::arch::x86_64::*;

/// Quantises `features`, as many as there are inputs and items in `row`.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn quantise(inputs: &Inputs, features: &[i32], row: &mut [i16]) {
    let lo = _mm512_set1_epi64(inputs.value_range.0.into());
    let hi = _mm512_set1_epi64(inputs.value_range.1.into());
    let mut at = 0;
    while at < inputs.chunks.len() {
        let chunk = &inputs.chunks[at];
        let end = features.len().min((at + 1) * CHUNK);
        let (features, row) = (&features[at * CHUNK..end], &mut row[at * CHUNK..end]);
        let mask = u16::MAX >> (CHUNK - features.len());
        // SAFETY: the mask has as many bits as `features` has items, and a masked load touches nothing else.
        let features = unsafe { _mm512_maskz_loadu_epi32(mask, features.as_ptr()) };
        let clipped = _mm512_max_epi32(features, load(&chunk.clip_lo));
        let clipped = _mm512_min_epi32(clipped, load(&chunk.clip_hi));
        let even = half(&chunk.wide[0], clipped, lo, hi);
        let odd = half(&chunk.wide[1], _mm512_srli_epi64::<32>(clipped), lo, hi);
        let both = _mm512_mask_blend_epi32(0xAAAA, even, _mm512_slli_epi64::<32>(odd));
        let words = _mm512_castsi256_si512(_mm512_cvtepi32_epi16(both));
        // SAFETY: the mask has as many bits as `row` has items, and a masked store touches nothing else.
        unsafe { _mm512_mask_storeu_epi16(row.as_mut_ptr(), mask.into(), words) };
        at += 1;
    }
}

/// The even 32-bit lanes of `clipped`, in 64-bit lanes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn half(wide: &Wide, clipped: __m512i, lo: __m512i, hi: __m512i) -> __m512i {
    let product = _mm512_mul_epi32(clipped, load(&wide.multiplier));
    let scaled = _mm512_srav_epi64(_mm512_add_epi64(product, load(&wide.added)), load(&wide.shift));
    _mm512_min_epi64(_mm512_max_epi64(scaled, lo), hi)
}

/// 512 bits of lanes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn load<T, const N: usize>(lanes: &[T; N]) -> __m512i {
    const { assert!(size_of::<[T; N]>() == 64) }
    // SAFETY: 512 bits of integers, and the load may be unaligned.
    unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) }
}
