//! The one place that talks to ONNX Runtime, through the crate declared as `onnxruntime` (see docs/decisions/).
//!
//! The library is loaded at run time, and only after its SHA-256 is one that this program knows: "which engine said
//! so" is then a fact and not a guess, and another library of the same name cannot run here by accident.
//! `scripts/fetch-ort.sh` installs it.

mod bound;
mod named;

pub use bound::Bound;
pub use named::{Input, Named};

use onnxruntime::environment::Environment;
use onnxruntime::logging::LogLevel;
use onnxruntime::session::Session;
use onnxruntime::session::builder::GraphOptimizationLevel;
use onnxruntime::value::{DynValue, Tensor, TensorElementType, ValueType};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Environment variable that names the library.
pub const LIBRARY_VARIABLE: &str = "WEIR_ORT_LIB";
/// Where `scripts/fetch-ort.sh` puts the library, relative to the working directory.
pub const LIBRARY_DEFAULT: &str = "third_party/ort/libonnxruntime.so";

/// Libraries that may be loaded: version and SHA-256, the latter as `scripts/fetch-ort.sh` has it.
const PINS: [(&str, &str); 1] =
    [("1.26.0", "50775d390eb55e7abd9f6d734da103a04f0e5342ef0a76b1c6ec795544439295")];

/// The first library that was loaded: ONNX Runtime allows one environment per process.
static LOADED: Mutex<Option<Engine>> = Mutex::new(None);

/// A loaded ONNX Runtime.
#[derive(Debug, Clone)]
pub struct Engine {
    environment: Environment,
    version: &'static str,
    path: PathBuf,
}

/// Why ONNX Runtime has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// There is no library at the path.
    #[error("no ONNX Runtime at {0}: run scripts/fetch-ort.sh, or name the library in {LIBRARY_VARIABLE}")]
    Missing(PathBuf),
    /// The library cannot be read.
    #[error("{0}: cannot be read: {1}")]
    Unreadable(PathBuf, std::io::Error),
    /// The library is not one of the pinned ones.
    #[error("{path}: SHA-256 {found} is of no ONNX Runtime that is known here ({known}); not loaded")]
    Unknown {
        /// The library.
        path: PathBuf,
        /// Its checksum.
        found: String,
        /// Pinned versions.
        known: String,
    },
    /// The library does not load, or is too old for the crate.
    #[error("{0}: does not load: {1}")]
    Load(PathBuf, String),
    /// The model is refused by ONNX Runtime, or fails in it.
    #[error("ONNX Runtime: {0}")]
    Model(String),
}

impl Engine {
    /// Loads the library named by `path`, else by [`LIBRARY_VARIABLE`], else at [`LIBRARY_DEFAULT`].
    ///
    /// A process keeps the first library that it loads: a later call checks its file, too, but gets the first one if
    /// the versions are the same.
    ///
    /// # Errors
    /// [`EngineError::Missing`] where there is none, others when it is not usable.
    pub fn load(path: Option<&Path>) -> Result<Self, EngineError> {
        let path = match path {
            Some(path) => path.to_path_buf(),
            None => std::env::var_os(LIBRARY_VARIABLE).map_or_else(|| LIBRARY_DEFAULT.into(), PathBuf::from),
        };
        let bytes = std::fs::read(&path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => EngineError::Missing(path.clone()),
            _ => EngineError::Unreadable(path.clone(), error),
        })?;
        let mut found = String::new();
        for byte in Sha256::digest(&bytes) {
            // Writing to a String cannot fail.
            let _ = write!(found, "{byte:02x}");
        }
        let Some((version, _)) = PINS.iter().find(|(_, sum)| *sum == found) else {
            let known = PINS.map(|(version, _)| version).join(", ");
            return Err(EngineError::Unknown { path, found, known });
        };
        // Nothing is left half done where a panic could poison the lock.
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = loaded.as_ref().filter(|engine| engine.version == *version) {
            return Ok(engine.clone());
        }
        let builder = onnxruntime::init_from(&path)
            .map_err(|error| EngineError::Load(path.clone(), error.to_string()))?;
        let environment = builder
            .with_name("weir")
            .with_telemetry(false)
            .build()
            .map_err(|error| EngineError::Load(path.clone(), error.to_string()))?;
        // Its errors come back as values; its own log would tell them again, in several coloured lines on stderr.
        environment.set_log_level(LogLevel::Fatal);
        let engine = Self { environment, version, path };
        *loaded = Some(engine.clone());
        Ok(engine)
    }

    /// Version of the library, from its checksum.
    pub const fn version(&self) -> &'static str {
        self.version
    }

    /// Where the library was loaded from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Evaluates a model file on rows of its inputs, all graph inputs side by side. One thread.
    ///
    /// # Errors
    /// [`EngineError::Model`] with ONNX Runtime's own words.
    pub fn evaluate(&self, model: &[u8], rows: &[Vec<f64>]) -> Result<Vec<Vec<f64>>, EngineError> {
        let mut session = self.session(model, GraphOptimizationLevel::Level1).map_err(failed)?;
        let inputs: Vec<GraphInput> = session
            .inputs()
            .iter()
            .map(|input| GraphInput::of(input.name(), input.dtype()))
            .collect::<Result<_, _>>()?;
        // A file that fixes its batch must be fed exactly that many rows at a time.
        let batch = inputs.iter().find_map(|input| input.batch).unwrap_or(rows.len().max(1));
        let mut results = Vec::with_capacity(rows.len());
        for chunk in rows.chunks(batch) {
            let padded = || chunk.iter().chain(std::iter::repeat(&chunk[0])).take(batch);
            let mut column = 0;
            let mut values = Vec::new();
            for input in &inputs {
                let cells =
                    padded().flat_map(|row| row[column..].iter().take(input.width).copied()).collect();
                column += input.width;
                values.push((input.name.clone(), input.tensor(batch, cells).map_err(failed)?));
            }
            let outputs = session.run(values).map_err(failed)?;
            let flat = flatten(&outputs[0])?;
            let width = flat.len() / batch;
            results.extend(flat.chunks(width.max(1)).take(chunk.len()).map(<[f64]>::to_vec));
        }
        Ok(results)
    }

    fn session(&self, model: &[u8], level: GraphOptimizationLevel) -> onnxruntime::Result<Session> {
        Session::builder(&self.environment)?
            .with_intra_threads(1)?
            .with_inter_threads(1)?
            .with_optimization_level(level)?
            .with_log_level(LogLevel::Fatal)?
            .commit_from_memory(model)
    }
}

/// What a session says of one graph input, or of an output.
struct GraphInput {
    name: String,
    width: usize,
    batch: Option<usize>,
    double: bool,
}

impl GraphInput {
    fn of(name: &str, value_type: &ValueType) -> Result<Self, EngineError> {
        let unexpected = || EngineError::Model(format!("'{name}' is no float matrix"));
        let ValueType::Tensor { ty, shape, .. } = value_type else { return Err(unexpected()) };
        let [batch, width] = shape[..] else { return Err(unexpected()) };
        let double = match ty {
            TensorElementType::Float32 => false,
            TensorElementType::Float64 => true,
            _ => return Err(unexpected()),
        };
        let width = usize::try_from(width).map_err(|_| unexpected())?;
        Ok(Self { name: name.to_string(), width, batch: usize::try_from(batch).ok(), double })
    }

    fn tensor(&self, batch: usize, cells: Vec<f64>) -> onnxruntime::Result<DynValue> {
        let shape = [batch, self.width];
        if self.double {
            return Ok(Tensor::from_array((shape, cells))?.into_dyn());
        }
        let cells: Vec<f32> = cells.iter().map(|&cell| cell as f32).collect();
        Ok(Tensor::from_array((shape, cells))?.into_dyn())
    }
}

/// ONNX Runtime's own words, on one line.
fn failed(error: onnxruntime::Error) -> EngineError {
    EngineError::Model(error.to_string().split_whitespace().collect::<Vec<_>>().join(" "))
}

fn flatten(value: &DynValue) -> Result<Vec<f64>, EngineError> {
    if let Ok((_, cells)) = value.try_extract_tensor::<f32>() {
        return Ok(cells.iter().map(|&cell| f64::from(cell)).collect());
    }
    if let Ok((_, cells)) = value.try_extract_tensor::<f64>() {
        return Ok(cells.to_vec());
    }
    if let Ok((_, cells)) = value.try_extract_tensor::<i64>() {
        return Ok(cells.iter().map(|&cell| cell as f64).collect());
    }
    Err(EngineError::Model("the output is neither float, double nor int64".into()))
}
