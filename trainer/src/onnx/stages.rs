//! From a row of operators to layers: constants fold into the weights next to them.
//!
//! The importer turns every node into one [`Stage`]. Here an elementwise affine stage merges into the linear layer
//! before it (when no activation stands between) or behind it; only where neither exists, for example a scaling
//! behind the last tanh, does it become a diagonal layer of its own.

use super::error::Refusal;
use crate::network::{Activation, Layer, Network, Output};
use weir_snapshot::{LAYERS, WIDTH_MAX};

/// One step of the computation on a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stage {
    /// `W x + b`, `W` row-major [outputs][inputs].
    Dense {
        /// Row-major weights.
        weights: Vec<f64>,
        /// One per output.
        bias: Vec<f64>,
    },
    /// `scale * x + offset`, element by element.
    Affine {
        /// One per element.
        scale: Vec<f64>,
        /// One per element.
        offset: Vec<f64>,
    },
    /// A non-linearity, element by element.
    Activation(Activation),
    /// Softmax over the row, or the index of its largest value.
    Last(Output),
}

/// Folds a row of stages on `inputs` values into a network.
pub(super) fn fold(inputs: usize, stages: &[&Stage]) -> Result<Network, Refusal> {
    let mut folding = Folding { width: inputs, layers: Vec::new(), pending: None, output: Output::Linear };
    for stage in stages {
        folding.take(stage)?;
    }
    let network = folding.finish()?;
    let finite = |layer: &Layer| layer.weights.iter().chain(&layer.bias).all(|w| w.is_finite());
    if !network.layers.iter().all(finite) {
        return Err(Refusal::NotFinite);
    }
    Ok(network)
}

struct Folding {
    width: usize,
    layers: Vec<Layer>,
    /// An affine stage that still looks for a linear layer behind it.
    pending: Option<(Vec<f64>, Vec<f64>)>,
    output: Output,
}

impl Folding {
    fn take(&mut self, stage: &Stage) -> Result<(), Refusal> {
        if self.output != Output::Linear {
            return self.behind_last(stage);
        }
        match stage {
            Stage::Dense { weights, bias } => {
                let mut layer = Layer {
                    inputs: self.width,
                    outputs: bias.len(),
                    weights: weights.clone(),
                    bias: bias.clone(),
                    activation: Activation::Identity,
                };
                if let Some((scale, offset)) = self.pending.take() {
                    // W (s x + o) + b = (W s) x + (W o + b)
                    layer.bias = layer.sums(&offset);
                    for row in layer.weights.chunks_exact_mut(layer.inputs) {
                        row.iter_mut().zip(&scale).for_each(|(w, s)| *w *= s);
                    }
                }
                self.push(layer)
            }
            Stage::Affine { scale, offset } => {
                self.affine(scale, offset);
                Ok(())
            }
            Stage::Activation(activation) => {
                self.flush()?;
                if !self.open_ended() {
                    self.push(diagonal(&vec![1.0; self.width], &vec![0.0; self.width]))?;
                }
                if let Some(layer) = self.layers.last_mut() {
                    layer.activation = *activation;
                }
                Ok(())
            }
            Stage::Last(output) => {
                self.output = *output;
                Ok(())
            }
        }
    }

    /// Softmax keeps the order, so ArgMax may follow it; nothing else may follow either.
    fn behind_last(&mut self, stage: &Stage) -> Result<(), Refusal> {
        match (self.output, stage) {
            (Output::Softmax, Stage::Last(Output::ArgMax)) => {
                self.output = Output::ArgMax;
                Ok(())
            }
            _ => Err(Refusal::Structure("Softmax and ArgMax must come last".into())),
        }
    }

    fn affine(&mut self, scale: &[f64], offset: &[f64]) {
        if self.open_ended() {
            // Behind a linear layer: s (W x + b) + o.
            if let Some(layer) = self.layers.last_mut() {
                for (row, s) in layer.weights.chunks_exact_mut(layer.inputs).zip(scale) {
                    row.iter_mut().for_each(|w| *w *= s);
                }
                for ((b, s), o) in layer.bias.iter_mut().zip(scale).zip(offset) {
                    *b = *b * s + o;
                }
            }
            return;
        }
        match &mut self.pending {
            Some((before_scale, before_offset)) => {
                for (((bs, bo), s), o) in before_scale.iter_mut().zip(before_offset).zip(scale).zip(offset) {
                    *bs *= s;
                    *bo = *bo * s + o;
                }
            }
            None => self.pending = Some((scale.to_vec(), offset.to_vec())),
        }
    }

    /// Whether the last thing is a linear layer that nothing follows yet.
    fn open_ended(&self) -> bool {
        self.pending.is_none()
            && self.layers.last().is_some_and(|layer| layer.activation == Activation::Identity)
    }

    fn flush(&mut self) -> Result<(), Refusal> {
        match self.pending.take() {
            Some((scale, offset)) => self.push(diagonal(&scale, &offset)),
            None => Ok(()),
        }
    }

    fn push(&mut self, layer: Layer) -> Result<(), Refusal> {
        if self.layers.len() == *LAYERS.end() {
            return Err(Refusal::TooMany { what: "layers", max: *LAYERS.end() });
        }
        self.width = layer.outputs;
        self.layers.push(layer);
        Ok(())
    }

    fn finish(mut self) -> Result<Network, Refusal> {
        self.flush()?;
        if self.layers.is_empty() {
            return Err(Refusal::Structure("the graph computes nothing: its output is its input".into()));
        }
        Ok(Network { layers: self.layers, output: self.output })
    }
}

/// The linear layer `scale * x + offset`. Its size is bounded: widths are checked when values are made.
fn diagonal(scale: &[f64], offset: &[f64]) -> Layer {
    let width = scale.len();
    debug_assert!(width <= WIDTH_MAX);
    let mut weights = vec![0.0; width * width];
    for (index, s) in scale.iter().enumerate() {
        weights[index * width + index] = *s;
    }
    Layer { inputs: width, outputs: width, weights, bias: offset.to_vec(), activation: Activation::Identity }
}
