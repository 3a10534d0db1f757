//! A whole training: checkpoints on the way, at the end the model, its card and its learning curve.

use super::{Progress, Recipe, ResumeError, Training, card, curve};
use crate::learner::LearnerError;
use crate::onnx;
use crate::ort_engine::Engine;
use crate::spec::BuildError;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// What to make.
#[derive(Debug, Clone)]
pub struct Options {
    /// How.
    pub recipe: Recipe,
    /// Everything random follows from it.
    pub seed: u64,
    /// Goes on from the checkpoint in the folder, where there is one.
    pub resume: bool,
    /// The folder for `NAME.onnx`, `NAME.md`, `NAME.svg` and, on the way, `NAME.checkpoint`.
    pub folder: PathBuf,
    /// The model's name, and that of its files.
    pub name: String,
    /// The command, for the card.
    pub command: String,
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
    /// Its learning curve.
    pub curve: PathBuf,
}

/// Why there is no model. One line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A file could not be read or written.
    #[error("{path}: {1}", path = .0.display())]
    File(PathBuf, io::Error),
    /// The checkpoint is of no use.
    #[error("{path}: {1}", path = .0.display())]
    Resume(PathBuf, ResumeError),
    /// A gradient step failed.
    #[error(transparent)]
    Learner(#[from] LearnerError),
    /// The network has no integers.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The curve could not be drawn.
    #[error("{path}: {1}", path = .0.display())]
    Curve(PathBuf, String),
}

/// Trains and writes. `progress` is told after each batch; a checkpoint is written at each look at the selection set.
///
/// # Errors
/// [`TrainError`]. The last checkpoint stays; a model that was there before stays until the new one is complete.
pub fn train(
    engine: &Engine,
    options: &Options,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Made, TrainError> {
    let Options { recipe, seed, folder, name, .. } = options;
    fs::create_dir_all(folder).map_err(|error| TrainError::File(folder.clone(), error))?;
    let path = |end: &str| folder.join(format!("{name}.{end}"));
    let write = |path: &Path, bytes: &[u8]| {
        write(path, bytes).map_err(|error| TrainError::File(path.to_path_buf(), error))
    };
    let checkpoint = path("checkpoint");
    let kept = if options.resume { read(&checkpoint)? } else { None };
    let mut training = match kept {
        Some(bytes) => Training::resume(engine, recipe.clone(), *seed, &bytes)
            .map_err(|error| TrainError::Resume(checkpoint.clone(), error))?,
        None => Training::new(engine, recipe.clone(), *seed)?,
    };
    while !training.is_done() {
        let done = training.iterate()?;
        progress(&done);
        if done.selected.is_some() {
            write(&checkpoint, &training.checkpoint())?;
        }
    }
    let made = Made { model: path("onnx"), card: path("md"), curve: path("svg") };
    let points: Vec<(f64, f64, f64)> =
        training.curve.iter().map(|point| (point.steps as f64 / 1e6, point.reward, point.error)).collect();
    let axes = ["decisions, millions", "reward, selection set"];
    let svg = curve::draw(&format!("{name}, seed {seed}"), axes, &points)
        .map_err(|error| TrainError::Curve(made.curve.clone(), error.to_string()))?;
    let network = training.network();
    let candidate = path("candidate.onnx");
    write(&candidate, &onnx::export(&network, name))?;
    let text = card::text(options, &training, &candidate)?;
    fs::rename(&candidate, &made.model).map_err(|error| TrainError::File(made.model.clone(), error))?;
    write(&made.card, text.as_bytes())?;
    write(&made.curve, svg.as_bytes())?;
    fs::remove_file(&checkpoint).map_err(|error| TrainError::File(checkpoint, error))?;
    Ok(made)
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, TrainError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(TrainError::File(path.to_path_buf(), error)),
    }
}

/// Writes beside the file, flushes, and renames: whoever is stopped in the midst leaves the old file or the new one.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests;
