//! The beginning: what an earlier process has kept, and the generation to start with.

use super::desk::Begun;
use super::parts::Parts;
use super::stores::Stores;
use super::tuning::Tuning;
use crate::config::Plan;
use crate::run::models::{Candidate, Live, NextPolicy};
use anyhow::{Context as _, anyhow};
use tracing::{info, warn};
use weir_trainer::online::Start;
use weir_trainer::online::gate::{Terms, sound, valid};
use weir_trainer::store::{Expected, Reason, Stored};

/// The policy to start with, and the trainer's beginning where the configuration asks for one: the newest generation on
/// disk that descends from the configured model as it is now, else that model.
///
/// # Errors
/// The folder of generations cannot be used, or the model cannot be tuned at all.
pub(in crate::run) fn begin(
    plan: &Plan,
    next: NextPolicy,
    parts: Option<Parts>,
) -> anyhow::Result<(Live, Option<Begun>)> {
    let Some(trainer) = &plan.trainer else { return Ok((Live::first(next, None), None)) };
    let mut stores = Stores::new(trainer);
    let configured = next.identity();
    let Some(parts) = parts else {
        let live = Live::first(next, None);
        let highest = live.numbered();
        return Ok((live, Some(Begun { tuning: None, stores, highest, configured, active: highest })));
    };
    let name = parts.terms.name.clone();
    let loaded = stores.load(&name, &expected(&parts.terms)).context("trainer.store")?;
    for skipped in &loaded.skipped {
        warn!("{}: left aside: {}", skipped.folder.display(), skipped.fault);
    }
    let fits = |stored: &&Stored| {
        let fit = sound(&stored.network, &parts.terms).and_then(|()| valid(&stored.bytes, &parts.terms));
        if let Err(refusal) = &fit {
            warn!("generation {} on disk is left aside: {refusal}", stored.manifest.generation);
        }
        fit.is_ok()
    };
    let kept: Vec<Stored> = loaded.generations.iter().filter(fits).cloned().collect();
    let newest = kept.iter().find(|stored| !stored.refused && stored.manifest.configured == parts.checksum);
    let start = match newest {
        Some(stored) => start(stored),
        None => configured_start(&parts, 0),
    };
    match newest {
        Some(stored) => info!(
            "model {name} goes on with generation {}, {}",
            stored.manifest.generation, stored.manifest.reason
        ),
        None if kept.is_empty() => {}
        None => info!(
            "model {name} starts anew: no generation on disk descends from the configured file as it is now"
        ),
    }
    let restored = newest.is_some();
    let earlier = kept.iter().map(self::start).collect();
    let begun = |error: weir_trainer::online::StartError| anyhow!("model {name}: {error}");
    let mut tuning = Tuning::new(parts, earlier, loaded.highest).map_err(begun)?;
    tuning.remember(&kept);
    let publication = tuning.trainer.install(start).map_err(begun)?;
    let number = publication.generation;
    if !restored {
        stores.keep(&mut tuning, &publication);
    }
    let candidate = Candidate::fit(&tuning.model, publication.snapshot)
        .map_err(|reason| anyhow!("model {name}: generation {number}: {reason}"))?;
    tuning.trainer.published(number, 0);
    let live = Live::first(next, Some(candidate.numbered(number)));
    let highest = loaded.highest.max(number);
    Ok((live, Some(Begun { tuning: Some(tuning), stores, highest, configured, active: number })))
}

/// What generations on disk must be made for.
pub(super) fn expected(terms: &Terms) -> Expected {
    Expected {
        function: terms.function,
        schema_hash: terms.schema_hash,
        inputs: terms.inputs.len(),
        outputs: terms.outputs,
    }
}

fn start(stored: &Stored) -> Start {
    Start {
        number: stored.manifest.generation,
        reason: stored.manifest.reason,
        network: stored.network.clone(),
        bytes: stored.bytes.clone(),
        refused: stored.refused,
    }
}

/// The configured model, under this number; 0 for one that is yet to come.
pub(super) fn configured_start(parts: &Parts, number: u32) -> Start {
    Start {
        number,
        reason: Reason::Configured,
        network: parts.network.clone(),
        bytes: parts.bytes.clone(),
        refused: false,
    }
}
