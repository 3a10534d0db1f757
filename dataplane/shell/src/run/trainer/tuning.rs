//! A model that is tuned: its trainer, and what is told of it.

use super::parts::Parts;
use crate::calendar;
use crate::config::{AdaptPlan, ModelPlan};
use crate::control::learning::Learning;
use crate::learning::{GenerationStatus, Measured, ModelLearning, RefusalStatus};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tracing::{info, warn};
use weir_trainer::adapter::Watch;
use weir_trainer::online::{Generation, Publication, Start, StartError, StepReport, Trainer, TrainerConfig};
use weir_trainer::store::{Reason, Record, Store, Stored};

/// A model that is tuned.
pub(in crate::run) struct Tuning {
    pub(super) trainer: Trainer,
    pub(super) model: ModelPlan,
    adapt: AdaptPlan,
    config: TrainerConfig,
    sigma_q16: u32,
    /// Checksum of the snapshot that the configuration names.
    pub(super) checksum: u32,
    tuner: String,
    process: Option<(PathBuf, Arc<Watch>)>,
    /// What the trainer does not know of its generations, by number.
    told: BTreeMap<u32, Told>,
    /// Publications since the start, by origin.
    swaps: [u64; ORIGINS.len()],
    /// The last refusal of each kind.
    refusals: BTreeMap<&'static str, RefusalStatus>,
    /// Why the last step could not tune.
    stuck: Option<String>,
}

/// What is told of a generation besides what the trainer knows.
#[derive(Clone)]
struct Told {
    unix_seconds: f64,
    figures: Vec<(String, f64)>,
}

/// Where publications come from, as in metrics.
const ORIGINS: [&str; 5] = ["configured", "adapted", "rolled_back", "recalled", "returned"];

fn origin(reason: Reason) -> usize {
    match reason {
        Reason::Configured => 0,
        Reason::Adapted => 1,
        Reason::RolledBack { .. } => 2,
        Reason::Recalled { .. } => 3,
        Reason::Returned { .. } => 4,
    }
}

impl Tuning {
    /// With generations that can be rolled back to; numbers go on after `highest`. Nothing is active yet: see
    /// [`Trainer::install`].
    pub(super) fn new(parts: Parts, earlier: Vec<Start>, highest: u32) -> Result<Tuning, StartError> {
        let Parts { config, terms, adapter, replay, .. } = parts;
        let trainer = Trainer::new(config.clone(), terms, adapter, replay, earlier, highest)?;
        Ok(Tuning {
            trainer,
            model: parts.model,
            adapt: parts.adapt,
            config,
            sigma_q16: parts.sigma_q16,
            checksum: parts.checksum,
            tuner: parts.tuner,
            process: parts.process,
            told: BTreeMap::new(),
            swaps: [0; ORIGINS.len()],
            refusals: BTreeMap::new(),
            stuck: None,
        })
    }

    /// Whether `parts` would tune as this does.
    pub(super) fn is_tuned_by(&self, parts: &Parts) -> bool {
        (&self.adapt, &self.config, self.sigma_q16) == (&parts.adapt, &parts.config, parts.sigma_q16)
    }

    /// What an earlier process kept.
    pub(super) fn remember(&mut self, stored: &[Stored]) {
        for Stored { manifest, .. } in stored {
            let told = Told {
                unix_seconds: manifest.unix_seconds as f64,
                figures: manifest.figures.clone().into_iter().collect(),
            };
            self.told.insert(manifest.generation, told);
        }
    }

    /// What a trainer before this one knew, of the same model.
    pub(super) fn inherit(&mut self, before: &Tuning) {
        self.told.clone_from(&before.told);
        self.swaps = before.swaps;
        if before.trainer.stats().frozen {
            self.trainer.freeze();
        }
    }

    /// Its generations, as another trainer takes them.
    pub(super) fn starts(&self) -> Vec<Start> {
        let start = |generation: &Generation| Start {
            number: generation.number,
            reason: generation.reason,
            network: generation.network.clone(),
            bytes: generation.bytes.clone(),
            refused: generation.refused,
        };
        self.trainer.generations().iter().map(start).collect()
    }

    /// Writes a publication to disk, and marks what it takes the place of.
    pub(super) fn keep(&mut self, publication: &Publication, store: &Store) -> Result<(), String> {
        self.told(publication);
        let record = Record {
            generation: publication.generation,
            unix_seconds: calendar::unix_seconds() as u64,
            snapshot: &publication.bytes,
            network: &publication.network,
            reason: publication.reason,
            configured: self.checksum,
            figures: &publication.figures,
        };
        store.save(&record).map_err(|error| error.to_string())?;
        match publication.refused {
            Some(refused) => store.refuse(refused).map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }

    /// Takes note of what is known of a publication.
    pub(super) fn told(&mut self, publication: &Publication) {
        let figures = publication.figures.clone().into_iter().collect();
        let told = Told { unix_seconds: calendar::unix_seconds(), figures };
        self.told.insert(publication.generation, told);
    }

    /// The workers act on it from now on; `swapped` unless they did before.
    pub(super) fn published(&mut self, generation: u32, now_ns: u64, swapped: bool) {
        self.trainer.published(generation, now_ns);
        let known = self.trainer.generations();
        if swapped && let Some(found) = known.iter().find(|known| known.number == generation) {
            self.swaps[origin(found.reason)] += 1;
        }
        let kept: Vec<u32> = known.iter().map(|generation| generation.number).collect();
        self.told.retain(|number, _| kept.contains(number));
    }

    /// Takes note of a step, and tells the log what an operator might want to act on.
    pub(super) fn note(&mut self, report: &StepReport) {
        let name = &self.model.spec.name;
        if let Some(refusal) = &report.refused {
            let reason = refusal.reason().name();
            let text = refusal.to_string();
            tracing::debug!("model {name}: candidate refused: {reason}: {text}");
            let unix_seconds = calendar::unix_seconds();
            self.refusals.insert(reason, RefusalStatus { unix_seconds, reason, text });
        }
        if let Some(live) = &report.recalled {
            warn!(
                "model {name}: live reward {:.4} under the model, {:.4} under the rule: taken back",
                live.model, live.control
            );
        }
        match &report.adapter_error {
            Some(error) => {
                let text = error.to_string();
                if self.stuck.is_none() {
                    warn!("model {name} does not learn, and decides as it is: {text}");
                }
                self.stuck = Some(text);
            }
            None if report.tuned.is_some() && self.stuck.take().is_some() => {
                info!("model {name} learns again");
            }
            None => {}
        }
    }

    /// What others are shown.
    pub(super) fn show(&self) -> ModelLearning {
        let stats = self.trainer.stats();
        let learning = match (&self.stuck, stats.frozen) {
            (_, true) => Learning::Frozen,
            (Some(_), false) => Learning::Unable,
            (None, false) => Learning::Adapting,
        };
        let samples = &stats.samples;
        let known = |observations: u64, reward: f64| if observations > 0 { reward } else { f64::NAN };
        let refused = stats.refused.iter().map(|(reason, count)| (reason.name(), count));
        ModelLearning {
            name: self.model.spec.name.clone(),
            learning,
            why: self.stuck.clone().filter(|_| learning == Learning::Unable),
            tuner: self.tuner.clone(),
            adapter: self.process.clone(),
            generations: self.generations(),
            swaps: ORIGINS.into_iter().zip(self.swaps).collect(),
            samples: vec![
                ("taken", samples.taken),
                ("held_out", samples.held_out),
                ("control", samples.control),
                ("no_outcome", samples.no_outcome),
                ("foreign_schema", samples.foreign_schema),
                ("stale_generation", samples.stale_generation),
                ("window_full", samples.window_full),
                ("too_many_flows", samples.too_many_flows),
            ],
            window_rows: [stats.window_rows as u64, self.config.rows_max as u64],
            tuned_steps: stats.steps_tuned,
            taught_steps: stats.steps_taught,
            measured: Measured {
                loss: stats.loss,
                stability: stats.stability,
                fidelity_loss: stats.fidelity_loss,
                quantisation_error: stats.quantisation_mean,
                reward_model: known(stats.live.model_observations, stats.live.model),
                reward_control: known(stats.live.control_observations, stats.live.control),
            },
            candidates: std::iter::once(("accepted", stats.accepted)).chain(refused).collect(),
            refusals: self.refusals.values().cloned().collect(),
        }
    }

    fn generations(&self) -> Vec<GenerationStatus> {
        let shown = |generation: &Generation| {
            let told = self.told.get(&generation.number);
            let snapshot = generation.executable.snapshot();
            GenerationStatus {
                generation: generation.number,
                origin: generation.reason.to_string(),
                precision: snapshot.precision().name(),
                checksum: snapshot.checksum(),
                published_unix_seconds: told.map_or(f64::NAN, |told| told.unix_seconds),
                refused: generation.refused,
                figures: told.map_or_else(Vec::new, |told| told.figures.clone()),
            }
        };
        self.trainer.generations().iter().rev().map(shown).collect()
    }
}
