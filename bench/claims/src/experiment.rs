//! One run: a pool of flows through one environment after the other, under a snapshot that is adapted, or is not.

use crate::pool::{Pool, Running, Shares, Worth};
use anyhow::{Context as _, Result};
use serde::Serialize;
use std::collections::BTreeMap;
use weir_env::{Conditions, Preference};
use weir_features::PacingSpec;
use weir_snapshot::{Executable, Executor};
use weir_trainer::Built;
use weir_trainer::online::gate::{GateConfig, Safety, Terms};
use weir_trainer::online::replay::LinkReplay;

use weir_trainer::online::{PolicyTuner, PolicyTuning, Start, Trainer, TrainerConfig};
use weir_trainer::ort_engine::Engine;
use weir_trainer::store::Reason;

/// Decisions of one point of a curve.
const POINT: u64 = 2_000;

/// An environment, and how long the flows stay there.
#[derive(Clone)]
pub(crate) struct Stage {
    pub name: &'static str,
    /// Of one flow, by seed.
    pub conditions: fn(seed: u64) -> Conditions,
    /// Decisions of all flows together.
    pub decisions: u64,
    /// Whether the base policy was not trained for it.
    pub is_new: bool,
}

/// What every run of a claim has in common.
#[derive(Clone, Copy)]
pub(crate) struct Setting<'a> {
    pub engine: &'a Engine,
    /// The base policy.
    pub base: &'a Built,
    pub spec: &'a PacingSpec,
    pub stages: &'a [Stage],
    pub flows: u64,
    pub shares: Shares,
    /// The guard's bounds.
    pub rate_bps: (u64, u64),
}

/// What is varied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variant {
    /// Whether the trainer publishes at all.
    pub adapts: bool,
    /// Time between two steps, in nanoseconds.
    pub interval_ns: u64,
    /// Fidelity loss that makes a publication necessary, in sigmas.
    pub fidelity: f64,
    pub seed: u64,
}

/// What one stage brought.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct StageResult {
    /// Mean reward by points of 2 000 decisions.
    pub curve: Vec<f64>,
    /// Mean reward of the last fifth.
    pub settled: f64,
    /// Mean utilisation of the last fifth.
    pub utilisation: f64,
    /// Mean reward of all.
    pub mean: f64,
    pub swaps: u64,
    pub seconds: f64,
}

/// One run.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct RunResult {
    pub stages: Vec<StageResult>,
    /// Candidates by the gate's verdict.
    pub verdicts: BTreeMap<String, u64>,
    pub steps: u64,
    pub samples: u64,
    /// Time that the trainer's steps took, in seconds.
    pub trainer_seconds: f64,
}

/// Runs a variant. `clock` tells real seconds, for the cost of the steps.
pub(crate) fn run(setting: &Setting<'_>, variant: &Variant, clock: &dyn Fn() -> f64) -> Result<RunResult> {
    let mut trainer = trainer(setting, variant)?;
    let first = trainer.install(Start {
        number: 0,
        reason: Reason::Configured,
        network: setting.base.network.clone(),
        bytes: setting.base.bytes.clone(),
        refused: false,
    })?;
    trainer.published(first.generation, 0);
    if !variant.adapts {
        trainer.freeze();
    }
    let mut executable = Executable::new(first.snapshot, Executor::best())?;
    let mut generation = first.generation;
    let slice_s = variant.interval_ns as f64 * 1e-9;
    let (mut result, mut offset_ns) = (RunResult::default(), 0);
    for (index, stage) in setting.stages.iter().enumerate() {
        let seed = variant.seed * 1_000 + index as u64;
        let of_flow = |flow| (stage.conditions)(seed.wrapping_mul(1_000_003).wrapping_add(flow));
        let conditions: Vec<Conditions> = (0..setting.flows).map(of_flow).collect();
        let mut pool = Pool::new(&conditions, &setting.shares, Preference::DEFAULT, seed, offset_ns);
        let mut stage_result = StageResult::default();
        let (mut all, mut point, mut points) = (Worth::default(), Worth::default(), Vec::new());
        while all.decisions < stage.decisions {
            let running = Running { executable: &executable, generation };
            let mut observed = Vec::new();
            let earned = pool.run(slice_s, &running, &mut |sample| observed.push(*sample));
            // A lane delivers in order of time, as far as batches let it; flows are run one after the other.
            observed.sort_by_key(|sample| sample.at_ns);
            all.add(&earned);
            point.add(&earned);
            if point.decisions >= POINT {
                points.push(std::mem::take(&mut point));
            }
            let began = clock();
            observed.iter().for_each(|sample| trainer.observe(sample));
            let report = trainer.step(pool.now_ns());
            result.trainer_seconds += clock() - began;
            if let Some(publication) = report.publication {
                executable = Executable::new(publication.snapshot, Executor::best())?;
                generation = publication.generation;
                trainer.published(generation, pool.now_ns());
                stage_result.swaps += 1;
            }
        }
        stage_result.curve = points.iter().map(Worth::mean).collect();
        let last = points.len() - points.len() / 5;
        let settled = points.iter().skip(last.saturating_sub(1)).fold(Worth::default(), |mut sum, point| {
            sum.add(point);
            sum
        });
        stage_result.settled = settled.mean();
        stage_result.utilisation = settled.utilisation / settled.decisions.max(1) as f64;
        stage_result.mean = all.mean();
        stage_result.seconds = (pool.now_ns() - offset_ns) as f64 * 1e-9;
        offset_ns = pool.now_ns();
        result.stages.push(stage_result);
    }
    let stats = trainer.stats();
    result.verdicts = stats.refused.iter().map(|(reason, count)| (reason.name().to_owned(), count)).collect();
    result.verdicts.insert("accepted".to_owned(), stats.accepted);
    result.verdicts.insert("recalled".to_owned(), stats.recalled);
    result.verdicts.insert("returned".to_owned(), stats.returned);
    result.verdicts.retain(|_, count| *count > 0);
    (result.steps, result.samples) = (stats.steps, stats.samples.taken);
    Ok(result)
}

fn trainer(setting: &Setting<'_>, variant: &Variant) -> Result<Trainer> {
    let Built { network, inputs, .. } = setting.base;
    let mut gate = GateConfig::new(Some(Safety::new(setting.rate_bps.0, setting.rate_bps.1)));
    gate.fidelity.threshold = variant.fidelity;
    let mut config = TrainerConfig::new(gate);
    (config.interval_ns, config.seed) = (variant.interval_ns, variant.seed);
    let terms = Terms::of(setting.base);
    let sigma = f64::from(setting.shares.sigma_q16) / 65_536.0;
    let tuning = PolicyTuning { seed: variant.seed, sigma, ..PolicyTuning::default() };
    let tuner = PolicyTuner::new(setting.engine, network, inputs, tuning).context("no tuner")?;
    let replay = LinkReplay::new(setting.spec.clone(), Preference::DEFAULT, setting.rate_bps);
    Ok(Trainer::new(config, terms, Box::new(tuner), Some(Box::new(replay)), Vec::new(), 0)?)
}
