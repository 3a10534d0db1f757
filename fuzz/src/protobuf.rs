//! Protobuf as a tree, to damage it where it still is protobuf: without the schema, by what the bytes look like.

use crate::mutate::{self, number, one_in, pick};
use weir_trainer::rng::Rng;

/// Deeper is taken for bytes; ONNX needs seven.
const DEPTH_MAX: usize = 8;

#[derive(Clone, Debug)]
pub(crate) struct Field {
    number: u64,
    value: Value,
}

#[derive(Clone, Debug)]
enum Value {
    Varint(u64),
    Fixed64([u8; 8]),
    Fixed32([u8; 4]),
    Bytes(Vec<u8>),
    Message(Vec<Field>),
}

/// Reads a message; `None` where the bytes are none.
pub(crate) fn read(bytes: &[u8]) -> Option<Vec<Field>> {
    read_to(bytes, DEPTH_MAX)
}

fn read_to(mut bytes: &[u8], depth: usize) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut bytes)?),
            1 => Value::Fixed64(take(&mut bytes)?),
            5 => Value::Fixed32(take(&mut bytes)?),
            2 => {
                let len = usize::try_from(varint(&mut bytes)?).ok()?;
                let (content, rest) = bytes.split_at_checked(len)?;
                bytes = rest;
                // Text is not mistaken for a message: a key of field 0 does not exist.
                let nested =
                    (depth > 0 && !content.is_empty()).then(|| read_to(content, depth - 1)).flatten();
                nested.map_or_else(|| Value::Bytes(content.to_vec()), Value::Message)
            }
            _ => return None,
        };
        if key >> 3 == 0 {
            return None;
        }
        fields.push(Field { number: key >> 3, value });
    }
    Some(fields)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (chunk, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*chunk)
}

/// Writes a message.
pub(crate) fn write(fields: &[Field]) -> Vec<u8> {
    let mut out = Vec::new();
    for Field { number, value } in fields {
        let (kind, bytes): (u64, _) = match value {
            Value::Varint(value) => {
                put(&mut out, number << 3);
                put(&mut out, *value);
                continue;
            }
            Value::Fixed64(bytes) => (1, bytes.to_vec()),
            Value::Fixed32(bytes) => (5, bytes.to_vec()),
            Value::Bytes(bytes) => (2, bytes.clone()),
            Value::Message(fields) => (2, write(fields)),
        };
        put(&mut out, number << 3 | kind);
        if kind == 2 {
            put(&mut out, bytes.len() as u64);
        }
        out.extend(bytes);
    }
    out
}

fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The bytes of one of `seeds`, changed in `least` places at least and three more at most; of every fourth the bytes, too.
pub(crate) fn damaged(rng: &mut Rng, seeds: &[Vec<Field>], least: usize) -> Vec<u8> {
    let mut model = pick(rng, seeds).clone();
    for _ in 0..least + rng.below(4) {
        mutate(rng, &mut model);
    }
    let mut file = write(&model);
    if one_in(rng, 4) {
        mutate::bytes(rng, &mut file);
    }
    file
}

/// Changes the message in one place, at any depth.
pub(crate) fn mutate(rng: &mut Rng, fields: &mut Vec<Field>) {
    if fields.is_empty() {
        fields.push(Field { number: 1 + rng.below(20) as u64, value: Value::Varint(number(rng)) });
        return;
    }
    let at = rng.below(fields.len());
    match rng.below(12) {
        0 => {
            fields.remove(at);
        }
        1 => {
            let copy = fields[at].clone();
            let times = if one_in(rng, 8) { rng.below(200) } else { 1 };
            fields.extend(std::iter::repeat_n(copy, times));
        }
        2 => {
            let other = rng.below(fields.len());
            fields.swap(at, other);
        }
        3 => fields[at].number = if one_in(rng, 4) { number(rng) >> 3 | 1 } else { 1 + rng.below(25) as u64 },
        4 => {
            // One value in another's place.
            let value = fields[rng.below(fields.len())].value.clone();
            fields[at].value = value;
        }
        _ => match &mut fields[at].value {
            Value::Message(nested) => mutate(rng, nested),
            Value::Varint(value) => *value = if one_in(rng, 2) { rng.below(30) as u64 } else { number(rng) },
            Value::Fixed32(bytes) => *bytes = float(rng).to_le_bytes(),
            Value::Fixed64(bytes) => *bytes = f64::from(float(rng)).to_le_bytes(),
            Value::Bytes(bytes) => content(rng, bytes),
        },
    }
}

/// Damage to text, or to a tensor's raw bytes.
fn content(rng: &mut Rng, bytes: &mut Vec<u8>) {
    match rng.below(5) {
        0 => *bytes = pick(rng, &weir_trainer::onnx::OPERATORS).as_bytes().to_vec(),
        1 => *bytes = format!("{}{}", pick(rng, &["w", "b", "z", "h", "x", "y"]), rng.below(5)).into_bytes(),
        2 => {
            // A number in a tensor.
            let words = bytes.len() / 4;
            if words > 0 {
                let at = 4 * rng.below(words);
                bytes[at..at + 4].copy_from_slice(&float(rng).to_le_bytes());
            }
        }
        _ => mutate::bytes(rng, bytes),
    }
}

fn float(rng: &mut Rng) -> f32 {
    const EDGES: [f32; 10] = [
        0.0,
        -0.0,
        1.0,
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MAX,
        f32::MIN_POSITIVE,
        1e-45,
        -1e38,
    ];
    if one_in(rng, 2) { *pick(rng, &EDGES) } else { f32::from_bits(rng.bits() as u32) }
}
