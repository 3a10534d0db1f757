//! What both kernels do per register: load, multiply-accumulate, activate.

use super::table;
use crate::exec::pack::{Line, Packing};
use core::arch::x86_64::*;

impl Line {
    /// The first eight items (`at` even) or the others.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn half(&self, at: usize) -> __m256i {
        // SAFETY: eight items are 256 bits, those from 0 or 8 on are within the 16 of a `Line`, and 32 divides their
        // address.
        unsafe { _mm256_load_si256(self.0.as_ptr().add(8 * (at % 2)).cast()) }
    }
    /// Stores to that half alone.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn set_half(&mut self, at: usize, value: __m256i) {
        // SAFETY: as in `half`.
        unsafe { _mm256_store_si256(self.0.as_mut_ptr().add(8 * (at % 2)).cast(), value) }
    }
}

/// `acc + x . w` per lane of two words.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn dot(acc: __m256i, x: __m256i, w: __m256i) -> __m256i {
    _mm256_add_epi32(acc, _mm256_madd_epi16(x, w))
}

/// The kinds of [`Packing`] with an activation, as constants to compile a kernel for.
pub(super) const CLAMP: u8 = 0;
pub(super) const LEAKY: u8 = 1;
pub(super) const PARABOLAS: u8 = 2;
pub(super) const LINES: u8 = 3;

/// An activation's constants in registers. What they are depends on its kind.
#[derive(Clone, Copy)]
pub(super) struct Constants([__m256i; 4]);

impl Constants {
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn new(packing: &Packing) -> Constants {
        let all = |word: i16| _mm256_set1_epi16(word);
        Constants(match *packing {
            Packing::Raw => [all(0); 4],
            Packing::Clamp { lo, hi } => [all(lo), all(hi), all(0), all(0)],
            Packing::Leaky { zero, slope, lo, hi } => [all(lo), all(hi), all(zero), all(slope)],
            Packing::Parabolas { rounding } => [all(rounding); 4],
            Packing::Lines => [all(16); 4],
        })
    }

    /// Saturated, shifted accumulators (`r`) to `y`; for the curves of a hidden layer, to `y` before the shift that
    /// narrows it ([`LINES`] by 5, [`PARABOLAS`] by 4).
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn activate<const KIND: u8>(&self, r: [__m256i; 2], multiplier: [__m256i; 2]) -> [__m256i; 2] {
        let [first, ..] = self.0;
        let t = [_mm256_mulhrs_epi16(r[0], multiplier[0]), _mm256_mulhrs_epi16(r[1], multiplier[1])];
        let y = match KIND {
            LINES => table::lines(t),
            PARABOLAS => table::parabolas(t),
            LEAKY => return [self.leaky(t[0]), self.leaky(t[1])],
            _ => return [self.clamp(t[0]), self.clamp(t[1])],
        };
        [_mm256_add_epi16(y[0], first), _mm256_add_epi16(y[1], first)]
    }

    /// [`Constants::activate`], then the narrowing shift.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn values<const KIND: u8>(&self, r: [__m256i; 2], multiplier: [__m256i; 2]) -> [__m256i; 2] {
        let y = self.activate::<KIND>(r, multiplier);
        match KIND {
            LINES => [_mm256_srai_epi16::<5>(y[0]), _mm256_srai_epi16::<5>(y[1])],
            PARABOLAS => [_mm256_srai_epi16::<4>(y[0]), _mm256_srai_epi16::<4>(y[1])],
            _ => y,
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn leaky(&self, t: __m256i) -> __m256i {
        let [_, _, zero, slope] = self.0;
        let d = _mm256_subs_epi16(t, zero);
        let none = _mm256_setzero_si256();
        let below = _mm256_mulhrs_epi16(_mm256_min_epi16(d, none), slope);
        self.clamp(_mm256_adds_epi16(zero, _mm256_add_epi16(_mm256_max_epi16(d, none), below)))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn clamp(&self, t: __m256i) -> __m256i {
        let [lo, hi, ..] = self.0;
        _mm256_min_epi16(_mm256_max_epi16(t, lo), hi)
    }
}

/// 64-bit lanes, shifted to the right by `shift` with their sign: `vpsraq`, which AVX2 does not have. Moves them up by
/// 2^63, so that they are unsigned, and down again after the shift.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn shift_wide(lanes: __m256i, shift: __m128i) -> __m256i {
    let sign = _mm256_set1_epi64x(i64::MIN);
    _mm256_sub_epi64(_mm256_srl_epi64(_mm256_xor_si256(lanes, sign), shift), _mm256_srl_epi64(sign, shift))
}

/// 64-bit lanes held to `lo..=hi`.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn clamp_wide(lanes: __m256i, lo: __m256i, hi: __m256i) -> __m256i {
    let lanes = _mm256_blendv_epi8(lanes, lo, _mm256_cmpgt_epi64(lo, lanes));
    _mm256_blendv_epi8(lanes, hi, _mm256_cmpgt_epi64(lanes, hi))
}
