//! One line for everything that is not understood, with the node and the reason in it.

use super::*;

#[track_caller]
fn refused(file: &File, parts: &[&str]) {
    let line = file.refusal();
    for part in parts {
        assert!(line.contains(part), "'{part}' is not in: {line}");
    }
}

/// `gemm()` with its node replaced.
fn instead(node: NodeProto) -> File {
    let mut file = gemm();
    file.graph().node[0] = node;
    file
}

#[test]
fn operators_outside_the_set_are_named_with_the_set() {
    refused(&single("Conv"), &["node 'Conv_1' (Conv): operator not supported; supported: Gemm, MatMul"]);
    let mut custom = single("Relu");
    custom.graph().node[0].domain = Some("com.microsoft".into());
    refused(&custom, &["node 'Relu_1' (Relu): operator of domain 'com.microsoft' not supported"]);
    let mut nameless = single("Conv");
    nameless.graph().node[0].name = None;
    refused(&nameless, &["node '#0' (Conv)"]);
    // Also where its result is not used: a skipped node may have been the point of the model.
    let mut unused = gemm();
    unused.graph().node.push(node("Exp", &["x"], &["e"]));
    refused(&unused, &["(Exp): operator not supported"]);
}

#[test]
fn attributes_must_be_known_and_supported() {
    refused(
        &instead(node("Gemm", &["x", "w"], &["y"]).int("transA", 1)),
        &["attribute 'transA' is 1; supported: 0"],
    );
    refused(
        &instead(node("Gemm", &["x", "w"], &["y"]).int("broadcast", 1)),
        &["attribute 'broadcast' is not one"],
    );
    refused(
        &instead(node("Gemm", &["x", "w"], &["y"]).int("alpha", 1)),
        &["attribute 'alpha' is not a float"],
    );
    refused(&instead(node("Gemm", &["x", "w"], &["y"]).float("alpha", f32::NAN)), &["'alpha' is NaN"]);
    refused(
        &instead(node("Gemm", &["x", "w"], &["y"]).float("transB", 1.0)),
        &["'transB' is not an integer"],
    );
    let twice = node("Gemm", &["x", "w"], &["y"]).float("alpha", 1.0).float("alpha", 2.0);
    refused(&instead(twice), &["attribute 'alpha' is given twice"]);
    refused(&instead(node("Clip", &["x"], &["y"]).float("min", 0.0)), &["(Clip)", "attribute 'min'"]);
    refused(&instead(node("Flatten", &["x"], &["y"]).int("axis", 0)), &["'axis' is 0; supported: 1 or -1"]);
    refused(&instead(node("Softmax", &["x"], &["y"]).int("axis", 0)), &["'axis' is 0"]);
    refused(&instead(node("ArgMax", &["x"], &["y"])), &["(ArgMax)", "'axis' is 0"]);
    refused(&instead(node("Concat", &["x", "x"], &["y"])), &["(Concat)", "attribute 'axis'"]);
    refused(&instead(node("LeakyRelu", &["x"], &["y"]).float("alpha", 1.5)), &["'alpha' is 1.5"]);
    let training = node("BatchNormalization", &["x", "w", "w", "w", "w"], &["y"]).int("training_mode", 1);
    refused(&instead(training), &["'training_mode' is 1"]);
    refused(&instead(node("Constant", &[], &["y"])), &["(Constant)", "0 attributes; one expected"]);
    refused(&instead(node("Constant", &[], &["y"]).int("value_float", 1)), &["'value_float' has type 2"]);
}

#[test]
fn shapes_must_fit() {
    refused(&gemm_on(4), &["node 'Gemm_1' (Gemm): weights of shape [3, 2] take 3 values, but the row has 4"]);
    let vector = instead(node("MatMul", &["x", "b"], &["y"]));
    refused(&vector, &["(MatMul): weights of shape [2]; a matrix is expected"]);
    let cube = File::new(vec![node("MatMul", &["x", "c"], &["y"])]).with(floats("c", &[1, 3, 1], &[1.0; 3]));
    refused(&cube, &["weights of shape [1, 3, 1]"]);
    let bias = gemm().with(floats("c", &[3], &[1.0; 3]));
    let mut bias = bias;
    bias.graph().node[0].input[2] = "c".into();
    refused(&bias, &["input 2 of shape [3] does not fit a row of 2"]);
    let column = File::new(vec![node("Add", &["x", "c"], &["y"])]).with(floats("c", &[3, 1], &[1.0; 3]));
    refused(&column, &["input 1 of shape [3, 1] does not fit a row of 3"]);
    let wide = File::new(vec![node("MatMul", &["x", "c"], &["y"])]).with(floats("c", &[3, 257], &[1.0; 771]));
    refused(&wide, &["more than 256 values in a row"]);
    for shape in [vec![3, -1], vec![-1], vec![1, 3], vec![0, 3, 1], vec![-1, -1], vec![0, 4]] {
        let file = File::new(vec![node("Reshape", &["x", "shape"], &["y"])]).with(ints("shape", &shape));
        refused(&file, &["(Reshape): reshapes [batch, 3] to", "only a reshape that keeps"]);
    }
}

fn gemm_on(width: i64) -> File {
    let mut file = gemm();
    file.graph().input[0] = matrix("x", FLOAT, None, width);
    file
}

#[test]
fn operands_must_be_constant_or_computed_as_the_operator_needs() {
    refused(&instead(node("Gemm", &["w", "w"], &["y"])), &["input 0 is constant"]);
    refused(&instead(node("Gemm", &["x", "x"], &["y"])), &["input 1 is computed"]);
    refused(&instead(node("Gemm", &["", "w"], &["y"])), &["input 0 is not given"]);
    refused(&instead(node("Gemm", &["x"], &["y"])), &["1 inputs; 2 or 3 expected"]);
    refused(&instead(node("Add", &["x", "x"], &["y"])), &["both operands are computed"]);
    refused(&instead(node("Add", &["b", "b"], &["y"])), &["both operands are constant"]);
    refused(&instead(node("Div", &["b", "x"], &["y"])), &["does not fit"]);
    let inverse = File::new(vec![node("Div", &["c", "x"], &["y"])]).with(floats("c", &[], &[1.0]));
    refused(&inverse, &["a constant divided by a computed value"]);
    let zero = File::new(vec![node("Div", &["x", "c"], &["y"])]).with(floats("c", &[], &[0.0]));
    refused(&zero, &["division by zero"]);
    let clip = File::new(vec![node("Clip", &["x", "lo", "hi"], &["y"])])
        .with(floats("lo", &[], &[1.0]))
        .with(floats("hi", &[], &[0.0]));
    refused(&clip, &["the lower bound 1 is above the upper bound 0"]);
    refused(&instead(node("Clip", &["x", "b"], &["y"])), &["a bound, is not one number"]);
    refused(&instead(node("Reshape", &["x", "x"], &["y"])), &["the new shape is not constant"]);
    refused(&instead(node("Dropout", &["x", "", "b"], &["y"])), &["training mode is not a constant false"]);
    let variance = File::new(vec![node("BatchNormalization", &["x", "p", "p", "p", "v"], &["y"])])
        .with(floats("p", &[3], &[1.0; 3]))
        .with(floats("v", &[3], &[1.0, -1.0, 1.0]));
    refused(&variance, &["a variance of -1"]);
    let late =
        File::new(vec![node("Tanh", &["x"], &["t"]), node("Concat", &["x", "t"], &["y"]).int("axis", 1)]);
    refused(&late, &["(Concat): input 1 is not a graph input"]);
    refused(&File::new(vec![node("Tanh", &["x"], &["y", "z"])]), &["(Tanh): 2 outputs; 1 expected"]);
}

#[test]
fn softmax_must_be_last() {
    let file = File::new(vec![node("Softmax", &["x"], &["p"]), node("Relu", &["p"], &["y"])]);
    refused(&file, &["Softmax and ArgMax must come last"]);
}

#[test]
fn names_must_be_defined_once_and_before_use() {
    refused(&instead(node("Gemm", &["x", "nowhere"], &["y"])), &["input 'nowhere' is defined nowhere"]);
    let cycle = File::new(vec![
        node("Relu", &["b"], &["a"]),
        node("Relu", &["a"], &["b"]),
        node("Relu", &["x"], &["y"]),
    ]);
    refused(&cycle, &["input 'b' is used before the node that makes it (a cycle, or nodes out of order)"]);
    refused(&instead(node("Relu", &["y"], &["y"])), &["input 'y' is used before"]);
    refused(&instead(node("Relu", &["x"], &["x"])), &["'x' is defined twice"]);
    refused(&gemm().with(floats("w", &[1], &[1.0])), &["'w' is defined twice"]);
    let mut inputs = gemm();
    inputs.graph().input.push(matrix("x", FLOAT, None, 3));
    refused(&inputs, &["'x' is defined twice"]);
    let mut output = gemm();
    output.graph().output[0].name = Some("z".into());
    refused(&output, &["input 'z' is defined nowhere"]);
    let mask = File::new(vec![node("Dropout", &["x"], &["d", "m"]), node("Relu", &["m"], &["y"])]);
    refused(&mask, &["input 'm' is used before"]);
}

#[test]
fn the_graph_has_float_inputs_and_one_output() {
    let mut file = gemm();
    file.graph().output.push(ValueInfoProto { name: Some("y".into()), r#type: None });
    refused(&file, &["the graph has 2 outputs; 1 expected"]);
    file.graph().output.clear();
    refused(&file, &["the graph has 0 outputs"]);
    let mut file = gemm();
    file.graph().input.clear();
    refused(&file, &["the graph has 0 inputs"]);
    file.graph().input = vec![matrix("x", INT64, None, 3)];
    refused(&file, &["graph input 'x' is not float or double"]);
    file.graph().input = vec![ValueInfoProto { name: Some("x".into()), r#type: None }];
    refused(&file, &["graph input 'x' is not a tensor"]);
    for width in [0, -1, 257, i64::MAX] {
        file.graph().input = vec![matrix("x", FLOAT, None, width)];
        refused(&file, &["graph input 'x' has", "features; supported: 1 to 256"]);
    }
    for batch in [0, -3] {
        file.graph().input = vec![matrix("x", FLOAT, Some(batch), 3)];
        refused(&file, &["graph input 'x' has a batch of"]);
    }
    file.graph().input = (0..2).map(|i| matrix(&format!("x{i}"), FLOAT, None, 200)).collect();
    refused(&file, &["more than 256 features in all graph inputs together"]);
    let mut file = gemm();
    file.graph().output[0].name = Some("w".into());
    refused(&file, &["the graph's output is a constant"]);
    refused(&single("Identity"), &["the graph computes nothing"]);
    let mut cube = gemm();
    let shape = cube.graph().input[0].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().shape.as_mut();
    shape.unwrap().dim.push(DimensionProto { dim_value: Some(1), dim_param: None });
    refused(&cube, &["graph input 'x' has 3 dimensions; [batch, features] is expected"]);
}

#[test]
fn file_level_features() {
    refused(&gemm().opset(10), &["operator set 10; supported: 11 to 21"]);
    refused(&gemm().opset(22), &["operator set 22"]);
    let mut file = gemm();
    file.model.opset_import[0].domain = Some("ai.onnx.ml".into());
    refused(&file, &["names no version of the standard operator set"]);
    let mut file = gemm();
    file.model.functions.push(Opaque {});
    refused(&file, &["uses model-local functions"]);
    let mut file = gemm();
    file.graph().sparse_initializer.push(Opaque {});
    refused(&file, &["uses sparse initialisers"]);
    let mut file = gemm();
    file.model.graph = None;
    refused(&file, &["holds no ONNX graph"]);
    let mut file = single("Relu");
    file.graph().node = (0..9)
        .map(|i| {
            let from = if i == 0 { "x".to_string() } else { format!("t{i}") };
            let to = if i == 8 { "y".to_string() } else { format!("t{}", i + 1) };
            node("Tanh", &[&from], &[&to])
        })
        .collect();
    refused(&file, &["more than 8 layers"]);
}

#[test]
fn tensors_must_hold_what_they_declare() {
    let with = |tensor: TensorProto| {
        let mut file = gemm();
        file.graph().initializer[0] = tensor;
        file
    };
    let good = floats("w", &[3, 2], &[1.0; 6]);
    refused(
        &with(TensorProto { float_data: vec![1.0; 5], ..good.clone() }),
        &["tensor 'w' declares 6 elements but holds 5"],
    );
    refused(
        &with(TensorProto { raw_data: Some(vec![0; 23]), ..good.clone() }),
        &["tensor 'w' declares 6 elements of 4 bytes but holds 23 bytes"],
    );
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let values = [1.0, 1.0, bad, 1.0, 1.0, 1.0];
        refused(
            &with(floats("w", &[3, 2], &values)),
            &["tensor 'w' holds", "at element 2; every value must be finite"],
        );
        refused(&with(raw_floats("w", &[3, 2], &values)), &["every value must be finite"]);
    }
    refused(
        &with(TensorProto { data_type: Some(10), ..good.clone() }),
        &["element type float16; supported: float"],
    );
    refused(&with(TensorProto { data_type: None, ..good.clone() }), &["element type undefined"]);
    refused(&with(TensorProto { data_location: Some(1), ..good.clone() }), &["external data", "refused"]);
    refused(&with(TensorProto { external_data: vec![Opaque {}], ..good.clone() }), &["external data"]);
    refused(&with(TensorProto { dims: vec![3, -2], ..good.clone() }), &["declares a dimension of -2"]);
    refused(&with(TensorProto { dims: vec![3, 0], ..good.clone() }), &["is empty"]);
    refused(&with(TensorProto { dims: vec![1; 9], ..good.clone() }), &["has 9 dimensions"]);
    // Ten gigabytes declared, none there; and a product that would overflow.
    refused(
        &with(TensorProto { dims: vec![50_000, 50_000], ..good.clone() }),
        &["declares shape [50000, 50000]"],
    );
    refused(&with(TensorProto { dims: vec![i64::MAX, i64::MAX], ..good.clone() }), &["declares shape"]);
    refused(&with(ints("w", &[1, 2])), &["input 1 is not float or double"]);
}

#[test]
fn finite_constants_whose_product_is_not() {
    let file = File::new(vec![
        node("Mul", &["x", "c"], &["a"]),
        node("Mul", &["a", "c"], &["b"]),
        node("MatMul", &["b", "w"], &["y"]),
    ]);
    let big = |name: &str, dims: Vec<i64>, count| TensorProto {
        dims,
        data_type: Some(DOUBLE),
        double_data: vec![1e300; count],
        name: Some(name.into()),
        ..Default::default()
    };
    refused(&file.with(big("c", vec![], 1)).with(big("w", vec![3, 1], 3)), &["folding constants gives"]);
}
