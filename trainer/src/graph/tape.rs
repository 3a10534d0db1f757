//! Builds a graph forwards and remembers how, so that the gradient can be appended to it backwards.
//!
//! Differentiation happens when the file is written, not when it runs: each operator that was used is followed, in
//! reverse order, by the nodes of its rule in [`super::rules`]. A gradient has the shape of the value that it is by.

use super::nodes::{Shape, Tape, Value};
use crate::network::Activation;
use crate::onnx::writer::int;

/// How a value came about, for the way back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Rule {
    /// `a b + c`; `c` may be left out.
    Gemm,
    /// The mean of a column by weights that sum to one.
    Mean {
        weights: Value,
    },
    Add,
    Sub,
    Mul,
    Min,
    Activation(Activation),
    Exp,
    /// Along each row.
    LogSoftmax,
    Reshape,
}

/// One differentiable node.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) rule: Rule,
    pub(super) inputs: Vec<Value>,
    pub(super) output: Value,
}

impl Tape {
    /// `a b + c`
    pub(super) fn gemm(&mut self, a: Value, b: Value, c: Option<Value>) -> Value {
        let output = self.product(a, b, c, (false, false));
        let inputs = [a, b].into_iter().chain(c).collect();
        self.record(Rule::Gemm, inputs, output)
    }

    /// The mean of a column over the batch: `weights' column`, with weights that sum to one.
    pub(super) fn mean(&mut self, column: Value, weights: Value) -> Value {
        let output = self.product(weights, column, None, (true, false));
        self.record(Rule::Mean { weights }, vec![column], output)
    }

    pub(super) fn add(&mut self, a: Value, b: Value) -> Value {
        let output = self.elementwise("Add", &[a, b]);
        self.record(Rule::Add, vec![a, b], output)
    }

    pub(super) fn sub(&mut self, a: Value, b: Value) -> Value {
        let output = self.elementwise("Sub", &[a, b]);
        self.record(Rule::Sub, vec![a, b], output)
    }

    pub(super) fn mul(&mut self, a: Value, b: Value) -> Value {
        let output = self.elementwise("Mul", &[a, b]);
        self.record(Rule::Mul, vec![a, b], output)
    }

    pub(super) fn min(&mut self, a: Value, b: Value) -> Value {
        let output = self.elementwise("Min", &[a, b]);
        self.record(Rule::Min, vec![a, b], output)
    }

    pub(super) fn exp(&mut self, x: Value) -> Value {
        let output = self.elementwise("Exp", &[x]);
        self.record(Rule::Exp, vec![x], output)
    }

    pub(super) fn activation(&mut self, activation: Activation, x: Value) -> Value {
        if activation == Activation::Identity {
            return x;
        }
        let output = self.activated(activation, x);
        self.record(Rule::Activation(activation), vec![x], output)
    }

    pub(super) fn log_softmax(&mut self, x: Value) -> Value {
        let output = self.node("LogSoftmax", &[x], vec![int("axis", -1)], self.shape(x));
        self.record(Rule::LogSoftmax, vec![x], output)
    }

    pub(super) fn reshape(&mut self, x: Value, shape: Shape) -> Value {
        let output = self.reshaped(x, shape);
        self.record(Rule::Reshape, vec![x], output)
    }

    /// Appends the gradient of a scalar by each of `by`; zeros, as a row, where it does not depend on one.
    pub(super) fn gradient(&mut self, of: Value, by: &[Value]) -> Vec<Value> {
        let steps = std::mem::take(&mut self.steps);
        // What depends on `by`: all else (the batch, constants) needs no gradient.
        let mut varies = vec![false; self.count()];
        by.iter().for_each(|value| varies[value.index()] = true);
        for step in &steps {
            varies[step.output.index()] |= step.inputs.iter().any(|input| varies[input.index()]);
        }
        let mut gradients: Vec<Option<Value>> = vec![None; self.count()];
        gradients[of.index()] = Some(self.filled(1.0, 1, 1));
        for step in steps.iter().rev() {
            let Some(gradient) = gradients[step.output.index()] else { continue };
            for (index, &input) in step.inputs.iter().enumerate() {
                if varies[input.index()] {
                    let part = self.backward(step, index, gradient);
                    gradients[input.index()] = Some(match gradients[input.index()] {
                        Some(sum) => self.elementwise("Add", &[sum, part]),
                        None => part,
                    });
                }
            }
        }
        by.iter()
            .map(|&value| match gradients[value.index()] {
                Some(gradient) => gradient,
                None => self.filled(0.0, 1, self.length(value)),
            })
            .collect()
    }

    fn record(&mut self, rule: Rule, inputs: Vec<Value>, output: Value) -> Value {
        self.steps.push(Step { rule, inputs, output });
        output
    }
}
