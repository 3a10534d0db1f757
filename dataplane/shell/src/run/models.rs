//! From a checked configuration to the policy that is published: models built, fitted to the engine, numbered.

use crate::calendar;
use crate::config::{ConfigError, ModelPlan, ModelSchema, Plan, Source};
use crate::models::build_all;
use crate::status::ModelStatus;
use std::sync::Arc;
use weir_engine::balance::BalanceSettings;
use weir_engine::config::PacingConfig;
use weir_engine::models::{Generation, ModelSet};
use weir_engine::policy::Policy;
use weir_snapshot::{Executable, Executor, Snapshot};
use weir_trainer::Built;

/// What a configuration says about the policy, with everything checked that could make it fail.
pub(super) struct NextPolicy {
    pub(super) pacing: Option<PacingConfig>,
    /// The model that paces, its time of publication still to come.
    model: Option<Candidate>,
    balance: Option<Box<BalanceSettings>>,
    /// The one that chooses paths.
    path_model: Option<Box<Candidate>>,
    /// What that model was built to, for whoever tunes it.
    pub(super) built: Option<Box<Built>>,
}

/// A snapshot fitted to the engine and to this machine.
pub(super) struct Candidate {
    generation: Generation,
    status: ModelStatus,
}

/// What makes a model the one that it is.
pub(super) type Identity = (String, u64, u32);

impl NextPolicy {
    /// Builds every model of a plan, and fits the one that paces to the engine and to this machine.
    ///
    /// # Errors
    /// A model's refusal, at the place of its `file` key.
    pub(super) fn build(plan: &Plan, source: &Source) -> Result<NextPolicy, ConfigError> {
        let mut built = build_all(plan, source)?;
        let pacing = plan.engine.pacing.clone();
        let balance = plan.engine.route.as_ref().and_then(|route| route.balance.as_ref());
        let balance = balance.map(|balance| Box::new(balance.settings.clone()));
        let path_model =
            match plan.path_model.and_then(|index| Some((index, plan.models.get(index)?, built.get(index)?)))
            {
                Some((index, model, built)) => Some(Box::new(
                    Candidate::fit(model, built.snapshot.clone())
                        .map_err(|reason| source.error(&Plan::model_key(index, "file"), reason))?,
                )),
                None => None,
            };
        let chosen = plan.pacing_model.and_then(|index| Some((index, plan.models.get(index)?)));
        let Some((index, model)) = chosen.filter(|(index, _)| *index < built.len()) else {
            return Ok(NextPolicy { pacing, model: None, balance, path_model, built: None });
        };
        let built = built.swap_remove(index);
        let candidate = Candidate::fit(model, built.snapshot.clone())
            .map_err(|reason| source.error(&Plan::model_key(index, "file"), reason))?;
        let built = Some(Box::new(built));
        Ok(NextPolicy { pacing, model: Some(candidate), balance, path_model, built })
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
        };
        let generation = generation.map_err(|error| error.to_string())?;
        Ok(Candidate { generation, status })
    }

    /// The same under its number.
    pub(super) fn numbered(self, number: u32) -> Candidate {
        let generation = self.generation.numbered(number);
        Candidate { generation, status: ModelStatus { generation: number, ..self.status } }
    }

    fn identity(&self) -> Identity {
        (self.status.name.clone(), self.status.schema_hash, self.status.checksum)
    }
}

/// The policy that workers act on, and what it was made from.
pub(super) struct Live {
    /// What is published.
    pub(super) policy: Policy,
    /// What to show of the model that paces.
    pub(super) models: Vec<ModelStatus>,
    /// What to show of the one that chooses paths.
    path_model: Option<ModelStatus>,
    /// The highest number that was given out.
    numbered: u32,
    /// What the configuration names, which what paces may have been tuned from.
    configured: Option<Identity>,
}

impl Live {
    /// The policy to start with; `started` paces in place of the model that the configuration names, if it was tuned from
    /// that one.
    pub(super) fn first(next: NextPolicy, started: Option<Candidate>) -> Live {
        let nothing = Live {
            policy: Policy::default(),
            models: Vec::new(),
            path_model: None,
            numbered: 0,
            configured: None,
        };
        match started {
            None => nothing.configure(next),
            Some(candidate) => {
                let (pacing, identity) = (next.pacing.clone(), next.identity());
                nothing.with(candidate, pacing, identity).with_paths(next.balance, next.path_model)
            }
        }
    }

    /// What to show of all its models.
    pub(super) fn shown(&self) -> Vec<ModelStatus> {
        self.models.iter().chain(&self.path_model).cloned().collect()
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
            || next.balance.as_deref() != self.policy.balance.as_ref()
            || !self.is_path_model(next.path_model.as_deref())
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

    fn is_path_model(&self, model: Option<&Candidate>) -> bool {
        let name = |status: &ModelStatus| (status.name.clone(), status.schema_hash, status.checksum);
        self.path_model.as_ref().map(name) == model.map(Candidate::identity)
    }

    /// This policy with these settings and this model for paths: its generations have numbers of their own, and a flow
    /// follows none of them, since a decision outlives the snapshot that made it.
    fn with_paths(self, balance: Option<Box<BalanceSettings>>, model: Option<Box<Candidate>>) -> Live {
        let same = self.is_path_model(model.as_deref());
        let policy = Policy { balance: balance.map(|settings| *settings), ..self.policy };
        match model {
            _ if same => Live { policy, ..self },
            None => {
                Live { policy: Policy { path_models: ModelSet::empty(), ..policy }, path_model: None, ..self }
            }
            Some(candidate) => {
                let number = self.path_model.as_ref().map_or(1, |live| live.generation + 1);
                let Candidate { generation, status } = candidate.numbered(number);
                let published_unix_seconds = calendar::unix_seconds();
                let path_models = ModelSet::empty().with(Arc::new(generation));
                let path_model = Some(ModelStatus { published_unix_seconds, ..status });
                Live { policy: Policy { path_models, ..policy }, path_model, ..self }
            }
        }
    }

    fn configure(&self, next: NextPolicy) -> Live {
        let same = self.is_configured(&next.model);
        let NextPolicy { pacing, model, balance, path_model, .. } = next;
        let configured = model.as_ref().map(Candidate::identity);
        let kept = |models: ModelSet, shown: Vec<ModelStatus>| Live {
            policy: Policy { models, pacing: pacing.clone(), ..self.policy.clone() },
            models: shown,
            path_model: self.path_model.clone(),
            numbered: self.numbered,
            configured: configured.clone(),
        };
        let live = match model {
            None => kept(ModelSet::empty(), Vec::new()),
            Some(_) if same => kept(self.policy.models.clone(), self.models.clone()),
            Some(candidate) => {
                let number = candidate.generation.number().max(self.numbered + 1);
                self.with(candidate.numbered(number), pacing, configured)
            }
        };
        live.with_paths(balance, path_model)
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
            path_model: self.path_model.clone(),
            numbered,
            configured,
        }
    }
}
