//! Bytes to parts. Every check that later code relies on is here.

use super::crc32c::crc32c;
use super::{
    CHECKSUM_BYTES, FILE_BYTES_MAX, FORMAT_VERSION, HEAD_BYTES, LAYER_HEAD_BYTES, MAGIC, PER_OUTPUT_BYTES,
    RECORD_BYTES,
};
use crate::error::{Field, SnapshotError};
use crate::parts::{
    Activation, Function, INPUT_MULTIPLIER_MAX, INPUTS, InputParts, LAYERS, LayerParts, NAME_BYTES_MAX,
    Output, OutputParts, Parts, Precision, SHIFT_MAX, SHIFT_MIN, WIDE_SHIFT_MAX, WIDTH_MAX,
};
use alloc::string::String;
use alloc::vec::Vec;

/// Reads and checks a whole file. Returns the parts and the checksum.
pub(crate) fn decode(bytes: &[u8]) -> Result<(Parts, u32), SnapshotError> {
    let checksum = intact(bytes)?;
    let mut reader = Reader { bytes: &bytes[..bytes.len() - CHECKSUM_BYTES], offset: MAGIC.len() + 2 };
    let function = match reader.u8(Field::Function, 0, 2)? {
        0 => Function::Pacing,
        1 => Function::Balance,
        _ => Function::Schedule,
    };
    let precision = precision(&mut reader)?;
    let output = match reader.u8(Field::Output, 0, 2)? {
        0 => Output::Linear,
        1 => Output::Softmax,
        _ => Output::ArgMax,
    };
    let layer_count = reader.u8(Field::LayerCount, *LAYERS.start() as u8, *LAYERS.end() as u8)?;
    let input_count = reader.u16(Field::InputCount, *INPUTS.start(), *INPUTS.end())?;
    let schema_hash = u64::from_le_bytes(reader.array(Field::Head)?);
    // The length was compared before anything else was read.
    reader.offset += 4;
    let name = name(&mut reader)?;

    reader.fits(Field::InputMultiplier, input_count * RECORD_BYTES)?;
    let inputs = (0..input_count).map(|_| input(&mut reader)).collect::<Result<Vec<_>, _>>()?;
    let mut layers: Vec<LayerParts> = Vec::with_capacity(layer_count.into());
    for index in 0..usize::from(layer_count) {
        let expected = layers.last().map_or(input_count, |layer| layer.outputs);
        let last = index + 1 == usize::from(layer_count);
        layers.push(layer(&mut reader, precision, index, expected, last)?);
    }
    let output_count = layers.last().map_or(0, |layer| layer.outputs);
    reader.fits(Field::OutputMultiplier, output_count * RECORD_BYTES)?;
    let outputs = (0..output_count).map(|_| output_parts(&mut reader)).collect::<Result<Vec<_>, _>>()?;
    match reader.left() {
        0 => {
            Ok((Parts { function, precision, schema_hash, name, inputs, layers, output, outputs }, checksum))
        }
        found => Err(SnapshotError::Trailing { offset: reader.offset, found }),
    }
}

/// Whether these are all the bytes of a snapshot of this version, unchanged. Returns the checksum.
fn intact(bytes: &[u8]) -> Result<u32, SnapshotError> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(SnapshotError::TooLong { expected_max: FILE_BYTES_MAX, found: bytes.len() });
    }
    let mut reader = Reader { bytes, offset: 0 };
    reader.fits(Field::Head, HEAD_BYTES + CHECKSUM_BYTES)?;
    let found = reader.array(Field::Head)?;
    if found != MAGIC {
        return Err(SnapshotError::Magic { found });
    }
    let found = u16::from_le_bytes(reader.array(Field::Head)?);
    if found != FORMAT_VERSION {
        return Err(SnapshotError::Version { expected: FORMAT_VERSION, found });
    }
    reader.offset = super::LENGTH_AT;
    let expected = u32::from_le_bytes(reader.array(Field::Head)?);
    if expected as usize != bytes.len() {
        return Err(SnapshotError::Length { expected, found: bytes.len() });
    }
    reader.offset = bytes.len() - CHECKSUM_BYTES;
    let found = crc32c(&bytes[..reader.offset]);
    let expected = u32::from_le_bytes(reader.array(Field::Head)?);
    if expected == found { Ok(found) } else { Err(SnapshotError::Checksum { expected, found }) }
}

fn precision(reader: &mut Reader<'_>) -> Result<Precision, SnapshotError> {
    match reader.u8(Field::Precision, 8, 12)? {
        8 => Ok(Precision::Bits8),
        12 => Ok(Precision::Bits12),
        found => Err(SnapshotError::OutOfRange {
            offset: reader.offset - 1,
            field: Field::Precision,
            min: 8,
            max: 12,
            found: found.into(),
        }),
    }
}

fn name(reader: &mut Reader<'_>) -> Result<String, SnapshotError> {
    let offset = reader.offset;
    let bytes: [u8; NAME_BYTES_MAX] = reader.array(Field::Name)?;
    let length = bytes.iter().position(|&byte| byte == 0).unwrap_or(NAME_BYTES_MAX).max(1);
    for (at, &byte) in bytes.iter().enumerate() {
        let (min, max) = if at < length { (0x20, 0x7E) } else { (0, 0) };
        within(offset + at, Field::Name, min, max, byte.into())?;
    }
    Ok(bytes[..length].iter().map(|&byte| char::from(byte)).collect())
}

fn input(reader: &mut Reader<'_>) -> Result<InputParts, SnapshotError> {
    let multiplier = reader.i32(Field::InputMultiplier, -INPUT_MULTIPLIER_MAX, INPUT_MULTIPLIER_MAX)?;
    let offset = reader.i32(Field::InputOffset, i32::MIN, i32::MAX)?;
    let clip_lo = reader.i32(Field::InputClipLo, i32::MIN, i32::MAX)?;
    let clip_hi = reader.i32(Field::InputClipHi, clip_lo, i32::MAX)?;
    let shift = reader.i32(Field::InputShift, 0, WIDE_SHIFT_MAX.into())? as u8;
    Ok(InputParts { multiplier, shift, offset, clip_lo, clip_hi })
}

fn output_parts(reader: &mut Reader<'_>) -> Result<OutputParts, SnapshotError> {
    let multiplier = reader.i32(Field::OutputMultiplier, 0, i32::MAX)?;
    let shift = reader.i32(Field::OutputShift, 0, WIDE_SHIFT_MAX.into())? as u8;
    let offset = reader.i32(Field::OutputOffset, i32::MIN, i32::MAX)?;
    let lo = reader.i32(Field::OutputLo, i32::MIN, i32::MAX)?;
    let hi = reader.i32(Field::OutputHi, lo, i32::MAX)?;
    Ok(OutputParts { multiplier, shift, offset, lo, hi })
}

fn layer(
    reader: &mut Reader<'_>,
    precision: Precision,
    index: usize,
    expected: usize,
    last: bool,
) -> Result<LayerParts, SnapshotError> {
    let start = reader.offset;
    reader.fits(Field::LayerInputs, LAYER_HEAD_BYTES)?;
    let inputs = reader.u16(Field::LayerInputs, 1, WIDTH_MAX)?;
    let outputs = reader.u16(Field::LayerOutputs, 1, WIDTH_MAX)?;
    if inputs != expected {
        return Err(SnapshotError::Chain { offset: start, layer: index, expected, found: inputs });
    }
    let activation = activation(reader, precision, last)?;
    let (shift_min, shift_max, multiplier_max) = match (last, activation) {
        // The accumulator goes to the output stage as it is.
        (true, Activation::Identity) => (0, 0, 0),
        _ => (SHIFT_MIN.into(), SHIFT_MAX.into(), i16::MAX),
    };
    let weight_bytes = match precision {
        Precision::Bits8 => 1,
        Precision::Bits12 => 2,
    };
    reader.fits(Field::LayerShift, outputs * (PER_OUTPUT_BYTES + weight_bytes * inputs))?;
    let shift = (0..outputs)
        .map(|_| reader.i8(Field::LayerShift, shift_min, shift_max).map(|shift| shift as i8))
        .collect::<Result<Vec<_>, _>>()?;
    let multiplier = (0..outputs)
        .map(|_| reader.i16(Field::LayerMultiplier, 0, multiplier_max))
        .collect::<Result<Vec<_>, _>>()?;
    let bias_at = reader.offset;
    let bias =
        (0..outputs).map(|_| reader.i32(Field::Bias, i32::MIN, i32::MAX)).collect::<Result<Vec<_>, _>>()?;
    let max = precision.weight_max();
    let weights = (0..outputs * inputs)
        .map(|_| match precision {
            Precision::Bits8 => reader.i8(Field::Weights, -max, max),
            Precision::Bits12 => reader.i16(Field::Weights, -max, max),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let layer = LayerParts { inputs, outputs, weights, bias, multiplier, shift, activation };
    accumulators_hold(&layer, precision, index, bias_at)?;
    Ok(layer)
}

/// No input can overflow an accumulator, in any order of summation, with or without the rounding term.
fn accumulators_hold(
    layer: &LayerParts,
    precision: Precision,
    index: usize,
    bias_at: usize,
) -> Result<(), SnapshotError> {
    let (lo, hi) = precision.value_range();
    let value_max = i64::from(lo.unsigned_abs().max(hi.unsigned_abs()));
    let rows = layer.weights.chunks_exact(layer.inputs);
    for (output, ((row, &bias), &shift)) in rows.zip(&layer.bias).zip(&layer.shift).enumerate() {
        let weights: i64 = row.iter().map(|weight| i64::from(weight.unsigned_abs())).sum();
        let sum = i64::from(bias.unsigned_abs()) + weights * value_max;
        let found = if shift < 0 { sum << -shift } else { sum + ((1 << shift) >> 1) };
        let expected_max = i64::from(i32::MAX);
        if found > expected_max {
            let offset = bias_at + 4 * output;
            return Err(SnapshotError::Accumulator { offset, layer: index, output, expected_max, found });
        }
    }
    Ok(())
}

fn activation(
    reader: &mut Reader<'_>,
    precision: Precision,
    last: bool,
) -> Result<Activation, SnapshotError> {
    // A hidden layer narrows to the precision's range, so bounds beyond it would mean nothing.
    let (min, max) = if last { (i16::MIN, i16::MAX) } else { precision.value_range() };
    let code = reader.u16(Field::Activation, 0, 6)?;
    let (first, second) = (Field::ActivationFirst, Field::ActivationSecond);
    match code {
        1 => {
            let zero = reader.i16(first, min, max)?;
            reader.i16(second, 0, 0)?;
            Ok(Activation::Relu { zero })
        }
        2 => Ok(Activation::LeakyRelu {
            zero: reader.i16(first, min, max)?,
            slope: reader.i16(second, 0, i16::MAX)?,
        }),
        3 | 6 => {
            let lo = reader.i16(first, min, max)?;
            let hi = reader.i16(second, lo, max)?;
            Ok(if code == 3 { Activation::Clip { lo, hi } } else { Activation::HardSigmoid { lo, hi } })
        }
        _ => {
            reader.i16(first, 0, 0)?;
            reader.i16(second, 0, 0)?;
            Ok(match code {
                4 => Activation::Tanh,
                5 => Activation::Sigmoid,
                _ => Activation::Identity,
            })
        }
    }
}

/// Takes little-endian fields off the front, each checked against the bytes that are left and the range it may have.
struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl Reader<'_> {
    fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.offset)
    }
    /// Called before anything is allocated for fields whose number the file declares.
    fn fits(&self, field: Field, expected: usize) -> Result<(), SnapshotError> {
        let found = self.left();
        if expected <= found {
            return Ok(());
        }
        Err(SnapshotError::TooShort { offset: self.offset, field, expected, found })
    }
    fn array<const N: usize>(&mut self, field: Field) -> Result<[u8; N], SnapshotError> {
        match self.bytes.get(self.offset..).and_then(<[u8]>::first_chunk) {
            Some(&chunk) => {
                self.offset += N;
                Ok(chunk)
            }
            None => {
                Err(SnapshotError::TooShort { offset: self.offset, field, expected: N, found: self.left() })
            }
        }
    }
    fn u8(&mut self, field: Field, min: u8, max: u8) -> Result<u8, SnapshotError> {
        let [value] = self.array(field)?;
        within(self.offset - 1, field, min.into(), max.into(), value.into())?;
        Ok(value)
    }
    fn u16(&mut self, field: Field, min: usize, max: usize) -> Result<usize, SnapshotError> {
        let value = u16::from_le_bytes(self.array(field)?);
        within(self.offset - 2, field, min as i64, max as i64, value.into())?;
        Ok(value.into())
    }
    fn i8(&mut self, field: Field, min: i16, max: i16) -> Result<i16, SnapshotError> {
        let value = i8::from_le_bytes(self.array(field)?);
        within(self.offset - 1, field, min.into(), max.into(), value.into())?;
        Ok(value.into())
    }
    fn i16(&mut self, field: Field, min: i16, max: i16) -> Result<i16, SnapshotError> {
        let value = i16::from_le_bytes(self.array(field)?);
        within(self.offset - 2, field, min.into(), max.into(), value.into())?;
        Ok(value)
    }
    fn i32(&mut self, field: Field, min: i32, max: i32) -> Result<i32, SnapshotError> {
        let value = i32::from_le_bytes(self.array(field)?);
        within(self.offset - 4, field, min.into(), max.into(), value.into())?;
        Ok(value)
    }
}

fn within(offset: usize, field: Field, min: i64, max: i64, found: i64) -> Result<(), SnapshotError> {
    if (min..=max).contains(&found) {
        return Ok(());
    }
    Err(SnapshotError::OutOfRange { offset, field, min, max, found })
}
