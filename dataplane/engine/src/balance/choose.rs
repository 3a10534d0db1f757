//! Which path: the rules, and what follows from a network's scores. Pure functions of what is known at the beginning of a
//! burst and of seeded draws, so that the order within a burst does not matter.

use super::config::{BalanceSettings, PATHS_MAX, PathRule};
use super::maglev::Maglev;
use super::path::PathState;
use crate::hash::{below, split_mix};
use crate::sampler::Draw;
use crate::time::Ns;
use arrayvec::ArrayVec;

/// Draws before a weighted choice takes the next best.
const DRAWS: usize = 16;

/// Why a decision is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The flow has no path yet.
    New,
    /// Its path is down.
    Lost,
    /// It was silent for as long as makes a flowlet.
    Flowlet,
    /// Its path is congested, or its sender ran into a timeout: a rule that redraws does so now.
    Redraw,
    /// Every packet is to be decided.
    Packet,
}

/// What is decided from.
pub(super) struct Chooser<'a> {
    pub(super) settings: &'a BalanceSettings,
    pub(super) paths: &'a [PathState],
    pub(super) maglev: &'a Maglev,
    /// The least RTT of late of any path, in nanoseconds; 0 for none.
    pub(super) base_rtt: u64,
    pub(super) now: Ns,
}

/// Paths by their place.
pub(super) type Candidates = ArrayVec<usize, PATHS_MAX>;

/// What a network's scores led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) path: usize,
    /// With which probability it came out, in 1/65536.
    pub(super) probability_q16: u32,
    /// Among how many.
    pub(super) choices: usize,
    /// By a draw among them all.
    pub(super) explored: bool,
    /// The best score was that of a path which may not be taken.
    pub(super) clamped: bool,
}

impl Chooser<'_> {
    /// Whether a flow may come to this path. `bits` admit it to a path in slow start, or do not.
    fn takes(&self, path: usize, bits: u64) -> bool {
        let settings = self.settings;
        self.paths.get(path).is_some_and(PathState::is_up)
            && settings.weights[path] > 0
            && !settings.drains[path]
            && bits >> 48 < self.paths[path].ramp_q16(settings.slow_start, self.now)
    }

    fn is_up(&self, path: usize) -> bool {
        self.paths.get(path).is_some_and(PathState::is_up)
    }

    /// Whether no path is up, so that all count as if they were: it is then likelier that the probes fail.
    pub(super) fn all_down(&self) -> bool {
        !self.paths.iter().any(PathState::is_up)
    }

    /// The first, from a drawn one on, that `fits`.
    fn first_of(&self, bits: u64, fits: impl Fn(usize) -> bool) -> Option<usize> {
        let count = self.paths.len();
        let from = below(bits, count);
        (0..count).map(|step| (from + step) % count).find(|path| fits(*path))
    }

    /// Where no path takes a flow in the regular way: one that is up, one that has a weight, any.
    fn last_resort(&self, bits: u64) -> usize {
        let weighs = |path: usize| self.settings.weights[path] > 0;
        let always = u64::MAX >> 16;
        self.first_of(bits, |path| self.takes(path, bits & always))
            .or_else(|| self.first_of(bits, |path| self.is_up(path)))
            .or_else(|| self.first_of(bits, |path| weighs(path) && !self.settings.drains[path]))
            .or_else(|| self.first_of(bits, weighs))
            .unwrap_or(0)
    }

    /// A path by weight. The same bits give the same path for as long as it takes flows.
    pub(super) fn weighted(&self, mut bits: u64) -> usize {
        for _ in 0..DRAWS {
            match self.maglev.find(bits) {
                Some(path) if self.takes(path, bits) => return path,
                _ => bits = split_mix(bits),
            }
        }
        self.last_resort(bits)
    }

    /// A path, all alike.
    fn equal(&self, bits: u64) -> usize {
        let candidates: Candidates =
            (0..self.paths.len()).filter(|path| self.takes(*path, split_mix(bits ^ *path as u64))).collect();
        candidates.get(below(bits, candidates.len())).copied().unwrap_or_else(|| self.last_resort(bits))
    }

    /// What the rule says for a flow on path `current`, in its `n`-th decision.
    pub(super) fn by_rule(&self, hash: u64, n: u32, current: Option<usize>, due: Due) -> usize {
        let current = current.filter(|path| self.is_up(*path) || self.all_down());
        let (fixed, drawn) = (Draw::Path.bits(hash), Draw::Path.nth(hash, n));
        let redraws = due == Due::Redraw;
        match (self.settings.rule, current) {
            (PathRule::Maglev, None) => self.weighted(fixed),
            (PathRule::Ecmp, None) => self.equal(fixed),
            (PathRule::Maglev | PathRule::Ecmp, Some(path)) => path,
            (PathRule::LetFlow, Some(path)) if redraws => path,
            (PathRule::LetFlow, _) => self.weighted(drawn),
            (PathRule::Plb, None) => self.weighted(if n == 0 { fixed } else { drawn }),
            (PathRule::Plb, Some(path)) if redraws => self.another(path, drawn),
            (PathRule::Plb, Some(path)) => path,
            (PathRule::PowerOfTwo, Some(path)) if redraws => path,
            (PathRule::PowerOfTwo, current) => self.of_two(current, drawn),
        }
    }

    /// Another path than this one, where there is one.
    fn another(&self, path: usize, mut bits: u64) -> usize {
        for _ in 0..DRAWS {
            let drawn = self.weighted(bits);
            if drawn != path {
                return drawn;
            }
            bits = split_mix(bits);
        }
        path
    }

    /// By how much a path must be better than one of this cost: absolutely, and in proportion.
    fn margin(&self, cost: u64) -> u64 {
        let hysteresis = u64::from(self.settings.hysteresis_q16);
        hysteresis + ((u128::from(cost) * u128::from(hysteresis)) >> 16) as u64
    }

    fn of_two(&self, current: Option<usize>, bits: u64) -> usize {
        let first = self.weighted(bits);
        let cost = |path: usize| self.paths[path].congestion_q16(self.base_rtt, self.now);
        match current {
            // Not for little: what moves meets what others move, too.
            Some(path) if cost(path) <= cost(first) + self.margin(cost(first)) => path,
            Some(_) => first,
            None => {
                let second = self.another(first, split_mix(bits));
                if cost(second) < cost(first) { second } else { first }
            }
        }
    }

    /// What follows from a network's scores, the least being the best, for the flow of `hash` on path `current`, in its `n`-th
    /// decision, of which a share is drawn among all paths, in 1/65536.
    pub(super) fn by_scores(
        &self,
        scores: &[i32],
        (hash, n): (u64, u32),
        current: Option<usize>,
        due: Due,
        explore_share: u32,
    ) -> Choice {
        let draw = Draw::Path.nth(hash, n);
        let stays = |path: usize| Some(path) == current && self.is_up(path);
        let candidates: Candidates = (0..self.paths.len())
            .filter(|path| stays(*path) || self.takes(*path, split_mix(draw ^ *path as u64)))
            .collect();
        let score = |path: &usize| scores.get(*path).copied().unwrap_or(i32::MAX);
        let Some(best) = candidates.iter().map(score).min() else {
            let path = self.weighted(draw);
            return Choice { path, probability_q16: 1 << 16, choices: 1, explored: false, clamped: true };
        };
        let clamped = scores.iter().min().is_some_and(|least| *least < best);
        let within =
            |path: &usize, margin: u32| i64::from(score(path)) - i64::from(best) <= i64::from(margin);
        let kept = current.filter(|path| {
            due != Due::New && candidates.contains(path) && within(path, self.settings.hysteresis_q16)
        });
        let greedy = kept.unwrap_or_else(|| {
            let tied: Candidates =
                candidates.iter().copied().filter(|path| within(path, self.settings.tie_q16)).collect();
            tied.get(below(draw, tied.len())).copied().unwrap_or(candidates[0])
        });
        let share = explore_share.min(1 << 16);
        let explore = Draw::PathExplore.nth(hash, n);
        let explored = explore & 0xffff < u64::from(share);
        let path = if explored { candidates[below(explore, candidates.len())] } else { greedy };
        let each = share / candidates.len() as u32;
        let probability_q16 = each + if path == greedy { (1 << 16) - share } else { 0 };
        Choice { path, probability_q16, choices: candidates.len(), explored, clamped }
    }
}

#[cfg(test)]
mod tests;
