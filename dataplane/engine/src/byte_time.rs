//! How long a byte takes at a rate, for clocks that several workers share: those move by whole nanoseconds, and what a
//! frame takes beyond them is carried to the next one.

use crate::time::BitsPerSec;

/// Fractional bits of a nanosecond in which a byte's time is kept: at 100 Gb/s it is then exact to a 10^-7th.
const FRACTION_BITS: u32 = 24;
/// A slower rate than this counts as this: then the longest frame's time still fits 64 bits.
const RATE_MIN: u64 = 16_000;

/// What a byte takes, in 2^-24 ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ByteTime(u64);

impl ByteTime {
    /// At this rate.
    pub(crate) fn new(rate: BitsPerSec) -> ByteTime {
        ByteTime((8_000_000_000 << FRACTION_BITS) / rate.0.max(RATE_MIN))
    }

    /// What so many bytes take, in whole nanoseconds, and what is left of that in 2^-24 ns, after `rest` that was left before.
    pub(crate) fn of(self, bytes: u32, rest: u64) -> (u64, u64) {
        // A byte takes below 2^43 units, and a frame has below 2^17 bytes.
        let units = self.0 * u64::from(bytes.min(1 << 17)) + rest;
        (units >> FRACTION_BITS, units & ((1 << FRACTION_BITS) - 1))
    }

    /// What any number of bytes takes, in nanoseconds, rounded down.
    pub(crate) fn span_ns(self, bytes: u32) -> u64 {
        let units = u128::from(self.0) * u128::from(bytes);
        u64::try_from(units >> FRACTION_BITS).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_takes_its_time() {
        // 8e9 / 16e3 = 500 000 ns a byte.
        let slow = ByteTime::new(BitsPerSec(0));
        assert_eq!((slow.of(1, 0), slow.span_ns(1_000)), ((500_000, 0), 500_000_000));
        let fast = ByteTime::new(BitsPerSec::from_mbps(100_000));
        let exact = 0.08 * f64::from(1 << FRACTION_BITS);
        assert!((fast.0 as f64 - exact).abs() / exact < 1e-6);
        assert_eq!(slow.span_ns(u32::MAX), 500_000 * u64::from(u32::MAX));
    }

    #[test]
    fn what_is_left_is_carried() {
        let byte_time = ByteTime::new(BitsPerSec(3_000_000_000));
        let (mut sum, mut rest) = (0, 0);
        for _ in 0..3_000 {
            let (ns, left) = byte_time.of(1, rest);
            (sum, rest) = (sum + ns, left);
        }
        // 8/3 ns each.
        assert_eq!(sum, 7_999);
    }
}
