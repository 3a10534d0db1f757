//! The AVX2 executor, for processors without AVX-512 VNNI.
//!
//! As in the AVX-512 one, every lane of a register holds one sample of a *burst*, and one output of a *single* sample.
//!
//! Values travel as words in both precisions, and a group is two of them: `vpmaddwd` multiplies exactly, as only
//! -32 768 squared, twice, would not fit, and values and weights are at most 2048 in magnitude. The byte form,
//! `vpmaddubsw`, adds its two products in 16 bits and saturates: 255 * 127 * 2 is 64 770. Taking magnitudes on one
//! side (128 * 127 * 2 is 32 512) would save it, but costs a sign transfer per product: as many instructions as two
//! `vpmaddwd`, so nothing is gained.
//!
//! AVX2 has no look-up in a register of words. The curves are odd, so half of each table is enough, and that half is
//! looked up byte by byte (`vpshufb`); see [`table`].
//!
//! `unsafe` here: intrinsics on memory, and calls into code that needs AVX2, which [`detect::avx2`] looks for.
#![allow(unsafe_code)]

mod burst;
mod gather;
mod lane;
mod quantise;
mod single;
mod table;

use crate::exec::detect;
use crate::exec::executor::Reason;
use crate::exec::pack::{self, Buffers, Values};
use crate::snapshot::Snapshot;

/// Lanes of 32 bits in a register.
const LANES: usize = 8;
/// Samples of the widest burst: those of one [`pack::Line`].
const BURST: usize = 2 * LANES;
/// From this many samples on, a half-empty register of samples beats one sample at a time (measured on Zen 5).
const BURST_MIN: usize = 4;

/// A snapshot packed for this executor. Exists only on machines that can run it.
#[derive(Clone, Debug)]
pub(super) struct Packed(pack::Packed);

impl Packed {
    /// Packs `snapshot`, where the executor can run.
    pub(super) fn new(snapshot: &Snapshot) -> Result<Packed, Reason> {
        detect::avx2()?;
        Ok(Packed(pack::Packed::new(snapshot, Values::Words)))
    }

    /// Quantises features to a row. The caller checked the lengths.
    pub(super) fn quantise(&self, features: &[i32], row: &mut [i16]) {
        // SAFETY: as in `run`.
        unsafe { quantise::quantise(&self.0.quantiser, features, row) }
    }

    /// Runs `n` rows. The caller checked the lengths of `rows` and `out`.
    pub(super) fn run(&self, rows: &[i16], n: usize, out: &mut [i32], buffers: &mut Buffers) {
        let Packed(packed) = self;
        let mut done = 0;
        while done < n {
            let here = (n - done).min(BURST);
            let rows = &rows[done * packed.inputs..][..here * packed.inputs];
            let out = &mut out[done * packed.results..][..here * packed.results];
            // SAFETY: a `Packed` exists only where `detect::avx2` has said that the processor has what these functions
            // are compiled for.
            unsafe {
                match here {
                    ..BURST_MIN => {
                        for (row, out) in
                            rows.chunks_exact(packed.inputs).zip(out.chunks_exact_mut(packed.results))
                        {
                            single::run(packed, row, out, buffers);
                        }
                    }
                    BURST_MIN..=LANES => burst::run::<1>(packed, rows, out, buffers),
                    _ => burst::run::<2>(packed, rows, out, buffers),
                }
            }
            done += here;
        }
    }
}
