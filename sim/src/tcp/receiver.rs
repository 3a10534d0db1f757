//! The end that takes data and says so.

use super::ranges::Ranges;
use super::{CongestionKind, TcpConfig};
use weir_engine::time::Ns;

/// Segments acknowledged one by one at a connection's beginning: Linux `TCP_MAX_QUICKACKS`.
const QUICK_ACKS: u32 = 16;

/// A data segment, as its receiver reads it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// Offset of its first byte.
    pub(crate) offset: u64,
    pub(crate) payload: u32,
    pub(crate) fin: bool,
    pub(crate) timestamp: u32,
    /// Whether a queue on the way has marked it.
    pub(crate) marked: bool,
    /// Whether its sender says that it has reduced its window.
    pub(crate) reduced: bool,
}

/// The receiving half of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Receiver {
    /// First byte that is missing.
    pub(crate) next: u64,
    beyond: Ranges,
    /// Offsets of the latest arrivals out of order, the last one first: whose runs are told.
    latest: [u64; 3],
    /// Where the data ends, once that is known.
    end: Option<u64>,
    /// In-order segments that no acknowledgement has told of.
    untold: u32,
    quick: u32,
    /// When an acknowledgement leaves at the latest.
    pub(crate) ack_at: Ns,
    /// What the next one echoes.
    pub(crate) echo: u32,
    /// Whether it echoes a congestion mark.
    pub(crate) ece: bool,
    /// DCTCP: every acknowledgement tells of exactly what it covers.
    exact: bool,
    ack_delay: Ns,
}

impl Receiver {
    pub(crate) fn new(config: &TcpConfig) -> Receiver {
        Receiver {
            next: 0,
            beyond: Ranges::default(),
            latest: [u64::MAX; 3],
            end: None,
            untold: 0,
            quick: QUICK_ACKS,
            ack_at: Ns::NEVER,
            echo: 0,
            ece: false,
            exact: config.congestion == CongestionKind::Dctcp,
            ack_delay: config.ack_delay,
        }
    }

    /// Whether all data is there.
    pub(crate) fn is_complete(&self) -> bool {
        self.end == Some(self.next)
    }

    /// A segment has arrived. Says how often to acknowledge at once; before the first time, with `ece` as it was.
    pub(crate) fn on_data(&mut self, now: Ns, arrival: &Arrival) -> Answer {
        let end = arrival.offset + u64::from(arrival.payload);
        if arrival.fin {
            self.end = Some(end);
        }
        // RFC 8257 section 3.2: a change of state is told before it happens.
        let first = self.exact && arrival.marked != self.ece && self.untold > 0;
        let ece_before = self.ece;
        self.ece = match (self.exact, arrival.marked) {
            (true, marked) => marked,
            (false, marked) => marked || self.ece && !arrival.reduced,
        };
        let in_order = arrival.offset <= self.next && end > self.next;
        if in_order {
            // RFC 7323 section 4.3: the echo is that of the segment that advanced the edge.
            if self.untold == 0 || first {
                self.echo = arrival.timestamp;
            }
            self.next = end;
            self.beyond.forget_below(self.next);
            while let Some(filled) = self.beyond.take_front(self.next) {
                self.next = filled;
            }
            self.untold += 1;
        } else if arrival.offset > self.next {
            self.beyond.insert(arrival.offset, end, |_, _| {});
            self.latest = [arrival.offset, self.latest[0], self.latest[1]];
        }
        let hurry = !in_order || !self.beyond.is_empty() || self.untold >= 2 || self.quick > 0 || arrival.fin;
        self.quick = self.quick.saturating_sub(1);
        if !hurry && self.ack_at == Ns::NEVER {
            self.ack_at = now + self.ack_delay;
        }
        Answer { first: first.then_some(ece_before), now: hurry }
    }

    /// An acknowledgement leaves.
    pub(crate) fn on_told(&mut self) {
        (self.untold, self.ack_at) = (0, Ns::NEVER);
    }

    /// The runs to tell of, the latest first; empty ones at the end.
    pub(crate) fn runs(&self) -> [(u64, u64); 3] {
        let mut runs = [(0, 0); 3];
        let mut told = 0;
        for offset in self.latest {
            let Some(run) = self.beyond.around(offset) else { continue };
            if !runs[..told].contains(&run) {
                runs[told] = run;
                told += 1;
            }
        }
        runs
    }
}

/// What a receiver does about a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// An acknowledgement of what came before it, with this echo of marks.
    pub(crate) first: Option<bool>,
    /// Whether it is acknowledged at once.
    pub(crate) now: bool,
}
