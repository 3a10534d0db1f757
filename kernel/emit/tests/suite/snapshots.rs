//! Emitted snapshots against the scalar executor.

use crate::cases::{self, decoded, features, meant};
use crate::cc::{Folder, run};
use crate::models::{Rng, Shape};
use weir_kernel_emit::{module_name, source};
use weir_snapshot::{Activation, Output, Parts, Precision, Snapshot};

const ROWS: usize = 10_000;

pub(crate) fn bytes(numbers: &[i32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

pub(crate) fn numbers(bytes: &[u8]) -> Vec<i32> {
    bytes.chunks_exact(4).map(|chunk| i32::from_le_bytes(chunk.try_into().expect("four"))).collect()
}

/// Twenty snapshots of each precision; the numbers of one are small.
pub(crate) fn twenty(precision: Precision) -> Vec<Snapshot> {
    let shapes = cases::twenty(precision).enumerate();
    shapes
        .map(|(at, shape)| {
            let mut parts = shape.parts();
            if at == 3 {
                shrink(&mut parts);
            }
            decoded(&parts)
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
    let folder = Folder::new();
    cases::gives_the_golden_results(|snapshot, features| {
        let text = source(snapshot, None).expect("the scalar executor");
        let program = folder.compile("evaluate", &[("snapshot.c", &text)]);
        numbers(&run(&program, &[], &bytes(features)))
    });
}

/// A module that holds its golden vectors against other numbers says so: the program's own check, as in the kernel.
#[test]
fn a_changed_weight_fails_the_golden_vectors() {
    let shape =
        Shape { precision: Precision::Bits8, output: Output::Linear, widths: vec![30, 32, 16, 1], seed: 0 };
    let snapshot = decoded(&shape.parts());
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
