//! From the configuration's models to published generations.

use crate::config::{ConfigError, ModelPlan, Plan, Source};
use crate::status::{ModelStatus, unix_seconds};
use std::sync::Arc;
use weir_engine::models::{Generation, ModelSet};
use weir_snapshot::{Executable, Executor, Snapshot};
use weir_trainer::Built;

/// The set to start with, and what to show of it.
pub(super) fn first_set(
    plan: &Plan,
    built: &[Built],
    source: &Source,
) -> Result<(ModelSet, Vec<ModelStatus>), ConfigError> {
    let Some(index) = plan.pacing_model else { return Ok((ModelSet::empty(), Vec::new())) };
    let (Some(model), Some(built)) = (plan.models.get(index), built.get(index)) else {
        return Ok((ModelSet::empty(), Vec::new()));
    };
    let (generation, status) = generation(1, model, built.snapshot.clone())
        .map_err(|reason| source.error(&Plan::model_key(index, "file"), reason))?;
    Ok((ModelSet::empty().with(Arc::new(generation)), vec![status]))
}

/// A snapshot as generation `number`, run by the best executor of this machine.
fn generation(
    number: u32,
    model: &ModelPlan,
    snapshot: Snapshot,
) -> Result<(Generation, ModelStatus), String> {
    let executor = Executor::best();
    let status = ModelStatus {
        name: model.spec.name.clone(),
        function: snapshot.function().name(),
        generation: number,
        precision: snapshot.precision().name(),
        executor: executor.name(),
        schema_hash: snapshot.schema_hash(),
        checksum: snapshot.checksum(),
        published_unix_seconds: unix_seconds(),
    };
    let executable = Executable::new(snapshot, executor).map_err(|error| error.to_string())?;
    let generation =
        Generation::new(number, executable, model.schema.hash()).map_err(|error| error.to_string())?;
    Ok((generation, status))
}
