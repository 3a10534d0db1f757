//! Quantities as people write them: `50Mbps`, `10ms`, `500kB`, `0.5%`.

use crate::settings::ParseError;

/// Splits `text` into its number and its unit, and scales the number by the unit's factor.
fn scaled(text: &str, what: &'static str, units: &[(&str, f64)]) -> Result<f64, ParseError> {
    let bad = || ParseError::Quantity {
        text: text.to_owned(),
        what,
        units: units.iter().map(|(unit, _)| *unit).collect::<Vec<_>>().join(", "),
    };
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let (_, factor) = units.iter().find(|(unit, _)| *unit == &text[digits.len()..]).ok_or_else(bad)?;
    // Only plain decimals: `f64` would also read "inf", "1e9" and "-3".
    if !digits.starts_with(|c: char| c.is_ascii_digit())
        || !digits.chars().all(|c| c.is_ascii_digit() || c == '.')
    {
        return Err(bad());
    }
    digits.parse::<f64>().map(|number| number * factor).map_err(|_| bad())
}

fn whole(value: f64, text: &str, what: &'static str, max: u64) -> Result<u64, ParseError> {
    if value > max as f64 {
        return Err(ParseError::TooLarge { text: text.to_owned(), what });
    }
    Ok(value.round() as u64)
}

/// A rate in bits per second; `none` is no limit. At most 1 Tb/s, at least 1 kb/s.
///
/// # Errors
/// The text is no number with a unit of rate, or out of range.
pub fn parse_rate(text: &str) -> Result<Option<u64>, ParseError> {
    if text == "none" {
        return Ok(None);
    }
    let what = "a rate (1kbps to 1000Gbps, or none)";
    let bits = scaled(text, what, &[("bps", 1.0), ("kbps", 1e3), ("Mbps", 1e6), ("Gbps", 1e9)])?;
    let bits = whole(bits, text, what, 1_000_000_000_000)?;
    if bits < 1_000 {
        return Err(ParseError::TooSmall { text: text.to_owned(), what });
    }
    Ok(Some(bits))
}

/// A span of time in nanoseconds, at most one hour.
///
/// # Errors
/// The text is no number with a unit of time, or out of range.
pub fn parse_span(text: &str) -> Result<u64, ParseError> {
    let what = "a span of time (at most 3600s)";
    let ns = scaled(text, what, &[("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9)])?;
    whole(ns, text, what, 3_600_000_000_000)
}

/// A number of bytes, at most 4 GiB.
///
/// # Errors
/// The text is no number with a unit of size, or out of range.
pub fn parse_bytes(text: &str) -> Result<u64, ParseError> {
    let what = "a number of bytes (at most 4GiB)";
    let units = [
        ("B", 1.0),
        ("kB", 1e3),
        ("MB", 1e6),
        ("KiB", 1024.0),
        ("MiB", 1_048_576.0),
        ("GiB", 1_073_741_824.0),
    ];
    let bytes = scaled(text, what, &units)?;
    whole(bytes, text, what, 4 << 30)
}

/// A share in [0, 1], written as a percentage or as a plain number.
///
/// # Errors
/// The text is no number, or lies outside the range.
pub fn parse_share(text: &str) -> Result<f64, ParseError> {
    let what = "a share (0% to 100%, or 0 to 1)";
    let share = scaled(text, what, &[("%", 0.01), ("", 1.0)])?;
    if share > 1.0 {
        return Err(ParseError::TooLarge { text: text.to_owned(), what });
    }
    Ok(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_as_written() {
        assert_eq!(parse_rate("50Mbps").unwrap(), Some(50_000_000));
        assert_eq!(parse_rate("1.5Gbps").unwrap(), Some(1_500_000_000));
        assert_eq!(parse_rate("none").unwrap(), None);
        assert_eq!(parse_span("10ms").unwrap(), 10_000_000);
        assert_eq!(parse_span("0s").unwrap(), 0);
        assert_eq!(parse_span("2.5us").unwrap(), 2_500);
        assert_eq!(parse_bytes("500kB").unwrap(), 500_000);
        assert_eq!(parse_bytes("1MiB").unwrap(), 1 << 20);
        assert_eq!(parse_share("0.5%").unwrap(), 0.005);
        assert_eq!(parse_share("1").unwrap(), 1.0);
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in [
            "", "Mbps", "50", "50 Mbps", "-5Mbps", "infMbps", "1e3Mbps", "50mbps", "1..5Mbps", "0bps",
            "2000Gbps", "5µs",
        ] {
            assert!(parse_rate(text).is_err(), "{text:?}");
        }
        assert!(parse_span("3601s").is_err());
        assert!(parse_bytes("5GiB").is_err());
        assert!(parse_share("101%").is_err());
        assert!(parse_share("NaN").is_err());
    }
}
