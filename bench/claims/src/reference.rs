//! What a policy reaches that was trained in a place itself, from nothing: what adaptation is measured against.

use crate::experiment::Stage;
use anyhow::Result;
use weir_trainer::network::Network;
use weir_trainer::ort_engine::Engine;
use weir_trainer::ppo::{Recipe, Task, Training};

/// Decisions that it learns from: twenty times those of an adaptation.
const STEPS: u64 = 1_000_000;
/// Trainings, of which the best counts.
pub(crate) const SEEDS: u64 = 3;
/// Decisions per update: Aurora's.
const BATCH: usize = 8_192;

/// Trains for the conditions of a stage.
pub(crate) fn train(engine: &Engine, stage: &Stage, seed: u64) -> Result<Network> {
    let recipe = Recipe {
        batch: BATCH,
        deviation: 0.25,
        selection: (10, 50),
        ..Recipe::of(Task::Given(stage.conditions), STEPS)
    };
    let mut training = Training::new(engine, recipe, seed)?;
    while !training.is_done() {
        training.iterate()?;
    }
    Ok(training.network())
}
