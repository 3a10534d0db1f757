//! Limits: how fast the frames of many flows together leave by the outside.
//!
//! A limit has a rate and a *scope*: the addresses of one end that lie in a prefix, or every frame. A frame is under at most
//! three of them: the longest prefix that holds its inside end, the longest that holds its outside end, and the one on every
//! frame; and leaves when all of them let it.
//!
//! ```text
//!            burst                          one clock per limit, shared by all workers
//!   <----------------------->
//!   -----------+-------------+-------+-------+-------+----> time
//!             now        reserved: each claim its own time
//! ```
//!
//! A limit is a clock in virtual time ([`Budget`], GCRA): whoever wants to send *claims* a time on it, the next one that is free, and
//! may send from then on. As a flow claims only for what it has, and one claim at a time, those that wait take turns, whichever
//! worker they belong to, and no time is claimed that nobody uses.
//!
//! The clocks belong to the value that a [`Policy`](crate::policy::Policy) carries, so a reload that changes limits brings
//! clocks of its own; one that does not goes on with those that run ([`Limits::or_same`]).

mod stats;

pub use stats::LimitStats;

use crate::io::Side;
use crate::route::Prefix;
use crate::time::{BitsPerSec, Ns};
use crate::wire::{IpVersion, Tuple};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use weir_handoff::Budget;

/// Limits at most: each has counters in every worker's report.
pub const LIMITS_MAX: usize = 64;

/// No limit's index.
const NONE: u8 = u8::MAX;
const _: () = assert!(LIMITS_MAX < NONE as usize);

/// One limit, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitConfig {
    /// Its name, which no other limit has.
    pub name: String,
    /// Whose frames it is about.
    pub scope: Scope,
    /// How fast they leave, all together.
    pub rate: BitsPerSec,
    /// What may leave at once after a rest.
    pub burst_bytes: u32,
    /// A frame that would wait longer than this gets an ECN mark where its sender understands one, once 8 of its queue wait.
    pub mark_delay: Ns,
    /// A frame that would wait longer than this is dropped, once 16 of its queue wait.
    pub delay_max: Ns,
    /// What may wait under the limit in one worker, beyond a frame of each queue.
    pub queue_bytes: u64,
}

/// Whose frames a limit is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every frame from inside to outside.
    All,
    /// Those with that end's address in that network.
    End(Side, Prefix),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::All => f.write_str("every frame"),
            Scope::End(end, prefix) => write!(f, "{} {prefix}", end.name()),
        }
    }
}

/// All limits of an appliance, and their clocks. Clones are the same ones.
#[derive(Clone, Debug)]
pub struct Limits(Arc<Table>);

#[derive(Debug)]
struct Table {
    /// No other table of this process has it.
    number: u64,
    limits: Box<[LimitConfig]>,
    clocks: Box<[Budget]>,
    /// By side of the end, the longest prefix first.
    rows: [Box<[Row]>; 2],
    /// The limit on every frame.
    all: u8,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    version: IpVersion,
    network: u128,
    mask: u128,
    index: u8,
}

/// The limits that a frame is under: of its inside end, of its outside end, and of every frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LimitSet([u8; 3]);

impl Limits {
    /// None at all.
    pub fn none() -> Limits {
        Limits::new(Vec::new())
    }

    /// These limits, with clocks that have not run yet. Of more than [`LIMITS_MAX`], of several of one scope, the first count.
    pub fn new(limits: Vec<LimitConfig>) -> Limits {
        static NUMBERED: AtomicU64 = AtomicU64::new(1);
        let mut limits = limits;
        limits.truncate(LIMITS_MAX);
        let indexed = || limits.iter().zip(0_u8..);
        let all = indexed().find(|(limit, _)| limit.scope == Scope::All).map_or(NONE, |(_, index)| index);
        let rows = Side::ALL.map(|side| {
            let mut of_end: Vec<(u8, Row)> = indexed()
                .filter_map(|(limit, index)| match limit.scope {
                    Scope::End(end, prefix) if end == side => Some((prefix.len, Row::new(&prefix, index))),
                    _ => None,
                })
                .collect();
            of_end.sort_by_key(|(len, _)| u8::MAX - len);
            of_end.into_iter().map(|(_, row)| row).collect()
        });
        Limits(Arc::new(Table {
            number: NUMBERED.fetch_add(1, Ordering::Relaxed),
            clocks: limits.iter().map(|_| Budget::new()).collect(),
            limits: limits.into(),
            rows,
            all,
        }))
    }

    /// `live` where that says the same, so that clocks which run go on; else these.
    #[must_use]
    pub fn or_same(self, live: &Limits) -> Limits {
        if self == *live { live.clone() } else { self }
    }

    /// A number that no other limits of this process have: what a worker shows counters of.
    pub fn number(&self) -> u64 {
        self.0.number
    }

    /// In the configuration's order, which is that of their counters.
    pub fn iter(&self) -> impl Iterator<Item = &LimitConfig> {
        self.0.limits.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.limits.is_empty()
    }

    pub(crate) fn get(&self, index: u8) -> Option<(&LimitConfig, &Budget)> {
        let index = usize::from(index);
        Some((self.0.limits.get(index)?, self.0.clocks.get(index)?))
    }

    /// The limits on a frame with this tuple, as frames from inside to outside bear it.
    pub(crate) fn on(&self, key: &Tuple) -> LimitSet {
        let [inside, outside] = &self.0.rows;
        let longest = |rows: &[Row], address: &[u8; 16]| {
            let bits = match (key.version, address) {
                (IpVersion::V4, &[a, b, c, d, ..]) => u128::from(u32::from_be_bytes([a, b, c, d])),
                (IpVersion::V6, address) => u128::from_be_bytes(*address),
            };
            let holds = |row: &&Row| row.version == key.version && bits & row.mask == row.network;
            rows.iter().find(holds).map_or(NONE, |row| row.index)
        };
        LimitSet([
            longest(inside, &key.source.address),
            longest(outside, &key.destination.address),
            self.0.all,
        ])
    }

    /// The limits on a frame without addresses.
    pub(crate) fn on_any(&self) -> LimitSet {
        LimitSet([NONE, NONE, self.0.all])
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::none()
    }
}

/// What they say; not where their clocks are.
impl PartialEq for Limits {
    fn eq(&self, other: &Limits) -> bool {
        self.0.limits == other.0.limits
    }
}
impl Eq for Limits {}

impl Row {
    fn new(prefix: &Prefix, index: u8) -> Row {
        let version = if prefix.address.is_ipv4() { IpVersion::V4 } else { IpVersion::V6 };
        let (network, mask) = prefix.network_and_mask();
        Row { version, network, mask, index }
    }
}

impl LimitSet {
    /// Under none.
    pub(crate) const EMPTY: LimitSet = LimitSet([NONE; 3]);

    pub(crate) fn is_empty(self) -> bool {
        self == LimitSet::EMPTY
    }

    /// The first of them at place `from` or later: its index, and the place after it.
    pub(crate) fn first_from(self, from: u8) -> Option<(u8, u8)> {
        let places = self.0.into_iter().zip(1..).skip(usize::from(from));
        places.into_iter().find(|(index, _)| *index != NONE)
    }

    /// Their indices.
    pub(crate) fn iter(self) -> impl Iterator<Item = u8> {
        self.0.into_iter().filter(|index| *index != NONE)
    }
}

impl Default for LimitSet {
    fn default() -> LimitSet {
        LimitSet::EMPTY
    }
}

#[cfg(test)]
mod tests;
