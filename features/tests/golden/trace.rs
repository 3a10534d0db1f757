//! The trace's lines: read, replayed, written.

use std::fmt::Write;
use weir_features::{FEATURES, History, INPUTS, Interval, PacingSpec, RttBase, apply_action};

/// One line of the trace without its results.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    Spec(PacingSpec),
    Flow,
    Open { now: u64, rate_bps: u64, packet_bytes: u32 },
    Send(u32),
    Ack(u32, Option<u64>),
    Loss(u32),
    Due(u64),
    End(u64),
    Inputs,
    Action { rate_bps: u64, action_q16: i32 },
}

const HEAD: &str = "\
# Aurora's features in fixed point: what happens to some flows, and the integers that must come out.
# Form and meaning: docs/features.md. Written by: WEIR_BLESS=1 cargo test -p weir-features
# Where a line has results, they follow the equals sign.
";

/// The events of a line; `None` for a comment or an empty line. Results are left out.
pub(crate) fn parse(line: &str) -> Option<Event> {
    let given = line.split(" =").next()?.split('#').next()?.trim();
    let (word, rest) = given.split_once(' ').unwrap_or((given, ""));
    let numbers: Vec<Option<i128>> = rest.split_whitespace().map(|number| number.parse().ok()).collect();
    let n = |place: usize| numbers[place].unwrap();
    let n64 = |place: usize| u64::try_from(n(place)).unwrap();
    let n32 = |place: usize| u32::try_from(n(place)).unwrap();
    Some(match word {
        "" => return None,
        "spec" => Event::Spec(PacingSpec {
            rtt_floor_ns: n64(0),
            interval_rtt_q8: n(1).try_into().unwrap(),
            interval_packets_min: n(2).try_into().unwrap(),
            interval_min_ns: n64(3),
            interval_max_ns: n64(4),
            clips: std::array::from_fn(|feature| {
                (n(5 + 2 * feature).try_into().unwrap(), n(6 + 2 * feature).try_into().unwrap())
            }),
        }),
        "flow" => Event::Flow,
        "open" => Event::Open { now: n64(0), rate_bps: n64(1), packet_bytes: n32(2) },
        "send" => Event::Send(n32(0)),
        "ack" => Event::Ack(n32(0), numbers[1].map(|rtt| u64::try_from(rtt).unwrap())),
        "loss" => Event::Loss(n32(0)),
        "due" => Event::Due(n64(0)),
        "end" => Event::End(n64(0)),
        "inputs" => Event::Inputs,
        "action" => Event::Action { rate_bps: n64(0), action_q16: n(1).try_into().unwrap() },
        other => panic!("no such line: {other}"),
    })
}

/// Replays the events and writes them with their results.
pub(crate) fn annotate(events: &[Event]) -> String {
    let mut out = String::from(HEAD);
    let mut spec = PacingSpec::default();
    let (mut base, mut history) = (RttBase::default(), History::fresh());
    let mut interval = Interval::new(0, 0);
    let or_dash = |number: Option<u64>| number.map_or_else(|| "-".into(), |number| number.to_string());
    for event in events {
        match event {
            Event::Spec(new) => {
                spec = new.clone();
                let PacingSpec { rtt_floor_ns, interval_rtt_q8, interval_packets_min, .. } = spec;
                let PacingSpec { interval_min_ns, interval_max_ns, .. } = spec;
                let rule = format!("{rtt_floor_ns} {interval_rtt_q8} {interval_packets_min}");
                let clips = spec.clips.map(|(low, high)| format!("{low} {high}")).join(" ");
                let hash = spec.schema_hash();
                writeln!(out, "spec {rule} {interval_min_ns} {interval_max_ns} {clips} = {hash}").unwrap();
            }
            Event::Flow => {
                (base, history) = (RttBase::default(), History::fresh());
                writeln!(out, "flow").unwrap();
            }
            Event::Open { now, rate_bps, packet_bytes } => {
                let length = spec.interval_ns(&base, *rate_bps, *packet_bytes);
                interval.restart(*now, length);
                writeln!(out, "open {now} {rate_bps} {packet_bytes} = {length}").unwrap();
            }
            Event::Send(bytes) => {
                interval.on_send(*bytes);
                writeln!(out, "send {bytes}").unwrap();
            }
            Event::Ack(bytes, rtt) => {
                interval.on_ack(*bytes, *rtt);
                writeln!(out, "ack {bytes} {}", or_dash(*rtt)).unwrap();
            }
            Event::Loss(bytes) => {
                interval.on_loss(*bytes);
                writeln!(out, "loss {bytes}").unwrap();
            }
            Event::Due(now) => {
                writeln!(out, "due {now} = {}", u8::from(interval.due(*now, &spec))).unwrap();
            }
            Event::End(now) => {
                let report = interval.finish(*now, &mut base, &spec);
                history.push(report.features);
                let [inflation, latency, send] = report.features;
                let mean = or_dash(report.mean_rtt_ns);
                let bytes = format!("{} {} {}", report.sent_bytes, report.acked_bytes, report.lost_bytes);
                let known = format!("{} {}", base.min_interval_mean_ns, base.last_interval_mean_ns);
                let (duration, samples) = (report.duration_ns, report.rtt_samples);
                writeln!(
                    out,
                    "end {now} = {inflation} {latency} {send} {duration} {mean} {bytes} {samples} {known}"
                )
                .unwrap();
            }
            Event::Inputs => {
                let mut inputs = [0; INPUTS];
                history.write_inputs(&mut inputs);
                let rows: Vec<String> = inputs
                    .chunks(FEATURES)
                    .map(|row| row.iter().map(i32::to_string).collect::<Vec<_>>().join(" "))
                    .collect();
                writeln!(out, "inputs = {}", rows.join("  ")).unwrap();
            }
            Event::Action { rate_bps, action_q16 } => {
                let next = apply_action(*rate_bps, *action_q16);
                writeln!(out, "action {rate_bps} {action_q16} = {next}").unwrap();
            }
        }
    }
    out
}
