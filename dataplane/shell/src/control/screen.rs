//! A status as an operator reads it: one screen, worst news in words, numbers in columns.

use super::protocol::{
    ConfigReport, LimitReport, PathReport, PortReport, ScheduleReport, StatusReport, WorkerReport,
};
use super::table::{Table, scaled, span};
use crate::calendar;
use std::fmt::Write as _;

/// Renders a report.
pub fn render(report: &StatusReport) -> String {
    let mut text = String::new();
    head(&mut text, report);
    ports(&mut text, report);
    workers(&mut text, report);
    paths(&mut text, &report.paths);
    limits(&mut text, &report.limits);
    models(&mut text, report);
    text
}

fn head(out: &mut String, report: &StatusReport) {
    let up = span(report.unix_seconds - report.started_unix_seconds);
    let state = if report.hindrances.is_empty() { "ready" } else { "NOT READY" };
    let _ =
        writeln!(out, "weir {}, dpdk {}   {state}   up {up}   pid {}", report.weir, report.dpdk, report.pid);
    for hindrance in &report.hindrances {
        let _ = writeln!(out, "         {hindrance}");
    }
    config(out, &report.config, report.unix_seconds);
    out.push('\n');
}

fn config(out: &mut String, config: &ConfigReport, now: f64) {
    let ago = |then: f64| format!("{} UTC, {} ago", calendar::date_time(then), span(now - then));
    let _ = writeln!(out, "config   {}, loaded {}", config.file, ago(config.loaded_unix_seconds));
    for text in &config.overrides {
        let _ = writeln!(out, "         --set {text}");
    }
    let ConfigReport { applied, unchanged, refused, .. } = config;
    let _ = writeln!(out, "reloads  {applied} applied, {unchanged} unchanged, {refused} refused");
    if let Some(last) = &config.last {
        let result = last.outcome.result.name();
        let _ = writeln!(out, "         last {result}, {}", ago(last.unix_seconds));
        for reason in &last.outcome.reasons {
            let _ = writeln!(out, "         {reason}");
        }
    }
}

fn ports(out: &mut String, report: &StatusReport) {
    let mut table = Table::new(
        3,
        &["port", "device", "link", "rx missed", "rx errors", "no buffer", "tx errors", "times down"],
    );
    for PortReport { side, status: port } in &report.ports {
        let link = if port.up { "up" } else { "DOWN" };
        let counts = [port.rx_missed, port.rx_errors, port.rx_no_buffer, port.tx_errors, port.downs];
        let names = [side.as_str(), port.name.as_str(), link].map(str::to_owned);
        table.rows.push(names.into_iter().chain(counts.map(|count| count.to_string())).collect());
    }
    table.print(out);
}

fn workers(out: &mut String, report: &StatusReport) {
    let mut table = Table::new(
        0,
        &[
            "worker",
            "core",
            "in frame/s",
            "in bit/s",
            "out frame/s",
            "out bit/s",
            "busy",
            "longest turn",
            "flows",
            "paced",
            "held",
        ],
    );
    for worker in &report.workers {
        table.rows.push(vec![
            worker.worker.to_string(),
            worker.core.to_string(),
            scaled(worker.received_frames_per_second),
            scaled(worker.received_bits_per_second),
            scaled(worker.sent_frames_per_second),
            scaled(worker.sent_bits_per_second),
            format!("{:.0} %", worker.busy_share * 100.0),
            format!("{:.3} ms", worker.turn_seconds_max * 1e3),
            worker.flows.to_string(),
            worker.paced_flows.to_string(),
            worker.held_frames.to_string(),
        ]);
    }
    table.print(out);
    let _ = writeln!(out, "dropped    {}", drops(&report.workers));
    if let Some(buffers) = report.buffers {
        let _ = writeln!(out, "buffers    {} of {} in use", buffers.in_use, buffers.total);
    }
}

fn paths(out: &mut String, paths: &[PathReport]) {
    if paths.is_empty() {
        return;
    }
    let head = [
        "path",
        "made of",
        "state",
        "flows",
        "frames",
        "bit/s",
        "rtt",
        "least rtt",
        "loss",
        "marked",
        "answered",
        "failures",
    ];
    let mut table = Table::new(3, &head);
    for path in paths {
        let state = match path.share {
            _ if path.workers_up == 0 => "DOWN".to_owned(),
            _ if path.workers_up < path.workers => format!("up for {} of {}", path.workers_up, path.workers),
            0.0 => "drain".to_owned(),
            share if share < 1.0 => format!("slow start, {:.0} %", share * 100.0),
            _ => "up".to_owned(),
        };
        let rtt = |seconds: f64| match seconds {
            0.0 => "-".to_owned(),
            seconds => format!("{:.3} ms", seconds * 1e3),
        };
        table.rows.push(vec![
            path.name.clone(),
            path.made_of.clone(),
            state,
            path.flows.to_string(),
            path.frames.to_string(),
            scaled(path.sent_bits_per_second),
            rtt(path.rtt_seconds),
            rtt(path.base_rtt_seconds),
            format!("{:.1} %", path.loss_share * 100.0),
            format!("{:.1} %", path.ecn_share * 100.0),
            format!("{} of {}", path.answers, path.probes),
            path.failures.to_string(),
        ]);
    }
    table.print(out);
}

fn limits(out: &mut String, limits: &[LimitReport]) {
    if limits.is_empty() {
        return;
    }
    let head =
        ["limit", "on", "bit/s", "may", "frames", "waits", "mean wait", "marked", "dropped", "held bytes"];
    let mut table = Table::new(2, &head);
    for limit in limits {
        let mean = match limit.waits {
            0 => "-".to_owned(),
            waits => format!("{:.3} ms", limit.wait_seconds * 1e3 / waits as f64),
        };
        table.rows.push(vec![
            limit.name.clone(),
            limit.on.clone(),
            scaled(limit.sent_bits_per_second),
            scaled(limit.rate_bits_per_second),
            limit.frames.to_string(),
            limit.waits.to_string(),
            mean,
            limit.marked.to_string(),
            limit.dropped.to_string(),
            scaled(limit.held_bytes as f64),
        ]);
    }
    table.print(out);
}

/// All drops so far, by verdict, over all workers.
fn drops(workers: &[WorkerReport]) -> String {
    let mut sums: Vec<(&str, u64)> = Vec::new();
    for drop in workers.iter().flat_map(|worker| &worker.drops) {
        match sums.iter_mut().find(|(verdict, _)| *verdict == drop.verdict) {
            Some((_, sum)) => *sum += drop.frames,
            None => sums.push((&drop.verdict, drop.frames)),
        }
    }
    let texts: Vec<String> = sums.iter().map(|(verdict, sum)| format!("{sum} {verdict}")).collect();
    if texts.is_empty() { "nothing".to_owned() } else { texts.join(", ") }
}

fn models(out: &mut String, report: &StatusReport) {
    let made = &report.decisions;
    let total = made.model + made.explored + made.rule + made.control;
    let share = |part: u64| match total {
        0 => "0".to_owned(),
        _ => format!("{part} ({:.1} %)", part as f64 * 100.0 / total as f64),
    };
    let [model, explored, rule, control] = [made.model, made.explored, made.rule, made.control].map(share);
    let _ = writeln!(
        out,
        "decisions  {model} by model, {explored} with noise, {rule} by rule, {control} by rule for control\n"
    );
    if let Some(schedule) = &report.schedule {
        let ScheduleReport { model, rule, control, waiting, left } = schedule;
        let left: Vec<String> = left.iter().map(u64::to_string).collect();
        out.pop();
        let _ = writeln!(
            out,
            "scheduled  {model} flows by model, {rule} by rule, {control} by rule for control; {waiting} frames wait\n\
             priority   {} frames left, of 0 to 7\n",
            left.join(" ")
        );
    }
    if report.models.is_empty() {
        out.push_str("no model: the rule decides\n");
        return;
    }
    let head = ["model", "function", "precision", "executor", "schema", "checksum", "generation", "age"];
    let mut table = Table::new(6, &head);
    for model in &report.models {
        table.rows.push(vec![
            model.name.clone(),
            model.function.clone(),
            model.precision.clone(),
            model.executor.clone(),
            model.schema.clone(),
            model.checksum.clone(),
            model.generation.to_string(),
            span(model.age_seconds),
        ]);
    }
    table.print(out);
    out.pop();
}
