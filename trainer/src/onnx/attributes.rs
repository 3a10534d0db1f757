//! A node's attributes, read against the list of those that its operator has.

use super::error::Refusal;
use super::proto::{AttributeProto, NodeProto, TensorProto};

/// `AttributeProto.AttributeType`; files older than the field leave it undefined (0).
const UNDEFINED: i32 = 0;
pub(super) const FLOAT: i32 = 1;
pub(super) const INT: i32 = 2;
pub(super) const TENSOR: i32 = 4;
pub(super) const FLOATS: i32 = 6;
pub(super) const INTS: i32 = 7;

/// The attributes of one node.
#[derive(Clone, Copy)]
pub(super) struct Attributes<'a>(&'a [AttributeProto]);

impl<'a> Attributes<'a> {
    /// Refuses attributes that are not in `known`, and repeated ones: either would change what the node means.
    pub(super) fn of(node: &'a NodeProto, known: &[&str]) -> Result<Self, Refusal> {
        for (index, attribute) in node.attribute.iter().enumerate() {
            let name = name(attribute);
            if !known.contains(&name) {
                return Err(refuse(name, "is not one that the operator has here"));
            }
            // At most known.len() distinct names get here, so this is not quadratic in the file's size.
            if node.attribute[..index].iter().any(|earlier| self::name(earlier) == name) {
                return Err(refuse(name, "is given twice"));
            }
        }
        Ok(Self(&node.attribute))
    }

    /// A float attribute as f64, or `default`.
    pub(super) fn float(self, name: &str, default: f64) -> Result<f64, Refusal> {
        match self.find(name) {
            None => Ok(default),
            Some(AttributeProto { f: Some(f), r#type: Some(FLOAT | UNDEFINED) | None, .. })
                if f.is_finite() =>
            {
                Ok(f64::from(*f))
            }
            Some(AttributeProto { f: Some(f), .. }) if !f.is_finite() => {
                Err(refuse(name, &format!("is {f}; it must be finite")))
            }
            Some(_) => Err(refuse(name, "is not a float")),
        }
    }

    /// An integer attribute, or `default`.
    pub(super) fn int(self, name: &str, default: i64) -> Result<i64, Refusal> {
        match self.find(name) {
            None => Ok(default),
            // An encoder may leave out a zero.
            Some(AttributeProto { i, r#type: Some(INT), .. }) => Ok(i.unwrap_or(0)),
            Some(AttributeProto { i: Some(i), r#type: Some(UNDEFINED) | None, .. }) => Ok(*i),
            Some(_) => Err(refuse(name, "is not an integer")),
        }
    }

    /// An integer attribute that may only have these values; `default` counts as given.
    pub(super) fn int_of(self, name: &str, default: i64, allowed: &[i64]) -> Result<i64, Refusal> {
        let value = self.int(name, default)?;
        if allowed.contains(&value) {
            return Ok(value);
        }
        let allowed: Vec<String> = allowed.iter().map(i64::to_string).collect();
        Err(refuse(name, &format!("is {value}; supported: {}", allowed.join(" or "))))
    }

    /// The one value of a Constant node.
    pub(super) fn constant(self) -> Result<TensorProto, Refusal> {
        let [attribute] = self.0 else {
            return Err(Refusal::Count { what: "attributes", found: self.0.len(), expected: "one" });
        };
        let floats = |dims, values| TensorProto {
            dims,
            data_type: Some(super::proto::FLOAT),
            float_data: values,
            ..TensorProto::default()
        };
        let ints = |dims, values| TensorProto {
            dims,
            data_type: Some(super::proto::INT64),
            int64_data: values,
            ..TensorProto::default()
        };
        let kind = attribute.r#type.unwrap_or(UNDEFINED);
        match (name(attribute), kind) {
            ("value", TENSOR | UNDEFINED) => {
                attribute.t.clone().ok_or_else(|| refuse("value", "has no tensor"))
            }
            ("value_float", FLOAT) => Ok(floats(vec![], vec![attribute.f.unwrap_or(0.0)])),
            ("value_floats", FLOATS) => {
                Ok(floats(vec![attribute.floats.len() as i64], attribute.floats.clone()))
            }
            ("value_int", INT) => Ok(ints(vec![], vec![attribute.i.unwrap_or(0)])),
            ("value_ints", INTS) => Ok(ints(vec![attribute.ints.len() as i64], attribute.ints.clone())),
            (name, kind) => Err(refuse(name, &format!("has type {kind}, which does not fit its name"))),
        }
    }

    fn find(self, wanted: &str) -> Option<&'a AttributeProto> {
        self.0.iter().find(|attribute| name(attribute) == wanted)
    }
}

fn name(attribute: &AttributeProto) -> &str {
    attribute.name.as_deref().unwrap_or("")
}

fn refuse(name: &str, reason: &str) -> Refusal {
    Refusal::Attribute { name: name.to_string(), reason: reason.to_string() }
}
