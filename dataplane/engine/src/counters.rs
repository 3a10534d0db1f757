//! What a worker counts, besides how frames end ([`Tally`](crate::verdict::Tally)).

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

stats! {
    Counter "turns_total" "Turns taken." { turns }
    Counter "pacing_decisions_total" "Pacing decisions, by who decided." by "source" {
        decisions_model "model", decisions_rule "rule", decisions_control "control"
    }
    Counter "interval_nanoseconds_total" "Length of judged monitor intervals, by who governed." by "source" {
        interval_ns_model "model", interval_ns_rule "rule", interval_ns_control "control"
    }
    Counter "interval_acked_bytes_total" "Payload acknowledged in judged intervals, by who governed." by "source" {
        acked_bytes_model "model", acked_bytes_rule "rule", acked_bytes_control "control"
    }
    Counter "interval_lost_bytes_total" "Payload found lost in judged intervals, by who governed." by "source" {
        lost_bytes_model "model", lost_bytes_rule "rule", lost_bytes_control "control"
    }
    Counter "interval_rtt_nanoseconds_total" "Sum of the mean RTTs of judged intervals, by who governed." by "source" {
        rtt_ns_model "model", rtt_ns_rule "rule", rtt_ns_control "control"
    }
    Counter "intervals_total" "Monitor intervals that ended with an RTT sample." { intervals }
    Counter "intervals_without_rtt_total" "Monitor intervals without an RTT sample: no decision." { intervals_without_rtt }
    Counter "intervals_app_limited_total" "Monitor intervals that the sender limited: no raise." { intervals_app_limited }
    Counter "inferences_total" "Rows run through a network." { inferences }
    Counter "inference_batches_total" "Runs of a network over a batch of rows." { inference_batches }
    Counter "guard_clamps_total" "Decisions that the guard limited, by limit." by "limit" {
        guard_action "action", guard_floor "floor", guard_ceiling "ceiling"
    }
    Counter "pace_refused_total" "Frames that could not be held, by the limit they met." by "limit" {
        pace_refused_held "held", pace_refused_flow_bytes "flow_bytes", pace_refused_delay "delay"
    }
    Counter "ecn_marks_total" "Frames that Weir marked congestion experienced." { ecn_marks }
    Counter "wheel_late_total" "Held frames that left more than a slot after their time." { wheel_late }
    Counter "wheel_stall_nanoseconds_total" "Time lost to flows that left too late to make up for." { wheel_stall_ns }
    Counter "samples_total" "Samples handed to the trainer." { samples_taken }
    Counter "samples_dropped_total" "Samples dropped because the trainer was behind." { samples_dropped }
    Counter "snapshot_swaps_seen_total" "Publications that the worker has taken up." { swaps_seen }
    Counter "snapshot_rebinds_total" "Flows moved from one snapshot generation to another." { rebinds }
    Counter "flows_opened_total" "Flows that entered the flow table." { flows_opened }
    Counter "flows_closed_total" "Flows that left the flow table." { flows_closed }
    Counter "half_open_replaced_total" "Unfinished connections that made way for newer ones." { half_open_replaced }
    Counter "paced_flows_refused_total" "Data frames that passed unpaced for want of room." { paced_flows_refused }
    Counter "retransmitted_bytes_total" "Payload that senders inside repeated." { retransmitted_bytes }
    Counter "lost_bytes_total" "Payload repeated of which nothing shows that it need not have been." { lost_bytes }
    Counter "spurious_bytes_total" "Payload repeated that need not have been." { spurious_bytes }
    Counter "reordered_total" "Acknowledgements that tell of data overtaking data." { reordered }
    Counter "ecn_echoes_total" "Acknowledgements that echo a congestion mark." { ecn_echoes }
    Gauge "flows" "Flows in the flow table." { flows }
    Gauge "flows_half_open" "Connections whose handshake is under way." { half_open }
    Gauge "flows_paced" "Flows with a pacing state." { paced_flows }
    Gauge "held_frames" "Frames that wait for their time." { held_frames }
    Gauge "backlog_frames" "Frames that wait for their port." { backlog_frames }
    Gauge "steer_lane_frames" "Frames that other workers have passed on and that are not taken yet." { steer_lane_frames }
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
