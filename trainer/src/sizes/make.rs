//! A whole training: the model, its card and its learning curve.

use super::card;
use super::flows::{Flow, Known, Workload, judged};
use super::train::{self, APPLICATION, PREDICTABILITIES, Point, Recipe, predicted, r2};
use crate::learner::LearnerError;
use crate::network::Network;
use crate::onnx;
use crate::ort_engine::Engine;
use crate::ppo::{Made, curve, write};
use crate::rng::Rng;
use crate::spec::{self, BuildError, Built, ModelSpec};
use crate::verify::Errors;
use std::io;
use std::path::{Path, PathBuf};
use weir_env::jobs::Application;
use weir_features::f64_from_q16;
use weir_snapshot::{Executable, Executor, Precision, Scratch};

/// Name of the model and of its files.
pub const NAME: &str = "schedule";
/// Peers, and flows of each, by which a network is judged.
const JUDGED: (usize, usize) = (100, 100);
/// A share of what is visible that a shipped snapshot must predict where much can be.
const SHARE_MIN: f64 = 0.75;

/// What to make.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// How.
    pub recipe: Recipe,
    /// Everything random follows from it.
    pub seed: u64,
    /// The folder for `schedule.onnx`, `schedule.md` and `schedule.svg`.
    pub folder: PathBuf,
    /// The command, for the card.
    pub command: String,
    /// The day, for the card.
    pub date: String,
}

/// Why there is no model. One line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A file could not be written.
    #[error("{path}: cannot be written: {1}", path = .0.display())]
    Write(PathBuf, io::Error),
    /// A gradient step failed.
    #[error(transparent)]
    Learner(#[from] LearnerError),
    /// The network has no integers, or its file is refused.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The curve could not be drawn.
    #[error("{path}: {1}", path = .0.display())]
    Curve(PathBuf, String),
    /// The network predicts too little of what is visible. Nothing was replaced.
    #[error(
        "seed {seed}: at predictability {predictability} on {workload} the {precision} snapshot has R2 {found:.2} of {visible:.2} \
         that are visible; try another seed, or more steps"
    )]
    Weak {
        /// The seed.
        seed: u64,
        /// Where.
        workload: &'static str,
        /// How well sizes can be predicted there.
        predictability: f64,
        /// Which integers.
        precision: &'static str,
        /// What it explains.
        found: f64,
        /// What the expectation of what is visible explains.
        visible: f64,
    },
}

/// One line of the card's table: what share of the variance of log sizes each explains.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Judged {
    pub(super) workload: &'static str,
    pub(super) predictability: f64,
    pub(super) all: f64,
    pub(super) visible: f64,
    pub(super) float: f64,
    /// By [`Precision::ALL`].
    pub(super) integers: Vec<f64>,
    /// That the size is the peer's last one, or the mean of its sizes.
    pub(super) last: f64,
    pub(super) mean: f64,
    /// Of the float network on flows of another application, and what was visible of those.
    pub(super) drifted: (f64, f64),
}

/// Trains, judges and writes the model, its card and its curve. `progress` gets lines to print.
///
/// # Errors
/// [`TrainError`]. Files that are there already stay as they are unless everything succeeded.
pub fn make(engine: &Engine, options: &Options, progress: &mut dyn FnMut(&str)) -> Result<Made, TrainError> {
    let Options { recipe, seed, folder, .. } = options;
    let (network, points) = train::train(engine, *recipe, APPLICATION, *seed, progress)?;
    let write = |path: &Path, bytes: &[u8]| {
        write(path, bytes).map_err(|error| TrainError::Write(path.to_path_buf(), error))
    };
    std::fs::create_dir_all(folder).map_err(|error| TrainError::Write(folder.clone(), error))?;
    let path = |end: &str| folder.join(format!("{NAME}.{end}"));
    let made = Made { model: path("onnx"), card: path("md"), curve: path("svg") };
    let svg = curve_of(*seed, &points).map_err(|error| TrainError::Curve(made.curve.clone(), error))?;
    let candidate = path("candidate.onnx");
    write(&candidate, &onnx::export(&network, NAME))?;
    let text = match describe(options, &points, &candidate) {
        Ok(text) => text,
        Err(error) => {
            // The first error is the one to report.
            let _ = std::fs::remove_file(&candidate);
            return Err(error);
        }
    };
    std::fs::rename(&candidate, &made.model).map_err(|error| TrainError::Write(made.model.clone(), error))?;
    write(&made.card, text.as_bytes())?;
    write(&made.curve, svg.as_bytes())?;
    Ok(made)
}

fn curve_of(seed: u64, points: &[Point]) -> Result<String, String> {
    let points: Vec<(f64, f64, f64)> =
        points.iter().map(|point| (point.flows as f64 / 1e6, point.r2, point.error)).collect();
    let axes = ["flows, millions", "R2 of log size, selection set"];
    curve::draw(&format!("{NAME}, seed {seed}"), axes, &points).map_err(|error| error.to_string())
}

/// Reads the file back, judges it, and writes the card's text.
fn describe(options: &Options, points: &[Point], file: &Path) -> Result<String, TrainError> {
    let mut integers = Vec::new();
    let mut errors: Vec<(Precision, usize, Errors)> = Vec::new();
    for precision in Precision::ALL {
        let built = spec::build(&ModelSpec::schedule(NAME, file, precision))?;
        errors.push((precision, built.report.snapshot_bytes, built.report.quantisation));
        integers.push(built);
    }
    let mut rng = Rng::new(options.seed.wrapping_add(1));
    let mut lines = Vec::new();
    for workload in Workload::all() {
        for predictability in PREDICTABILITIES {
            let line = judge(&integers, &workload, predictability, &mut rng);
            // Where much can be predicted the integers must do so: the last precision is the finest.
            let (found, visible) = (line.integers.last().copied().unwrap_or_default(), line.visible);
            if predictability > 0.5 && found < SHARE_MIN * visible {
                let (seed, precision) = (options.seed, Precision::Bits12.name());
                let workload = workload.name;
                return Err(TrainError::Weak { seed, workload, predictability, precision, found, visible });
            }
            lines.push(line);
        }
    }
    let network = integers.first().map(|built| &built.network);
    Ok(card::text(options, network, points, &lines, &errors))
}

fn judge(integers: &[Built], workload: &Workload, predictability: f64, rng: &mut Rng) -> Judged {
    let (flows, known) = judged(&Application::new(APPLICATION), &workload.sizes, predictability, JUDGED, rng);
    let other = Application::new(APPLICATION + 1);
    let (drifted, drifted_known) = judged(&other, &workload.sizes, predictability, JUDGED, rng);
    let feature = |flow: &Flow, at: usize| f64_from_q16(flow.row[at]);
    let float = |flows: &[Flow]| {
        let network: Option<&Network> = integers.first().map(|built| &built.network);
        r2(flows, |_, flow| network.map_or(0.0, |network| predicted(network, flow)))
    };
    let visible = |flows: &[Flow], known: &[Known]| r2(flows, |at, _| known[at].visible);
    Judged {
        workload: workload.name,
        predictability,
        all: r2(&flows, |at, _| known[at].all),
        visible: visible(&flows, &known),
        float: float(&flows),
        integers: integers.iter().map(|built| r2(&flows, predictor(built))).collect(),
        last: r2(&flows, |_, flow| feature(flow, 7)),
        mean: r2(&flows, |_, flow| feature(flow, 6)),
        drifted: (float(&drifted), visible(&drifted, &drifted_known)),
    }
}

/// What a snapshot says of a flow.
fn predictor(built: &Built) -> impl FnMut(usize, &Flow) -> f64 {
    let executable = Executable::new(built.snapshot.clone(), Executor::Scalar).ok();
    let mut scratch = Scratch::new();
    move |_, flow| {
        let mut out = [0];
        if let Some(executable) = &executable {
            executable.evaluate(&flow.row, &mut out, &mut scratch);
        }
        f64_from_q16(out[0])
    }
}
