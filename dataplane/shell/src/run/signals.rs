//! Signals as flags.

use anyhow::Context as _;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Flags that signals set.
#[derive(Default)]
pub(super) struct Signals {
    /// SIGTERM and SIGINT. A second one of the same kind ends the process at once.
    pub(super) stop: Arc<AtomicBool>,
    /// SIGHUP: read the configuration again.
    pub(super) reload: Arc<AtomicBool>,
}

/// Catches signals from here on.
///
/// # Errors
/// The system refuses a handler.
pub(super) fn catch_signals() -> anyhow::Result<Signals> {
    let Signals { stop, reload } = Signals::default();
    signal_hook::flag::register(SIGHUP, Arc::clone(&reload)).context("cannot catch signals")?;
    for signal in [SIGTERM, SIGINT] {
        // In this order: the first signal finds the flag unset, passes here and sets it below.
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
            .context("cannot catch signals")?;
    }
    Ok(Signals { stop, reload })
}
