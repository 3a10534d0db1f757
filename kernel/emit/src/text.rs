//! C text: names, literals and lists.

use std::fmt::{self, Display, Formatter};

/// Longest line of a list.
const WIDTH: usize = 100;

/// Items with commas, as many to a line as fit.
pub(crate) fn list(items: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for item in items {
        match lines.last_mut() {
            Some(line) if line.len() + item.len() + 2 <= WIDTH => {
                line.push(' ');
                line.push_str(&item);
                line.push(',');
            }
            _ => lines.push(item + ","),
        }
    }
    lines
}

/// Lines behind so many tabs.
pub(crate) struct Indented<'a>(pub(crate) usize, pub(crate) &'a [String]);

impl Display for Indented<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for line in self.1 {
            for _ in 0..self.0 {
                f.write_str("\t")?;
            }
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

/// An item of an initialiser. C has no literal of -2^31: it would be the negation of a number that an int does not hold.
pub(crate) fn number(x: i32) -> String {
    match x {
        i32::MIN => "-2147483647 - 1".to_owned(),
        x => x.to_string(),
    }
}

/// A snapshot's name as part of a C identifier and of a file's name: lower-case letters, digits and underscores.
pub(crate) fn identifier(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

/// A C string literal of printable ASCII.
pub(crate) fn literal(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        // A question mark might begin a trigraph.
        if matches!(c, '"' | '\\' | '?') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_place() {
        assert_eq!(identifier("Aurora */ v2.1"), "aurora____v2_1");
        assert_eq!(literal(r#"a"b\c??/"#), r#""a\"b\\c\?\?/""#);
    }

    #[test]
    fn lists_break_where_the_line_is_full() {
        let lines = list((0..40).map(|n| format!("{n:06}")));
        assert!(lines.len() > 1 && lines.iter().all(|line| line.len() <= WIDTH), "{lines:?}");
        assert_eq!(lines.concat().matches(',').count(), 40);
    }
}
