//! Where a configuration's values come from: a file's text, then the command line's `--set key=value` over it; and
//! the way back from a key to the place that set it.

use super::error::{ConfigError, KeyPath, Place, Step};
use super::read::{Problem, Reader};
use config::{FileFormat, Source as _, Value, ValueKind};
use serde::de::DeserializeOwned;
use std::fmt;
use std::path::{Path, PathBuf};

/// The texts that make up one configuration.
#[derive(Clone, Debug)]
pub struct Source {
    file: PathBuf,
    text: String,
    /// Each `--set`, in the order given: its key, and the text as the user wrote it.
    overrides: Vec<(KeyPath, String)>,
}

impl Source {
    /// Reads `file`; nothing is checked yet but that it is text.
    ///
    /// # Errors
    /// The file cannot be read, is not UTF-8, or an override is not of the form `key=value`.
    pub fn read(file: &Path, overrides: &[String]) -> Result<Source, ConfigError> {
        let text = std::fs::read_to_string(file).map_err(|error| ConfigError::Unreadable {
            file: file.display().to_string(),
            reason: error.to_string(),
        })?;
        Source::from_text(file, text, overrides)
    }

    /// The same for a text at hand; `file` is what errors call it, and relative paths in it start there.
    ///
    /// # Errors
    /// An override is not of the form `key=value`.
    pub fn from_text(file: &Path, text: String, overrides: &[String]) -> Result<Source, ConfigError> {
        let overrides = overrides
            .iter()
            .map(|text| match text.split_once('=') {
                Some((key, _)) if !key.trim().is_empty() => Ok((KeyPath::parse(key.trim()), text.clone())),
                _ => Err(ConfigError::Override {
                    text: text.clone(),
                    reason: "expected key=value, such as pacing.rule=none".to_owned(),
                }),
            })
            .collect::<Result<_, _>>()?;
        Ok(Source { file: file.to_owned(), text, overrides })
    }

    /// Merges the layers and fills a `T` from them.
    ///
    /// # Errors
    /// The text is not TOML, or a value is not what `T` expects.
    pub(super) fn fill<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        if let Err(error) = toml_span::parse(&self.text) {
            return Err(ConfigError::Syntax {
                place: self.place_of_offset(error.span.start),
                reason: error.to_string(),
            });
        }
        let merged = self.merge()?;
        T::deserialize(Reader(merged)).map_err(|fault| {
            let path = fault.path();
            // A key that is missing has no place; the table that lacks it has.
            let place = match fault.problem {
                Problem::MissingKey => self.place(&KeyPath(parent(&path).to_vec())),
                Problem::UnknownKey { .. } => self.place_of_key(&path),
                Problem::Value(_) => self.place(&path),
            };
            ConfigError::Value { place, key: path, reason: fault.to_string() }
        })
    }

    fn merge(&self) -> Result<Value, ConfigError> {
        let mut builder =
            config::Config::builder().add_source(config::File::from_str(&self.text, FileFormat::Toml));
        for (key, text) in &self.overrides {
            let refused = |reason: String| ConfigError::Override { text: text.clone(), reason };
            let value = text.split_once('=').map_or("", |(_, value)| value.trim());
            builder = builder
                .set_override(key.to_string(), override_value(value))
                .map_err(|_| refused("expected a key such as pacing.rate_min or model[0].file".to_owned()))?;
        }
        let merged = builder.build().and_then(|merged| merged.collect());
        merged.map(Value::from).map_err(|error| ConfigError::Syntax {
            place: self.place_of_offset(0),
            reason: one_line(&error.to_string()),
        })
    }

    /// An error about the value at `key`, as `model[0].file`.
    pub fn error(&self, key: &str, reason: impl fmt::Display) -> ConfigError {
        let key = KeyPath::parse(key);
        ConfigError::Value { place: self.place(&key), key, reason: one_line(&reason.to_string()) }
    }

    /// The path that `table.key` names in the file, or `default` where the table is there without the key. Looks at
    /// nothing else.
    pub(super) fn text_at(&self, table: &str, key: &str, default: &str) -> Result<PathBuf, ConfigError> {
        let root = toml_span::parse(&self.text).map_err(|error| ConfigError::Syntax {
            place: self.place_of_offset(error.span.start),
            reason: error.to_string(),
        })?;
        let found = root.as_table().and_then(|root| root.get(table)).and_then(|value| value.as_table());
        let found = found.ok_or_else(|| self.error(table, "missing key"))?;
        match found.get(key).map(|value| value.as_str()) {
            None => Ok(self.resolve(default)),
            Some(Some(text)) => Ok(self.resolve(text)),
            Some(None) => Err(self.error(&format!("{table}.{key}"), "expected a text")),
        }
    }

    /// A path named in the configuration: relative ones start at the file's own folder, wherever Weir runs.
    pub fn resolve(&self, path: &str) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(path)
    }

    /// The file as the user named it.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Where the value of `key` was set: by the last override that leads to it, else in the file; where neither
    /// has it, at the nearest table above.
    fn place(&self, key: &KeyPath) -> Place {
        self.override_place(key).unwrap_or_else(|| self.place_of_offset(self.offset(key, false)))
    }

    /// Where `key` itself stands, rather than its value.
    fn place_of_key(&self, key: &KeyPath) -> Place {
        self.override_place(key).unwrap_or_else(|| self.place_of_offset(self.offset(key, true)))
    }

    fn override_place(&self, key: &KeyPath) -> Option<Place> {
        let (_, text) =
            self.overrides.iter().rev().find(|(path, _)| !key.0.is_empty() && path.leads_to(key))?;
        Some(Place::Override(text.clone()))
    }

    /// The byte offset of a value, or of its key.
    fn offset(&self, path: &KeyPath, of_key: bool) -> usize {
        let Ok(root) = toml_span::parse(&self.text) else { return 0 };
        let (mut at, mut value) = (0, &root);
        for step in &path.0 {
            let next = match step {
                Step::Key(name) => value.as_table().and_then(|table| table.get_key_value(name.as_str())),
                Step::Index(index) => {
                    let element = value.as_array().and_then(|array| array.get(*index));
                    let Some(element) = element else { break };
                    (at, value) = (element.span.start, element);
                    continue;
                }
            };
            let Some((key, next)) = next else { break };
            // A table's own span starts at its first entry or its header, depending on how it is written. The key
            // is what a reader looks for.
            let scalar = next.as_table().is_none() && next.as_array().is_none();
            at = if of_key || !scalar { key.span.start } else { next.span.start };
            value = next;
        }
        // The span of a string begins inside its quotes.
        let before = &self.text[..at];
        if value.as_str().is_some() && !of_key { before.trim_end_matches(['"', '\'']).len() } else { at }
    }

    fn place_of_offset(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place::File {
            file: self.file.display().to_string(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// An override's value is TOML where it parses as that (`true`, `5`, `[1]`, `"text"`), otherwise plain text, so that
/// `--set pacing.rate_min=20Mbps` needs no quotes for the shell to eat. Nothing at all takes the key away.
fn override_value(text: &str) -> Value {
    if text.is_empty() {
        return Value::new(None, ValueKind::Nil);
    }
    let toml = config::File::from_str(&format!("value = {text}"), FileFormat::Toml);
    let parsed = config::Config::builder().add_source(toml).build().and_then(|parsed| parsed.get("value"));
    parsed.unwrap_or_else(|_| Value::from(text))
}

fn parent(path: &KeyPath) -> &[Step] {
    &path.0[..path.0.len().saturating_sub(1)]
}

/// Errors promise one line.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
