//! A training on disk: exact to the bit, so that one that was stopped ends as one that was not.

use super::{Best, Point, Recipe, Training};
use crate::learner::{LearnerError, State};
use crate::onnx::{self, ImportError};
use crate::ort_engine::Engine;
use crate::rng::Rng;
use serde::{Deserialize, Serialize};

/// Rises with every change of meaning.
const VERSION: u32 = 2;

#[derive(Serialize, Deserialize)]
struct Checkpoint {
    version: u32,
    /// The recipe and the seed, in words: a checkpoint of another training is refused.
    training: String,
    rng: u64,
    steps: u64,
    batches: u64,
    policy: Bits,
    value: Bits,
    best: Option<Kept>,
    /// Steps, reward and its standard error, both as bits of f64.
    curve: Vec<(u64, u64, u64)>,
}

/// A learner's state as bits of f32: JSON's decimals would round.
#[derive(Serialize, Deserialize)]
struct Bits {
    parameters: Vec<u32>,
    mean: Vec<u32>,
    square: Vec<u32>,
    steps: u32,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    onnx: Vec<u8>,
    score: u64,
    steps: u64,
}

/// Why a training cannot be resumed. One line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// The bytes are no checkpoint of this version.
    #[error("no checkpoint of this version ({0}); begin anew without --resume")]
    Format(String),
    /// It is of another recipe or seed.
    #[error("a checkpoint of another training; its options were: {0}")]
    Other(String),
    /// Its best network is damaged.
    #[error("the checkpoint's best network: {0}")]
    Network(#[from] ImportError),
    /// Its state does not fit the networks, or they cannot be trained.
    #[error(transparent)]
    Learner(#[from] LearnerError),
}

fn words(recipe: &Recipe, seed: u64) -> String {
    format!("seed {seed}, {recipe:?}")
}

impl Training {
    /// All that the training remembers.
    pub fn checkpoint(&self) -> Vec<u8> {
        let checkpoint = Checkpoint {
            version: VERSION,
            training: words(&self.recipe, self.seed),
            rng: self.rng.state(),
            steps: self.steps,
            batches: self.batches,
            policy: Bits::of(self.policy.state()),
            value: Bits::of(self.value.state()),
            best: self.best.as_ref().map(|best| Kept {
                onnx: onnx::export(&best.network, "best"),
                score: best.score.to_bits(),
                steps: best.steps,
            }),
            curve: self.curve.iter().map(|p| (p.steps, p.reward.to_bits(), p.error.to_bits())).collect(),
        };
        // Numbers, strings and lists of them: nothing that JSON could refuse.
        serde_json::to_vec(&checkpoint).unwrap_or_default()
    }

    /// Goes on from a checkpoint.
    ///
    /// # Errors
    /// [`ResumeError`]: the bytes are no checkpoint of this recipe and seed.
    pub fn resume(engine: &Engine, recipe: Recipe, seed: u64, bytes: &[u8]) -> Result<Self, ResumeError> {
        let found: Checkpoint =
            serde_json::from_slice(bytes).map_err(|error| ResumeError::Format(error.to_string()))?;
        if found.version != VERSION {
            return Err(ResumeError::Format(format!("version {}", found.version)));
        }
        if found.training != words(&recipe, seed) {
            return Err(ResumeError::Other(found.training));
        }
        let mut training = Self::new(engine, recipe, seed)?;
        training.policy.restore(found.policy.state())?;
        training.value.restore(found.value.state())?;
        (training.rng, training.steps, training.batches) = (Rng::new(found.rng), found.steps, found.batches);
        if let Some(kept) = found.best {
            training.best = Some(Best {
                network: onnx::import_bytes(&kept.onnx, "checkpoint".as_ref())?,
                score: f64::from_bits(kept.score),
                steps: kept.steps,
            });
        }
        let point = |(steps, reward, error)| Point {
            steps,
            reward: f64::from_bits(reward),
            error: f64::from_bits(error),
        };
        training.curve = found.curve.into_iter().map(point).collect();
        Ok(training)
    }
}

impl Bits {
    fn of(state: &State) -> Self {
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect();
        Self {
            parameters: bits(&state.parameters),
            mean: bits(&state.mean),
            square: bits(&state.square),
            steps: state.steps.to_bits(),
        }
    }

    fn state(&self) -> State {
        let values = |bits: &[u32]| bits.iter().map(|&bits| f32::from_bits(bits)).collect();
        State {
            parameters: values(&self.parameters),
            mean: values(&self.mean),
            square: values(&self.square),
            steps: f32::from_bits(self.steps),
        }
    }
}
