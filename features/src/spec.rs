//! The parameters of the definitions, and the length of a monitor interval.

use crate::fixed::ONE;
use crate::interval::{RTT_MAX_NS, RttBase};
use crate::schema::Fnv;
use crate::{FEATURES, HISTORY};

/// Everything that a pacing network's inputs depend on besides the traffic. Two specifications with the same
/// [`schema_hash`](PacingSpec::schema_hash) give the same integers for the same events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacingSpec {
    /// Round-trip times below this count as this, in nanoseconds, wherever a feature is divided by one: on a
    /// path of a few microseconds, a scheduling hiccup would otherwise read as a tenfold queue. 0 counts as 1.
    pub rtt_floor_ns: u64,
    /// Length of an interval in 1/256 of the last interval's mean RTT. Aurora: 0.5 RTT, 128.
    pub interval_rtt_q8: u16,
    /// An interval is at least as long as this many packets take at the current rate. PCC's UDT client: 5.
    pub interval_packets_min: u8,
    /// An interval's least length in nanoseconds.
    pub interval_min_ns: u64,
    /// An interval's greatest length in nanoseconds, also when no acknowledgement comes. Wins over the minimum.
    pub interval_max_ns: u64,
    /// Lowest and highest value of each feature in 1/65536, in the order of [`PacingSpec::FEATURES`].
    pub clips: [(i32, i32); FEATURES],
}

impl Default for PacingSpec {
    /// The values of `conf/demo.toml`.
    fn default() -> PacingSpec {
        PacingSpec {
            rtt_floor_ns: 100_000,
            interval_rtt_q8: 128,
            interval_packets_min: 16,
            interval_min_ns: 100_000,
            interval_max_ns: 1_000_000_000,
            clips: [(-ONE / 2, ONE / 2), (ONE, 3 * ONE), (ONE / 2, 2 * ONE)],
        }
    }
}

impl PacingSpec {
    /// The features by name, in the order in which an interval's row holds them.
    pub const FEATURES: [&'static str; FEATURES] = ["sent_latency_inflation", "latency_ratio", "send_ratio"];

    /// Version of the definitions in `docs/features.md`. Rises with every change of meaning.
    pub const VERSION: u32 = 1;

    /// The length in nanoseconds of an interval that begins now: `interval_rtt_q8 / 256` of the last known
    /// interval mean, or the time of `interval_packets_min` packets of `packet_bytes` at `rate_bps` if that is
    /// longer, within the two bounds. While no RTT is known the first term is zero; [`Interval::due`] then waits
    /// for the first sample.
    ///
    /// `packet_bytes` is the size of the flow's packets as the rate counts them (whole frames) and counts as at
    /// most 65 535. At rate zero the packets take for ever: the length is the upper bound.
    ///
    /// [`Interval::due`]: crate::Interval::due
    pub fn interval_ns(&self, base: &RttBase, rate_bps: u64, packet_bytes: u32) -> u64 {
        // < 2^36 x 2^16: fits.
        let of_rtt = (base.last_interval_mean_ns.min(RTT_MAX_NS) * u64::from(self.interval_rtt_q8)) >> 8;
        // < 2^8 x 2^16 x 2^3 x 2^30: fits.
        let bits = u64::from(self.interval_packets_min) * u64::from(packet_bytes.min(0xFFFF)) * 8;
        let of_packets = (bits * 1_000_000_000).checked_div(rate_bps).unwrap_or(u64::MAX);
        of_rtt.max(of_packets).max(self.interval_min_ns).min(self.interval_max_ns)
    }

    /// A stable 64-bit name for these definitions: FNV-1a over the bytes that `docs/features.md` lists. Anything
    /// that changes the integers changes it.
    pub fn schema_hash(&self) -> u64 {
        let mut hash = Fnv::new();
        hash.bytes(b"weir.features.pacing");
        hash.u64(u64::from(PacingSpec::VERSION));
        hash.u64(HISTORY as u64);
        hash.u64(FEATURES as u64);
        for (name, clip) in PacingSpec::FEATURES.iter().zip(self.clips) {
            hash.bytes(name.as_bytes());
            hash.i64(i64::from(clip.0));
            hash.i64(i64::from(clip.1));
        }
        hash.u64(self.rtt_floor_ns);
        hash.u64(u64::from(self.interval_rtt_q8));
        hash.u64(u64::from(self.interval_packets_min));
        hash.u64(self.interval_min_ns);
        hash.u64(self.interval_max_ns);
        hash.finish()
    }
}
