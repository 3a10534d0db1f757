//! `weir train`: models from nothing.

use crate::calendar;
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Instant;
use tracing::info;
use weir_trainer::ort_engine::Engine;
use weir_trainer::ppo::{self, Options, Progress, Recipe, Task};
use weir_trainer::sizes;

/// Arguments of `weir train aurora`.
#[derive(Debug, Args)]
pub(crate) struct AuroraArgs {
    /// Decisions to learn from.
    #[arg(long, default_value_t = 3_940_000)]
    steps: u64,
    /// The links to train on.
    #[arg(long, value_enum, default_value_t = World::Wide)]
    world: World,
    #[command(flatten)]
    run: RunArgs,
}

/// Arguments of `weir train mocc`.
#[derive(Debug, Args)]
pub(crate) struct MoccArgs {
    /// Decisions to learn from.
    #[arg(long, default_value_t = 8_000_000)]
    steps: u64,
    #[command(flatten)]
    run: RunArgs,
}

/// What every training by reinforcement is told.
#[derive(Debug, Args)]
struct RunArgs {
    /// Everything random follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The folder for the model, its card, its learning curve and, on the way, its checkpoint.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Go on from the checkpoint in the folder, if there is one. The result is that of a training that never stopped.
    #[arg(long)]
    resume: bool,
}

/// The links to train on.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum World {
    /// Those of Aurora's published simulator, with its reward: aurora-published.onnx.
    Published,
    /// 1 Mb/s to 10 Gb/s and 50 us to 1 s, as a host sees them: aurora-wide.onnx.
    Wide,
}

/// `weir train aurora`.
///
/// # Errors
/// There is no ONNX Runtime, a step fails, or a file cannot be written.
pub(crate) fn aurora(args: &AuroraArgs) -> anyhow::Result<()> {
    let (task, name, model) = match args.world {
        World::Published => (Task::Published, "aurora-published", "aurora --world published"),
        World::Wide => (Task::Wide, "aurora-wide", "aurora --world wide"),
    };
    train(task, name, model, args.steps, &args.run)
}

/// `weir train mocc`.
///
/// # Errors
/// As [`aurora`].
pub(crate) fn mocc(args: &MoccArgs) -> anyhow::Result<()> {
    train(Task::Preferences, "mocc", "mocc", args.steps, &args.run)
}

/// Arguments of `weir train balance`.
#[derive(Debug, Args)]
pub(crate) struct BalanceArgs {
    /// Everything random follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The folder for the model, its card and its learning curve.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Fabrics that are simulated beside each other; as many as there are cores. The result is the same.
    #[arg(long)]
    jobs: Option<usize>,
}

/// `weir train balance`.
///
/// # Errors
/// A file cannot be written.
pub(crate) fn balance(args: &BalanceArgs) -> anyhow::Result<()> {
    let BalanceArgs { seed, out, jobs } = args;
    let options = weir_sim::train::Options {
        recipe: weir_sim::train::Recipe::SHIPPED,
        seed: *seed,
        folder: out.clone(),
        command: format!("weir train balance --seed {seed} --out conf/models"),
        date: calendar::date(calendar::unix_seconds()),
        jobs: jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)),
    };
    let made = weir_sim::train::make(&options, &mut |line| info!("{line}"))?;
    println!("{}\n{}\n{}", made.model.display(), made.card.display(), made.curve.display());
    Ok(())
}

/// Arguments of `weir train schedule`.
#[derive(Debug, Args)]
pub(crate) struct ScheduleArgs {
    /// Everything random follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The folder for `schedule.onnx`, its card and its learning curve.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

/// `weir train schedule`.
///
/// # Errors
/// There is no ONNX Runtime, the model does not predict what it should, or a file cannot be written.
pub(crate) fn schedule(args: &ScheduleArgs) -> anyhow::Result<()> {
    let seed = args.seed;
    let options = sizes::Options {
        recipe: sizes::train::Recipe::SHIPPED,
        seed,
        folder: args.out.clone(),
        command: format!("weir train schedule --seed {seed} --out conf/models"),
        date: calendar::date(calendar::unix_seconds()),
    };
    let engine = Engine::load(None).context("training needs ONNX Runtime")?;
    let made = sizes::make(&engine, &options, &mut |line| info!("{line}"))?;
    println!("{}\n{}\n{}", made.model.display(), made.card.display(), made.curve.display());
    Ok(())
}

/// Trains `name`.onnx; `model` is what the command line calls it.
fn train(task: Task, name: &str, model: &str, steps: u64, args: &RunArgs) -> anyhow::Result<()> {
    let RunArgs { seed, out, resume } = args;
    let options = Options {
        recipe: Recipe::of(task, steps),
        seed: *seed,
        resume: *resume,
        folder: out.clone(),
        name: name.to_owned(),
        command: format!("weir train {model} --seed {seed} --steps {steps} --out conf/models"),
        date: calendar::date(calendar::unix_seconds()),
    };
    let engine = Engine::load(None).context("training needs ONNX Runtime")?;
    let mut pace = Pace::default();
    let made = ppo::train(&engine, &options, &mut |progress| pace.tell(progress))?;
    println!("{}\n{}\n{}", made.model.display(), made.card.display(), made.curve.display());
    Ok(())
}

/// How fast it goes.
#[derive(Debug, Default)]
struct Pace {
    /// When the first batch was done, and the steps until then.
    began: Option<(Instant, u64)>,
}

impl Pace {
    /// One line for each look at the selection set.
    fn tell(&mut self, progress: &Progress) {
        let (began, before) = *self.began.get_or_insert((Instant::now(), progress.steps));
        let Some(selected) = progress.selected else { return };
        let seconds = began.elapsed().as_secs_f64().max(1e-3);
        let per_s = progress.steps.saturating_sub(before) as f64 / seconds;
        let left_s = progress.steps_max.saturating_sub(progress.steps) as f64 / per_s.max(1.0);
        let (best, at) = progress.best.unwrap_or_default();
        info!(
            "{} of {} decisions: reward {:.3}, score {:.3} (best {best:.3} at {at}), {per_s:.0} decisions/s, {left_s:.0} s left",
            progress.steps,
            progress.steps_max,
            selected.reward,
            selected.score()
        );
    }
}
