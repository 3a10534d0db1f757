//! Why bytes, or parts, are not a snapshot.

use core::fmt;

/// The field that a [`SnapshotError`] speaks of; prints as in `docs/snapshot-format.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// `function`
    Function,
    /// `precision`
    Precision,
    /// `output`
    Output,
    /// `layer_count`
    LayerCount,
    /// `input_count`
    InputCount,
    /// `name`
    Name,
    /// `input.multiplier`
    InputMultiplier,
    /// `input.shift`
    InputShift,
    /// `input.offset`
    InputOffset,
    /// `input.clip_lo`
    InputClipLo,
    /// `input.clip_hi`
    InputClipHi,
    /// `layer.inputs`
    LayerInputs,
    /// `layer.outputs`
    LayerOutputs,
    /// `layer.activation`
    Activation,
    /// `layer.first`
    ActivationFirst,
    /// `layer.second`
    ActivationSecond,
    /// `layer.shift`
    LayerShift,
    /// `layer.multiplier`
    LayerMultiplier,
    /// `layer.bias`
    Bias,
    /// `layer.weights`
    Weights,
    /// `output.multiplier`
    OutputMultiplier,
    /// `output.shift`
    OutputShift,
    /// `output.offset`
    OutputOffset,
    /// `output.lo`
    OutputLo,
    /// `output.hi`
    OutputHi,
    /// The head, `magic` to `name`, and the `checksum`: the least that a file has.
    Head,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Field::Function => "function",
            Field::Precision => "precision",
            Field::Output => "output",
            Field::LayerCount => "layer_count",
            Field::InputCount => "input_count",
            Field::Name => "name",
            Field::InputMultiplier => "input.multiplier",
            Field::InputShift => "input.shift",
            Field::InputOffset => "input.offset",
            Field::InputClipLo => "input.clip_lo",
            Field::InputClipHi => "input.clip_hi",
            Field::LayerInputs => "layer.inputs",
            Field::LayerOutputs => "layer.outputs",
            Field::Activation => "layer.activation",
            Field::ActivationFirst => "layer.first",
            Field::ActivationSecond => "layer.second",
            Field::LayerShift => "layer.shift",
            Field::LayerMultiplier => "layer.multiplier",
            Field::Bias => "layer.bias",
            Field::Weights => "layer.weights",
            Field::OutputMultiplier => "output.multiplier",
            Field::OutputShift => "output.shift",
            Field::OutputOffset => "output.offset",
            Field::OutputLo => "output.lo",
            Field::OutputHi => "output.hi",
            Field::Head => "head",
        })
    }
}

/// Why bytes (or, through [`crate::encode`], parts) were refused. Offsets count bytes from the start of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotError {
    /// The bytes end before a field does.
    TooShort {
        /// Where the field starts.
        offset: usize,
        /// The field, or the first of the group that does not fit.
        field: Field,
        /// Bytes that it takes.
        expected: usize,
        /// Bytes that are left.
        found: usize,
    },
    /// More bytes than the largest snapshot has.
    TooLong {
        /// [`crate::FILE_BYTES_MAX`].
        expected_max: usize,
        /// Bytes given.
        found: usize,
    },
    /// Not a snapshot at all.
    Magic {
        /// The first eight bytes.
        found: [u8; 8],
    },
    /// A snapshot of another format version.
    Version {
        /// [`crate::FORMAT_VERSION`].
        expected: u16,
        /// As read.
        found: u16,
    },
    /// The declared length is not the number of bytes given: cut off, or bytes trail.
    Length {
        /// Declared by the file.
        expected: u32,
        /// Bytes given.
        found: usize,
    },
    /// The bytes changed after they were written.
    Checksum {
        /// As read from the file's end.
        expected: u32,
        /// Computed over all bytes before it.
        found: u32,
    },
    /// The fields end before the bytes do.
    Trailing {
        /// Where the last field ends.
        offset: usize,
        /// Bytes between it and the checksum.
        found: usize,
    },
    /// A value outside of what its field may hold. Fields that mean nothing where they stand must be zero.
    OutOfRange {
        /// Where the value stands.
        offset: usize,
        /// Its field.
        field: Field,
        /// Smallest allowed.
        min: i64,
        /// Largest allowed.
        max: i64,
        /// As read.
        found: i64,
    },
    /// A layer takes another number of values than the one before gives.
    Chain {
        /// Where the layer starts.
        offset: usize,
        /// Counted from 0.
        layer: usize,
        /// Outputs of the layer before, or inputs of the network.
        expected: usize,
        /// Inputs of this layer.
        found: usize,
    },
    /// Some input could overflow an accumulator.
    Accumulator {
        /// Where the output's bias stands.
        offset: usize,
        /// Counted from 0.
        layer: usize,
        /// Counted from 0.
        output: usize,
        /// Largest bound allowed, `i32::MAX`.
        expected_max: i64,
        /// The largest magnitude that it could reach, with the shift's rounding term or after its left shift.
        found: i64,
    },
    /// Parts (never bytes) whose vectors do not have the declared number of items.
    Count {
        /// The vector.
        field: Field,
        /// Items that the shape calls for.
        expected: usize,
        /// Items there are.
        found: usize,
    },
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            SnapshotError::TooShort { offset, field, expected, found } => {
                write!(f, "byte {offset}: {field} takes {expected} bytes, {found} are left")
            }
            SnapshotError::TooLong { expected_max, found } => {
                write!(f, "a snapshot has at most {expected_max} bytes, these are {found}")
            }
            SnapshotError::Magic { found } => {
                write!(f, "byte 0: not a snapshot, it starts with {found:02x?}")
            }
            SnapshotError::Version { expected, found } => {
                write!(f, "byte 8: format version {found}, this build reads {expected}")
            }
            SnapshotError::Length { expected, found } => {
                write!(f, "byte 24: declares {expected} bytes, there are {found}")
            }
            SnapshotError::Checksum { expected, found } => {
                write!(f, "checksum is {expected:08x}, the bytes give {found:08x}")
            }
            SnapshotError::Trailing { offset, found } => {
                write!(f, "byte {offset}: {found} bytes after the last field")
            }
            SnapshotError::OutOfRange { offset, field, min, max, found } => {
                write!(f, "byte {offset}: {field} is {found}, may be {min} to {max}")
            }
            SnapshotError::Chain { offset, layer, expected, found } => {
                write!(f, "byte {offset}: layer {layer} takes {found} values, it is given {expected}")
            }
            SnapshotError::Accumulator { offset, layer, output, expected_max, found } => write!(
                f,
                "byte {offset}: layer {layer} output {output} could reach {found}, an accumulator holds {expected_max}"
            ),
            SnapshotError::Count { field, expected, found } => {
                write!(f, "{field} has {found} items, its shape calls for {expected}")
            }
        }
    }
}

impl core::error::Error for SnapshotError {}
