//! Values with a unit, and numbers with bounds, that say what they expected.

use serde::de::{self, Deserialize, Deserializer, Unexpected, Visitor};
use serde::{Serialize, Serializer};
use std::fmt;
use weir_engine::time::{BitsPerSec, Ns};

/// Splits `20Mbps` into its number and one of `units`. Exact: the result is `number * unit`, rounded to the nearest whole
/// number of base units, from decimal text, so that `0.1ms` is 100 000 ns and not what a float makes of it.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits_end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_')?;
    let (number, unit) = text.split_at(digits_end);
    let &(_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    let number: String = number.chars().filter(|c| *c != '_').collect();
    let (whole, fraction) = number.split_once('.').unwrap_or((&number, "0"));
    // More decimals than a nanosecond, a bit or a byte needs at the largest unit are a slip of the pen.
    if whole.is_empty() || fraction.is_empty() || fraction.len() > 15 || fraction.contains('.') {
        return None;
    }
    let whole: u128 = whole.parse().ok()?;
    let denominator = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    let fraction: u128 = fraction.parse().ok()?;
    let total = whole.checked_mul(denominator)?.checked_add(fraction)?.checked_mul(u128::from(factor))?;
    u64::try_from((total + denominator / 2) / denominator).ok()
}

/// `amount` in the largest of `units` that leaves no fraction: the way back from [`scaled`].
fn unscaled(amount: u64, units: &[(&str, u64)]) -> String {
    let fits = |(_, factor): &&(&str, u64)| amount != 0 && amount.is_multiple_of(*factor);
    let smallest = units.first().copied().unwrap_or(("", 1));
    let (name, factor) =
        units.iter().filter(fits).max_by_key(|(_, factor)| *factor).copied().unwrap_or(smallest);
    format!("{}{name}", amount / factor)
}

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident($inner:ty), $expected:literal, $units:expr) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&unscaled(self.base_units(), $units))
            }
        }

        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) struct $name(pub(crate) $inner);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<$name, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = u64;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
                        scaled(text, $units).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
                    }
                }
                from.deserialize_str(Text).map(Self::of)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }
    };
}

quantity!(
    /// A span of time, such as `"10ms"`.
    Span(Ns),
    "a duration such as \"10ms\" (ns, us, ms, s or min)",
    &[("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000), ("min", 60_000_000_000)]
);
quantity!(
    /// A rate, such as `"10Mbps"`, in bits per second.
    Rate(BitsPerSec),
    "a rate such as \"10Mbps\" (bps, kbps, Mbps or Gbps)",
    &[("bps", 1), ("kbps", 1_000), ("Mbps", 1_000_000), ("Gbps", 1_000_000_000)]
);
quantity!(
    /// A size in bytes, such as `"1MiB"`.
    Size(u64),
    "a size such as \"1MiB\" (B, kB, KiB, MB, MiB, GB or GiB)",
    &[
        ("B", 1),
        ("kB", 1_000),
        ("KiB", 1 << 10),
        ("MB", 1_000_000),
        ("MiB", 1 << 20),
        ("GB", 1_000_000_000),
        ("GiB", 1 << 30)
    ]
);

impl Span {
    fn base_units(self) -> u64 {
        self.0.0
    }
    fn of(ns: u64) -> Span {
        Span(Ns(ns))
    }
}
impl Rate {
    fn base_units(self) -> u64 {
        self.0.0
    }
    fn of(bits_per_sec: u64) -> Rate {
        Rate(BitsPerSec(bits_per_sec))
    }
}
impl Size {
    fn base_units(self) -> u64 {
        self.0
    }
    fn of(bytes: u64) -> Size {
        Size(bytes)
    }
}

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Whole<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> Whole<MIN, MAX> {
    /// The number `n`, pulled into the bounds.
    pub(crate) const fn clamped(n: u64) -> Self {
        Whole(if n < MIN {
            MIN
        } else if n > MAX {
            MAX
        } else {
            n
        })
    }
    /// The number.
    pub(crate) const fn get(self) -> u64 {
        self.0
    }
    /// The number, for a place that holds 32 bits. Wider bounds saturate; no key that uses this has them.
    pub(crate) fn get_u32(self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Whole<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Number<const MIN: u64, const MAX: u64>;
        impl<const MIN: u64, const MAX: u64> Visitor<'_> for Number<MIN, MAX> {
            type Value = u64;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                if MAX == u64::MAX {
                    write!(f, "a whole number from {MIN}")
                } else {
                    write!(f, "a whole number from {MIN} to {MAX}")
                }
            }
            fn visit_u64<E: de::Error>(self, n: u64) -> Result<u64, E> {
                if (MIN..=MAX).contains(&n) {
                    Ok(n)
                } else {
                    Err(E::invalid_value(Unexpected::Unsigned(n), &self))
                }
            }
            fn visit_i64<E: de::Error>(self, n: i64) -> Result<u64, E> {
                match u64::try_from(n) {
                    Ok(n) => self.visit_u64(n),
                    Err(_) => Err(E::invalid_value(Unexpected::Signed(n), &self)),
                }
            }
        }
        from.deserialize_u64(Number::<MIN, MAX>).map(Whole)
    }
}

/// A finite number.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
pub(crate) struct Real(pub(crate) f64);

impl<'de> Deserialize<'de> for Real {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Real, D::Error> {
        from.deserialize_f64(Within { min: f64::MIN, max: f64::MAX, expected: "a finite number" }).map(Real)
    }
}

/// A share of a whole, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
pub(crate) struct Share(pub(crate) f64);

impl Share {
    /// Of flows that stay on the rule where nothing is said, 2 %: enough to measure against, cheap to give up.
    pub(crate) fn of_control() -> Share {
        Share(0.02)
    }

    /// The share in 1/65536, as the engine counts it.
    pub(crate) fn in_65536(self) -> u32 {
        // In 0..=65536 by construction; a float-to-int cast saturates in any case.
        (self.0 * 65536.0).round() as u32
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Share, D::Error> {
        from.deserialize_f64(Within { min: 0.0, max: 1.0, expected: "a share from 0 to 1" }).map(Share)
    }
}

/// A number from 0, infinity included: a bound that nothing reaches.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(crate) struct Least(pub(crate) f64);

impl<'de> Deserialize<'de> for Least {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Least, D::Error> {
        let bounds = Within { min: 0.0, max: f64::INFINITY, expected: "a number from 0, or inf" };
        from.deserialize_f64(bounds).map(Least)
    }
}

impl Serialize for Least {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // JSON has no infinity, and two files are compared as JSON.
        if self.0.is_finite() { to.serialize_f64(self.0) } else { to.serialize_str("inf") }
    }
}

struct Within {
    min: f64,
    max: f64,
    expected: &'static str,
}

impl Visitor<'_> for Within {
    type Value = f64;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }
    fn visit_f64<E: de::Error>(self, x: f64) -> Result<f64, E> {
        // Not a number is in no range.
        if (self.min..=self.max).contains(&x) {
            Ok(x)
        } else {
            Err(E::invalid_value(Unexpected::Float(x), &self))
        }
    }
    fn visit_i64<E: de::Error>(self, n: i64) -> Result<f64, E> {
        self.visit_f64(n as f64)
    }
    fn visit_u64<E: de::Error>(self, n: u64) -> Result<f64, E> {
        self.visit_f64(n as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: &[(&str, u64)] = &[("ms", 1_000_000), ("s", 1_000_000_000)];

    #[test]
    fn decimal_text_is_exact() {
        assert_eq!(scaled("10ms", MS), Some(10_000_000));
        assert_eq!(scaled("0.1ms", MS), Some(100_000));
        assert_eq!(scaled(" 2.5 s ", MS), Some(2_500_000_000));
        assert_eq!(scaled("1_000ms", MS), Some(1_000_000_000));
        // 0.3 has no exact float.
        assert_eq!(scaled("0.3ms", MS), Some(300_000));
    }

    #[test]
    fn what_is_not_a_quantity_is_refused() {
        for text in [
            "",
            "10",
            "ms",
            "10 apples",
            "-5ms",
            "1.2.3s",
            "1.s",
            ".5s",
            "5MS",
            "99999999999999999999s",
            "5e3ms",
        ] {
            assert_eq!(scaled(text, MS), None, "{text:?}");
        }
    }

    #[test]
    fn a_quantity_prints_as_a_user_would_write_it() {
        assert_eq!(unscaled(500_000_000, MS), "500ms");
        assert_eq!(unscaled(2_000_000_000, MS), "2s");
        assert_eq!(unscaled(0, MS), "0ms");
    }

    #[test]
    fn shares_reach_both_ends() {
        assert_eq!((Share(0.0).in_65536(), Share(0.02).in_65536(), Share(1.0).in_65536()), (0, 1311, 65536));
    }
}
