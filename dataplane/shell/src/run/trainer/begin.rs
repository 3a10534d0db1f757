//! The beginning: what an earlier process has kept, and the generations to start with.

use super::desk::Begun;
use super::lineage::Lineage;
use super::parts::Parts;
use super::stores::Stores;
use super::tuning::Tuning;
use crate::config::Plan;
use crate::run::each::Each;
use crate::run::models::{Candidate, Live, NextPolicy};
use anyhow::{Context as _, anyhow};
use tracing::{info, warn};
use weir_trainer::online::Start;
use weir_trainer::online::gate::{Terms, sound, valid};
use weir_trainer::store::{Expected, Reason, Stored};

/// The policy to start with, and the trainer's beginning where the configuration asks for one: of each model that learns the
/// newest generation on disk that descends from the configured model as it is now, else that model.
///
/// # Errors
/// The folder of generations cannot be used, or a model cannot be tuned at all.
pub(in crate::run) fn begin(
    plan: &Plan,
    next: NextPolicy,
    mut parts: Each<Option<Parts>>,
) -> anyhow::Result<(Live, Option<Begun>)> {
    let Some(trainer) = &plan.trainer else {
        return Ok((Live::first(next, Each::of(|_| None)), None));
    };
    let mut stores = Stores::new(trainer);
    let configured = Each::of(|function| next.identity(function));
    let mut first = Each::try_of(|function| match parts[function].take() {
        Some(parts) => self::first(parts, &mut stores).map(Some),
        None => Ok::<_, anyhow::Error>(None),
    })?;
    let started = Each::of(|function| first[function].as_mut().and_then(|first| first.candidate.take()));
    let live = Live::first(next, started);
    let lineages = Each::of(|function| {
        let active = live.numbered(function);
        let configured = configured[function].clone();
        match first[function].take() {
            Some(First { tuning, highest, .. }) => {
                Lineage { tuning: Some(tuning), highest, configured, active }
            }
            None => Lineage { tuning: None, highest: active, configured, active },
        }
    });
    Ok((live, Some(Begun { lineages, stores })))
}

/// What a model that learns starts with.
struct First {
    tuning: Tuning,
    /// The generation to start with.
    candidate: Option<Candidate>,
    /// The highest number that was given.
    highest: u32,
}

fn first(parts: Parts, stores: &mut Stores) -> anyhow::Result<First> {
    let name = parts.terms.name.clone();
    let loaded = stores.load(&name, &expected(&parts.terms)).context("trainer.store")?;
    for skipped in &loaded.skipped {
        warn!("{}: left aside: {}", skipped.folder.display(), skipped.fault);
    }
    let fits = |stored: &&Stored| fits(stored, &parts.terms);
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
    Ok(First { tuning, candidate: Some(candidate.numbered(number)), highest: loaded.highest.max(number) })
}

/// Whether a generation on disk is one of this model; the log is told of one that is not.
pub(super) fn fits(stored: &Stored, terms: &Terms) -> bool {
    let fit = sound(&stored.network, terms).and_then(|()| valid(&stored.bytes, terms));
    if let Err(refusal) = &fit {
        warn!("generation {} on disk is left aside: {refusal}", stored.manifest.generation);
    }
    fit.is_ok()
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

pub(super) fn start(stored: &Stored) -> Start {
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
