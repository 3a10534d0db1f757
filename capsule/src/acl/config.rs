//! From a file to a checked list. A refusal names file, line, what was expected and what was found.

use super::rules::{Acl, Action, Network, Ports, Protocol, Rule};
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use thiserror::Error;
use toml::Spanned;
use weir_engine::io::Side;
use weir_engine::route::Prefix;

/// Rules that a list may have. Each frame is held against one after the other, some nanoseconds each.
pub const RULES_MAX: usize = 256;

/// A list that cannot be used.
#[derive(Debug, Error)]
pub enum AclError {
    /// It cannot be read.
    #[error("{}: {error}", file.display())]
    Unread {
        /// The file.
        file: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is no list, or one that cannot be meant so.
    #[error("{}:{line}: {reason}", file.display())]
    Wrong {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What was expected, and what was found.
        reason: String,
    },
}

/// Reads a list.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn load(file: &Path) -> Result<Acl, AclError> {
    let text =
        std::fs::read_to_string(file).map_err(|error| AclError::Unread { file: file.to_owned(), error })?;
    parse(&text).map_err(|(at, reason)| AclError::Wrong {
        file: file.to_owned(),
        line: text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1,
        reason,
    })
}

/// A place in the text, and what is wrong there.
type Fault = (usize, String);

pub(super) fn parse(text: &str) -> Result<Acl, Fault> {
    let file: File = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        (at, error.message().split_whitespace().collect::<Vec<_>>().join(" "))
    })?;
    if let Some(first_too_many) = file.rule.get(RULES_MAX) {
        let reason = format!("expected at most {RULES_MAX} rules, found {}", file.rule.len());
        return Err((first_too_many.span().start, reason));
    }
    let mut names = HashSet::new();
    let mut rules = Vec::with_capacity(file.rule.len());
    for (at, written) in file.rule.into_iter().enumerate() {
        let start = written.span().start;
        let rule = written.into_inner().check(at).map_err(|reason| (start, reason))?;
        if !names.insert(rule.name.clone()) {
            return Err((start, format!("rule {}: another rule is called {:?} too", at + 1, rule.name)));
        }
        rules.push(rule);
    }
    Ok(Acl { rules, default: file.default })
}

/// The file as it is written.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    default: Action,
    #[serde(default)]
    rule: Vec<Spanned<Written>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: Option<String>,
    action: Action,
    from: Option<From>,
    protocol: Option<Protocol>,
    source: Option<Network>,
    destination: Option<Network>,
    source_port: Option<Ports>,
    destination_port: Option<Ports>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum From {
    Inside,
    Outside,
}

impl Written {
    /// The rule, unless it could never match.
    fn check(self, at: usize) -> Result<Rule, String> {
        let name = self.name.unwrap_or_else(|| format!("rule {}", at + 1));
        let refuse = |reason: &str| Err(format!("rule {} ({name}): {reason}", at + 1));
        if name.is_empty() || name.len() > 64 || name.starts_with('(') || name.chars().any(char::is_control) {
            return refuse("expected a name of 1 to 64 printable bytes that does not begin with a bracket");
        }
        let ported = matches!(self.protocol, Some(Protocol::Ip(6 | 17 | 33 | 132 | 136)));
        if (self.source_port.is_some() || self.destination_port.is_some()) && !ported {
            return refuse(
                "ports need a protocol that has them: protocol = \"tcp\", \"udp\", \"sctp\", 33 or 136",
            );
        }
        if self.protocol == Some(Protocol::Arp) && (self.source.is_some() || self.destination.is_some()) {
            return refuse("ARP is no IP: a rule for it has no source and no destination");
        }
        if let (Some(source), Some(destination)) = (&self.source, &self.destination)
            && source.is_ipv4() != destination.is_ipv4()
        {
            return refuse("source and destination are of different versions of IP: no packet has both");
        }
        let from = self.from.map(|from| match from {
            From::Inside => Side::Inside,
            From::Outside => Side::Outside,
        });
        Ok(Rule {
            name,
            action: self.action,
            from,
            protocol: self.protocol,
            source: self.source,
            destination: self.destination,
            source_port: self.source_port,
            destination_port: self.destination_port,
        })
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Network, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || {
            de::Error::custom(format!(
                "expected an address or a prefix, as \"10.0.0.0/8\" or \"2001:db8::/32\", found {text:?}"
            ))
        };
        let (address, len) = match text.split_once('/') {
            Some((address, len)) => (address, Some(len)),
            None => (text.as_str(), None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let len = match len {
            None => whole,
            Some(len) => len.parse().ok().filter(|len| *len <= whole).ok_or_else(wrong)?,
        };
        let prefix = Prefix { address, len };
        if !prefix.is_network() {
            let network = match prefix.network_and_mask().0 {
                bits if address.is_ipv4() => IpAddr::V4((bits as u32).into()),
                bits => IpAddr::V6(bits.into()),
            };
            let meant = Prefix { address: network, len };
            return Err(de::Error::custom(format!("{prefix} has host bits set: the network is {meant}")));
        }
        Ok(Network::from(prefix))
    }
}

impl<'de> Deserialize<'de> for Protocol {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Protocol, D::Error> {
        struct Expected;
        impl Visitor<'_> for Expected {
            type Value = Protocol;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"tcp\", \"udp\", \"icmp\", \"icmp6\", \"sctp\", \"gre\", \"esp\", \"arp\" or a number to 255")
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Protocol, E> {
                let wrong = |_| E::invalid_value(de::Unexpected::Signed(number), &self);
                u8::try_from(number).map(Protocol::Ip).map_err(wrong)
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<Protocol, E> {
                Ok(Protocol::Ip(match name {
                    "arp" => return Ok(Protocol::Arp),
                    "icmp" => 1,
                    "tcp" => 6,
                    "udp" => 17,
                    "gre" => 47,
                    "esp" => 50,
                    "icmp6" => 58,
                    "sctp" => 132,
                    _ => return Err(E::invalid_value(de::Unexpected::Str(name), &self)),
                }))
            }
        }
        deserializer.deserialize_any(Expected)
    }
}

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Ports, D::Error> {
        deserializer.deserialize_any(PortsVisitor { list: true }).map(Ports)
    }
}

/// A port or a range, within a list.
struct OneRange(Vec<RangeInclusive<u16>>);

impl<'de> Deserialize<'de> for OneRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OneRange, D::Error> {
        deserializer.deserialize_any(PortsVisitor { list: false }).map(OneRange)
    }
}

/// Reads a port, a range, or a list of these where there may be one.
struct PortsVisitor {
    list: bool,
}

impl<'de> Visitor<'de> for PortsVisitor {
    type Value = Vec<RangeInclusive<u16>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a port, a range as \"8000-8099\", or a list of 1 to 16 of these")
    }
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        let wrong = |_| E::invalid_value(de::Unexpected::Signed(number), &self);
        u16::try_from(number).map(|port| vec![port..=port]).map_err(wrong)
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (first.trim().parse(), last.trim().parse()) {
            (Ok(first), Ok(last)) if first <= last => Ok(vec![first..=last]),
            _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Self::Value, A::Error> {
        if !self.list {
            return Err(de::Error::invalid_type(de::Unexpected::Seq, &self));
        }
        let mut ranges = Vec::new();
        while let Some(OneRange(range)) = all.next_element()? {
            ranges.extend(range);
        }
        match ranges.len() {
            1..=16 => Ok(ranges),
            count => Err(de::Error::invalid_length(count, &self)),
        }
    }
}
