//! When to connect again.

use std::time::{Duration, Instant};

/// Calls in a row that must have been answered before a connection counts as a good one: a process that greets and
/// then hangs on what costs most must not be called anew at full speed.
const ANSWERS_PROVEN: u32 = 32;

/// A wait that doubles with every connection that ended badly.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
    until: Option<Instant>,
    answered: u32,
}

impl Backoff {
    pub(super) fn new(min: Duration, max: Duration) -> Backoff {
        Backoff { min, max, next: min, until: None, answered: 0 }
    }

    /// Whether a connection may be tried.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now >= until)
    }

    /// A connection could not be made, or has ended badly.
    pub(super) fn failed(&mut self, now: Instant) {
        self.until = Some(now + self.next);
        self.next = (self.next * 2).min(self.max);
        self.answered = 0;
    }

    /// There is nothing to hope for from another attempt soon.
    pub(super) fn hopeless(&mut self, now: Instant) {
        self.next = self.max;
        self.failed(now);
    }

    /// A call was answered well.
    pub(super) fn answered(&mut self) {
        self.answered += 1;
        if self.answered >= ANSWERS_PROVEN {
            self.answered = 0;
            self.next = self.min;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_millis(500);
    const MAX: Duration = Duration::from_secs(3);

    #[test]
    fn waits_double_up_to_the_largest_and_a_proven_connection_starts_over() {
        let (mut backoff, now) = (Backoff::new(MIN, MAX), Instant::now());
        assert!(backoff.is_over(now));
        for wait in [MIN, 2 * MIN, 4 * MIN, MAX, MAX] {
            backoff.failed(now);
            assert!(!backoff.is_over(now + wait - Duration::from_millis(1)), "{wait:?}");
            assert!(backoff.is_over(now + wait), "{wait:?}");
        }
        (0..ANSWERS_PROVEN).for_each(|_| backoff.answered());
        backoff.failed(now);
        assert!(backoff.is_over(now + MIN));
    }

    #[test]
    fn a_few_answers_prove_nothing() {
        let (mut backoff, now) = (Backoff::new(MIN, MAX), Instant::now());
        backoff.failed(now);
        (0..ANSWERS_PROVEN - 1).for_each(|_| backoff.answered());
        backoff.failed(now);
        assert!(!backoff.is_over(now + MIN));
    }

    #[test]
    fn without_hope_the_wait_is_the_longest_at_once() {
        let (mut backoff, now) = (Backoff::new(MIN, MAX), Instant::now());
        backoff.hopeless(now);
        assert!(!backoff.is_over(now + MAX - Duration::from_millis(1)) && backoff.is_over(now + MAX));
    }
}
