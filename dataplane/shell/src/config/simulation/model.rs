//! The models that an experiment names.

use crate::config::error::ConfigError;
use crate::config::plan::preference;
use crate::config::schema::ModelPrecision;
use crate::config::source::Source;
use crate::config::units::Share;
use std::path::Path;
use std::sync::Arc;
use weir_engine::models::Generation;
use weir_engine::time::Ns;
use weir_sim::experiment::{ModelUse, PacingUse, SizeModel, Tuned};
use weir_snapshot::{Executable, Executor};
use weir_trainer::ort_engine::Engine;
use weir_trainer::{Built, ModelSpec};

/// What a scheme says about its model besides the file.
pub(super) struct Terms {
    pub(super) precision: ModelPrecision,
    pub(super) preference: Option<[Share; 3]>,
    pub(super) interval: Option<Ns>,
    pub(super) number: u32,
}

/// Builds the size-predicting model that `file`, named at `key`, holds; with `adapt` also what tunes it.
pub(super) fn build_sizes(
    key: &str,
    file: &str,
    bits: ModelPrecision,
    adapt: bool,
    source: &Source,
) -> Result<SizeModel, ConfigError> {
    let path = source.resolve(file);
    let spec = ModelSpec::schedule(&name(&path), &path, bits.into());
    let (built, executable) = built(key, &spec, source)?;
    let schema = built.snapshot.schema_hash();
    let generation = Generation::of_sizes(1, executable, schema).map_err(|error| source.error(key, error))?;
    let tuned = adapt.then(|| tuned(key, built, source)).transpose()?;
    Ok(SizeModel { generation: Arc::new(generation), tuned })
}

/// What tunes a model on the way: ONNX Runtime, where it is.
fn tuned(key: &str, built: Built, source: &Source) -> Result<Tuned, ConfigError> {
    let engine = Engine::load(None).map_err(|error| source.error(key, format!("to adapt it: {error}")))?;
    Ok(Tuned { built: Arc::new(built), engine })
}

/// Builds the pacing model that `file`, named at `key`, holds.
pub(super) fn build(key: &str, file: &str, terms: &Terms, source: &Source) -> Result<ModelUse, ConfigError> {
    let path = source.resolve(file);
    let mut spec = ModelSpec::pacing(&name(&path), &path, terms.precision.into());
    spec.pacing = PacingUse::with_interval(spec.pacing, terms.interval);
    if let Some(weights) = terms.preference {
        let wanted =
            preference(weights).map_err(|reason| source.error(key, format!("preference: {reason}")))?;
        spec.preference = Some(wanted);
    }
    let (built, executable) = built(key, &spec, source)?;
    let schema = built.snapshot.schema_hash();
    let generation =
        Generation::new(terms.number, executable, schema).map_err(|error| source.error(key, error))?;
    Ok(ModelUse { generation: Arc::new(generation), spec: spec.pacing })
}

/// Builds the model that chooses paths which `file`, named at `key`, holds; with `adapt` also what tunes it.
pub(super) fn build_paths(
    key: &str,
    file: &str,
    precision: ModelPrecision,
    adapt: bool,
    source: &Source,
) -> Result<(Arc<Generation>, Option<Tuned>), ConfigError> {
    let path = source.resolve(file);
    let spec = ModelSpec::balance(&name(&path), &path, precision.into());
    let (built, executable) = built(key, &spec, source)?;
    let schema = built.snapshot.schema_hash();
    let generation = Generation::of_paths(1, executable, schema).map_err(|error| source.error(key, error))?;
    let tuned = adapt.then(|| tuned(key, built, source)).transpose()?;
    Ok((Arc::new(generation), tuned))
}

fn name(path: &Path) -> String {
    path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().chars().take(32).collect())
}

fn built(key: &str, spec: &ModelSpec, source: &Source) -> Result<(Built, Executable), ConfigError> {
    let built = weir_trainer::build(spec).map_err(|error| source.error(key, error))?;
    let executable = Executable::new(built.snapshot.clone(), Executor::best())
        .map_err(|error| source.error(key, error))?;
    Ok((built, executable))
}
