//! What has no training graph, and says why; and what stays the same.

use crate::graph::{AdamOptions, Bandit, GraphError, Head, LogStd, PpoHead, Regression, TrainingGraph};
use crate::network::{Activation, Network, Output};
use crate::rng::Rng;
use crate::testing::cases::{case_of, heads};

const MSE: Head = Head::Regression(Regression::Mse);

fn network() -> Network {
    case_of(&[3, 4, 2], &[Activation::Tanh; 2], MSE, 1, &mut Rng::new(1)).network
}

fn refusal(network: &Network, head: Head) -> String {
    TrainingGraph::build(network, &head, &AdamOptions::default()).unwrap_err().to_string()
}

#[test]
fn networks_that_a_head_cannot_train() {
    let mut index = network();
    index.output = Output::ArgMax;
    for head in heads() {
        assert!(refusal(&index, head).contains("ArgMax, which has no gradient"), "{head:?}");
    }
    let mut probabilities = network();
    probabilities.output = Output::Softmax;
    let actions = Head::Bandit(Bandit::Actions { cap: 1.0, entropy: 0.0 });
    assert!(TrainingGraph::build(&probabilities, &actions, &AdamOptions::default()).is_ok());
    for head in heads() {
        if !matches!(head, Head::Bandit(Bandit::Actions { .. })) {
            assert!(refusal(&probabilities, head).contains("no Softmax"), "{head:?}");
        }
    }
    assert!(refusal(&network(), actions).contains("bandit_actions needs a network with a Softmax"));
    let scorer = Head::Bandit(Bandit::Scorer { loss: Regression::Mse, cap: 1.0 });
    assert!(refusal(&network(), scorer).contains("one output"));
    assert!(refusal(&Network { layers: vec![], output: Output::Linear }, MSE).contains("without layers"));
    let mut broken = network();
    broken.layers[1].weights.pop();
    assert_eq!(TrainingGraph::build(&broken, &MSE, &AdamOptions::default()), Err(GraphError::Layer(2)));
    let mut broken = network();
    broken.layers[1].inputs = 5;
    assert!(refusal(&broken, MSE).contains("layer 2"));
}

#[test]
fn settings_out_of_range() {
    let ppo = |clip, entropy, log_std| Head::Ppo(PpoHead { clip, entropy, log_std: LogStd::Fixed(log_std) });
    let scored = |cap| Head::Bandit(Bandit::Scorer { loss: Regression::Mse, cap });
    for (head, setting) in [
        (ppo(0.0, 0.0, 0.0), "clip = 0"),
        (ppo(1.0, 0.0, 0.0), "clip = 1"),
        (ppo(f64::NAN, 0.0, 0.0), "clip = NaN"),
        (ppo(0.2, -0.1, 0.0), "entropy = -0.1"),
        (ppo(0.2, 0.0, f64::INFINITY), "log_std = inf"),
        (Head::Regression(Regression::Huber { delta: 0.0 }), "delta = 0"),
        (scored(0.5), "cap = 0.5"),
        (scored(f64::INFINITY), "cap = inf"),
        (Head::Bandit(Bandit::Options { options: 1, cap: 1.0, entropy: 0.0 }), "options = 1"),
    ] {
        let line = refusal(&network(), head);
        assert!(line.starts_with(setting), "{line}");
    }
    let usual = AdamOptions::default();
    for (adam, setting) in [
        (AdamOptions { beta1: 1.0, ..usual }, "beta1 = 1"),
        (AdamOptions { beta2: -0.1, ..usual }, "beta2 = -0.1"),
        (AdamOptions { epsilon: 0.0, ..usual }, "epsilon = 0"),
        (AdamOptions { grad_norm_max: Some(0.0), ..usual }, "grad_norm_max = 0"),
    ] {
        let line = TrainingGraph::build(&network(), &MSE, &adam).unwrap_err().to_string();
        assert!(line.starts_with(setting), "{line}");
    }
}

#[test]
fn the_file_depends_on_shape_head_and_settings_alone() {
    let usual = AdamOptions::default();
    for head in heads() {
        let of = |seed| case_of(&[3, 1], &[Activation::Sigmoid], head, 1, &mut Rng::new(seed)).network;
        let Ok(graph) = TrainingGraph::build(&of(1), &head, &usual) else { panic!("{head:?}") };
        assert_eq!(TrainingGraph::build(&of(2), &head, &usual).unwrap().bytes(), graph.bytes());
        assert_eq!(graph.hash().len(), 64);
        let limited = AdamOptions { grad_norm_max: Some(1.0), ..usual };
        assert_ne!(TrainingGraph::build(&of(1), &head, &limited).unwrap().hash(), graph.hash());
    }
}
