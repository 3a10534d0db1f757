//! SipHash-1-3 of eight messages side by side in registers of 256 bits.
//!
//! Written out: of eight lanes of an array the compiler makes no vectors for AVX2, which has no rotation, but 64-bit code whose
//! 32 values find no place in sixteen registers. So a Zen 2 forwards a frame in 67 ns that took 76.

use super::LANES;
use core::arch::x86_64::*;

/// Eight lanes: two registers, so that one half's operations fill the other's waits.
type Eight = [__m256i; 2];

/// As [`lanes`](super::lanes).
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn lanes(key: [u64; 2], first: &[u64; LANES], last: &[u64; LANES]) -> [u64; LANES] {
    let mut v = super::start(key).map(|word| [_mm256_set1_epi64x(word.cast_signed()); 2]);
    for words in [load(first), load(last)] {
        v[3] = xor(v[3], words);
        v = round(v);
        v[0] = xor(v[0], words);
    }
    v[2] = xor(v[2], [_mm256_set1_epi64x(super::END.cast_signed()); 2]);
    for _ in 0..super::FINAL_ROUNDS {
        v = round(v);
    }
    let [v0, v1, v2, v3] = v;
    store(xor(xor(v0, v1), xor(v2, v3)))
}

#[inline]
#[target_feature(enable = "avx2")]
fn round([v0, v1, v2, v3]: [Eight; 4]) -> [Eight; 4] {
    let v0 = add(v0, v1);
    let v1 = xor(rotate::<13, 51>(v1), v0);
    let v0 = swap_halves(v0);
    let v2 = add(v2, v3);
    let v3 = xor(rotate_16(v3), v2);
    let v0 = add(v0, v3);
    let v3 = xor(rotate::<21, 43>(v3), v0);
    let v2 = add(v2, v1);
    let v1 = xor(rotate::<17, 47>(v1), v2);
    [v0, v1, swap_halves(v2), v3]
}

#[inline]
#[target_feature(enable = "avx2")]
fn add([a, b]: Eight, [c, d]: Eight) -> Eight {
    [_mm256_add_epi64(a, c), _mm256_add_epi64(b, d)]
}

#[inline]
#[target_feature(enable = "avx2")]
fn xor([a, b]: Eight, [c, d]: Eight) -> Eight {
    [_mm256_xor_si256(a, c), _mm256_xor_si256(b, d)]
}

/// To the left by `LEFT`; `RIGHT` is 64 less that.
#[inline]
#[target_feature(enable = "avx2")]
fn rotate<const LEFT: i32, const RIGHT: i32>(v: Eight) -> Eight {
    const { assert!(LEFT + RIGHT == 64) };
    v.map(|v| _mm256_or_si256(_mm256_slli_epi64::<LEFT>(v), _mm256_srli_epi64::<RIGHT>(v)))
}

/// To the left by 16: whole bytes change places.
#[inline]
#[target_feature(enable = "avx2")]
fn rotate_16(v: Eight) -> Eight {
    let from = _mm256_broadcastsi128_si256(_mm_set_epi64x(0x0d0c_0b0a_0908_0f0e, 0x0504_0302_0100_0706));
    v.map(|v| _mm256_shuffle_epi8(v, from))
}

/// A rotation by 32.
#[inline]
#[target_feature(enable = "avx2")]
fn swap_halves(v: Eight) -> Eight {
    v.map(|v| _mm256_shuffle_epi32::<0b10_11_00_01>(v))
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(words: &[u64; LANES]) -> Eight {
    // SAFETY: the loads need no alignment and read the array's 64 bytes.
    unsafe { [0, 4].map(|at| _mm256_loadu_si256(words.as_ptr().add(at).cast())) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store([low, high]: Eight) -> [u64; LANES] {
    let mut words = [0; LANES];
    // SAFETY: the stores need no alignment and write the array's 64 bytes.
    unsafe {
        _mm256_storeu_si256(words.as_mut_ptr().cast(), low);
        _mm256_storeu_si256(words.as_mut_ptr().add(4).cast(), high);
    }
    words
}
