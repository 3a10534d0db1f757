//! The table, and the sentence under it. Both are computed from the trials and nothing else.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::measure::Spread;
use crate::scheme::Scheme;
use crate::text::put;
use crate::trial::{Conditions, Phase, Trial};
use crate::weir::Counters;

/// Goodput counts as comparable from this share of the other's.
const COMPARABLE: f64 = 0.9;
/// An RTT must fall by this share, in both phases and in p50 and p95 alike, to count as better. Twelve runs in
/// which nothing differed (the tests have them) differed by up to 7 % per phase. The median over both phases is
/// not judged: it lies between two separate heaps, and the same runs moved it by 19 %.
const RTT_MATERIAL: f64 = 0.1;
/// A loss must be at most this share of the other's to count as better: the same runs, with their few hundred drops
/// in a handful of bursts, differed by a factor of 5.4.
const LOSS_MATERIAL: f64 = 0.1;

/// The whole report as plain text.
pub fn text(conditions: &Conditions, trials: &[Trial]) -> String {
    let mut text = String::new();
    traffic(&mut text, conditions, trials);
    let with_weir: Vec<(&Trial, &Counters)> =
        trials.iter().filter_map(|trial| Some((trial, trial.weir.as_ref()?))).collect();
    if !with_weir.is_empty() {
        text.push('\n');
        counters(&mut text, &with_weir);
    }
    if let Some(sentence) = verdict(conditions, trials) {
        text.push('\n');
        text.push_str(&sentence);
        text.push('\n');
    }
    text
}

fn traffic(text: &mut String, conditions: &Conditions, trials: &[Trial]) {
    let (first, later) = (mbps(conditions.settings.rate_bps.unwrap_or(0)), mbps(conditions.rate_after_bps));
    put!(
        text,
        "{:<16} {:<11} {:>9} {:>17} {:>17} {:>8} {:>8} {:>6}",
        "scheme",
        "link",
        "goodput",
        "TCP RTT p50/p95",
        "ping p50/p95",
        "loss",
        "retrans",
        "Jain"
    );
    put!(
        text,
        "{:<16} {:<11} {:>9} {:>17} {:>17} {:>8} {:>8} {:>6}",
        "",
        "",
        "Mb/s",
        "ms",
        "ms",
        "%",
        "segments",
        ""
    );
    for trial in trials {
        let phases =
            [(first.as_str(), &trial.before), (later.as_str(), &trial.after), ("both", &trial.whole)];
        for (index, (name, phase)) in phases.into_iter().enumerate() {
            let title = if index == 0 { trial.scheme.title() } else { "" };
            put!(
                text,
                "{title:<16} {name:<11} {:>9.1} {:>17} {:>17} {:>8.3} {:>8} {:>6}",
                phase.goodput_mbps,
                pair(phase.tcp_rtt_ms),
                pair(phase.ping_rtt_ms),
                phase.loss * 100.0,
                phase.retransmits,
                phase.jain.map_or("-".to_owned(), |index| format!("{index:.3}"))
            );
        }
    }
    put!(
        text,
        "TCP RTT: the senders' own estimate, time held by Weir included. ping: echo requests beside the traffic, never held."
    );
    put!(text, "loss: frames towards the server dropped by the link or by Weir, of those sent.");
    for trial in trials.iter().filter(|trial| trial.tap_drops > 0) {
        put!(
            text,
            "{}: {} frames were dropped by a full tap before the link saw them",
            trial.scheme.title(),
            trial.tap_drops
        );
    }
    let late = trials.iter().map(|trial| trial.link_late_ms_p99).fold(0.0, f64::max);
    put!(
        text,
        "The host delivered the link's frames at most {late:.1} ms late (99 % of 50 ms windows, worst scheme)."
    );
}

fn counters(text: &mut String, trials: &[(&Trial, &Counters)]) {
    let mut header = format!("{:<34}", "Weir's own count");
    trials.iter().for_each(|(trial, _)| header.push_str(&format!(" {:>16}", trial.scheme.title())));
    put!(text, "{header}");
    let mut row = |name: &str, cell: &dyn Fn(&Counters) -> String| {
        let mut line = format!("{name:<34}");
        trials.iter().for_each(|(_, counters)| line.push_str(&format!(" {:>16}", cell(counters))));
        put!(text, "{line}");
    };
    let keys = |of: fn(&Counters) -> Vec<&String>| -> BTreeSet<&str> {
        trials.iter().flat_map(|(_, counters)| of(counters)).map(String::as_str).collect()
    };
    for source in keys(|counters| counters.decisions.keys().collect()) {
        row(&format!("decisions by {source}"), &|counters| count(counters.decisions.get(source).copied()));
    }
    row("inferences", &|counters| counters.inferences.to_string());
    row("inference cost, ns (mean)", &|counters| {
        counters.inference_ns.map_or("-".to_owned(), |ns| format!("{ns:.0}"))
    });
    row("ECN marks", &|counters| counters.marks.to_string());
    for verdict in keys(|counters| counters.account.verdicts.keys().collect()) {
        row(&format!("verdict {verdict}"), &|counters| {
            count(counters.account.verdicts.get(verdict).copied())
        });
    }
    row("received + originated", &|counters| {
        (counters.account.received + counters.account.originated).to_string()
    });
    row("accounted for (verdicts + held)", &|counters| counters.account.accounted().to_string());
    row("missing", &|counters| counters.account.missing().to_string());
}

/// Whether the model beats forwarding only; `None` if one of them did not run.
pub fn verdict(conditions: &Conditions, trials: &[Trial]) -> Option<String> {
    let of = |scheme: Scheme| trials.iter().find(|trial| trial.scheme == scheme);
    let (model, forward) = (of(Scheme::Model)?, of(Scheme::Forward)?);
    let ratio = model.whole.goodput_mbps / forward.whole.goodput_mbps;
    let facts = format!(
        "goodput {:.1} against {:.1} Mb/s ({ratio:.2} x), TCP RTT p50/p95 {} against {} ms at {} and {} against {} ms \
         at {}, loss {:.3} against {:.3} %",
        model.whole.goodput_mbps,
        forward.whole.goodput_mbps,
        pair(model.before.tcp_rtt_ms),
        pair(forward.before.tcp_rtt_ms),
        mbps(conditions.settings.rate_bps.unwrap_or(0)),
        pair(model.after.tcp_rtt_ms),
        pair(forward.after.tcp_rtt_ms),
        mbps(conditions.rate_after_bps),
        model.whole.loss * 100.0,
        forward.whole.loss * 100.0
    );
    let gains = gains(model, forward);
    Some(if gains.is_empty() {
        format!(
            "The model does NOT beat forwarding only, neither on RTT nor on loss, by more than runs differ: {facts}."
        )
    } else if ratio < COMPARABLE {
        format!(
            "The model does NOT beat forwarding only: it is better on {}, but its goodput is not comparable \
             (below {COMPARABLE} x): {facts}.",
            gains.join(" and ")
        )
    } else {
        format!("The model beats forwarding only on {} at comparable goodput: {facts}.", gains.join(" and "))
    })
}

/// On what `model` is better by more than two runs of one scheme differ.
fn gains(model: &Trial, forward: &Trial) -> Vec<&'static str> {
    let lower = |model: f64, forward: f64| model < forward * (1.0 - RTT_MATERIAL);
    // Middle and tail, so that a better middle cannot hide a worse tail, nor the reverse.
    let phase = |model: &Phase, forward: &Phase| match (model.tcp_rtt_ms, forward.tcp_rtt_ms) {
        (Some(model), Some(forward)) => lower(model.p50, forward.p50) && lower(model.p95, forward.p95),
        _ => false,
    };
    let mut gains = Vec::new();
    if phase(&model.before, &forward.before) && phase(&model.after, &forward.after) {
        gains.push("RTT");
    }
    if forward.whole.loss > 0.0 && model.whole.loss <= forward.whole.loss * LOSS_MATERIAL {
        gains.push("loss");
    }
    gains
}

fn mbps(rate_bps: u64) -> String {
    format!("{} Mb/s", rate_bps as f64 / 1e6)
}

fn pair(spread: Option<Spread>) -> String {
    spread.map_or("-".to_owned(), |spread| format!("{:.1} / {:.1}", spread.p50, spread.p95))
}

fn count(value: Option<u64>) -> String {
    value.map_or("-".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RTT p50, p95 before the change, p50, p95 after it (ms), loss over both, goodput over both (Mb/s).
    type Row = [f64; 6];

    /// Twelve runs of 20 s whose path was the same kernel bridge (or nothing at all, the first), so that every
    /// difference between them is chance.
    const SAME: [Row; 12] = [
        [54.3, 60.0, 93.8, 100.1, 0.00151, 70.7],
        [53.5, 60.0, 88.7, 100.0, 0.00263, 70.7],
        [55.7, 60.1, 93.2, 100.0, 0.00225, 70.7],
        [56.6, 60.2, 91.8, 100.0, 0.00195, 70.7],
        [54.9, 60.0, 90.3, 99.9, 0.00166, 70.6],
        [52.5, 59.9, 92.2, 99.6, 0.00075, 70.7],
        [56.0, 60.0, 90.8, 99.8, 0.00187, 70.5],
        [55.4, 59.9, 88.8, 99.6, 0.00261, 70.5],
        [53.6, 59.7, 94.6, 99.7, 0.00196, 70.7],
        [54.1, 60.2, 93.4, 100.0, 0.00096, 70.7],
        [55.1, 60.0, 90.0, 99.0, 0.00212, 70.7],
        [53.5, 59.8, 93.4, 100.0, 0.00049, 70.6],
    ];

    fn conditions() -> Conditions {
        Conditions {
            settings: weir_link::Settings::default(),
            rate_after_bps: 50_000_000,
            seconds: 20,
            seed: 1,
            config: "conf/demo.toml".into(),
            weir: "weir".into(),
            out: "out".into(),
        }
    }

    fn trial(scheme: Scheme, row: Row) -> Trial {
        let [before_p50, before_p95, after_p50, after_p95, loss, goodput_mbps] = row;
        let phase = |p50: f64, p95: f64| Phase {
            goodput_mbps,
            tcp_rtt_ms: Some(Spread { p50, p95 }),
            ping_rtt_ms: None,
            loss,
            retransmits: 0,
            jain: Some(1.0),
        };
        Trial {
            scheme,
            before: phase(before_p50, before_p95),
            after: phase(after_p50, after_p95),
            whole: phase(after_p50, after_p95),
            weir: None,
            tap_drops: 0,
            link_late_ms_p99: 0.0,
            rate_mbps: Vec::new(),
            tcp_rtt_ms: Vec::new(),
            ping_rtt_ms: Vec::new(),
        }
    }

    fn sentence(model: Row, forward: Row) -> String {
        verdict(&conditions(), &[trial(Scheme::Forward, forward), trial(Scheme::Model, model)]).unwrap()
    }

    #[test]
    fn chance_is_never_called_a_win() {
        for model in SAME {
            for forward in SAME {
                let sentence = sentence(model, forward);
                assert!(
                    sentence.starts_with("The model does NOT beat forwarding only, neither"),
                    "{sentence}"
                );
            }
        }
    }

    #[test]
    fn the_sentence_follows_the_numbers() {
        let forward = [55.0, 60.0, 92.0, 100.0, 2e-3, 70.7];
        let better = |change: fn(&mut Row)| {
            let mut row = forward;
            change(&mut row);
            sentence(row, forward)
        };
        let rtt: fn(&mut Row) = |row| row[..4].iter_mut().for_each(|value| *value /= 2.0);
        assert!(better(rtt).starts_with("The model beats forwarding only on RTT at comparable goodput"));
        assert!(better(|row| row[4] = 0.0).starts_with("The model beats forwarding only on loss at"));
        assert!(better(|row| row[0] /= 2.0).contains("does NOT"), "a middle without its tail, in one phase");
        let slow: fn(&mut Row) = |row| (row[4], row[5]) = (0.0, 60.0);
        assert!(better(slow).contains("its goodput is not comparable"));
        assert!(verdict(&conditions(), &[trial(Scheme::Model, forward)]).is_none());
    }
}
