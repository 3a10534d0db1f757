//! Columns, spans and numbers as operators read them.

use std::fmt::Write as _;

/// Rows of cells, each column as wide as its widest cell; text to the left, numbers to the right.
pub(super) struct Table {
    pub(super) rows: Vec<Vec<String>>,
    /// Columns of text, counted from the left.
    texts: usize,
}

impl Table {
    pub(super) fn new(texts: usize, head: &[&str]) -> Table {
        Table { rows: vec![head.iter().map(|cell| (*cell).to_owned()).collect()], texts }
    }

    pub(super) fn print(&self, out: &mut String) {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let gap = if column == 0 { "" } else { "  " };
                // Writing to a String cannot fail.
                let _ = match column < self.texts {
                    true => write!(line, "{gap}{cell:<width$}"),
                    false => write!(line, "{gap}{cell:>width$}"),
                };
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out.push('\n');
    }
}

/// A span in its two largest units.
pub(super) fn span(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as u64;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// A number with three digits or so and a metric prefix.
pub(super) fn scaled(number: f64) -> String {
    const UNITS: [(f64, &str); 4] = [(1e9, " G"), (1e6, " M"), (1e3, " k"), (1.0, "")];
    let (factor, unit) =
        UNITS.into_iter().find(|(factor, _)| number >= *factor * 0.9995).unwrap_or((1.0, ""));
    let number = number / factor;
    let decimals = if unit.is_empty() || number >= 99.95 {
        0
    } else if number >= 9.995 {
        1
    } else {
        2
    };
    format!("{number:.decimals$}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (number, text) in [
            (0.0, "0"),
            (7.4, "7"),
            (999.0, "999"),
            (999.9, "1.00 k"),
            (12_345.0, "12.3 k"),
            (95_240_000.0, "95.2 M"),
            (9_999_999_999.0, "10.0 G"),
        ] {
            assert_eq!(scaled(number), text);
        }
    }

    #[test]
    fn spans_have_two_units() {
        for (seconds, text) in [
            (-1.0, "0 s"),
            (59.9, "59 s"),
            (61.0, "1 min 1 s"),
            (7_260.0, "2 h 1 min"),
            (90_000.0, "1 d 1 h"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }
}
