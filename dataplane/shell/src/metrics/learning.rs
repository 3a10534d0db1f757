//! The trainer's thread and the models that it adapts.

use super::Page;
use crate::control::learning::Learning;
use crate::learning::{ModelLearning, TrainerStatus};
use crate::status::Status;

pub(super) fn learning(page: &mut Page, status: &Status) -> Result<(), prometheus::Error> {
    if let Some(trainer) = &status.trainer {
        self::trainer(page, trainer)?;
    }
    for model in &status.learning {
        self::model(page, model, model.state(status))?;
    }
    Ok(())
}

fn trainer(page: &mut Page, trainer: &TrainerStatus) -> Result<(), prometheus::Error> {
    let running = f64::from(u8::from(trainer.running));
    page.gauge("trainer_running", "1 while the trainer's thread runs.", &[], running)?;
    page.gauge(
        "trainer_last_seen_timestamp_seconds",
        "Unix time at which the trainer's thread last did something.",
        &[],
        trainer.seen_unix_seconds,
    )?;
    page.counter("trainer_steps_total", "Steps that the trainer has taken.", &[], trainer.steps)?;
    page.seconds("trainer_step_seconds_total", "What those steps took.", &[], trainer.step_seconds)?;
    page.gauge(
        "trainer_step_seconds_max",
        "What the longest step of the last minute took.",
        &[],
        trainer.step_seconds_max,
    )?;
    let loaded = f64::from(u8::from(trainer.onnxruntime.is_some()));
    page.gauge("onnxruntime_loaded", "1 when ONNX Runtime was found and loaded.", &[], loaded)?;
    page.counter(
        "store_faults_total",
        "Published generations that could not be kept on disk.",
        &[],
        trainer.store_faults,
    )
}

fn model(page: &mut Page, model: &ModelLearning, state: Learning) -> Result<(), prometheus::Error> {
    let name = ("model", model.name.as_str());
    for learning in Learning::ALL {
        page.gauge(
            "model_learning",
            "1 for what a model does now: learn (adapting), wait for an operator (frozen), or neither (unable).",
            &[name, ("state", learning.name())],
            f64::from(u8::from(state == learning)),
        )?;
    }
    for (fate, count) in &model.samples {
        let help =
            "Samples that have arrived for a model, by what became of them; what is learned from was taken.";
        page.counter("learning_samples_total", help, &[name, ("fate", fate)], *count)?;
    }
    page.counter(
        "learning_steps_total",
        "Steps of the trainer that tuned a model's float network.",
        &[name],
        model.tuned_steps,
    )?;
    page.counter(
        "learning_lessons_total",
        "Those of them in which the network was taught by a classical controller, because flows under the rule fared much better.",
        &[name],
        model.taught_steps,
    )?;
    let [rows, rows_max] = model.window_rows;
    let measured = &model.measured;
    let gauges = [
        ("learning_window_rows", "Transitions in the window that is learned from.", rows as f64),
        ("learning_window_rows_max", "As many as the window holds.", rows_max as f64),
        ("learning_loss", "Loss on the last batch, in units of who tunes.", measured.loss),
        ("learning_stability", "The last stability value, in units of who tunes.", measured.stability),
        (
            "fidelity_loss_sigmas",
            "How far the last candidate that was compared answers from what runs, in standard deviations of its output.",
            measured.fidelity_loss,
        ),
        (
            "quantisation_error_sigmas",
            "How far the last candidate that was quantised answers from its own floats, in standard deviations.",
            measured.quantisation_error,
        ),
    ];
    for (metric, help, value) in gauges {
        page.gauge(metric, help, &[name], value)?;
    }
    for (flows, value) in [("model", measured.reward_model), ("control", measured.reward_control)] {
        let help = "Mean reward, lately, of flows under the model and of the control share: of monitor intervals, 0 to 1; of deliveries, by how many doublings of the time they arrived earlier than usual.";
        page.gauge("live_reward", help, &[name, ("flows", flows)], value)?;
    }
    for (verdict, count) in &model.candidates {
        let help = "Tuned networks that asked to be published, by what the gate said.";
        page.counter("candidates_total", help, &[name, ("verdict", verdict)], *count)?;
    }
    for (origin, count) in &model.swaps {
        let help = "Generations published since the start, by where they came from.";
        page.counter("model_swaps_total", help, &[name, ("origin", origin)], *count)?;
    }
    adapter(page, model)
}

fn adapter(page: &mut Page, model: &ModelLearning) -> Result<(), prometheus::Error> {
    let Some((_, watch)) = &model.adapter else { return Ok(()) };
    let name = ("model", model.name.as_str());
    let connected = f64::from(u8::from(watch.is_connected()));
    page.gauge("adapter_connected", "1 while the adapter process is connected.", &[name], connected)?;
    let counters = [
        ("adapter_connections_total", "Connections made to the adapter process.", watch.connections()),
        ("adapter_answers_total", "Calls that the adapter process answered well.", watch.answers()),
    ];
    for (metric, help, value) in counters {
        page.counter(metric, help, &[name], value)?;
    }
    for (reason, count) in watch.faults() {
        let help = "Calls that the adapter process did not answer well, by reason.";
        page.counter("adapter_faults_total", help, &[name, ("reason", reason.name())], count)?;
    }
    Ok(())
}
