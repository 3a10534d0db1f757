//! From the configuration's models to published generations.

use crate::config::{ConfigError, ModelPlan, Plan, Source};
use crate::models::BuiltModel;
use crate::status::{ModelStatus, unix_seconds};
use std::sync::Arc;
use weir_engine::models::{Generation, ModelSet};
use weir_snapshot::{Executable, Executor, Precision, Snapshot};

/// The set to start with, and what to show of it.
pub(super) fn first_set(plan: &Plan, built: &[BuiltModel], source: &Source) -> Result<(ModelSet, Vec<ModelStatus>), ConfigError> {
    let Some(index) = plan.pacing_model else { return Ok((ModelSet::empty(), Vec::new())) };
    let (Some(model), Some(built)) = (plan.models.get(index), built.get(index)) else {
        return Ok((ModelSet::empty(), Vec::new()));
    };
    let (generation, status) = generation(1, model, &built.bytes)
        .map_err(|reason| source.error(&Plan::model_key(index, "file"), reason))?;
    Ok((ModelSet::empty().with(Arc::new(generation)), vec![status]))
}

/// A snapshot's bytes as generation `number`, run by the best executor of this machine.
fn generation(number: u32, model: &ModelPlan, bytes: &[u8]) -> Result<(Generation, ModelStatus), String> {
    let snapshot = Snapshot::decode(bytes).map_err(|error| error.to_string())?;
    let executor = Executor::best();
    let status = ModelStatus {
        name: model.name.clone(),
        function: "pacing",
        generation: number,
        precision: precision_name(snapshot.precision()),
        executor: executor.name(),
        schema_hash: snapshot.schema_hash(),
        checksum: snapshot.checksum(),
        published_unix_seconds: unix_seconds(),
    };
    let executable = Executable::new(snapshot, executor).map_err(|error| error.to_string())?;
    let generation = Generation::new(number, executable, model.schema.hash()).map_err(|error| error.to_string())?;
    Ok((generation, status))
}

/// As the configuration writes it.
pub fn precision_name(precision: Precision) -> &'static str {
    match precision {
        Precision::Bits8 => "8bit",
        Precision::Bits12 => "12bit",
    }
}
