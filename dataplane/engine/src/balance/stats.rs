//! What is counted of each path.

use crate::counters::figures;

figures! {
    /// What one worker has counted of one path since its start, and the path's present state as that worker sees it.
    PathStats
    Counter frames "path_frames_total" "Frames sent by a path, probes not counted."
    Counter bytes "path_bytes_total" "Their bytes, the path's header included."
    Counter unwrapped "path_received_frames_total" "Frames received in a path's header."
    Counter chosen "path_decisions_total" "Decisions that chose a path, by flow or flowlet."
    Counter arrived "path_moves_total" "Flows that came to a path from another one."
    Counter rtt_samples "path_rtt_samples_total" "Round-trip times measured on a path, by TCP or probes."
    Counter acked_bytes "path_acked_bytes_total" "Payload acknowledged on a path."
    Counter marks "path_ecn_echoes_total" "Acknowledgements on a path that echo a congestion mark."
    Counter repeated_bytes "path_retransmitted_bytes_total" "Payload sent again on a path."
    Counter timeouts "path_timeouts_total" "Senders that waited in vain for an acknowledgement of what they sent by a path."
    Counter probes "path_probes_total" "STAMP probes sent on a path."
    Counter answers "path_probe_answers_total" "STAMP probes on a path that were answered."
    Counter reflected "path_probes_reflected_total" "The other end's STAMP probes on a path that were answered."
    Counter measured "path_measured_frames_total" "Frames, of all workers, that both ends of a path have counted (RFC 8972 section 4.5)."
    Counter lost "path_lost_frames_total" "Of those, frames that did not arrive."
    Counter unmeasured "path_unmeasured_answers_total" "Answers to probes without a count: the other end does not know it, or the path has no header."
    Counter measure_refused "path_counts_refused_total" "Counts in answers to probes that cannot be: refused."
    Counter failures "path_failures_total" "Times that a path was found to be down."
    Gauge up "path_up" "1 while a path is not down."
    Gauge share_q16 "path_share_q16" "Share of its weight that a path takes now, less than the whole in slow start or drain."
    Gauge flows "path_flows" "Flows on a path."
    Gauge rtt_ns "path_rtt_nanoseconds" "Smoothed round-trip time of a path; 0 while unknown."
    Gauge base_rtt_ns "path_base_rtt_nanoseconds" "Smallest round-trip time of a path of late; 0 while unknown."
    Gauge in_flight "path_in_flight_bytes" "Payload on its way on a path."
    Gauge sent_bps "path_sent_bits_per_second" "Rate at which frames leave by a path, over a millisecond."
    Gauge rate_bps "path_rate_bits_per_second" "What a path carries, configured or the most that it has carried of late; 0 while unknown."
    Gauge ecn_q16 "path_ecn_q16" "Smoothed share of marked acknowledgements."
    Gauge loss_q16 "path_loss_q16" "Smoothed share of reports of a loss."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_read_back() {
        let mut next = 0;
        let stats = PathStats::from_words(|| {
            next += 1;
            next
        });
        let mut words = Vec::new();
        stats.each(|stat| words.push(stat.value));
        assert_eq!(words, (1..=PathStats::COUNT as u64).collect::<Vec<_>>());
        assert_eq!((stats.frames, stats.loss_q16), (1, PathStats::COUNT as u64));
    }
}
