//! A reload: the whole new file is read and checked, its models built and fitted, off the control thread; what comes
//! out is published by one store, or nothing has changed.

use super::models::NextPolicy;
use super::publication::{PUBLISH_MAX, Submission};
use crate::calendar;
use crate::config::{self, Plan};
use crate::control::protocol::{ReloadResult, Reloaded};
use crate::status::Shared;
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tracing::{info, warn};

/// How long a reload waits for the control thread, which answers within [`PUBLISH_MAX`] and a tick.
const ANSWER_MAX: Duration = Duration::from_secs(PUBLISH_MAX.as_secs() + 3);

/// What a Weir was started with, and the way to its control thread.
pub(super) struct Reloader {
    file: PathBuf,
    overrides: Vec<String>,
    started: Plan,
    shared: Shared,
    submissions: Sender<Submission>,
    /// One check at a time: models take memory while they are built.
    checking: Mutex<()>,
}

impl Reloader {
    /// For a Weir that runs `plan`, from `file` and `overrides`.
    pub(super) fn new(
        file: PathBuf,
        overrides: Vec<String>,
        started: Plan,
        shared: Shared,
        submissions: Sender<Submission>,
    ) -> Reloader {
        Reloader { file, overrides, started, shared, submissions, checking: Mutex::new(()) }
    }

    /// Reads the file again. Takes as long as its models take to build, and longer where a worker is stuck; to be
    /// called on a thread that may wait.
    pub(super) fn reload(&self, asked_by: &str) -> Reloaded {
        let outcome = self.attempt();
        let file = self.file.display();
        match outcome.result {
            ReloadResult::Applied => info!("reload by {asked_by}: {file} is applied"),
            ReloadResult::Unchanged => info!("reload by {asked_by}: {file} says what holds already"),
            ReloadResult::Refused => {
                for reason in &outcome.reasons {
                    warn!("reload by {asked_by} refused, nothing has changed: {reason}");
                }
            }
        }
        let now = calendar::unix_seconds();
        self.shared.update(|status| status.record(&outcome, now));
        outcome
    }

    fn attempt(&self) -> Reloaded {
        let outcome = {
            // A panic below leaves nothing half done.
            let _one = self.checking.lock().unwrap_or_else(PoisonError::into_inner);
            let next = match self.check() {
                Ok(next) => next,
                Err(reasons) => return Reloaded { result: ReloadResult::Refused, reasons },
            };
            let (submission, outcome) = Submission::new(next);
            if self.submissions.send(submission).is_err() {
                return refused("weir is stopping");
            }
            outcome
        };
        outcome.recv_timeout(ANSWER_MAX).unwrap_or_else(|_| refused("weir is stopping"))
    }

    fn check(&self) -> Result<NextPolicy, Vec<String>> {
        let (plan, source) = config::reload(&self.file, &self.overrides, &self.started)
            .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        NextPolicy::build(&plan, &source).map_err(|fault| vec![fault.to_string()])
    }
}

fn refused(reason: &str) -> Reloaded {
    Reloaded { result: ReloadResult::Refused, reasons: vec![reason.to_owned()] }
}
