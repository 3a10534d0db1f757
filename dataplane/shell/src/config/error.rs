//! What is wrong with a configuration, and where.

use std::fmt::{self, Write as _};

/// One step into a configuration: a key of a table, or an index of an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A table's key.
    Key(String),
    /// An array's index, from 0.
    Index(usize),
}

/// The way from the top of a configuration to one of its values, as in `model[0].file`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPath(pub Vec<Step>);

impl KeyPath {
    /// Reads `pacing.rate_min` or `model[0].file`. Anything that is not a plain path reads as far as it goes.
    pub fn parse(text: &str) -> KeyPath {
        let mut steps = Vec::new();
        for part in text.split('.') {
            let (key, mut rest) = part.split_at(part.find('[').unwrap_or(part.len()));
            steps.push(Step::Key(key.to_owned()));
            while let Some((index, tail)) = rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
                let Ok(index) = index.parse() else { break };
                steps.push(Step::Index(index));
                rest = tail;
            }
        }
        KeyPath(steps)
    }

    /// This path, one key longer.
    pub fn key(&self, key: &str) -> KeyPath {
        let mut steps = self.0.clone();
        steps.push(Step::Key(key.to_owned()));
        KeyPath(steps)
    }

    /// Whether `self` is `other`, or an ancestor of it.
    pub fn leads_to(&self, other: &KeyPath) -> bool {
        other.0.starts_with(&self.0)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if position == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Where a configuration is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file, line and column counted from 1, the column in characters.
    File {
        /// The file as the user named it.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// In a `--set key=value` of the command line, quoted as the user gave it.
    Override(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Place::Override(text) => write!(f, "--set {text}"),
        }
    }
}

/// A configuration that Weir refuses. Its text is one line: place, key, what was expected and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// The file cannot be read.
    Unreadable {
        /// The file as the user named it.
        file: String,
        /// What the system said.
        reason: String,
    },
    /// The text is not TOML.
    Syntax {
        /// Where parsing stopped.
        place: Place,
        /// What the parser said.
        reason: String,
    },
    /// An override is not of the form `key=value`, or names no place in a configuration.
    Override {
        /// The override as given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A value is missing, unknown, of the wrong kind or out of bounds, or contradicts another.
    Value {
        /// Where the value, or the table that lacks it, stands.
        place: Place,
        /// The key's full path.
        key: KeyPath,
        /// What was expected and what was found.
        reason: String,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            ConfigError::Unreadable { file, reason } => format!("{file}: cannot read: {reason}"),
            ConfigError::Syntax { place, reason } => format!("{place}: not valid TOML: {reason}"),
            ConfigError::Override { text, reason } => format!("--set {text}: {reason}"),
            ConfigError::Value { place, key, reason } => format!("{place}: {key}: {reason}"),
        };
        // Keys, overrides and file names may hold anything: it is shown, and stays one line.
        for character in text.chars() {
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                f.write_char(character)?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_prints_as_it_reads() {
        for text in ["pacing.rate_min", "model[0].inputs[2].clip[1]", "x"] {
            assert_eq!(KeyPath::parse(text).to_string(), text);
        }
    }

    #[test]
    fn an_error_is_one_line_whatever_it_quotes() {
        let place = Place::Override("a\nb=1".to_owned());
        let error = ConfigError::Value { place, key: KeyPath::parse("a\r\nb"), reason: "\t".to_owned() };
        assert_eq!(error.to_string(), r"--set a\nb=1: a\r\nb: \t");
    }

    #[test]
    fn an_override_of_a_table_leads_to_its_keys() {
        assert!(KeyPath::parse("cores").leads_to(&KeyPath::parse("cores.workers[0]")));
        assert!(!KeyPath::parse("cores.w").leads_to(&KeyPath::parse("cores.workers")));
    }
}
