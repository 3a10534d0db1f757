//! The Internet checksum (RFC 1071), whole and incremental (RFC 1624).

/// The checksum of data in which the 16-bit word `before` became `after`: RFC 1624 equation 3,
/// `HC' = ~(~HC + ~m + m')` in one's complement arithmetic. For a word at an odd offset give both with their bytes
/// swapped.
#[inline]
pub(crate) fn after_change(checksum: u16, before: u16, after: u16) -> u16 {
    !fold(u32::from(!checksum) + u32::from(!before) + u32::from(after))
}

/// A checksum in the making, over parts of even length; only the last part may be odd.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u32);

impl Sum {
    /// Adds bytes as big-endian words; a last odd byte counts as if a zero followed.
    ///
    /// Four bytes at a time and in the machine's order: the sum of all halves is the same, its bytes swapped where that order is not
    /// the network's (RFC 1071 section 2(B)).
    #[must_use]
    #[inline]
    pub fn bytes(self, bytes: &[u8]) -> Sum {
        let (words, rest) = bytes.as_chunks::<4>();
        // A frame has far below 2^32 of them: no overflow.
        let mut sum = words.iter().fold(0, |sum, word| sum + u64::from(u32::from_ne_bytes(*word)));
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        sum += u64::from(u32::from_ne_bytes(last));
        sum = (sum & 0xffff_ffff) + (sum >> 32);
        let halves = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
        Sum(u32::from(fold(self.0 + u32::from(fold(halves as u32).to_be()))))
    }

    /// Adds one word.
    #[must_use]
    pub fn word(self, word: u16) -> Sum {
        Sum(u32::from(fold(self.0 + u32::from(word))))
    }

    /// What the checksum field must hold; 0 over data that holds a right one already.
    pub fn finish(self) -> u16 {
        !fold(self.0)
    }
}

#[inline]
fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_examples_of_the_rfcs() {
        // RFC 1071 section 3, and RFC 1624 section 4.
        assert_eq!(Sum::default().bytes(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]).finish(), !0xddf2);
        assert_eq!(after_change(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    proptest! {
        /// Against the definition: words of two bytes in network order.
        #[test]
        fn a_sum_is_that_of_its_words(bytes in proptest::collection::vec(any::<u8>(), 0..2_000), before: u16) {
            let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low)));
            let sum = words.fold(u32::from(before), |sum, word| sum + word);
            prop_assert_eq!(Sum::default().word(before).bytes(&bytes).finish(), !fold(sum));
        }

        #[test]
        fn a_change_is_a_new_sum(mut bytes in proptest::collection::vec(any::<u8>(), 4..64), at: usize, to: u16) {
            // The all-zero data set is the one where the two zeros of one's complement part.
            bytes[0] |= 1;
            let at = 2 + at % (bytes.len() - 3);
            let before = Sum::default().bytes(&bytes).finish();
            let from = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
            bytes[at..at + 2].copy_from_slice(&to.to_be_bytes());
            let changed = match at % 2 {
                0 => after_change(before, from, to),
                _ => after_change(before, from.swap_bytes(), to.swap_bytes()),
            };
            prop_assert_eq!(changed, Sum::default().bytes(&bytes).finish());
        }
    }
}
