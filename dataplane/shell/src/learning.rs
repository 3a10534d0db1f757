//! What the trainer's thread tells of itself and of the models that it adapts; plain numbers that others show.

use crate::control::learning::{
    AdapterReport, Count, Figure, GenerationReport, Learning, LearningReport, ModelsReport, Progress,
    RefusalReport, TrainerReport,
};
use crate::status::{ModelStatus, Status};
use std::path::PathBuf;
use std::sync::Arc;
use weir_trainer::adapter::Watch;

/// Refusals that are shown to operators: one of each kind, and few enough for a screen.
const REFUSALS_SHOWN: usize = 6;

/// The trainer's thread.
#[derive(Clone, Debug, Default)]
pub struct TrainerStatus {
    /// Whether it runs.
    pub running: bool,
    /// Its core.
    pub core: usize,
    /// From one step to the next.
    pub interval_seconds: f64,
    /// Unix time at which it last did something.
    pub seen_unix_seconds: f64,
    /// Steps so far.
    pub steps: u64,
    /// What they took together.
    pub step_seconds: f64,
    /// What the longest of the last minute took.
    pub step_seconds_max: f64,
    /// Version of ONNX Runtime, where it was loaded.
    pub onnxruntime: Option<&'static str>,
    /// Where generations are kept.
    pub store: PathBuf,
    /// Generations that could not be kept.
    pub store_faults: u64,
    /// The last of these.
    pub store_fault: Option<String>,
}

/// A model that the trainer adapts.
#[derive(Clone, Debug)]
pub struct ModelLearning {
    /// Its name in the configuration.
    pub name: String,
    /// Whether it learns.
    pub learning: Learning,
    /// Why it cannot.
    pub why: Option<String>,
    /// Who tunes it, in words.
    pub tuner: String,
    /// The adapter process' socket and counters, where one tunes it.
    pub adapter: Option<(PathBuf, Arc<Watch>)>,
    /// Published generations, newest first.
    pub generations: Vec<GenerationStatus>,
    /// Publications since the start, by origin, those that did not happen too.
    pub swaps: Vec<(&'static str, u64)>,
    /// Samples that have arrived, by what became of them.
    pub samples: Vec<(&'static str, u64)>,
    /// Transitions in the window, and as many as it holds.
    pub window_rows: [u64; 2],
    /// Steps that have tuned.
    pub tuned_steps: u64,
    /// Those of them in which the network was taught.
    pub taught_steps: u64,
    /// What was last measured, by its name in metrics.
    pub measured: Measured,
    /// Candidates by verdict, those that there were none of too.
    pub candidates: Vec<(&'static str, u64)>,
    /// The last refusal of each kind.
    pub refusals: Vec<RefusalStatus>,
}

/// What was last measured; not a number where nothing was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Loss on the last batch.
    pub loss: f64,
    /// Stability value.
    pub stability: f64,
    /// Fidelity loss of the last candidate that was compared, in standard deviations of the output.
    pub fidelity_loss: f64,
    /// Mean quantisation error of the last candidate that was quantised, likewise.
    pub quantisation_error: f64,
    /// Mean live reward of flows under the model, lately.
    pub reward_model: f64,
    /// Of flows of the control share.
    pub reward_control: f64,
}

impl Default for Measured {
    fn default() -> Measured {
        Measured {
            loss: f64::NAN,
            stability: f64::NAN,
            fidelity_loss: f64::NAN,
            quantisation_error: f64::NAN,
            reward_model: f64::NAN,
            reward_control: f64::NAN,
        }
    }
}

/// A published generation.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerationStatus {
    /// Its number.
    pub generation: u32,
    /// Why it was published.
    pub origin: String,
    /// `8bit` or `12bit`.
    pub precision: &'static str,
    /// CRC-32C of the snapshot.
    pub checksum: u32,
    /// Unix time of its publication.
    pub published_unix_seconds: f64,
    /// Whether live traffic has shown it to be worse than the rule.
    pub refused: bool,
    /// What the gate measured, by name.
    pub figures: Vec<(String, f64)>,
}

/// A refusal by the gate.
#[derive(Clone, Debug, PartialEq)]
pub struct RefusalStatus {
    /// Unix time.
    pub unix_seconds: f64,
    /// Name of its reason.
    pub reason: &'static str,
    /// What was found, and what would have passed.
    pub text: String,
}

/// What `weir ctl models` shows.
pub fn report(status: &Status, now: f64) -> ModelsReport {
    ModelsReport {
        unix_seconds: now,
        trainer: status.trainer.as_ref().map(|trainer| trainer_report(trainer, now)),
        models: status.models.iter().map(|model| model_report(status, model, now)).collect(),
    }
}

fn trainer_report(trainer: &TrainerStatus, now: f64) -> TrainerReport {
    TrainerReport {
        running: trainer.running,
        core: trainer.core,
        interval_seconds: trainer.interval_seconds,
        silent_seconds: (now - trainer.seen_unix_seconds).max(0.0),
        steps: trainer.steps,
        step_seconds: trainer.step_seconds,
        step_seconds_max: trainer.step_seconds_max,
        onnxruntime: trainer.onnxruntime.map(str::to_owned),
        store: trainer.store.display().to_string(),
        store_fault: trainer.store_fault.clone(),
    }
}

fn model_report(status: &Status, live: &ModelStatus, now: f64) -> LearningReport {
    let known = status.learning.iter().find(|model| model.name == live.name);
    // The trainer knows of generations that no longer live; control alone knows what has been published in this moment.
    let past = known.map_or(&[][..], |model| &model.generations);
    let active = GenerationReport {
        generation: live.generation,
        state: "active".to_owned(),
        origin: "configured".to_owned(),
        precision: live.precision.to_owned(),
        checksum: format!("{:08x}", live.checksum),
        age_seconds: (now - live.published_unix_seconds).max(0.0),
        refused: false,
        figures: Vec::new(),
    };
    let mut generations: Vec<GenerationReport> =
        past.iter().map(|generation| generation_report(generation, live, now)).collect();
    if !past.iter().any(|generation| generation.generation == live.generation) {
        generations.insert(0, active);
    }
    LearningReport {
        name: live.name.clone(),
        function: live.function.to_owned(),
        file: live.file.display().to_string(),
        learning: known.map_or(Learning::Fixed, |model| model.state(status)),
        why: known.and_then(|model| model.reason(status)),
        tuner: known.map(|model| model.tuner.clone()),
        adapter: known.and_then(|model| model.adapter.as_ref()).map(adapter_report),
        generations,
        progress: known.map(progress),
    }
}

impl ModelLearning {
    /// Whether it learns: what the trainer said last, unless it says nothing any more.
    pub fn state(&self, status: &Status) -> Learning {
        let running = status.trainer.as_ref().is_some_and(|trainer| trainer.running);
        if running { self.learning } else { Learning::Unable }
    }

    fn reason(&self, status: &Status) -> Option<String> {
        match status.trainer.as_ref().is_some_and(|trainer| trainer.running) {
            true => self.why.clone(),
            false => Some("the trainer's thread has ended; its last words are in the log".to_owned()),
        }
    }
}

fn generation_report(generation: &GenerationStatus, live: &ModelStatus, now: f64) -> GenerationReport {
    let state = match generation.generation {
        number if number == live.generation => "active",
        number if Some(number) == live.previous => "previous",
        _ => "past",
    };
    GenerationReport {
        generation: generation.generation,
        state: state.to_owned(),
        origin: generation.origin.clone(),
        precision: generation.precision.to_owned(),
        checksum: format!("{:08x}", generation.checksum),
        age_seconds: (now - generation.published_unix_seconds).max(0.0),
        refused: generation.refused,
        figures: generation
            .figures
            .iter()
            .map(|(name, value)| Figure { name: name.clone(), value: *value })
            .collect(),
    }
}

fn progress(model: &ModelLearning) -> Progress {
    let known = |value: f64| value.is_finite().then_some(value);
    let [window_rows, window_rows_max] = model.window_rows;
    let measured = &model.measured;
    let mut refusals = model.refusals.clone();
    refusals.sort_by(|one, other| other.unix_seconds.total_cmp(&one.unix_seconds));
    Progress {
        samples: model.samples.iter().map(|(_, count)| count).sum(),
        window_rows,
        window_rows_max,
        loss: known(measured.loss),
        stability: known(measured.stability),
        fidelity_loss: known(measured.fidelity_loss),
        quantisation_error: known(measured.quantisation_error),
        reward_model: known(measured.reward_model),
        reward_control: known(measured.reward_control),
        candidates: counts(model.candidates.iter().copied()),
        refusals: refusals
            .into_iter()
            .take(REFUSALS_SHOWN)
            .map(|RefusalStatus { unix_seconds, reason, text }| RefusalReport {
                unix_seconds,
                reason: reason.to_owned(),
                text,
            })
            .collect(),
    }
}

fn adapter_report((socket, watch): &(PathBuf, Arc<Watch>)) -> AdapterReport {
    AdapterReport {
        socket: socket.display().to_string(),
        connected: watch.is_connected(),
        peer: watch.peer(),
        connections: watch.connections(),
        answers: watch.answers(),
        faults: counts(watch.faults().map(|(reason, count)| (reason.name(), count))),
        last_fault: watch.last_fault(),
    }
}

/// Those that there were.
fn counts<'a>(counts: impl Iterator<Item = (&'a str, u64)>) -> Vec<Count> {
    counts
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| Count { name: name.to_owned(), count })
        .collect()
}
