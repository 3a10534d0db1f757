//! A first pass over the bytes that counts before anything is allocated.
//!
//! Protobuf lets two bytes of file stand for an empty message of a hundred bytes in memory, so a file within the
//! size limit could still ask the decoder for gigabytes. This pass walks the same nesting as `proto.rs`, builds
//! nothing, and refuses files with more entries than any supported model has.

use super::error::Refusal;

/// Entries (fields of any kind, at any level) in a file. A 30-32-16-1 network with Gemm and Tanh has about 150.
const ENTRIES_MAX: usize = 100_000;
/// Bytes of packed integers (dims, int64_data, ints) per field: one byte of file may be eight in memory.
const PACKED_INTEGER_BYTES_MAX: usize = 4096;

/// The messages of `proto.rs` that the decoder goes into.
#[derive(Clone, Copy)]
enum Level {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    ValueInfo,
    Type,
    TensorType,
    Shape,
    /// Nothing below it: its entries are counted, whatever they mean.
    Leaf,
}

/// Counts the entries of an encoded model.
///
/// # Errors
/// [`Refusal::Malformed`] on broken protobuf, [`Refusal::TooMany`] above a limit.
pub(super) fn check(bytes: &[u8]) -> Result<(), Refusal> {
    let mut entries = 0;
    // Levels are a fixed tree of depth 6, so the recursion below is bounded by the schema, not by the file.
    message(bytes, Level::Model, &mut entries)
}

fn message(mut bytes: &[u8], level: Level, entries: &mut usize) -> Result<(), Refusal> {
    while !bytes.is_empty() {
        *entries += 1;
        if *entries > ENTRIES_MAX {
            return Err(Refusal::TooMany { what: "protobuf entries", max: ENTRIES_MAX });
        }
        let key = varint(&mut bytes)?;
        let (field, wire_type) = (key >> 3, key & 7);
        match wire_type {
            0 => {
                varint(&mut bytes)?;
            }
            1 => skip(&mut bytes, 8)?,
            5 => skip(&mut bytes, 4)?,
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).map_err(|_| cut_short())?;
                let body = bytes.get(..length).ok_or_else(cut_short)?;
                bytes = &bytes[length..];
                if packed_integers(level, field) && length > PACKED_INTEGER_BYTES_MAX {
                    return Err(Refusal::TooMany {
                        what: "bytes of integers in one field",
                        max: PACKED_INTEGER_BYTES_MAX,
                    });
                }
                if let Some(inner) = inner(level, field) {
                    message(body, inner, entries)?;
                }
            }
            // Groups (3, 4) are not used by ONNX and would nest without bound.
            other => return Err(Refusal::Malformed(format!("wire type {other} in a key"))),
        }
    }
    Ok(())
}

fn inner(level: Level, field: u64) -> Option<Level> {
    match (level, field) {
        (Level::Model, 7) => Some(Level::Graph),
        (Level::Model, 8) => Some(Level::Leaf),
        (Level::Graph, 1) => Some(Level::Node),
        (Level::Graph, 5) => Some(Level::Tensor),
        (Level::Graph, 11 | 12) => Some(Level::ValueInfo),
        (Level::Node, 5) => Some(Level::Attribute),
        (Level::Attribute, 5) => Some(Level::Tensor),
        (Level::ValueInfo, 2) => Some(Level::Type),
        (Level::Type, 1) => Some(Level::TensorType),
        (Level::TensorType, 2) => Some(Level::Shape),
        (Level::Shape, 1) => Some(Level::Leaf),
        _ => None,
    }
}

fn packed_integers(level: Level, field: u64) -> bool {
    matches!((level, field), (Level::Tensor, 1 | 5 | 7) | (Level::Attribute, 8))
}

fn varint(bytes: &mut &[u8]) -> Result<u64, Refusal> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or_else(cut_short)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Refusal::Malformed("an integer longer than ten bytes".into()))
}

fn skip(bytes: &mut &[u8], count: usize) -> Result<(), Refusal> {
    *bytes = bytes.get(count..).ok_or_else(cut_short)?;
    Ok(())
}

fn cut_short() -> Refusal {
    Refusal::Malformed("it ends inside a field".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_empty_nodes_is_refused_before_decoding() {
        // Field 7 of the model (graph) holding 2-byte empty nodes (field 1).
        let nodes: Vec<u8> = [0x0a, 0x00].repeat(200_000);
        let mut bytes = vec![0x3a];
        let mut length = nodes.len();
        while length >= 0x80 {
            bytes.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
        bytes.extend(nodes);
        assert!(matches!(check(&bytes), Err(Refusal::TooMany { .. })));
    }

    #[test]
    fn truncation_and_groups_are_refused() {
        assert!(matches!(check(&[0x3a, 0x05, 0x00]), Err(Refusal::Malformed(_))));
        assert!(matches!(check(&[0x0b]), Err(Refusal::Malformed(_))));
        assert!(matches!(check(&[0xff; 11]), Err(Refusal::Malformed(_))));
        assert_eq!(check(&[]), Ok(()));
    }
}
