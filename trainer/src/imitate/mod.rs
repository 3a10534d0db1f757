//! The shipped starting model: a network trained from nothing to imitate a classical delay-based controller.
//!
//! It exists so that Weir has an honest model to start with until reinforcement learning gives one. [`make`] does all of
//! it, deterministically from a seed, in under a minute: train ([`train`], in the small [`world`] against the
//! [`teacher`]), write the ONNX file, quantise it at both precisions, drive the closed loop with each ([`check`]), and
//! write the card that says how it was made and how good it is.

mod card;
pub mod check;
pub(crate) mod mlp;
pub mod teacher;
pub mod train;
pub mod world;

use crate::onnx::{self, ImportError};
use crate::ppo::card::{Judged, grid_results};
use crate::spec::{self, BuildError, Built, ModelSpec};
use crate::verify::VerifyError;
use check::Row;
use std::io;
use std::path::{Path, PathBuf};
use weir_snapshot::Precision;

/// Name of the model and of its files.
pub const NAME: &str = "aurora";

/// What to make.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Everything random follows from it.
    pub seed: u64,
    /// The folder to write `aurora.onnx` and `aurora.md` to.
    pub folder: PathBuf,
    /// The day, for the card.
    pub date: String,
}

/// What was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// The model.
    pub model: PathBuf,
    /// Its card.
    pub card: PathBuf,
}

/// Why there is no model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImitateError {
    /// A file could not be written.
    #[error("{0}: cannot be written: {1}")]
    Write(PathBuf, io::Error),
    /// What was written is refused on reading: a defect.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The student has no integers.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The integers do not fit the student: a defect.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The student, or its integers, do not hold the link. Nothing was replaced.
    #[error(
        "seed {seed}: the {driver} fails the closed-loop check on a {host} host with {flows} flows; try another seed"
    )]
    ClosedLoop {
        /// The seed.
        seed: u64,
        /// Who drove.
        driver: &'static str,
        /// Where.
        host: &'static str,
        /// On how many flows.
        flows: usize,
    },
}

/// Trains, checks and writes the model and its card. `progress` gets lines to print.
///
/// # Errors
/// [`ImitateError`]. Files that are there already stay as they are unless everything succeeded.
pub fn make(options: &Options, progress: &mut dyn FnMut(&str)) -> Result<Made, ImitateError> {
    let student = train::train(options.seed, progress);
    std::fs::create_dir_all(&options.folder)
        .map_err(|error| ImitateError::Write(options.folder.clone(), error))?;
    let model = options.folder.join(format!("{NAME}.onnx"));
    let candidate = options.folder.join(format!(".{NAME}.candidate.onnx"));
    write(&candidate, &onnx::export(&student.network, NAME))?;
    let made = judge(options, &student, &candidate, progress);
    let text = match made {
        Ok(text) => text,
        Err(error) => {
            // The first error is the one to report.
            let _ = std::fs::remove_file(&candidate);
            return Err(error);
        }
    };
    std::fs::rename(&candidate, &model).map_err(|error| ImitateError::Write(model.clone(), error))?;
    let card = options.folder.join(format!("{NAME}.md"));
    write(&card, text.as_bytes())?;
    Ok(Made { model, card })
}

/// Reads the file back, drives the link with it at every precision, and writes the card's text.
fn judge(
    options: &Options,
    student: &train::Student,
    file: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<String, ImitateError> {
    let network = onnx::import(file)?;
    let mut drives = vec![
        ("teacher", check::closed_loop(&mut check::Teacher)),
        ("float network", check::closed_loop(&mut check::Float(&network))),
    ];
    let mut errors = Vec::new();
    for precision in Precision::ALL {
        let Built { snapshot, report, .. } = spec::build(&ModelSpec::pacing(NAME, file, precision))?;
        errors.push((report.precision, report.snapshot_bytes, report.quantisation));
        let mut driver = check::Integers::new(snapshot).map_err(|_| VerifyError::Executor)?;
        let name = match precision {
            Precision::Bits8 => "8-bit snapshot",
            Precision::Bits12 => "12-bit snapshot",
        };
        drives.push((name, check::closed_loop(&mut driver)));
    }
    for line in card::table(&drives).lines() {
        progress(line);
    }
    let failed = |(driver, rows): &(&'static str, Vec<Row>)| {
        rows.iter().find(|row| !row.passes()).map(|row| (*driver, row.host.name, row.flows))
    };
    if let Some((driver, host, flows)) = drives.iter().find_map(failed) {
        return Err(ImitateError::ClosedLoop { seed: options.seed, driver, host, flows });
    }
    let grid = grid_results(usize::MAX, &Judged::build(NAME, file, &network, None)?);
    Ok(card::text(options, student, &drives, &errors, &grid))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), ImitateError> {
    std::fs::write(path, bytes).map_err(|error| ImitateError::Write(path.to_path_buf(), error))
}
