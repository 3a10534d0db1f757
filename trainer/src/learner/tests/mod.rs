//! Learners on ONNX Runtime, against the reference.

mod heads;
mod own_graph;
mod safety;

use super::*;
use crate::graph::{Bandit, LogStd, PpoHead, Regression};
use crate::network::{Activation, Layer, Output};
use crate::rng::Rng;
use crate::testing::cases::{Case, case, case_of, heads};
use crate::testing::engine;
use crate::testing::reference::Reference;

const WHAT: &str = "training graphs with their reference";

fn learner(engine: &Engine, case: &Case) -> Learner {
    Learner::new(engine, &case.network, &case.head, case.adam).unwrap()
}

/// A trainer's thread owns its learners.
#[test]
fn a_learner_can_move_to_another_thread() {
    fn send<T: Send>() {}
    send::<Learner>();
}
