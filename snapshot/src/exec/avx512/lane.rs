//! What both kernels do per register: load, multiply-accumulate, rescale, activate, narrow.

use super::pack::Packing;
use core::arch::asm;
use core::arch::x86_64::*;

/// A register of 32-bit lanes in memory.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Line(pub(super) [i32; 16]);

/// A register of 16-bit lanes in memory.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Words(pub(super) [i16; 32]);

impl Line {
    pub(super) const ZERO: Line = Line([0; 16]);

    pub(super) fn from_fn(lane: impl FnMut(usize) -> i32) -> Line {
        Line(core::array::from_fn(lane))
    }
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) fn load(&self) -> __m512i {
        // SAFETY: a `Line` is 64 bytes at an address that 64 divides.
        unsafe { _mm512_load_si512((&raw const *self).cast()) }
    }
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) fn store(&mut self, value: __m512i) {
        // SAFETY: as in `load`.
        unsafe { _mm512_store_si512((&raw mut *self).cast(), value) }
    }
}

impl Words {
    pub(super) fn from_fn(lane: impl FnMut(usize) -> i16) -> Words {
        Words(core::array::from_fn(lane))
    }
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) fn load(&self) -> __m512i {
        // SAFETY: `Words` are 64 bytes at an address that 64 divides.
        unsafe { _mm512_load_si512((&raw const *self).cast()) }
    }
}

/// `acc + x . w` per lane: four bytes (8) or two words (12).
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn dot<const BITS: u8>(acc: __m512i, x: __m512i, w: __m512i) -> __m512i {
    if BITS == 8 {
        return _mm512_dpbusd_epi32(acc, x, w);
    }
    let mut sum = acc;
    // By name, because for some targets LLVM turns the intrinsic into a multiply and an addition, which take half as
    // long again.
    // SAFETY: the instruction is AVX-512 VNNI, which this function requires, and touches nothing but its operands.
    unsafe {
        asm!("vpdpwssd {sum}, {x}, {w}", sum = inout(zmm_reg) sum, x = in(zmm_reg) x, w = in(zmm_reg) w,
             options(pure, nomem, nostack, preserves_flags));
    }
    sum
}

/// The kinds of [`Packing`], as constants to compile a kernel for.
pub(super) const CLAMP: u8 = 0;
pub(super) const LEAKY: u8 = 1;
pub(super) const CURVE: u8 = 2;

/// How wide the activation's result becomes: [`NARROW_8`] leaves `q + 128` in the upper byte of its word (the lower
/// byte is noise), [`NARROW_12`] leaves `q`, [`WIDE`] leaves `y`.
pub(super) const NARROW_8: u8 = 8;
pub(super) const NARROW_12: u8 = 12;
pub(super) const WIDE: u8 = 16;

/// An activation's constants in registers. What they are depends on its kind.
#[derive(Clone, Copy)]
pub(super) struct Constants([__m512i; 4]);

impl Constants {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) fn new(packing: &Packing) -> Constants {
        let all = |word: i16| _mm512_set1_epi16(word);
        Constants(match packing {
            Packing::Raw => [_mm512_setzero_si512(); 4],
            Packing::Clamp { lo, hi } => [all(*lo), all(*hi), all(0), all(0)],
            Packing::Leaky { zero, slope, lo, hi } => [all(*lo), all(*hi), all(*zero), all(*slope)],
            Packing::Curve { value, slope, curvature } => {
                [value.load(), slope.load(), curvature.load(), all(i16::MIN)]
            }
        })
    }

    /// Saturated, shifted accumulators (`r`) to the next layer's words, or to `y`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) fn activate<const KIND: u8, const WIDTH: u8>(
        &self,
        r: __m512i,
        multiplier: __m512i,
    ) -> __m512i {
        let [first, second, third, fourth] = self.0;
        let t = _mm512_mulhrs_epi16(r, multiplier);
        if KIND == CURVE {
            let u = _mm512_adds_epi16(t, t);
            let segment = _mm512_srli_epi16::<11>(u);
            let g = _mm512_xor_si512(_mm512_slli_epi16::<5>(u), fourth);
            let value = _mm512_permutexvar_epi16(segment, first);
            let slope = _mm512_permutexvar_epi16(segment, second);
            let curvature = _mm512_permutexvar_epi16(segment, third);
            let slope = _mm512_add_epi16(slope, _mm512_mulhrs_epi16(g, curvature));
            let y = _mm512_add_epi16(value, _mm512_mulhrs_epi16(g, slope));
            return if WIDTH == NARROW_12 { _mm512_srai_epi16::<4>(y) } else { y };
        }
        let y = if KIND == LEAKY {
            let d = _mm512_subs_epi16(t, third);
            let zero = _mm512_setzero_si512();
            let below = _mm512_mulhrs_epi16(_mm512_min_epi16(d, zero), fourth);
            _mm512_adds_epi16(third, _mm512_add_epi16(_mm512_max_epi16(d, zero), below))
        } else {
            t
        };
        let y = _mm512_min_epi16(_mm512_max_epi16(y, first), second);
        if WIDTH == NARROW_8 {
            _mm512_xor_si512(_mm512_slli_epi16::<8>(y), _mm512_set1_epi16(i16::MIN))
        } else {
            y
        }
    }
}
