//! Where each weight lies in the one flat vector of parameters.

use super::GraphError;
use super::head::{Bandit, Head, LogStd};
use crate::network::{Activation, Layer, Network, Output};

/// The shape of a network, and the order of its parameters: per layer the weights [in, out] row by row, then the bias;
/// after the last layer a trained log deviation, one for each output.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Layout {
    pub(super) layers: Vec<LayerShape>,
    pub(super) output: Output,
    /// Trained log deviations: as many as outputs, or none.
    pub(super) log_stds: usize,
}

/// One layer without its parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LayerShape {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) activation: Activation,
}

impl Layout {
    /// The layout of `network` under `head`.
    ///
    /// # Errors
    /// When the network is not one that the head can train.
    pub(crate) fn new(network: &Network, head: &Head) -> Result<Self, GraphError> {
        let mut width = network.inputs();
        for (index, layer) in network.layers.iter().enumerate() {
            let chained = layer.inputs == width && layer.inputs > 0 && layer.outputs > 0;
            let filled =
                layer.weights.len() == layer.inputs * layer.outputs && layer.bias.len() == layer.outputs;
            if !chained || !filled {
                return Err(GraphError::Layer(index + 1));
            }
            width = layer.outputs;
        }
        if network.layers.is_empty() {
            return Err(GraphError::Empty);
        }
        let outputs = network.outputs();
        match (head, network.output) {
            (_, Output::ArgMax) => return Err(GraphError::ArgMax),
            (Head::Bandit(Bandit::Actions { .. }), Output::Softmax) => {}
            (Head::Bandit(Bandit::Actions { .. }), Output::Linear) => {
                return Err(GraphError::Output { head: head.name(), expected: "a Softmax at the end" });
            }
            (_, Output::Softmax) => {
                return Err(GraphError::Output { head: head.name(), expected: "no Softmax at the end" });
            }
            (Head::Bandit(_), Output::Linear) if outputs != 1 => {
                return Err(GraphError::Output { head: head.name(), expected: "one output, the score" });
            }
            (_, Output::Linear) => {}
        }
        let trained = matches!(head, Head::Ppo(head) if matches!(head.log_std, LogStd::Trained { .. }));
        let shapes = network.layers.iter().map(|layer| LayerShape {
            inputs: layer.inputs,
            outputs: layer.outputs,
            activation: layer.activation,
        });
        Ok(Self {
            layers: shapes.collect(),
            output: network.output,
            log_stds: if trained { outputs } else { 0 },
        })
    }

    pub(crate) fn inputs(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.inputs)
    }

    pub(crate) fn outputs(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.outputs)
    }

    /// Widths of all layers, as in "30-32-16-1".
    pub(crate) fn shape(&self) -> String {
        let widths = self.layers.iter().map(|layer| layer.outputs);
        let all: Vec<String> = std::iter::once(self.inputs()).chain(widths).map(|w| w.to_string()).collect();
        all.join("-")
    }

    /// Length of the vector of parameters.
    pub(crate) fn parameters(&self) -> usize {
        self.layers.iter().map(|layer| (layer.inputs + 1) * layer.outputs).sum::<usize>() + self.log_stds
    }

    /// The parameters of a network of this shape; `None` when its shape is another one. Values round to f32.
    pub(crate) fn pack(&self, network: &Network, head: &Head) -> Option<Vec<f32>> {
        if Self::new(network, head).as_ref() != Ok(self) {
            return None;
        }
        let mut parameters = Vec::with_capacity(self.parameters());
        for layer in &network.layers {
            parameters.extend(layer.weights_by_input().map(|w| w as f32));
            parameters.extend(layer.bias.iter().map(|&b| b as f32));
        }
        if let Head::Ppo(head) = head
            && let LogStd::Trained { start } = head.log_std
        {
            parameters.extend(std::iter::repeat_n(start as f32, self.log_stds));
        }
        Some(parameters)
    }

    /// The network of these parameters, which must be as many as [`parameters`](Self::parameters).
    pub(crate) fn unpack(&self, parameters: &[f32]) -> Network {
        let mut rest = parameters;
        let mut layers = Vec::with_capacity(self.layers.len());
        for shape in &self.layers {
            let (weights, after) = rest.split_at(shape.inputs * shape.outputs);
            let (bias, after) = after.split_at(shape.outputs);
            rest = after;
            let by_output =
                (0..shape.outputs).flat_map(|o| weights.iter().skip(o).step_by(shape.outputs).copied());
            layers.push(Layer {
                inputs: shape.inputs,
                outputs: shape.outputs,
                weights: by_output.map(f64::from).collect(),
                bias: bias.iter().copied().map(f64::from).collect(),
                activation: shape.activation,
            });
        }
        Network { layers, output: self.output }
    }

    /// The trained log deviations in a vector of parameters; empty where there are none.
    pub(crate) fn log_std<'p>(&self, parameters: &'p [f32]) -> &'p [f32] {
        &parameters[parameters.len().saturating_sub(self.log_stds)..]
    }
}
