//! From a checked configuration to the policy that is published: models built, fitted to the engine, numbered.

use super::each::Each;
use crate::calendar;
use crate::config::{ConfigError, ModelPlan, ModelSchema, Plan, Source};
use crate::models::build_all;
use crate::status::ModelStatus;
use std::sync::Arc;
use weir_engine::balance::BalanceSettings;
use weir_engine::config::PacingConfig;
use weir_engine::limit::Limits;
use weir_engine::models::{Generation, ModelSet};
use weir_engine::policy::Policy;
use weir_engine::schedule::ScheduleConfig;
use weir_snapshot::{Executable, Executor, Function, Snapshot};
use weir_trainer::Built;

/// What a configuration says about the policy, with everything checked that could make it fail.
pub(super) struct NextPolicy {
    pub(super) pacing: Option<PacingConfig>,
    balance: Option<BalanceSettings>,
    schedule: Option<ScheduleConfig>,
    /// The models that decide, their time of publication still to come.
    models: Each<Option<Candidate>>,
    /// What each of them was built to, for whoever tunes it.
    pub(super) built: Each<Option<Box<Built>>>,
}

/// A snapshot fitted to the engine and to this machine.
pub(super) struct Candidate {
    function: Function,
    generation: Generation,
    status: ModelStatus,
}

/// What makes a model the one that it is.
pub(super) type Identity = (String, u64, u32);

/// Of a plan's models, those that decide.
pub(super) fn chosen(plan: &Plan, built: Vec<Built>) -> Each<Option<Box<Built>>> {
    let mut built: Vec<Option<Built>> = built.into_iter().map(Some).collect();
    Each::of(|function| {
        let (index, _) = plan.decides(function)?;
        built.get_mut(index)?.take().map(Box::new)
    })
}

impl NextPolicy {
    /// Builds every model of a plan, and fits those that decide to the engine and to this machine.
    ///
    /// # Errors
    /// A model's refusal, at the place of its `file` key.
    pub(super) fn build(plan: &Plan, source: &Source) -> Result<NextPolicy, ConfigError> {
        let balance = plan.engine.route.as_ref().and_then(|route| route.balance.as_ref());
        let built = chosen(plan, build_all(plan, source)?);
        let models = Each::try_of(|function| {
            let (Some((index, model)), Some(built)) = (plan.decides(function), &built[function]) else {
                return Ok(None);
            };
            let fit = Candidate::fit(model, built.snapshot.clone()).map(Some);
            fit.map_err(|reason| source.error(&Plan::model_key(index, "file"), reason))
        })?;
        Ok(NextPolicy {
            pacing: plan.engine.pacing.clone(),
            balance: balance.map(|balance| balance.settings.clone()),
            schedule: plan.engine.schedule.clone(),
            models,
            built,
        })
    }

    /// What makes the model of a function the one that it is; `None` where the rule decides.
    pub(super) fn identity(&self, function: Function) -> Option<Identity> {
        self.models[function].as_ref().map(Candidate::identity)
    }

    /// The same with this number for the model of a function, 0 for the next one.
    pub(super) fn numbered(mut self, function: Function, number: u32) -> NextPolicy {
        self.models[function] = self.models[function].take().map(|model| model.numbered(number));
        self
    }
}

impl Candidate {
    /// For the best executor of this machine; its number is still to come.
    ///
    /// # Errors
    /// What about the snapshot does not fit the engine.
    pub(super) fn fit(model: &ModelPlan, snapshot: Snapshot) -> Result<Candidate, String> {
        let executor = Executor::best();
        let status = ModelStatus {
            name: model.spec.name.clone(),
            function: snapshot.function().name(),
            generation: 0,
            precision: snapshot.precision().name(),
            executor: executor.name(),
            schema_hash: snapshot.schema_hash(),
            checksum: snapshot.checksum(),
            published_unix_seconds: 0.0,
            file: model.spec.file.clone(),
            previous: None,
        };
        let executable = Executable::new(snapshot, executor).map_err(|error| error.to_string())?;
        let generation = match model.schema {
            ModelSchema::Pacing(_) => Generation::new(0, executable, model.schema.hash()),
            ModelSchema::Balance(_) => Generation::of_paths(0, executable, model.schema.hash()),
            ModelSchema::Schedule(_) => Generation::of_sizes(0, executable, model.schema.hash()),
        };
        let generation = generation.map_err(|error| error.to_string())?;
        Ok(Candidate { function: model.spec.function, generation, status })
    }

    /// The same under its number.
    pub(super) fn numbered(self, number: u32) -> Candidate {
        let generation = self.generation.numbered(number);
        Candidate { generation, status: ModelStatus { generation: number, ..self.status }, ..self }
    }

    /// What it decides.
    pub(super) fn function(&self) -> Function {
        self.function
    }

    /// What would be published.
    pub(super) fn generation(&self) -> &Generation {
        &self.generation
    }

    fn identity(&self) -> Identity {
        let ModelStatus { name, schema_hash, checksum, .. } = &self.status;
        (name.clone(), *schema_hash, *checksum)
    }
}

/// The policy that workers act on, and what it was made from.
#[derive(Clone, Default)]
pub(super) struct Live {
    /// What is published.
    pub(super) policy: Policy,
    deciding: Each<Deciding>,
}

/// Of one function: the model that decides, and the numbers of its generations.
#[derive(Clone, Default)]
struct Deciding {
    /// What to show of it; `None` where the rule decides.
    shown: Option<ModelStatus>,
    /// The highest number that was given out.
    numbered: u32,
    /// What the configuration names, which what decides may have been tuned from.
    configured: Option<Identity>,
}

impl Live {
    /// The policy to start with; what `started` has decides in place of the model that the configuration names, from which it
    /// was tuned.
    pub(super) fn first(mut next: NextPolicy, mut started: Each<Option<Candidate>>) -> Live {
        let configured = Each::of(|function| next.identity(function));
        for function in Function::ALL {
            if let Some(started) = started[function].take() {
                next.models[function] = Some(started);
            }
        }
        let mut live = Live::default();
        live.configure(next);
        for function in Function::ALL {
            live.deciding[function].configured.clone_from(&configured[function]);
        }
        live
    }

    /// What to show of all its models.
    pub(super) fn shown(&self) -> Vec<ModelStatus> {
        self.deciding.all().filter_map(|deciding| deciding.shown.clone()).collect()
    }

    /// The limits that hold.
    pub(super) fn limits(&self) -> Limits {
        self.policy.pacing.as_ref().map(|pacing| pacing.limits.clone()).unwrap_or_default()
    }

    /// The highest number that was given out to a model of a function.
    pub(super) fn numbered(&self, function: Function) -> u32 {
        self.deciding[function].numbered
    }

    /// What `next` makes of this policy; `None` when it says what holds already. A model that is configured as before
    /// leaves the generation that was tuned from it in its place.
    #[cfg_attr(not(feature = "dpdk"), allow(dead_code, reason = "a replay of captures is never reloaded"))]
    pub(super) fn followed_by(&self, next: NextPolicy) -> Option<Live> {
        let changed = next.pacing != self.policy.pacing
            || next.balance != self.policy.balance
            || next.schedule != self.policy.schedule
            || Function::ALL.iter().any(|function| !self.is_configured(*function, &next));
        changed.then(|| {
            let mut live = self.clone();
            live.configure(next);
            live
        })
    }

    /// This policy with another generation of one of its models; `None` for one that is not newer, or of another model: a
    /// reload has come before it.
    #[cfg_attr(not(feature = "dpdk"), allow(dead_code, reason = "a replay of captures publishes once"))]
    pub(super) fn succeeded_by(&self, candidate: Candidate) -> Option<Live> {
        let deciding = &self.deciding[candidate.function];
        let same = |live: &ModelStatus| {
            live.name == candidate.status.name && live.schema_hash == candidate.status.schema_hash
        };
        let newer = candidate.generation.number() > deciding.numbered;
        (newer && deciding.shown.as_ref().is_some_and(same)).then(|| {
            let mut live = self.clone();
            live.put(candidate);
            live
        })
    }

    fn is_configured(&self, function: Function, next: &NextPolicy) -> bool {
        self.deciding[function].configured == next.identity(function)
    }

    fn configure(&mut self, mut next: NextPolicy) {
        for function in Function::ALL {
            if self.is_configured(function, &next) {
                continue;
            }
            self.deciding[function].configured = next.identity(function);
            match next.models[function].take() {
                Some(candidate) => self.put(candidate),
                None => {
                    self.deciding[function].shown = None;
                    *self.models_mut(function) = ModelSet::empty();
                }
            }
        }
        let NextPolicy { pacing, balance, schedule, .. } = next;
        // Limits that stay as they are go on with the clocks that run.
        let limits = self.limits();
        let pacing = pacing.map(|next| PacingConfig { limits: next.limits.clone().or_same(&limits), ..next });
        self.policy = Policy { pacing, balance, schedule, ..std::mem::take(&mut self.policy) };
    }

    fn models_mut(&mut self, function: Function) -> &mut ModelSet {
        match function {
            Function::Pacing => &mut self.policy.models,
            Function::Balance => &mut self.policy.path_models,
            Function::Schedule => &mut self.policy.size_models,
        }
    }

    /// Lets a model decide, by its own number or the next one.
    fn put(&mut self, candidate: Candidate) {
        let function = candidate.function;
        let number = candidate.generation.number().max(self.deciding[function].numbered + 1);
        let Candidate { generation, status, .. } = candidate.numbered(number);
        let before = match function {
            // A generation whose features are defined otherwise cannot live on beside this one: flows have one history.
            Function::Pacing => {
                let shown = self.deciding[function].shown.as_ref();
                let alike = shown.is_some_and(|live| live.schema_hash == status.schema_hash);
                if alike { self.policy.models.clone() } else { ModelSet::empty() }
            }
            // No flow waits for an old one: a decision outlives the snapshot that made it.
            Function::Balance | Function::Schedule => ModelSet::empty(),
        };
        let models = before.with(Arc::new(generation));
        let previous = models.previous().map(Generation::number);
        *self.models_mut(function) = models;
        let published_unix_seconds = calendar::unix_seconds();
        let deciding = &mut self.deciding[function];
        deciding.shown = Some(ModelStatus { published_unix_seconds, previous, ..status });
        deciding.numbered = number;
    }
}
