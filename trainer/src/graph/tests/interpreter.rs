//! Runs a training graph's file in f64, operator by operator as ONNX defines them: the graph without ONNX Runtime.

use crate::onnx::proto::{self, AttributeProto, ModelProto, NodeProto, TensorProto};
use prost::Message;
use std::collections::HashMap;

/// A tensor; booleans are 0 and 1, integers are exact.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tensor {
    pub(super) dims: Vec<usize>,
    pub(super) cells: Vec<f64>,
}

impl Tensor {
    pub(super) fn new(dims: &[usize], cells: Vec<f64>) -> Self {
        assert_eq!(dims.iter().product::<usize>(), cells.len(), "{dims:?}");
        Self { dims: dims.to_vec(), cells }
    }

    fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self { dims: self.dims.clone(), cells: self.cells.iter().map(|&x| f(x)).collect() }
    }
}

/// Runs an encoded model; returns the graph's outputs by name.
pub(super) fn run(bytes: &[u8], inputs: &[(&str, Tensor)]) -> HashMap<String, Tensor> {
    let graph = ModelProto::decode(bytes).unwrap().graph.unwrap();
    let mut values: HashMap<String, Tensor> =
        inputs.iter().map(|(name, tensor)| (name.to_string(), tensor.clone())).collect();
    for constant in &graph.initializer {
        values.insert(constant.name.clone().unwrap(), read(constant));
    }
    for node in &graph.node {
        let inputs: Vec<Option<&Tensor>> = node.input.iter().map(|name| values.get(name)).collect();
        let outputs = apply(node, &inputs);
        assert_eq!(outputs.len(), node.output.len());
        for (name, output) in node.output.iter().zip(outputs) {
            assert!(values.insert(name.clone(), output).is_none(), "'{name}' is made twice");
        }
    }
    graph
        .output
        .iter()
        .map(|output| output.name.clone().unwrap())
        .map(|n| (n.clone(), values[&n].clone()))
        .collect()
}

fn read(constant: &TensorProto) -> Tensor {
    let raw = constant.raw_data.as_deref().unwrap();
    let cells = match constant.data_type {
        Some(proto::FLOAT) => raw.as_chunks().0.iter().map(|&b| f64::from(f32::from_le_bytes(b))).collect(),
        Some(proto::DOUBLE) => raw.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b)).collect(),
        Some(proto::INT64) => raw.as_chunks().0.iter().map(|&b| i64::from_le_bytes(b) as f64).collect(),
        other => panic!("constant of type {other:?}"),
    };
    Tensor::new(&constant.dims.iter().map(|&d| d as usize).collect::<Vec<_>>(), cells)
}

fn apply(node: &NodeProto, inputs: &[Option<&Tensor>]) -> Vec<Tensor> {
    let input = |index: usize| inputs[index].unwrap_or_else(|| panic!("{node:?} lacks input {index}"));
    let constant = |index: usize| inputs.get(index).copied().flatten().map(|t| t.cells[0]);
    let attribute = |name: &str| node.attribute.iter().find(|a| a.name.as_deref() == Some(name));
    let int = |name: &str| attribute(name).and_then(|a: &AttributeProto| a.i).unwrap_or(0);
    let float = |name: &str| f64::from(attribute(name).unwrap().f.unwrap());
    let binary = |f: &dyn Fn(f64, f64) -> f64| broadcast(input(0), input(1), f);
    let flag = |truth: bool| f64::from(u8::from(truth));
    let output = match node.op_type.as_deref().unwrap() {
        "Identity" | "Cast" => input(0).clone(),
        "Neg" => input(0).map(|x| -x),
        "Exp" => input(0).map(f64::exp),
        "Sqrt" => input(0).map(f64::sqrt),
        "Abs" => input(0).map(f64::abs),
        "Reciprocal" => input(0).map(|x| 1.0 / x),
        "Sign" => input(0).map(|x| flag(x > 0.0) - flag(x < 0.0)),
        "Relu" => input(0).map(|x| x.max(0.0)),
        "Tanh" => input(0).map(f64::tanh),
        "Sigmoid" => input(0).map(|x| 1.0 / (1.0 + (-x).exp())),
        "LeakyRelu" => input(0).map(|x| if x < 0.0 { float("alpha") * x } else { x }),
        "HardSigmoid" => input(0).map(|x| (float("alpha") * x + float("beta")).clamp(0.0, 1.0)),
        "Clip" => {
            let (lo, hi) = (constant(1).unwrap_or(f64::MIN), constant(2).unwrap_or(f64::MAX));
            input(0).map(|x| x.max(lo).min(hi))
        }
        "Add" => binary(&|a, b| a + b),
        "Sub" => binary(&|a, b| a - b),
        "Mul" => binary(&|a, b| a * b),
        "Div" => binary(&|a, b| a / b),
        "Pow" => binary(&f64::powf),
        "Min" => binary(&f64::min),
        "Max" => binary(&f64::max),
        "Less" => binary(&|a, b| flag(a < b)),
        "Greater" => binary(&|a, b| flag(a > b)),
        "LessOrEqual" => binary(&|a, b| flag(a <= b)),
        "Where" => {
            // The condition picks between the two others, which differ in shape.
            let picked = broadcast(input(0), input(1), &|c, x| if c != 0.0 { x } else { 0.0 });
            let other = broadcast(input(0), input(2), &|c, x| if c == 0.0 { x } else { 0.0 });
            broadcast(&picked, &other, &|a, b| a + b)
        }
        "Gemm" => gemm(input(0), input(1), inputs.get(2).copied().flatten(), int("transA"), int("transB")),
        "LogSoftmax" => {
            let mut out = input(0).clone();
            for row in out.cells.chunks_mut(*out.dims.last().unwrap()) {
                let total = row.iter().map(|x| x.exp()).sum::<f64>().ln();
                row.iter_mut().for_each(|x| *x -= total);
            }
            out
        }
        "ReduceL2" => Tensor::new(&[1], vec![input(0).cells.iter().map(|x| x * x).sum::<f64>().sqrt()]),
        "ReduceSum" => reduce_sum(input(0), &input(1).cells),
        "Reshape" => {
            let known: f64 = input(1).cells.iter().filter(|&&d| d >= 0.0).product();
            let rest = input(0).cells.len() / known as usize;
            let dims = input(1).cells.iter().map(|&d| if d < 0.0 { rest } else { d as usize });
            Tensor::new(&dims.collect::<Vec<_>>(), input(0).cells.clone())
        }
        "Concat" => {
            let cells: Vec<f64> = inputs.iter().flat_map(|t| t.unwrap().cells.iter().copied()).collect();
            Tensor::new(&[cells.len()], cells)
        }
        "Split" => {
            let mut rest = &input(0).cells[..];
            let mut pieces = Vec::new();
            for &length in &input(1).cells {
                let (piece, after) = rest.split_at(length as usize);
                pieces.push(Tensor::new(&[piece.len()], piece.to_vec()));
                rest = after;
            }
            assert!(rest.is_empty());
            return pieces;
        }
        other => panic!("operator {other}"),
    };
    vec![output]
}

/// Elementwise, shapes aligned at their last dimension; a dimension of one repeats.
fn broadcast(a: &Tensor, b: &Tensor, f: &dyn Fn(f64, f64) -> f64) -> Tensor {
    let rank = a.dims.len().max(b.dims.len());
    let dim = |t: &Tensor, at: usize| (at + t.dims.len()).checked_sub(rank).map_or(1, |at| t.dims[at]);
    let dims: Vec<usize> = (0..rank)
        .map(|at| match (dim(a, at), dim(b, at)) {
            (x, y) if x == y => x,
            (1, y) => y,
            (x, 1) => x,
            (x, y) => panic!("{:?} and {:?} do not broadcast: {x}, {y}", a.dims, b.dims),
        })
        .collect();
    let at = |t: &Tensor, index: usize| {
        let (mut rest, mut stride, mut place) = (index, 1, 0);
        for axis in (0..rank).rev() {
            let (own, all) = (dim(t, axis), dims[axis]);
            place += if own > 1 { rest % all * stride } else { 0 };
            (rest, stride) = (rest / all, stride * own);
        }
        t.cells[place]
    };
    let cells = (0..dims.iter().product()).map(|index| f(at(a, index), at(b, index))).collect();
    Tensor::new(&dims, cells)
}

fn gemm(a: &Tensor, b: &Tensor, c: Option<&Tensor>, trans_a: i64, trans_b: i64) -> Tensor {
    let turned = |t: &Tensor, turn: i64| {
        let [rows, columns] = t.dims[..] else { panic!("Gemm of {:?}", t.dims) };
        if turn == 0 {
            return t.clone();
        }
        let cells = (0..columns).flat_map(|j| (0..rows).map(move |i| i * columns + j)).map(|at| t.cells[at]);
        Tensor::new(&[columns, rows], cells.collect())
    };
    let (a, b) = (turned(a, trans_a), turned(b, trans_b));
    assert_eq!(a.dims[1], b.dims[0], "Gemm");
    let columns = b.dims[1];
    let mut cells = Vec::new();
    for row in a.cells.chunks_exact(a.dims[1]) {
        cells.extend(
            (0..columns)
                .map(|j| row.iter().enumerate().map(|(k, x)| x * b.cells[k * columns + j]).sum::<f64>()),
        );
    }
    let product = Tensor::new(&[a.dims[0], columns], cells);
    match c {
        None => product,
        Some(c) => {
            let sum = broadcast(&product, c, &|x, y| x + y);
            assert_eq!(sum.dims, product.dims, "Gemm's C");
            sum
        }
    }
}

fn reduce_sum(x: &Tensor, axes: &[f64]) -> Tensor {
    let [rows, columns] = x.dims[..] else { panic!("ReduceSum of {:?}", x.dims) };
    let (over_rows, over_columns) = (axes.contains(&0.0), axes.contains(&1.0));
    let dims = [if over_rows { 1 } else { rows }, if over_columns { 1 } else { columns }];
    let mut out = Tensor::new(&dims, vec![0.0; dims[0] * dims[1]]);
    for (index, value) in x.cells.iter().enumerate() {
        let (row, column) = (index / columns, index % columns);
        out.cells[row.min(dims[0] - 1) * dims[1] + column.min(dims[1] - 1)] += value;
    }
    out
}
