//! Networks as tables against the scalar executor.

use crate::models::{Rng, Shape, shapes};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use weir_snapshot::{Executable, Executor, InputParts, Output, Precision, Scratch, Snapshot, encode};

const ROWS: usize = 10_000;
const SHAPES: usize = 20;

/// Rows of the widest and deepest network that there is: half a million products each.
const ROWS_OF_THE_LARGEST: usize = 200;

/// Twenty shapes, some picked for what they must hold, the others drawn; and the largest.
fn twenty(precision: Precision) -> Vec<Snapshot> {
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
    let drawn = drawn.map(|shape| Shape { precision, ..shape });
    picked
        .chain(drawn)
        .take(SHAPES)
        .chain([Shape { precision, output: Output::Linear, widths: vec![256; 9], seed: 5 }])
        .map(|shape| Snapshot::decode(&encode(&shape.parts()).expect("valid parts")).expect("decodes"))
        .collect()
}

/// A feature at a bound, beside one, beyond one, or anywhere.
fn feature(input: &InputParts, rng: &mut Rng) -> i32 {
    match rng.next() % 8 {
        0 => input.clip_lo.saturating_sub(rng.between(0, 1) as i32),
        1 => input.clip_hi.saturating_add(rng.between(0, 1) as i32),
        2 => (rng.next() as i32) >> (rng.next() % 32),
        _ => rng.between(input.clip_lo.into(), input.clip_hi.into()) as i32,
    }
}

fn meant(snapshot: &Snapshot, features: &[i32]) -> Vec<i32> {
    let executable = Executable::new(snapshot.clone(), Executor::Scalar).expect("the scalar executor");
    let mut scratch = Scratch::new();
    let mut results = vec![0; features.len() / snapshot.inputs() * snapshot.outputs()];
    let rows = features.chunks_exact(snapshot.inputs());
    for (row, out) in rows.zip(results.chunks_exact_mut(snapshot.outputs())) {
        executable.evaluate(row, out, &mut scratch);
    }
    results
}

fn is_the_scalar_executor(test: &str, precision: Precision) {
    let Some(mut bench) = crate::bench(test) else { return };
    let mut activations = std::collections::HashSet::new();
    for (at, snapshot) in twenty(precision).iter().enumerate() {
        activations.extend(snapshot.layers().iter().map(|layer| std::mem::discriminant(&layer.activation)));
        let rng = &mut Rng(at as u64);
        let inputs = &snapshot.parts().inputs;
        let rows = if at < SHAPES { ROWS } else { ROWS_OF_THE_LARGEST };
        let features: Vec<i32> = (0..rows)
            .flat_map(|_| inputs.iter().map(|input| feature(input, rng)).collect::<Vec<_>>())
            .collect();
        let found = bench.evaluate(snapshot, &features).expect("runs");
        let meant = meant(snapshot, &features);
        assert_eq!(found.len(), meant.len(), "shape {at}");
        let differs = found.iter().zip(&meant).position(|(found, meant)| found != meant);
        assert_eq!(differs, None, "shape {at}, {}", snapshot.parts().output.name());
    }
    assert_eq!(activations.len(), 7, "all activations must come up");
}

#[test]
fn the_program_is_the_scalar_executor_8bit() {
    is_the_scalar_executor("bpf 8bit", Precision::Bits8);
}

#[test]
fn the_program_is_the_scalar_executor_12bit() {
    is_the_scalar_executor("bpf 12bit", Precision::Bits12);
}
