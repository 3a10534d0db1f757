//! When a flow's base RTT is no longer its path's: a path that has become longer.
//!
//! Aurora divides by the smallest mean RTT that the connection has ever seen. Behind another route, or another uplink, that is an RTT
//! that no rate brings back, and it looks like a queue: the network gives way down to the guard's lowest rate, and stays there. But
//! to give way is the test. A queue of the flow's own goes when the flow does:
//!
//! ```text
//! over an epoch (5 s, and 8 intervals):  no interval's mean RTT was within 5/4 of the base
//!                                        and the flow has since come down to half of its rate or less, or to the lowest there is
//!     => the base is the least mean of that epoch
//! ```
//!
//! Another's queue may pass for a longer path; then the flow stops giving way to it, and the base falls back with the first
//! interval that meets less of it. A fixed window as BBR has (10 s) would need BBR's drain as well: without, a queue that
//! flows keep on purpose would become their base, and a queue on top of that the next. Integers throughout;
//! `docs/features.md` section 15 has the definition.

use crate::interval::{IntervalReport, RttBase};

/// An epoch, in microseconds: half of BBR's window (Linux, `bbr_min_rtt_win_sec`), since the first epoch that lies wholly
/// behind the change is the one that tells.
const EPOCH_US: u32 = 5_000_000;
/// Intervals of an epoch at least: at the lowest rates one may last a second.
const INTERVALS_MIN: u32 = 8;

/// What is known of the open epoch, in 24 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LongerPath {
    /// The least mean RTT so far, in nanoseconds; 0 before the first.
    least_ns: u64,
    /// The highest rate at an epoch's end since one had an RTT within the base's reach, in kb/s; 0 before the first interval.
    begun_kbps: u32,
    /// Its length so far.
    past_us: u32,
    intervals: u32,
}

const _: () = assert!(size_of::<LongerPath>() <= 24, "a flow's aside counts on this");

impl LongerPath {
    /// Whether an RTT, in nanoseconds, is more than a quarter above the base.
    pub fn is_beyond(rtt_ns: u64, base_ns: u64) -> bool {
        rtt_ns > base_ns.saturating_add(base_ns / 4)
    }

    /// Takes an ended interval into account in which `rate_bps` held, of a flow that may have `lowest_bps` at least. Says whether
    /// `base` was another path's, and has become this one's.
    pub fn observe(
        &mut self,
        report: &IntervalReport,
        base: &mut RttBase,
        rate_bps: u64,
        lowest_bps: u64,
    ) -> bool {
        let Some(mean_ns) = report.mean_rtt_ns else { return false };
        let rate_kbps = u32::try_from(rate_bps / 1_000).unwrap_or(u32::MAX).max(1);
        if self.begun_kbps == 0 {
            self.begun_kbps = rate_kbps;
        }
        if self.least_ns == 0 || mean_ns < self.least_ns {
            self.least_ns = mean_ns;
        }
        let past_us = u32::try_from(report.duration_ns / 1_000).unwrap_or(u32::MAX);
        self.past_us = self.past_us.saturating_add(past_us);
        self.intervals = self.intervals.saturating_add(1);
        if self.past_us < EPOCH_US || self.intervals < INTERVALS_MIN {
            return false;
        }
        let base_ns = base.min_interval_mean_ns;
        let beyond = LongerPath::is_beyond(self.least_ns, base_ns);
        let gave_way = rate_kbps <= self.begun_kbps / 2 || rate_bps <= lowest_bps;
        let longer = beyond && gave_way;
        if longer {
            base.min_interval_mean_ns = self.least_ns;
        }
        // To give way may take several epochs.
        let begun_kbps = if beyond && !longer { self.begun_kbps.max(rate_kbps) } else { rate_kbps };
        *self = LongerPath { begun_kbps, ..LongerPath::default() };
        longer
    }
}
