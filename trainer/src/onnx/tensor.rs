//! Constant tensors: what initialisers and Constant nodes hold, checked against what they declare.

use super::error::Refusal;
use super::proto::{self, TensorProto};

/// Elements of the largest constant: a 256 x 256 weight matrix has 65 536.
const ELEMENTS_MAX: usize = 1 << 20;
/// Dimensions of a constant. Weights have two; normalisation constants may carry leading ones.
const RANK_MAX: usize = 8;

/// A constant tensor.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Constant {
    /// Shape; empty for a scalar.
    pub(super) dims: Vec<usize>,
    /// Elements, row-major.
    pub(super) data: Data,
}

/// Elements by kind; f32 is widened to f64, which is exact.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Data {
    /// f32 or f64 elements, all finite.
    Real(Vec<f64>),
    /// Shapes.
    Int(Vec<i64>),
    /// Flags (Dropout's training mode).
    Bool(Vec<bool>),
}

impl Constant {
    /// Checks shape against data and reads the elements.
    ///
    /// The declared shape is compared with the data that is there before anything is allocated, so a tensor that
    /// declares gigabytes it does not have costs nothing.
    ///
    /// # Errors
    /// [`Refusal::Tensor`], named after `name`.
    pub(super) fn read(tensor: &TensorProto, name: &str) -> Result<Self, Refusal> {
        read(tensor).map_err(|reason| Refusal::Tensor { name: name.to_string(), reason })
    }

    /// The real elements, or `None` for integers and flags.
    pub(super) fn real(&self) -> Option<&[f64]> {
        match &self.data {
            Data::Real(values) => Some(values),
            Data::Int(_) | Data::Bool(_) => None,
        }
    }

    /// The one real element of a scalar or a one-element tensor.
    pub(super) fn scalar(&self) -> Option<f64> {
        match self.real() {
            Some(&[value]) => Some(value),
            _ => None,
        }
    }
}

fn read(tensor: &TensorProto) -> Result<Constant, String> {
    if tensor.data_location.unwrap_or(0) != 0 || !tensor.external_data.is_empty() {
        return Err("keeps its data in another file (external data), which is refused".into());
    }
    let (dims, elements) = shape(&tensor.dims)?;
    let raw = tensor.raw_data.as_deref();
    let data = match tensor.data_type.unwrap_or(0) {
        proto::FLOAT => {
            let values = match raw {
                Some(raw) => from_raw(raw, elements, |b: [u8; 4]| f64::from(f32::from_le_bytes(b)))?,
                None => typed(&tensor.float_data, elements, |&v| f64::from(v))?,
            };
            Data::Real(finite(values)?)
        }
        proto::DOUBLE => {
            let values = match raw {
                Some(raw) => from_raw(raw, elements, f64::from_le_bytes)?,
                None => typed(&tensor.double_data, elements, |&v| v)?,
            };
            Data::Real(finite(values)?)
        }
        proto::INT64 => Data::Int(match raw {
            Some(raw) => from_raw(raw, elements, i64::from_le_bytes)?,
            None => typed(&tensor.int64_data, elements, |&v| v)?,
        }),
        proto::BOOL => Data::Bool(match raw {
            Some(raw) => from_raw(raw, elements, |[b]: [u8; 1]| b != 0)?,
            None => typed(&tensor.int32_data, elements, |&v| v != 0)?,
        }),
        other => {
            return Err(format!("has element type {}; supported: float, double, int64", type_name(other)));
        }
    };
    Ok(Constant { dims, data })
}

fn shape(dims: &[i64]) -> Result<(Vec<usize>, usize), String> {
    if dims.len() > RANK_MAX {
        return Err(format!("has {} dimensions; at most {RANK_MAX} are supported", dims.len()));
    }
    let mut elements = 1usize;
    let mut shape = Vec::with_capacity(dims.len());
    for &dim in dims {
        let Ok(dim) = usize::try_from(dim) else {
            return Err(format!("declares a dimension of {dim}"));
        };
        if dim == 0 {
            return Err(format!("is empty: its shape is {dims:?}"));
        }
        elements = match elements.checked_mul(dim) {
            Some(product) if product <= ELEMENTS_MAX => product,
            _ => {
                return Err(format!(
                    "declares shape {dims:?}; at most {ELEMENTS_MAX} elements are supported"
                ));
            }
        };
        shape.push(dim);
    }
    Ok((shape, elements))
}

fn from_raw<const N: usize, T>(
    raw: &[u8],
    elements: usize,
    decode: impl Fn([u8; N]) -> T,
) -> Result<Vec<T>, String> {
    let (chunks, rest) = raw.as_chunks::<N>();
    if chunks.len() != elements || !rest.is_empty() {
        return Err(format!("declares {elements} elements of {N} bytes but holds {} bytes", raw.len()));
    }
    Ok(chunks.iter().map(|&chunk| decode(chunk)).collect())
}

fn typed<S, T>(stored: &[S], elements: usize, convert: impl Fn(&S) -> T) -> Result<Vec<T>, String> {
    if stored.len() != elements {
        return Err(format!("declares {elements} elements but holds {}", stored.len()));
    }
    Ok(stored.iter().map(convert).collect())
}

fn finite(values: Vec<f64>) -> Result<Vec<f64>, String> {
    match values.iter().position(|v| !v.is_finite()) {
        None => Ok(values),
        Some(at) => Err(format!("holds {} at element {at}; every value must be finite", values[at])),
    }
}

fn type_name(data_type: i32) -> String {
    match data_type {
        0 => "undefined".into(),
        2 => "uint8".into(),
        3 => "int8".into(),
        6 => "int32".into(),
        8 => "string".into(),
        10 => "float16".into(),
        16 => "bfloat16".into(),
        other => format!("number {other}"),
    }
}
