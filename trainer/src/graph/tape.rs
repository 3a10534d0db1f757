//! Builds a graph forwards and remembers how, so that the gradient can be appended to it backwards.
//!
//! Differentiation happens when the file is written, not when it runs: each operator that was used is followed, in
//! reverse order, by the nodes of its rule in [`super::rules`]. A gradient has the shape of the value that it is by.

use super::interface;
use crate::network::Activation;
use crate::onnx::proto::{self, AttributeProto, ValueInfoProto};
use crate::onnx::writer::{Dimension, Writer, int, tensor};

/// A value of the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Value(usize);

/// Rows of a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    /// Known now.
    Fixed(usize),
    /// This many for each row of the batch.
    Batch(usize),
}

/// Shape of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Vector(usize),
    Matrix(Rows, usize),
}

/// A single number as a matrix.
pub(super) const SCALAR: Shape = Shape::Matrix(Rows::Fixed(1), 1);

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

/// A graph under construction.
#[derive(Debug, Default)]
pub(super) struct Tape {
    writer: Writer,
    names: Vec<String>,
    shapes: Vec<Shape>,
    steps: Vec<Step>,
    scalars: Vec<(f64, Value)>,
    inputs: Vec<ValueInfoProto>,
    outputs: Vec<ValueInfoProto>,
}

impl Tape {
    /// A graph input.
    pub(super) fn input(&mut self, name: &str, shape: Shape) -> Value {
        let dims = match shape {
            Shape::Vector(length) => vec![Dimension::Fixed(length)],
            Shape::Matrix(rows, columns) => {
                let rows = match rows {
                    Rows::Fixed(rows) => Dimension::Fixed(rows),
                    Rows::Batch(1) => interface::BATCH,
                    Rows::Batch(_) => interface::OPTIONS,
                };
                vec![rows, Dimension::Fixed(columns)]
            }
        };
        self.inputs.push(tensor(name, proto::FLOAT, &dims));
        self.value(name.to_string(), shape)
    }

    /// Makes `value` the graph output of this name: a vector as it is, a scalar as a vector of one.
    pub(super) fn output(&mut self, name: &str, value: Value) {
        let (operator, inputs, length) = match self.shape(value) {
            Shape::Vector(length) => ("Identity", vec![self.name(value)], length),
            Shape::Matrix(_, columns) => {
                let shape = self.ints(&[columns as i64]);
                ("Reshape", vec![self.name(value), shape], columns)
            }
        };
        self.writer.node(operator, inputs, vec![], name);
        self.outputs.push(tensor(name, proto::FLOAT, &[Dimension::Fixed(length)]));
    }

    /// A number, of shape [1]: it goes with every other shape.
    pub(super) fn scalar(&mut self, number: f64) -> Value {
        if let Some((_, value)) = self.scalars.iter().find(|(known, _)| *known == number) {
            return *value;
        }
        let name = format!("c{}", self.names.len());
        self.writer.floats(&name, vec![1], vec![number as f32]);
        let value = self.value(name, Shape::Vector(1));
        self.scalars.push((number, value));
        value
    }

    /// A number in double precision, of shape [1].
    pub(super) fn double(&mut self, number: f64) -> Value {
        let name = format!("c{}", self.names.len());
        self.writer.doubles(&name, vec![1], vec![number]);
        self.value(name, Shape::Vector(1))
    }

    /// A matrix full of one number.
    pub(super) fn filled(&mut self, number: f64, rows: usize, columns: usize) -> Value {
        let name = format!("c{}", self.names.len());
        self.writer.floats(&name, vec![rows as i64, columns as i64], vec![number as f32; rows * columns]);
        self.value(name, Shape::Matrix(Rows::Fixed(rows), columns))
    }

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
        let number = self.names.len();
        let name = format!("{}_{number}", activation.name());
        self.writer.activation(activation, self.names[x.0].clone(), name.clone(), number);
        let output = self.value(name, self.shape(x));
        self.record(Rule::Activation(activation), vec![x], output)
    }

    pub(super) fn log_softmax(&mut self, x: Value) -> Value {
        let output = self.node("LogSoftmax", &[x], vec![int("axis", -1)], self.shape(x));
        self.record(Rule::LogSoftmax, vec![x], output)
    }

    pub(super) fn reshape(&mut self, x: Value, shape: Shape) -> Value {
        let dims = match shape {
            Shape::Vector(length) => vec![length as i64],
            Shape::Matrix(Rows::Fixed(rows), columns) => vec![rows as i64, columns as i64],
            // The batch's size is known when the graph runs.
            Shape::Matrix(Rows::Batch(_), columns) => vec![-1, columns as i64],
        };
        let name = self.fresh("Reshape");
        let dims = self.ints(&dims);
        self.writer.node("Reshape", vec![self.name(x), dims], vec![], &name);
        let output = self.value(name, shape);
        self.record(Rule::Reshape, vec![x], output)
    }

    /// Cuts a vector into vectors. Not differentiable: the pieces are what gradients are taken by.
    pub(super) fn split(&mut self, x: Value, lengths: &[usize]) -> Vec<Value> {
        let sizes: Vec<i64> = lengths.iter().map(|&length| length as i64).collect();
        let sizes = self.ints(&sizes);
        let first = self.names.len();
        let names: Vec<String> = (0..lengths.len()).map(|piece| format!("split_{}", first + piece)).collect();
        self.writer.split("Split", vec![self.name(x), sizes], vec![int("axis", 0)], names.clone());
        names
            .into_iter()
            .zip(lengths)
            .map(|(name, &length)| self.value(name, Shape::Vector(length)))
            .collect()
    }

    /// Joins vectors.
    pub(super) fn concat(&mut self, parts: &[Value]) -> Value {
        let length = parts.iter().map(|&part| self.length(part)).sum();
        self.node("Concat", parts, vec![int("axis", 0)], Shape::Vector(length))
    }

    /// A matrix product that no gradient is taken of; each factor as it is or transposed.
    pub(super) fn product(
        &mut self,
        a: Value,
        b: Value,
        c: Option<Value>,
        transposed: (bool, bool),
    ) -> Value {
        let side = |value, transposed| match (self.shape(value), transposed) {
            (Shape::Matrix(rows, columns), false) => (rows, Rows::Fixed(columns)),
            (Shape::Matrix(rows, columns), true) => (Rows::Fixed(columns), rows),
            (Shape::Vector(length), _) => (Rows::Fixed(1), Rows::Fixed(length)),
        };
        let (rows, columns) = (side(a, transposed.0).0, side(b, transposed.1).1);
        let columns = match columns {
            Rows::Fixed(columns) | Rows::Batch(columns) => columns,
        };
        let flags = [("transA", transposed.0), ("transB", transposed.1)];
        let attributes = flags.into_iter().filter(|flag| flag.1).map(|(name, _)| int(name, 1)).collect();
        let inputs: Vec<Value> = [a, b].into_iter().chain(c).collect();
        self.node("Gemm", &inputs, attributes, Shape::Matrix(rows, columns))
    }

    /// An operator that broadcasts, without a way back.
    pub(super) fn elementwise(&mut self, operator: &str, inputs: &[Value]) -> Value {
        let shapes = inputs.iter().map(|&input| self.shape(input));
        let shape = shapes.reduce(broadcast).unwrap_or(SCALAR);
        self.node(operator, inputs, vec![], shape)
    }

    /// The sum along an axis or both, keeping the dimension.
    pub(super) fn sum(&mut self, x: Value, rows: bool, columns: bool) -> Value {
        let Shape::Matrix(from, width) = self.shape(x) else { return x };
        let axes: Vec<i64> = [(0, rows), (1, columns)].iter().filter(|a| a.1).map(|a| a.0).collect();
        let shape = Shape::Matrix(if rows { Rows::Fixed(1) } else { from }, if columns { 1 } else { width });
        let name = self.fresh("ReduceSum");
        let axes = self.ints(&axes);
        self.writer.node("ReduceSum", vec![self.name(x), axes], vec![], &name);
        self.value(name, shape)
    }

    /// Converts the element type.
    pub(super) fn cast(&mut self, x: Value, elem_type: i32) -> Value {
        self.node("Cast", &[x], vec![int("to", i64::from(elem_type))], self.shape(x))
    }

    /// Any node, without a way back.
    pub(super) fn node(
        &mut self,
        operator: &str,
        inputs: &[Value],
        attributes: Vec<AttributeProto>,
        shape: Shape,
    ) -> Value {
        let inputs = inputs.iter().map(|&input| self.name(input)).collect();
        let name = self.fresh(operator);
        self.writer.node(operator, inputs, attributes, &name);
        self.value(name, shape)
    }

    pub(super) fn shape(&self, value: Value) -> Shape {
        self.shapes[value.0]
    }

    /// Elements of a value whose size is fixed.
    pub(super) fn length(&self, value: Value) -> usize {
        match self.shape(value) {
            Shape::Vector(length) => length,
            Shape::Matrix(Rows::Fixed(rows) | Rows::Batch(rows), columns) => rows * columns,
        }
    }

    /// Appends the gradient of a [`SCALAR`] by each of `by`; zero, of its shape, where it does not depend on one.
    pub(super) fn gradient(&mut self, of: Value, by: &[Value]) -> Vec<Value> {
        let steps = std::mem::take(&mut self.steps);
        // What depends on `by`: all else (the batch, constants) needs no gradient.
        let mut varies = vec![false; self.names.len()];
        by.iter().for_each(|value| varies[value.0] = true);
        for step in &steps {
            varies[step.output.0] |= step.inputs.iter().any(|input| varies[input.0]);
        }
        let mut gradients: Vec<Option<Value>> = vec![None; self.names.len()];
        gradients[of.0] = Some(self.filled(1.0, 1, 1));
        for step in steps.iter().rev() {
            let Some(gradient) = gradients[step.output.0] else { continue };
            for (index, &input) in step.inputs.iter().enumerate() {
                if varies[input.0] {
                    let part = self.backward(step, index, gradient);
                    gradients[input.0] = Some(match gradients[input.0] {
                        Some(sum) => self.elementwise("Add", &[sum, part]),
                        None => part,
                    });
                }
            }
        }
        by.iter()
            .map(|&value| match (gradients[value.0], self.shape(value)) {
                (Some(gradient), _) => gradient,
                (None, Shape::Matrix(Rows::Fixed(rows), columns)) => self.filled(0.0, rows, columns),
                (None, _) => self.filled(0.0, 1, self.length(value)),
            })
            .collect()
    }

    /// Encodes the file.
    pub(super) fn finish(self, name: &str) -> Vec<u8> {
        self.writer.finish(name, self.inputs, self.outputs)
    }

    fn record(&mut self, rule: Rule, inputs: Vec<Value>, output: Value) -> Value {
        self.steps.push(Step { rule, inputs, output });
        output
    }

    fn value(&mut self, name: String, shape: Shape) -> Value {
        self.names.push(name);
        self.shapes.push(shape);
        Value(self.names.len() - 1)
    }

    /// A name that no other value has: the operator and a running number.
    fn fresh(&self, operator: &str) -> String {
        format!("{}_{}", operator.to_lowercase(), self.names.len())
    }

    fn name(&self, value: Value) -> String {
        self.names[value.0].clone()
    }

    /// A constant list of integers; returns its name.
    fn ints(&mut self, values: &[i64]) -> String {
        let name = format!("i{}", self.names.len());
        self.writer.ints(&name, values);
        // Takes a number, so that names stay unique.
        self.value(name.clone(), Shape::Vector(values.len()));
        name
    }
}

/// The shape of an elementwise operator's result. A vector of one goes with everything.
fn broadcast(a: Shape, b: Shape) -> Shape {
    match (a, b) {
        (Shape::Vector(1), other) | (other, Shape::Vector(_)) => other,
        (Shape::Vector(_), other) => other,
        (Shape::Matrix(rows_a, columns_a), Shape::Matrix(rows_b, columns_b)) => {
            let rows = if rows_a == Rows::Fixed(1) { rows_b } else { rows_a };
            Shape::Matrix(rows, columns_a.max(columns_b))
        }
    }
}
