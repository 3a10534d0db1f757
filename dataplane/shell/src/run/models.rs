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

/// What a configuration says about the policy, with everything checked that could make it fail.
pub(super) struct NextPolicy {
    pub(super) pacing: Option<PacingConfig>,
    /// The model that paces, its number and time of publication still to come.
    model: Option<(Generation, ModelStatus)>,
}

impl NextPolicy {
    /// Builds every model of a plan, and fits the one that paces to the engine and to this machine.
    ///
    /// # Errors
    /// A model's refusal, at the place of its `file` key.
    pub(super) fn build(plan: &Plan, source: &Source) -> Result<NextPolicy, ConfigError> {
        let built = build_all(plan, source)?;
        let pacing = plan.engine.pacing.clone();
        let chosen = plan.pacing_model.and_then(|index| {
            let (model, built) = plan.models.get(index).zip(built.into_iter().nth(index))?;
            Some((index, model, built.snapshot))
        });
        let model = match chosen {
            None => None,
            Some((index, model, snapshot)) => Some(
                fit(model, snapshot)
                    .map_err(|reason| source.error(&Plan::model_key(index, "file"), reason))?,
            ),
        };
        Ok(NextPolicy { pacing, model })
    }
}

/// A snapshot ready to be run by the best executor of this machine.
fn fit(model: &ModelPlan, snapshot: Snapshot) -> Result<(Generation, ModelStatus), String> {
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
    };
    let executable = Executable::new(snapshot, executor).map_err(|error| error.to_string())?;
    let generation =
        Generation::new(0, executable, model.schema.hash()).map_err(|error| error.to_string())?;
    Ok((generation, status))
}

/// The policy that workers act on, and what it was made from.
pub(super) struct Live {
    /// What is published.
    pub(super) policy: Policy,
    /// What to show of its models.
    pub(super) models: Vec<ModelStatus>,
    /// Generations given out so far.
    numbered: u32,
}

impl Live {
    /// The policy to start with.
    pub(super) fn first(next: NextPolicy) -> Live {
        let nothing = Live { policy: Policy::default(), models: Vec::new(), numbered: 0 };
        nothing.with(next)
    }

    /// What `next` makes of this policy; `None` when it says what holds already. A model that is the same as before
    /// stays the same generation.
    #[cfg_attr(not(feature = "dpdk"), allow(dead_code, reason = "a replay of captures is never reloaded"))]
    pub(super) fn followed_by(&self, next: NextPolicy) -> Option<Live> {
        let changed = next.pacing != self.policy.pacing || !self.has(&next.model);
        changed.then(|| self.with(next))
    }

    fn has(&self, model: &Option<(Generation, ModelStatus)>) -> bool {
        let identity = |status: &ModelStatus| (status.name.clone(), status.schema_hash, status.checksum);
        self.models.first().map(identity) == model.as_ref().map(|(_, status)| identity(status))
    }

    fn with(&self, next: NextPolicy) -> Live {
        let same = self.has(&next.model);
        let NextPolicy { pacing, model } = next;
        let kept = |models: ModelSet, shown: Vec<ModelStatus>| Live {
            policy: Policy { models, pacing: pacing.clone() },
            models: shown,
            numbered: self.numbered,
        };
        let Some((generation, status)) = model else { return kept(ModelSet::empty(), Vec::new()) };
        if same {
            return kept(self.policy.models.clone(), self.models.clone());
        }
        let number = self.numbered + 1;
        // A generation whose features are defined otherwise cannot live on beside this one: flows have one history.
        let alike = self.models.first().is_some_and(|live| live.schema_hash == status.schema_hash);
        let before = if alike { self.policy.models.clone() } else { ModelSet::empty() };
        let published_unix_seconds = calendar::unix_seconds();
        Live {
            policy: Policy { models: before.with(Arc::new(generation.numbered(number))), pacing },
            models: vec![ModelStatus { generation: number, published_unix_seconds, ..status }],
            numbered: number,
        }
    }
}
