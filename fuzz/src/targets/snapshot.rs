//! `Snapshot::decode`, and what runs what it lets through.

use super::Target;
use crate::mutate::{self, one_in, pick};
use crate::seeds;
use weir_snapshot::{Executable, Executor, Scratch, Snapshot, SnapshotError, encode};
use weir_trainer::rng::Rng;

/// Where the format keeps the file's length (docs/snapshot-format.md).
const LENGTH_AT: usize = 24;

/// The input is a snapshot. Its length and checksum are set right first, except in one of four: else nothing would
/// come past them.
pub(crate) struct Snapshots {
    seeds: Vec<Vec<u8>>,
    scratch: Scratch,
}

impl Snapshots {
    pub(crate) fn new() -> Snapshots {
        Snapshots { seeds: seeds::snapshots(), scratch: Scratch::new() }
    }
}

/// `bytes` with a length and a checksum that fit. The decoder itself says which checksum it finds.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let length = (bytes.len() as u32).to_le_bytes();
    if let Some(field) = bytes.get_mut(LENGTH_AT..LENGTH_AT + 4) {
        field.copy_from_slice(&length);
    }
    if let Err(SnapshotError::Checksum { found, .. }) = Snapshot::decode(&bytes) {
        let end = bytes.len() - 4;
        bytes[end..].copy_from_slice(&found.to_le_bytes());
    }
    bytes
}

impl Target for Snapshots {
    fn make(&self, rng: &mut Rng) -> Vec<u8> {
        let mut bytes = pick(rng, &self.seeds).clone();
        for _ in 0..1 + rng.below(3) {
            // Half of it into the head and the first records: that is where the checks are.
            let tail = if one_in(rng, 2) { bytes.split_off(bytes.len().min(160)) } else { Vec::new() };
            if one_in(rng, 4) {
                mutate::bytes(rng, &mut bytes)
            } else {
                mutate::in_place(rng, &mut bytes)
            }
            bytes.extend(tail);
        }
        if one_in(rng, 4) { bytes } else { sealed(bytes) }
    }

    fn counts(&self) -> &'static str {
        "accepted"
    }

    fn check(&mut self, input: &[u8]) -> u64 {
        let snapshot = match Snapshot::decode(input) {
            Ok(snapshot) => snapshot,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                return 0;
            }
        };
        assert_eq!(encode(snapshot.parts()).as_deref(), Ok(input), "something was skipped or normalised");
        let rows: Vec<i32> =
            (0..snapshot.inputs() as i32).map(|at| (at - 3).wrapping_mul(0x3001_7001)).collect();
        let mut results = Vec::new();
        for executor in Executor::available() {
            let executable = Executable::new(snapshot.clone(), executor).expect("available");
            let mut out = vec![0; executable.outputs()];
            executable.evaluate(&rows, &mut out, &mut self.scratch);
            results.push(out);
        }
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "executors disagree");
        1
    }
}
