//! Standard output that may end early, as under `| head`.

use anyhow::Context as _;
use std::io::{self, Write as _};

/// Whether whoever reads still does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Yes.
    On,
    /// It has seen enough.
    Over,
}

/// Prints `text` at once.
///
/// # Errors
/// It cannot be written, for another reason than that nobody reads any more.
pub(crate) fn print(text: &str) -> anyhow::Result<Reading> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(Reading::On),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reading::Over),
        Err(error) => Err(error).context("cannot write to standard output"),
    }
}
