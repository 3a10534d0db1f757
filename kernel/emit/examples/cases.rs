//! What the guest test compares the kernel module with, from the scalar executor.
//!
//! `cases shapes FOLDER`: twenty random shapes of each precision, as snapshot files. `cases hash FILE SEED COUNT`: the hash of
//! the results of so many rows of seeded features, as `kernel/test/module/weir_test.c` draws and hashes them.
#![allow(clippy::expect_used, clippy::panic)]

use std::path::Path;
use weir_snapshot::{Executable, Executor, Precision, Scratch, Snapshot, encode};

#[path = "../../../snapshot/tests/suite/models.rs"]
#[allow(dead_code, unreachable_pub)]
mod models;

/// The shapes that the other suites draw.
#[path = "../../../snapshot/tests/suite/cases.rs"]
#[allow(dead_code, unreachable_pub)]
mod cases;

use models::Rng;

fn write_shapes(folder: &Path) {
    std::fs::create_dir_all(folder).expect("a folder");
    for precision in Precision::ALL {
        for (number, shape) in cases::drawn(precision).take(20).enumerate() {
            let bytes = encode(&shape.parts()).expect("valid parts");
            std::fs::write(folder.join(format!("{}-{number}.wsnap", precision.name())), bytes)
                .expect("written");
        }
    }
}

fn hash(file: &Path, seed: u64, count: u64) -> u64 {
    let snapshot = Snapshot::decode(&std::fs::read(file).expect("readable")).expect("decodes");
    let executable = Executable::new(snapshot, Executor::Scalar).expect("the scalar executor");
    let (mut rng, mut scratch) = (Rng(seed), Scratch::new());
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut features = vec![0; executable.row_len()];
    let mut results = vec![0; executable.outputs()];
    for _ in 0..count {
        features.fill_with(|| {
            let random = rng.next();
            ((random >> 32) as i32) >> (random & 31)
        });
        executable.evaluate(&features, &mut results, &mut scratch);
        for byte in results.iter().flat_map(|result| result.to_le_bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    hash
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["shapes", folder] => write_shapes(Path::new(folder)),
        ["hash", file, seed, count] => {
            let number = |text: &str| text.parse().expect("a number");
            println!("{:016x}", hash(Path::new(file), number(seed), number(count)));
        }
        _ => panic!("cases shapes FOLDER | cases hash FILE SEED COUNT"),
    }
}
