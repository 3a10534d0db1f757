use super::*;
use crate::spec::{ModelSpec, build};
use crate::testing;
use std::path::Path;
use weir_snapshot::Precision;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../conf/models/aurora.onnx");

#[test]
fn rows_are_seeded_and_stay_within_the_clips() {
    let built = build(&ModelSpec::pacing("aurora", Path::new(FILE), Precision::Bits8)).unwrap();
    let found = rows(&built.inputs, 3, 1000, 3);
    assert_eq!(found, rows(&built.inputs, 3, 1000, 3));
    assert_ne!(found, rows(&built.inputs, 3, 1000, 4));
    for row in &found {
        for (map, &cell) in built.inputs.iter().zip(row) {
            let value = f64::from(cell) / f64::from(ONE);
            assert!((map.clip[0]..=map.clip[1]).contains(&value));
        }
    }
    // Uniform rows spread over half the clip on average between neighbours; realistic ones hardly move.
    let unrest = |row: &[i32]| -> f64 {
        row.chunks(3).zip(row.chunks(3).skip(1)).map(|(a, b)| f64::from(a[1] - b[1]).abs()).sum()
    };
    assert!(unrest(&found[1]) < unrest(&found[0]) / 5.0);
}

#[test]
fn mean_percentile_and_maximum() {
    let found: Vec<Vec<f64>> = (0..200).map(|i| vec![f64::from(i)]).collect();
    let expected = vec![vec![0.0]; 200];
    let all = errors(&found, &expected);
    assert_eq!((all.mean, all.p99, all.max), (99.5, 197.0, 199.0));
    assert_eq!(all.output_deviation, 0.0);
    assert_eq!(deviation(&[vec![1.0, 5.0], vec![3.0, 5.0]]), 0.5_f64.sqrt());
}

#[test]
fn the_shipped_model_agrees_with_float_and_with_onnx_runtime() {
    let model = std::fs::read(FILE).unwrap();
    for (precision, share) in [(Precision::Bits8, 0.02), (Precision::Bits12, 0.002)] {
        let built = build(&ModelSpec::pacing("aurora", Path::new(FILE), precision)).unwrap();
        let rows = rows(&built.inputs, 3, 2000, 9);
        let engine = testing::engine("the shipped model's integers with ONNX Runtime")
            .ok_or_else(|| EngineError::Missing("nowhere".into()));
        let report =
            verify(&built.snapshot, &built.network, &built.inputs, &rows, (&model, &[]), engine).unwrap();
        assert!(report.float.mean < share * report.float.output_deviation, "{report}");
        match report.runtime {
            Ok(runtime) => {
                assert!(runtime.float.max < 1e-4, "{}", runtime.float);
                assert!(
                    runtime.integers.mean < share * runtime.integers.output_deviation,
                    "{}",
                    runtime.integers
                );
            }
            Err(_) => {
                assert!(report.to_string().contains("not compared with ONNX Runtime: no ONNX Runtime at"))
            }
        }
    }
}

#[test]
fn a_snapshot_of_another_network_is_refused() {
    let built = build(&ModelSpec::pacing("aurora", Path::new(FILE), Precision::Bits8)).unwrap();
    let mut other = built.network.clone();
    other.layers.remove(0);
    let line = quantisation_error(&built.snapshot, &other, &built.inputs, &[]).unwrap_err().to_string();
    assert_eq!(line, "the snapshot has 30 inputs, the model 32");
}
