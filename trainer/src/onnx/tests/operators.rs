//! What every operator of the closed set computes, against values worked out by hand.

use super::*;
use crate::network::{Activation, Layer, Network, Output};
use crate::onnx::export;

const ROW: [f64; 3] = [1.0, -2.0, 0.5];

fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{found:?} {expected:?}");
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() < 1e-6, "{found:?} against {expected:?}");
    }
}

#[test]
fn gemm_in_all_its_forms() {
    // x W + b with W = [[1, 2], [3, 4], [5, 6]]: 1 - 6 + 2.5 and 2 - 8 + 3.
    close(&gemm().evaluate(&ROW), &[-2.0, -3.5]);

    let mut scaled = gemm();
    scaled.graph().node[0] = node("Gemm", &["x", "w", "b"], &["y"]).float("alpha", 2.0).float("beta", -1.0);
    close(&scaled.evaluate(&ROW), &[-5.5, -5.5]);

    let transposed =
        File::new(vec![node("Gemm", &["x", "w", "b"], &["y"]).int("transB", 1).int("transA", 0)])
            .with(raw_floats("w", &[2, 3], &[1.0, 3.0, 5.0, 2.0, 4.0, 6.0]))
            .with(floats("b", &[1, 2], &[0.5, -0.5]));
    close(&transposed.evaluate(&ROW), &[-2.0, -3.5]);

    let no_bias = File::new(vec![node("Gemm", &["x", "w", ""], &["y"])]).with(floats(
        "w",
        &[3, 2],
        &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
    ));
    close(&no_bias.evaluate(&ROW), &[-2.5, -3.0]);

    let mut scalar_bias = no_bias.with(floats("b", &[], &[1.0]));
    scalar_bias.graph().node[0].input[2] = "b".into();
    close(&scalar_bias.evaluate(&ROW), &[-1.5, -2.0]);
}

#[test]
fn mat_mul_and_add_with_the_constant_on_either_side_are_one_layer() {
    for add in [node("Add", &["z", "b"], &["y"]), node("Add", &["b", "z"], &["y"])] {
        let file = File::new(vec![node("MatMul", &["x", "w"], &["z"]), add])
            .with(floats("w", &[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
            .with(floats("b", &[2], &[0.5, -0.5]));
        close(&file.evaluate(&ROW), &[-2.0, -3.5]);
        assert_eq!(file.import().unwrap().layers.len(), 1);
    }
}

#[test]
fn activations() {
    close(&single("Relu").evaluate(&ROW), &[1.0, 0.0, 0.5]);
    close(&single("Tanh").evaluate(&ROW), &ROW.map(f64::tanh));
    close(&single("Sigmoid").evaluate(&ROW), &ROW.map(|x| 1.0 / (1.0 + (-x).exp())));
    close(&single("LeakyRelu").evaluate(&ROW), &[1.0, -0.02, 0.5]);
    close(&single("HardSigmoid").evaluate(&ROW), &[0.7, 0.1, 0.6]);
    let leaky = File::new(vec![node("LeakyRelu", &["x"], &["y"]).float("alpha", 0.25)]);
    close(&leaky.evaluate(&ROW), &[1.0, -0.5, 0.5]);
    let hard = File::new(vec![node("HardSigmoid", &["x"], &["y"]).float("alpha", -1.0).float("beta", 0.0)]);
    close(&hard.evaluate(&ROW), &[0.0, 1.0, 0.0]);
}

#[test]
fn clip_takes_its_bounds_as_inputs_and_either_may_be_left_out() {
    let clip = |inputs: &[&str]| {
        File::new(vec![node("Clip", inputs, &["y"])]).with(floats("lo", &[], &[-1.0])).with(floats(
            "hi",
            &[1],
            &[0.75],
        ))
    };
    close(&clip(&["x", "lo", "hi"]).evaluate(&ROW), &[0.75, -1.0, 0.5]);
    close(&clip(&["x", "", "hi"]).evaluate(&ROW), &[0.75, -2.0, 0.5]);
    close(&clip(&["x", "lo"]).evaluate(&ROW), &[1.0, -1.0, 0.5]);
}

#[test]
fn normalisation_folds_into_the_layer_behind_it() {
    let file = File::new(vec![
        node("Sub", &["x", "mean"], &["c"]),
        node("Div", &["c", "deviation"], &["d"]),
        node("Mul", &["two", "d"], &["e"]),
        node("Sub", &["one", "e"], &["f"]),
        node("Gemm", &["f", "w"], &["y"]),
    ])
    .with(floats("mean", &[3], &[0.5, 0.5, 0.5]))
    .with(floats("deviation", &[1, 3], &[1.0, 2.0, 4.0]))
    .with(floats("two", &[], &[2.0]))
    .with(floats("one", &[1], &[1.0]))
    .with(floats("w", &[3, 1], &[1.0, 1.0, 1.0]));
    let network = file.import().unwrap();
    assert_eq!(network.shape(), "3-1");
    // 1 - 2 (0.5 / 1) + 1 - 2 (-2.5 / 2) + 1 - 2 (0 / 4)
    close(&network.evaluate(&ROW), &[0.0 + 3.5 + 1.0]);
}

#[test]
fn an_affine_map_behind_an_activation_becomes_a_layer_only_at_the_end() {
    let file = File::new(vec![node("Tanh", &["x"], &["t"]), node("Mul", &["t", "ten"], &["y"])])
        .with(floats("ten", &[], &[10.0]));
    assert_eq!(file.import().unwrap().shape(), "3-3-3");
    close(&file.evaluate(&ROW), &ROW.map(|x| 10.0 * x.tanh()));

    let mut inside = file.with(floats("w", &[3, 1], &[1.0, 2.0, 3.0]));
    inside.graph().node[1].output = vec!["u".into()];
    inside.graph().node.push(node("MatMul", &["u", "w"], &["y"]));
    assert_eq!(inside.import().unwrap().shape(), "3-3-1");
    let expected = 10.0 * (1.0_f64.tanh() + 2.0 * (-2.0_f64).tanh() + 3.0 * 0.5_f64.tanh());
    close(&inside.evaluate(&ROW), &[expected]);
}

#[test]
fn batch_normalization_and_dropout_fold_away() {
    let file = File::new(vec![
        node("Gemm", &["x", "w", "b"], &["z"]),
        node("BatchNormalization", &["z", "gain", "shift", "mean", "variance"], &["n"]).float("epsilon", 0.0),
        node("Dropout", &["n"], &["y", "mask"]),
    ])
    .with(floats("w", &[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
    .with(floats("b", &[2], &[0.5, -0.5]))
    .with(floats("gain", &[2], &[2.0, 1.0]))
    .with(floats("shift", &[2], &[0.0, 1.0]))
    .with(floats("mean", &[2], &[1.0, 0.5]))
    .with(floats("variance", &[2], &[4.0, 16.0]));
    assert_eq!(file.import().unwrap().layers.len(), 1);
    close(&file.evaluate(&ROW), &[2.0 * (-2.0 - 1.0) / 2.0, (-3.5 - 0.5) / 4.0 + 1.0]);
}

#[test]
fn reshapes_that_keep_the_matrix_are_nothing() {
    for shape in [[0, 3], [-1, 3], [0, -1], [0, 0], [-1, 0]] {
        let mut file = gemm().with(ints("shape", &shape));
        file.graph().node.insert(0, node("Reshape", &["x", "shape"], &["r"]));
        file.graph().node[1].input[0] = "r".into();
        close(&file.evaluate(&ROW), &[-2.0, -3.5]);
    }
    let mut flat = gemm();
    flat.graph().node.insert(0, node("Flatten", &["x"], &["r"]).int("axis", 1));
    flat.graph().node.push(node("Identity", &["z"], &["y"]));
    flat.graph().node[1].input[0] = "r".into();
    flat.graph().node[1].output[0] = "z".into();
    close(&flat.evaluate(&ROW), &[-2.0, -3.5]);

    let mut fixed = gemm().with(ints("shape", &[4, 3]));
    fixed.graph().input[0] = matrix("x", FLOAT, Some(4), 3);
    fixed.graph().node.insert(0, node("Reshape", &["x", "shape"], &["r"]));
    fixed.graph().node[1].input[0] = "r".into();
    close(&fixed.evaluate(&ROW), &[-2.0, -3.5]);
}

#[test]
fn graph_inputs_join_in_any_order_but_are_fed_in_the_files_order() {
    let mut file = File::new(vec![
        node("Concat", &["b", "a"], &["x"]).int("axis", 1),
        node("MatMul", &["x", "w"], &["y"]),
    ])
    .with(floats("w", &[3, 1], &[1.0, 10.0, 100.0]));
    file.graph().input = vec![matrix("a", FLOAT, None, 2), matrix("b", FLOAT, None, 1)];
    // Fed a0 a1 b0, joined b0 a0 a1.
    close(&file.evaluate(&[2.0, 3.0, 4.0]), &[4.0 + 20.0 + 300.0]);
}

#[test]
fn softmax_and_arg_max_come_last() {
    let mut file = gemm();
    file.graph().node[0].output[0] = "z".into();
    file.graph().node.push(node("Softmax", &["z"], &["y"]).int("axis", -1));
    let e = [(-2.0_f64).exp(), (-3.5_f64).exp()];
    close(&file.evaluate(&ROW), &[e[0] / (e[0] + e[1]), e[1] / (e[0] + e[1])]);

    file.graph().node[1].output[0] = "p".into();
    file.graph().node.push(node("ArgMax", &["p"], &["y"]).int("axis", 1).int("keepdims", 0));
    assert_eq!(file.import().unwrap().output, Output::ArgMax);
    close(&file.evaluate(&ROW), &[0.0]);
    close(&file.evaluate(&[1.0, 1.0, 1.0]), &[1.0]);
}

#[test]
fn doubles_constant_nodes_and_old_initialiser_inputs() {
    let weights = TensorProto {
        dims: vec![3, 1],
        data_type: Some(DOUBLE),
        double_data: vec![0.1, 0.2, 0.3],
        name: Some("w".into()),
        ..Default::default()
    };
    let raw = TensorProto {
        double_data: vec![],
        raw_data: Some([0.1, 0.2, 0.3_f64].iter().flat_map(|v| v.to_le_bytes()).collect()),
        ..weights.clone()
    };
    for tensor in [weights, raw] {
        let mut file = File::new(vec![
            node("Constant", &[], &["b"]).float("value_float", 0.5),
            node("Constant", &[], &["w"]).tensor("value", tensor.clone()),
            node("Gemm", &["x", "w", "b"], &["y"]),
        ]);
        file.graph().input[0] = matrix("x", DOUBLE, None, 3);
        let expected = 0.1 - 0.4 + 0.15 + 0.5;
        assert!((file.evaluate(&ROW)[0] - expected).abs() < 1e-15);

        let mut old = File::new(vec![node("MatMul", &["x", "w"], &["y"])]).with(tensor);
        old.graph().input.push(matrix("w", DOUBLE, None, 1));
        assert!((old.evaluate(&ROW)[0] + 0.15).abs() < 1e-15);
    }
}

#[test]
fn every_supported_operator_set_and_both_domains() {
    for version in super::super::OPSETS {
        close(&gemm().opset(version).evaluate(&ROW), &[-2.0, -3.5]);
    }
    let mut named = gemm();
    named.model.opset_import[0].domain = Some("ai.onnx".into());
    named.graph().node[0].domain = Some("ai.onnx".into());
    close(&named.evaluate(&ROW), &[-2.0, -3.5]);
}

#[test]
fn what_is_exported_imports_as_the_same_network() {
    let activations = [
        Activation::Tanh,
        Activation::Relu,
        Activation::Sigmoid,
        Activation::LeakyRelu { slope: 0.125 },
        Activation::Clip { lo: -1.0, hi: f64::INFINITY },
        Activation::HardSigmoid { alpha: 0.25, beta: 0.5 },
    ];
    let layer = |activation| Layer {
        inputs: 2,
        outputs: 2,
        weights: vec![0.5, -1.0, 2.0, 0.25],
        bias: vec![0.125, -0.5],
        activation,
    };
    for output in [Output::Linear, Output::Softmax, Output::ArgMax] {
        let mut layers: Vec<Layer> = activations.map(layer).to_vec();
        layers.push(layer(Activation::Identity));
        let network = Network { layers, output };
        let bytes = export(&network, "round-trip");
        assert_eq!(import_bytes(&bytes, Path::new("exported")).unwrap(), network);
    }
}
