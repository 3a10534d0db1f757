//! ONNX Runtime, or why there is none.

use crate::config::{Plan, TunerPlan};
use std::path::Path;
use tracing::{info, warn};
use weir_trainer::ort_engine::Engine;

/// What tuners of this process run on. Loaded once: ONNX Runtime allows one environment per process.
#[derive(Clone, Debug)]
pub(in crate::run) struct Runtime(Result<Engine, String>);

impl Runtime {
    /// From where the configuration, the environment or the usual place has it. A lack is told and no fault: frames are
    /// forwarded and paced without it.
    pub(in crate::run) fn load(plan: &Plan) -> Runtime {
        let library = plan.trainer.as_ref().and_then(|trainer| trainer.onnxruntime.as_deref());
        let runtime = Runtime::of(library);
        let wanted = plan.models.iter().filter_map(|model| model.adapt.as_ref());
        let wanted = wanted.into_iter().any(|adapt| !matches!(adapt.tuner, TunerPlan::Process { .. }));
        match &runtime.0 {
            Ok(engine) => info!("ONNX Runtime {} at {}", engine.version(), engine.path().display()),
            Err(reason) if wanted => {
                warn!("models decide as they are, and do not learn: {reason}");
            }
            Err(_) => {}
        }
        runtime
    }

    pub(super) fn of(library: Option<&Path>) -> Runtime {
        Runtime(Engine::load(library).map_err(|error| error.to_string()))
    }

    /// The loaded library, or why there is none.
    pub(in crate::run) fn engine(&self) -> Result<&Engine, &str> {
        self.0.as_ref().map_err(String::as_str)
    }

    /// Its version.
    pub(in crate::run) fn version(&self) -> Option<&'static str> {
        self.0.as_ref().ok().map(Engine::version)
    }

    /// Of a process that has no trainer, and so no use for it.
    pub(in crate::run) fn unwanted() -> Runtime {
        Runtime(Err("nothing learns here".to_owned()))
    }
}
