//! What a worker counts, besides how frames end ([`Tally`](crate::verdict::Tally)).

use crate::wire::{Complaint, Malformed, Untracked};

/// Whether a figure only rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Events since the start.
    Counter,
    /// A present state.
    Gauge,
}

/// One figure, as an exporter needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Metric name without prefix, after Prometheus' conventions: counters end in `_total`.
    pub name: &'static str,
    /// Label and its value, where several figures share one name. All of one name follow each other.
    pub label: Option<(&'static str, &'static str)>,
    /// What it says.
    pub help: &'static str,
    /// Counter or gauge.
    pub kind: Kind,
    /// Its value now.
    pub value: u64,
}

/// One list makes the fields, their documentation, and the table for exporters, so that none can lag behind.
macro_rules! stats {
    ($($kind:ident $name:literal $help:literal $(by $label:literal)? { $($field:ident $($value:literal)?),+ })+) => {
        /// What one worker has counted since its start, and its present state.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct WorkerStats {
            $($(#[doc = concat!($help $(, " Only: `", $value, "`.")?)] pub $field: u64,)+)+
        }

        impl WorkerStats {
            /// Shows every figure to `each`, in a fixed order.
            pub fn each(&self, mut each: impl FnMut(Stat)) {
                $({
                    let label_name = stats!(@label $($label)?);
                    $(each(Stat {
                        name: $name,
                        label: stats!(@value label_name $($value)?),
                        help: $help,
                        kind: Kind::$kind,
                        value: self.$field,
                    });)+
                })+
            }
        }
    };
    (@label) => { "" };
    (@label $label:literal) => { $label };
    (@value $label:ident) => {{ let _ = $label; None }};
    (@value $label:ident $value:literal) => { Some(($label, $value)) };
}

/// The same for what is counted of each of several named things: of each field its kind, name and help, and figures that can
/// be read back from the words that they were shown as.
macro_rules! figures {
    ($(#[$doc:meta])* $name:ident $($kind:ident $field:ident $metric:literal $help:literal)+) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $(#[doc = $help] pub $field: u64,)+
        }

        impl $name {
            /// How many figures there are.
            pub const COUNT: usize = size_of::<$name>() / size_of::<u64>();

            /// Shows every figure to `each`, in a fixed order.
            pub fn each(&self, mut each: impl FnMut($crate::counters::Stat)) {
                $(each($crate::counters::Stat {
                    name: $metric,
                    label: None,
                    help: $help,
                    kind: $crate::counters::Kind::$kind,
                    value: self.$field,
                });)+
            }

            /// The figures of the words that [`each`](Self::each) has shown.
            pub fn from_words(mut word: impl FnMut() -> u64) -> $name {
                $name { $($field: word(),)+ }
            }
        }
    };
}
pub(crate) use figures;

stats! {
    Counter "turns_total" "Turns taken." { turns }
    Counter "pacing_decisions_total" "Pacing decisions, by who decided." by "source" {
        decisions_model "model", decisions_explored "explored", decisions_rule "rule", decisions_control "control"
    }
    Counter "pacing_provisional_decisions_total" "Rates set in the midst of a monitor interval (pacing.cadence = packet)." { decisions_provisional }
    Counter "interval_nanoseconds_total" "Length of judged monitor intervals, by who governed." by "source" {
        interval_ns_model "model", interval_ns_explored "explored", interval_ns_rule "rule", interval_ns_control "control"
    }
    Counter "interval_acked_bytes_total" "Payload acknowledged in judged intervals, by who governed." by "source" {
        acked_bytes_model "model", acked_bytes_explored "explored", acked_bytes_rule "rule", acked_bytes_control "control"
    }
    Counter "interval_lost_bytes_total" "Payload found lost in judged intervals, by who governed." by "source" {
        lost_bytes_model "model", lost_bytes_explored "explored", lost_bytes_rule "rule", lost_bytes_control "control"
    }
    Counter "interval_rtt_nanoseconds_total" "Sum of the mean RTTs of judged intervals, by who governed." by "source" {
        rtt_ns_model "model", rtt_ns_explored "explored", rtt_ns_rule "rule", rtt_ns_control "control"
    }
    Counter "intervals_total" "Monitor intervals that ended with an RTT sample." { intervals }
    Counter "intervals_without_rtt_total" "Monitor intervals without an RTT sample: no decision." { intervals_without_rtt }
    Counter "intervals_app_limited_total" "Monitor intervals that the sender limited: no raise." { intervals_app_limited }
    Counter "intervals_limit_bound_total" "Monitor intervals that a limit on several flows bound: no raise." { intervals_limit_bound }
    Counter "inferences_total" "Rows run through a network." { inferences }
    Counter "inference_batches_total" "Runs of a network over a batch of rows." { inference_batches }
    Counter "guard_clamps_total" "Decisions that the guard limited, by limit." by "limit" {
        guard_action "action", guard_loss "loss", guard_floor "floor", guard_ceiling "ceiling"
    }
    Counter "longer_paths_total" "Flows whose base RTT was given up because their path has become longer." { longer_paths }
    Counter "concessions_total" "Times that the rule took a flow over from its network, whose giving way was in vain beside others." { concessions }
    Counter "pace_refused_total" "Frames that could not be held, by the limit they met." by "limit" {
        pace_refused_held "held", pace_refused_flow_bytes "flow_bytes", pace_refused_delay "delay"
    }
    Counter "ecn_marks_total" "Frames that Weir marked congestion experienced." { ecn_marks }
    Counter "windows_lowered_total" "Acknowledgements whose receive window Weir lowered (pacing.mode = yield)." { windows_lowered }
    Counter "windows_unknown_total" "Acknowledgements whose window scale Weir has not seen: not lowered." { windows_unknown }
    Counter "wheel_late_total" "Held frames that left more than a slot after their time." { wheel_late }
    Counter "wheel_stall_nanoseconds_total" "Time lost to flows that left too late to make up for." { wheel_stall_ns }
    Counter "samples_total" "Samples handed to the trainer, by who had decided." by "source" {
        samples_model "model", samples_explored "explored", samples_control "control"
    }
    Counter "samples_dropped_total" "Samples dropped because the trainer was behind." { samples_dropped }
    Counter "scheduled_flows_total" "Flows that were given a priority, by who decided." by "source" {
        scheduled_model "model", scheduled_rule "rule", scheduled_control "control"
    }
    Counter "schedule_inferences_total" "Flow sizes that a network predicted." { schedule_inferences }
    Counter "schedule_inference_batches_total" "Runs of a network over a batch of flows." { schedule_inference_batches }
    Counter "schedule_clamps_total" "Predictions that the guard limited, by limit." by "limit" {
        schedule_floor "floor", schedule_ceiling "ceiling"
    }
    Counter "schedule_outlived_total" "Times that a flow outlived its prediction, and was taken for larger." { schedule_outlived }
    Counter "schedule_predictions_judged_total" "Predicted flows whose true size became known." { predictions_judged }
    Counter "schedule_prediction_error_total" "Sum of how far predictions were off, in 1/65536 of log2 of the size." { prediction_error_q16 }
    Counter "schedule_completions_total" "Scheduled flows seen from first data to FIN, by who decided." by "source" {
        completed_model "model", completed_rule "rule", completed_control "control"
    }
    Counter "schedule_completion_nanoseconds_total" "Sum of their times from first data to FIN, by who decided." by "source" {
        completion_ns_model "model", completion_ns_rule "rule", completion_ns_control "control"
    }
    Counter "shaped_frames_total" "Frames that left the shaper, by priority; 0 is the most urgent." by "priority" {
        shaped_0 "0", shaped_1 "1", shaped_2 "2", shaped_3 "3", shaped_4 "4", shaped_5 "5", shaped_6 "6", shaped_7 "7"
    }
    Counter "shaper_by_age_total" "Frames that left ahead of more urgent ones because they had waited long." { shaper_by_age }
    Counter "peers_replaced_total" "Peers forgotten for newer ones." { peers_replaced }
    Counter "peers_refused_total" "Flows whose peer found no place in the table." { peers_refused }
    Counter "flow_samples_total" "Ended flows that the trainer was told of." { flow_samples }
    Counter "flow_samples_dropped_total" "Ended flows not told of because the trainer was behind." { flow_samples_dropped }
    Counter "snapshot_swaps_seen_total" "Publications that the worker has taken up." { swaps_seen }
    Counter "snapshot_rebinds_total" "Flows moved from one snapshot generation to another." { rebinds }
    Counter "flows_opened_total" "Flows that entered the flow table." { flows_opened }
    Counter "flows_closed_total" "Flows that left the flow table." { flows_closed }
    Counter "half_open_replaced_total" "Unfinished connections that made way for newer ones." { half_open_replaced }
    Counter "paced_flows_refused_total" "Data frames that passed unpaced for want of room." { paced_flows_refused }
    Counter "datagram_flows_refused_total" "Datagrams of flows that passed unpaced for want of room." { datagram_flows_refused }
    Counter "datagram_feedback_total" "Times that answered probes, or a path's failure, decided what became of a flow's datagrams." { datagram_feedback }
    Counter "datagram_bytes_total" "Bytes of paced datagrams, by what became of them as far as probes tell." by "fate" {
        datagram_delivered_bytes "delivered", datagram_lost_bytes "lost"
    }
    Counter "datagram_restarts_total" "Flows of datagrams that began anew because their path went down." { datagram_restarts }
    Counter "retransmitted_bytes_total" "Payload that senders inside repeated." { retransmitted_bytes }
    Counter "lost_bytes_total" "Payload repeated of which nothing shows that it need not have been." { lost_bytes }
    Counter "spurious_bytes_total" "Payload repeated that need not have been." { spurious_bytes }
    Counter "reordered_total" "Acknowledgements that tell of data overtaking data." { reordered }
    Counter "ecn_echoes_total" "Acknowledgements that echo a congestion mark." { ecn_echoes }
    Counter "icmp_errors_total" "ICMP errors about TCP or UDP, by what they say." by "kind" {
        icmp_unreachable "unreachable", icmp_too_big "too_big", icmp_time_exceeded "time_exceeded", icmp_other "other"
    }
    Counter "icmp_quotes_total" "The same errors, by how what they quote stands to the flows of the table." by "standing" {
        icmp_in_flight "in_flight", icmp_not_in_flight "not_in_flight", icmp_unchecked "unchecked",
        icmp_of_no_flow "no_flow"
    }
    Counter "untracked_frames_total" "Well-formed frames that are no TCP segment, by what they are." by "kind" {
        untracked_arp "arp", untracked_other_ether_type "other_ether_type", untracked_icmp "icmp",
        untracked_icmp6 "icmp6", untracked_ndp "ndp", untracked_udp "udp",
        untracked_other_transport "other_transport", untracked_fragment "fragment",
        untracked_jumbogram "jumbogram", untracked_long_chain "long_chain",
        untracked_split_headers "split_headers"
    }
    Counter "malformed_frames_total" "Malformed frames, by fault." by "fault" {
        malformed_short "short", malformed_ip_length "ip_length", malformed_header "header"
    }
    Counter "originated_total" "Frames that Weir made in mode route, by what they say." by "kind" {
        originated_arp_requests "arp_request", originated_arp_replies "arp_reply",
        originated_solicitations "neighbour_solicitation", originated_advertisements "neighbour_advertisement",
        originated_icmp_errors "icmp_error", originated_echo_replies "echo_reply", originated_fragments "fragment",
        originated_probes "probe", originated_reflections "probe_reflection"
    }
    Counter "originate_failed_total" "Frames that Weir could not make for want of a buffer." { originate_failed }
    Counter "icmp_errors_withheld_total" "ICMP errors not sent: barred by the RFCs, over the rate, no way back." by "reason" {
        icmp_errors_barred "barred", icmp_errors_over_rate "rate", icmp_errors_no_way "no_way"
    }
    Counter "mss_clamped_total" "SYNs whose MSS option was lowered." { mss_clamped }
    Counter "neighbours_failed_total" "Neighbours that did not answer." { neighbours_failed }
    Counter "neighbours_refused_total" "Frames whose neighbour found no place in the table." { neighbours_refused }
    Counter "neighbour_news_total" "What workers told each other of neighbours: passed on, taken up, lost to a full lane." by "fate" {
        news_passed "passed", news_taken "taken", news_lane_full "lane_full"
    }
    Counter "address_conflicts_total" "Frames of another station that claims an own address." { address_conflicts }
    Counter "balance_decisions_total" "Choices of a path, by who chose." by "source" {
        path_decisions_model "model", path_decisions_explored "explored", path_decisions_rule "rule",
        path_decisions_control "control"
    }
    Counter "balance_inferences_total" "Rows of a flow and a path run through a network." { path_inferences }
    Counter "balance_inference_batches_total" "Runs of a network over a batch of such rows." { path_inference_batches }
    Counter "balance_guard_total" "Choices of a network that were limited to paths that may be taken." { path_guard }
    Counter "balance_table_full_total" "Frames whose flow found no place: the rule placed them." { path_table_full }
    Counter "balance_all_down_total" "Frames that left while no path was up, as if all were." { path_all_down }
    Counter "balance_samples_total" "Records of choices handed to the trainer." { path_samples }
    Counter "balance_samples_dropped_total" "Records of choices dropped because the trainer was behind." { path_samples_dropped }
    Gauge "balance_flows" "Flows that are on a path." { path_flows }
    Gauge "neighbours" "Neighbours on both sides that the worker knows, by state (RFC 4861); all workers know the same." by "state" {
        neighbours_incomplete "incomplete", neighbours_reachable "reachable", neighbours_stale "stale",
        neighbours_delay "delay", neighbours_probe "probe"
    }
    Gauge "flows" "Flows in the flow table." { flows }
    Gauge "flows_half_open" "Connections whose handshake is under way." { half_open }
    Gauge "flows_paced" "Flows with a pacing state." { paced_flows }
    Gauge "flows_paced_datagrams" "Of the flows with a pacing state, those of datagrams." { paced_datagram_flows }
    Gauge "flows_scheduled" "Flows with a scheduling state." { scheduled_flows }
    Gauge "peers" "Peers whose flow sizes are remembered." { peers }
    Gauge "flows_following" "Flows that follow a snapshot, an interval of theirs being open, by which." by "generation" {
        following_active "active", following_previous "previous"
    }
    Gauge "snapshot_generation" "Number of the active snapshot that the worker has taken up; 0 for none." { generation }
    Gauge "held_frames" "Frames that wait for their time." { held_frames }
    Gauge "shaper_frames" "Frames that wait for the link." { shaper_frames }
    Gauge "backlog_frames" "Frames that wait for their port." { backlog_frames }
    Gauge "steer_lane_frames" "Frames that other workers have passed on and that are not taken yet." { steer_lane_frames }
    Gauge "neighbour_frames" "Frames that wait for their neighbour." { neighbour_frames }
}

impl WorkerStats {
    /// Counts a frame that is no TCP segment.
    #[inline(never)]
    pub(crate) fn count_untracked(&mut self, kind: Untracked) {
        *match kind {
            Untracked::Arp => &mut self.untracked_arp,
            Untracked::OtherEtherType => &mut self.untracked_other_ether_type,
            Untracked::Icmp => &mut self.untracked_icmp,
            Untracked::Icmp6 => &mut self.untracked_icmp6,
            Untracked::Ndp => &mut self.untracked_ndp,
            Untracked::Udp => &mut self.untracked_udp,
            Untracked::OtherTransport => &mut self.untracked_other_transport,
            Untracked::Fragment => &mut self.untracked_fragment,
            Untracked::Jumbogram => &mut self.untracked_jumbogram,
            Untracked::LongChain => &mut self.untracked_long_chain,
            Untracked::SplitHeaders => &mut self.untracked_split_headers,
        } += 1;
    }

    /// Counts a malformed frame. An IP length that is not the frame's has a counter of its own, because that is how
    /// frames look that a port has cut to its buffers.
    #[cold]
    pub(crate) fn count_malformed(&mut self, fault: Malformed) {
        *match fault {
            Malformed::EthernetShort
            | Malformed::VlanShort
            | Malformed::ArpShort
            | Malformed::Ipv4Short
            | Malformed::Ipv6Short
            | Malformed::TcpShort
            | Malformed::UdpShort
            | Malformed::IcmpShort => &mut self.malformed_short,
            Malformed::Ipv4TotalLength | Malformed::Ipv6PayloadLength => &mut self.malformed_ip_length,
            Malformed::Ipv4Version
            | Malformed::Ipv4HeaderLength
            | Malformed::Ipv6Version
            | Malformed::Ipv6Extension
            | Malformed::TcpDataOffset
            | Malformed::TcpOption
            | Malformed::UdpLength => &mut self.malformed_header,
        } += 1;
    }

    /// Counts a frame that has left the shaper.
    #[inline]
    pub(crate) fn count_shaped(&mut self, priority: u8) {
        *match priority {
            0 => &mut self.shaped_0,
            1 => &mut self.shaped_1,
            2 => &mut self.shaped_2,
            3 => &mut self.shaped_3,
            4 => &mut self.shaped_4,
            5 => &mut self.shaped_5,
            6 => &mut self.shaped_6,
            _ => &mut self.shaped_7,
        } += 1;
    }

    /// Counts an ICMP error.
    #[cold]
    pub(crate) fn count_complaint(&mut self, complaint: Complaint) {
        *match complaint {
            Complaint::Unreachable => &mut self.icmp_unreachable,
            Complaint::TooBig => &mut self.icmp_too_big,
            Complaint::TimeExceeded => &mut self.icmp_time_exceeded,
            Complaint::Other => &mut self.icmp_other,
        } += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_is_shown_once_and_names_keep_the_conventions() {
        let mut seen = Vec::new();
        WorkerStats::default().each(|stat| {
            assert!(!seen.contains(&(stat.name, stat.label)), "{} twice", stat.name);
            assert_eq!(stat.name.ends_with("_total"), stat.kind == Kind::Counter, "{}", stat.name);
            assert!(stat.help.ends_with('.') && stat.value == 0);
            seen.push((stat.name, stat.label));
        });
        assert_eq!(seen.len() * size_of::<u64>(), size_of::<WorkerStats>());
    }
}
