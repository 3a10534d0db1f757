//! Parts to bytes.

use super::crc32c::crc32c;
use super::{FORMAT_VERSION, LENGTH_AT, MAGIC};
use crate::Snapshot;
use crate::error::{Field, SnapshotError};
use crate::parts::{Activation, Function, LayerParts, NAME_BYTES_MAX, Output, Parts, Precision};
use alloc::vec::Vec;

/// Writes `parts` as a snapshot file.
///
/// # Errors
/// [`SnapshotError::Count`] where a vector does not have the length that its shape calls for; otherwise whatever
/// [`Snapshot::decode`] says of the bytes, so that what is returned always decodes, to the same parts.
pub fn encode(parts: &Parts) -> Result<Vec<u8>, SnapshotError> {
    let mut out = Vec::new();
    head(&mut out, parts)?;
    for input in &parts.inputs {
        for word in [input.multiplier, input.offset, input.clip_lo, input.clip_hi, i32::from(input.shift)] {
            out.extend_from_slice(&word.to_le_bytes());
        }
    }
    for layer in &parts.layers {
        layer_bytes(&mut out, layer, parts.precision)?;
    }
    count(Field::Output, parts.layers.last().map_or(0, |layer| layer.outputs), parts.outputs.len())?;
    for output in &parts.outputs {
        for word in [output.multiplier, i32::from(output.shift), output.offset, output.lo, output.hi] {
            out.extend_from_slice(&word.to_le_bytes());
        }
    }
    // Lengths, counts and widths saturate on their way to narrower fields; the decoder refuses those values.
    let length = u32::try_from(out.len().saturating_add(4)).unwrap_or(u32::MAX);
    out[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&length.to_le_bytes());
    let checksum = crc32c(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    Snapshot::decode(&out)?;
    Ok(out)
}

fn head(out: &mut Vec<u8>, parts: &Parts) -> Result<(), SnapshotError> {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    out.push(match parts.function {
        Function::Pacing => 0,
        Function::Balance => 1,
        Function::Schedule => 2,
    });
    out.push(match parts.precision {
        Precision::Bits8 => 8,
        Precision::Bits12 => 12,
    });
    out.push(match parts.output {
        Output::Linear => 0,
        Output::Softmax => 1,
        Output::ArgMax => 2,
    });
    out.push(u8::try_from(parts.layers.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(&narrow(parts.inputs.len()));
    out.extend_from_slice(&parts.schema_hash.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    let name = parts.name.as_bytes();
    if name.len() > NAME_BYTES_MAX || name.contains(&0) {
        // A zero byte would read back as padding.
        let expected = name.iter().position(|&byte| byte == 0).unwrap_or(NAME_BYTES_MAX);
        return Err(SnapshotError::Count { field: Field::Name, expected, found: name.len() });
    }
    out.extend_from_slice(name);
    out.resize(out.len() + NAME_BYTES_MAX - name.len(), 0);
    Ok(())
}

fn layer_bytes(out: &mut Vec<u8>, layer: &LayerParts, precision: Precision) -> Result<(), SnapshotError> {
    count(Field::LayerShift, layer.outputs, layer.shift.len())?;
    count(Field::LayerMultiplier, layer.outputs, layer.multiplier.len())?;
    count(Field::Bias, layer.outputs, layer.bias.len())?;
    count(Field::Weights, layer.outputs.saturating_mul(layer.inputs), layer.weights.len())?;
    let (code, first, second): (u16, i16, i16) = match layer.activation {
        Activation::Identity => (0, 0, 0),
        Activation::Relu { zero } => (1, zero, 0),
        Activation::LeakyRelu { zero, slope } => (2, zero, slope),
        Activation::Clip { lo, hi } => (3, lo, hi),
        Activation::Tanh => (4, 0, 0),
        Activation::Sigmoid => (5, 0, 0),
        Activation::HardSigmoid { lo, hi } => (6, lo, hi),
    };
    out.extend_from_slice(&narrow(layer.inputs));
    out.extend_from_slice(&narrow(layer.outputs));
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&first.to_le_bytes());
    out.extend_from_slice(&second.to_le_bytes());
    out.extend(layer.shift.iter().map(|&shift| shift as u8));
    for multiplier in &layer.multiplier {
        out.extend_from_slice(&multiplier.to_le_bytes());
    }
    for bias in &layer.bias {
        out.extend_from_slice(&bias.to_le_bytes());
    }
    for &weight in &layer.weights {
        match precision {
            Precision::Bits8 => out.extend_from_slice(&byte(weight, out.len())?.to_le_bytes()),
            Precision::Bits12 => out.extend_from_slice(&weight.to_le_bytes()),
        }
    }
    Ok(())
}

/// A width as its field holds it.
fn narrow(width: usize) -> [u8; 2] {
    u16::try_from(width).unwrap_or(u16::MAX).to_le_bytes()
}

/// An 8-bit weight. Checked here and not left to the decoder, which would see only what is left after narrowing.
fn byte(weight: i16, offset: usize) -> Result<i8, SnapshotError> {
    let max = i64::from(Precision::Bits8.weight_max());
    i8::try_from(weight).map_err(|_| SnapshotError::OutOfRange {
        offset,
        field: Field::Weights,
        min: -max,
        max,
        found: weight.into(),
    })
}

fn count(field: Field, expected: usize, found: usize) -> Result<(), SnapshotError> {
    if expected == found { Ok(()) } else { Err(SnapshotError::Count { field, expected, found }) }
}
