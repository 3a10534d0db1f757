//! A status as an operator reads it: one screen, worst news in words, numbers in columns.

use super::protocol::{ConfigReport, PortReport, StatusReport, WorkerReport};
use crate::calendar;
use std::fmt::Write as _;

/// Renders a report.
pub fn render(report: &StatusReport) -> String {
    let mut text = String::new();
    head(&mut text, report);
    ports(&mut text, report);
    workers(&mut text, report);
    models(&mut text, report);
    text
}

/// Rows of cells, each column as wide as its widest cell; text to the left, numbers to the right.
struct Table {
    rows: Vec<Vec<String>>,
    /// Columns of text, counted from the left.
    texts: usize,
}

impl Table {
    fn new(texts: usize, head: &[&str]) -> Table {
        Table { rows: vec![head.iter().map(|cell| (*cell).to_owned()).collect()], texts }
    }

    fn print(&self, out: &mut String) {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let gap = if column == 0 { "" } else { "  " };
                // Writing to a String cannot fail.
                let _ = match column < self.texts {
                    true => write!(line, "{gap}{cell:<width$}"),
                    false => write!(line, "{gap}{cell:>width$}"),
                };
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out.push('\n');
    }
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

/// A span in its two largest units.
fn span(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as u64;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// A number with three digits or so and a metric prefix.
fn scaled(number: f64) -> String {
    const UNITS: [(f64, &str); 4] = [(1e9, " G"), (1e6, " M"), (1e3, " k"), (1.0, "")];
    let (factor, unit) =
        UNITS.into_iter().find(|(factor, _)| number >= *factor * 0.9995).unwrap_or((1.0, ""));
    let number = number / factor;
    let decimals = if unit.is_empty() || number >= 99.95 {
        0
    } else if number >= 9.995 {
        1
    } else {
        2
    };
    format!("{number:.decimals$}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (number, text) in [
            (0.0, "0"),
            (7.4, "7"),
            (999.0, "999"),
            (999.9, "1.00 k"),
            (12_345.0, "12.3 k"),
            (95_240_000.0, "95.2 M"),
            (9_999_999_999.0, "10.0 G"),
        ] {
            assert_eq!(scaled(number), text);
        }
    }

    #[test]
    fn spans_have_two_units() {
        for (seconds, text) in [
            (-1.0, "0 s"),
            (59.9, "59 s"),
            (61.0, "1 min 1 s"),
            (7_260.0, "2 h 1 min"),
            (90_000.0, "1 d 1 h"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }
}
