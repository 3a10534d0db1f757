//! The parts of a snapshot as plain fields: what a quantiser fills in, an inspector prints and an emitter reads.
//!
//! # What the integers mean
//!
//! A *quantised value* `q` stands for a real number on a scale that its producer chose; nothing in the file names
//! that scale, because only ratios of scales reach the arithmetic, folded into multipliers and shifts. It lies in
//! [`Precision::value_range`]. For one layer with quantised inputs `q[j]`:
//!
//! ```text
//! acc[i] = bias[i] + sum_j weights[i][j] * q[j]                       i32, proven not to overflow
//! r[i]   = saturate_i16(round_shift(acc[i], shift[i]))                a negative shift multiplies by 2^-shift
//! t[i]   = round_shift(r[i] * multiplier[i], 15)                      i16, cannot overflow
//! q[i]   = activation(t[i])                                           next layer's input, see Activation
//! ```
//!
//! with `round_shift(x, s) = (x + 2^(s-1)) >> s` (round half up; `x` itself when `s = 0`). The last layer gives
//! 16-bit results: see [`OutputParts`]. `docs/snapshot-format.md` is the full definition.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

/// Fewest and most inputs of a network.
pub const INPUTS: RangeInclusive<usize> = 1..=WIDTH_MAX;
/// Fewest and most layers.
pub const LAYERS: RangeInclusive<usize> = 1..=8;
/// Most inputs or outputs of a layer. With 12-bit values 256 products still leave half of an i32 to the bias.
pub const WIDTH_MAX: usize = 256;
/// Most bytes of a name; at least one.
pub const NAME_BYTES_MAX: usize = 32;
/// Largest magnitude of an input multiplier: (2^32 - 1) * 2^30 leaves room in an i64 for the rounding term.
pub const INPUT_MULTIPLIER_MAX: i32 = 1 << 30;
/// Largest shift behind a 64-bit product (inputs and outputs).
pub const WIDE_SHIFT_MAX: u8 = 62;
/// Smallest right shift of an accumulator: a left shift by 8.
pub const SHIFT_MIN: i8 = -8;
/// Largest right shift of an accumulator.
pub const SHIFT_MAX: i8 = 30;
/// What [`Activation::Tanh`] and [`Activation::Sigmoid`] give for 1.0 in the last layer: 127 * 256 = 2032 * 16, the same
/// on either scale of [`Precision::curve_one`].
pub const CURVE_ONE: i16 = 32_512;
/// The integer that [`Activation::Tanh`] takes for 1.0 (so t is Q3.12).
pub const CURVE_ARGUMENT_ONE: i16 = 4_096;

/// How wide weights and quantised values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Values in -128..=127, weights in -127..=127.
    Bits8,
    /// Values in -2048..=2047, weights in -2047..=2047, both held in 16-bit lanes.
    Bits12,
}

impl Precision {
    /// Every precision.
    pub const ALL: [Precision; 2] = [Precision::Bits8, Precision::Bits12];

    /// The smallest and the largest quantised value.
    pub const fn value_range(self) -> (i16, i16) {
        match self {
            Precision::Bits8 => (-128, 127),
            Precision::Bits12 => (-2048, 2047),
        }
    }
    /// The largest magnitude of a weight; symmetric, so that a weight can be negated.
    pub const fn weight_max(self) -> i16 {
        match self {
            Precision::Bits8 => 127,
            Precision::Bits12 => 2047,
        }
    }
    /// The quantised value that stands for 1.0 behind a curve in a hidden layer.
    pub const fn curve_one(self) -> i16 {
        match self {
            Precision::Bits8 => 127,
            Precision::Bits12 => 2032,
        }
    }
    /// Lower-case name, as in configuration, metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Precision::Bits8 => "8bit",
            Precision::Bits12 => "12bit",
        }
    }
}

/// What a network decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// When a packet leaves.
    Pacing,
    /// Which path it takes.
    Balance,
    /// How urgent it is.
    Schedule,
}

impl Function {
    /// Every function.
    pub const ALL: [Function; 3] = [Function::Pacing, Function::Balance, Function::Schedule];

    /// Lower-case name, as in configuration, metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Function::Pacing => "pacing",
            Function::Balance => "balance",
            Function::Schedule => "schedule",
        }
    }
}

/// The non-linearity behind a layer: `t` (i16) in, `y` (i16) out. A closed set.
///
/// A hidden layer holds `y` to [`Precision::value_range`]; parameters must lie in that range there. In the last layer
/// they may be any i16. The curves have results of their own in a hidden layer: see [`Activation::Tanh`].
///
/// `zero` is the integer that stands for real 0. It need not be 0: a quantiser may move it to the range's lower end
/// (add `zero` on the layer's scale to the bias, subtract `zero * sum(weights)` from the next layer's), which gives a
/// rectifier all 256 or 4096 levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `y = t`. In the last layer the 32-bit accumulator goes to the output stage unrounded.
    Identity,
    /// `y = max(t, zero)`.
    Relu {
        /// Stands for real 0.
        zero: i16,
    },
    /// `d = saturate_i16(t - zero)`; `y = saturate_i16(zero + max(d, 0) + round_shift(min(d, 0) * slope, 15))`.
    LeakyRelu {
        /// Stands for real 0.
        zero: i16,
        /// Slope below zero in 1/32768; not negative.
        slope: i16,
    },
    /// `y = clamp(t, lo, hi)`.
    Clip {
        /// Lower bound.
        lo: i16,
        /// Upper bound, at least `lo`.
        hi: i16,
    },
    /// `t` is the argument in Q3.12 ([`CURVE_ARGUMENT_ONE`] = 1.0). In the last layer `y` is tanh with [`CURVE_ONE`] =
    /// 1.0, by [`crate::curve::parabola`]; behind a hidden layer [`Precision::curve_one`] = 1.0, by
    /// [`crate::curve::line`] with 8 bits, by the parabolas and `round_shift(y, 4)` with 12.
    Tanh,
    /// The same integers as [`Activation::Tanh`]: sigmoid(x) = (1 + tanh(x / 2)) / 2. `t` is **half** of the argument
    /// in Q3.12, and the result stands for `2 * sigmoid(x) - 1`; the quantiser folds the halving and the offset into the
    /// next layer's weights and bias (or the output's multiplier and offset).
    Sigmoid,
    /// The same integers as [`Activation::Clip`]: `alpha` and `beta` fold into the layer's multiplier and bias.
    HardSigmoid {
        /// Stands for real 0.
        lo: i16,
        /// Stands for real 1, at least `lo`.
        hi: i16,
    },
}

impl Activation {
    /// Lower-case name, as in `weir snapshot inspect`.
    pub const fn name(self) -> &'static str {
        match self {
            Activation::Identity => "identity",
            Activation::Relu { .. } => "relu",
            Activation::LeakyRelu { .. } => "leaky_relu",
            Activation::Clip { .. } => "clip",
            Activation::Tanh => "tanh",
            Activation::Sigmoid => "sigmoid",
            Activation::HardSigmoid { .. } => "hard_sigmoid",
        }
    }
    /// Whether this is one of the table-defined curves.
    pub const fn is_curve(self) -> bool {
        matches!(self, Activation::Tanh | Activation::Sigmoid)
    }
}

/// What becomes of the last layer's values, each in Q16 (1.0 = 65 536).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// They are the result.
    Linear,
    /// Their softmax is the result: as many probabilities in Q16 as values.
    Softmax,
    /// One result: the index of the largest value, in Q16 (`index * 65 536`); the lowest index wins a tie.
    ArgMax,
}

impl Output {
    /// Lower-case name, as in `weir snapshot inspect`.
    pub const fn name(self) -> &'static str {
        match self {
            Output::Linear => "linear",
            Output::Softmax => "softmax",
            Output::ArgMax => "argmax",
        }
    }
}

/// How one feature (i32, Q16) becomes a quantised value:
///
/// ```text
/// q = clamp(round_shift((clamp(x, clip_lo, clip_hi) - offset) * multiplier, shift), value_range)
/// ```
///
/// in 64-bit arithmetic, which these limits keep from overflowing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputParts {
    /// Any sign; at most [`INPUT_MULTIPLIER_MAX`] in magnitude.
    pub multiplier: i32,
    /// At most [`WIDE_SHIFT_MAX`].
    pub shift: u8,
    /// Q16; subtracted after the clip.
    pub offset: i32,
    /// Q16; smallest feature value that the network tells apart.
    pub clip_lo: i32,
    /// Q16; largest one, at least `clip_lo`.
    pub clip_hi: i32,
}

/// One fully connected layer and its activation. `multiplier` and `shift` must all be zero in a last layer whose
/// activation is [`Activation::Identity`], because nothing reads them there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerParts {
    /// Width in; equals the network's inputs or the previous layer's outputs. At most [`WIDTH_MAX`].
    pub inputs: usize,
    /// Width out; 1 to [`WIDTH_MAX`].
    pub outputs: usize,
    /// `outputs` rows of `inputs` weights; at most [`Precision::weight_max`] in magnitude.
    pub weights: Vec<i16>,
    /// One per output, on the scale of the accumulator. The decoder proves
    /// `|bias| + sum |weight| * max |q| + 2^(shift-1) <= i32::MAX`, or with a negative shift
    /// `(|bias| + sum |weight| * max |q|) * 2^-shift <= i32::MAX`.
    pub bias: Vec<i32>,
    /// One per output: Q15, not negative.
    pub multiplier: Vec<i16>,
    /// One per output: the right shift of the accumulator, [`SHIFT_MIN`] to [`SHIFT_MAX`]. Negative (a left shift) only
    /// where one count of the accumulator is worth more than one of `t`, as with steep 8-bit weights before a curve.
    pub shift: Vec<i8>,
    /// What follows.
    pub activation: Activation,
}

/// How one value `z` of the last layer becomes Q16; `z` is the accumulator where that layer's activation is
/// [`Activation::Identity`], else `y`:
///
/// ```text
/// out = clamp(round_shift(z * multiplier, shift) + offset, lo, hi)
/// ```
///
/// in 64-bit arithmetic. The clamp doubles as the saturation and as the network's own output bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputParts {
    /// Not negative.
    pub multiplier: i32,
    /// At most [`WIDE_SHIFT_MAX`].
    pub shift: u8,
    /// Q16.
    pub offset: i32,
    /// Q16; smallest result.
    pub lo: i32,
    /// Q16; largest result, at least `lo`.
    pub hi: i32,
}

/// Everything that a snapshot holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// What the network decides.
    pub function: Function,
    /// Width of weights and values.
    pub precision: Precision,
    /// Names the feature definitions, scales and clips that the network was trained on; a worker refuses a snapshot
    /// of another schema.
    pub schema_hash: u64,
    /// 1 to [`NAME_BYTES_MAX`] printable ASCII bytes.
    pub name: String,
    /// One per network input; 1 to [`WIDTH_MAX`].
    pub inputs: Vec<InputParts>,
    /// 1 to 8 layers ([`LAYERS`]).
    pub layers: Vec<LayerParts>,
    /// The last stage.
    pub output: Output,
    /// One per output of the last layer.
    pub outputs: Vec<OutputParts>,
}
