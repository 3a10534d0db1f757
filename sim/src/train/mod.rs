//! The shipped model that chooses paths, from nothing.
//!
//! Each round the engine chooses in a few simulated fabrics, in the first by its rule LetFlow, later by the network of the round
//! before with a share of drawn choices; whatever it decides is kept with the truth about each candidate
//! ([`Truth::costs`](crate::edge::Truth::costs)). A network is fitted to all that was kept so far ([`weir_trainer::paths`]),
//! quantised, and judged by mean FCT in fabrics that nothing is learned from. The best one is kept. (The arrangement is DAgger's:
//! Ross et al., AISTATS 2011.)

mod card;
mod conditions;

use crate::edge::EnginePaths;
use crate::experiment::{FabricExperiment, FabricScheme, PathRule};
use crate::workload::SizesError;
use conditions::Condition;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use weir_engine::balance::{BalanceSettings, PathRule as EngineRule};
use weir_engine::models::{Generation, Unfit};
use weir_engine::time::Ns;
use weir_env::Rng;
use weir_features::ONE;
use weir_snapshot::{Executable, Executor, Precision, Unavailable};
use weir_trainer::network::Network;
use weir_trainer::paths::{self, Decision, Recipe as Fit};
use weir_trainer::ppo::{Made, curve, write as write_file};
use weir_trainer::{BuildError, Built, ModelSpec, onnx};

/// Name of the model and of its files.
pub const NAME: &str = "balance";
/// What ends a flowlet for the network: less than a round trip, for it moves a flow only where that pays.
pub const FLOWLET_GAP: Ns = Ns::from_micros(60);
/// By how much another path must be better, in doublings of the time.
pub const HYSTERESIS: f64 = 0.3;
/// How often each path is probed: about once in a round trip.
pub const PROBE_INTERVAL: Ns = Ns::from_micros(100);
/// What ends a flowlet for the rules: of 30, 60, 150 and 300 us the best for LetFlow.
const RULE_GAP: Ns = Ns::from_micros(150);
/// Share of choices that are drawn while decisions are kept, in 1/65536: a fifth.
const EXPLORE: u32 = 13_107;
/// First seed of the fabrics in which networks are judged, far from those of experiments.
const JUDGE_SEED: u64 = 1_000_000;
/// The same for the card.
const CARD_SEED: u64 = 2_000_000;

/// How much is done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recipe {
    /// Rounds.
    pub rounds: u64,
    /// How long transfers come in each fabric.
    pub arrivals: Ns,
    /// Fabrics of each kind in which a network is judged.
    pub judges: u64,
    /// How a network is fitted.
    pub fit: Fit,
}

impl Recipe {
    /// The shipped model's.
    pub const SHIPPED: Recipe =
        Recipe { rounds: 4, arrivals: Ns::from_millis(30), judges: 2, fit: Fit::SHIPPED };
}

/// What to make.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// How.
    pub recipe: Recipe,
    /// Everything random follows from it.
    pub seed: u64,
    /// The folder for `balance.onnx`, `balance.md` and `balance.svg`.
    pub folder: PathBuf,
    /// The command, for the card.
    pub command: String,
    /// The day, for the card.
    pub date: String,
    /// Fabrics that are simulated beside each other. The result is the same.
    pub jobs: usize,
}

/// Why there is no model. One line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A file could not be written.
    #[error("{path}: cannot be written: {1}", path = .0.display())]
    Write(PathBuf, io::Error),
    /// A network has no integers, or its file is refused.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Its integers do not run on this machine: a defect.
    #[error(transparent)]
    Run(#[from] Unavailable),
    /// The engine refuses them: a defect.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// A table of sizes is none: a defect.
    #[error(transparent)]
    Sizes(#[from] SizesError),
    /// No decision was made in any fabric: the recipe's arrivals are too short.
    #[error("no decision in {0} of simulated time: nothing to learn from")]
    Nothing(Ns),
    /// The curve could not be drawn.
    #[error("{path}: {1}", path = .0.display())]
    Curve(PathBuf, String),
}

/// How good a round's network is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Point {
    /// Decisions learned from.
    pub(crate) decisions: usize,
    /// Mean FCT over LetFlow's, by condition.
    pub(crate) ratios: Vec<f64>,
    /// The geometric mean of those.
    pub(crate) ratio: f64,
    /// What its choices cost more than the best ones, in doublings of the time, on decisions of the same round.
    pub(crate) regret: f64,
}

/// Trains, judges and writes the model, its card and its curve. `progress` gets lines to print.
///
/// # Errors
/// [`TrainError`]. Files that are there already stay as they are unless everything succeeded.
pub fn make(options: &Options, progress: &mut dyn FnMut(&str)) -> Result<Made, TrainError> {
    let Options { recipe, seed, folder, jobs, .. } = options;
    fs::create_dir_all(folder).map_err(|error| TrainError::Write(folder.clone(), error))?;
    let path = |end: &str| folder.join(format!("{NAME}.{end}"));
    let candidate = Removed(path("candidate.onnx"));
    let letflow = judge(&rule(EngineRule::LetFlow), (JUDGE_SEED, recipe.judges), recipe.arrivals, *jobs)?;
    let (mut known, mut points): (Vec<Decision>, Vec<Point>) = (Vec::new(), Vec::new());
    let mut best: Option<(f64, Network)> = None;
    let mut chooser = finely(rule(EngineRule::LetFlow));
    let mut rng = Rng::new(*seed);
    for round in 0..recipe.rounds {
        let conditions = conditions::to_learn_from(*seed, round, recipe.arrivals)?;
        let watched = beside(&conditions, *jobs, |Condition { fabric, case, seed }| {
            fabric.watch(case, &chooser, *seed)
        });
        let fresh: Vec<Decision> = watched.into_iter().flatten().collect();
        known.extend(fresh.iter().cloned());
        let network =
            paths::fit(&known, &recipe.fit, &mut rng).ok_or(TrainError::Nothing(recipe.arrivals))?;
        write(&candidate.0, &onnx::export(&network, NAME))?;
        let built = built(&candidate.0, Precision::Bits12)?;
        let model = by(built)?;
        let found = judge(&model, (JUDGE_SEED, recipe.judges), recipe.arrivals, *jobs)?;
        let ratios: Vec<f64> = found.iter().zip(&letflow).map(|(found, rule)| found / rule).collect();
        let point = Point {
            decisions: known.len(),
            ratio: weir_env::math::exp(
                ratios.iter().map(|ratio| weir_env::math::ln(*ratio)).sum::<f64>()
                    / ratios.len().max(1) as f64,
            ),
            regret: paths::regret(&fresh, |row| network.evaluate(&paths::inputs(row))[0]),
            ratios,
        };
        let shown: Vec<String> = point.ratios.iter().map(|ratio| format!("{ratio:.3}")).collect();
        progress(&format!(
            "round {} of {}: {} decisions, FCT over LetFlow's {:.3} ({}), regret {:.3}",
            round + 1,
            recipe.rounds,
            point.decisions,
            point.ratio,
            shown.join(", "),
            point.regret
        ));
        if best.as_ref().is_none_or(|(ratio, _)| point.ratio < *ratio) {
            best = Some((point.ratio, network));
        }
        points.push(point);
        chooser = exploring(model);
    }
    let (_, network) = best.ok_or(TrainError::Nothing(recipe.arrivals))?;
    let made = Made { model: path("onnx"), card: path("md"), curve: path("svg") };
    let svg = curve_of(*seed, &points).map_err(|error| TrainError::Curve(made.curve.clone(), error))?;
    write(&candidate.0, &onnx::export(&network, NAME))?;
    let text = card::text(options, &points, &candidate.0)?;
    fs::rename(&candidate.0, &made.model).map_err(|error| TrainError::Write(made.model.clone(), error))?;
    write(&made.card, text.as_bytes())?;
    write(&made.curve, svg.as_bytes())?;
    Ok(made)
}

/// A file that goes with whoever made it.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        // It may have been renamed, or never written; a stray candidate harms nobody.
        let _ = fs::remove_file(&self.0);
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    write_file(path, bytes).map_err(|error| TrainError::Write(path.to_path_buf(), error))
}

fn curve_of(seed: u64, points: &[Point]) -> Result<String, String> {
    let points: Vec<(f64, f64, f64)> =
        points.iter().map(|point| (point.decisions as f64 / 1e3, point.ratio, 0.0)).collect();
    let axes = ["decisions, thousands", "mean FCT over LetFlow's"];
    curve::draw(&format!("{NAME}, seed {seed}"), axes, &points).map_err(|error| error.to_string())
}

/// The engine's paths by a rule.
fn rule(rule: EngineRule) -> EnginePaths {
    let settings = BalanceSettings {
        rule,
        flowlet_gap: RULE_GAP,
        control_share: 0,
        explore_share: 0,
        // Whoever explores does so in every decision: nobody asks for records, so no delivery is under way.
        sample_share: 65_536,
        // Rows are kept while a rule decides, too.
        spec: paths::spec(),
        ..BalanceSettings::default()
    };
    EnginePaths { settings, model: None, decision_delay: Ns::ZERO, probe_interval: Some(PROBE_INTERVAL) }
}

/// The integers of a file.
fn built(file: &Path, precision: Precision) -> Result<Built, TrainError> {
    Ok(weir_trainer::build(&ModelSpec::balance(NAME, file, precision))?)
}

/// The engine's paths by a network.
fn by(built: Built) -> Result<EnginePaths, TrainError> {
    let schema = built.snapshot.schema_hash();
    let executable = Executable::new(built.snapshot, Executor::best())?;
    let model = Some(Arc::new(Generation::of_paths(1, executable, schema)?));
    let base = rule(EngineRule::Ecmp);
    let hysteresis_q16 = (HYSTERESIS * f64::from(ONE)) as u32;
    let settings = BalanceSettings { model: true, flowlet_gap: FLOWLET_GAP, hysteresis_q16, ..base.settings };
    Ok(EnginePaths { settings, model, ..base })
}

/// The same with the network's flowlets: what is learned from should look as what is decided.
fn finely(paths: EnginePaths) -> EnginePaths {
    EnginePaths { settings: BalanceSettings { flowlet_gap: FLOWLET_GAP, ..paths.settings }, ..paths }
}

fn exploring(paths: EnginePaths) -> EnginePaths {
    EnginePaths { settings: BalanceSettings { explore_share: EXPLORE, ..paths.settings }, ..paths }
}

/// Mean FCT in the conditions that networks are judged in, in milliseconds, by condition.
fn judge(paths: &EnginePaths, seeds: (u64, u64), arrivals: Ns, jobs: usize) -> Result<Vec<f64>, TrainError> {
    let scheme = FabricScheme::new(String::new(), PathRule::Engine(paths.clone()));
    let fabric = conditions::to_judge(arrivals, vec![scheme])?;
    Ok(means(&fabric, seeds, jobs).into_iter().map(|schemes| schemes[0]).collect())
}

/// Mean FCT by condition and scheme.
fn means(fabric: &FabricExperiment, (first, seeds): (u64, u64), jobs: usize) -> Vec<Vec<f64>> {
    let (cases, schemes) = (fabric.conditions.len(), fabric.schemes.len());
    let runs: Vec<(usize, usize, u64)> = (0..cases)
        .flat_map(|case| {
            (0..schemes).flat_map(move |scheme| (0..seeds).map(move |seed| (case, scheme, first + seed)))
        })
        .collect();
    let found = beside(&runs, jobs, |(case, scheme, seed)| {
        // None of these is tuned on the way, so none can be refused.
        let figures = fabric.run(*case, *scheme, *seed).map(|(figures, _)| figures);
        figures.ok().and_then(|figures| figures.first().copied()).unwrap_or(f64::NAN)
    });
    let mut sums = vec![vec![0.0; schemes]; cases];
    for ((case, scheme, _), fct) in runs.iter().zip(found) {
        sums[*case][*scheme] += fct / seeds as f64;
    }
    sums
}

/// `work` on each, `jobs` at a time, results in their order.
fn beside<T: Sync, R: Send>(items: &[T], jobs: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, items.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at) else { break };
                    let result = work(item);
                    done.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push((at, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests;
