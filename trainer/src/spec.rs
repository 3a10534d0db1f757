//! One `[[model]]` of a configuration, and the whole way from its file to a snapshot.

use crate::network::Network;
use crate::onnx::{self, ImportError};
use crate::quantise::{InputMap, QuantiseError, QuantiseOptions, quantise};
use crate::reward::Preference;
use crate::verify::{self, Errors, VerifyError};
use std::fmt;
use std::path::{Path, PathBuf};
use weir_features::{
    FlowSignals, HISTORY, Input, InputSchema, PacingSpec, PathSchema, PathSignals, PathSpec, SchemaError,
    SizeSchema, SizeSpec, f64_from_q16,
};
use weir_snapshot::{Function, Precision, Snapshot, SnapshotError};

/// Rows on which a build states its quantisation error; a millisecond each thousand.
const ROWS: usize = 4096;
/// Seed of those rows.
const SEED: u64 = 1;
/// Rows on which weights are rounded together: twice as many gain nothing that shows.
const ROUNDING_ROWS: usize = 1024;
/// Seed of those, which are not the ones that tell the error.
const ROUNDING_SEED: u64 = 2;

/// A model as the configuration names it.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSpec {
    /// 1 to 32 printable ASCII bytes.
    pub name: String,
    /// What it decides.
    pub function: Function,
    /// The ONNX file.
    pub file: PathBuf,
    /// Width of weights and values.
    pub precision: Precision,
    /// The features of one interval, in the datapath's order.
    pub inputs: Vec<InputSpec>,
    /// Intervals that the network is shown.
    pub history: usize,
    /// The feature definitions' other parameters (its clips are replaced by those of the inputs).
    pub pacing: PacingSpec,
    /// For a network that takes the weights of throughput, latency and loss after the features: what they are. They are
    /// folded into its first layer, so that what is built takes features only.
    pub preference: Option<Preference>,
}

impl ModelSpec {
    /// A pacing model with the features' default clips, as the shipped configurations name theirs.
    pub fn pacing(name: &str, file: &Path, precision: Precision) -> Self {
        let pacing = PacingSpec::default();
        Self {
            name: name.to_string(),
            function: Function::Pacing,
            file: file.to_path_buf(),
            precision,
            inputs: PacingSpec::FEATURES.iter().zip(&pacing.clips).map(InputSpec::plain).collect(),
            history: HISTORY,
            pacing,
            preference: None,
        }
    }

    /// The same for a model that chooses paths, with the clips of the shipped one.
    pub fn balance(name: &str, file: &Path, precision: Precision) -> Self {
        let clips = crate::paths::spec().clips;
        Self {
            function: Function::Balance,
            inputs: PathSpec::FEATURES.iter().zip(&clips).map(InputSpec::plain).collect(),
            history: 1,
            ..Self::pacing(name, file, precision)
        }
    }

    /// The same for a model that predicts flow sizes.
    pub fn schedule(name: &str, file: &Path, precision: Precision) -> Self {
        let clips = SizeSpec::default().clips;
        Self {
            function: Function::Schedule,
            inputs: SizeSpec::FEATURES.iter().zip(&clips).map(InputSpec::plain).collect(),
            history: 1,
            ..Self::pacing(name, file, precision)
        }
    }
}

impl InputSpec {
    /// A feature as it is, within a clip in 1/65536.
    pub fn plain((feature, clip): (&&str, &(i32, i32))) -> InputSpec {
        InputSpec {
            feature: (*feature).to_string(),
            scale: 1.0,
            offset: 0.0,
            clip: [f64_from_q16(clip.0), f64_from_q16(clip.1)],
        }
    }
}

/// Weights of a preference, each an input of a network that takes one.
pub const PREFERENCE_INPUTS: usize = 3;

/// One feature and its way into the network: `scale * clamp(feature, clip) + offset`.
#[derive(Debug, Clone, PartialEq)]
pub struct InputSpec {
    /// Name of the feature.
    pub feature: String,
    /// Factor between the feature and the network's input.
    pub scale: f64,
    /// Added after scaling.
    pub offset: f64,
    /// Smallest and largest feature value.
    pub clip: [f64; 2],
}

/// A built model.
#[derive(Debug, Clone)]
pub struct Built {
    /// The snapshot's bytes.
    pub bytes: Vec<u8>,
    /// The snapshot, decoded.
    pub snapshot: Snapshot,
    /// The float network that it came from.
    pub network: Network,
    /// One map per network input.
    pub inputs: Vec<InputMap>,
    /// What to tell an operator.
    pub report: BuildReport,
}

/// What was built. `Display` gives a few lines for `weir check`.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildReport {
    /// The model's name.
    pub name: String,
    /// The file it came from.
    pub file: PathBuf,
    /// What it decides.
    pub function: Function,
    /// Width of weights and values.
    pub precision: Precision,
    /// What it was built for, where it takes a preference.
    pub preference: Option<Preference>,
    /// Widths of all layers, "30-32-16-1".
    pub shape: String,
    /// Name of each layer's activation.
    pub activations: Vec<&'static str>,
    /// Weights and biases.
    pub parameters: usize,
    /// Size of the snapshot in bytes.
    pub snapshot_bytes: usize,
    /// Names the input definitions.
    pub schema_hash: u64,
    /// The snapshot's own checksum.
    pub checksum: u32,
    /// The integers against the float network, on seeded rows within the clips.
    pub quantisation: Errors,
}

impl fmt::Display for BuildReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, file) = (&self.name, self.file.display());
        writeln!(f, "model {name}: {} network from {file}", self.function.name())?;
        let activations = self.activations.join(", ");
        writeln!(f, "  layers {} ({activations}), {} parameters", self.shape, self.parameters)?;
        if let Some(Preference { throughput, latency, loss }) = self.preference {
            writeln!(f, "  preference {throughput} throughput, {latency} latency, {loss} loss, folded in")?;
        }
        writeln!(
            f,
            "  snapshot {}, {} bytes, schema {:016x}, checksum {:08x}",
            self.precision.name(),
            self.snapshot_bytes,
            self.schema_hash,
            self.checksum
        )?;
        write!(f, "  quantisation error {}", self.quantisation)
    }
}

/// Why a model cannot be built. One line each, with the model's file or name in it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The file is refused.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The inputs are not what the datapath can give.
    #[error("model '{name}': {error}")]
    Schema {
        /// The model's name.
        name: String,
        /// What is wrong.
        error: SchemaError,
    },
    /// The network takes another number of values than the configuration gives it.
    #[error(
        "{}: the network takes {found} inputs, but model '{name}' gives it {features} features x {history} intervals \
         = {expected}", file.display()
    )]
    Inputs {
        /// The model's file.
        file: PathBuf,
        /// The model's name.
        name: String,
        /// The network's inputs.
        found: usize,
        /// Features per interval.
        features: usize,
        /// Intervals.
        history: usize,
        /// Their product.
        expected: usize,
    },
    /// The network takes a preference, and there is none.
    #[error(
        "{}: the network takes {found} inputs, {PREFERENCE_INPUTS} more than the features of model '{name}'; expected a \
         preference for them: weights of throughput, latency and loss, such as [0.6, 0.3, 0.1]", file.display()
    )]
    NoPreference {
        /// The model's file.
        file: PathBuf,
        /// The model's name.
        name: String,
        /// The network's inputs.
        found: usize,
    },
    /// There is a preference, and the network does not take one.
    #[error(
        "{}: the network takes {found} inputs; expected {expected} for model '{name}', whose preference is the last \
         {PREFERENCE_INPUTS} of them", file.display()
    )]
    Preference {
        /// The model's file.
        file: PathBuf,
        /// The model's name.
        name: String,
        /// The network's inputs.
        found: usize,
        /// Inputs of features and preference together.
        expected: usize,
    },
    /// A network gives one number.
    #[error("{}: the network gives {found} outputs, but a model gives 1", file.display())]
    Outputs {
        /// The model's file.
        file: PathBuf,
        /// The network's outputs.
        found: usize,
    },
    /// The network has no integers.
    #[error("{}: {error}", file.display())]
    Quantise {
        /// The model's file.
        file: PathBuf,
        /// Why.
        error: QuantiseError,
    },
    /// The quantiser's bytes do not decode, or do not fit the network: a defect here, caught before it is run.
    #[error("{}: the snapshot does not stand its own check: {reason}", file.display())]
    Check {
        /// The model's file.
        file: PathBuf,
        /// What the check said.
        reason: String,
    },
}

/// The hash of the schema and the input maps of a model, without reading its file.
///
/// # Errors
/// [`BuildError::Schema`].
pub fn inputs(spec: &ModelSpec) -> Result<(u64, Vec<InputMap>), BuildError> {
    let hash = match spec.function {
        Function::Pacing => pacing_schema(spec)?.hash(),
        Function::Schedule => SizeSchema::new(&named(spec)).map_err(|error| refused(spec, error))?.hash(),
        Function::Balance => PathSchema::new(&named(spec)).map_err(|error| refused(spec, error))?.hash(),
    };
    let row = spec.inputs.iter().map(|i| InputMap { scale: i.scale, offset: i.offset, clip: i.clip });
    let maps = (0..spec.history).flat_map(|_| row.clone()).collect();
    Ok((hash, maps))
}

/// The schema of a pacing model.
///
/// # Errors
/// [`BuildError::Schema`].
pub fn pacing_schema(spec: &ModelSpec) -> Result<InputSchema, BuildError> {
    InputSchema::pacing(&spec.pacing, spec.history, &named(spec)).map_err(|error| refused(spec, error))
}

fn named(spec: &ModelSpec) -> Vec<Input<'_>> {
    spec.inputs
        .iter()
        .map(|&InputSpec { ref feature, scale, offset, clip }| Input { feature, scale, offset, clip })
        .collect()
}

fn refused(spec: &ModelSpec, error: SchemaError) -> BuildError {
    BuildError::Schema { name: spec.name.clone(), error }
}

/// Imports, checks and quantises a model.
///
/// # Errors
/// [`BuildError`], one line.
pub fn build(spec: &ModelSpec) -> Result<Built, BuildError> {
    let (schema_hash, maps) = inputs(spec)?;
    let network = network(spec, maps.len())?;
    let resting = resting_features(spec.function, &maps);
    let reference: Vec<f64> = (0..spec.history).flat_map(|_| resting.iter().copied()).collect();
    let rows = verify::rows(&maps, spec.inputs.len(), ROUNDING_ROWS, ROUNDING_SEED);
    let rows: Vec<Vec<f64>> = rows.iter().map(|row| row.iter().map(|&x| f64_from_q16(x)).collect()).collect();
    let options = QuantiseOptions {
        name: &spec.name,
        function: spec.function,
        precision: spec.precision,
        schema_hash,
        inputs: &maps,
        reference: &reference,
        calibration: &[],
        rows: &rows,
    };
    let bytes = quantise(&network, &options)
        .map_err(|error| BuildError::Quantise { file: spec.file.clone(), error })?;
    let snapshot =
        Snapshot::decode(&bytes).map_err(|error: SnapshotError| check(&spec.file, error.to_string()))?;
    let rows = verify::rows(&maps, spec.inputs.len(), ROWS, SEED);
    let quantisation = verify::quantisation_error(&snapshot, &network, &maps, &rows)
        .map_err(|error: VerifyError| check(&spec.file, error.to_string()))?;
    let report = BuildReport {
        name: spec.name.clone(),
        file: spec.file.clone(),
        function: spec.function,
        precision: spec.precision,
        preference: spec.preference,
        shape: network.shape(),
        activations: network.layers.iter().map(|layer| layer.activation.name()).collect(),
        parameters: network.layers.iter().map(|layer| layer.weights.len() + layer.bias.len()).sum(),
        snapshot_bytes: bytes.len(),
        schema_hash,
        checksum: snapshot.checksum(),
        quantisation,
    };
    Ok(Built { bytes, snapshot, network, inputs: maps, report })
}

/// The network in a model's file, its preference folded in: it takes `features` values and gives one.
///
/// # Errors
/// [`BuildError`]: the file is refused, or its network takes or gives another number of values.
pub fn network(spec: &ModelSpec, features: usize) -> Result<Network, BuildError> {
    let network = onnx::import(&spec.file)?;
    let (file, name, found) = (spec.file.clone(), spec.name.clone(), network.inputs());
    let both = features + PREFERENCE_INPUTS;
    let network = match &spec.preference {
        Some(preference) if found == both => network.with_last_inputs(&preference.weights()),
        Some(_) => return Err(BuildError::Preference { file, name, found, expected: both }),
        None if found == features => network,
        None if found == both => return Err(BuildError::NoPreference { file, name, found }),
        None => {
            let (expected, features, history) = (features, spec.inputs.len(), spec.history);
            return Err(BuildError::Inputs { file, name, found, features, history, expected });
        }
    };
    match network.outputs() {
        1 => Ok(network),
        found => Err(BuildError::Outputs { file, found }),
    }
}

/// What an interval without news, an idle path, or a flow to a peer that nothing is known of reads, within the clips.
fn resting_features(function: Function, maps: &[InputMap]) -> Vec<f64> {
    let neutral: Vec<i32> = match function {
        Function::Pacing => weir_features::History::NEUTRAL.to_vec(),
        Function::Balance => {
            PathSpec::default().row(&PathSignals::default(), &FlowSignals::default()).to_vec()
        }
        Function::Schedule => vec![0; maps.len()],
    };
    let neutral = neutral.iter().copied().map(f64_from_q16);
    maps.iter().zip(neutral).map(|(map, x)| x.clamp(map.clip[0], map.clip[1])).collect()
}

fn check(file: &Path, reason: String) -> BuildError {
    BuildError::Check { file: file.to_path_buf(), reason }
}

#[cfg(test)]
mod tests;
