//! The two curves, by look-ups of bytes.
//!
//! `VALUE`, `CURVATURE` and `INTERCEPT` are odd, `SLOPE` and `RISE` even, about the middle between their two middle
//! entries. So the upper half of each is enough: segment `k` takes entry `k` or, below zero, entry `-1 - k` with the
//! sign turned. `vpshufb` looks 16 bytes up and gives 0 for an index with its highest bit set, so a table of 16 words
//! is one look-up for lower bytes and one for upper ones, and the look-ups of a longer table are or-ed together. Two
//! registers of words share the look-ups: their segments fit one register of bytes.

use crate::curve::{CURVATURE, INTERCEPT, RISE, SLOPE, VALUE};
use core::arch::x86_64::*;

/// Lower or upper bytes of 16 entries, for both halves of a register.
#[repr(C, align(32))]
struct Bytes([u8; 32]);

/// Byte `byte` of entries `first` on.
const fn bytes(table: &[i16], first: usize, byte: usize) -> Bytes {
    let mut bytes = [0; 32];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = table[first + at % 16].to_le_bytes()[byte];
        at += 1;
    }
    Bytes(bytes)
}

static VALUE_LOW: Bytes = bytes(&VALUE, 16, 0);
static VALUE_HIGH: Bytes = bytes(&VALUE, 16, 1);
static SLOPE_LOW: Bytes = bytes(&SLOPE, 16, 0);
static SLOPE_HIGH: Bytes = bytes(&SLOPE, 16, 1);
/// The magnitude, which has no upper byte.
static CURVATURE_LOW: Bytes = {
    let mut entries = [0; 32];
    let mut at = 16;
    while at < 32 {
        entries[at] = -CURVATURE[at];
        at += 1;
    }
    bytes(&entries, 16, 0)
};
static INTERCEPT_LOW: [Bytes; 2] = [bytes(&INTERCEPT, 32, 0), bytes(&INTERCEPT, 48, 0)];
/// Of the first 16 entries, exclusive-or [`INTERCEPT_TAIL`]: so 0 stands for the others.
static INTERCEPT_HIGH: Bytes = {
    let mut table = bytes(&INTERCEPT, 32, 1);
    let mut at = 0;
    while at < table.0.len() {
        table.0[at] ^= INTERCEPT_TAIL;
        at += 1;
    }
    table
};
/// The upper byte of the last 16 entries.
const INTERCEPT_TAIL: u8 = 0x0F;
static RISE_LOW: [Bytes; 2] = [bytes(&RISE, 32, 0), bytes(&RISE, 48, 0)];
/// Of the first 16 entries; of the others it is 0.
static RISE_HIGH: Bytes = bytes(&RISE, 32, 1);

// What the tables above rely on.
const _: () = {
    let mut k = 0;
    while k < 16 {
        assert!(VALUE[15 - k] == -VALUE[16 + k] && SLOPE[15 - k] == SLOPE[16 + k]);
        assert!(
            CURVATURE[15 - k] == -CURVATURE[16 + k] && CURVATURE[16 + k] <= 0 && CURVATURE[16 + k] >= -255
        );
        assert!(INTERCEPT[48 + k] >> 8 == INTERCEPT_TAIL as i16 && RISE[48 + k] >> 8 == 0);
        k += 1;
    }
    let mut k = 0;
    while k < 32 {
        assert!(INTERCEPT[31 - k] == -INTERCEPT[32 + k] && RISE[31 - k] == RISE[32 + k]);
        k += 1;
    }
};

/// A register of [`Bytes`].
#[inline]
#[target_feature(enable = "avx2")]
fn look_up(table: &'static Bytes, index: __m256i) -> __m256i {
    // SAFETY: `Bytes` are 32 bytes at an address that 32 divides.
    let table = unsafe { _mm256_load_si256((&raw const *table).cast()) };
    _mm256_shuffle_epi8(table, index)
}

/// The entry's number in half a table, of the segment in the upper bits of each word of two registers: as bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn indices<const SHIFT: i32>([a, b]: [__m256i; 2]) -> __m256i {
    let a = _mm256_srli_epi16::<SHIFT>(_mm256_xor_si256(a, _mm256_srai_epi16::<15>(a)));
    let b = _mm256_srli_epi16::<SHIFT>(_mm256_xor_si256(b, _mm256_srai_epi16::<15>(b)));
    _mm256_packus_epi16(a, b)
}

/// Lower and upper bytes to the two registers of words that [`indices`] took.
#[inline]
#[target_feature(enable = "avx2")]
fn words(low: __m256i, high: __m256i) -> [__m256i; 2] {
    [_mm256_unpacklo_epi8(low, high), _mm256_unpackhi_epi8(low, high)]
}

/// `word` where `like` is not negative, else `-word`.
#[inline]
#[target_feature(enable = "avx2")]
fn signed(word: __m256i, like: __m256i) -> __m256i {
    _mm256_sign_epi16(word, _mm256_or_si256(like, _mm256_set1_epi16(1)))
}

/// [`crate::curve::line`] before the addition of 16 and the shift.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn lines(t: [__m256i; 2]) -> [__m256i; 2] {
    let index = indices::<10>(t);
    // Entries from 16 on set the highest bit of the one, those below 16 of the other.
    let first = _mm256_adds_epu8(index, _mm256_set1_epi8(0x70));
    let second = _mm256_sub_epi8(index, _mm256_set1_epi8(16));
    let low =
        |table: &'static [Bytes; 2]| _mm256_or_si256(look_up(&table[0], first), look_up(&table[1], second));
    let tail = _mm256_set1_epi8(INTERCEPT_TAIL as i8);
    let intercept = words(low(&INTERCEPT_LOW), _mm256_xor_si256(look_up(&INTERCEPT_HIGH, first), tail));
    let rise = words(low(&RISE_LOW), look_up(&RISE_HIGH, first));
    [
        _mm256_add_epi16(signed(intercept[0], t[0]), _mm256_mulhrs_epi16(t[0], rise[0])),
        _mm256_add_epi16(signed(intercept[1], t[1]), _mm256_mulhrs_epi16(t[1], rise[1])),
    ]
}

/// [`crate::curve::parabola`]
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn parabolas(t: [__m256i; 2]) -> [__m256i; 2] {
    let u = [_mm256_adds_epi16(t[0], t[0]), _mm256_adds_epi16(t[1], t[1])];
    let index = indices::<11>(u);
    let value = words(look_up(&VALUE_LOW, index), look_up(&VALUE_HIGH, index));
    let slope = words(look_up(&SLOPE_LOW, index), look_up(&SLOPE_HIGH, index));
    let curvature = words(look_up(&CURVATURE_LOW, index), _mm256_setzero_si256());
    [parabola(u[0], value[0], slope[0], curvature[0]), parabola(u[1], value[1], slope[1], curvature[1])]
}

/// One register, from the magnitudes of `value` and `curvature`; the latter is negative where `u` is not.
#[inline]
#[target_feature(enable = "avx2")]
fn parabola(u: __m256i, value: __m256i, slope: __m256i, curvature: __m256i) -> __m256i {
    let g = _mm256_xor_si256(_mm256_slli_epi16::<5>(u), _mm256_set1_epi16(i16::MIN));
    // The two signs differ, so this one turns with the complement of `u`.
    let curvature = signed(curvature, _mm256_xor_si256(u, _mm256_set1_epi16(-1)));
    let slope = _mm256_add_epi16(slope, _mm256_mulhrs_epi16(g, curvature));
    _mm256_add_epi16(signed(value, u), _mm256_mulhrs_epi16(g, slope))
}
