//! A learner: a training graph, the state that it moves, and ONNX Runtime to run it.
//!
//! A step either happens whole or not at all: when anything in the loss or in the new state is infinite or not a number,
//! the learner says so and its state is what it was.

mod batch;
mod error;
mod state;

#[cfg(test)]
mod tests;

pub use batch::{HeadBatch, Labels};
pub use error::LearnerError;
pub use state::State;

use crate::graph::{AdamOptions, Head, TrainingGraph};
use crate::network::Network;
use crate::ort_engine::{Engine, Input, Named};
use batch::Scratch;
use std::path::Path;

/// A network in training.
#[derive(Debug)]
pub struct Learner {
    graph: TrainingGraph,
    session: Named,
    state: State,
    /// Where the next state is collected, so that a refused one costs nothing.
    next: State,
    scratch: Scratch,
}

/// What a step says of itself; all of it is about the parameters *before* the step.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct StepReport {
    /// The head's loss over the batch.
    pub loss: f64,
    /// Euclidean norm of the gradient before any limit.
    pub grad_norm: Option<f64>,
    /// PPO: estimate of the divergence from the policy that acted, in nats.
    pub kl: Option<f64>,
    /// PPO: share of rows whose probability ratio is outside the clip.
    pub clip_fraction: Option<f64>,
    /// PPO and bandit policies: entropy of the policy, in nats.
    pub entropy: Option<f64>,
}

impl Learner {
    /// A learner that starts from `network`, by a training graph of Weir's own. A session costs about 5 ms.
    ///
    /// # Errors
    /// [`LearnerError::Graph`] when the head cannot train the network, [`LearnerError::Engine`] when ONNX Runtime fails.
    pub fn new(
        engine: &Engine,
        network: &Network,
        head: &Head,
        adam: AdamOptions,
    ) -> Result<Self, LearnerError> {
        Self::from_graph(engine, TrainingGraph::build(network, head, &adam)?, network)
    }

    /// A learner that starts from `network`, by this training graph.
    ///
    /// # Errors
    /// [`LearnerError::Shape`] when the graph is of a network of another shape, [`LearnerError::NotFinite`] when a
    /// weight is no finite f32, [`LearnerError::Engine`] when ONNX Runtime fails.
    pub fn from_graph(
        engine: &Engine,
        graph: TrainingGraph,
        network: &Network,
    ) -> Result<Self, LearnerError> {
        let state = start(&graph, network)?;
        let session = engine.open(graph.bytes())?;
        Ok(Self { graph, session, next: state.clone(), state, scratch: Scratch::default() })
    }

    /// A learner that starts from `network`, by a user's own training graph: [`TrainingGraph::read`].
    ///
    /// # Errors
    /// [`LearnerError::Graph`] when the file is no training graph for `network` and `head`; others as
    /// [`from_graph`](Self::from_graph).
    pub fn from_file(
        engine: &Engine,
        path: &Path,
        network: &Network,
        head: &Head,
    ) -> Result<Self, LearnerError> {
        Self::from_graph(engine, TrainingGraph::read(path, network, head)?, network)
    }

    /// One gradient step.
    ///
    /// # Errors
    /// [`LearnerError::Batch`] when the batch does not fit the head, [`LearnerError::NotFinite`] when the step leaves
    /// the finite numbers, [`LearnerError::Engine`] when ONNX Runtime fails. The state is then as before.
    pub fn step(&mut self, batch: &HeadBatch<'_>, learning_rate: f64) -> Result<StepReport, LearnerError> {
        if !(learning_rate.is_finite() && learning_rate >= 0.0) {
            return Err(LearnerError::LearningRate(learning_rate));
        }
        let report = self.run(batch, learning_rate as f32)?;
        std::mem::swap(&mut self.state, &mut self.next);
        Ok(report)
    }

    /// The loss over a batch, and what else a step would say; the state stays. As costly as a step.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn evaluate(&mut self, batch: &HeadBatch<'_>) -> Result<StepReport, LearnerError> {
        self.run(batch, 0.0)
    }

    /// The network as it is now.
    pub fn network(&self) -> Network {
        self.graph.layout().unpack(&self.state.parameters)
    }

    /// Starts over from another network of the same shape: Adam's means are zero again, and a trained log deviation is
    /// where the head starts it.
    ///
    /// # Errors
    /// As [`from_graph`](Self::from_graph).
    pub fn reset(&mut self, network: &Network) -> Result<(), LearnerError> {
        self.state = start(&self.graph, network)?;
        Ok(())
    }

    /// The flat vector of parameters; its order is that of `docs/training-graph.md`.
    pub fn parameters(&self) -> &[f32] {
        &self.state.parameters
    }

    /// Trained log deviations of a PPO policy, one for each action; empty where they are fixed.
    pub fn log_std(&self) -> &[f32] {
        self.graph.layout().log_std(&self.state.parameters)
    }

    /// All that a checkpoint needs.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Goes on from a checkpoint: later steps are bit for bit those that would have followed it.
    ///
    /// # Errors
    /// [`LearnerError::State`] when it is of another size, or not finite.
    pub fn restore(&mut self, state: State) -> Result<(), LearnerError> {
        let expected = self.graph.parameters();
        for vector in [&state.parameters, &state.mean, &state.square] {
            if vector.len() != expected {
                return Err(LearnerError::State { expected, found: vector.len() });
            }
        }
        state.check()?;
        self.state = state;
        Ok(())
    }

    /// The training graph.
    pub const fn graph(&self) -> &TrainingGraph {
        &self.graph
    }

    /// Runs the graph; the state after it is then in `next`.
    fn run(&mut self, batch: &HeadBatch<'_>, learning_rate: f32) -> Result<StepReport, LearnerError> {
        let Self { graph, session, state, next, scratch } = self;
        // A graph need not give all of the state: what it leaves out stays.
        next.clone_from(state);
        let rate = [learning_rate];
        let steps = [state.steps];
        let vectors: [(&str, &[f32]); 5] = [
            ("p", &state.parameters),
            ("m", &state.mean),
            ("v", &state.square),
            ("t", &steps),
            ("lr", &rate),
        ];
        let mut inputs: Vec<Input<'_>> =
            vectors.iter().map(|&(name, cells)| Input { name, cells, columns: None }).collect();
        inputs.extend(batch.tensors(graph.layout(), graph.head(), scratch)?);
        if batch.weights.is_some() && !graph.takes("weight") {
            let reason = "are given, but the training graph takes none".into();
            return Err(LearnerError::Batch { tensor: "weights", reason });
        }
        // A user's graph leaves out what it has no use for.
        inputs.retain(|input| graph.takes(input.name));
        let mut report = StepReport { loss: f64::NAN, ..StepReport::default() };
        session.run(&inputs, |name, cells| match name {
            "p_next" => copy("p_next", &mut next.parameters, cells),
            "m_next" => copy("m_next", &mut next.mean, cells),
            "v_next" => copy("v_next", &mut next.square, cells),
            name => {
                let &[value] = cells else {
                    return Err(LearnerError::Output { name: name.into(), expected: 1, found: cells.len() });
                };
                let number = f64::from(value);
                match name {
                    "t_next" => next.steps = value,
                    "loss" => report.loss = number,
                    "grad_norm" => report.grad_norm = Some(number),
                    "kl" => report.kl = Some(number),
                    "clip_fraction" => report.clip_fraction = Some(number),
                    "entropy" => report.entropy = Some(number),
                    _ => {}
                }
                Ok(())
            }
        })?;
        if !report.loss.is_finite() {
            return Err(LearnerError::NotFinite("the loss"));
        }
        next.check()?;
        Ok(report)
    }
}

fn start(graph: &TrainingGraph, network: &Network) -> Result<State, LearnerError> {
    let Some(parameters) = graph.layout().pack(network, graph.head()) else {
        return Err(LearnerError::Shape { expected: graph.layout().shape(), found: network.shape() });
    };
    let state = State::new(parameters);
    state.check()?;
    Ok(state)
}

fn copy(name: &'static str, into: &mut [f32], cells: &[f32]) -> Result<(), LearnerError> {
    if into.len() != cells.len() {
        return Err(LearnerError::Output { name: name.into(), expected: into.len(), found: cells.len() });
    }
    into.copy_from_slice(cells);
    Ok(())
}
