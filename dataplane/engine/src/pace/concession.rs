//! When a network gives its flow to the rule: where giving way is in vain.
//!
//! A network that goes by delay gives way to a queue, and the queue goes, if it is its own. Beside traffic that does not give way
//! (a loss-based sender, BBR, the control share's rule) the others take what it leaves, until it has the guard's lowest rate and
//! they have the link. [`LongerPath`] sees that as a path that has become longer, and gives up the base RTT. On such a path the flow
//! then comes back; beside others it stays where it is:
//!
//! ```text
//! 10 s and 40 intervals after the base was given up, the rate is at most twice what it was then, and not for want of data
//!     => the rule decides, which does not give way: for a minute; where the base is given up within the next, for two, up to 16
//! ```
//!
//! [Decision 24](../../../../docs/decisions/0024-concession.md) has what was measured.
//!
//! [`LongerPath`]: weir_features::LongerPath

use crate::time::{BitsPerSec, Ns};

/// So long a flow has to come back on its own, in seconds: two epochs of [`LongerPath`](weir_features::LongerPath).
const PATIENCE: u32 = 10;
/// And so many intervals: a network that raises by 2 % each time doubles in 35, and at the guard's lowest rate they are long.
const INTERVALS: u8 = 40;
/// So many times the rate is a flow that comes back.
const BACK: u32 = 2;
/// How long the rule decides the first time, in seconds: six of BBR's windows for the RTT.
const FIRST: u32 = 60;
/// Turns of the rule in a row of which each is twice as long as the one before.
const TURNS: u8 = 5;
/// A turn is one more in a row if the one before ended so many seconds ago at most.
const MEMORY: u32 = 60;

/// What is known of one flow's giving way, in 12 bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Concession {
    /// When the rule's turn ends, or else when the flow is looked at again; in whole seconds of the engine's clock.
    at_s: u32,
    /// The rate when the base was given up, in kb/s, at least 1; 0 where nothing is to be looked at.
    rate_kbps: u32,
    /// Intervals since then.
    intervals: u8,
    /// The rule's turns in a row; 0 while the flow is to be looked at.
    turns: u8,
}

const _: () = assert!(size_of::<Concession>() <= 12, "a flow's aside counts on this");

impl Concession {
    /// Whether the rule decides in the network's place.
    pub(super) fn holds(&self, now: Ns) -> bool {
        self.turns > 0 && seconds(now) < self.at_s
    }

    /// Takes an interval under the network into account, at this rate. `given_up`: at its end the base RTT was; `app_limited`: not the
    /// rate but the sender was the limit, so that it would not have risen anyway. Whether the rule's turn begins.
    pub(super) fn observe(&mut self, now: Ns, given_up: bool, rate: BitsPerSec, app_limited: bool) -> bool {
        let now = seconds(now);
        let rate_kbps = u32::try_from(rate.0 / 1_000).unwrap_or(u32::MAX).max(1);
        let waiting = self.rate_kbps > 0;
        self.intervals = self.intervals.saturating_add(1);
        let due = waiting && now >= self.at_s && self.intervals >= INTERVALS;
        let in_vain = if waiting {
            due && !app_limited && rate_kbps <= self.rate_kbps.saturating_mul(BACK)
        } else {
            given_up && self.turns > 0 && now.saturating_sub(self.at_s) < MEMORY
        };
        if in_vain {
            self.turns = (self.turns + 1).min(TURNS);
            (self.at_s, self.rate_kbps) = (now.saturating_add(FIRST << (self.turns - 1)), 0);
        } else if given_up && !waiting {
            *self = Concession { at_s: now.saturating_add(PATIENCE), rate_kbps, intervals: 0, turns: 0 };
        } else if due {
            *self = Concession::default();
        }
        in_vain
    }
}

fn seconds(now: Ns) -> u32 {
    u32::try_from(now.0 / 1_000_000_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Intervals of a quarter of a second from one time to another, at so many Mb/s; when the rule's turn begins.
    fn run(concession: &mut Concession, from_s: u64, to_s: u64, mbps: u64) -> Option<u64> {
        (4 * from_s..4 * to_s)
            .find(|&quarters| {
                let now = Ns::from_millis(250 * quarters);
                concession.observe(now, false, BitsPerSec::from_mbps(mbps), false)
            })
            .map(|quarters| quarters / 4)
    }

    fn give_up(concession: &mut Concession, at_s: u64, mbps: u64) -> bool {
        concession.observe(Ns::from_secs(at_s), true, BitsPerSec::from_mbps(mbps), false)
    }

    #[test]
    fn a_flow_that_does_not_come_back_is_the_rules_for_a_minute() {
        let mut concession = Concession::default();
        assert!(!give_up(&mut concession, 100, 1));
        assert_eq!(run(&mut concession, 100, 200, 2), Some(110));
        assert!(concession.holds(Ns::from_secs(110)) && concession.holds(Ns::from_secs(169)));
        assert!(!concession.holds(Ns::from_secs(170)));
    }

    #[test]
    fn one_that_comes_back_is_on_a_longer_path() {
        let mut concession = Concession::default();
        assert!(!give_up(&mut concession, 100, 1));
        assert_eq!(run(&mut concession, 100, 105, 1), None);
        assert!(!give_up(&mut concession, 105, 1), "by and by");
        assert_eq!(run(&mut concession, 105, 111, 3), None);
        assert_eq!(run(&mut concession, 111, 999, 1), None, "that is over");
        assert!(!give_up(&mut concession, 1_000, 1));
        assert_eq!(run(&mut concession, 1_000, 1_010, 1), None);
        assert!(!concession.observe(Ns::from_secs(1_010), false, BitsPerSec::from_mbps(1), true), "no data");
        assert_eq!(run(&mut concession, 1_011, 1_100, 1), None);
    }

    #[test]
    fn in_vain_after_the_rules_turn_is_twice_as_long_and_a_quiet_minute_begins_anew() {
        let mut concession = Concession::default();
        let mut now_s = 1_000;
        give_up(&mut concession, now_s - 10, 1);
        for minutes in [1, 2, 4, 8, 16, 16] {
            let begins = if minutes == 1 {
                run(&mut concession, now_s - 10, now_s + 1, 1).is_some()
            } else {
                give_up(&mut concession, now_s, 1)
            };
            let end_s = now_s + 60 * minutes;
            assert!(begins && concession.holds(Ns::from_secs(end_s - 1)), "{minutes}");
            assert!(!concession.holds(Ns::from_secs(end_s)), "{minutes}");
            now_s = end_s + 20;
        }
        now_s += 40;
        assert!(!give_up(&mut concession, now_s, 1), "a minute without");
        assert_eq!(run(&mut concession, now_s, now_s + 99, 1), Some(now_s + 10));
        assert!(!concession.holds(Ns::from_secs(now_s + 70)));
    }
}
