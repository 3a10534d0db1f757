//! The generations of one function's model: their numbers, whoever tunes the newest, and what a reload makes of both.

use super::begin::{configured_start, expected, fits, start};
use super::desk::Desk;
use super::parts::Parts;
use super::stores::Stores;
use super::tuning::Tuning;
use crate::run::each::Each;
use crate::run::models::{Identity, NextPolicy};
use weir_snapshot::Function;
use weir_trainer::online::{Publication, StartError};

/// The generations of one function's model.
pub(super) struct Lineage {
    pub(super) tuning: Option<Tuning>,
    /// The highest number that one was given.
    pub(super) highest: u32,
    /// What the configuration names.
    pub(super) configured: Option<Identity>,
    /// The generation that decides; 0 where the rule does.
    pub(super) active: u32,
}

/// What a reload changes in a lineage, once it is published.
pub(super) struct Incoming {
    configured: Option<Identity>,
    /// The number of the model that it brings; `None` where the active generation stays.
    number: Option<u32>,
    tuned: Tuned,
    /// That model, where it is to be kept on disk.
    publication: Option<Publication>,
}

/// Who tunes after a reload.
enum Tuned {
    AsBefore,
    Anew(Box<Tuning>),
    Nobody,
}

impl Desk {
    /// What to send on for a reload, with numbers where it brings models of its own, and what changes here with it.
    pub(super) fn prepare(
        &mut self,
        mut next: NextPolicy,
        mut parts: Each<Option<Parts>>,
    ) -> Result<(NextPolicy, Each<Incoming>), String> {
        let Desk { lineages, stores, .. } = self;
        let mut incoming = Each::try_of(|function| {
            lineages[function].prepare(next.identity(function), parts[function].take(), stores)
        })?;
        // Nothing can be wrong with the whole any more.
        for function in Function::ALL {
            let Incoming { number, tuned, publication, .. } = &mut incoming[function];
            lineages[function].highest = lineages[function].highest.max(number.unwrap_or(0));
            if let (Tuned::Anew(tuning), Some(publication)) = (tuned, publication.take()) {
                stores.keep(tuning, &publication);
            }
            next = next.numbered(function, number.unwrap_or(0));
        }
        Ok((next, incoming))
    }
}

impl Lineage {
    /// What a reload to this model brings, tuned by what these parts make, or by nobody.
    fn prepare(
        &mut self,
        configured: Option<Identity>,
        parts: Option<Parts>,
        stores: &mut Stores,
    ) -> Result<Incoming, String> {
        let same = configured == self.configured;
        let as_it_is =
            |number, tuned| Incoming { configured: configured.clone(), number, tuned, publication: None };
        let Some(parts) = parts else {
            let number = match configured {
                None => Some(0),
                Some(_) if same => None,
                Some(_) => Some(self.highest + 1),
            };
            return Ok(as_it_is(number, Tuned::Nobody));
        };
        let before = self.tuning.as_ref();
        if same && before.is_some_and(|tuning| tuning.is_tuned_by(&parts)) {
            return Ok(as_it_is(None, Tuned::AsBefore));
        }
        // The folder may hold higher numbers than this process has given: learning was off, or of another model.
        let name = parts.terms.name.clone();
        let kept = stores.load_or_count(&name, &expected(&parts.terms));
        self.highest = self.highest.max(kept.highest);
        let mut earlier = Vec::new();
        match before.filter(|tuning| *tuning.trainer.terms() == parts.terms) {
            Some(tuning) => earlier = tuning.starts(),
            // It was learned before learning was off, or it is what the configuration names.
            None if same => {
                let mut kept = kept.generations.iter();
                let kept =
                    kept.find(|kept| kept.manifest.generation == self.active && fits(kept, &parts.terms));
                earlier.push(kept.map_or_else(|| configured_start(&parts, self.active), start));
            }
            None => {}
        }
        let first = configured_start(&parts, if same { self.active } else { 0 });
        let unfit = |error: StartError| format!("model {name}: {error}");
        let mut tuning = Tuning::new(parts, earlier, self.highest).map_err(unfit)?;
        if let Some(before) = &self.tuning {
            tuning.inherit(before);
        }
        let publication = tuning.trainer.install(first).map_err(unfit)?;
        let publication = (!same).then_some(publication);
        let number = publication.as_ref().map(|publication| publication.generation);
        Ok(Incoming { configured, number, tuned: Tuned::Anew(Box::new(tuning)), publication })
    }

    /// What a reload brought is published.
    pub(super) fn take_over(&mut self, incoming: &mut Incoming, now_ns: u64) {
        self.configured = incoming.configured.take();
        if let Some(number) = incoming.number {
            (self.active, self.highest) = (number, self.highest.max(number));
        }
        match std::mem::replace(&mut incoming.tuned, Tuned::AsBefore) {
            Tuned::AsBefore => {}
            Tuned::Nobody => self.tuning = None,
            Tuned::Anew(mut tuning) => {
                tuning.published(self.active, now_ns, incoming.number.is_some());
                self.tuning = Some(*tuning);
            }
        }
    }
}
