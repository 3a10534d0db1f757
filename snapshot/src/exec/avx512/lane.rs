//! What both kernels do per register: load, multiply-accumulate, rescale, activate, narrow.

use crate::curve;
use crate::exec::pack::{Line, Packing, Words};
use core::arch::asm;
use core::arch::x86_64::*;

static VALUE: Words = turned(&curve::VALUE, 0, 0);
static SLOPE: Words = turned(&curve::SLOPE, 0, 0);
static CURVATURE: Words = turned(&curve::CURVATURE, 0, 0);
/// Lower and upper half. Includes what rounding adds before the narrowing shift, and 128 on the scale of the result,
/// which makes it unsigned.
static INTERCEPT: [Words; 2] =
    [turned(&curve::INTERCEPT, 16 + 128 * 32, 0), turned(&curve::INTERCEPT, 16 + 128 * 32, 32)];
static RISE: [Words; 2] = [turned(&curve::RISE, 0, 0), turned(&curve::RISE, 0, 32)];

/// 32 items of a table from `first` on, in the order in which a look-up counts: it takes the segment's number, which
/// is 0 in the middle of the table, for unsigned.
const fn turned(table: &[i16], added: i16, first: usize) -> Words {
    let mut words = [0; 32];
    let mut index = 0;
    while index < words.len() {
        words[index] = table[(first + index + table.len() / 2) % table.len()] + added;
        index += 1;
    }
    Words(words)
}

impl Line {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) fn load(&self) -> __m512i {
        // SAFETY: a `Line` is 64 bytes at an address that 64 divides.
        unsafe { _mm512_load_si512((&raw const *self).cast()) }
    }
    /// Stores to quarter `at % 4` alone.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) fn store_quarter(&mut self, at: usize, value: __m128i) {
        // SAFETY: four items are 128 bits, and those from 0, 4, 8 or 12 on are within the 16 of a `Line`.
        unsafe { _mm_storeu_si128(self.0.as_mut_ptr().add(4 * (at % 4)).cast(), value) }
    }
    /// Stores to half `at % 2` alone.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) fn store_half(&mut self, at: usize, value: __m256i) {
        // SAFETY: eight items are 256 bits, and those from 0 or 8 on are within the 16 of a `Line`.
        unsafe { _mm256_storeu_si256(self.0.as_mut_ptr().add(8 * (at % 2)).cast(), value) }
    }
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) fn store(&mut self, value: __m512i) {
        // SAFETY: as in `load`.
        unsafe { _mm512_store_si512((&raw mut *self).cast(), value) }
    }
}

impl Words {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) fn load(&self) -> __m512i {
        // SAFETY: `Words` are 64 bytes at an address that 64 divides.
        unsafe { _mm512_load_si512((&raw const *self).cast()) }
    }
}

/// Four neighbouring items of a line (items `4 * (four % 4)` on), each in all lanes of a register.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn broadcast(line: &Line, four: usize) -> [__m512i; 4] {
    let first = 4 * (four & 3);
    [
        _mm512_set1_epi32(line.0[first]),
        _mm512_set1_epi32(line.0[first + 1]),
        _mm512_set1_epi32(line.0[first + 2]),
        _mm512_set1_epi32(line.0[first + 3]),
    ]
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

/// The kinds of [`Packing`] with an activation, as constants to compile a kernel for.
pub(super) const CLAMP: u8 = 0;
pub(super) const LEAKY: u8 = 1;
pub(super) const PARABOLAS: u8 = 2;
pub(super) const LINES: u8 = 3;

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
            Packing::Parabolas { rounding } => [
                _mm512_add_epi16(VALUE.load(), all(*rounding)),
                SLOPE.load(),
                CURVATURE.load(),
                all(i16::MIN),
            ],
            Packing::Lines => [INTERCEPT[0].load(), INTERCEPT[1].load(), RISE[0].load(), RISE[1].load()],
        })
    }

    /// Saturated, shifted accumulators (`r`) to `y`; for the curves of a hidden layer, to `y` before the shift that
    /// narrows it ([`LINES`] by 5, [`PARABOLAS`] by 4).
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) fn activate<const KIND: u8>(&self, r: __m512i, multiplier: __m512i) -> __m512i {
        let [first, second, third, fourth] = self.0;
        let t = _mm512_mulhrs_epi16(r, multiplier);
        match KIND {
            LINES => {
                let segment = _mm512_srli_epi16::<10>(t);
                let intercept = _mm512_permutex2var_epi16(first, segment, second);
                let rise = _mm512_permutex2var_epi16(third, segment, fourth);
                _mm512_add_epi16(intercept, _mm512_mulhrs_epi16(t, rise))
            }
            PARABOLAS => {
                let u = _mm512_adds_epi16(t, t);
                let segment = _mm512_srli_epi16::<11>(u);
                let g = _mm512_xor_si512(_mm512_slli_epi16::<5>(u), fourth);
                let value = _mm512_permutexvar_epi16(segment, first);
                let slope = _mm512_permutexvar_epi16(segment, second);
                let curvature = _mm512_permutexvar_epi16(segment, third);
                let slope = _mm512_add_epi16(slope, _mm512_mulhrs_epi16(g, curvature));
                _mm512_add_epi16(value, _mm512_mulhrs_epi16(g, slope))
            }
            LEAKY => {
                let d = _mm512_subs_epi16(t, third);
                let zero = _mm512_setzero_si512();
                let below = _mm512_mulhrs_epi16(_mm512_min_epi16(d, zero), fourth);
                let y = _mm512_adds_epi16(third, _mm512_add_epi16(_mm512_max_epi16(d, zero), below));
                _mm512_min_epi16(_mm512_max_epi16(y, first), second)
            }
            _ => _mm512_min_epi16(_mm512_max_epi16(t, first), second),
        }
    }
}
