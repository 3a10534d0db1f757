//! A user's own training graph: least squares by plain gradient descent, no optimiser state, no row weights.

use super::*;
use crate::onnx::proto;
use crate::onnx::writer::{Dimension, Writer, int, tensor};
use std::path::PathBuf;

const MSE: Head = Head::Regression(Regression::Mse);

fn network() -> Network {
    let layer = Layer {
        inputs: 1,
        outputs: 1,
        weights: vec![0.5],
        bias: vec![0.25],
        activation: Activation::Identity,
    };
    Network { layers: vec![layer], output: Output::Linear }
}

/// `y = w x + b`; loss and gradient of the mean square error; `p_next = p - lr * g`. `next` makes `p_next` of that.
fn file(folder: &tempfile::TempDir, next: (&str, &[&str])) -> PathBuf {
    let mut writer = Writer::default();
    let mut node = |operator: &str, inputs: &[&str], transposed: bool, output: &str| {
        let attributes = if transposed { vec![int("transA", 1)] } else { vec![] };
        let inputs = inputs.iter().map(|input| input.to_string()).collect();
        writer.node(operator, inputs, attributes, output);
    };
    node("Split", &["p", "lengths"], false, "w");
    node("Reshape", &["w", "one_by_one"], false, "w1");
    node("Gemm", &["x", "w1", "b"], false, "predicted");
    node("Sub", &["predicted", "y"], false, "e");
    node("Mul", &["e", "e"], false, "square");
    node("ReduceMean", &["square"], false, "mean");
    node("Reshape", &["mean", "one"], false, "loss");
    node("Shape", &["e"], false, "shape");
    node("ReduceProd", &["shape"], false, "count");
    node("Cast", &["count"], false, "n");
    node("Gemm", &["x", "e"], true, "gw");
    node("ReduceSum", &["e", "axis"], false, "gb");
    node("Concat", &["gw", "gb"], false, "g");
    node("Div", &["g", "n"], false, "g_mean");
    node("Mul", &["g_mean", "two_lr"], false, "change");
    node("Mul", &["lr", "two"], false, "two_lr");
    node("Reshape", &["change", "pair"], false, "flat");
    node("Sub", &["p", "flat"], false, "after");
    node(next.0, next.1, false, "p_next");
    writer.nodes.swap(14, 15);
    writer.nodes[0].output.push("b".into());
    writer.nodes[9].attribute.push(int("to", 1));
    writer.nodes[12].attribute.push(int("axis", 0));
    writer.ints("lengths", &[1, 1]);
    writer.ints("one_by_one", &[1, 1]);
    writer.ints("one", &[1]);
    writer.ints("axis", &[0]);
    writer.ints("pair", &[2]);
    writer.floats("two", vec![1], vec![2.0]);
    let vector = |name, length| tensor(name, proto::FLOAT, &[Dimension::Fixed(length)]);
    let column = |name| tensor(name, proto::FLOAT, &[Dimension::Symbol("rows"), Dimension::Fixed(1)]);
    let inputs = vec![vector("p", 2), vector("lr", 1), column("x"), column("y")];
    let bytes = writer.finish("least squares", inputs, vec![vector("p_next", 2), vector("loss", 1)]);
    let path = folder.path().join("own.onnx");
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn it_trains_by_its_own_rule() {
    let Some(engine) = engine(WHAT) else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, ("Identity", &["after"]));
    let mut learner = Learner::from_file(&engine, &path, &network(), &MSE).unwrap();
    let (inputs, targets) = ([1.0, 2.0, -1.0, 0.5], [-1.0, -3.0, 3.0, 0.0]);
    let batch = HeadBatch { inputs: &inputs, labels: Labels::Targets { targets: &targets }, weights: None };
    let first = learner.step(&batch, 0.1).unwrap();
    // Errors 1.75, 4.25, -3.25, 0.5.
    assert!((first.loss - 31.9375 / 4.0).abs() < 1e-5, "{first:?}");
    assert_eq!(first.grad_norm, None);
    // w - 0.1 * 2 * mean(e x), b - 0.1 * 2 * mean(e)
    let expected = [0.5 - 0.2 * 13.75 / 4.0, 0.25 - 0.2 * 3.25 / 4.0];
    for (found, expected) in learner.parameters().iter().zip(expected) {
        assert!((f64::from(*found) - expected).abs() < 1e-6, "{found} {expected}");
    }
    for _ in 0..200 {
        learner.step(&batch, 0.1).unwrap();
    }
    let network = learner.network();
    assert!((network.evaluate(&[3.0])[0] + 5.0).abs() < 1e-3, "y = 1 - 2 x");
    // What the graph does not have stays as it was put.
    let kept = State { mean: vec![1.0, 2.0], steps: 7.0, ..learner.state().clone() };
    learner.restore(kept.clone()).unwrap();
    for _ in 0..3 {
        learner.step(&batch, 0.1).unwrap();
    }
    assert_eq!((&learner.state().mean, learner.state().steps), (&kept.mean, 7.0));
    let weighted = HeadBatch { weights: Some(&[1.0; 4]), ..batch };
    let line = learner.step(&weighted, 0.1).unwrap_err().to_string();
    assert!(line.contains("weights are given, but the training graph takes none"), "{line}");
}

#[test]
fn what_it_promised_and_does_not_keep_changes_nothing() {
    let Some(engine) = engine(WHAT) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (inputs, targets) = ([1.0, 2.0], [1.0, 2.0]);
    let batch = HeadBatch { inputs: &inputs, labels: Labels::Targets { targets: &targets }, weights: None };
    let attempt = |next: (&str, &[&str])| {
        let path = file(&folder, next);
        let mut learner = match Learner::from_file(&engine, &path, &network(), &MSE) {
            Ok(learner) => learner,
            Err(error) => return error.to_string(),
        };
        let before = learner.state().clone();
        let line = learner.step(&batch, 0.1).unwrap_err().to_string();
        assert_eq!(learner.state(), &before);
        assert!(!line.contains('\n'), "{line}");
        line
    };
    // The square root of a negative number; a vector that grows with the batch; integers.
    assert!(attempt(("Sqrt", &["flat"])).contains("would not be finite"));
    let line = attempt(("Concat", &["after", "after"]));
    assert!(line.contains("ONNX Runtime: ") || line.contains("4 elements, not 2"), "{line}");
    assert!(attempt(("Shape", &["square"])).contains("ONNX Runtime: "));
    assert!(attempt(("Sqrt", &["after", "after"])).contains("ONNX Runtime: "));
}
