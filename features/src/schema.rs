//! The names of input definitions, so that a snapshot trained on one meaning never runs on another.

use crate::fixed::q16_from_f64;
use crate::spec::PacingSpec;
use crate::{FEATURES, HISTORY};
use core::fmt;

/// FNV-1a, 64 bits, over a sequence of fields. Every field has a definite length (strings carry theirs), so two
/// different sequences are never the same bytes.
pub(crate) struct Fnv(u64);

impl Fnv {
    pub(crate) const fn new() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
    fn raw(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    /// A string: its length as a [`u64`](Fnv::u64), then its bytes.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.u64(bytes.len() as u64);
        self.raw(bytes);
    }
    /// Eight bytes, lowest first.
    pub(crate) fn u64(&mut self, value: u64) {
        self.raw(&value.to_le_bytes());
    }
    /// Eight bytes in two's complement, lowest first.
    pub(crate) fn i64(&mut self, value: i64) {
        self.raw(&value.to_le_bytes());
    }
    pub(crate) const fn finish(&self) -> u64 {
        self.0
    }
}

/// One entry of a model's `inputs`, as the configuration has it. The network is given
/// `scale x feature + offset`, of the feature clipped to `clip`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Input<'a> {
    /// Name of a feature.
    pub feature: &'a str,
    /// Factor between the feature and the network's input.
    pub scale: f64,
    /// Added after scaling.
    pub offset: f64,
    /// Lowest and highest value of the feature, before scaling.
    pub clip: [f64; 2],
}

/// A pacing model's complete input definition: the features with their clips, and the affine map from them to
/// the network. Both the build of a snapshot and the datapath that runs it derive it from the configuration;
/// equal hashes mean that they mean the same.
#[derive(Clone, Debug, PartialEq)]
pub struct InputSchema {
    spec: PacingSpec,
    affine: [(f64, f64); FEATURES],
}

/// Why a model's `inputs` do not describe what the datapath can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SchemaError {
    /// The model wants another number of features.
    Count {
        /// How many there are.
        expected: usize,
        /// How many it lists.
        found: usize,
    },
    /// The model wants another number of intervals.
    History {
        /// How many it wants.
        found: usize,
    },
    /// The name at this place is not the feature that the datapath has there.
    Feature {
        /// Place in the list, from 0.
        index: usize,
        /// The feature that it has.
        expected: &'static str,
    },
    /// A scale that is zero, infinite or not a number.
    Scale {
        /// Place in the list, from 0.
        index: usize,
    },
    /// An offset that is infinite or not a number.
    Offset {
        /// Place in the list, from 0.
        index: usize,
    },
    /// A clip that is empty, not a number or beyond -32768 to 32767.
    Clip {
        /// Place in the list, from 0.
        index: usize,
    },
}

impl InputSchema {
    /// The schema of a pacing model with these inputs and this many intervals of history, on top of `rule`'s
    /// `rtt_floor` and interval rule (its clips are replaced by those of the inputs).
    ///
    /// # Errors
    /// The first thing about the inputs that the datapath cannot give.
    pub fn pacing(
        rule: &PacingSpec,
        history: usize,
        inputs: &[Input<'_>],
    ) -> Result<InputSchema, SchemaError> {
        if history != HISTORY {
            return Err(SchemaError::History { found: history });
        }
        let Definition { clips, affine } = definition(&PacingSpec::FEATURES, inputs)?;
        Ok(InputSchema { spec: PacingSpec { clips, ..rule.clone() }, affine })
    }

    /// The feature definitions, for the datapath.
    pub const fn spec(&self) -> &PacingSpec {
        &self.spec
    }

    /// Scale and offset of each feature, in the order of [`PacingSpec::FEATURES`].
    pub const fn affine(&self) -> &[(f64, f64); FEATURES] {
        &self.affine
    }

    /// The 64-bit name of the whole definition; what a snapshot carries. See `docs/features.md` for its bytes.
    pub fn hash(&self) -> u64 {
        name(b"weir.inputs.pacing", self.spec.schema_hash(), &self.affine)
    }
}

/// What a model's `inputs` say.
pub(crate) struct Definition<const N: usize> {
    /// Lowest and highest value of each feature in 1/65536.
    pub(crate) clips: [(i32, i32); N],
    /// Scale and offset of each.
    pub(crate) affine: [(f64, f64); N],
}

/// The definition that `inputs` are, which must be the features of these names, in their order.
pub(crate) fn definition<const N: usize>(
    names: &[&'static str; N],
    inputs: &[Input<'_>],
) -> Result<Definition<N>, SchemaError> {
    let inputs: &[Input<'_>; N] =
        inputs.try_into().map_err(|_| SchemaError::Count { expected: N, found: inputs.len() })?;
    let mut definition = Definition { clips: [(0, 0); N], affine: [(1.0, 0.0); N] };
    for (index, input) in inputs.iter().enumerate() {
        if input.feature != names[index] {
            return Err(SchemaError::Feature { index, expected: names[index] });
        }
        definition.clips[index] = clip(index, input)?;
        // Adding zero turns -0.0 into 0.0: one value, one hash.
        definition.affine[index] = (input.scale, input.offset + 0.0);
    }
    Ok(definition)
}

/// The 64-bit name of an input definition: of the features' own definitions and the affine map from them.
pub(crate) fn name(kind: &[u8], features: u64, affine: &[(f64, f64)]) -> u64 {
    let mut hash = Fnv::new();
    hash.bytes(kind);
    hash.u64(features);
    for (scale, offset) in affine {
        hash.u64(scale.to_bits());
        hash.u64(offset.to_bits());
    }
    hash.finish()
}

/// The clip of the input at place `index` in 1/65536, once scale, offset and clip hold.
fn clip(index: usize, input: &Input<'_>) -> Result<(i32, i32), SchemaError> {
    if !input.scale.is_finite() || input.scale == 0.0 {
        return Err(SchemaError::Scale { index });
    }
    if !input.offset.is_finite() {
        return Err(SchemaError::Offset { index });
    }
    match (q16_from_f64(input.clip[0]), q16_from_f64(input.clip[1])) {
        (Some(low), Some(high)) if low < high => Ok((low, high)),
        _ => Err(SchemaError::Clip { index }),
    }
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            SchemaError::Count { expected, found } => write!(f, "expected {expected} inputs, found {found}"),
            SchemaError::History { found } => {
                write!(f, "a pacing model has a history of {HISTORY} intervals, found {found}")
            }
            SchemaError::Feature { index, expected } => {
                write!(f, "input {index} must be the feature \"{expected}\"")
            }
            SchemaError::Scale { index } => write!(f, "input {index}: scale must be finite and not zero"),
            SchemaError::Offset { index } => write!(f, "input {index}: offset must be finite"),
            SchemaError::Clip { index } => {
                write!(f, "input {index}: clip must be two numbers, lowest first, within -32768 to 32767")
            }
        }
    }
}

impl core::error::Error for SchemaError {}
