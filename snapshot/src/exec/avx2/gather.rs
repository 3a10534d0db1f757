//! Rows of words to groups: `[sample][input]` becomes `[group][sample]`.

use super::LANES;
use crate::exec::pack::Line;
use crate::parts::Precision;
use core::arch::x86_64::*;

/// Inputs that one load takes.
const CHUNK: usize = 8;
/// Groups in it.
const GROUPS: usize = CHUNK / 2;

/// The range to which items are held.
#[derive(Clone, Copy)]
pub(super) struct Range {
    lo: __m256i,
    hi: __m256i,
}

impl Range {
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn new(precision: Precision) -> Range {
        let (lo, hi) = precision.value_range();
        Range { lo: _mm256_set1_epi16(lo), hi: _mm256_set1_epi16(hi) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn hold(&self, items: __m256i) -> __m256i {
        _mm256_min_epi16(_mm256_max_epi16(items, self.lo), self.hi)
    }
}

/// Which of a row's items a load takes: a whole chunk, or what is left at its end.
#[derive(Clone, Copy)]
struct Taken {
    items: usize,
    /// The items' pairs.
    pairs: __m128i,
    /// Where the last item stands if it has no other to pair with.
    odd: __m128i,
}

impl Taken {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(items: usize) -> Taken {
        let items = items.min(CHUNK);
        let (numbers, pairs) = (_mm_setr_epi32(0, 1, 2, 3), _mm_set1_epi32((items / 2) as i32));
        Taken { items, pairs: _mm_cmpgt_epi32(pairs, numbers), odd: _mm_cmpeq_epi32(pairs, numbers) }
    }

    /// Loads them, the rest zero.
    ///
    /// # Safety
    /// `from` points at as many items as are taken.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn load(&self, from: *const i16) -> __m128i {
        if self.items == CHUNK {
            // SAFETY: eight items are 128 bits, and the load may be unaligned.
            return unsafe { _mm_loadu_si128(from.cast()) };
        }
        // SAFETY: a masked load touches no more than the pairs.
        let words = unsafe { _mm_maskload_epi32(from.cast(), self.pairs) };
        if self.items.is_multiple_of(2) {
            return words;
        }
        // SAFETY: an odd number of items has a last one.
        let last = unsafe { *from.add(self.items - 1) };
        _mm_or_si128(words, _mm_and_si128(_mm_set1_epi32(i32::from(last as u16)), self.odd))
    }
}

/// One row to the groups of its single sample, one after the other. Groups beyond the row keep what they held: their
/// weights are zero.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn row(row: &[i16], range: Range, into: &mut [Line]) {
    let mut at = 0;
    while at < row.len() {
        let mut here = [_mm_setzero_si128(); 2];
        let mut half = 0;
        while half < 2 && at + half * CHUNK < row.len() {
            let items = &row[at + half * CHUNK..];
            // SAFETY: no more than the length of `items` is taken.
            here[half] = unsafe { Taken::new(items.len()).load(items.as_ptr()) };
            half += 1;
        }
        let words = range.hold(_mm256_set_m128i(here[1], here[0]));
        into[at / (4 * CHUNK)].set_half(at / (2 * CHUNK), words);
        at += 2 * CHUNK;
    }
}

/// Eight rows (`rows` has those that there are; the last one stands for the others) to half `half` of the lines
/// `into[group]`.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn burst(rows: &[i16], row_len: usize, range: Range, into: &mut [Line], half: usize) {
    let last = rows.len() / row_len - 1;
    let mut chunk = 0;
    while chunk < row_len {
        let taken = Taken::new(row_len - chunk);
        // Samples `at` and `at + 4`, in 128 bits each.
        let two = |at: usize| {
            let start = |at: usize| at.min(last) * row_len + chunk;
            // SAFETY: row `last` ends within `rows`, `chunk` is within a row, and no more is taken than is left of it.
            let (lower, upper) = unsafe {
                let rows = rows.as_ptr();
                (taken.load(rows.add(start(at))), taken.load(rows.add(start(at + LANES / 2))))
            };
            range.hold(_mm256_set_m128i(upper, lower))
        };
        let (a, b, c, d) = (two(0), two(1), two(2), two(3));
        let (ab, cd) = (_mm256_unpacklo_epi32(a, b), _mm256_unpacklo_epi32(c, d));
        let into = &mut into[chunk / 2..][..GROUPS];
        into[0].set_half(half, _mm256_unpacklo_epi64(ab, cd));
        into[1].set_half(half, _mm256_unpackhi_epi64(ab, cd));
        let (ab, cd) = (_mm256_unpackhi_epi32(a, b), _mm256_unpackhi_epi32(c, d));
        into[2].set_half(half, _mm256_unpacklo_epi64(ab, cd));
        into[3].set_half(half, _mm256_unpackhi_epi64(ab, cd));
        chunk += CHUNK;
    }
}
