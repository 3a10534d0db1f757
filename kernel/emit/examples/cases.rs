//! What the guest test compares the kernel module with, from the scalar executor.
//!
//! `cases shapes FOLDER`: twenty random shapes of each precision, as snapshot files. `cases hash FILE SEED COUNT`: the hash of
//! the results of so many rows of seeded features, as `kernel/test/module/weir_test.c` draws and hashes them. `cases select
//! FOLDER`: networks for `weir_select` whose answers are plain: each flow is small, or large; the path with the smallest RTT is
//! the best, or the one with the largest.
#![allow(clippy::expect_used, clippy::panic)]

use std::path::Path;
use weir_features::{Input, PathSchema, PathSpec, SizeSchema, SizeSpec};
use weir_snapshot::{
    Activation, Executable, Executor, Function, InputParts, LayerParts, Output, OutputParts, Parts,
    Precision, Scratch, Snapshot, encode,
};

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

/// A network of 12 bits that answers `constant + slope * first input`, both in 1/65536 times a power of two that fits.
fn plain(function: Function, schema_hash: u64, clips: &[(i32, i32)], slope: i16, constant: i32) -> Parts {
    let input = |(at, &(clip_lo, clip_hi)): (usize, &(i32, i32))| InputParts {
        multiplier: i32::from(at == 0),
        offset: clip_lo,
        clip_lo,
        clip_hi,
        shift: 8,
    };
    let mut weights = vec![0; clips.len()];
    weights[0] = slope;
    Parts {
        function,
        precision: Precision::Bits12,
        schema_hash,
        name: function.name().to_owned(),
        inputs: clips.iter().enumerate().map(input).collect(),
        layers: vec![LayerParts {
            inputs: clips.len(),
            outputs: 1,
            weights,
            bias: vec![0],
            multiplier: vec![0],
            shift: vec![0],
            activation: Activation::Identity,
        }],
        output: Output::Linear,
        outputs: vec![OutputParts {
            multiplier: 256,
            shift: 0,
            offset: constant,
            lo: i32::MIN,
            hi: i32::MAX,
        }],
    }
}

fn write_select(folder: &Path) {
    std::fs::create_dir_all(folder).expect("a folder");
    let sizes = SizeSpec::default().clips;
    let q16 = |value: i32| f64::from(value) / 65_536.0;
    let inputs: Vec<Input<'_>> = SizeSpec::FEATURES
        .iter()
        .zip(sizes)
        .map(|(feature, (lo, hi))| Input { feature, scale: 1.0, offset: 0.0, clip: [q16(lo), q16(hi)] })
        .collect();
    let schema = SizeSchema::new(&inputs).expect("the definitions").hash();
    let (paths, path_schema) = (PathSpec::default().clips, PathSchema::default().hash());
    for (name, parts) in [
        // 1 KiB and 128 MiB.
        ("small", plain(Function::Schedule, schema, &sizes, 0, 10 << 16)),
        ("large", plain(Function::Schedule, schema, &sizes, 0, 27 << 16)),
        ("fast", plain(Function::Balance, path_schema, &paths, 1, 0)),
        ("slow", plain(Function::Balance, path_schema, &paths, -1, 0)),
    ] {
        let bytes = encode(&parts).expect("valid parts");
        std::fs::write(folder.join(format!("{name}.wsnap")), bytes).expect("written");
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
        ["select", folder] => write_select(Path::new(folder)),
        ["hash", file, seed, count] => {
            let number = |text: &str| text.parse().expect("a number");
            println!("{:016x}", hash(Path::new(file), number(seed), number(count)));
        }
        _ => panic!("cases shapes FOLDER | cases select FOLDER | cases hash FILE SEED COUNT"),
    }
}
