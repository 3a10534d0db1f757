//! Adaptation in virtual time: the trainer that a live Weir has, on the flows that the simulated ones tell of.

use super::jobs::SizeModel;
use crate::frame::HostId;
use crate::world::World;
use std::sync::Arc;
use weir_engine::models::Generation;
use weir_engine::time::Ns;
use weir_snapshot::{Executable, Executor};
use weir_trainer::Built;
use weir_trainer::online::gate::{GateConfig, Terms};
use weir_trainer::online::{PredictionTuner, PredictionTuning, Start, Trainer, TrainerConfig};
use weir_trainer::store::Reason;

/// Time between two steps: a live trainer's 500 ms at some twenty times the flows of one busy host.
const INTERVAL: Ns = Ns::from_millis(25);

/// A trainer of all hosts' size model.
pub(super) struct Adaptation {
    trainer: Trainer,
    now: Ns,
}

impl Adaptation {
    /// What tunes this model; `None` where nothing is to.
    ///
    /// # Errors
    /// One line: the trainer does not take the model.
    pub(super) fn of(model: &SizeModel, seed: u64) -> Result<Option<Adaptation>, String> {
        let Some(engine) = &model.tuned_by else { return Ok(None) };
        let Built { network, inputs, bytes, report, .. } = &*model.built;
        let tuning = PredictionTuning { seed, ..PredictionTuning::sizes() };
        let tuner =
            PredictionTuner::new(engine, network, inputs, tuning).map_err(|error| error.to_string())?;
        let gate = GateConfig { precisions: vec![report.precision], ..GateConfig::new(None) };
        let config = TrainerConfig {
            interval_ns: INTERVAL.0,
            rows_min: 128,
            remembered_share: 0.5,
            seed,
            ..TrainerConfig::new(gate)
        };
        let terms = Terms::of(&model.built);
        let mut trainer = Trainer::new(config, terms, Box::new(tuner), None, Vec::new(), 0)
            .map_err(|error| error.to_string())?;
        let (network, bytes) = (network.clone(), bytes.clone());
        let start = Start { number: 0, reason: Reason::Configured, network, bytes, refused: false };
        let publication = trainer.install(start).map_err(|error| error.to_string())?;
        trainer.published(publication.generation, 0);
        Ok(Some(Adaptation { trainer, now: Ns::ZERO }))
    }

    /// Lets the world go on until `end`, step by step.
    pub(super) fn run(&mut self, world: &mut World, hosts: u16, end: Ns) {
        while self.now < end {
            self.now += INTERVAL;
            world.run(self.now, true);
            for host in (0..hosts).map(HostId) {
                let Some(weir) = world.weir_mut(host) else { continue };
                weir.drain_flows(|sample| self.trainer.observe_flow(sample));
            }
            let Some(publication) = self.trainer.step(self.now.0).publication else { continue };
            let generation =
                Executable::new(publication.snapshot, Executor::best()).ok().and_then(|executable| {
                    let schema_hash = executable.snapshot().schema_hash();
                    Generation::of_sizes(publication.generation, executable, schema_hash).ok()
                });
            let Some(generation) = generation.map(Arc::new) else {
                self.trainer.not_published(publication.generation);
                continue;
            };
            for host in (0..hosts).map(HostId) {
                if let Some(weir) = world.weir_mut(host) {
                    weir.swap_sizes(Arc::clone(&generation));
                }
            }
            self.trainer.published(publication.generation, self.now.0);
        }
    }
}
