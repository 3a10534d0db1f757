//! `onnx::import_bytes`: a model file.

use super::Target;
use crate::{protobuf, seeds};
use std::path::Path;
use weir_trainer::network::{Activation, Layer, Network, Output};
use weir_trainer::onnx;
use weir_trainer::rng::Rng;

/// The input is a file.
pub(crate) struct Onnx {
    seeds: Vec<Vec<protobuf::Field>>,
}

impl Onnx {
    pub(crate) fn new() -> Onnx {
        let mut files = seeds::models();
        files.extend(small().iter().map(|network| onnx::export(network, "small")));
        Onnx { seeds: files.iter().map(|file| protobuf::read(file).expect("our own file")).collect() }
    }
}

/// A network for each activation and each output.
fn small() -> Vec<Network> {
    let activations = [
        Activation::Identity,
        Activation::Relu,
        Activation::LeakyRelu { slope: 0.1 },
        Activation::Tanh,
        Activation::Sigmoid,
        Activation::HardSigmoid { alpha: 0.2, beta: 0.5 },
        Activation::Clip { lo: -1.0, hi: 1.0 },
    ];
    let outputs = [Output::Linear, Output::Softmax, Output::ArgMax];
    let layer = |inputs, outputs, activation| Layer {
        inputs,
        outputs,
        weights: (0..inputs * outputs).map(|at| at as f64 / 8.0 - 0.5).collect(),
        bias: vec![0.25; outputs],
        activation,
    };
    let network = |(at, activation)| Network {
        layers: vec![layer(3, 4, activation), layer(4, 2, Activation::Identity)],
        output: outputs[at % 3],
    };
    activations.into_iter().enumerate().map(network).collect()
}

impl Target for Onnx {
    fn make(&self, rng: &mut Rng) -> Vec<u8> {
        protobuf::damaged(rng, &self.seeds, 1)
    }

    fn counts(&self) -> &'static str {
        "accepted"
    }

    fn check(&mut self, input: &[u8]) -> u64 {
        match onnx::import_bytes(input, Path::new("fuzzed.onnx")) {
            Ok(network) => {
                let row = vec![0.5; network.inputs()];
                assert_eq!(network.evaluate(&row).is_empty(), network.outputs() == 0);
                1
            }
            Err(error) => {
                let said = error.to_string();
                assert!(!said.is_empty() && !said.contains('\n'), "expected one line, found {said:?}");
                0
            }
        }
    }
}
