//! One monitor interval of one flow, in 112 bytes, and the features that come out of it.
//!
//! Aurora compares the mean RTT of an interval's later samples with that of its earlier ones, half against half
//! by count. How many samples there will be is known only at the end, and there may be millions, so they are kept
//! as eight running sums. Each bucket holds `2^s` consecutive samples; when all eight are full, neighbours merge
//! into four and `s` rises by one. The boundary between the halves is then the bucket edge nearest to the
//! middle: exact up to eight samples, and never further than one eighth of the samples from the true middle
//! after that. For RTTs that rise or fall in a straight line the place of the boundary does not matter: the means
//! of the first `m` and the other `n - m` terms of an arithmetic series differ by half the series' rise for
//! every `m`.

use crate::fixed::{RATIO_NUM_MAX, clip_q16, ratio_q16};
use crate::spec::PacingSpec;
use crate::{FEATURES, ONE};

/// A longer RTT counts as this, in nanoseconds (68.7 s: beyond a minute a sample says nothing about a queue).
pub(crate) const RTT_MAX_NS: u64 = (1 << 36) - 1;
/// RTT samples beyond this many in one interval are ignored, so that the sum of all stays below 2^63.
const SAMPLES_MAX: u32 = 1 << 27;
/// Byte counts of one interval stop here, so that they can be numerators.
const BYTES_MAX: u64 = RATIO_NUM_MAX;
/// A send ratio of this or more says that feedback is missing, not that the path is overloaded: Aurora reads it
/// as 1.
const SEND_RATIO_CUT: u64 = 1_000;
/// Running sums over the RTT samples.
const BUCKETS: usize = 8;
/// log2 of [`BUCKETS`].
const BUCKET_BITS: u32 = BUCKETS.trailing_zeros();

/// What happened to one flow since a moment. Open it with [`Interval::new`], feed it, and read it with
/// [`Interval::finish`], as often as wanted.
///
/// In this order, because it is part of an entry that more flows have than fit a cache: what every packet counts comes first,
/// and of the sums the first ones serve most intervals.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Interval {
    start_ns: u64,
    end_ns: u64,
    sent_bytes: u64,
    acked_bytes: u64,
    lost_bytes: u64,
    sent_packets: u32,
    rtt_samples: u32,
    /// Sums of RTTs in nanoseconds, in order of arrival; see the head of the file.
    rtt_sums: [u64; BUCKETS],
}

const _: () = assert!(size_of::<Interval>() <= 112, "a paced flow's slab entry counts on this");

/// What a flow's finished intervals say about its path's RTT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RttBase {
    /// The smallest mean RTT of any interval since the path became longer ([`LongerPath`](crate::LongerPath)), if it ever did, in
    /// nanoseconds; 0 before the first.
    pub min_interval_mean_ns: u64,
    /// The mean RTT of the last interval that had samples, in nanoseconds; 0 before the first.
    pub last_interval_mean_ns: u64,
}

/// What [`Interval::finish`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntervalReport {
    /// The features in 1/65536, clipped, in the order of [`PacingSpec::FEATURES`].
    pub features: [i32; FEATURES],
    /// Length in nanoseconds; 0 where the clock stood or stepped back.
    pub duration_ns: u64,
    /// Mean of the RTT samples in nanoseconds, rounded to nearest; `None` without samples.
    pub mean_rtt_ns: Option<u64>,
    /// Bytes that departed.
    pub sent_bytes: u64,
    /// Bytes newly acknowledged.
    pub acked_bytes: u64,
    /// Bytes found lost.
    pub lost_bytes: u64,
    /// RTT samples taken.
    pub rtt_samples: u32,
}

impl Interval {
    /// An empty interval that begins at `start_ns` and is meant to last `length_ns`
    /// ([`PacingSpec::interval_ns`]).
    pub const fn new(start_ns: u64, length_ns: u64) -> Interval {
        Interval {
            start_ns,
            end_ns: start_ns.saturating_add(length_ns),
            sent_bytes: 0,
            acked_bytes: 0,
            lost_bytes: 0,
            sent_packets: 0,
            rtt_samples: 0,
            rtt_sums: [0; BUCKETS],
        }
    }

    /// Forgets everything and begins again.
    pub fn restart(&mut self, start_ns: u64, length_ns: u64) {
        *self = Interval::new(start_ns, length_ns);
    }

    /// When it began, in nanoseconds.
    pub const fn start_ns(&self) -> u64 {
        self.start_ns
    }

    /// RTT samples so far.
    pub const fn rtt_samples(&self) -> u32 {
        self.rtt_samples
    }

    /// A packet of `bytes` departed. Retransmissions count: Aurora's sender counts what it sends.
    /// Count bytes here and in [`on_ack`](Interval::on_ack) by the same measure (payload), or the send ratio is
    /// biased by the headers.
    pub fn on_send(&mut self, bytes: u32) {
        self.on_send_together(bytes, 1);
    }

    /// `packets` packets departed together, of `bytes` in all: the same as [`on_send`](Interval::on_send) for each.
    pub fn on_send_together(&mut self, bytes: u32, packets: u32) {
        self.sent_bytes = add_bytes(self.sent_bytes, bytes);
        self.sent_packets = self.sent_packets.saturating_add(packets);
    }

    /// An acknowledgement of `bytes` not acknowledged before arrived; `rtt_ns` is its RTT sample, if it gave one.
    pub fn on_ack(&mut self, bytes: u32, rtt_ns: Option<u64>) {
        self.acked_bytes = add_bytes(self.acked_bytes, bytes);
        if let Some(rtt_ns) = rtt_ns {
            self.add_rtt(rtt_ns);
        }
    }

    /// `bytes` were found lost.
    pub fn on_loss(&mut self, bytes: u32) {
        self.lost_bytes = add_bytes(self.lost_bytes, bytes);
    }

    /// Whether the interval should end: its length has passed, and there is an RTT sample to judge by. Without
    /// one it is extended, up to the longest interval allowed, because a decision on silence is a guess.
    pub fn due(&self, now_ns: u64, spec: &PacingSpec) -> bool {
        now_ns >= self.end_ns
            && (self.rtt_samples > 0 || now_ns.saturating_sub(self.start_ns) >= spec.interval_max_ns)
    }

    /// The features of what has happened up to `now_ns`. Updates `base` with this interval's mean RTT, before it
    /// is used.
    ///
    /// The interval itself is unchanged: a provisional reading in its midst is a `finish` against a copy of
    /// `base`.
    pub fn finish(&self, now_ns: u64, base: &mut RttBase, spec: &PacingSpec) -> IntervalReport {
        let duration_ns = now_ns.saturating_sub(self.start_ns);
        let rtt_floor_ns = spec.rtt_floor_ns.clamp(1, RTT_MAX_NS);
        let mean_rtt_ns = self.mean_rtt_ns();
        if let Some(mean) = mean_rtt_ns {
            base.observe(mean);
        }

        let (rise_ns, falling) = self.rtt_rise_ns();
        let inflation = clip_q16(ratio_q16(rise_ns, duration_ns.max(rtt_floor_ns)), falling, spec.clips[0]);
        let latency_ratio = match mean_rtt_ns {
            Some(mean) => ratio_q16(mean.max(rtt_floor_ns), base.min_interval_mean_ns.max(rtt_floor_ns)),
            None => ONE as u64,
        };
        let send_ratio = if duration_ns == 0 { ONE as u64 } else { self.send_ratio_q16() };

        IntervalReport {
            features: [
                inflation,
                clip_q16(latency_ratio, false, spec.clips[1]),
                clip_q16(send_ratio, false, spec.clips[2]),
            ],
            duration_ns,
            mean_rtt_ns,
            sent_bytes: self.sent_bytes,
            acked_bytes: self.acked_bytes,
            lost_bytes: self.lost_bytes,
            rtt_samples: self.rtt_samples,
        }
    }

    fn add_rtt(&mut self, rtt_ns: u64) {
        let index = self.rtt_samples;
        if index >= SAMPLES_MAX {
            return;
        }
        if index >= BUCKETS as u32 && index.is_power_of_two() {
            self.merge();
        }
        // Below SAMPLES_MAX the position is always < 8; `get_mut` spares the panic path.
        if let Some(sum) = self.rtt_sums.get_mut((index >> bucket_shift(index)) as usize) {
            *sum += rtt_ns.clamp(1, RTT_MAX_NS);
            self.rtt_samples = index + 1;
        }
    }

    /// Eight full buckets become four of twice the size.
    fn merge(&mut self) {
        let old = self.rtt_sums;
        self.rtt_sums = [old[0] + old[1], old[2] + old[3], old[4] + old[5], old[6] + old[7], 0, 0, 0, 0];
    }

    fn mean_rtt_ns(&self) -> Option<u64> {
        let total: u64 = self.rtt_sums.iter().sum();
        mean(total, u64::from(self.rtt_samples))
    }

    /// By how much the later half's mean RTT lies above the earlier half's: magnitude in nanoseconds, and whether
    /// it lies below instead. Zero with fewer than two samples.
    fn rtt_rise_ns(&self) -> (u64, bool) {
        let samples = self.rtt_samples;
        let shift = bucket_shift(samples.saturating_sub(1));
        // The bucket edge nearest to the middle, ties to the later one.
        let edge = (samples / 2 + ((1 << shift) >> 1)) >> shift;
        let earlier_samples = u64::from(edge << shift);
        let (mut earlier, mut later) = (0, 0);
        for (bucket, sum) in (0_u32..).zip(self.rtt_sums) {
            if bucket < edge { earlier += sum } else { later += sum }
        }
        let later_samples = u64::from(samples).saturating_sub(earlier_samples);
        match (mean(earlier, earlier_samples), mean(later, later_samples)) {
            (Some(earlier), Some(later)) => (earlier.abs_diff(later), later < earlier),
            _ => (0, false),
        }
    }

    /// Send rate over receive rate; both are over the same duration, which cancels. The receive rate leaves out
    /// one packet, the mean one of this interval, because n acknowledgements span n - 1 gaps.
    fn send_ratio_q16(&self) -> u64 {
        let packet = self.sent_bytes.checked_div(u64::from(self.sent_packets)).unwrap_or(0);
        let received = self.acked_bytes.saturating_sub(packet);
        if received == 0 || self.sent_bytes >= SEND_RATIO_CUT * received {
            ONE as u64
        } else {
            ratio_q16(self.sent_bytes, received)
        }
    }
}

impl RttBase {
    fn observe(&mut self, mean_ns: u64) {
        self.last_interval_mean_ns = mean_ns;
        if self.min_interval_mean_ns == 0 || mean_ns < self.min_interval_mean_ns {
            self.min_interval_mean_ns = mean_ns;
        }
    }
}

/// log2 of the samples per bucket once the sample with this index (from 0) is in.
const fn bucket_shift(index: u32) -> u32 {
    (u32::BITS - index.leading_zeros()).saturating_sub(BUCKET_BITS)
}

/// `sum / count` to nearest, ties up. Both bounded by SAMPLES_MAX x RTT_MAX_NS < 2^63: no overflow.
const fn mean(sum: u64, count: u64) -> Option<u64> {
    (sum + count / 2).checked_div(count)
}

fn add_bytes(sum: u64, bytes: u32) -> u64 {
    (sum + u64::from(bytes)).min(BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_that_depart_together_count_like_packets_one_by_one() {
        let (mut together, mut alone) = (Interval::new(0, 100), Interval::new(0, 100));
        together.on_send_together(4_500, 3);
        for _ in 0..3 {
            alone.on_send(1_500);
        }
        assert_eq!(together, alone);
    }
}
