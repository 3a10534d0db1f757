//! Features to a row: [`crate::arith::quantise`] on eight inputs at a time, in 64-bit lanes.

use crate::parts::{InputParts, Precision};
use alloc::vec::Vec;
use core::arch::x86_64::*;

/// Inputs that one register takes.
const EIGHT: usize = 8;

/// The constants of all inputs.
#[derive(Clone, Debug)]
pub(in crate::exec) struct Inputs {
    eights: Vec<Eight>,
    value_range: (i16, i16),
}

/// The constants of eight inputs; those beyond the last are zero.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
struct Eight {
    offset: [i64; EIGHT],
    multiplier: [i64; EIGHT],
    rounding: [i64; EIGHT],
    shift: [i64; EIGHT],
    clip_lo: [i64; EIGHT],
    clip_hi: [i64; EIGHT],
}

impl Inputs {
    pub(super) fn new(inputs: &[InputParts], precision: Precision) -> Inputs {
        let eights = inputs.chunks(EIGHT).map(|inputs| {
            let field = |field: fn(&InputParts) -> i64| {
                core::array::from_fn(|lane| inputs.get(lane).map_or(0, field))
            };
            Eight {
                offset: field(|input| input.offset.into()),
                multiplier: field(|input| input.multiplier.into()),
                rounding: field(|input| (1 << input.shift) >> 1),
                shift: field(|input| input.shift.into()),
                clip_lo: field(|input| input.clip_lo.into()),
                clip_hi: field(|input| input.clip_hi.into()),
            }
        });
        Inputs { eights: eights.collect(), value_range: precision.value_range() }
    }

    /// Quantises `features`, as many as there are inputs and items in `row`.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vnni")]
    pub(super) fn quantise(&self, features: &[i32], row: &mut [i16]) {
        let lo = _mm512_set1_epi64(self.value_range.0.into());
        let hi = _mm512_set1_epi64(self.value_range.1.into());
        let mut at = 0;
        while at < self.eights.len() {
            let eight = &self.eights[at];
            let end = features.len().min((at + 1) * EIGHT);
            let (features, row) = (&features[at * EIGHT..end], &mut row[at * EIGHT..end]);
            let mask = u8::MAX >> (EIGHT - features.len());
            // SAFETY: the mask has as many bits as `features` has items, and a masked load touches nothing else.
            let words = unsafe { _mm512_maskz_loadu_epi32(mask.into(), features.as_ptr()) };
            let feature = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(words));
            let clipped = _mm512_max_epi64(feature, load(&eight.clip_lo));
            let clipped = _mm512_min_epi64(clipped, load(&eight.clip_hi));
            let centred = _mm512_sub_epi64(clipped, load(&eight.offset));
            let product = _mm512_mullo_epi64(centred, load(&eight.multiplier));
            let rounded = _mm512_add_epi64(product, load(&eight.rounding));
            let scaled = _mm512_srav_epi64(rounded, load(&eight.shift));
            let held = _mm512_min_epi64(_mm512_max_epi64(scaled, lo), hi);
            // SAFETY: the mask has as many bits as `row` has items, and a masked store touches nothing else.
            unsafe { _mm512_mask_cvtepi64_storeu_epi16(row.as_mut_ptr().cast(), mask, held) };
            at += 1;
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vnni")]
fn load(lanes: &[i64; EIGHT]) -> __m512i {
    // SAFETY: eight 64-bit lanes are 512 bits, and the load may be unaligned.
    unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) }
}
