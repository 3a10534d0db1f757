//! From a checked configuration to the policy that is published: models built, fitted to the engine, numbered.

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
use weir_snapshot::{Executable, Executor, Snapshot};
use weir_trainer::Built;

/// What a configuration says about the policy, with everything checked that could make it fail.
pub(super) struct NextPolicy {
    pub(super) pacing: Option<PacingConfig>,
    /// The model that paces, its time of publication still to come.
    model: Option<Candidate>,
    balance: Option<BalanceSettings>,
    /// The one that chooses paths.
    path_model: Option<Candidate>,
    schedule: Option<ScheduleConfig>,
    /// The one that predicts flow sizes.
    size_model: Option<Candidate>,
    /// What the model that paces was built to, for whoever tunes it.
    pub(super) built: Option<Box<Built>>,
}

/// The model that a plan has chosen for something, fitted to the engine and to this machine.
fn fitted(
    chosen: Option<usize>,
    plan: &Plan,
    built: &[Built],
    source: &Source,
) -> Result<Option<Candidate>, ConfigError> {
    let chosen = chosen.and_then(|index| Some((index, plan.models.get(index)?, built.get(index)?)));
    let Some((index, model, built)) = chosen else { return Ok(None) };
    Candidate::fit(model, built.snapshot.clone())
        .map(Some)
        .map_err(|reason| source.error(&Plan::model_key(index, "file"), reason))
}

/// A snapshot fitted to the engine and to this machine.
pub(super) struct Candidate {
    generation: Generation,
    status: ModelStatus,
}

/// What makes a model the one that it is.
pub(super) type Identity = (String, u64, u32);

impl NextPolicy {
    /// Builds every model of a plan, and fits those that decide to the engine and to this machine.
    ///
    /// # Errors
    /// A model's refusal, at the place of its `file` key.
    pub(super) fn build(plan: &Plan, source: &Source) -> Result<NextPolicy, ConfigError> {
        let mut built = build_all(plan, source)?;
        let balance = plan.engine.route.as_ref().and_then(|route| route.balance.as_ref());
        let path_model = fitted(plan.path_model, plan, &built, source)?;
        let size_model = fitted(plan.size_model, plan, &built, source)?;
        let model = fitted(plan.pacing_model, plan, &built, source)?;
        let paces = plan.pacing_model.filter(|index| *index < built.len());
        Ok(NextPolicy {
            pacing: plan.engine.pacing.clone(),
            model,
            balance: balance.map(|balance| balance.settings.clone()),
            path_model,
            schedule: plan.engine.schedule.clone(),
            size_model,
            built: paces.map(|index| Box::new(built.swap_remove(index))),
        })
    }

    /// What makes its model the one that it is.
    pub(super) fn identity(&self) -> Option<Identity> {
        self.model.as_ref().map(Candidate::identity)
    }

    /// The same with this number for its model, 0 for the next one.
    pub(super) fn numbered(self, number: u32) -> NextPolicy {
        NextPolicy { model: self.model.map(|model| model.numbered(number)), ..self }
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
        Ok(Candidate { generation, status })
    }

    /// The same under its number.
    pub(super) fn numbered(self, number: u32) -> Candidate {
        let generation = self.generation.numbered(number);
        Candidate { generation, status: ModelStatus { generation: number, ..self.status } }
    }

    /// What would be published.
    pub(super) fn generation(&self) -> &Generation {
        &self.generation
    }

    fn identity(&self) -> Identity {
        identity(&self.status)
    }
}

fn identity(status: &ModelStatus) -> Identity {
    (status.name.clone(), status.schema_hash, status.checksum)
}

/// The policy that workers act on, and what it was made from.
#[derive(Clone, Default)]
pub(super) struct Live {
    /// What is published.
    pub(super) policy: Policy,
    /// What to show of the model that paces.
    models: Vec<ModelStatus>,
    /// What to show of the one that chooses paths.
    path_model: Option<ModelStatus>,
    /// What to show of the one that predicts flow sizes.
    size_model: Option<ModelStatus>,
    /// The highest number that was given out.
    numbered: u32,
    /// What the configuration names, which what paces may have been tuned from.
    configured: Option<Identity>,
}

impl Live {
    /// The policy to start with; `started` paces in place of the model that the configuration names, if it was tuned from
    /// that one.
    pub(super) fn first(next: NextPolicy, started: Option<Candidate>) -> Live {
        let nothing = Live::default();
        match started {
            None => nothing.configure(next),
            Some(candidate) => {
                let (pacing, identity) = (next.pacing.clone(), next.identity());
                let live = nothing.with(candidate, pacing, identity);
                live.with_paths(next.balance, next.path_model).with_schedule(next.schedule, next.size_model)
            }
        }
    }

    /// What to show of all its models.
    pub(super) fn shown(&self) -> Vec<ModelStatus> {
        self.models.iter().chain(&self.path_model).chain(&self.size_model).cloned().collect()
    }

    /// The limits that hold.
    pub(super) fn limits(&self) -> Limits {
        self.policy.pacing.as_ref().map(|pacing| pacing.limits.clone()).unwrap_or_default()
    }

    /// The highest number that was given out.
    pub(super) fn numbered(&self) -> u32 {
        self.numbered
    }

    /// What `next` makes of this policy; `None` when it says what holds already. A model that is configured as before
    /// leaves the generation that was tuned from it in its place.
    #[cfg_attr(not(feature = "dpdk"), allow(dead_code, reason = "a replay of captures is never reloaded"))]
    pub(super) fn followed_by(&self, next: NextPolicy) -> Option<Live> {
        let changed = next.pacing != self.policy.pacing
            || next.balance != self.policy.balance
            || !is_same(self.path_model.as_ref(), next.path_model.as_ref())
            || next.schedule != self.policy.schedule
            || !is_same(self.size_model.as_ref(), next.size_model.as_ref())
            || !self.is_configured(&next.model);
        changed.then(|| self.configure(next))
    }

    /// This policy with another generation of its model; `None` for one that is not newer, or of another model: a reload
    /// has come before it.
    #[cfg_attr(not(feature = "dpdk"), allow(dead_code, reason = "a replay of captures publishes once"))]
    pub(super) fn succeeded_by(&self, candidate: Candidate) -> Option<Live> {
        let same = |live: &ModelStatus| {
            live.name == candidate.status.name && live.schema_hash == candidate.status.schema_hash
        };
        let newer = candidate.generation.number() > self.numbered;
        (newer && self.models.first().is_some_and(same))
            .then(|| self.with(candidate, self.policy.pacing.clone(), self.configured.clone()))
    }

    fn is_configured(&self, model: &Option<Candidate>) -> bool {
        self.configured == model.as_ref().map(Candidate::identity)
    }

    /// This policy with these settings and this model for paths.
    fn with_paths(self, balance: Option<BalanceSettings>, model: Option<Candidate>) -> Live {
        let (path_models, path_model) = follow(self.policy.path_models, self.path_model, model);
        let policy = Policy { balance, path_models, ..self.policy };
        Live { policy, path_model, ..self }
    }

    /// The same for flow sizes.
    fn with_schedule(self, schedule: Option<ScheduleConfig>, model: Option<Candidate>) -> Live {
        let (size_models, size_model) = follow(self.policy.size_models, self.size_model, model);
        let policy = Policy { schedule, size_models, ..self.policy };
        Live { policy, size_model, ..self }
    }

    fn configure(&self, next: NextPolicy) -> Live {
        let same = self.is_configured(&next.model);
        let NextPolicy { pacing, model, balance, path_model, schedule, size_model, .. } = next;
        let configured = model.as_ref().map(Candidate::identity);
        // Limits that stay as they are go on with the clocks that run.
        let limits = self.limits();
        let pacing = pacing.map(|next| PacingConfig { limits: next.limits.clone().or_same(&limits), ..next });
        let kept = |models: ModelSet, shown: Vec<ModelStatus>| Live {
            policy: Policy { models, pacing: pacing.clone(), ..self.policy.clone() },
            models: shown,
            configured: configured.clone(),
            ..self.clone()
        };
        let live = match model {
            None => kept(ModelSet::empty(), Vec::new()),
            Some(_) if same => kept(self.policy.models.clone(), self.models.clone()),
            Some(candidate) => {
                let number = candidate.generation.number().max(self.numbered + 1);
                self.with(candidate.numbered(number), pacing, configured)
            }
        };
        live.with_paths(balance, path_model).with_schedule(schedule, size_model)
    }

    fn with(&self, candidate: Candidate, pacing: Option<PacingConfig>, configured: Option<Identity>) -> Live {
        let Candidate { generation, status } = candidate;
        // A generation whose features are defined otherwise cannot live on beside this one: flows have one history.
        let alike = self.models.first().is_some_and(|live| live.schema_hash == status.schema_hash);
        let before = if alike { self.policy.models.clone() } else { ModelSet::empty() };
        let numbered = generation.number();
        let models = before.with(Arc::new(generation));
        let previous = models.previous().map(Generation::number);
        let published_unix_seconds = calendar::unix_seconds();
        Live {
            policy: Policy { models, pacing, ..self.policy.clone() },
            models: vec![ModelStatus { published_unix_seconds, previous, ..status }],
            numbered,
            configured,
            ..self.clone()
        }
    }
}

/// Whether a model that decides beside the one that paces is the one that a configuration names.
fn is_same(shown: Option<&ModelStatus>, named: Option<&Candidate>) -> bool {
    shown.map(identity) == named.map(Candidate::identity)
}

/// What decides next beside the model that paces. Its generations have numbers of their own, and no flow waits for an old
/// one, since a decision outlives the snapshot that made it.
fn follow(
    models: ModelSet,
    shown: Option<ModelStatus>,
    named: Option<Candidate>,
) -> (ModelSet, Option<ModelStatus>) {
    if is_same(shown.as_ref(), named.as_ref()) {
        return (models, shown);
    }
    let Some(candidate) = named else { return (ModelSet::empty(), None) };
    let number = shown.map_or(1, |live| live.generation + 1);
    let Candidate { generation, status } = candidate.numbered(number);
    let published_unix_seconds = calendar::unix_seconds();
    (ModelSet::empty().with(Arc::new(generation)), Some(ModelStatus { published_unix_seconds, ..status }))
}
