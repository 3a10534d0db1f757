//! The reverse-mode rule of each differentiable operator: from the gradient by its output to that by one input.

use super::nodes::{Shape, Tape, Value};
use super::tape::{Rule, Step};
use crate::network::Activation;

impl Tape {
    /// Appends the gradient by the `index`-th input of `step`, given that by its output.
    pub(super) fn backward(&mut self, step: &Step, index: usize, gradient: Value) -> Value {
        let input = step.inputs[index];
        let shape = self.shape(input);
        match (step.rule, index) {
            // y = a b + c: da = g b', db = a' g.
            (Rule::Gemm, 0) => self.product(gradient, step.inputs[1], None, (false, true)),
            (Rule::Gemm, 1) => self.product(step.inputs[0], gradient, None, (true, false)),
            (Rule::Mean { weights }, _) => self.product(weights, gradient, None, (false, false)),
            (Rule::Gemm | Rule::Add, _) | (Rule::Sub, 0) => self.sum_to(gradient, shape),
            (Rule::Sub, _) => {
                let negative = self.elementwise("Neg", &[gradient]);
                self.sum_to(negative, shape)
            }
            (Rule::Mul, _) => {
                let product = self.elementwise("Mul", &[gradient, step.inputs[1 - index]]);
                self.sum_to(product, shape)
            }
            (Rule::Min, _) => {
                // The first input on a tie: of PPO's two equal branches inside the clip, the one with a slope.
                let first = self.elementwise("LessOrEqual", &[step.inputs[0], step.inputs[1]]);
                let zero = self.scalar(0.0);
                let branches = if index == 0 { [first, gradient, zero] } else { [first, zero, gradient] };
                let part = self.elementwise("Where", &branches);
                self.sum_to(part, shape)
            }
            (Rule::Activation(activation), _) => self.through(activation, input, step.output, gradient),
            (Rule::Exp, _) => self.elementwise("Mul", &[gradient, step.output]),
            (Rule::LogSoftmax, _) => {
                // dx = g - softmax(x) * sum of g along the row
                let softmax = self.elementwise("Exp", &[step.output]);
                let total = self.sum(gradient, false, true);
                let shared = self.elementwise("Mul", &[softmax, total]);
                self.elementwise("Sub", &[gradient, shared])
            }
            (Rule::Reshape, _) => self.reshaped(gradient, shape),
        }
    }

    /// `gradient` times the slope of `y = activation(x)`. At a kink the flatter side's slope counts; only LeakyRelu's at 0
    /// is 1, for ONNX counts 0 to the upper side.
    fn through(&mut self, activation: Activation, x: Value, y: Value, gradient: Value) -> Value {
        let slope = match activation {
            Activation::Identity => return gradient,
            // y is never below 0.
            Activation::Relu => self.elementwise("Sign", &[y]),
            Activation::LeakyRelu { slope } => {
                let (zero, flat, one) = (self.scalar(0.0), self.scalar(slope), self.scalar(1.0));
                let below = self.elementwise("Less", &[x, zero]);
                self.elementwise("Where", &[below, flat, one])
            }
            Activation::Clip { lo, hi } => {
                let (zero, one) = (self.scalar(0.0), self.scalar(1.0));
                let mut slope = one;
                if lo.is_finite() {
                    let bound = self.scalar(lo);
                    let inside = self.elementwise("Greater", &[x, bound]);
                    slope = self.elementwise("Where", &[inside, slope, zero]);
                }
                if hi.is_finite() {
                    let bound = self.scalar(hi);
                    let inside = self.elementwise("Less", &[x, bound]);
                    slope = self.elementwise("Where", &[inside, slope, zero]);
                }
                slope
            }
            Activation::Tanh => {
                let (one, square) = (self.scalar(1.0), self.elementwise("Mul", &[y, y]));
                self.elementwise("Sub", &[one, square])
            }
            Activation::Sigmoid => self.y_by_rest(y),
            Activation::HardSigmoid { alpha, .. } => {
                // y (1 - y) is above 0 between the bounds, and 0 on them.
                let inside = self.y_by_rest(y);
                let inside = self.elementwise("Sign", &[inside]);
                let alpha = self.scalar(alpha);
                self.elementwise("Mul", &[inside, alpha])
            }
        };
        self.elementwise("Mul", &[gradient, slope])
    }

    /// `y (1 - y)`
    fn y_by_rest(&mut self, y: Value) -> Value {
        let one = self.scalar(1.0);
        let rest = self.elementwise("Sub", &[one, y]);
        self.elementwise("Mul", &[y, rest])
    }

    /// Undoes a broadcast: sums over each dimension that the operator had stretched.
    fn sum_to(&mut self, gradient: Value, shape: Shape) -> Value {
        match (self.shape(gradient), shape) {
            (Shape::Matrix(from, wide), Shape::Matrix(rows, columns)) => {
                let (over_rows, over_columns) = (from != rows, wide != columns);
                if over_rows || over_columns { self.sum(gradient, over_rows, over_columns) } else { gradient }
            }
            _ => gradient,
        }
    }
}
