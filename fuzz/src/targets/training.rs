//! `TrainingGraph::from_bytes`: a user's own training graph.

use super::Target;
use crate::protobuf;
use std::path::Path;
use weir_trainer::graph::{AdamOptions, Bandit, Head, LogStd, PpoHead, Regression, TrainingGraph};
use weir_trainer::network::{Activation, Layer, Network, Output};
use weir_trainer::rng::Rng;

const HEADS: [Head; 4] = [
    Head::Regression(Regression::Mse),
    Head::Ppo(PpoHead { clip: 0.2, entropy: 0.0, log_std: LogStd::Fixed(0.0) }),
    Head::Bandit(Bandit::Scorer { loss: Regression::Huber { delta: 1.0 }, cap: 10.0 }),
    Head::Bandit(Bandit::Options { options: 2, cap: 10.0, entropy: 0.1 }),
];

/// The input is a file; it is read for each head.
pub(crate) struct Training {
    network: Network,
    seeds: Vec<Vec<protobuf::Field>>,
}

impl Training {
    pub(crate) fn new() -> Training {
        let layer = |inputs, outputs, activation| Layer {
            inputs,
            outputs,
            weights: vec![0.5; inputs * outputs],
            bias: vec![0.25; outputs],
            activation,
        };
        let layers = vec![layer(3, 2, Activation::Tanh), layer(2, 1, Activation::Identity)];
        let network = Network { layers, output: Output::Linear };
        let file = |head| {
            let graph =
                TrainingGraph::build(&network, head, &AdamOptions::default()).expect("our own network");
            protobuf::read(graph.bytes()).expect("our own file")
        };
        let seeds = HEADS.iter().map(file).collect();
        Training { network, seeds }
    }
}

impl Target for Training {
    fn make(&self, rng: &mut Rng) -> Vec<u8> {
        protobuf::damaged(rng, &self.seeds, 0)
    }

    fn counts(&self) -> &'static str {
        "accepted"
    }

    fn check(&mut self, input: &[u8]) -> u64 {
        let mut accepted = 0;
        for head in &HEADS {
            match TrainingGraph::from_bytes(input, Path::new("fuzzed.onnx"), &self.network, head) {
                Ok(graph) => {
                    // What was understood is read the same again.
                    let again = TrainingGraph::from_bytes(
                        graph.bytes(),
                        Path::new("again.onnx"),
                        &self.network,
                        head,
                    );
                    assert!(again.is_ok_and(|again| again == graph));
                    accepted = 1;
                }
                Err(error) => {
                    let said = error.to_string();
                    assert!(!said.is_empty() && !said.contains('\n'), "expected one line, found {said:?}");
                }
            }
        }
        accepted
    }
}
