//! Bytes that are not a snapshot, and bytes that are.

use crate::models::{Rng, Shape, shapes};
use proptest::prelude::*;
use weir_snapshot::{
    Activation, FILE_BYTES_MAX, FORMAT_VERSION, Field, Output, Parts, Precision, Snapshot, SnapshotError,
    encode,
};

/// Offsets of the format's head, as documented.
const VERSION_AT: usize = 8;
const PRECISION_AT: usize = 11;
const LAYER_COUNT_AT: usize = 13;
const INPUT_COUNT_AT: usize = 14;
const LENGTH_AT: usize = 24;
const NAME_AT: usize = 28;
const INPUTS_AT: usize = 60;
const RECORD_BYTES: usize = 20;

fn small() -> Parts {
    let shape = Shape { precision: Precision::Bits8, output: Output::Linear, widths: vec![3, 4, 2], seed: 5 };
    let mut parts = shape.parts();
    parts.layers[0].activation = Activation::Tanh;
    parts
}

/// `bytes` with a length and a checksum that fit: what a decoder without further checks would believe.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let length = bytes.len() as u32;
    bytes[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&length.to_le_bytes());
    let end = bytes.len() - 4;
    let checksum = crc32c(&bytes[..end]);
    bytes[end..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Bit by bit, unlike the crate's table.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 };
        }
    }
    !crc
}

/// `small` with the bytes at `at` replaced and sealed again.
fn changed(at: usize, with: &[u8]) -> Result<Snapshot, SnapshotError> {
    let mut bytes = encode(&small()).expect("valid");
    bytes[at..at + with.len()].copy_from_slice(with);
    Snapshot::decode(&sealed(bytes))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_encoded_decodes_to_the_same(shape in shapes()) {
        let parts = shape.parts();
        let bytes = encode(&parts).expect("valid");
        let snapshot = Snapshot::decode(&bytes).expect("decodes");
        prop_assert_eq!(snapshot.parts(), &parts);
        prop_assert_eq!(encode(snapshot.parts()).expect("valid"), bytes);
    }

    /// Sealed again after the damage, so that every check behind the checksum has its turn. What still decodes must
    /// encode to the very same bytes: nothing was skipped or normalised.
    #[test]
    fn damage_behind_a_right_checksum_is_refused_or_read_as_it_is(
        shape in shapes(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = encode(&shape.parts()).expect("valid");
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()).max(INPUTS_AT + 4));
        }
        let bytes = sealed(bytes);
        if let Ok(snapshot) = Snapshot::decode(&bytes) {
            prop_assert_eq!(encode(snapshot.parts()).expect("valid"), bytes);
        }
    }

    #[test]
    fn random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..400), headed in any::<bool>()) {
        let mut bytes = bytes;
        if headed && bytes.len() >= INPUTS_AT + 4 {
            bytes[..8].copy_from_slice(b"WEIRSNAP");
            bytes[VERSION_AT..VERSION_AT + 2].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
            bytes = sealed(bytes);
        }
        prop_assert!(Snapshot::decode(&bytes).is_err());
    }
}

#[test]
fn every_truncation_is_refused() {
    let bytes = encode(&small()).expect("valid");
    for length in 0..bytes.len() {
        let error = Snapshot::decode(&bytes[..length]).expect_err("cut off");
        let (declared, head) = (bytes.len() as u32, INPUTS_AT + 4);
        let expected = if length < head {
            SnapshotError::TooShort { offset: 0, field: Field::Head, expected: head, found: length }
        } else {
            SnapshotError::Length { expected: declared, found: length }
        };
        assert_eq!(error, expected);
        // Cut and sealed again: the fields themselves run out.
        if length >= head {
            Snapshot::decode(&sealed(bytes[..length].to_vec())).expect_err("cut off and sealed");
        }
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    let bytes = encode(&small()).expect("valid");
    for bit in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        Snapshot::decode(&bytes).expect_err("a flipped bit");
    }
}

#[test]
fn errors_say_where_and_what() {
    let bytes = encode(&small()).expect("valid");
    let mut longer = bytes.clone();
    longer.push(0);
    let length = bytes.len();
    let expected = SnapshotError::Length { expected: length as u32, found: length + 1 };
    assert_eq!(Snapshot::decode(&longer), Err(expected));
    assert_eq!(
        Snapshot::decode(&sealed(longer)),
        Err(SnapshotError::Trailing { offset: length - 4, found: 1 })
    );
    assert_eq!(changed(0, b"PNG"), Err(SnapshotError::Magic { found: *b"PNGRSNAP" }));
    assert_eq!(changed(VERSION_AT, &[9, 0]), Err(SnapshotError::Version { expected: 1, found: 9 }));
    let out_of_range =
        |offset, field, min, max, found| Err(SnapshotError::OutOfRange { offset, field, min, max, found });
    assert_eq!(changed(10, &[3]), out_of_range(10, Field::Function, 0, 2, 3));
    assert_eq!(changed(PRECISION_AT, &[9]), out_of_range(PRECISION_AT, Field::Precision, 8, 12, 9));
    assert_eq!(changed(12, &[3]), out_of_range(12, Field::Output, 0, 2, 3));
    assert_eq!(changed(LAYER_COUNT_AT, &[9]), out_of_range(LAYER_COUNT_AT, Field::LayerCount, 1, 8, 9));
    assert_eq!(changed(INPUT_COUNT_AT, &[0, 0]), out_of_range(INPUT_COUNT_AT, Field::InputCount, 1, 256, 0));
    assert_eq!(changed(NAME_AT, &[0]), out_of_range(NAME_AT, Field::Name, 0x20, 0x7E, 0));
    assert_eq!(changed(NAME_AT + 20, b"x"), out_of_range(NAME_AT + 20, Field::Name, 0, 0, 0x78));
    let layer = INPUTS_AT + 3 * RECORD_BYTES;
    let chain = SnapshotError::Chain { offset: layer, layer: 0, expected: 3, found: 2 };
    assert_eq!(changed(layer, &[2, 0]), Err(chain));
    assert_eq!(changed(layer + 2, &[1, 1]), out_of_range(layer + 2, Field::LayerOutputs, 1, 256, 257));
    assert_eq!(changed(layer + 4, &[7, 0]), out_of_range(layer + 4, Field::Activation, 0, 6, 7));
    assert_eq!(changed(layer + 6, &[1, 0]), out_of_range(layer + 6, Field::ActivationFirst, 0, 0, 1));
    assert_eq!(changed(layer + 10, &[31]), out_of_range(layer + 10, Field::LayerShift, -8, 30, 31));
    let bias = layer + 10 + 4 + 8;
    let Err(SnapshotError::Accumulator { offset, layer: 0, output: 1, expected_max, found }) =
        changed(bias + 4, &i32::MAX.to_le_bytes())
    else {
        panic!("the second bias leaves no room for weights")
    };
    assert_eq!((offset, expected_max), (bias + 4, i64::from(i32::MAX)));
    assert!(found > expected_max);
}

/// Whatever a file declares, it is compared with the bytes there are before anything is set aside for it.
#[test]
fn huge_declarations_are_refused_at_once() {
    let most = u32::MAX.to_le_bytes();
    let mut bytes = encode(&small()).expect("valid");
    bytes[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&most);
    let expected = SnapshotError::Length { expected: u32::MAX, found: bytes.len() };
    assert_eq!(Snapshot::decode(&bytes), Err(expected));
    // The widest network that fields can declare, in a file that ends behind its head.
    let layer = INPUTS_AT + 3 * RECORD_BYTES;
    let Err(SnapshotError::TooShort { field: Field::LayerShift, .. }) = changed(layer + 2, &[0, 1]) else {
        panic!("256 outputs do not fit")
    };
    let Err(SnapshotError::TooShort { field: Field::InputMultiplier, .. }) = changed(INPUT_COUNT_AT, &[0, 1])
    else {
        panic!("256 inputs do not fit")
    };
    let large = vec![0; FILE_BYTES_MAX + 1];
    let expected = SnapshotError::TooLong { expected_max: FILE_BYTES_MAX, found: FILE_BYTES_MAX + 1 };
    assert_eq!(Snapshot::decode(&large), Err(expected));
}

#[test]
fn the_largest_snapshot_has_the_largest_length() {
    let shape = Shape { precision: Precision::Bits12, output: Output::Linear, widths: vec![256; 9], seed: 1 };
    assert_eq!(encode(&shape.parts()).expect("valid").len(), FILE_BYTES_MAX);
}

#[test]
fn parts_that_no_file_can_hold_are_refused() {
    let refused = |change: &dyn Fn(&mut Parts)| {
        let mut parts = small();
        change(&mut parts);
        encode(&parts).expect_err("not a snapshot")
    };
    let count = |field, expected, found| SnapshotError::Count { field, expected, found };
    assert_eq!(refused(&|parts| parts.layers[0].bias.truncate(1)), count(Field::Bias, 4, 1));
    assert_eq!(refused(&|parts| parts.layers[1].weights.push(0)), count(Field::Weights, 8, 9));
    assert_eq!(refused(&|parts| parts.outputs.clear()), count(Field::Output, 2, 0));
    assert_eq!(refused(&|parts| parts.name = "x".repeat(33)), count(Field::Name, 32, 33));
    assert_eq!(refused(&|parts| parts.name = "x\0".into()), count(Field::Name, 1, 2));
    for parts in [
        refused(&|parts| parts.name.clear()),
        refused(&|parts| parts.name = "schön".into()),
        refused(&|parts| parts.layers[0].weights[5] = 300),
        refused(&|parts| parts.layers[0].weights[5] = -128),
        refused(&|parts| parts.layers[0].multiplier[0] = -1),
        refused(&|parts| parts.layers[0].activation = Activation::Relu { zero: 128 }),
        refused(&|parts| parts.layers[0].activation = Activation::Clip { lo: 5, hi: 4 }),
        refused(&|parts| parts.inputs[0].multiplier = i32::MIN),
        refused(&|parts| parts.inputs[2].shift = 63),
        refused(&|parts| parts.inputs[1].clip_lo = parts.inputs[1].clip_hi.saturating_add(1)),
        refused(&|parts| parts.outputs[0].multiplier = -1),
        refused(&|parts| parts.layers.clear()),
        refused(&|parts| parts.inputs.clear()),
    ] {
        assert!(!matches!(parts, SnapshotError::Checksum { .. } | SnapshotError::Magic { .. }), "{parts}");
    }
}

/// A file is a few thousand bytes of fields, none of which may be lost: every byte but the seal matters to the parts.
#[test]
fn every_byte_is_read() {
    let parts = small();
    let bytes = encode(&parts).expect("valid");
    let rng = &mut Rng(3);
    for at in (0..bytes.len() - 4).filter(|at| !(LENGTH_AT..LENGTH_AT + 4).contains(at)) {
        let mut bytes = bytes.clone();
        bytes[at] ^= rng.between(1, 255) as u8;
        if let Ok(snapshot) = Snapshot::decode(&sealed(bytes)) {
            assert_ne!(snapshot.parts(), &parts, "byte {at}");
        }
    }
}
