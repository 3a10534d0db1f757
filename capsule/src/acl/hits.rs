//! How often each reason decided, and the stage that all workers share.

use super::rules::{Acl, Reason};
use crate::books::{Books, Counter};
use crate::front::Front;
use capsule::batch::Pipeline;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use weir_engine::io::PacketIo;
use weir_shell::run::MbufFrame;

/// One worker's counts.
#[derive(Debug)]
pub(super) struct Hits {
    rules: Box<[Counter]>,
    default: Counter,
    unreadable: Counter,
}

impl Hits {
    pub(super) fn of(acl: &Acl) -> Hits {
        let rules = acl.rules.iter().map(|_| Counter::default()).collect();
        Hits { rules, default: Counter::default(), unreadable: Counter::default() }
    }

    #[inline]
    pub(super) fn count(&self, reason: Reason) {
        match reason {
            Reason::Rule(at) => self.rules[at].add(1),
            Reason::Default => self.default.add(1),
            Reason::Unreadable => self.unreadable.add(1),
        }
    }
}

/// What one worker writes.
#[derive(Clone, Debug)]
struct Ledger {
    hits: Arc<Hits>,
    books: Arc<Books>,
}

/// A list in front of any number of workers.
#[derive(Clone, Debug)]
pub struct AclStage {
    acl: Arc<Acl>,
    /// By worker.
    ledgers: Arc<Mutex<Vec<(usize, Ledger)>>>,
}

impl AclStage {
    /// The list, in front of nobody yet.
    pub fn new(acl: Acl) -> AclStage {
        AclStage { acl: Arc::new(acl), ledgers: Arc::default() }
    }

    /// Puts it in front of a worker's queues, on the worker's thread.
    pub fn put<Io: PacketIo<Frame = MbufFrame>>(
        &self,
        worker: usize,
        io: Io,
    ) -> Front<Io, impl Pipeline + use<Io>> {
        let ledger = Ledger { hits: Arc::new(Hits::of(&self.acl)), books: Arc::default() };
        self.ledgers.lock().unwrap_or_else(PoisonError::into_inner).push((worker, ledger.clone()));
        let (acl, Ledger { hits, books }) = (Arc::clone(&self.acl), ledger);
        Front::new(io, books, move |side, inlet, outlet| {
            super::pipeline(Arc::clone(&acl), Arc::clone(&hits), side, inlet, outlet)
        })
    }

    /// What was decided so far, over all workers.
    pub fn report(&self) -> Report {
        let ledgers = self.ledgers.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = |of: &dyn Fn(&Hits) -> u64| ledgers.iter().map(|(_, ledger)| of(&ledger.hits)).sum();
        let rules = self.acl.rules.iter().enumerate();
        let mut lines: Vec<Line> = rules
            .map(|(at, rule)| Line {
                reason: rule.name.clone(),
                action: rule.action.name(),
                frames: sum(&|hits| hits.rules[at].get()),
            })
            .collect();
        lines.push(Line {
            reason: "(default)".to_owned(),
            action: self.acl.default.name(),
            frames: sum(&|hits| hits.default.get()),
        });
        lines.push(Line {
            reason: "(unreadable)".to_owned(),
            action: "deny",
            frames: sum(&|hits| hits.unreadable.get()),
        });
        let mut books: Vec<(usize, Arc<Books>)> =
            ledgers.iter().map(|(worker, ledger)| (*worker, Arc::clone(&ledger.books))).collect();
        books.sort_by_key(|(worker, _)| *worker);
        Report { lines, books }
    }
}

impl fmt::Display for AclStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, rule) in self.acl.rules.iter().enumerate() {
            writeln!(f, "{:3}  {rule}", at + 1)?;
        }
        writeln!(f, "     {} all others", self.acl.default.name())
    }
}

/// How many frames a reason decided on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// A rule's name, or another reason in brackets, which no rule may have.
    pub reason: String,
    /// What it decides.
    pub action: &'static str,
    /// Frames.
    pub frames: u64,
}

/// What a list has decided, as a table.
#[derive(Debug)]
pub struct Report {
    /// Rules in their order, then the default, then what could not be read.
    pub lines: Vec<Line>,
    /// By worker.
    books: Vec<(usize, Arc<Books>)>,
}

impl Report {
    /// Frames that were denied.
    pub fn denied(&self) -> u64 {
        self.lines.iter().filter(|line| line.action == "deny").map(|line| line.frames).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let judged: u64 = self.lines.iter().map(|line| line.frames).sum();
        let denied = self.denied();
        writeln!(f, "acl: judged {judged} = allowed {} + denied {denied}", judged - denied)?;
        let width = self.lines.iter().map(|line| line.reason.chars().count()).max().unwrap_or(0);
        for Line { reason, action, frames } in &self.lines {
            writeln!(f, "  {reason:width$}  {action:5}  {frames:>12}")?;
        }
        for (worker, books) in &self.books {
            writeln!(f, "worker {worker}: {books}")?;
        }
        Ok(())
    }
}
