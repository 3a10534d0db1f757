//! From a checked configuration to the policy that is published: models built, fitted to the engine, numbered.

use crate::calendar;
use crate::config::{ConfigError, ModelPlan, Plan, Source};
use crate::models::build_all;
use crate::status::ModelStatus;
use std::sync::Arc;
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
        let chosen = plan.pacing_model.and_then(|index| Some((index, plan.models.get(index)?)));
        let Some((index, model)) = chosen.filter(|(index, _)| *index < built.len()) else {
            return Ok(NextPolicy { pacing, model: None, built: None });
        };
        let built = built.swap_remove(index);
        let candidate = Candidate::fit(model, built.snapshot.clone())
            .map_err(|reason| source.error(&Plan::model_key(index, "file"), reason))?;
        Ok(NextPolicy { pacing, model: Some(candidate), built: Some(Box::new(built)) })
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
        let generation =
            Generation::new(0, executable, model.schema.hash()).map_err(|error| error.to_string())?;
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
    /// What to show of its models.
    pub(super) models: Vec<ModelStatus>,
    /// The highest number that was given out.
    numbered: u32,
    /// What the configuration names, which what paces may have been tuned from.
    configured: Option<Identity>,
}

impl Live {
    /// The policy to start with; `started` paces in place of the model that the configuration names, if it was tuned from
    /// that one.
    pub(super) fn first(next: NextPolicy, started: Option<Candidate>) -> Live {
        let nothing = Live { policy: Policy::default(), models: Vec::new(), numbered: 0, configured: None };
        match started {
            None => nothing.configure(next),
            Some(candidate) => nothing.with(candidate, next.pacing.clone(), next.identity()),
        }
    }

    /// The highest number that was given out.
    pub(super) fn numbered(&self) -> u32 {
        self.numbered
    }

    /// What `next` makes of this policy; `None` when it says what holds already. A model that is configured as before
    /// leaves the generation that was tuned from it in its place.
    #[cfg_attr(not(feature = "dpdk"), allow(dead_code, reason = "a replay of captures is never reloaded"))]
    pub(super) fn followed_by(&self, next: NextPolicy) -> Option<Live> {
        let changed = next.pacing != self.policy.pacing || !self.is_configured(&next.model);
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

    fn configure(&self, next: NextPolicy) -> Live {
        let same = self.is_configured(&next.model);
        let NextPolicy { pacing, model, .. } = next;
        let configured = model.as_ref().map(Candidate::identity);
        let kept = |models: ModelSet, shown: Vec<ModelStatus>| Live {
            policy: Policy { models, pacing: pacing.clone(), ..Policy::default() },
            models: shown,
            numbered: self.numbered,
            configured: configured.clone(),
        };
        match model {
            None => kept(ModelSet::empty(), Vec::new()),
            Some(_) if same => kept(self.policy.models.clone(), self.models.clone()),
            Some(candidate) => {
                let number = candidate.generation.number().max(self.numbered + 1);
                self.with(candidate.numbered(number), pacing, configured)
            }
        }
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
            policy: Policy { models, pacing, ..Policy::default() },
            models: vec![ModelStatus { published_unix_seconds, previous, ..status }],
            numbered,
            configured,
        }
    }
}
