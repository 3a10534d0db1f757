//! The table, what was promised against what was measured, and what makes the bench fail.

use crate::plan::Subject;
use crate::trial::{Inside, Outcome};
use std::fmt::Write;

/// More frames lost than this is no measurement of a rate.
const DROPPED_MAX: f64 = 0.001;

/// Writing into a `String` cannot fail; this says so once.
macro_rules! put {
    ($text:expr, $($format:tt)*) => {
        let _ = writeln!($text, $($format)*);
    };
}

/// Weir's rate as a share of another program's under the same traffic, and what docs/SPEC.md promises of it.
struct Ratio {
    subject: Subject,
    of: Subject,
    least: Option<f64>,
}

const RATIOS: [Ratio; 7] = [
    Ratio { subject: Subject::Forward, of: Subject::FiveTupleSwap, least: Some(0.4) },
    Ratio { subject: Subject::Route, of: Subject::Forward, least: None },
    Ratio { subject: Subject::Model, of: Subject::FiveTupleSwap, least: Some(0.25) },
    Ratio { subject: Subject::Model, of: Subject::L3fwd, least: Some(0.6) },
    Ratio { subject: Subject::Model, of: Subject::Rule, least: Some(0.9) },
    Ratio { subject: Subject::Networks, of: Subject::L3fwd, least: Some(0.35) },
    Ratio { subject: Subject::Networks, of: Subject::Route, least: None },
];
/// From the fewest to the most flows a frame may cost so many times as much.
const SLOPE_MAX: f64 = 2.5;

pub(crate) struct Report<'a> {
    outcomes: &'a [Outcome],
}

impl Report<'_> {
    pub(crate) fn new(outcomes: &[Outcome]) -> Report<'_> {
        Report { outcomes }
    }

    fn groups(&self) -> Vec<&[Outcome]> {
        self.outcomes.chunk_by(|a, b| a.group == b.group).collect()
    }

    /// What makes the bench fail.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for outcome in self.outcomes {
            let mut fault =
                |what: String| faults.push(format!("{}, {}: {what}", outcome.subject.name(), outcome.group));
            if outcome.dropped >= DROPPED_MAX {
                fault(format!("{:.2} % of the frames were lost", outcome.dropped * 100.0));
            }
            if outcome.lost > 0 {
                fault(format!("the source gave up {} acknowledgements", outcome.lost));
            }
            for inside in &outcome.inside {
                if inside.missing != 0.0 {
                    fault(format!("the books do not balance: {} frames are missing", inside.missing));
                }
                if outcome.subject.paces() && inside.decisions == 0.0 {
                    fault("nothing was decided".to_owned());
                }
                if outcome.subject == Subject::Model && inside.inferences == 0.0 {
                    fault("no network was run".to_owned());
                }
                // Half of the frames are data. A flow is not asked for before its interval has an RTT.
                let each = inside.inferences.min(inside.choices);
                if outcome.subject == Subject::Networks && each < 0.4 {
                    fault(format!("the networks were run for {each:.2} of the frames only"));
                }
            }
        }
        faults
    }

    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "{}, one core, 64-byte frames (FCS included); median of windows, least and greatest in brackets\n",
            weir_cpu::cpu_model()
        );
        for group in self.groups() {
            self.group(&mut text, group);
        }
        self.slopes(&mut text);
        put!(
            text,
            "\nbytes a flow: {} tracked, {} more while paced",
            weir_engine::flow::FLOW_BYTES,
            weir_engine::pace::PACED_FLOW_BYTES
        );
        for fault in self.faults() {
            put!(text, "FAULT: {fault}");
        }
        text
    }

    fn group(&self, text: &mut String, group: &[Outcome]) {
        let Some(first) = group.first() else { return };
        let traffic = &first.traffic;
        put!(
            text,
            "\n{}: {} flows, RTT {} ms, {} data frame{} per ACK, ports {}",
            first.group,
            traffic.flows,
            f64::from(traffic.rtt_us) / 1e3,
            traffic.train,
            if traffic.train == 1 { "" } else { "s" },
            match (traffic.copy, traffic.cold) {
                (true, _) => "that copy",
                (false, false) => "without copy",
                (false, true) => "without copy, frames from memory",
            }
        );
        put!(
            text,
            "{:<20} {:>21} {:>7} {:>7} {:>8} {:>9} {:>9} {:>6} {:>11}",
            "",
            "ns a frame",
            "Mpps",
            "% core",
            "lost %",
            "decisions",
            "inferences",
            "held %",
            "ns inference"
        );
        for outcome in group {
            let [ns, least, most] = outcome.spread(|sample| sample.ns);
            let mean = |of: &dyn Fn(&Inside) -> f64| {
                outcome.inside.iter().map(of).sum::<f64>() / outcome.inside.len().max(1) as f64
            };
            let mut line = format!(
                "{:<20} {:>7.1} ({:>5.1}-{:>5.1}) {:>7.1} {:>7.0} {:>8.4}",
                outcome.subject.name(),
                ns,
                least,
                most,
                1e3 / ns,
                outcome.spread(|sample| sample.share)[0] * 100.0,
                outcome.dropped * 100.0
            );
            if outcome.subject.is_weir() {
                let _ = write!(
                    line,
                    " {:>9.4} {:>9.4} {:>7.2}",
                    mean(&|inside| inside.decisions),
                    mean(&|inside| inside.inferences),
                    mean(&|inside| inside.held) * 100.0
                );
                if let Some(Inside { inference_ns: Some(ns), inference_rows: Some(rows), .. }) =
                    outcome.inside.last()
                {
                    let _ = write!(line, " {ns:>5.0} in {rows:.0}s");
                }
                if outcome.subject == Subject::Networks {
                    let _ = write!(line, ", and {:.4} of four ways", mean(&|inside| inside.choices));
                }
            }
            put!(text, "{line}");
        }
        for Ratio { subject, of, least } in RATIOS {
            let find = |wanted| group.iter().find(|outcome| outcome.subject == wanted);
            if let (Some(ours), Some(theirs)) = (find(subject), find(of)) {
                let share = theirs.ns() / ours.ns();
                let goal = least.map_or_else(String::new, |least| {
                    let state = if share >= least { "met" } else { "MISSED" };
                    format!(" (goal at least {least}: {state})")
                });
                put!(text, "  {} is {share:.2} of {}{goal}", subject.name(), of.name());
            }
        }
    }

    fn slopes(&self, text: &mut String) {
        let slope = |wanted: Subject| {
            let mut points: Vec<&Outcome> =
                self.outcomes.iter().filter(|outcome| outcome.slope && outcome.subject == wanted).collect();
            points.sort_by_key(|outcome| outcome.traffic.flows);
            let (first, last) = (points.first()?, points.last()?);
            (first.traffic.flows < last.traffic.flows)
                .then(|| (first.traffic.flows, last.traffic.flows, last.ns() / first.ns()))
        };
        let Some((from, to, peer)) = slope(Subject::L3fwd) else { return };
        put!(text, "\nslope from {from} to {to} flows: l3fwd {peer:.2}");
        for subject in [Subject::Forward, Subject::Rule, Subject::Model] {
            if let Some((_, _, own)) = slope(subject) {
                let goal = peer.min(SLOPE_MAX);
                put!(
                    text,
                    "  {} {own:.2} (goal at most l3fwd's, and under {SLOPE_MAX}: {})",
                    subject.name(),
                    if own <= goal { "met" } else { "MISSED" }
                );
            }
        }
    }
}
