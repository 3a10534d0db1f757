//! A reload as the trainer sees it: whether the model changes, and whether somebody else is to tune it.

use super::begin::{configured_start, expected};
use super::desk::Desk;
use super::parts::Parts;
use super::tuning::Tuning;
use crate::run::models::{Identity, NextPolicy};
use weir_trainer::online::StartError;

/// What a reload changes here, once it is published.
pub(super) struct Incoming {
    pub(super) configured: Option<Identity>,
    /// The number of the model that it brings; `None` where the active generation stays.
    pub(super) number: Option<u32>,
    pub(super) tuned: Tuned,
}

/// Who tunes after a reload.
pub(super) enum Tuned {
    AsBefore,
    Anew(Box<Tuning>),
    Nobody,
}

impl Desk {
    /// What to send on for a reload, with a number where it brings a model of its own, and what changes here with it.
    pub(super) fn prepare(
        &mut self,
        next: NextPolicy,
        parts: Option<Parts>,
    ) -> Result<(NextPolicy, Incoming), String> {
        let configured = next.identity();
        let same = configured == self.configured;
        let Some(parts) = parts else {
            let number = match configured {
                None => Some(0),
                Some(_) if same => None,
                Some(_) => Some(self.highest + 1),
            };
            let next = next.numbered(number.unwrap_or(0));
            return Ok((next, Incoming { configured, number, tuned: Tuned::Nobody }));
        };
        let before = self.tuning.as_ref();
        if same && before.is_some_and(|tuning| tuning.is_tuned_by(&parts)) {
            return Ok((next, Incoming { configured, number: None, tuned: Tuned::AsBefore }));
        }
        let (mut earlier, mut start) = (Vec::new(), configured_start(&parts, 0));
        match before.filter(|tuning| *tuning.trainer.terms() == parts.terms) {
            Some(tuning) => earlier = tuning.starts(),
            None if same => earlier.push(configured_start(&parts, self.active)),
            None => {}
        }
        if same {
            start.number = self.active;
        }
        // The folder may hold higher numbers than this process has given: learning was off, or of another model.
        let name = parts.terms.name.clone();
        let kept = self.stores.load_or_count(&name, &expected(&parts.terms));
        self.highest = self.highest.max(kept.highest);
        let unfit = |error: StartError| format!("model {name}: {error}");
        let mut tuning = Tuning::new(parts, earlier, self.highest).map_err(unfit)?;
        if let Some(before) = &self.tuning {
            tuning.inherit(before);
        }
        let publication = tuning.trainer.install(start).map_err(unfit)?;
        let number = (!same).then_some(publication.generation);
        if let Some(number) = number {
            self.highest = self.highest.max(number);
            self.stores.keep(&mut tuning, &publication);
        }
        let next = next.numbered(number.unwrap_or(0));
        Ok((next, Incoming { configured, number, tuned: Tuned::Anew(Box::new(tuning)) }))
    }
}
