//! SIGINT and SIGTERM as an error that unwinds through every guard.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGINT, SIGTERM};

/// How often a wait looks whether it should end.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Whether the run should end early.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Takes over SIGINT and SIGTERM for the rest of the process's life.
    ///
    /// # Errors
    /// The system refuses the handler.
    pub fn install() -> Result<Interrupt> {
        let interrupt = Interrupt::default();
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&interrupt.0)).context("cannot catch signals")?;
        }
        Ok(interrupt)
    }

    /// An error once a signal has come.
    ///
    /// # Errors
    /// A signal has come.
    pub fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        Ok(())
    }

    /// Waits until `when`.
    ///
    /// # Errors
    /// A signal came.
    pub fn sleep_until(&self, when: Instant) -> Result<()> {
        self.poll(when, || Ok(None::<()>)).map(|_| ())
    }

    /// Asks `ready` until it answers or `deadline` has passed; `None` then.
    ///
    /// # Errors
    /// A signal came, or `ready` failed.
    pub fn poll<T>(
        &self,
        deadline: Instant,
        mut ready: impl FnMut() -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        loop {
            self.check()?;
            if let Some(answer) = ready()? {
                return Ok(Some(answer));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            std::thread::sleep(left.min(LOOK_EVERY));
        }
    }
}
