//! The same files in ONNX Runtime: what the importer understood is what the standard means.

use super::*;
use crate::ort_engine::{Engine, EngineError};
use crate::rng::Rng;
use crate::testing;

/// Output types are optional for the importer; ONNX Runtime wants them.
fn typed(mut file: File, elem_type: i32, width: i64) -> File {
    file.graph().output[0] = matrix("y", elem_type, None, width);
    file
}

fn chain(mut nodes: Vec<NodeProto>) -> File {
    for (index, node) in nodes.iter_mut().enumerate() {
        node.name = Some(format!("node {index}"));
    }
    File::new(nodes)
        .with(floats("w", &[3, 2], &[0.5, -1.0, 1.5, 0.25, -0.75, 1.0]))
        .with(floats("v", &[2, 3], &[0.5, -1.0, 1.5, 0.25, -0.75, 1.0]))
        .with(floats("b", &[2], &[0.3, -0.2]))
        .with(floats("s", &[1, 3], &[0.5, 2.0, -1.5]))
        .with(floats("c", &[], &[0.7]))
}

#[test]
fn every_operator_means_what_onnx_runtime_means() {
    let Some(engine) = testing::engine("the importer with ONNX Runtime") else { return };
    let mut files = Vec::new();
    for operator in ["Relu", "Tanh", "Sigmoid", "LeakyRelu", "HardSigmoid", "Softmax", "Identity"] {
        let nodes = vec![node("Gemm", &["x", "w", "b"], &["z"]), node(operator, &["z"], &["y"])];
        files.push((operator, typed(chain(nodes), FLOAT, 2)));
    }
    let nodes = vec![
        node("Gemm", &["x", "v", "b"], &["z"]).int("transB", 1).float("alpha", 0.5).float("beta", 2.0),
        node("Clip", &["z", "", "c"], &["y"]),
    ];
    files.push(("Gemm transB, Clip", typed(chain(nodes), FLOAT, 2)));
    for (operator, left) in [("Sub", true), ("Add", true), ("Mul", true), ("Sub", false), ("Div", false)] {
        let operands: [&str; 2] = if left { ["s", "x"] } else { ["x", "s"] };
        let nodes = vec![
            node(operator, &operands, &["n"]),
            node("MatMul", &["n", "w"], &["m"]),
            node("Add", &["b", "m"], &["y"]),
        ];
        files.push((operator, typed(chain(nodes), FLOAT, 2)));
    }
    let nodes = vec![
        node("BatchNormalization", &["x", "p", "p", "p", "p"], &["n"]),
        node("Dropout", &["n"], &["d"]),
        node("Flatten", &["d"], &["f"]),
        node("MatMul", &["f", "w"], &["y"]),
    ];
    files.push((
        "BatchNormalization",
        typed(chain(nodes).with(floats("p", &[3], &[0.5, 1.5, 2.5])), FLOAT, 2),
    ));
    let nodes = vec![node("Gemm", &["x", "w", "b"], &["z"]), node("ArgMax", &["z"], &["y"]).int("axis", -1)];
    files.push(("ArgMax", typed(chain(nodes), INT64, 1)));
    let nodes =
        vec![node("Concat", &["q", "p"], &["x"]).int("axis", -1), node("MatMul", &["x", "w"], &["y"])];
    let mut joined = typed(chain(nodes), FLOAT, 2);
    joined.graph().input = vec![matrix("p", FLOAT, None, 1), matrix("q", FLOAT, None, 2)];
    files.push(("Concat", joined));
    let mut fixed = typed(chain(vec![node("Gemm", &["x", "w", "b"], &["y"])]), FLOAT, 2);
    fixed.graph().input = vec![matrix("x", FLOAT, Some(4), 3)];
    fixed.graph().output = vec![matrix("y", FLOAT, Some(4), 2)];
    files.push(("fixed batch", fixed));

    let mut rng = Rng::new(11);
    let rows: Vec<Vec<f64>> =
        (0..50).map(|_| (0..3).map(|_| f64::from(rng.uniform(-3.0, 3.0) as f32)).collect()).collect();
    for (what, file) in files {
        let network = file.import().unwrap_or_else(|error| panic!("{what}: {error}"));
        let found = engine.evaluate(&file.bytes(), &rows).unwrap_or_else(|error| panic!("{what}: {error}"));
        for (row, theirs) in rows.iter().zip(found) {
            let ours = network.evaluate(row);
            assert_eq!(ours.len(), theirs.len(), "{what}");
            for (a, b) in ours.iter().zip(&theirs) {
                assert!((a - b).abs() < 1e-5, "{what} at {row:?}: {ours:?} against {theirs:?}");
            }
        }
    }
}

#[test]
fn a_library_that_is_not_the_pinned_one_is_not_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("libonnxruntime.so");
    assert!(matches!(Engine::load(Some(&path)), Err(EngineError::Missing(_))));
    std::fs::write(&path, b"something else").unwrap();
    let line = Engine::load(Some(&path)).unwrap_err().to_string();
    assert!(line.contains("SHA-256") && line.contains("not loaded"), "{line}");
}
