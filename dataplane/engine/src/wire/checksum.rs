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
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> Sum {
        let (words, rest) = bytes.as_chunks::<2>();
        // A frame has below 2^15 words of 16 bits: no overflow.
        let sum = words.iter().fold(self.0, |sum, word| sum + u32::from(u16::from_be_bytes(*word)));
        let last = rest.first().map_or(0, |byte| u32::from(*byte) << 8);
        Sum(u32::from(fold(sum + last)))
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
