//! Training graphs that a user brings: what is taken, and what is refused in one line.

use crate::graph::{AdamOptions, Head, Regression, TrainingGraph};
use crate::network::{Activation, Network};
use crate::onnx::proto::{AttributeProto, GraphProto, ModelProto, Opaque, TensorProto};
use crate::onnx::writer::int;
use crate::rng::Rng;
use crate::testing::cases::{case_of, heads};
use proptest::prelude::*;
use prost::Message;
use std::path::Path;

const MSE: Head = Head::Regression(Regression::Mse);

fn network(head: Head) -> Network {
    case_of(&[3, 1], &[Activation::Tanh], head, 1, &mut Rng::new(5)).network
}

fn built(head: Head) -> TrainingGraph {
    TrainingGraph::build(&network(head), &head, &AdamOptions::default()).unwrap()
}

fn read(bytes: &[u8], head: Head) -> Result<TrainingGraph, String> {
    TrainingGraph::from_bytes(bytes, Path::new("own.onnx"), &network(head), &head).map_err(|error| {
        let line = error.to_string();
        assert!(line.starts_with("own.onnx: ") && !line.contains('\n'), "{line}");
        line
    })
}

/// The refusal of a regression graph after a change.
fn spoilt(change: impl FnOnce(&mut GraphProto)) -> String {
    let mut model = ModelProto::decode(built(MSE).bytes()).unwrap();
    change(model.graph.as_mut().unwrap());
    read(&model.encode_to_vec(), MSE).unwrap_err()
}

#[test]
fn what_weir_writes_it_reads() {
    for head in heads() {
        assert!(read(built(head).bytes(), head) == Ok(built(head)), "{head:?}");
    }
}

#[test]
fn interfaces_that_are_not_one() {
    let dim = |graph: &mut GraphProto, input: usize, at: usize, size: Option<i64>| {
        let shape = graph.input[input].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().shape.as_mut();
        shape.unwrap().dim[at].dim_value = size;
    };
    // The inputs are p, m, v, t, lr, x, weight, y; the outputs start with p_next.
    let refusals = [
        (
            spoilt(|g| g.input[7].name = Some("target".into())),
            "input 'target' is none of p, m, v, t, lr, x, weight, y",
        ),
        (spoilt(|g| dim(g, 0, 0, Some(5))), "input 'p' has shape [5]; [4] is expected"),
        (spoilt(|g| dim(g, 5, 1, Some(4))), "input 'x' has shape [?, 4]; [batch, 3] is expected"),
        (spoilt(|g| dim(g, 5, 0, Some(64))), "input 'x' has shape [64, 3]; [batch, 3] is expected"),
        (
            spoilt(|g| {
                g.input[5].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().elem_type = Some(11)
            }),
            "is not float (f32)",
        ),
        (spoilt(|g| g.input[5].r#type = None), "input 'x' is not a tensor"),
        (spoilt(|g| drop(g.input.remove(3))), "input 't' is defined nowhere"),
        (spoilt(|g| g.input.push(g.input[0].clone())), "'p' is defined twice"),
        (spoilt(|g| drop(g.output.remove(0))), "has no graph input or output 'p_next'"),
        (
            spoilt(|g| g.output.retain(|o| o.name.as_deref() != Some("loss"))),
            "has no graph input or output 'loss'",
        ),
        (spoilt(|g| g.output[0].name = Some("weights".into())), "output 'weights' is none of p_next, m_next"),
        (spoilt(|g| g.node.retain(|n| n.output[0] != "loss")), "input 'loss' is defined nowhere"),
    ];
    for (line, expected) in refusals {
        assert!(line.contains(expected), "{line}");
    }
    let wide = case_of(&[4, 1], &[Activation::Tanh], MSE, 1, &mut Rng::new(5)).network;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.onnx");
    std::fs::write(&path, built(MSE).bytes()).unwrap();
    let line = TrainingGraph::read(&path, &wide, &MSE).unwrap_err().to_string();
    assert!(line.contains("'p' has shape [4]; [5] is expected"), "{line}");
    let line = TrainingGraph::read(&folder.path().join("none"), &wide, &MSE).unwrap_err().to_string();
    assert!(line.contains("cannot be read"), "{line}");
}

#[test]
fn nodes_and_constants_that_could_do_more_than_arithmetic() {
    let attribute = |r#type| AttributeProto { name: Some("body".into()), r#type, ..Default::default() };
    let elsewhere = || TensorProto {
        dims: vec![1],
        data_type: Some(1),
        name: Some("w".into()),
        external_data: vec![Opaque {}],
        data_location: Some(1),
        ..TensorProto::default()
    };
    let refusals = [
        (spoilt(|g| g.node[0].op_type = Some("Loop".into())), "operator not supported; supported: Abs, Add"),
        (spoilt(|g| g.node[0].op_type = Some("RandomNormal".into())), "operator not supported"),
        (spoilt(|g| g.node[0].domain = Some("com.microsoft".into())), "domain 'com.microsoft' not supported"),
        (spoilt(|g| g.node[0].attribute.push(attribute(Some(5)))), "attribute 'body' is neither a number"),
        (spoilt(|g| g.node[0].attribute.push(attribute(None))), "attribute 'body' is neither a number"),
        (spoilt(|g| g.initializer.push(elsewhere())), "external data"),
        (
            spoilt(|g| {
                g.node[0].attribute.push(AttributeProto { t: Some(elsewhere()), ..attribute(Some(4)) });
            }),
            "external data",
        ),
        (spoilt(|g| g.initializer[0].dims = vec![1 << 40]), "elements are supported"),
        (spoilt(|g| g.sparse_initializer.push(Opaque {})), "sparse"),
        (spoilt(|g| g.node.swap(0, 5)), "is used before the node that makes it"),
        (spoilt(|g| g.node[2].output = g.node[1].output.clone()), "is defined twice"),
        (spoilt(|g| g.node[1].input[0] = "nothing".into()), "'nothing' is defined nowhere"),
        (spoilt(|g| g.node.extend(vec![g.node[0].clone(); 2000])), "more than 1024 nodes"),
    ];
    for (line, expected) in refusals {
        assert!(line.contains(expected), "{line}");
    }
}

#[test]
fn onnx_runtime_gets_only_what_was_understood() {
    let plain = built(MSE);
    let mut model = ModelProto::decode(plain.bytes()).unwrap();
    let mut bytes = model.encode_to_vec();
    // Field 20 of the model, training_info, which this program does not read.
    bytes.extend([0xa2, 0x01, 0x02, 0x0a, 0x00]);
    assert_eq!(read(&bytes, MSE).unwrap().bytes(), plain.bytes());
    model.graph.as_mut().unwrap().node[0].attribute.push(int("unheard_of", 1));
    // An attribute that ONNX Runtime refuses is its affair.
    assert!(read(&model.encode_to_vec(), MSE).is_ok());
}

#[test]
fn every_truncation_is_refused() {
    let graph = built(MSE);
    // The operator set comes last in this encoding, so no proper prefix is complete.
    for length in (0..graph.bytes().len()).step_by(7) {
        assert!(read(&graph.bytes()[..length], MSE).is_err(), "{length}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn damaged_files_never_panic(changes in prop::collection::vec((0..4000usize, any::<u8>()), 1..8)) {
        let mut bytes = built(MSE).bytes().to_vec();
        for (at, value) in changes {
            let length = bytes.len();
            bytes[at % length] = value;
        }
        if let Ok(graph) = read(&bytes, MSE) {
            prop_assert!(graph.takes("p") && graph.takes("x"));
        }
    }
}
