//! What a monitor interval was worth: one definition for the world and for live samples, see [`weir_env::reward`].

pub use weir_env::reward::{Outcome, Preference, delivery_rate_bps};

#[cfg(test)]
mod tests {
    use super::*;
    use weir_features::Sample;

    #[test]
    fn a_live_interval_counts_payload_over_its_length() {
        let sample = Sample { acked_bytes: 9_000, lost_bytes: 1_000, ..crate::testing::sample() };
        let live = Outcome::live(&sample, 1e7);
        assert!((live.throughput_bps - 7.2e6).abs() < 1e-6 && (live.loss - 0.1).abs() < 1e-12, "{live:?}");
        assert!((live.base_rtt_s / live.rtt_s - 0.5).abs() < 1e-12);
    }
}
