//! The table, and the sentence under it. Both are computed from the trials and nothing else.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::measure::Spread;
use crate::scheme::Scheme;
use crate::trial::{Conditions, Phase, Trial};
use crate::weir::Counters;

/// Goodput counts as comparable from this share of the other's.
const COMPARABLE: f64 = 0.9;
/// An improvement smaller than this share is not called one: two runs of the same scheme differ by as much.
const MATERIAL: f64 = 0.05;
/// Loss below this share is not worth an improvement.
const LOSS_MATERIAL: f64 = 1e-4;

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
    if let Some(sentence) = verdict(trials) {
        text.push('\n');
        text.push_str(&sentence);
        text.push('\n');
    }
    text
}

/// Writing into a `String` cannot fail; this says so once.
macro_rules! put {
    ($text:expr, $($format:tt)*) => {
        let _ = writeln!($text, $($format)*);
    };
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
    row("missing", &|counters| {
        let account = &counters.account;
        (i128::from(account.received + account.originated) - i128::from(account.accounted())).to_string()
    });
}

/// Whether the model beats forwarding only; `None` if one of them did not run.
pub fn verdict(trials: &[Trial]) -> Option<String> {
    let of = |scheme: Scheme| trials.iter().find(|trial| trial.scheme == scheme).map(|trial| &trial.whole);
    let (model, forward) = (of(Scheme::Model)?, of(Scheme::Forward)?);
    let ratio = model.goodput_mbps / forward.goodput_mbps;
    let facts = format!(
        "goodput {:.1} against {:.1} Mb/s ({ratio:.2} x), TCP RTT p50/p95 {} against {} ms, loss {:.3} against {:.3} %",
        model.goodput_mbps,
        forward.goodput_mbps,
        pair(model.tcp_rtt_ms),
        pair(forward.tcp_rtt_ms),
        model.loss * 100.0,
        forward.loss * 100.0
    );
    let gains = gains(model, forward);
    Some(if gains.is_empty() {
        format!("The model does NOT beat forwarding only, neither on RTT nor on loss: {facts}.")
    } else if ratio < COMPARABLE {
        format!(
            "The model does NOT beat forwarding only: it is better on {}, but its goodput is not comparable (below {COMPARABLE} x): {facts}.",
            gains.join(" and ")
        )
    } else {
        format!("The model beats forwarding only on {} at comparable goodput: {facts}.", gains.join(" and "))
    })
}

/// On what `model` is materially better.
fn gains(model: &Phase, forward: &Phase) -> Vec<&'static str> {
    let lower = |model: f64, forward: f64| model < forward * (1.0 - MATERIAL);
    let mut gains = Vec::new();
    if let (Some(model), Some(forward)) = (model.tcp_rtt_ms, forward.tcp_rtt_ms) {
        // Both, so that a better middle cannot hide a worse tail, nor the reverse.
        if lower(model.p50, forward.p50) && lower(model.p95, forward.p95) {
            gains.push("RTT");
        }
    }
    if lower(model.loss, forward.loss) && forward.loss > LOSS_MATERIAL {
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

    fn trial(scheme: Scheme, goodput_mbps: f64, rtt: f64, loss: f64) -> Trial {
        let phase = Phase {
            goodput_mbps,
            tcp_rtt_ms: Some(Spread { p50: rtt, p95: 2.0 * rtt }),
            ping_rtt_ms: None,
            loss,
            retransmits: 0,
            jain: Some(1.0),
        };
        Trial {
            scheme,
            before: phase.clone(),
            after: phase.clone(),
            whole: phase,
            weir: None,
            tap_drops: 0,
            link_late_ms_p99: 0.0,
            rate_mbps: Vec::new(),
            tcp_rtt_ms: Vec::new(),
            ping_rtt_ms: Vec::new(),
        }
    }

    fn sentence(model: (f64, f64, f64)) -> String {
        let forward = trial(Scheme::Forward, 70.0, 60.0, 0.01);
        verdict(&[forward, trial(Scheme::Model, model.0, model.1, model.2)]).unwrap()
    }

    #[test]
    fn the_sentence_follows_the_numbers() {
        assert!(
            sentence((69.0, 30.0, 0.0)).starts_with("The model beats forwarding only on RTT and loss at")
        );
        assert!(sentence((69.0, 60.0, 0.001)).starts_with("The model beats forwarding only on loss at"));
        assert!(
            sentence((69.0, 59.0, 0.0099)).starts_with("The model does NOT beat forwarding only, neither")
        );
        assert!(sentence((60.0, 30.0, 0.0)).contains("its goodput is not comparable"));
        assert!(verdict(&[trial(Scheme::Model, 1.0, 1.0, 0.0)]).is_none());
    }
}
