//! From a TOML file and `--set` overrides to a [`Plan`]: plain checked values that the rest of the shell can use
//! without asking again. A refusal names file, line, column, key, what was expected and what was found.
//!
//! The crate `config` merges the layers, `read` fills the schema strictly, and the spanned parser `toml-span`
//! finds a refused key in the raw text again.

mod adapt;
mod balance;
mod datagrams;
mod error;
mod limit;
mod plan;
mod ports;
mod read;
mod reload;
mod route;
mod schedule;
mod schema;
pub mod simulation;
mod source;
mod trainer;
mod units;

pub use adapt::{AdaptPlan, TunerPlan};
pub use error::{ConfigError, KeyPath, Place, Step};
pub use plan::{CorePlan, EalPlan, ModelPlan, ModelSchema, Plan};
pub use ports::{CapturePair, Device, PortsPlan};
pub use reload::{needs_restart, reload};
pub use schema::SOCKET_DEFAULT;
pub use source::Source;
pub use trainer::TrainerPlan;

use std::path::{Path, PathBuf};

/// The control socket that a file names, found without a look at anything else in it: whoever asks a running Weir why it
/// refuses a file must be able to name that file.
///
/// # Errors
/// The file cannot be read, is not TOML, or has no `[control]`.
pub fn control_socket(file: &Path) -> Result<PathBuf, ConfigError> {
    let source = Source::read(file, &[])?;
    source.text_at("control", "socket", SOCKET_DEFAULT)
}

/// Reads, merges and checks a configuration. Touches nothing but the files that it names; models are not read yet.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn load(file: &Path, overrides: &[String]) -> Result<(Plan, Source), ConfigError> {
    let source = Source::read(file, overrides)?;
    let plan = Plan::check(&source)?;
    Ok((plan, source))
}

/// A rate of the command line, in bit/s, as a configuration has it.
#[cfg(feature = "bpf")]
pub(crate) fn rate_bps(text: &str) -> Result<u64, String> {
    use serde::de::{Deserialize as _, IntoDeserializer as _, value};
    let from: value::StrDeserializer<'_, value::Error> = text.into_deserializer();
    units::Rate::deserialize(from).map(|rate| rate.0.0).map_err(|error| error.to_string())
}
