//! Section `[trainer]`: the thread that learns.

use super::error::ConfigError;
use super::ports::PortsPlan;
use super::schema::File;
use super::source::Source;
use super::units::{Span, Whole};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use weir_engine::time::Ns;

/// The keys of `[trainer]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TrainerKeys {
    core: Option<Whole<0, 1023>>,
    interval: Span,
    store: String,
    keep: Whole<2, 1_000>,
    onnxruntime: Option<String>,
}

impl Default for TrainerKeys {
    fn default() -> TrainerKeys {
        TrainerKeys {
            core: None,
            interval: Span(Ns::from_millis(500)),
            store: STORE_DEFAULT.to_owned(),
            keep: Whole::clamped(16),
            onnxruntime: None,
        }
    }
}

/// The folder that `conf/weir.service` makes.
const STORE_DEFAULT: &str = "/var/lib/weir";
/// A shorter step finds no new samples: intervals are of some milliseconds.
const INTERVAL_MIN: Span = Span(Ns::from_millis(10));
/// A longer one forgets what it was about.
const INTERVAL_MAX: Span = Span(Ns::from_secs(60));

/// The thread that learns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainerPlan {
    /// Its core.
    pub core: usize,
    /// From the beginning of one step to that of the next.
    pub interval: Ns,
    /// Where each model has a folder of published generations.
    pub store: PathBuf,
    /// Generations kept of each model.
    pub keep: usize,
    /// ONNX Runtime's library, where the configuration names it.
    pub onnxruntime: Option<PathBuf>,
}

/// Checks `[trainer]`. `allowed` are the cores of this process.
pub(super) fn check(
    file: &File,
    ports: &PortsPlan,
    allowed: &[usize],
    source: &Source,
) -> Result<Option<TrainerPlan>, ConfigError> {
    let Some(keys) = &file.trainer else { return Ok(None) };
    if matches!(ports, PortsPlan::Captures(_)) {
        let reason = "expected only with devices: senders in a capture do not answer to what is decided";
        return Err(source.error("trainer", reason));
    }
    let refuse = |key: &str, reason: String| Err(source.error(&format!("trainer.{key}"), reason));
    let core = keys.core.unwrap_or(Whole::clamped(file.cores.control.get())).get() as usize;
    if !allowed.contains(&core) {
        let reason = format!("expected one of the cores that this process may use {allowed:?}, found {core}");
        return refuse("core", reason);
    }
    let polls = file.cores.workers.iter().any(|worker| worker.get() as usize == core);
    if polls && !file.cores.shared {
        let reason = format!(
            "expected another core than a worker's ({core}); cores.shared = true allows it, at the cost of gaps in the \
             worker's polling whenever the trainer steps"
        );
        return refuse("core", reason);
    }
    if !(INTERVAL_MIN..=INTERVAL_MAX).contains(&keys.interval) {
        let reason = format!("expected from {INTERVAL_MIN} to {INTERVAL_MAX}, found {}", keys.interval);
        return refuse("interval", reason);
    }
    let path = |key: &str, text: &str| match text.is_empty() || text.contains('\0') {
        true => Err(source.error(&format!("trainer.{key}"), format!("expected a path, found {text:?}"))),
        false => Ok(source.resolve(text)),
    };
    Ok(Some(TrainerPlan {
        core,
        interval: keys.interval.0,
        store: path("store", &keys.store)?,
        keep: keys.keep.get() as usize,
        onnxruntime: keys.onnxruntime.as_deref().map(|text| path("onnxruntime", text)).transpose()?,
    }))
}
