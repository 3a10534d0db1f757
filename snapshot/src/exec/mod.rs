//! Executors: the scalar one, which defines the result, and faster ones that agree with it bit for bit.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod detect;
mod executor;
#[cfg(target_arch = "x86_64")]
mod inputs;
#[cfg(target_arch = "x86_64")]
mod pack;
mod scalar;

pub use executor::{Executor, Reason, Unavailable};

use crate::arith;
use crate::parts::WIDTH_MAX;
use crate::snapshot::Snapshot;
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

/// A snapshot made ready for one executor: weights are packed once, here.
#[derive(Clone, Debug)]
pub struct Executable {
    snapshot: Snapshot,
    kernel: Kernel,
}

#[derive(Clone, Debug)]
enum Kernel {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2(Box<avx2::Packed>),
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni(Box<avx512::Packed>),
}

impl Executable {
    /// Packs `snapshot` for `executor`.
    ///
    /// # Errors
    /// [`Unavailable`] when this machine cannot run `executor`.
    pub fn new(snapshot: Snapshot, executor: Executor) -> Result<Executable, Unavailable> {
        let kernel = match executor {
            Executor::Scalar => Ok(Kernel::Scalar),
            #[cfg(target_arch = "x86_64")]
            Executor::Avx2 => avx2::Packed::new(&snapshot).map(|packed| Kernel::Avx2(Box::new(packed))),
            #[cfg(target_arch = "x86_64")]
            Executor::Avx512Vnni => {
                avx512::Packed::new(&snapshot).map(|packed| Kernel::Avx512Vnni(Box::new(packed)))
            }
            #[cfg(not(target_arch = "x86_64"))]
            Executor::Avx2 | Executor::Avx512Vnni => Err(Reason::Architecture),
        };
        let kernel = kernel.map_err(|reason| Unavailable { executor, reason })?;
        Ok(Executable { snapshot, kernel })
    }

    /// What is run.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }
    /// What runs it.
    pub fn executor(&self) -> Executor {
        match self.kernel {
            Kernel::Scalar => Executor::Scalar,
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2(_) => Executor::Avx2,
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512Vnni(_) => Executor::Avx512Vnni,
        }
    }
    /// Items of one row: one per input, no padding.
    pub fn row_len(&self) -> usize {
        self.snapshot.inputs()
    }
    /// Results of one row.
    pub fn outputs(&self) -> usize {
        self.snapshot.outputs()
    }

    /// Quantises one feature (Q16) for input `index`, for callers that keep rows and renew a few items of them.
    ///
    /// # Panics
    /// When there is no such input.
    #[inline]
    pub fn quantise_input(&self, index: usize, feature_q16: i32) -> i16 {
        arith::quantise(&self.snapshot.parts().inputs[index], self.snapshot.precision(), feature_q16)
    }

    /// Quantises all features (Q16) of one decision into `row`.
    ///
    /// # Panics
    /// When either slice does not have [`Executable::row_len`] items.
    pub fn quantise_row(&self, features_q16: &[i32], row: &mut [i16]) {
        assert_eq!((features_q16.len(), row.len()), (self.row_len(), self.row_len()), "items of a row");
        match &self.kernel {
            Kernel::Scalar => scalar::quantise(self.snapshot.parts(), features_q16, row),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2(packed) => packed.quantise(features_q16, row),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512Vnni(packed) => packed.quantise(features_q16, row),
        }
    }

    /// Runs `n` rows, one after the other in `rows`, and writes their results (Q16), one after the other, to `out`.
    /// A row item outside of the precision's range counts as the nearest one inside. Never allocates; the time
    /// depends on shapes and `n`, not on values (save for the division of a softmax).
    ///
    /// # Panics
    /// When `rows` is not `n * row_len` items long, or `out` not `n * outputs`.
    pub fn run(&self, rows: &[i16], n: usize, out: &mut [i32], scratch: &mut Scratch) {
        assert_eq!(
            (rows.len(), out.len()),
            (n * self.row_len(), n * self.outputs()),
            "items of rows and out"
        );
        match &self.kernel {
            Kernel::Scalar => {
                let rows = rows.chunks_exact(self.row_len());
                for (row, out) in rows.zip(out.chunks_exact_mut(self.outputs())) {
                    scalar::run(self.snapshot.parts(), row, &mut scratch.scalar, out);
                }
            }
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2(packed) => packed.run(rows, n, out, &mut scratch.vector),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512Vnni(packed) => packed.run(rows, n, out, &mut scratch.vector),
        }
    }

    /// Quantises one decision's features (Q16) and runs them.
    ///
    /// # Panics
    /// When `features_q16` does not have [`Executable::row_len`] items, or `out` not [`Executable::outputs`].
    pub fn evaluate(&self, features_q16: &[i32], out: &mut [i32], scratch: &mut Scratch) {
        let mut row = [0; WIDTH_MAX];
        let row = &mut row[..self.row_len()];
        self.quantise_row(features_q16, row);
        self.run(row, 1, out, scratch);
    }

    /// Results (Q16) of rows of features (Q16), each one after the other: for checks of another executor against this
    /// one. Allocates them, and a [`Scratch`].
    ///
    /// # Panics
    /// When `features_q16` is not a whole number of rows.
    pub fn evaluate_rows(&self, features_q16: &[i32]) -> Vec<i32> {
        let rows = features_q16.chunks_exact(self.row_len());
        assert!(rows.remainder().is_empty(), "whole rows of features");
        let mut scratch = Scratch::new();
        let mut results = vec![0; rows.len() * self.outputs()];
        for (row, out) in rows.zip(results.chunks_exact_mut(self.outputs())) {
            self.evaluate(row, out, &mut scratch);
        }
        results
    }
}

/// Working memory of one core. Fits every snapshot and executor, so that a new snapshot needs no new memory.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    scalar: Box<scalar::Buffers>,
    #[cfg(target_arch = "x86_64")]
    vector: pack::Buffers,
}

impl Scratch {
    /// Allocates; do it before the packet loop starts.
    pub fn new() -> Scratch {
        Scratch::default()
    }
}
