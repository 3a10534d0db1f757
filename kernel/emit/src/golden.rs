//! Golden vectors: inputs and the results that they must give, which a module checks before it takes a snapshot.

use weir_snapshot::{Executable, InputParts};

/// Vectors of a snapshot.
pub(crate) const VECTORS: usize = 16;

/// Features in Q16 and their results, one vector after the other.
pub(crate) struct Golden {
    pub(crate) features: Vec<i32>,
    pub(crate) results: Vec<i32>,
}

impl Golden {
    /// Draws features within each input's clips and a little beyond, seeded by the snapshot's checksum, and asks the scalar
    /// executor.
    pub(crate) fn new(executable: &Executable) -> Golden {
        let snapshot = executable.snapshot();
        let mut state = u64::from(snapshot.checksum());
        let mut features = Vec::new();
        for _ in 0..VECTORS {
            features.extend(snapshot.parts().inputs.iter().map(|input| within(input, next(&mut state))));
        }
        Golden { results: executable.evaluate_rows(&features), features }
    }
}

/// A feature of the input: uniform over its clips, widened by an eighth at both ends.
fn within(input: &InputParts, random: u64) -> i32 {
    let (lo, hi) = (i64::from(input.clip_lo), i64::from(input.clip_hi));
    let margin = (hi - lo) / 8;
    let span = (hi - lo + 2 * margin) as u64 + 1;
    let drawn = lo - margin + (random % span) as i64;
    drawn.clamp(i32::MIN.into(), i32::MAX.into()) as i32
}

/// SplitMix64 (Steele, Lea, Flood 2014).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
