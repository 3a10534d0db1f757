//! Experiments: cases, schemes and seeds, and what each run of one of each measures.
//!
//! An [`Experiment`] is a list of conditions (*cases*), a list of things that are compared (*schemes*), and a world. A *run* is
//! one case under one scheme with one seed; the same seed gives every scheme the same draws, so that schemes are compared
//! pair by pair. Whoever drives this may do runs in any order, and beside each other: none knows of another.

mod adapt;
mod fabric;
mod jobs;
mod link;
mod settings;

pub use adapt::Tuned;
pub use fabric::{FabricCase, FabricExperiment, FabricScheme, Fault, PathRule};
pub use jobs::{JobsCase, JobsExperiment, JobsScheme, Priorities, SizeModel};
pub use link::{FlowSettings, LinkChange, LinkExperiment, LinkScheme, LinkSettings};
pub use settings::{ModelUse, PacingUse, WeirSettings};

use crate::stats::Estimate;

/// Which way a figure is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// More.
    More,
    /// Less.
    Less,
    /// Neither.
    Neither,
}

/// A figure that runs give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name, one word with underscores, unit last.
    pub name: &'static str,
    /// Which way it is better.
    pub better: Better,
}

/// Something that is claimed of the results.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// Of which figure.
    pub metric: String,
    /// In which cases; none named: in each.
    pub cases: Vec<String>,
    /// What.
    pub claim: Claim,
}

/// Two schemes that are held against each other run by run, seed by seed, without a claim.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// In which figure.
    pub metric: String,
    /// In which cases; none named: in each.
    pub cases: Vec<String>,
    /// Who.
    pub scheme: String,
    /// Against the best of these, case by case.
    pub over: Vec<String>,
}

/// What may be claimed of a figure's means.
#[derive(Clone, Debug, PartialEq)]
pub enum Claim {
    /// A scheme's mean is at least (at most) so many times that of the best of others.
    Factor {
        /// Whose mean.
        scheme: String,
        /// Over the best of whose, case by case.
        over: Vec<String>,
        /// Least factor.
        at_least: Option<f64>,
        /// Greatest factor.
        at_most: Option<f64>,
        /// Whether the whole of the paired difference's 95 % interval must lie there, and not the mean alone.
        whole_interval: bool,
    },
    /// A scheme's mean is within bounds.
    Bounds {
        /// Whose mean.
        scheme: String,
        /// Least.
        at_least: Option<f64>,
        /// Greatest.
        at_most: Option<f64>,
    },
    /// The means rise (fall) from scheme to scheme.
    Order {
        /// In this order.
        schemes: Vec<String>,
        /// Whether they rise.
        rising: bool,
    },
}

/// What a world is asked.
pub enum World {
    /// Senders over one bottleneck.
    Link(LinkExperiment),
    /// Transfers over a leaf-spine fabric.
    Fabric(FabricExperiment),
    /// Jobs whose transfers are scheduled by predicted size.
    Jobs(JobsExperiment),
}

/// A checked experiment.
pub struct Experiment {
    /// What it shows, one line.
    pub title: String,
    /// Runs of each scheme in each case, with seeds that follow the first.
    pub seeds: u64,
    /// The first of them.
    pub first_seed: u64,
    /// What the others are compared with.
    pub baseline: usize,
    /// What is told beside the tables.
    pub comparisons: Vec<Comparison>,
    /// What must hold.
    pub expectations: Vec<Expectation>,
    /// The world.
    pub world: World,
}

/// A run that did not come to an end as it must.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// Frames are not accounted for: a defect of the simulator or of the engine.
    #[error("case {case:?}, scheme {scheme:?}, seed {seed}: frames are not accounted for: {books}")]
    Books {
        /// Which case.
        case: String,
        /// Which scheme.
        scheme: String,
        /// Which seed.
        seed: u64,
        /// The books.
        books: String,
    },
    /// What is to be adapted cannot be.
    #[error("scheme {scheme:?}: its model cannot be adapted: {reason}")]
    Adapt {
        /// Which scheme.
        scheme: String,
        /// Why not.
        reason: String,
    },
}

impl Experiment {
    /// Names of the cases.
    pub fn cases(&self) -> Vec<String> {
        match &self.world {
            World::Link(link) => link.cases(),
            World::Fabric(fabric) => fabric.cases(),
            World::Jobs(jobs) => jobs.cases(),
        }
    }

    /// Names of the schemes.
    pub fn schemes(&self) -> Vec<String> {
        match &self.world {
            World::Link(link) => link.schemes.iter().map(|scheme| scheme.name.clone()).collect(),
            World::Fabric(fabric) => fabric.schemes.iter().map(|scheme| scheme.name.clone()).collect(),
            World::Jobs(jobs) => jobs.schemes.iter().map(|scheme| scheme.name.clone()).collect(),
        }
    }

    /// What each run gives.
    pub fn metrics(&self) -> &'static [Metric] {
        match &self.world {
            World::Link(_) => link::METRICS,
            World::Fabric(_) => fabric::METRICS,
            World::Jobs(_) => jobs::METRICS,
        }
    }

    /// One run: its figures, in the order of [`metrics`](Experiment::metrics); NaN where there was nothing to measure.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn run(&self, case: usize, scheme: usize, seed: u64) -> Result<Vec<f64>, RunError> {
        let (figures, books) = match &self.world {
            World::Link(link) => link.run(case, scheme, seed),
            World::Fabric(fabric) => fabric.run(case, scheme, seed)?,
            World::Jobs(jobs) => jobs.run(case, scheme, seed)?,
        };
        if books.balanced() {
            return Ok(figures);
        }
        let name = |names: Vec<String>, at: usize| names.get(at).cloned().unwrap_or_default();
        Err(RunError::Books {
            case: name(self.cases(), case),
            scheme: name(self.schemes(), scheme),
            seed,
            books: format!("{books:?}"),
        })
    }
}

/// Figures of all runs, by case, scheme, metric and seed.
#[derive(Clone, Debug)]
pub struct Results {
    /// `[case][scheme][seed][metric]`.
    pub figures: Vec<Vec<Vec<Vec<f64>>>>,
}

impl Results {
    /// A figure of every seed.
    pub fn values(&self, case: usize, scheme: usize, metric: usize) -> Vec<f64> {
        let runs = self.figures.get(case).and_then(|schemes| schemes.get(scheme));
        let of = |run: &Vec<f64>| run.get(metric).copied().unwrap_or(f64::NAN);
        runs.map_or_else(Vec::new, |runs| runs.iter().map(of).collect())
    }

    /// Its mean over the seeds.
    pub fn estimate(&self, case: usize, scheme: usize, metric: usize) -> Estimate {
        Estimate::of(self.values(case, scheme, metric))
    }
}
