//! The traffic source's counters, and the kernel's account of the thread that polls it.

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// `struct board` of `source/weirgen.c`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Board {
    /// Thread that polls; 0 before the first poll.
    pub(crate) thread: u64,
    /// Flows whose handshake is complete.
    pub(crate) established: u64,
    /// Frames given out, both ports.
    pub(crate) received: u64,
    /// Frames taken back by transmission, both ports.
    pub(crate) transmitted: u64,
    /// Acknowledgements given up by the source.
    pub(crate) lost: u64,
}

const VERSION: u64 = 1;
const WORDS: usize = 8;

impl Board {
    /// Reads the mapped file; `None` while the source is not up.
    pub(crate) fn read(path: &Path) -> Result<Option<Board>> {
        let Ok(bytes) = fs::read(path) else { return Ok(None) };
        let mut words = [0; WORDS];
        let (given, _) = bytes.as_chunks::<8>();
        if given.len() < WORDS {
            return Ok(None);
        }
        for (word, bytes) in words.iter_mut().zip(given) {
            *word = u64::from_ne_bytes(*bytes);
        }
        match words {
            [0, ..] => Ok(None),
            [VERSION, thread, established, rx0, rx1, tx0, tx1, lost] => {
                Ok(Some(Board { thread, established, received: rx0 + rx1, transmitted: tx0 + tx1, lost }))
            }
            _ => bail!("{} is of another version of the source: build it again", path.display()),
        }
    }
}

/// Counters of one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    board: Board,
    cpu: Duration,
    at: Instant,
}

/// What lies between two moments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// Frames that the program transmitted.
    pub(crate) frames: u64,
    /// Frames that it received.
    pub(crate) received: u64,
    /// Acknowledgements that the source gave up.
    pub(crate) lost: u64,
    /// Time that the thread had its core.
    pub(crate) cpu: Duration,
    /// Time that passed.
    pub(crate) wall: Duration,
}

impl Moment {
    /// Now, for process `pid`.
    pub(crate) fn now(path: &Path, pid: u32) -> Result<Moment> {
        let board = Board::read(path)?.context("the source's board is gone")?;
        let schedstat = format!("/proc/{pid}/task/{}/schedstat", board.thread);
        let text = fs::read_to_string(&schedstat).with_context(|| format!("cannot read {schedstat}"))?;
        let ns = text.split_whitespace().next().and_then(|ns| ns.parse().ok());
        let cpu = Duration::from_nanos(ns.with_context(|| format!("{schedstat} begins with no number"))?);
        Ok(Moment { board, cpu, at: Instant::now() })
    }

    /// From `earlier` to here.
    pub(crate) fn since(&self, earlier: &Moment) -> Window {
        Window {
            frames: self.board.transmitted - earlier.board.transmitted,
            received: self.board.received - earlier.board.received,
            lost: self.board.lost - earlier.board.lost,
            cpu: self.cpu.saturating_sub(earlier.cpu),
            wall: self.at - earlier.at,
        }
    }
}
