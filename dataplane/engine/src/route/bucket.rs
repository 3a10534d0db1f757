//! A token bucket over virtual time.

use crate::time::Ns;

/// Tokens that may be taken at once. A traceroute sends its probes in threes, a few dozen at most in one go.
pub(super) const BURST: u64 = 50;

/// Hands out at most `rate` tokens a second, [`BURST`] at once: the rate limit of RFC 4443 section 2.4 (f) and RFC 1812
/// section 4.3.2.8.
///
/// What is kept is the time at which the bucket will be full again, which is all that there is to know (GCRA).
#[derive(Debug)]
pub(super) struct Bucket {
    token_ns: u64,
    full_at: Ns,
}

impl Bucket {
    /// Full. A `per_sec` of 0 counts as 1.
    pub(super) fn new(per_sec: u32) -> Bucket {
        Bucket { token_ns: 1_000_000_000 / u64::from(per_sec.max(1)), full_at: Ns::ZERO }
    }

    /// Takes a token if there is one.
    pub(super) fn take(&mut self, now: Ns) -> bool {
        let full_at = self.full_at.max(now) + Ns(self.token_ns);
        let granted = full_at - now <= Ns(BURST.saturating_mul(self.token_ns));
        if granted {
            self.full_at = full_at;
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate_and_full_again_after_a_rest() {
        let mut bucket = Bucket::new(100);
        let mut granted = |now: Ns| (0..1_000).filter(|_| bucket.take(now)).count() as u64;
        let start = Ns::from_secs(7);
        assert_eq!(granted(start), BURST);
        assert_eq!(granted(start + Ns::from_millis(9)), 0);
        assert_eq!(granted(start + Ns::from_millis(100)), 10);
        assert_eq!(granted(start + Ns::from_secs(3_600)), BURST);
    }
}
