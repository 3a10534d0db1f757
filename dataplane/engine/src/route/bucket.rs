//! How many ICMP errors may be sent.

use crate::time::Ns;
use weir_handoff::Budget;

/// Tokens that may be taken at once. A traceroute sends its probes in threes, a few dozen at most in one go.
pub(super) const BURST: u64 = 50;

/// Hands out at most `rate` tokens a second, [`BURST`] at once: the rate limit of RFC 4443 section 2.4 (f) and RFC 1812
/// section 4.3.2.8. It is the router's, whichever worker takes them.
#[derive(Debug)]
pub(super) struct Bucket {
    token_ns: u64,
    budget: Budget,
}

impl Bucket {
    /// Full. A `per_sec` of 0 counts as 1.
    pub(super) fn new(per_sec: u32) -> Bucket {
        Bucket { token_ns: 1_000_000_000 / u64::from(per_sec.max(1)), budget: Budget::new() }
    }

    /// From now on takes from `budget`, as others do.
    pub(super) fn share(&mut self, budget: Budget) {
        self.budget = budget;
    }

    /// Takes a token if there is one.
    pub(super) fn take(&self, now: Ns) -> bool {
        self.budget.take(now.0, self.token_ns, BURST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate_and_full_again_after_a_rest() {
        let bucket = Bucket::new(100);
        let granted = |now: Ns| (0..1_000).filter(|_| bucket.take(now)).count() as u64;
        let start = Ns::from_secs(7);
        assert_eq!(granted(start), BURST);
        assert_eq!(granted(start + Ns::from_millis(9)), 0);
        assert_eq!(granted(start + Ns::from_millis(100)), 10);
        assert_eq!(granted(start + Ns::from_secs(3_600)), BURST);
    }
}
