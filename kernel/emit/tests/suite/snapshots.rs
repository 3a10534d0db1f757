//! Emitted snapshots against the scalar executor.

use crate::cc::{Folder, run};
use crate::models::{Rng, Shape, shapes};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::path::PathBuf;
use weir_kernel_emit::{module_name, source};
use weir_snapshot::{Activation, Executable, Executor, Output, Parts, Precision, Scratch, Snapshot, encode};

const ROWS: usize = 10_000;

/// Features around every bound of each input, and of every magnitude.
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

/// What the scalar executor makes of them.
pub(crate) fn meant(snapshot: &Snapshot, features: &[i32]) -> Vec<i32> {
    let executable = Executable::new(snapshot.clone(), Executor::Scalar).expect("the scalar executor");
    let mut scratch = Scratch::new();
    let mut results = vec![0; features.len() / snapshot.inputs() * snapshot.outputs()];
    let rows = features.chunks_exact(snapshot.inputs());
    for (row, out) in rows.zip(results.chunks_exact_mut(snapshot.outputs())) {
        executable.evaluate(row, out, &mut scratch);
    }
    results
}

pub(crate) fn bytes(numbers: &[i32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

pub(crate) fn numbers(bytes: &[u8]) -> Vec<i32> {
    bytes.chunks_exact(4).map(|chunk| i32::from_le_bytes(chunk.try_into().expect("four"))).collect()
}

/// Twenty shapes of each precision: the first few picked for what they must hold, the others drawn.
pub(crate) fn twenty(precision: Precision) -> Vec<Snapshot> {
    let picked = [
        (vec![30, 32, 16, 1], Output::Linear),
        (vec![256, 256, 3], Output::Softmax),
        (vec![1, 1], Output::Linear),
        (vec![11, 16, 8, 4], Output::ArgMax),
    ];
    let picked =
        picked.into_iter().zip(0..).map(|((widths, output), seed)| Shape { precision, output, widths, seed });
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[precision.weight_max() as u8; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let drawn = std::iter::repeat_with(|| shapes().new_tree(&mut runner).expect("a shape").current());
    picked
        .chain(drawn.map(|shape| Shape { precision, ..shape }))
        .take(20)
        .enumerate()
        .map(|(at, shape)| {
            let mut parts = shape.parts();
            if at == 3 {
                shrink(&mut parts);
            }
            Snapshot::decode(&encode(&parts).expect("valid parts")).expect("decodes")
        })
        .collect()
}

/// Makes the numbers so small that four sums share a word.
fn shrink(parts: &mut Parts) {
    for layer in &mut parts.layers {
        layer.weights.iter_mut().for_each(|weight| *weight %= 2);
        layer.bias.iter_mut().for_each(|bias| *bias %= 100);
        layer.shift.iter_mut().for_each(|shift| *shift = (*shift).clamp(0, 1));
    }
}

fn emitted_c_is_the_scalar_executor(precision: Precision) {
    let folder = Folder::new();
    let mut activations = std::collections::HashSet::new();
    let mut lanes = std::collections::HashSet::new();
    for (at, snapshot) in twenty(precision).iter().enumerate() {
        let text = source(snapshot, None).expect("the scalar executor");
        activations.extend(snapshot.layers().iter().map(|layer| std::mem::discriminant(&layer.activation)));
        lanes.extend(["WEIR_W4(", "WEIR_W3(", "WEIR_W2("].into_iter().filter(|l| text.contains(l)));
        let program = folder.compile("evaluate", &[("snapshot.c", &text)]);
        let features = features(snapshot, ROWS, &mut Rng(at as u64));
        let found = numbers(&run(&program, &[], &bytes(&features)));
        let meant = meant(snapshot, &features);
        assert_eq!(found.len(), meant.len(), "shape {at}");
        let differs = found.iter().zip(&meant).position(|(found, meant)| found != meant);
        assert_eq!(differs, None, "shape {at}, {}", snapshot.parts().output.name());
    }
    let all = std::mem::discriminant(&Activation::Identity);
    assert!(
        activations.contains(&all) && activations.len() == 7,
        "{} activations came up",
        activations.len()
    );
    // Of 12-bit layers hardly any holds between 2^15 and 2^20.
    let expected = match precision {
        Precision::Bits8 => 3,
        Precision::Bits12 => 2,
    };
    assert!(lanes.len() >= expected, "{lanes:?} came up");
}

#[test]
fn emitted_c_is_the_scalar_executor_8bit() {
    emitted_c_is_the_scalar_executor(Precision::Bits8);
}

#[test]
fn emitted_c_is_the_scalar_executor_12bit() {
    emitted_c_is_the_scalar_executor(Precision::Bits12);
}

/// The files in snapshot/golden, which pin the arithmetic for every executor outside of that crate.
#[test]
fn emitted_c_gives_the_golden_results() {
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../snapshot/golden");
    let folder = Folder::new();
    let mut count = 0;
    for entry in std::fs::read_dir(golden).expect("the golden files") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "snapshot") {
            continue;
        }
        let snapshot = Snapshot::decode(&std::fs::read(&path).expect("readable")).expect("decodes");
        let text = source(&snapshot, None).expect("the scalar executor");
        let program = folder.compile("evaluate", &[("snapshot.c", &text)]);
        for line in std::fs::read_to_string(path.with_extension("txt")).expect("readable").lines() {
            let Some((features, rest)) = line.split_once('|').filter(|_| !line.starts_with('#')) else {
                continue;
            };
            let parse = |text: &str| -> Vec<i32> {
                text.split_whitespace().map(|number| number.parse().expect("a number")).collect()
            };
            let results = rest.split('|').nth(1).expect("results");
            assert_eq!(
                numbers(&run(&program, &[], &bytes(&parse(features)))),
                parse(results),
                "{}",
                path.display()
            );
            count += 1;
        }
    }
    assert!(count > 200, "{count} vectors");
}

/// A module that holds its golden vectors against other numbers says so: the program's own check, as in the kernel.
#[test]
fn a_changed_weight_fails_the_golden_vectors() {
    let shape =
        Shape { precision: Precision::Bits8, output: Output::Linear, widths: vec![30, 32, 16, 1], seed: 0 };
    let snapshot = Snapshot::decode(&encode(&shape.parts()).expect("valid parts")).expect("decodes");
    let text = source(&snapshot, None).expect("the scalar executor");
    assert_eq!(module_name(&snapshot), "weir_snap_random");
    let folder = Folder::new();
    assert!(run(&folder.compile("evaluate", &[("snapshot.c", &text)]), &[], &[]).is_empty());
    let at = text.find("golden_results[").expect("the results");
    let at = at + text[at..].find('\t').expect("the first") + 1;
    let mut broken = text.clone();
    broken.insert_str(at, "1 + ");
    let program = folder.compile("evaluate", &[("snapshot.c", &broken)]);
    let status = std::process::Command::new(program).stdin(std::process::Stdio::null()).status();
    assert_eq!(status.expect("runs").code(), Some(1));
}
