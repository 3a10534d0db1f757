//! A strict reader of merged values: what serde asks for must be there as written. A text is not taken for a number,
//! and an error knows the path of the key that it is about.
//!
//! The crate `config` merges the layers but converts kinds freely (`"256"` would pass for 256) and loses the path
//! inside nested values, so its own reader is not used.

use super::error::{KeyPath, Step};
use config::{Value, ValueKind};
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, Unexpected, Visitor};
use std::fmt;

/// One refused value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// From the innermost step outwards, while it is still being built.
    steps: Vec<Step>,
    pub(crate) problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The last step of the path is a key that does not exist; `known` are those that do.
    UnknownKey { known: &'static [&'static str] },
    /// The last step of the path is a key that must be there.
    MissingKey,
    /// The value is of the wrong kind or out of bounds.
    Value(String),
}

impl Fault {
    fn at(steps: Vec<Step>, problem: Problem) -> Fault {
        Fault { steps, problem }
    }
    fn under(mut self, step: Step) -> Fault {
        self.steps.push(step);
        self
    }
    pub(crate) fn path(&self) -> KeyPath {
        KeyPath(self.steps.iter().rev().cloned().collect())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path();
        match &self.problem {
            Problem::UnknownKey { known } => match nearest(last_key(&path), known) {
                Some(near) => write!(f, "unknown key; did you mean `{near}`?"),
                None => write!(f, "unknown key; expected one of: {}", known.join(", ")),
            },
            Problem::MissingKey => f.write_str("missing key"),
            Problem::Value(reason) => f.write_str(reason),
        }
    }
}

fn last_key(path: &KeyPath) -> &str {
    match path.0.last() {
        Some(Step::Key(key)) => key,
        _ => "",
    }
}

/// The known word that `word` most resembles, if it resembles any. 0.8 of Jaro-Winkler's 1.0 is where clap, too,
/// stops guessing.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|&near| (strsim::jaro_winkler(word, near), near))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, near)| near)
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Fault {
        Fault::at(Vec::new(), Problem::Value(message.to_string()))
    }
    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Fault {
        let expected = expected.to_string();
        // Serde calls a table by the name of the Rust type that it fills, which tells the user nothing.
        let expected = if expected.starts_with("struct ") { "a table".to_owned() } else { expected };
        let expected = expected.replace("a sequence", "an array").replace("a boolean", "true or false");
        Fault::custom(format_args!("expected {expected}, found {}", describe(found)))
    }
    fn invalid_value(found: Unexpected<'_>, expected: &dyn de::Expected) -> Fault {
        Fault::invalid_type(found, expected)
    }
    fn invalid_length(length: usize, expected: &dyn de::Expected) -> Fault {
        Fault::custom(format_args!("expected {expected}, found length {length}"))
    }
    fn unknown_variant(found: &str, known: &'static [&'static str]) -> Fault {
        let words: Vec<String> = known.iter().map(|word| format!("{word:?}")).collect();
        Fault::custom(format_args!("expected one of {}, found {found:?}", words.join(", ")))
    }
    fn unknown_field(key: &str, known: &'static [&'static str]) -> Fault {
        Fault::at(vec![Step::Key(key.to_owned())], Problem::UnknownKey { known })
    }
    fn missing_field(key: &'static str) -> Fault {
        Fault::at(vec![Step::Key(key.to_owned())], Problem::MissingKey)
    }
}

/// A found value, as the user would write it.
fn describe(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(b) => b.to_string(),
        Unexpected::Unsigned(n) => n.to_string(),
        Unexpected::Signed(n) => n.to_string(),
        Unexpected::Float(x) => x.to_string(),
        Unexpected::Str(text) => format!("{text:?}"),
        Unexpected::Map => "a table".to_owned(),
        Unexpected::Seq => "an array".to_owned(),
        other => other.to_string(),
    }
}

/// A merged value on its way into a Rust type.
pub(crate) struct Reader(pub(crate) Value);

impl<'de> IntoDeserializer<'de, Fault> for Reader {
    type Deserializer = Reader;
    fn into_deserializer(self) -> Reader {
        self
    }
}

impl<'de> Deserializer<'de> for Reader {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0.kind {
            ValueKind::Nil => visitor.visit_unit(),
            ValueKind::Boolean(b) => visitor.visit_bool(b),
            ValueKind::I64(n) => visitor.visit_i64(n),
            ValueKind::I128(n) => visitor.visit_i128(n),
            ValueKind::U64(n) => visitor.visit_u64(n),
            ValueKind::U128(n) => visitor.visit_u128(n),
            ValueKind::Float(x) => visitor.visit_f64(x),
            ValueKind::String(text) => visitor.visit_string(text),
            ValueKind::Array(values) => visitor.visit_seq(Elements { index: 0, rest: values.into_iter() }),
            ValueKind::Table(table) => {
                let mut entries: Vec<(String, Value)> = table.into_iter().collect();
                // The map has no order of its own; errors should not depend on its seed.
                entries.sort_by(|a, b| a.0.cmp(&b.0));
                visitor.visit_map(Entries { rest: entries.into_iter(), value: None })
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if let ValueKind::String(text) = self.0.kind {
            return visitor.visit_enum(text.into_deserializer());
        }
        let known: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
        self.deserialize_any(Expecting(format!("one of {}", known.join(", ")))).map(|never| match never {})
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// Refuses whatever it visits, in its own words.
struct Expecting<T>(T);

impl<'de, T> Visitor<'de> for Expecting<T>
where
    T: fmt::Display,
{
    type Value = std::convert::Infallible;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

struct Elements {
    index: usize,
    rest: std::vec::IntoIter<Value>,
}

impl<'de> de::SeqAccess<'de> for Elements {
    type Error = Fault;
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some(value) = self.rest.next() else { return Ok(None) };
        let index = self.index;
        self.index += 1;
        seed.deserialize(Reader(value)).map(Some).map_err(|fault| fault.under(Step::Index(index)))
    }
    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

struct Entries {
    rest: std::vec::IntoIter<(String, Value)>,
    value: Option<(String, Value)>,
}

impl<'de> de::MapAccess<'de> for Entries {
    type Error = Fault;
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        // An empty override takes a key away.
        let Some(entry) = self.rest.find(|(_, value)| value.kind != ValueKind::Nil) else { return Ok(None) };
        let key: de::value::StrDeserializer<'_, Fault> = entry.0.as_str().into_deserializer();
        let key = seed.deserialize(key)?;
        self.value = Some(entry);
        Ok(Some(key))
    }
    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Fault> {
        let Some((key, value)) = self.value.take() else {
            return Err(de::Error::custom("a value was asked for before its key"));
        };
        seed.deserialize(Reader(value)).map_err(|fault| fault.under(Step::Key(key)))
    }
}
