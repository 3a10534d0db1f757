//! Where published generations are kept: a folder for each model.

use super::tuning::Tuning;
use crate::config::TrainerPlan;
use std::collections::BTreeMap;
use std::path::PathBuf;
use tracing::warn;
use weir_trainer::online::Publication;
use weir_trainer::store::{Expected, Loaded, Store, StoreError};

/// Folders that this process has taken hold of, and what went wrong with them.
pub(in crate::run) struct Stores {
    folder: PathBuf,
    keep: usize,
    /// By model.
    held: BTreeMap<String, Store>,
    faults: u64,
    fault: Option<String>,
}

impl Stores {
    /// None held yet.
    pub(super) fn new(plan: &TrainerPlan) -> Stores {
        Stores { folder: plan.store.clone(), keep: plan.keep, held: BTreeMap::new(), faults: 0, fault: None }
    }

    /// What is kept of a model.
    ///
    /// # Errors
    /// Another process holds its folder, or it cannot be made, or listed.
    pub(super) fn load(&mut self, model: &str, expected: &Expected) -> Result<Loaded, StoreError> {
        self.hold(model)?.load(expected)
    }

    /// The same, where a failing disk is to be counted and no more.
    pub(super) fn load_or_count(&mut self, model: &str, expected: &Expected) -> Loaded {
        self.load(model, expected).unwrap_or_else(|error| {
            self.count(&error.to_string());
            Loaded::default()
        })
    }

    /// Keeps a generation of a model; what fails is counted, and told once for each reason.
    pub(super) fn keep(&mut self, tuning: &mut Tuning, publication: &Publication) {
        let kept = match self.hold(&tuning.model.spec.name) {
            Ok(store) => tuning.keep(publication, store),
            Err(error) => Err(error.to_string()),
        };
        if let Err(reason) = kept {
            tuning.told(publication);
            self.count(&reason);
        }
    }

    /// How often something could not be kept, and why last.
    pub(super) fn faults(&self) -> (u64, Option<String>) {
        (self.faults, self.fault.clone())
    }

    fn hold(&mut self, model: &str) -> Result<&Store, StoreError> {
        if !self.held.contains_key(model) {
            let store = Store::open(&self.folder.join(model), self.keep)?;
            self.held.insert(model.to_owned(), store);
        }
        // Put there above.
        self.held.get(model).ok_or_else(|| StoreError::InUse(self.folder.join(model)))
    }

    fn count(&mut self, reason: &str) {
        self.faults += 1;
        if self.fault.as_deref() != Some(reason) {
            warn!("a generation is not kept on disk, and is published all the same: {reason}");
        }
        self.fault = Some(reason.to_owned());
    }
}
