//! What it takes to tune a model, made where making may take its time: at the start, or on a reload's thread.

use super::runtime::Runtime;
use crate::config::{AdaptPlan, ConfigError, ModelPlan, Plan, Source, TunerPlan};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use weir_features::ONE;
use weir_trainer::Built;
use weir_trainer::adapter::{AdapterProcess, Options, Subject, Watch};
use weir_trainer::network::{Network, Output};
use weir_trainer::online::gate::{Safety, Terms};
use weir_trainer::online::replay::LinkReplay;
use weir_trainer::online::{
    AdaptError, AdaptReport, Adapter, Batch, PolicyTuner, PolicyTuning, TrainerConfig,
};
use weir_trainer::ort_engine::Engine;

/// A tuner, and what it is to be told.
pub(in crate::run) struct Parts {
    /// What the configuration says of the model.
    pub(super) model: ModelPlan,
    /// How it learns.
    pub(super) adapt: AdaptPlan,
    pub(super) config: TrainerConfig,
    pub(super) terms: Terms,
    /// Deviation of the exploration noise that the tuner was made for.
    pub(super) sigma_q16: u32,
    pub(super) adapter: Box<dyn Adapter>,
    pub(super) replay: LinkReplay,
    /// Who tunes, in words.
    pub(super) tuner: String,
    /// Why nobody does.
    unable: Option<String>,
    /// The adapter process' socket and counters.
    pub(super) process: Option<(PathBuf, Arc<Watch>)>,
    /// The configured float network and its snapshot.
    pub(super) network: Network,
    pub(super) bytes: Vec<u8>,
    /// The snapshot's checksum.
    pub(super) checksum: u32,
}

impl Parts {
    /// For the model that paces, if it is to learn. `built` is that model.
    ///
    /// # Errors
    /// What the tuner cannot work with, at the place of its key.
    pub(in crate::run) fn build(
        plan: &Plan,
        source: &Source,
        built: Option<Box<Built>>,
        runtime: &Runtime,
    ) -> Result<Option<Parts>, ConfigError> {
        let chosen = plan.pacing_model.and_then(|index| Some((index, plan.models.get(index)?)));
        let (Some(trainer), Some((index, model)), Some(built)) = (&plan.trainer, chosen, built) else {
            return Ok(None);
        };
        let Some(adapt) = &model.adapt else { return Ok(None) };
        let at = |key: &str| Plan::model_key(index, key);
        let rates = plan.engine.pacing.as_ref().map_or((0, u64::MAX), |p| (p.rate_min.0, p.rate_max.0));
        let mut config = adapt.config.clone();
        config.interval_ns = trainer.interval.0;
        config.keep = trainer.keep;
        config.seed = plan.engine.seed;
        if let Some(safety) = &mut config.gate.safety {
            *safety = Safety { clamped_max: safety.clamped_max, ..Safety::new(rates.0, rates.1) };
        }
        let terms = Terms {
            name: model.spec.name.clone(),
            function: model.spec.function,
            schema_hash: model.schema.hash(),
            inputs: built.inputs,
            outputs: built.network.outputs(),
            output: Output::Linear,
        };
        let sigma_q16 = plan.engine.pacing.as_ref().map_or(ONE as u32, |pacing| pacing.explore_sigma_q16);
        let tuning = PolicyTuning {
            learning_rate: adapt.learning_rate,
            sigma: f64::from(sigma_q16) / f64::from(ONE),
            seed: plan.engine.seed,
            ..PolicyTuning::default()
        };
        let chosen = Chosen::of(adapt, &terms, &built.network, tuning, runtime).map_err(|reason| {
            let key =
                if matches!(adapt.tuner, TunerPlan::Graph(_)) { "adapt.training_graph" } else { "adapt" };
            source.error(&at(key), reason)
        })?;
        Ok(Some(Parts {
            model: model.clone(),
            adapt: adapt.clone(),
            replay: LinkReplay::new(model.schema.pacing_spec(), config.preference, rates),
            config,
            terms,
            sigma_q16,
            adapter: chosen.adapter,
            tuner: chosen.tuner,
            unable: chosen.unable,
            process: chosen.process,
            checksum: built.snapshot.checksum(),
            network: built.network,
            bytes: built.bytes,
        }))
    }
}

impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.terms.name;
        match &self.unable {
            None => write!(f, "learning: model {name} is tuned by {}", self.tuner),
            Some(reason) => {
                write!(f, "learning: model {name} decides as it is, and does not learn: {reason}")
            }
        }
    }
}

/// Who is to tune.
struct Chosen {
    adapter: Box<dyn Adapter>,
    tuner: String,
    unable: Option<String>,
    process: Option<(PathBuf, Arc<Watch>)>,
}

impl Chosen {
    fn of(
        adapt: &AdaptPlan,
        terms: &Terms,
        network: &Network,
        tuning: PolicyTuning,
        runtime: &Runtime,
    ) -> Result<Chosen, String> {
        match &adapt.tuner {
            TunerPlan::Process { socket, deadline } => {
                let options = Options { deadline: *deadline, ..Options::at(socket.clone()) };
                let subject = Subject {
                    name: terms.name.clone(),
                    function: terms.function.name(),
                    schema_hash: terms.schema_hash,
                };
                let process = AdapterProcess::new(options, subject, network.clone());
                Ok(Chosen {
                    tuner: format!("the process at {}", socket.display()),
                    process: Some((socket.clone(), process.watch())),
                    adapter: Box::new(process),
                    unable: None,
                })
            }
            TunerPlan::Built => Chosen::learner(runtime, "Weir's own head".to_owned(), |engine| {
                PolicyTuner::new(engine, network, &terms.inputs, tuning)
            }),
            TunerPlan::Graph(file) => {
                let tuner = format!("the training graph {}", file.display());
                Chosen::learner(runtime, tuner, |engine| {
                    PolicyTuner::from_file(engine, file, network, &terms.inputs, tuning)
                })
            }
        }
    }

    /// A tuner that `make` makes on ONNX Runtime, where there is one.
    fn learner(
        runtime: &Runtime,
        tuner: String,
        make: impl FnOnce(&Engine) -> Result<PolicyTuner, AdaptError>,
    ) -> Result<Chosen, String> {
        let (adapter, unable): (Box<dyn Adapter>, _) = match runtime.engine() {
            Err(reason) => (Box::new(Unable(reason.to_owned())), Some(reason.to_owned())),
            Ok(engine) => (Box::new(make(engine).map_err(|error| error.to_string())?), None),
        };
        Ok(Chosen { adapter, tuner, unable, process: None })
    }
}

/// A tuner that cannot tune: live rewards are compared all the same, and an operator can roll back.
struct Unable(String);

impl Unable {
    fn error<T>(&self) -> Result<T, AdaptError> {
        Err(AdaptError::Learner(self.0.clone()))
    }
}

impl Adapter for Unable {
    fn adapt(&mut self, _: &Batch) -> Result<AdaptReport, AdaptError> {
        self.error()
    }
    fn evaluate(&mut self, _: &Batch) -> Result<f64, AdaptError> {
        self.error()
    }
    fn freeze(&mut self) -> Result<Network, AdaptError> {
        self.error()
    }
    fn reset(&mut self, _: &Network) -> Result<(), AdaptError> {
        self.error()
    }
}
