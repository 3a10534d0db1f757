//! Eight 16-bit lanes compared at once.

/// A bit per lane that equals `wanted`, the lowest for the first.
#[inline(always)]
pub fn equal_lanes(lanes: &[u16; 8], wanted: u16) -> u32 {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use core::arch::x86_64::{
            _mm_cmpeq_epi16, _mm_loadu_si128, _mm_movemask_epi8, _mm_packs_epi16, _mm_set1_epi16,
            _mm_setzero_si128,
        };
        // SAFETY: SSE2 is part of the x86-64 baseline; the load needs no alignment and reads the array's 16 bytes.
        unsafe {
            let lanes = _mm_loadu_si128(lanes.as_ptr().cast());
            let equal = _mm_cmpeq_epi16(lanes, _mm_set1_epi16(wanted.cast_signed()));
            // All ones and all zeros keep their meaning when two bytes become one.
            _mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128())).cast_unsigned()
        }
    }
    #[cfg(any(not(target_arch = "x86_64"), miri))]
    lanes.iter().enumerate().fold(0, |found, (lane, value)| found | u32::from(*value == wanted) << lane)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_per_equal_lane() {
        for wanted in [0, 1, 0x7fff, 0x8000, 0xffff] {
            for expected in 0..256u32 {
                let lanes =
                    core::array::from_fn(
                        |lane| if expected >> lane & 1 == 1 { wanted } else { wanted ^ 0x8001 },
                    );
                assert_eq!(equal_lanes(&lanes, wanted), expected, "{lanes:x?}");
            }
        }
    }
}
