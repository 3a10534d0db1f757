//! What it takes to tune a model, made where making may take its time: at the start, or on a reload's thread.

use super::runtime::Runtime;
use crate::config::{AdaptPlan, ConfigError, ModelPlan, ModelSchema, Plan, Source, TrainerPlan, TunerPlan};
use crate::run::each::Each;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weir_features::ONE;
use weir_snapshot::Function;
use weir_trainer::Built;
use weir_trainer::adapter::{AdapterProcess, Options, Subject, Watch};
use weir_trainer::network::Network;
use weir_trainer::online::gate::{Safety, Terms};
use weir_trainer::online::replay::{LinkReplay, Replay};
use weir_trainer::online::{
    AdaptError, AdaptReport, Adapter, Batch, PolicyTuner, PolicyTuning, PredictionTuner, PredictionTuning,
    TrainerConfig,
};
use weir_trainer::ort_engine::Engine;
use weir_trainer::quantise::InputMap;

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
    /// The world in which candidates are driven; none for a model that predicts.
    pub(super) replay: Option<Box<dyn Replay>>,
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
    /// For each model that decides, if it is to learn. `built` are those models.
    ///
    /// # Errors
    /// What a tuner cannot work with, at the place of its key.
    pub(in crate::run) fn build(
        plan: &Plan,
        source: &Source,
        mut built: Each<Option<Box<Built>>>,
        runtime: &Runtime,
    ) -> Result<Each<Option<Parts>>, ConfigError> {
        Each::try_of(|function| {
            let (Some(trainer), Some((index, model)), Some(built)) =
                (&plan.trainer, plan.decides(function), built[function].take())
            else {
                return Ok(None);
            };
            let Some(adapt) = &model.adapt else { return Ok(None) };
            Parts::of(plan, trainer, model, adapt, *built, runtime).map(Some).map_err(|reason| {
                let key =
                    if matches!(adapt.tuner, TunerPlan::Graph(_)) { "adapt.training_graph" } else { "adapt" };
                source.error(&Plan::model_key(index, key), reason)
            })
        })
    }

    fn of(
        plan: &Plan,
        trainer: &TrainerPlan,
        model: &ModelPlan,
        adapt: &AdaptPlan,
        built: Built,
        runtime: &Runtime,
    ) -> Result<Parts, String> {
        let rates = plan.engine.pacing.as_ref().map_or((0, u64::MAX), |p| (p.rate_min.0, p.rate_max.0));
        let mut config = adapt.config.clone();
        config.interval_ns = trainer.interval.0;
        config.keep = trainer.keep;
        config.seed = plan.engine.seed;
        if let Some(safety) = &mut config.gate.safety {
            *safety = Safety { clamped_max: safety.clamped_max, ..Safety::new(rates.0, rates.1) };
        }
        let terms = Terms::of(&built);
        let sigma_q16 = plan.engine.pacing.as_ref().map_or(ONE as u32, |pacing| pacing.explore_sigma_q16);
        let (learning_rate, seed) = (adapt.learning_rate, config.seed);
        let head = match model.spec.function {
            Function::Pacing => {
                let sigma = f64::from(sigma_q16) / f64::from(ONE);
                HeadPlan::Policy(PolicyTuning { learning_rate, sigma, seed, ..PolicyTuning::default() })
            }
            Function::Balance => {
                HeadPlan::Prediction(PredictionTuning { learning_rate, seed, ..PredictionTuning::choices() })
            }
            Function::Schedule => {
                HeadPlan::Prediction(PredictionTuning { learning_rate, seed, ..PredictionTuning::sizes() })
            }
        };
        let replay = match &model.schema {
            ModelSchema::Pacing(schema) => {
                let replay = LinkReplay::new(schema.spec().clone(), config.preference, rates);
                Some(Box::new(replay) as Box<dyn Replay>)
            }
            ModelSchema::Balance(_) | ModelSchema::Schedule(_) => None,
        };
        let chosen = Chosen::of(adapt, &terms, &built.network, head, runtime)?;
        Ok(Parts {
            model: model.clone(),
            adapt: adapt.clone(),
            replay,
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
        })
    }
}

/// What Weir's own tuner is told, by what its loss is about.
enum HeadPlan {
    /// Rates: what they brought.
    Policy(PolicyTuning),
    /// Sizes and scores: what was true.
    Prediction(PredictionTuning),
}

impl HeadPlan {
    /// A tuner, with a training graph of Weir's own or the user's.
    fn tuner(
        self,
        engine: &Engine,
        graph: Option<&Path>,
        network: &Network,
        inputs: &[InputMap],
    ) -> Result<Box<dyn Adapter>, AdaptError> {
        Ok(match (self, graph) {
            (HeadPlan::Policy(tuning), None) => Box::new(PolicyTuner::new(engine, network, inputs, tuning)?),
            (HeadPlan::Policy(tuning), Some(file)) => {
                Box::new(PolicyTuner::from_file(engine, file, network, inputs, tuning)?)
            }
            (HeadPlan::Prediction(tuning), None) => {
                Box::new(PredictionTuner::new(engine, network, inputs, tuning)?)
            }
            (HeadPlan::Prediction(tuning), Some(file)) => {
                Box::new(PredictionTuner::from_file(engine, file, network, inputs, tuning)?)
            }
        })
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
        head: HeadPlan,
        runtime: &Runtime,
    ) -> Result<Chosen, String> {
        let (tuner, graph) = match &adapt.tuner {
            TunerPlan::Process { socket, deadline } => {
                let options = Options { deadline: *deadline, ..Options::at(socket.clone()) };
                let subject = Subject {
                    name: terms.name.clone(),
                    function: terms.function.name(),
                    schema_hash: terms.schema_hash,
                };
                let process = AdapterProcess::new(options, subject, network.clone());
                return Ok(Chosen {
                    tuner: format!("the process at {}", socket.display()),
                    process: Some((socket.clone(), process.watch())),
                    adapter: Box::new(process),
                    unable: None,
                });
            }
            TunerPlan::Built => ("Weir's own head".to_owned(), None),
            TunerPlan::Graph(file) => {
                (format!("the training graph {}", file.display()), Some(file.as_path()))
            }
        };
        let (adapter, unable): (Box<dyn Adapter>, _) = match runtime.engine() {
            Err(reason) => (Box::new(Unable(reason.to_owned())), Some(reason.to_owned())),
            Ok(engine) => {
                let adapter = head.tuner(engine, graph, network, &terms.inputs);
                (adapter.map_err(|error| error.to_string())?, None)
            }
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
