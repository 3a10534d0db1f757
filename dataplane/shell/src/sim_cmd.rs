//! `weir sim`: experiments in virtual time.

use crate::config::simulation;
use anyhow::Context as _;
use clap::Args;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tracing::info;
use weir_sim::experiment::{Experiment, Results, RunError};
use weir_sim::report;

/// Panels of a figure: the figures that come first in a table.
const PANELS: usize = 4;
/// Time between two lines of progress.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Arguments of `weir sim run`.
#[derive(Debug, Args)]
pub(crate) struct SimArgs {
    /// The experiment's file (TOML). Paths in it are relative to it.
    experiment: PathBuf,
    /// The first seed, in place of what the file says; the others follow it.
    #[arg(long)]
    seed: Option<u64>,
    /// Runs of each scheme in each case, in place of what the file says.
    #[arg(long)]
    seeds: Option<u64>,
    /// A folder for the table, the figures of every run as CSV, and a figure. Without it the table is only printed.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Runs beside each other; as many as there are cores. The results are the same.
    #[arg(long)]
    jobs: Option<usize>,
    /// Override one key of the file, as in `--set duration=10s`. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

/// One run: case, scheme, and which of the seeds.
type Run = (usize, usize, usize);

/// `weir sim run`. The exit status is not 0 where something that the file expects does not hold.
///
/// # Errors
/// The file is wrong, a run's frames are not accounted for, or a result cannot be written.
pub(crate) fn run(args: &SimArgs) -> anyhow::Result<ExitCode> {
    let mut experiment = simulation::experiment(&args.experiment, &args.overrides)?;
    if let Some(seeds) = args.seeds {
        anyhow::ensure!(seeds > 0, "--seeds: expected at least 1");
        experiment.seeds = seeds;
    }
    experiment.first_seed = args.seed.unwrap_or(experiment.first_seed);
    let jobs = args.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let results = run_all(&experiment, jobs.max(1))?;
    let mut text = format!("{}\n\n{}", experiment.title, report::tables(&experiment, &results));
    text.push_str(&report::comparisons(&experiment, &results));
    let verdicts = report::judge(&experiment, &results);
    for verdict in &verdicts {
        text.push_str(&verdict.text);
        text.push('\n');
    }
    print!("{text}");
    if let Some(folder) = &args.out {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let stem =
            args.experiment.file_stem().map_or_else(|| "experiment".into(), |stem| stem.to_string_lossy());
        let write = |suffix: &str, text: &str| {
            let path = folder.join(format!("{stem}.{suffix}"));
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        write("txt", &text)?;
        write("csv", &report::csv(&experiment, &results))?;
        report::draw(&folder.join(format!("{stem}.svg")), &experiment, &results, PANELS)?;
    }
    let all_hold = verdicts.iter().all(|verdict| verdict.holds);
    Ok(if all_hold { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Does every run, `jobs` at a time. Each has a world of its own, so their order does not matter.
fn run_all(experiment: &Experiment, jobs: usize) -> Result<Results, RunError> {
    let (cases, schemes) = (experiment.cases().len(), experiment.schemes().len());
    let seeds = usize::try_from(experiment.seeds).unwrap_or(usize::MAX);
    let runs: Vec<Run> = (0..seeds)
        .flat_map(|seed| {
            (0..cases).flat_map(move |case| (0..schemes).map(move |scheme| (case, scheme, seed)))
        })
        .collect();
    let results = Mutex::new(Results { figures: vec![vec![vec![Vec::new(); seeds]; schemes]; cases] });
    let failed = Mutex::new(None);
    let next = AtomicUsize::new(0);
    let progress = Mutex::new(Progress::new(runs.len()));
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(runs.len()) {
            scope.spawn(|| {
                while let Some(&(case, scheme, seed)) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let seed_number = experiment.first_seed.wrapping_add(seed as u64);
                    match experiment.run(case, scheme, seed_number) {
                        Ok(figures) => {
                            let mut results = locked(&results);
                            if let Some(place) = place(&mut results, (case, scheme, seed)) {
                                *place = figures;
                            }
                        }
                        Err(error) => {
                            locked(&failed).get_or_insert(error);
                            next.store(runs.len(), Ordering::Relaxed);
                        }
                    }
                    locked(&progress).tell();
                }
            });
        }
    });
    match locked(&failed).take() {
        Some(error) => Err(error),
        None => Ok(results.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())),
    }
}

fn place(results: &mut Results, (case, scheme, seed): Run) -> Option<&mut Vec<f64>> {
    results.figures.get_mut(case)?.get_mut(scheme)?.get_mut(seed)
}

/// A run that panics is a defect, and ends the program; what it held was whole.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// How far it is.
struct Progress {
    began: Instant,
    told: Instant,
    done: usize,
    all: usize,
}

impl Progress {
    fn new(all: usize) -> Progress {
        Progress { began: Instant::now(), told: Instant::now(), done: 0, all }
    }

    fn tell(&mut self) {
        self.done += 1;
        if self.told.elapsed() < TELL_EVERY {
            return;
        }
        self.told = Instant::now();
        let seconds = self.began.elapsed().as_secs_f64();
        let left = seconds / self.done as f64 * self.all.saturating_sub(self.done) as f64;
        info!("{} of {} runs, {seconds:.0} s, some {left:.0} s left", self.done, self.all);
    }
}
