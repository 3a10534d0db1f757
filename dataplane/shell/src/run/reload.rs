//! A reload: the whole new file is read and checked, its models built and fitted, off the control thread; what comes
//! out is published by one store, or nothing has changed.

use super::each::Each;
use super::models::NextPolicy;
use super::trainer::{Parts, Post, Runtime};
use crate::calendar;
use crate::config::{self, ConfigError, Plan};
use crate::control::protocol::{ReloadResult, Reloaded};
use crate::status::Shared;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use tracing::{info, warn};

/// What a Weir was started with, and the way to its control thread.
pub(super) struct Reloader {
    file: PathBuf,
    overrides: Vec<String>,
    started: Plan,
    shared: Shared,
    runtime: Runtime,
    post: Post,
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
        runtime: Runtime,
        post: Post,
    ) -> Reloader {
        Reloader { file, overrides, started, shared, runtime, post, checking: Mutex::new(()) }
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
        let checked = {
            // A panic below leaves nothing half done.
            let _one = self.checking.lock().unwrap_or_else(PoisonError::into_inner);
            self.check()
        };
        match checked {
            Ok((next, parts)) => self.post.reload(next, parts),
            Err(reasons) => Reloaded { result: ReloadResult::Refused, reasons },
        }
    }

    fn check(&self) -> Result<(NextPolicy, Each<Option<Parts>>), Vec<String>> {
        let (plan, source) = config::reload(&self.file, &self.overrides, &self.started)
            .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let build = || {
            let mut next = NextPolicy::build(&plan, &source)?;
            let parts = Parts::build(&plan, &source, std::mem::take(&mut next.built), &self.runtime)?;
            Ok((next, parts))
        };
        build().map_err(|fault: ConfigError| vec![fault.to_string()])
    }
}
