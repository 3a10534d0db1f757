//! Networks as tables against the scalar executor.

use crate::cases::{self, decoded, features, meant};
use crate::models::{Rng, Shape};
use weir_snapshot::{Output, Precision, Snapshot};

const ROWS: usize = 10_000;

/// Rows of the widest and deepest network that there is: half a million products each.
const ROWS_OF_THE_LARGEST: usize = 200;

/// Twenty snapshots, and the largest.
fn snapshots(precision: Precision) -> Vec<Snapshot> {
    let largest = Shape { precision, output: Output::Linear, widths: vec![256; 9], seed: 5 };
    cases::twenty(precision).chain([largest]).map(|shape| decoded(&shape.parts())).collect()
}

fn is_the_scalar_executor(test: &str, precision: Precision) {
    let Some(mut bench) = crate::bench(test) else { return };
    let mut activations = std::collections::HashSet::new();
    let snapshots = snapshots(precision);
    for (at, snapshot) in snapshots.iter().enumerate() {
        activations.extend(snapshot.layers().iter().map(|layer| std::mem::discriminant(&layer.activation)));
        let rows = if at + 1 < snapshots.len() { ROWS } else { ROWS_OF_THE_LARGEST };
        let features = features(snapshot, rows, &mut Rng(at as u64));
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

/// The files in snapshot/golden, which pin the arithmetic for every executor outside of that crate.
#[test]
fn the_program_gives_the_golden_results() {
    let Some(mut bench) = crate::bench("bpf golden") else { return };
    cases::gives_the_golden_results(|snapshot, features| bench.evaluate(snapshot, features).expect("runs"));
}
