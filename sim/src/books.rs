//! Where every frame of a world is, or went.

use crate::link::LinkCounters;
use crate::weir::Weir;

/// Frames made, and what became of them: made = taken + dropped, by reason, + on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// Frames that stacks and sources made.
    pub originated: u64,
    /// Frames that Weirs made.
    pub originated_by_weir: u64,
    /// Frames that stacks took.
    pub consumed: u64,
    /// Frames among them that were for nobody there: none, unless somebody has spoilt them.
    pub unclaimed: u64,
    /// Frames whose destination is no host.
    pub unroutable: u64,
    /// Frames that links lost at random.
    pub lost: u64,
    /// Frames that found a queue full.
    pub dropped: u64,
    /// Frames that met a link that was down.
    pub cut: u64,
    /// Frames that ended in a Weir by a verdict that does not send them.
    pub ended_by_weir: u64,
    /// Frames in queues, on wires, and held or about to be taken by Weirs.
    pub on_the_way: u64,
    /// Whether each worker's own books are balanced.
    pub unbalanced_workers: u64,
    /// Events so far.
    pub events: u64,
    /// Turns of workers so far.
    pub turns: u64,
}

impl Books {
    pub(crate) fn add_link(&mut self, counters: &LinkCounters, inside: u64) {
        self.lost += counters.lost;
        self.dropped += counters.dropped;
        self.cut += counters.cut;
        self.on_the_way += inside;
    }

    pub(crate) fn add_weir(&mut self, weir: &Weir) {
        let tally = weir.tally();
        self.originated_by_weir += tally.originated;
        self.ended_by_weir += weir.ended();
        self.on_the_way += weir.around() + tally.held;
        self.unbalanced_workers += u64::from(!tally.balanced());
    }

    /// Whether every frame is accounted for, and every worker's books are balanced.
    pub fn balanced(&self) -> bool {
        let made = self.originated + self.originated_by_weir;
        let gone = self.consumed + self.unroutable + self.lost + self.dropped + self.cut + self.ended_by_weir;
        made == gone + self.on_the_way && self.unbalanced_workers == 0 && self.unclaimed == 0
    }
}
