//! What each operator of the closed set does to a row of values.

use super::attributes::Attributes;
use super::error::Refusal;
use super::proto::NodeProto;
use super::stages::Stage;
use super::tensor::{Constant, Data};
use crate::network::{Activation, Output};
use std::rc::Rc;
use weir_snapshot::WIDTH_MAX;

/// A named value of the graph.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// Known now.
    Constant(Rc<Constant>),
    /// A matrix [batch, width] that depends on the graph's inputs.
    Row(Row),
}

/// A computed row.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// Which of the graph's input columns it starts from, in its order.
    pub(super) columns: Rc<Vec<usize>>,
    /// Its last stage, in the importer's arena; `None` for the bare columns.
    pub(super) tail: Option<usize>,
    /// Values in it now.
    pub(super) width: usize,
}

/// What a node gives.
pub(super) enum Effect {
    /// A value as it is.
    Value(Value),
    /// A row with one more stage, of this width.
    Stage(Row, Stage, usize),
}

/// One node with its inputs looked up.
pub(super) struct Call<'a> {
    pub(super) node: &'a NodeProto,
    /// `None` where an optional input is left out.
    pub(super) inputs: Vec<Option<Value>>,
    /// Rows per run when the file fixes it, `None` when it is symbolic.
    pub(super) batch: Option<usize>,
}

impl Call<'_> {
    /// Applies the node's operator.
    pub(super) fn apply(&self) -> Result<Effect, Refusal> {
        match self.node.op_type.as_deref().unwrap_or("") {
            "Gemm" => self.gemm(),
            "MatMul" => self.mat_mul(),
            "Add" => self.elementwise(|c| (1.0, c), |c| Some((1.0, c))),
            "Sub" => self.elementwise(|c| (1.0, -c), |c| Some((-1.0, c))),
            "Mul" => self.elementwise(|c| (c, 0.0), |c| Some((c, 0.0))),
            "Div" => self.elementwise(|c| (1.0 / c, 0.0), |_| None),
            "Relu" => self.activation(&[], |_| Ok(Activation::Relu)),
            "LeakyRelu" => self.activation(&["alpha"], leaky_relu),
            "Clip" => self.clip(),
            "Tanh" => self.activation(&[], |_| Ok(Activation::Tanh)),
            "Sigmoid" => self.activation(&[], |_| Ok(Activation::Sigmoid)),
            "HardSigmoid" => self.activation(&["alpha", "beta"], hard_sigmoid),
            "Identity" => self.identity(),
            "Flatten" => self.flatten(),
            "Reshape" => self.reshape(),
            "Concat" => self.concat(),
            "BatchNormalization" => self.batch_normalization(),
            "Dropout" => self.dropout(),
            "Constant" => self.constant(),
            "Softmax" => self.softmax(),
            "ArgMax" => self.arg_max(),
            _ => Err(Refusal::Operator),
        }
    }

    fn gemm(&self) -> Result<Effect, Refusal> {
        let attributes = self.attributes(&["alpha", "beta", "transA", "transB"])?;
        self.arity(2, 3, "2 or 3")?;
        attributes.int_of("transA", 0, &[0])?;
        let transposed = attributes.int_of("transB", 0, &[0, 1])? == 1;
        let (alpha, beta) = (attributes.float("alpha", 1.0)?, attributes.float("beta", 1.0)?);
        let row = self.row(0)?;
        let (weights, outputs) = self.weights(1, row.width, transposed, alpha)?;
        let bias = match self.inputs.get(2).and_then(Option::as_ref) {
            None => vec![0.0; outputs],
            Some(_) => self.broadcast(2, outputs)?.iter().map(|b| beta * b).collect(),
        };
        Ok(Effect::Stage(row, Stage::Dense { weights, bias }, outputs))
    }

    fn mat_mul(&self) -> Result<Effect, Refusal> {
        self.attributes(&[])?;
        self.arity(2, 2, "2")?;
        let row = self.row(0)?;
        let (weights, outputs) = self.weights(1, row.width, false, 1.0)?;
        Ok(Effect::Stage(row, Stage::Dense { weights, bias: vec![0.0; outputs] }, outputs))
    }

    /// `x op c` gives (scale, offset) by `right`, `c op x` by `left`, which is `None` where that is not affine.
    fn elementwise(
        &self,
        right: impl Fn(f64) -> (f64, f64),
        left: impl Fn(f64) -> Option<(f64, f64)>,
    ) -> Result<Effect, Refusal> {
        self.attributes(&[])?;
        self.arity(2, 2, "2")?;
        let (row, constants, constant_left) = match (&self.inputs[0], &self.inputs[1]) {
            (Some(Value::Row(row)), Some(Value::Constant(_))) => {
                (row.clone(), self.broadcast(1, row.width)?, false)
            }
            (Some(Value::Constant(_)), Some(Value::Row(row))) => {
                (row.clone(), self.broadcast(0, row.width)?, true)
            }
            (Some(Value::Row(_)), Some(Value::Row(_))) => {
                return Err(Refusal::Operand("both operands are computed; one must be a constant".into()));
            }
            _ => {
                return Err(Refusal::Operand(
                    "both operands are constant; fold them before exporting".into(),
                ));
            }
        };
        let (mut scale, mut offset) = (Vec::with_capacity(row.width), Vec::with_capacity(row.width));
        for c in constants {
            let (s, o) = if constant_left {
                left(c).ok_or_else(|| Refusal::Operand("a constant divided by a computed value".into()))?
            } else {
                right(c)
            };
            if !s.is_finite() {
                return Err(Refusal::Operand("division by zero".into()));
            }
            scale.push(s);
            offset.push(o);
        }
        let width = row.width;
        Ok(Effect::Stage(row, Stage::Affine { scale, offset }, width))
    }

    fn activation(
        &self,
        attributes: &[&str],
        function: impl Fn(Attributes<'_>) -> Result<Activation, Refusal>,
    ) -> Result<Effect, Refusal> {
        let attributes = self.attributes(attributes)?;
        self.arity(1, 1, "1")?;
        let row = self.row(0)?;
        let width = row.width;
        Ok(Effect::Stage(row, Stage::Activation(function(attributes)?), width))
    }

    /// From operator set 11 on the bounds are inputs; either may be left out.
    fn clip(&self) -> Result<Effect, Refusal> {
        self.attributes(&[])?;
        self.arity(1, 3, "1 to 3")?;
        let row = self.row(0)?;
        let bound = |index: usize, none: f64| match self.inputs.get(index).and_then(Option::as_ref) {
            None => Ok(none),
            Some(Value::Constant(constant)) => constant
                .scalar()
                .ok_or_else(|| Refusal::Operand(format!("input {index}, a bound, is not one number"))),
            Some(Value::Row(_)) => Err(Refusal::Operand(format!("input {index}, a bound, is not constant"))),
        };
        let (lo, hi) = (bound(1, f64::NEG_INFINITY)?, bound(2, f64::INFINITY)?);
        if lo > hi {
            return Err(Refusal::Operand(format!("the lower bound {lo} is above the upper bound {hi}")));
        }
        let width = row.width;
        Ok(Effect::Stage(row, Stage::Activation(Activation::Clip { lo, hi }), width))
    }

    fn identity(&self) -> Result<Effect, Refusal> {
        self.attributes(&[])?;
        self.arity(1, 1, "1")?;
        match &self.inputs[0] {
            Some(value) => Ok(Effect::Value(value.clone())),
            None => Err(missing(0)),
        }
    }

    fn flatten(&self) -> Result<Effect, Refusal> {
        let attributes = self.attributes(&["axis"])?;
        self.arity(1, 1, "1")?;
        attributes.int_of("axis", 1, &[1, -1])?;
        Ok(Effect::Value(Value::Row(self.row(0)?)))
    }

    fn reshape(&self) -> Result<Effect, Refusal> {
        let attributes = self.attributes(&["allowzero"])?;
        self.arity(2, 2, "2")?;
        attributes.int_of("allowzero", 0, &[0])?;
        let row = self.row(0)?;
        let Some(Value::Constant(shape)) = &self.inputs[1] else {
            return Err(Refusal::Operand("the new shape is not constant".into()));
        };
        let Data::Int(target) = &shape.data else {
            return Err(Refusal::Operand("the new shape is not int64".into()));
        };
        // 0 copies the dimension, -1 is what is left over. [batch, width] must stay as it is.
        let keeps = match target[..] {
            [batch, width] => {
                let fixed = self.batch.and_then(|batch| i64::try_from(batch).ok());
                let same_batch = batch == 0 || Some(batch) == fixed;
                let same_width = width == 0 || usize::try_from(width) == Ok(row.width);
                (same_batch && (same_width || width == -1)) || (batch == -1 && same_width)
            }
            _ => false,
        };
        if !keeps {
            return Err(Refusal::Shape(format!(
                "reshapes [batch, {}] to {target:?}; only a reshape that keeps [batch, width] is supported",
                row.width
            )));
        }
        Ok(Effect::Value(Value::Row(row)))
    }

    fn concat(&self) -> Result<Effect, Refusal> {
        let attributes = self.attributes(&["axis"])?;
        // `axis` has no default: -2 stands for "not given" and is refused like any other.
        attributes.int_of("axis", -2, &[1, -1])?;
        if self.inputs.is_empty() {
            return Err(Refusal::Count { what: "inputs", found: 0, expected: "1 or more" });
        }
        let mut columns = Vec::new();
        for index in 0..self.inputs.len() {
            let row = self.row(index)?;
            if row.tail.is_some() {
                return Err(Refusal::Operand(format!(
                    "input {index} is not a graph input; only those can be joined"
                )));
            }
            columns.extend_from_slice(&row.columns);
            if columns.len() > WIDTH_MAX {
                return Err(Refusal::TooMany { what: "values in a row", max: WIDTH_MAX });
            }
        }
        let width = columns.len();
        Ok(Effect::Value(Value::Row(Row { columns: Rc::new(columns), tail: None, width })))
    }

    /// Inference only: a fixed affine map from the stored statistics.
    fn batch_normalization(&self) -> Result<Effect, Refusal> {
        // `momentum` matters in training only.
        let attributes = self.attributes(&["epsilon", "momentum", "training_mode"])?;
        self.arity(5, 5, "5")?;
        attributes.int_of("training_mode", 0, &[0])?;
        let epsilon = attributes.float("epsilon", f64::from(1e-5_f32))?;
        let row = self.row(0)?;
        let [gain, shift, mean, variance] = [1, 2, 3, 4].map(|index| self.vector(index, row.width));
        let (gain, shift, mean, variance) = (gain?, shift?, mean?, variance?);
        let mut scale = Vec::with_capacity(row.width);
        let mut offset = Vec::with_capacity(row.width);
        for (((gain, shift), mean), variance) in gain.iter().zip(shift).zip(mean).zip(variance) {
            let spread = variance + epsilon;
            if spread <= 0.0 {
                return Err(Refusal::Operand(format!("a variance of {variance}")));
            }
            let s = gain / spread.sqrt();
            scale.push(s);
            offset.push(shift - mean * s);
        }
        let width = row.width;
        Ok(Effect::Stage(row, Stage::Affine { scale, offset }, width))
    }

    /// Passes through at inference; a mask output is never defined, so using one is an unknown name.
    fn dropout(&self) -> Result<Effect, Refusal> {
        self.attributes(&["ratio", "seed"])?;
        self.arity(1, 3, "1 to 3")?;
        if let Some(training) = self.inputs.get(2).and_then(Option::as_ref) {
            let off = match training {
                Value::Constant(constant) => {
                    matches!(&constant.data, Data::Bool(flags) if flags[..] == [false])
                }
                Value::Row(_) => false,
            };
            if !off {
                return Err(Refusal::Operand("training mode is not a constant false".into()));
            }
        }
        Ok(Effect::Value(Value::Row(self.row(0)?)))
    }

    fn constant(&self) -> Result<Effect, Refusal> {
        let known = ["value", "value_float", "value_floats", "value_int", "value_ints"];
        let attributes = self.attributes(&known)?;
        self.arity(0, 0, "no")?;
        let tensor = attributes.constant()?;
        let name = self.node.output.first().map_or("", String::as_str);
        Ok(Effect::Value(Value::Constant(Rc::new(Constant::read(&tensor, name)?))))
    }

    fn softmax(&self) -> Result<Effect, Refusal> {
        let attributes = self.attributes(&["axis"])?;
        self.arity(1, 1, "1")?;
        // Default 1 up to operator set 12, -1 from 13 on: the same axis of a matrix.
        attributes.int_of("axis", -1, &[1, -1])?;
        let row = self.row(0)?;
        let width = row.width;
        Ok(Effect::Stage(row, Stage::Last(Output::Softmax), width))
    }

    fn arg_max(&self) -> Result<Effect, Refusal> {
        let attributes = self.attributes(&["axis", "keepdims", "select_last_index"])?;
        self.arity(1, 1, "1")?;
        attributes.int_of("axis", 0, &[1, -1])?;
        attributes.int_of("keepdims", 1, &[0, 1])?;
        attributes.int_of("select_last_index", 0, &[0])?;
        Ok(Effect::Stage(self.row(0)?, Stage::Last(Output::ArgMax), 1))
    }

    fn attributes(&self, known: &[&str]) -> Result<Attributes<'_>, Refusal> {
        Attributes::of(self.node, known)
    }

    fn arity(&self, min: usize, max: usize, expected: &'static str) -> Result<(), Refusal> {
        let found = self.inputs.len();
        if (min..=max).contains(&found) {
            Ok(())
        } else {
            Err(Refusal::Count { what: "inputs", found, expected })
        }
    }

    fn row(&self, index: usize) -> Result<Row, Refusal> {
        match &self.inputs[index] {
            Some(Value::Row(row)) => Ok(row.clone()),
            Some(Value::Constant(_)) => Err(Refusal::Operand(format!(
                "input {index} is constant; a computed value is expected there"
            ))),
            None => Err(missing(index)),
        }
    }

    fn real(&self, index: usize) -> Result<(&Constant, &[f64]), Refusal> {
        match &self.inputs[index] {
            Some(Value::Constant(constant)) => match constant.real() {
                Some(values) => Ok((constant, values)),
                None => Err(Refusal::Operand(format!("input {index} is not float or double"))),
            },
            Some(Value::Row(_)) => {
                Err(Refusal::Operand(format!("input {index} is computed; a constant is expected there")))
            }
            None => Err(missing(index)),
        }
    }

    /// A weight matrix as rows per output, times `factor`, and the number of outputs.
    fn weights(
        &self,
        index: usize,
        width: usize,
        transposed: bool,
        factor: f64,
    ) -> Result<(Vec<f64>, usize), Refusal> {
        let (constant, values) = self.real(index)?;
        let [rows, columns] = constant.dims[..] else {
            return Err(Refusal::Shape(format!(
                "weights of shape {:?}; a matrix is expected",
                constant.dims
            )));
        };
        let (inputs, outputs) = if transposed { (columns, rows) } else { (rows, columns) };
        if inputs != width {
            return Err(Refusal::Shape(format!(
                "weights of shape {:?} take {inputs} values, but the row has {width}",
                constant.dims
            )));
        }
        if outputs > WIDTH_MAX {
            return Err(Refusal::TooMany { what: "values in a row", max: WIDTH_MAX });
        }
        let mut weights = Vec::with_capacity(values.len());
        for output in 0..outputs {
            for input in 0..inputs {
                let at = if transposed { output * inputs + input } else { input * outputs + output };
                weights.push(factor * values[at]);
            }
        }
        Ok((weights, outputs))
    }

    /// A constant that stretches over a row: one value, or one per element, with or without leading ones.
    fn broadcast(&self, index: usize, width: usize) -> Result<Vec<f64>, Refusal> {
        let (constant, values) = self.real(index)?;
        let leading_ones = match constant.dims[..] {
            [] | [_] => true,
            [first, _] => first == 1,
            // A higher rank would raise the result's rank, even where all dimensions are one.
            _ => false,
        };
        match (leading_ones, values) {
            (true, [one]) => Ok(vec![*one; width]),
            (true, all) if all.len() == width => Ok(all.to_vec()),
            _ => Err(Refusal::Shape(format!(
                "input {index} of shape {:?} does not fit a row of {width}",
                constant.dims
            ))),
        }
    }

    /// A constant with exactly one value per element.
    fn vector(&self, index: usize, width: usize) -> Result<Vec<f64>, Refusal> {
        let (constant, values) = self.real(index)?;
        if constant.dims != [width] {
            return Err(Refusal::Shape(format!(
                "input {index} has shape {:?}; [{width}] is expected",
                constant.dims
            )));
        }
        Ok(values.to_vec())
    }
}

fn leaky_relu(attributes: Attributes<'_>) -> Result<Activation, Refusal> {
    let slope = attributes.float("alpha", f64::from(0.01_f32))?;
    if !(0.0..1.0).contains(&slope) {
        return Err(Refusal::Attribute {
            name: "alpha".into(),
            reason: format!("is {slope}; supported: 0 up to but not including 1"),
        });
    }
    Ok(Activation::LeakyRelu { slope })
}

fn hard_sigmoid(attributes: Attributes<'_>) -> Result<Activation, Refusal> {
    let alpha = attributes.float("alpha", f64::from(0.2_f32))?;
    let beta = attributes.float("beta", 0.5)?;
    Ok(Activation::HardSigmoid { alpha, beta })
}

fn missing(index: usize) -> Refusal {
    Refusal::Operand(format!("input {index} is not given"))
}
