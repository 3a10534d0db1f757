//! The AVX-512 VNNI executor.
//!
//! In a *burst* every lane of a register holds one sample: layers need no horizontal sum, and a weight is one
//! broadcast. A *single* sample has one output per lane instead. Both read the same packed weights.
//!
//! A *group* is the inputs that one dot-product instruction takes per lane: four bytes (8-bit) or two words (12-bit).
//! `vpdpbusd` wants unsigned values, so an 8-bit value travels as `q + 128`, and the packed bias is less by
//! `128 * sum(weights)`. The packed bias also holds the rounding term of the shift. Sums may therefore wrap on their
//! way, but arithmetic modulo 2^32 ends at the value that the decoder proved to fit.
//!
//! This folder is the only one of the crate with `unsafe`: intrinsics on memory, one instruction by name, and calls
//! into code that needs the processor features which [`is_available`] looks for.
#![allow(unsafe_code)]

mod burst;
mod detect;
mod gather;
mod lane;
mod pack;
mod quantise;
mod single;

pub(super) use detect::is_available;
pub(super) use pack::Packed;

use crate::parts::WIDTH_MAX;
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use lane::Line;

/// Lanes of 32 bits in a register.
const LANES: usize = 16;
/// Samples of the widest burst.
const BURST: usize = 2 * LANES;
/// From this many samples on, a half-empty register of samples beats one sample at a time (measured on Zen 4).
const BURST_MIN: usize = 5;
/// Registers that the groups of one layer's values fill: 12-bit, two values a group, two registers of samples.
const VALUE_LINES: usize = WIDTH_MAX / 2 * 2;
/// Lines between the values before a layer and those after it, beyond their length. Half a page, because a load waits
/// for an earlier store whose address ends in the same 12 bits (a third of the time of a small network).
const SKEW_LINES: usize = 32;

/// Memory that one run works in.
#[derive(Clone, Debug)]
pub(super) struct Buffers {
    /// Values before and after a layer, `[group][register of samples]` each.
    values: Vec<Line>,
    /// The network's results in Q16, or of a single sample `z`: `[output][register of samples]`.
    results: Vec<Line>,
    /// The results of one sample, before the last stage.
    sample: Box<[i32; WIDTH_MAX]>,
}

impl Default for Buffers {
    fn default() -> Self {
        Buffers {
            values: vec![Line::ZERO; 2 * VALUE_LINES + SKEW_LINES],
            results: vec![Line::ZERO; WIDTH_MAX * BURST / LANES],
            sample: Box::new([0; WIDTH_MAX]),
        }
    }
}

impl Buffers {
    /// Values before a layer, after it, and results.
    #[inline]
    fn split(&mut self) -> (&mut [Line], &mut [Line], &mut [Line]) {
        let (before, after) = self.values.split_at_mut(VALUE_LINES);
        (before, &mut after[SKEW_LINES..], &mut self.results)
    }
}

impl Packed {
    /// Quantises features to a row. The caller checked the lengths.
    pub(super) fn quantise(&self, features: &[i32], row: &mut [i16]) {
        // SAFETY: as in `run`.
        unsafe { self.quantiser.quantise(features, row) }
    }

    /// Runs `n` rows. The caller checked the lengths of `rows` and `out`.
    pub(super) fn run(&self, rows: &[i16], n: usize, out: &mut [i32], buffers: &mut Buffers) {
        let mut done = 0;
        while done < n {
            let rows = &rows[done * self.inputs..];
            let out = &mut out[done * self.results..];
            // SAFETY: a `Packed` exists only where `is_available` has said that the processor has the features
            // which these functions are compiled for.
            done += unsafe {
                match n - done {
                    left @ ..BURST_MIN => {
                        (0..left).for_each(|at| {
                            let row = &rows[at * self.inputs..][..self.inputs];
                            single::run(self, row, &mut out[at * self.results..][..self.results], buffers);
                        });
                        left
                    }
                    left @ BURST_MIN..=LANES => burst::run::<1>(self, rows, left, out, buffers),
                    left => burst::run::<2>(self, rows, left.min(BURST), out, buffers),
                }
            };
        }
    }
}
