//! The constants of all inputs, the way that the vector executors quantise features with them.
//!
//! `(clipped - offset) * multiplier` is taken as `clipped * multiplier - offset * multiplier`: one product of 32-bit
//! numbers in a 64-bit lane and one constant. It wraps on its way, but the sum fits, as the limits of the format say.

use crate::parts::{InputParts, Precision};
use alloc::vec::Vec;

/// Inputs whose features fill one [`crate::exec::pack::Line`].
pub(super) const CHUNK: usize = 16;

/// The constants of all inputs.
#[derive(Clone, Debug)]
pub(super) struct Inputs {
    pub(super) chunks: Vec<Chunk>,
    pub(super) value_range: (i16, i16),
}

/// The constants of 16 inputs; those beyond the last are zero.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(super) struct Chunk {
    pub(super) clip_lo: [i32; CHUNK],
    pub(super) clip_hi: [i32; CHUNK],
    /// Of the even inputs, then of the odd ones.
    pub(super) wide: [Wide; 2],
}

/// The constants of every second of 16 inputs, in 64-bit lanes.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(super) struct Wide {
    pub(super) multiplier: [i64; CHUNK / 2],
    /// The rounding term, less `offset * multiplier`.
    pub(super) added: [i64; CHUNK / 2],
    pub(super) shift: [i64; CHUNK / 2],
    /// `2^63 >> shift`, for a processor that can only shift unsigned lanes: what is too much after the shift of a lane
    /// that was moved up by 2^63.
    pub(super) taken: [u64; CHUNK / 2],
}

impl Inputs {
    pub(super) fn new(inputs: &[InputParts], precision: Precision) -> Inputs {
        Inputs {
            chunks: inputs.chunks(CHUNK).map(Chunk::new).collect(),
            value_range: precision.value_range(),
        }
    }
}

impl Chunk {
    fn new(inputs: &[InputParts]) -> Chunk {
        let clip =
            |field: fn(&InputParts) -> i32| core::array::from_fn(|lane| inputs.get(lane).map_or(0, field));
        let wide = |parity: usize| {
            let field = |field: fn(&InputParts) -> i64| {
                core::array::from_fn(|lane| inputs.get(2 * lane + parity).map_or(0, field))
            };
            let shift = field(|input| input.shift.into());
            Wide {
                multiplier: field(|input| input.multiplier.into()),
                added: field(|input| {
                    ((1 << input.shift) >> 1) - i64::from(input.offset) * i64::from(input.multiplier)
                }),
                shift,
                taken: shift.map(|shift| (1 << 63) >> shift),
            }
        };
        Chunk {
            clip_lo: clip(|input| input.clip_lo),
            clip_hi: clip(|input| input.clip_hi),
            wide: [wide(0), wide(1)],
        }
    }
}
