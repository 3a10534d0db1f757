//! The AVX-512 VNNI executor.
//!
//! In a *burst* every lane of a register holds one sample: layers need no horizontal sum, and a weight is one
//! broadcast. A *single* sample has one output per lane instead; in a *narrow* network its values never leave a register
//! from the first layer to the last. All read the same packed weights.
//!
//! A group is four bytes (8-bit) or two words (12-bit). `vpdpbusd` wants unsigned values, so an 8-bit value travels as
//! `q + 128`, and the packed bias is less by `128 * sum(weights)`. The packed bias also holds the rounding term of the
//! shift. Sums may therefore wrap on their way, but arithmetic modulo 2^32 ends at the value that the decoder proved to
//! fit.
//!
//! `unsafe` here: intrinsics on memory, one instruction by name, and calls into code that needs the processor features
//! which [`detect::avx512_vnni`] looks for.
#![allow(unsafe_code)]

mod burst;
mod gather;
mod lane;
mod narrow;
mod quantise;
mod single;

use crate::exec::detect;
use crate::exec::executor::Reason;
use crate::exec::pack::{self, Buffers, LANES, Values};
use crate::parts::Precision;
use crate::snapshot::Snapshot;

/// Samples of the widest burst.
const BURST: usize = 2 * LANES;
/// From this many samples on, a half-empty register of samples beats one sample at a time (measured on Zen 4).
const BURST_MIN: usize = 5;

/// A snapshot packed for this executor. Exists only on machines that can run it.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    packed: pack::Packed,
    /// Whether a single sample's values fit a register in every layer.
    narrow: bool,
}

impl Packed {
    /// Packs `snapshot`, where the executor can run.
    pub(super) fn new(snapshot: &Snapshot) -> Result<Packed, Reason> {
        detect::avx512_vnni()?;
        let values = match snapshot.precision() {
            Precision::Bits8 => Values::Bytes,
            Precision::Bits12 => Values::Words,
        };
        let packed = pack::Packed::new(snapshot, values);
        Ok(Packed { narrow: narrow::fits(&packed), packed })
    }

    /// Quantises features to a row. The caller checked the lengths.
    pub(super) fn quantise(&self, features: &[i32], row: &mut [i16]) {
        // SAFETY: as in `run`.
        unsafe { quantise::quantise(&self.packed.quantiser, features, row) }
    }

    /// Runs `n` rows. The caller checked the lengths of `rows` and `out`.
    pub(super) fn run(&self, rows: &[i16], n: usize, out: &mut [i32], buffers: &mut Buffers) {
        let Packed { packed, narrow } = self;
        let mut done = 0;
        while done < n {
            let rows = &rows[done * packed.inputs..];
            let out = &mut out[done * packed.results..];
            // SAFETY: a `Packed` exists only where `detect::avx512_vnni` has said that the processor has the features
            // which these functions are compiled for.
            done += unsafe {
                match n - done {
                    left @ ..BURST_MIN => {
                        (0..left).for_each(|at| {
                            let row = &rows[at * packed.inputs..][..packed.inputs];
                            let out = &mut out[at * packed.results..][..packed.results];
                            if *narrow {
                                narrow::run(packed, row, out, buffers);
                            } else {
                                single::run(packed, row, out, buffers);
                            }
                        });
                        left
                    }
                    left @ BURST_MIN..=LANES => burst::run::<1>(packed, rows, left, out, buffers),
                    left => burst::run::<2>(packed, rows, left.min(BURST), out, buffers),
                }
            };
        }
    }
}
