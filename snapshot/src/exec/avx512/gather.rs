//! Rows of words to groups: `[sample][input]` becomes `[group][sample]`.

use crate::exec::pack::Line;
use core::arch::x86_64::*;

/// Inputs that one load takes.
const CHUNK: usize = 32;

/// Loads up to 32 items of a row, the rest zero. With 12 bits, items are held to their range here; with 8 bits the
/// narrowing to bytes does it.
///
/// # Safety
/// `items` points at as many items as `mask` has bits.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn load<const BITS: u8>(items: *const i16, mask: u32) -> __m512i {
    // SAFETY: a masked load touches no more than the caller promises.
    let words = unsafe { _mm512_maskz_loadu_epi16(mask, items) };
    if BITS == 8 {
        return words;
    }
    _mm512_min_epi16(_mm512_max_epi16(words, _mm512_set1_epi16(-2048)), _mm512_set1_epi16(2047))
}

/// A mask for the items from `chunk` on in a row of `row_len`, at most 32 of them.
fn mask(row_len: usize, chunk: usize) -> u32 {
    u32::MAX >> CHUNK.saturating_sub(row_len - chunk)
}

/// One row to the groups of its single sample, one after the other. Groups beyond the row keep what they held: their
/// weights are zero.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn row<const BITS: u8>(row: &[i16], into: &mut [Line]) {
    let mut at = 0;
    while at * CHUNK < row.len() {
        let items = &row[at * CHUNK..];
        // SAFETY: the mask has a bit for each of the first 32 of `items`, or for all there are.
        let words = unsafe { load::<BITS>(items.as_ptr(), mask(row.len(), at * CHUNK)) };
        if BITS == 8 {
            let bytes = _mm256_xor_si256(_mm512_cvtsepi16_epi8(words), _mm256_set1_epi8(i8::MIN));
            into[at / 2].store_half(at, bytes);
        } else {
            into[at].store(words);
        }
        at += 1;
    }
}

/// A row of up to 32 items in one register: words in their order, or bytes in the lower half of each 128 bits.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn register<const BITS: u8>(row: &[i16]) -> __m512i {
    // SAFETY: the mask has a bit for each of the first 32 items, or for all there are.
    let words = unsafe { load::<BITS>(row.as_ptr(), mask(row.len(), 0)) };
    packed::<BITS>(words)
}

/// With 8 bits, words to the bytes that the next layer reads, in the lower half of each 128 bits.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn packed<const BITS: u8>(words: __m512i) -> __m512i {
    if BITS == 8 {
        _mm512_xor_si512(_mm512_packs_epi16(words, words), _mm512_set1_epi8(i8::MIN))
    } else {
        words
    }
}

/// 16 rows (`rows` has those that there are; the last one stands for the others) to `into[group * stride]`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn burst<const BITS: u8>(rows: &[i16], row_len: usize, into: &mut [Line], stride: usize) {
    let last = rows.len() / row_len - 1;
    let sample = |at: usize, chunk: usize| {
        let start = at.min(last) * row_len + chunk;
        // SAFETY: row `last` ends within `rows`, `chunk` is within a row, and the mask stops at the row's end.
        unsafe { load::<BITS>(rows.as_ptr().add(start), mask(row_len, chunk)) }
    };
    let flip = _mm512_set1_epi8(i8::MIN);
    let mut chunk = 0;
    while chunk < row_len {
        // Per four samples (the inner index) registers with one group in every 128 bits; of all groups in a chunk,
        // register k has k, k + `step`, k + 2 `step`, k + 3 `step`.
        let step = if BITS == 8 { 2 } else { 4 };
        let mut fours = [[_mm512_setzero_si512(); 4]; 4];
        let mut i = 0;
        while i < 4 {
            let at = 4 * i;
            if BITS == 8 {
                // Each 128 bits: groups 2l and 2l + 1 of one sample, then of the other.
                let outer = _mm512_packs_epi16(sample(at, chunk), sample(at + 2, chunk));
                let inner = _mm512_packs_epi16(sample(at + 1, chunk), sample(at + 3, chunk));
                let (lower, upper) =
                    (_mm512_unpacklo_epi32(outer, inner), _mm512_unpackhi_epi32(outer, inner));
                fours[0][i] = _mm512_xor_si512(_mm512_unpacklo_epi64(lower, upper), flip);
                fours[1][i] = _mm512_xor_si512(_mm512_unpackhi_epi64(lower, upper), flip);
            } else {
                let (a, b) = (sample(at, chunk), sample(at + 1, chunk));
                let (c, d) = (sample(at + 2, chunk), sample(at + 3, chunk));
                let (ab, cd) = (_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
                fours[0][i] = _mm512_unpacklo_epi64(ab, cd);
                fours[1][i] = _mm512_unpackhi_epi64(ab, cd);
                let (ab, cd) = (_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
                fours[2][i] = _mm512_unpacklo_epi64(ab, cd);
                fours[3][i] = _mm512_unpackhi_epi64(ab, cd);
            }
            i += 1;
        }
        let first = chunk / if BITS == 8 { 4 } else { 2 };
        let mut k = 0;
        while k < step {
            let groups = quarters(fours[k]);
            into[(first + k) * stride].store(groups[0]);
            into[(first + k + step) * stride].store(groups[1]);
            into[(first + k + 2 * step) * stride].store(groups[2]);
            into[(first + k + 3 * step) * stride].store(groups[3]);
            k += 1;
        }
        chunk += CHUNK;
    }
}

/// Transposes four registers of four 128-bit quarters.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn quarters([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    let (ab_low, cd_low) = (_mm512_shuffle_i32x4::<0x44>(a, b), _mm512_shuffle_i32x4::<0x44>(c, d));
    let (ab_high, cd_high) = (_mm512_shuffle_i32x4::<0xEE>(a, b), _mm512_shuffle_i32x4::<0xEE>(c, d));
    [
        _mm512_shuffle_i32x4::<0x88>(ab_low, cd_low),
        _mm512_shuffle_i32x4::<0xDD>(ab_low, cd_low),
        _mm512_shuffle_i32x4::<0x88>(ab_high, cd_high),
        _mm512_shuffle_i32x4::<0xDD>(ab_high, cd_high),
    ]
}
