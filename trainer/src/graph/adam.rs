//! The optimiser's part of a training graph.

use super::head::AdamOptions;
use super::nodes::{Shape, Tape, Value};
use crate::onnx::proto;

/// What the optimiser starts from, all vectors: parameters, both means, steps so far, learning rate.
#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    pub(super) p: Value,
    pub(super) m: Value,
    pub(super) v: Value,
    pub(super) t: Value,
    pub(super) lr: Value,
}

impl Tape {
    /// Appends one step against `gradient` and its outputs.
    ///
    /// The bias corrections are folded into rate and epsilon: with `c1 = 1 - b1^t`, `c2 = 1 - b2^t`,
    /// `m/c1 / (sqrt(v/c2) + eps) = sqrt(c2)/c1 * m / (sqrt(v) + sqrt(c2) eps)`. They are computed in double precision:
    /// in single, `1 - 0.999^t` loses four digits in the first steps.
    pub(super) fn adam(&mut self, options: &AdamOptions, state: State, gradient: Value) {
        let norm = self.node("ReduceL2", &[gradient], vec![], Shape::Vector(1));
        let gradient = match options.grad_norm_max {
            None => gradient,
            Some(max) => {
                let max = self.scalar(max);
                let longer = self.elementwise("Max", &[norm, max]);
                let factor = self.elementwise("Div", &[max, longer]);
                self.elementwise("Mul", &[gradient, factor])
            }
        };
        let m = self.moving(state.m, gradient, options.beta1);
        let square = self.elementwise("Mul", &[gradient, gradient]);
        let v = self.moving(state.v, square, options.beta2);

        let one = self.scalar(1.0);
        let t = self.elementwise("Add", &[state.t, one]);
        let steps = self.cast(t, proto::DOUBLE);
        let [c1, c2] = [options.beta1, options.beta2].map(|beta| {
            let (one, beta) = (self.double(1.0), self.double(beta));
            let power = self.elementwise("Pow", &[beta, steps]);
            self.elementwise("Sub", &[one, power])
        });
        let root = self.elementwise("Sqrt", &[c2]);
        let factor = self.elementwise("Div", &[root, c1]);
        let factor = self.cast(factor, proto::FLOAT);
        let root = self.cast(root, proto::FLOAT);

        let rate = self.elementwise("Mul", &[state.lr, factor]);
        let epsilon = self.scalar(options.epsilon);
        let epsilon = self.elementwise("Mul", &[epsilon, root]);
        let deviation = self.elementwise("Sqrt", &[v]);
        let deviation = self.elementwise("Add", &[deviation, epsilon]);
        let change = self.elementwise("Div", &[m, deviation]);
        let change = self.elementwise("Mul", &[change, rate]);
        let p = self.elementwise("Sub", &[state.p, change]);
        for (name, value) in [("p_next", p), ("m_next", m), ("v_next", v), ("t_next", t), ("grad_norm", norm)]
        {
            self.output(name, value);
        }
    }

    /// `beta * mean + (1 - beta) * value`
    fn moving(&mut self, mean: Value, value: Value, beta: f64) -> Value {
        let (keep, take) = (self.scalar(beta), self.scalar(1.0 - beta));
        let kept = self.elementwise("Mul", &[mean, keep]);
        let taken = self.elementwise("Mul", &[value, take]);
        self.elementwise("Add", &[kept, taken])
    }
}
