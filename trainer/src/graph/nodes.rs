//! Values and nodes of a graph under construction, and their shapes.

use super::interface;
use super::tape::Step;
use crate::network::Activation;
use crate::onnx::proto::{self, AttributeProto, ValueInfoProto};
use crate::onnx::writer::{Dimension, Writer, int, tensor};

/// A value of the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Value(usize);

impl Value {
    /// Its number, below [`Tape::count`].
    pub(super) const fn index(self) -> usize {
        self.0
    }
}

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

/// A graph under construction. This file adds nodes; [`super::tape`] adds those that the gradient goes back through.
#[derive(Debug, Default)]
pub(super) struct Tape {
    /// The differentiable nodes, in order.
    pub(super) steps: Vec<Step>,
    writer: Writer,
    names: Vec<String>,
    shapes: Vec<Shape>,
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
        let name = format!("c{}", self.count());
        self.writer.floats(&name, vec![1], vec![number as f32]);
        let value = self.value(name, Shape::Vector(1));
        self.scalars.push((number, value));
        value
    }

    /// A number in double precision, of shape [1].
    pub(super) fn double(&mut self, number: f64) -> Value {
        let name = format!("c{}", self.count());
        self.writer.doubles(&name, vec![1], vec![number]);
        self.value(name, Shape::Vector(1))
    }

    /// A matrix full of one number.
    pub(super) fn filled(&mut self, number: f64, rows: usize, columns: usize) -> Value {
        let name = format!("c{}", self.count());
        self.writer.floats(&name, vec![rows as i64, columns as i64], vec![number as f32; rows * columns]);
        self.value(name, Shape::Matrix(Rows::Fixed(rows), columns))
    }

    /// The activation of each element.
    pub(super) fn activated(&mut self, activation: Activation, x: Value) -> Value {
        let number = self.count();
        let name = format!("{}_{number}", activation.name());
        let name = self.writer.activation(activation, self.name(x), name, number);
        self.value(name, self.shape(x))
    }

    /// The same elements in another shape.
    pub(super) fn reshaped(&mut self, x: Value, shape: Shape) -> Value {
        let dims = match shape {
            Shape::Vector(length) => vec![length as i64],
            Shape::Matrix(Rows::Fixed(rows), columns) => vec![rows as i64, columns as i64],
            // The batch's size is known when the graph runs.
            Shape::Matrix(Rows::Batch(_), columns) => vec![-1, columns as i64],
        };
        let dims = self.ints(&dims);
        let name = self.fresh("Reshape");
        self.writer.node("Reshape", vec![self.name(x), dims], vec![], &name);
        self.value(name, shape)
    }

    /// Cuts a vector into vectors. The pieces are what gradients are taken by.
    pub(super) fn split(&mut self, x: Value, lengths: &[usize]) -> Vec<Value> {
        let sizes: Vec<i64> = lengths.iter().map(|&length| length as i64).collect();
        let sizes = self.ints(&sizes);
        let first = self.count();
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

    /// A matrix product, each factor as it is or transposed, plus a matrix.
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

    /// An operator that broadcasts.
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

    /// Any node with one output.
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

    /// Values so far.
    pub(super) fn count(&self) -> usize {
        self.names.len()
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

    /// Encodes the file.
    pub(super) fn finish(self, name: &str) -> Vec<u8> {
        self.writer.finish(name, self.inputs, self.outputs)
    }

    fn value(&mut self, name: String, shape: Shape) -> Value {
        self.names.push(name);
        self.shapes.push(shape);
        Value(self.count() - 1)
    }

    /// A name that no other value has: the operator and a running number.
    fn fresh(&self, operator: &str) -> String {
        format!("{}_{}", operator.to_lowercase(), self.count())
    }

    fn name(&self, value: Value) -> String {
        self.names[value.0].clone()
    }

    /// A constant list of integers; returns its name.
    fn ints(&mut self, values: &[i64]) -> String {
        let name = format!("i{}", self.count());
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
