//! What others may see of an adapter process while the trainer speaks to it.

use super::fault::{Fault, Reason};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Counters and state of one [`AdapterProcess`](super::AdapterProcess). Plain numbers, written by the trainer's thread and
/// read by whoever shows them; none is of one moment with another.
#[derive(Debug, Default)]
pub struct Watch {
    connected: AtomicBool,
    connections: AtomicU64,
    answers: AtomicU64,
    faults: [AtomicU64; Reason::ALL.len()],
    said: Mutex<Said>,
}

#[derive(Debug, Default)]
struct Said {
    peer: String,
    fault: Option<String>,
}

impl Watch {
    /// Whether the process is connected and has said what it is.
    pub fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// Connections made so far.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Calls that were answered well.
    pub fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    /// Calls that were not, by reason.
    pub fn faults(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        Reason::ALL.into_iter().zip(self.faults.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    /// What the process calls itself; empty before the first connection.
    pub fn peer(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).peer.clone()
    }

    /// The last fault's text, but for [`Fault::Waiting`], which only repeats that there was one.
    pub fn last_fault(&self) -> Option<String> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).fault.clone()
    }

    pub(super) fn connected(&self, peer: String) {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).peer = peer;
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.connected.store(true, Ordering::Relaxed);
    }

    pub(super) fn disconnected(&self) {
        self.connected.store(false, Ordering::Relaxed);
    }

    pub(super) fn answered(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self, fault: &Fault) {
        self.faults[fault.reason() as usize].fetch_add(1, Ordering::Relaxed);
        if *fault != Fault::Waiting {
            self.said.lock().unwrap_or_else(PoisonError::into_inner).fault = Some(fault.to_string());
        }
    }
}
