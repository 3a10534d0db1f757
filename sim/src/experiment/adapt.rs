//! Adaptation in virtual time: the trainer that a live Weir has, on the samples that the simulated ones tell.

use crate::edge::Edge;
use crate::frame::HostId;
use crate::world::World;
use std::sync::Arc;
use weir_engine::models::{Generation, Unfit};
use weir_engine::time::Ns;
use weir_snapshot::{Executable, Executor};
use weir_trainer::Built;
use weir_trainer::online::gate::{GateConfig, Terms};
use weir_trainer::online::{PredictionTuner, PredictionTuning, Publication, Start, Trainer, TrainerConfig};
use weir_trainer::ort_engine::Engine;
use weir_trainer::store::Reason;

/// Time between two steps where sizes are learned: a live trainer's 500 ms at some twenty times the flows of one busy host.
const SIZES_EVERY: Ns = Ns::from_millis(25);
/// The same of paths: some hundreds of deliveries of a whole fabric.
const PATHS_EVERY: Ns = Ns::from_millis(5);

/// A model that is tuned on the way, and by what.
#[derive(Clone, Debug)]
pub struct Tuned {
    /// As it was built.
    pub built: Arc<Built>,
    /// What runs its training graph.
    pub engine: Engine,
}

/// A trainer of all hosts' model of one function.
pub(super) struct Adaptation {
    trainer: Trainer,
    function: Function,
    /// Time between two steps.
    interval: Ns,
    now: Ns,
    publications: u64,
}

#[derive(Clone, Copy)]
enum Function {
    Sizes,
    Paths,
}

impl Adaptation {
    /// Tunes what predicts sizes.
    ///
    /// # Errors
    /// One line: the trainer does not take the model.
    pub(super) fn of_sizes(tuned: &Tuned, seed: u64) -> Result<Adaptation, String> {
        let tuning = PredictionTuning { seed, ..PredictionTuning::sizes() };
        Adaptation::of(tuned, Function::Sizes, tuning, SIZES_EVERY, 0.5)
    }

    /// Tunes what scores paths, as a live Weir does by default.
    ///
    /// # Errors
    /// As [`of_sizes`](Adaptation::of_sizes).
    pub(super) fn of_paths(tuned: &Tuned, seed: u64) -> Result<Adaptation, String> {
        let tuning = PredictionTuning { seed, ..PredictionTuning::choices() };
        Adaptation::of(tuned, Function::Paths, tuning, PATHS_EVERY, 0.25)
    }

    fn of(
        Tuned { built, engine }: &Tuned,
        function: Function,
        tuning: PredictionTuning,
        interval: Ns,
        remembered_share: f64,
    ) -> Result<Adaptation, String> {
        let Built { network, inputs, bytes, report, .. } = &**built;
        let seed = tuning.seed;
        let tuner =
            PredictionTuner::new(engine, network, inputs, tuning).map_err(|error| error.to_string())?;
        let gate = GateConfig { precisions: vec![report.precision], ..GateConfig::new(None) };
        let config = TrainerConfig {
            interval_ns: interval.0,
            rows_min: 128,
            remembered_share,
            seed,
            ..TrainerConfig::new(gate)
        };
        let mut trainer = Trainer::new(config, Terms::of(built), Box::new(tuner), None, Vec::new(), 0)
            .map_err(|error| error.to_string())?;
        let (network, bytes) = (network.clone(), bytes.clone());
        let start = Start { number: 0, reason: Reason::Configured, network, bytes, refused: false };
        let publication = trainer.install(start).map_err(|error| error.to_string())?;
        trainer.published(publication.generation, 0);
        Ok(Adaptation { trainer, function, interval, now: Ns::ZERO, publications: 0 })
    }

    /// How often something that was learned has been published.
    pub(super) fn publications(&self) -> u64 {
        self.publications
    }

    /// Lets the world go on until `end`, step by step.
    pub(super) fn run(&mut self, world: &mut World, hosts: u16, end: Ns) {
        while self.now < end {
            self.now += self.interval;
            world.run(self.now, true);
            for host in (0..hosts).map(HostId) {
                match self.function {
                    Function::Sizes => {
                        let Some(weir) = world.weir_mut(host) else { continue };
                        weir.drain_flows(|sample| self.trainer.observe_flow(sample));
                    }
                    Function::Paths => {
                        let Some(Edge::Engine(engine)) = world.edge_mut(host) else { continue };
                        engine.drain(|sample| self.trainer.observe_choice(sample));
                    }
                }
            }
            let Some(publication) = self.trainer.step(self.now.0).publication else { continue };
            let number = publication.generation;
            let Some(generation) = self.generation(publication).map(Arc::new) else {
                self.trainer.not_published(number);
                continue;
            };
            for host in (0..hosts).map(HostId) {
                match self.function {
                    Function::Sizes => {
                        let Some(weir) = world.weir_mut(host) else { continue };
                        weir.swap_sizes(Arc::clone(&generation));
                    }
                    Function::Paths => {
                        let Some(Edge::Engine(engine)) = world.edge_mut(host) else { continue };
                        engine.swap(Arc::clone(&generation));
                    }
                }
            }
            self.publications += 1;
            self.trainer.published(number, self.now.0);
        }
    }

    /// What workers take up.
    fn generation(&self, publication: Publication) -> Option<Generation> {
        let executable = Executable::new(publication.snapshot, Executor::best()).ok()?;
        let schema_hash = executable.snapshot().schema_hash();
        let of: fn(u32, Executable, u64) -> Result<Generation, Unfit> = match self.function {
            Function::Sizes => Generation::of_sizes,
            Function::Paths => Generation::of_paths,
        };
        of(publication.generation, executable, schema_hash).ok()
    }
}
