//! Adaptation while traffic flows: samples in, now and then a snapshot worth publishing out.
//!
//! An [`Adapter`] tunes the float network on a [`Batch`] of transitions. It is LiteFlow's user interface (freeze,
//! evaluate, adapt; SIGCOMM 2022) with a way back added: what Weir tunes itself and what a user's own process tunes look
//! the same from here.

mod adapter;
mod batch;
mod choices;
mod config;
mod contest;
pub mod examples;
mod flows;
pub mod gate;
mod generations;
mod lessons;
mod memory;
pub mod paths;
pub mod replay;
mod stats;
mod trainer;
mod tune;
mod unit;
mod watch;
mod window;
pub mod wrong;

pub use adapter::{AdaptError, AdaptReport, Adapter, Imitate};
pub use batch::{Batch, Row};
pub use config::TrainerConfig;
pub use generations::{Generation, Standing};
pub use stats::{Refused, SampleCounts, TrainerStats};
pub use trainer::{CommandError, Labelled, Publication, Start, StartError, StepReport, Trainer};
pub use tune::{PolicyTuner, PolicyTuning, PredictionTuner, PredictionTuning};
pub use watch::{LiveReward, WatchConfig};
