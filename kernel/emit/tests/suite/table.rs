//! The kernel's decoder and table-driven executor, against Rust's.

use crate::cases::{features, golden_files, meant};
use crate::cc::{Folder, run};
use crate::models::Rng;
use crate::snapshots::{bytes, numbers, twenty};
use weir_snapshot::{Precision, Snapshot, encode};

const TABLE: (&str, &str) = ("weir_table.c", include_str!("../../../module/weir_table.c"));

fn a_decoded_snapshot_is_the_scalar_executor(precision: Precision) {
    let folder = Folder::new();
    let program = folder.compile("table", &[TABLE]);
    for (at, snapshot) in twenty(precision).iter().enumerate() {
        let file = folder.path().join("x.wsnap");
        std::fs::write(&file, encode(snapshot.parts()).expect("valid parts")).expect("written");
        let features = features(snapshot, 10_000, &mut Rng(!(at as u64)));
        let file = file.to_str().expect("a path in UTF-8");
        let found = numbers(&run(&program, &["run", file], &bytes(&features)));
        assert!(found == meant(snapshot, &features), "shape {at}");
    }
}

#[test]
fn a_decoded_snapshot_is_the_scalar_executor_8bit() {
    a_decoded_snapshot_is_the_scalar_executor(Precision::Bits8);
}

#[test]
fn a_decoded_snapshot_is_the_scalar_executor_12bit() {
    a_decoded_snapshot_is_the_scalar_executor(Precision::Bits12);
}

/// As docs/snapshot-format.md has it.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0x82F6_3B78 } else { 0 })
    })
}

/// Changes a few bytes, mostly near the head and the layers' heads, or the length; mostly the checksum is right again.
fn damaged(file: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut file = file.to_vec();
    for _ in 0..rng.between(1, 3) {
        let head = rng.between(0, 2) > 0;
        let at = rng.between(0, if head { 100.min(file.len() as i64) - 1 } else { file.len() as i64 - 1 })
            as usize;
        file[at] = match rng.next() % 4 {
            0 => 0,
            1 => 0xFF,
            2 => file[at] ^ (1 << (rng.next() % 8)),
            _ => rng.next() as u8,
        };
    }
    match rng.next() % 10 {
        0 => file.truncate(rng.between(0, file.len() as i64) as usize),
        1 => file.extend((0..rng.between(1, 40)).map(|_| 0)),
        _ => {}
    }
    if !rng.next().is_multiple_of(10) && file.len() >= 32 {
        let length = file.len();
        file[24..28].copy_from_slice(&(length as u32).to_le_bytes());
        let crc = crc32c(&file[..length - 4]);
        file[length - 4..].copy_from_slice(&crc.to_le_bytes());
    }
    file
}

/// What one decoder takes the other takes, of files that were damaged and given a right checksum again.
#[test]
fn both_decoders_take_the_same_files() {
    let rng = &mut Rng(7);
    let golden: Vec<Vec<u8>> =
        golden_files().iter().map(|path| std::fs::read(path).expect("readable")).collect();
    let mut files: Vec<Vec<u8>> = golden.clone();
    files.extend((0..20_000).map(|at| damaged(&golden[at % golden.len()], rng)));
    files.extend([Vec::new(), vec![0; 2_000_000]]);
    let mut input = Vec::new();
    for file in &files {
        input.extend((file.len() as u32).to_le_bytes());
        input.extend(file);
    }
    let folder = Folder::new();
    let found = run(&folder.compile_checked("table", &[TABLE]), &["decode"], &input);
    assert_eq!(found.len(), files.len());
    let mut taken = 0;
    for (at, (file, &found)) in files.iter().zip(&found).enumerate() {
        let meant = Snapshot::decode(file);
        assert_eq!(found == 1, meant.is_ok(), "file {at}: {:?}", meant.err());
        taken += usize::from(found == 1);
    }
    // Both verdicts come up often enough to mean something.
    assert!((500..15_000).contains(&taken), "{taken} of {} taken", files.len());
}

/// Every argument of the curves, which the decoder's executor and emitted C share.
#[test]
fn the_curves_are_the_references() {
    let folder = Folder::new();
    let curves = numbers(&run(&folder.compile("curves", &[]), &[], &[]));
    let round = |x: i16| (i32::from(x) + 8) >> 4;
    let meant: Vec<i32> = (i16::MIN..=i16::MAX)
        .flat_map(|t| {
            let parabola = weir_snapshot::curve::parabola(t);
            [weir_snapshot::curve::line(t).into(), parabola.into(), round(parabola)]
        })
        .collect();
    assert!(curves == meant);
}
