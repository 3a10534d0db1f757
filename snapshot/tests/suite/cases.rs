//! What executors outside of this crate (the kernel's C, BPF) are held to: shapes, features and the golden files. Their
//! suites include this file by its path, next to `models`.

use crate::models::{Rng, Shape, shapes};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::path::PathBuf;
use weir_snapshot::{Executable, Executor, Output, Parts, Precision, Snapshot, encode};

/// Random shapes, the same in each run.
pub(crate) fn drawn(precision: Precision) -> impl Iterator<Item = Shape> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[precision.weight_max() as u8; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    std::iter::repeat_with(move || shapes().new_tree(&mut runner).expect("a shape").current())
        .map(move |shape| Shape { precision, ..shape })
}

/// Twenty shapes: the first few picked for what they must hold, the others drawn.
pub(crate) fn twenty(precision: Precision) -> impl Iterator<Item = Shape> {
    let picked = [
        (vec![30, 32, 16, 1], Output::Linear),
        (vec![256, 256, 3], Output::Softmax),
        (vec![1, 1], Output::Linear),
        (vec![11, 16, 8, 4], Output::ArgMax),
    ];
    let picked = picked.into_iter().zip(0..);
    picked
        .map(move |((widths, output), seed)| Shape { precision, output, widths, seed })
        .chain(drawn(precision))
        .take(20)
}

/// The snapshot that a file of `parts` is.
pub(crate) fn decoded(parts: &Parts) -> Snapshot {
    Snapshot::decode(&encode(parts).expect("valid parts")).expect("decodes")
}

/// Rows of features around every bound of each input, and of every magnitude.
pub(crate) fn features(snapshot: &Snapshot, rows: usize, rng: &mut Rng) -> Vec<i32> {
    let inputs = &snapshot.parts().inputs;
    let item = |input: &weir_snapshot::InputParts, rng: &mut Rng| match rng.next() % 8 {
        0 => input.clip_lo.saturating_sub(rng.between(0, 1) as i32),
        1 => input.clip_hi.saturating_add(rng.between(0, 1) as i32),
        2 => input.offset.saturating_add(rng.between(-2, 2) as i32),
        3 => (rng.next() as i32) >> (rng.next() % 32),
        _ => rng.between(input.clip_lo.into(), input.clip_hi.into()) as i32,
    };
    (0..rows).flat_map(|_| inputs.iter().map(|input| item(input, rng)).collect::<Vec<_>>()).collect()
}

/// What the scalar executor makes of rows of features.
pub(crate) fn meant(snapshot: &Snapshot, features: &[i32]) -> Vec<i32> {
    let executable = Executable::new(snapshot.clone(), Executor::Scalar).expect("the scalar executor");
    executable.evaluate_rows(features)
}

/// The snapshots in `snapshot/golden`, by name. The crates that include this file lie two folders below the root.
pub(crate) fn golden_files() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../snapshot/golden");
    let files = std::fs::read_dir(folder).expect("the golden files");
    let paths = files.map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "snapshot")).collect();
    paths.sort();
    paths
}

/// Holds an executor to the golden vectors of every file: `evaluate` gives the results of rows of features.
pub(crate) fn gives_the_golden_results(mut evaluate: impl FnMut(&Snapshot, &[i32]) -> Vec<i32>) {
    let numbers = |text: &str| -> Vec<i32> {
        text.split_whitespace().map(|number| number.parse().expect("a number")).collect()
    };
    let mut count = 0;
    for path in golden_files() {
        let snapshot = Snapshot::decode(&std::fs::read(&path).expect("readable")).expect("decodes");
        let (mut features, mut results) = (Vec::new(), Vec::new());
        for line in std::fs::read_to_string(path.with_extension("txt")).expect("readable").lines() {
            let Some((row, rest)) = line.split_once('|').filter(|_| !line.starts_with('#')) else {
                continue;
            };
            features.extend(numbers(row));
            results.extend(numbers(rest.split('|').nth(1).expect("results")));
            count += 1;
        }
        assert_eq!(evaluate(&snapshot, &features), results, "{}", path.display());
    }
    assert!(count > 200, "{count} vectors");
}
