//! Where the frames of a front are: written by its worker, read by everybody.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use weir_engine::io::Side;

/// A counter with one writer.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// The writer's.
    pub(crate) fn add(&self, more: u64) {
        self.0.store(self.get() + more, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One side's frames since the start.
#[derive(Debug, Default)]
pub struct SideBooks {
    pub(crate) taken: Counter,
    pub(crate) passed: Counter,
    pub(crate) denied: Counter,
}

impl SideBooks {
    /// Frames given to the pipeline.
    pub fn taken(&self) -> u64 {
        self.taken.get()
    }

    /// Frames that it gave on, and the worker received.
    pub fn passed(&self) -> u64 {
        self.passed.get()
    }

    /// Frames that it dropped.
    pub fn denied(&self) -> u64 {
        self.denied.get()
    }

    /// Frames that it still has. Exact while its worker is between two turns.
    pub fn kept(&self) -> u64 {
        self.taken().saturating_sub(self.passed() + self.denied())
    }
}

/// A front's books: `taken = passed + denied + kept`, on each side.
#[derive(Debug, Default)]
pub struct Books([SideBooks; 2]);

impl Books {
    /// One side's.
    pub fn side(&self, side: Side) -> &SideBooks {
        &self.0[side as usize]
    }
}

impl fmt::Display for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, side) in Side::ALL.into_iter().enumerate() {
            let books = self.side(side);
            let [taken, passed, denied, kept] = [books.taken(), books.passed(), books.denied(), books.kept()];
            let separator = if at == 0 { "" } else { "; " };
            write!(
                f,
                "{separator}{}: taken {taken} = passed {passed} + denied {denied} + kept {kept}",
                side.name()
            )?;
        }
        Ok(())
    }
}
