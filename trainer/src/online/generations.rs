//! Published generations: their numbers, and which one a roll back goes to.

use crate::network::Network;
use crate::store::Reason;
use std::collections::BTreeMap;
use weir_snapshot::Executable;

/// A generation that was published, or is about to be.
#[derive(Debug, Clone)]
pub struct Generation {
    /// Its number. Later publications have higher ones; a number is given once.
    pub number: u32,
    /// The generation that first had this content: another one than itself after a roll back.
    pub content_of: u32,
    /// Why it was published.
    pub reason: Reason,
    /// How far it has come.
    pub standing: Standing,
    /// The float network that it came from.
    pub network: Network,
    /// The snapshot's bytes.
    pub bytes: Vec<u8>,
    /// The snapshot, ready to be run.
    pub executable: Executable,
    /// What the gate measured, by name.
    pub figures: BTreeMap<String, f64>,
    /// Whether it was rolled back: it is never rolled back to.
    pub refused: bool,
}

/// How far a generation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// An earlier process published it.
    Earlier,
    /// It has a number, and whoever publishes has been told.
    Issued,
    /// Published at this time, in nanoseconds of the trainer's clock.
    Published {
        /// Since when.
        at_ns: u64,
    },
}

/// What makes a generation, besides its number.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) reason: Reason,
    pub(super) network: Network,
    pub(super) bytes: Vec<u8>,
    pub(super) executable: Executable,
    pub(super) figures: BTreeMap<String, f64>,
}

/// The newest generations, ascending.
#[derive(Debug)]
pub(super) struct Generations {
    kept: Vec<Generation>,
    max: usize,
    highest: u32,
    active: u32,
    previous: u32,
}

impl Generations {
    /// None yet; numbers go on after `highest`. At most `max` are kept besides those in use and the newest that was configured.
    pub(super) fn new(max: usize, highest: u32) -> Self {
        Self { kept: Vec::new(), max: max.max(1), highest, active: 0, previous: 0 }
    }

    /// Takes in one that an earlier process published, with its number.
    pub(super) fn remember(&mut self, number: u32, refused: bool, content: Content) {
        let content_of = content.reason.repeats().unwrap_or(number);
        self.highest = self.highest.max(number);
        self.insert(number, content_of, refused, Standing::Earlier, content);
        self.kept.sort_by_key(|generation| generation.number);
    }

    /// Gives the next number to `content`.
    pub(super) fn issue(&mut self, content: Content) -> &Generation {
        self.highest = self.highest.saturating_add(1);
        let content_of = content.reason.repeats().unwrap_or(self.highest);
        self.insert(self.highest, content_of, false, Standing::Issued, content)
    }

    fn insert(
        &mut self,
        number: u32,
        content_of: u32,
        refused: bool,
        standing: Standing,
        content: Content,
    ) -> &Generation {
        let Content { reason, network, bytes, executable, figures } = content;
        self.kept.push(Generation {
            number,
            content_of,
            reason,
            standing,
            network,
            bytes,
            executable,
            figures,
            refused,
        });
        &self.kept[self.kept.len() - 1]
    }

    /// The publication of `number` has taken effect. Whether there is such a generation, and it was not the active one.
    pub(super) fn published(&mut self, number: u32, now_ns: u64) -> bool {
        if number == self.active {
            return false;
        }
        let Some(generation) = self.kept.iter_mut().find(|generation| generation.number == number) else {
            return false;
        };
        generation.standing = Standing::Published { at_ns: now_ns };
        (self.previous, self.active) = (self.active, number);
        // What was issued earlier and not published has been superseded.
        self.kept.retain(|other| other.standing != Standing::Issued || other.number > number);
        let surplus = self.kept.len().saturating_sub(self.max);
        let configured = self.kept.iter().rev().find(|other| other.reason == Reason::Configured);
        // Where tuning began: good on paths that nothing has been learnt on.
        let needed = [self.active, self.previous, configured.map_or(0, |configured| configured.number)];
        let mut gone = 0;
        self.kept.retain(|other| {
            let goes = gone < surplus && !needed.contains(&other.number);
            gone += usize::from(goes);
            !goes
        });
        true
    }

    /// The publication of `number` was refused for good.
    pub(super) fn withdraw(&mut self, number: u32) {
        self.kept.retain(|generation| generation.number != number || generation.number == self.active);
    }

    /// Marks a generation, and all that have its content, as one that is never rolled back to.
    pub(super) fn refuse(&mut self, number: u32) {
        let Some(content_of) = self.get(number).map(|generation| generation.content_of) else { return };
        for generation in self.kept.iter_mut().filter(|generation| generation.content_of == content_of) {
            generation.refused = true;
        }
    }

    /// The newest generation before the active one that was not rolled back and says something else.
    pub(super) fn before_active(&self) -> Option<&Generation> {
        let active = self.active()?;
        let checksum = |generation: &Generation| generation.executable.snapshot().checksum();
        self.kept.iter().rev().find(|other| {
            other.number < active.content_of && !other.refused && checksum(other) != checksum(active)
        })
    }

    /// Generations that the active one could be exchanged for: published, not rolled back, and each says something else.
    pub(super) fn others(&self) -> Vec<&Generation> {
        let checksum = |generation: &Generation| generation.executable.snapshot().checksum();
        let mut told: Vec<u32> = self.active().map(checksum).into_iter().collect();
        let mut others = Vec::new();
        for other in
            self.kept.iter().rev().filter(|other| !other.refused && other.standing != Standing::Issued)
        {
            if !told.contains(&checksum(other)) {
                told.push(checksum(other));
                others.push(other);
            }
        }
        others
    }

    /// The generation that workers act on.
    pub(super) fn active(&self) -> Option<&Generation> {
        self.get(self.active)
    }

    /// Whether workers may still act on it: the active generation, and the one before.
    pub(super) fn live(&self, number: u32) -> bool {
        number != 0 && (number == self.active || number == self.previous)
    }

    pub(super) fn get(&self, number: u32) -> Option<&Generation> {
        self.kept.iter().find(|generation| generation.number == number)
    }

    /// All that are kept, oldest first.
    pub(super) fn all(&self) -> &[Generation] {
        &self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::super::gate::calibrated;
    use super::super::gate::tests::{examples, network, terms};
    use super::*;
    use weir_snapshot::{Executor, Precision, Snapshot};

    fn content(seed: u64, reason: Reason) -> Content {
        let network = network(seed);
        let bytes = calibrated(&network, Precision::Bits8, &terms(), &examples()).unwrap();
        let executable = Executable::new(Snapshot::decode(&bytes).unwrap(), Executor::Scalar).unwrap();
        Content { reason, network, bytes, executable, figures: BTreeMap::new() }
    }

    fn publish(generations: &mut Generations, seed: u64, reason: Reason) -> u32 {
        let number = generations.issue(content(seed, reason)).number;
        assert!(generations.published(number, u64::from(number)));
        number
    }

    /// Publishes what a roll back goes to, and gives the number of its content.
    fn roll_back(generations: &mut Generations) -> Option<u32> {
        let active = generations.active().unwrap().number;
        generations.refuse(active);
        let target = generations.before_active()?;
        let (to, seed) = (target.content_of, target.content_of);
        publish(generations, seed.into(), Reason::RolledBack { to });
        Some(to)
    }

    #[test]
    fn two_are_live_and_the_oldest_go() {
        let mut generations = Generations::new(3, 10);
        for seed in 1..=5 {
            publish(&mut generations, seed, Reason::Adapted);
        }
        let numbers: Vec<u32> = generations.all().iter().map(|generation| generation.number).collect();
        assert_eq!(numbers, [13, 14, 15]);
        let live: Vec<u32> = (0..20).filter(|number| generations.live(*number)).collect();
        assert_eq!(live, [14, 15]);
        assert!(!generations.published(15, 99) && !generations.published(16, 99), "active already; unknown");
        assert_eq!(generations.active().unwrap().standing, Standing::Published { at_ns: 15 });
    }

    #[test]
    fn what_is_superseded_or_withdrawn_is_gone_and_its_number_is_not_given_again() {
        let mut generations = Generations::new(3, 0);
        publish(&mut generations, 1, Reason::Configured);
        let older = generations.issue(content(2, Reason::Adapted)).number;
        publish(&mut generations, 3, Reason::Adapted);
        assert!(generations.get(older).is_none() && !generations.published(older, 9));
        let refused = generations.issue(content(4, Reason::Adapted)).number;
        generations.withdraw(refused);
        assert!(generations.get(refused).is_none());
        assert_eq!(generations.issue(content(5, Reason::Adapted)).number, refused + 1);
        generations.withdraw(3);
        assert_eq!(generations.active().unwrap().number, 3, "what is active stays");
    }

    #[test]
    fn roll_backs_go_back_step_by_step_and_never_to_what_was_rolled_back() {
        let mut generations = Generations::new(10, 0);
        for seed in 1..=3 {
            publish(&mut generations, seed, Reason::Adapted);
        }
        assert_eq!(roll_back(&mut generations), Some(2));
        publish(&mut generations, 5, Reason::Adapted);
        assert_eq!(roll_back(&mut generations), Some(2), "not to 3, and 4 says what 2 says");
        assert_eq!(roll_back(&mut generations), Some(1));
        assert_eq!(roll_back(&mut generations), None);
    }

    #[test]
    fn what_an_earlier_process_published_can_be_rolled_back_to() {
        let mut generations = Generations::new(10, 0);
        generations.remember(8, true, content(8, Reason::Adapted));
        generations.remember(7, false, content(7, Reason::Adapted));
        publish(&mut generations, 9, Reason::Configured);
        assert_eq!(generations.active().unwrap().number, 9);
        assert_eq!(generations.before_active().unwrap().number, 7);
    }

    #[test]
    fn the_configured_generation_is_kept_and_others_are_told_once_each() {
        let mut generations = Generations::new(3, 0);
        publish(&mut generations, 1, Reason::Configured);
        for seed in 2..=9 {
            publish(&mut generations, seed, Reason::Adapted);
        }
        publish(&mut generations, 1, Reason::Returned { to: 1 });
        let kept: Vec<u32> = generations.all().iter().map(|generation| generation.number).collect();
        assert_eq!(kept, [1, 9, 10]);
        // 1 says what 10 says.
        let others: Vec<u32> = generations.others().iter().map(|generation| generation.number).collect();
        assert_eq!(others, [9]);
        generations.refuse(9);
        assert!(generations.others().is_empty());
    }
}
