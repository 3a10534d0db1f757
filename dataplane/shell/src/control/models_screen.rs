//! `weir ctl models` as an operator reads it.

use super::learning::{
    AdapterReport, Count, Figure, GenerationReport, LearningReport, ModelsReport, Progress,
};
use super::table::{Table, span};
use std::fmt::Write as _;

/// Renders a report.
pub fn render(report: &ModelsReport) -> String {
    let mut text = String::new();
    trainer(&mut text, report);
    if report.models.is_empty() {
        text.push_str("no model: the rule decides\n");
    }
    for model in &report.models {
        self::model(&mut text, model, report.unix_seconds);
    }
    text
}

// Writing to a String cannot fail: what `write!` returns is left aside below.

fn trainer(out: &mut String, report: &ModelsReport) {
    let Some(trainer) = &report.trainer else {
        out.push_str("trainer    none: nothing learns\n\n");
        return;
    };
    let state = if trainer.running { "running" } else { "NOT RUNNING" };
    let mean = trainer.step_seconds / trainer.steps.max(1) as f64;
    let _ = writeln!(
        out,
        "trainer    {state} on core {}, a step every {} ms: {} so far, {:.1} ms on average, {:.1} ms at most; last seen {} ago",
        trainer.core,
        trainer.interval_seconds * 1e3,
        trainer.steps,
        mean * 1e3,
        trainer.step_seconds_max * 1e3,
        span(trainer.silent_seconds),
    );
    let _ = writeln!(out, "           ONNX Runtime {}", trainer.onnxruntime.as_deref().unwrap_or("missing"));
    let _ = writeln!(out, "store      {}", trainer.store);
    if let Some(fault) = &trainer.store_fault {
        let _ = writeln!(out, "           {fault}");
    }
    out.push('\n');
}

fn model(out: &mut String, model: &LearningReport, now: f64) {
    let _ = writeln!(out, "model      {}, {}, from {}", model.name, model.function, model.file);
    let learning = model.learning.name();
    let _ = match (&model.tuner, &model.why) {
        (_, Some(why)) => writeln!(out, "learning   {learning}: {why}"),
        (Some(tuner), None) => writeln!(out, "learning   {learning}: tuned by {tuner}"),
        (None, None) => writeln!(out, "learning   {learning}"),
    };
    if let Some(adapter) = &model.adapter {
        self::adapter(out, adapter);
    }
    if let Some(progress) = &model.progress {
        self::progress(out, progress, now);
    }
    out.push('\n');
    generations(out, &model.generations);
}

fn adapter(out: &mut String, adapter: &AdapterReport) {
    let state = match adapter.connected {
        true => format!("{} is connected", adapter.peer),
        false => "not connected".to_owned(),
    };
    let faults = counts(&adapter.faults, "none");
    let _ = writeln!(
        out,
        "process    {}: {state}; {} answers, faults: {faults}",
        adapter.socket, adapter.answers
    );
    if let Some(fault) = &adapter.last_fault {
        let _ = writeln!(out, "           last: {fault}");
    }
}

fn progress(out: &mut String, progress: &Progress, now: f64) {
    let shown = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.4}"));
    let (model, control) = (shown(progress.reward_model), shown(progress.reward_control));
    let _ = writeln!(out, "reward     model {model}, control {control}");
    let Progress { window_rows, window_rows_max, samples, .. } = progress;
    let _ =
        writeln!(out, "window     {window_rows} of {window_rows_max} rows, from {samples} samples so far");
    let _ = writeln!(
        out,
        "last step  loss {}, stability {}, fidelity loss {}, quantisation error {}",
        shown(progress.loss),
        shown(progress.stability),
        shown(progress.fidelity_loss),
        shown(progress.quantisation_error)
    );
    let _ = writeln!(out, "candidates {}", counts(&progress.candidates, "none yet"));
    for refusal in &progress.refusals {
        let ago = span(now - refusal.unix_seconds);
        let _ = writeln!(out, "           {ago} ago: {}: {}", refusal.reason, refusal.text);
    }
}

fn counts(counts: &[Count], none: &str) -> String {
    let texts: Vec<String> = counts.iter().map(|Count { name, count }| format!("{count} {name}")).collect();
    if texts.is_empty() { none.to_owned() } else { texts.join(", ") }
}

fn generations(out: &mut String, generations: &[GenerationReport]) {
    let head = ["state", "origin", "precision", "checksum", "generation", "age"];
    let mut table = Table::new(4, &head);
    for generation in generations {
        let state = if generation.refused { "REFUSED" } else { &generation.state };
        table.rows.push(vec![
            state.to_owned(),
            generation.origin.clone(),
            generation.precision.clone(),
            generation.checksum.clone(),
            generation.generation.to_string(),
            span(generation.age_seconds),
        ]);
    }
    table.print(out);
    out.pop();
    for generation in generations.iter().filter(|generation| !generation.figures.is_empty()) {
        let figure = |figure: &Figure| format!("{} {:.4}", figure.name, figure.value);
        let figures: Vec<String> = generation.figures.iter().map(figure).collect();
        let _ = writeln!(out, "gate of {}: {}", generation.generation, figures.join(", "));
    }
}
