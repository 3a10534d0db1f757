//! What goes over the control socket about models that learn. As in [`super::protocol`], fields are added, never changed
//! or taken away. A number that is not known (yet) is null.

use super::protocol::ReloadResult;
use serde::{Deserialize, Serialize};

/// Models and the trainer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelsReport {
    /// Unix time of this report.
    pub unix_seconds: f64,
    /// The trainer's thread; null where the configuration has none.
    pub trainer: Option<TrainerReport>,
    /// The models that decide, in the functions' order. None where rules do.
    pub models: Vec<LearningReport>,
}

/// The trainer's thread.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainerReport {
    /// Whether it runs. One that has panicked has not taken anything else with it.
    pub running: bool,
    /// Its core.
    pub core: usize,
    /// From one step to the next.
    pub interval_seconds: f64,
    /// Since it was last seen to do something.
    pub silent_seconds: f64,
    /// Steps so far.
    pub steps: u64,
    /// What they took together.
    pub step_seconds: f64,
    /// What the longest of the last minute took.
    pub step_seconds_max: f64,
    /// Version of ONNX Runtime.
    pub onnxruntime: Option<String>,
    /// Where generations are kept.
    pub store: String,
    /// What went wrong with that last.
    pub store_fault: Option<String>,
}

/// Whether and how a model learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Learning {
    /// It does.
    Adapting,
    /// An operator has stopped it.
    Frozen,
    /// It cannot; `why` says why.
    Unable,
    /// The configuration does not ask for it.
    Fixed,
}

impl Learning {
    /// Name as in metrics and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Learning::Adapting => "adapting",
            Learning::Frozen => "frozen",
            Learning::Unable => "unable",
            Learning::Fixed => "fixed",
        }
    }

    /// Every one.
    pub const ALL: [Learning; 4] = [Learning::Adapting, Learning::Frozen, Learning::Unable, Learning::Fixed];
}

/// A model and what the trainer makes of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LearningReport {
    /// Its name in the configuration.
    pub name: String,
    /// What it decides.
    pub function: String,
    /// The file that the configuration names.
    pub file: String,
    /// Whether it learns.
    pub learning: Learning,
    /// Why it cannot.
    pub why: Option<String>,
    /// Who tunes it, in words.
    pub tuner: Option<String>,
    /// The adapter process, where one tunes it.
    pub adapter: Option<AdapterReport>,
    /// Newest first; the first is the active one.
    pub generations: Vec<GenerationReport>,
    /// What is known of its learning; null for one that does not.
    pub progress: Option<Progress>,
}

/// A published generation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GenerationReport {
    /// Its number.
    pub generation: u32,
    /// `active`, `previous` (flows may still be bound to it) or `past`.
    pub state: String,
    /// `configured`, `adapted`, or `rolled back to N`, with ` by itself` where no operator asked for it.
    pub origin: String,
    /// `8bit` or `12bit`.
    pub precision: String,
    /// CRC-32C of the snapshot: 8 hexadecimal digits.
    pub checksum: String,
    /// Time since it was published.
    pub age_seconds: f64,
    /// Whether live traffic has shown it to be worse than the rule.
    pub refused: bool,
    /// What the gate measured.
    pub figures: Vec<Figure>,
}

/// A number with its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// How much.
    pub value: f64,
}

/// How learning goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Samples that have arrived.
    pub samples: u64,
    /// Transitions in the window now.
    pub window_rows: u64,
    /// As many as it holds.
    pub window_rows_max: u64,
    /// The last loss.
    pub loss: Option<f64>,
    /// The last stability value.
    pub stability: Option<f64>,
    /// The last fidelity loss, in standard deviations of the output.
    pub fidelity_loss: Option<f64>,
    /// The last mean quantisation error, in standard deviations of the output.
    pub quantisation_error: Option<f64>,
    /// Mean live reward of flows under the model, lately: pacing, 0 to 1; balance, by how many doublings of the time their
    /// deliveries arrived earlier than usual.
    pub reward_model: Option<f64>,
    /// Of flows of the control share.
    pub reward_control: Option<f64>,
    /// Candidates by verdict, those that there were.
    pub candidates: Vec<Count>,
    /// The last refusals, newest first.
    pub refusals: Vec<RefusalReport>,
}

/// How often something happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// What.
    pub name: String,
    /// How often.
    pub count: u64,
}

/// A candidate that the gate refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RefusalReport {
    /// Unix time of the last such refusal.
    pub unix_seconds: f64,
    /// Its reason's name.
    pub reason: String,
    /// What was found, and what was expected.
    pub text: String,
}

/// An adapter process as Weir meets it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AdapterReport {
    /// Where it listens.
    pub socket: String,
    /// Whether it is connected.
    pub connected: bool,
    /// What it calls itself.
    pub peer: String,
    /// Connections so far.
    pub connections: u64,
    /// Calls that were answered well.
    pub answers: u64,
    /// Calls that were not, by reason, those that there were.
    pub faults: Vec<Count>,
    /// The last fault.
    pub last_fault: Option<String>,
}

/// What came of a rollback, a freeze or a resume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// How it ended.
    pub result: ReloadResult,
    /// The generation that is active now.
    pub generation: Option<u32>,
    /// Why it was refused.
    pub reasons: Vec<String>,
}
