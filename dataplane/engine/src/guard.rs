//! Limits on what one decision may do, whatever the model or the rule says. What a flow's losses allow a model is a third
//! one, [`Brake`](weir_features::Brake): it has a memory of each flow's own.

use crate::time::BitsPerSec;
use weir_features::ACTION_MAX_Q16;

/// The bounds of a pacing decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    min: BitsPerSec,
    max: BitsPerSec,
}

/// Which limit a decision ran into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The action was larger than one decision may be.
    Action,
    /// The flow lost too much at a lower rate already ([`Brake`](weir_features::Brake)).
    Loss,
    /// The rate would have fallen below the minimum.
    Floor,
    /// The rate would have risen above the maximum.
    Ceiling,
}

impl Guard {
    /// Rates from `min`, at least 1 bit/s, to `max`. Where the two are crossed `min` wins: too low a rate is the
    /// worse fault.
    pub fn new(min: BitsPerSec, max: BitsPerSec) -> Guard {
        let min = min.max(BitsPerSec(1));
        Guard { min, max: max.max(min) }
    }

    /// The lowest rate.
    pub fn lowest(&self) -> BitsPerSec {
        self.min
    }

    /// `action_q16` within bounds.
    pub fn action(&self, action_q16: i32) -> (i32, Option<Limit>) {
        let bounded = action_q16.clamp(-ACTION_MAX_Q16, ACTION_MAX_Q16);
        (bounded, (bounded != action_q16).then_some(Limit::Action))
    }

    /// `rate` within bounds.
    pub fn rate(&self, rate: BitsPerSec) -> (BitsPerSec, Option<Limit>) {
        if rate < self.min {
            (self.min, Some(Limit::Floor))
        } else if rate > self.max {
            (self.max, Some(Limit::Ceiling))
        } else {
            (rate, None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_and_say_so() {
        let guard = Guard::new(BitsPerSec(10), BitsPerSec(20));
        assert_eq!(guard.rate(BitsPerSec(9)), (BitsPerSec(10), Some(Limit::Floor)));
        assert_eq!(guard.rate(BitsPerSec(10)), (BitsPerSec(10), None));
        assert_eq!(guard.rate(BitsPerSec(20)), (BitsPerSec(20), None));
        assert_eq!(guard.rate(BitsPerSec(u64::MAX)), (BitsPerSec(20), Some(Limit::Ceiling)));
        assert_eq!(guard.action(5), (5, None));
        assert_eq!(guard.action(i32::MAX), (ACTION_MAX_Q16, Some(Limit::Action)));
        assert_eq!(guard.action(i32::MIN), (-ACTION_MAX_Q16, Some(Limit::Action)));
    }

    #[test]
    fn crossed_or_zero_bounds_still_leave_a_rate() {
        assert_eq!(Guard::new(BitsPerSec(30), BitsPerSec(20)).rate(BitsPerSec(0)).0, BitsPerSec(30));
        assert_eq!(Guard::new(BitsPerSec(0), BitsPerSec(0)).rate(BitsPerSec(0)).0, BitsPerSec(1));
    }
}
