//! Rules, and what they say of a frame.

use super::headers::{Packet, Seen, Unreadable};
use std::fmt;
use std::ops::RangeInclusive;
use weir_engine::io::Side;
use weir_engine::route::Prefix;

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It goes on to the worker.
    Allow,
    /// It is dropped.
    Deny,
}

impl Action {
    /// As in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Action::Allow => "allow",
            Action::Deny => "deny",
        }
    }
}

/// What a rule says of protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Address resolution for IPv4, which is no IP.
    Arp,
    /// A protocol of IP by its number (<https://www.iana.org/assignments/protocol-numbers>): of IPv6, what follows the
    /// extension headers.
    Ip(u8),
}

/// A set of ports: ranges, both ends included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports(pub Vec<RangeInclusive<u16>>);

impl Ports {
    fn contain(&self, port: u16) -> bool {
        self.0.iter().any(|range| range.contains(&port))
    }
}

/// One rule. What it leaves out, it does not ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// As the output calls it.
    pub name: String,
    /// What it decides.
    pub action: Action,
    /// The side on which the frame arrived.
    pub from: Option<Side>,
    /// Its protocol.
    pub protocol: Option<Protocol>,
    /// Who sent it.
    pub source: Option<Network>,
    /// Whom it is for.
    pub destination: Option<Network>,
    /// The sender's port.
    pub source_port: Option<Ports>,
    /// The receiver's port.
    pub destination_port: Option<Ports>,
}

/// A prefix, ready to be held against addresses: those of IPv4 in the low half of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    prefix: Prefix,
    network: u128,
    mask: u128,
}

impl From<Prefix> for Network {
    fn from(prefix: Prefix) -> Network {
        let (network, mask) = prefix.network_and_mask();
        Network { prefix, network, mask }
    }
}

impl Network {
    /// Whether it is one of IPv4.
    pub fn is_ipv4(&self) -> bool {
        self.prefix.address.is_ipv4()
    }

    fn contains(&self, is_ipv4: bool, address: u128) -> bool {
        self.is_ipv4() == is_ipv4 && address & self.mask == self.network
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.prefix.fmt(f)
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, range) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { "," };
            match (range.start(), range.end()) {
                (first, last) if first == last => write!(f, "{separator}{first}")?,
                (first, last) => write!(f, "{separator}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

/// What it asks, in words.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.action.name())?;
        match self.protocol {
            None => {}
            Some(Protocol::Arp) => f.write_str(" arp")?,
            Some(Protocol::Ip(number)) => write!(f, " protocol {number}")?,
        }
        if let Some(side) = self.from {
            write!(f, " arriving {}", side.name())?;
        }
        let ends =
            [("from", &self.source, &self.source_port), ("to", &self.destination, &self.destination_port)];
        for (word, network, ports) in ends {
            if let Some(network) = network {
                write!(f, " {word} {network}")?;
            }
            if let Some(ports) = ports {
                write!(f, " {word} port {ports}")?;
            }
        }
        write!(f, "  ({})", self.name)
    }
}

impl Rule {
    fn matches(&self, side: Side, seen: &Seen) -> bool {
        if self.from.is_some_and(|from| from != side) {
            return false;
        }
        let names_addresses = self.source.is_some() || self.destination.is_some();
        let names_ports = self.source_port.is_some() || self.destination_port.is_some();
        match (seen, self.protocol) {
            (Seen::Ip(packet), None) => self.matches_packet(packet),
            (Seen::Ip(packet), Some(Protocol::Ip(number))) => {
                packet.protocol == number && self.matches_packet(packet)
            }
            (Seen::Arp, None | Some(Protocol::Arp)) | (Seen::Other, None) => !names_addresses && !names_ports,
            _ => false,
        }
    }

    fn matches_packet(&self, packet: &Packet) -> bool {
        let of = |wanted: &Option<Network>, address| {
            wanted.as_ref().is_none_or(|network| network.contains(packet.is_ipv4, address))
        };
        let port = |wanted: &Option<Ports>, at: usize| {
            wanted.as_ref().is_none_or(|wanted| packet.ports.is_some_and(|ports| wanted.contain(ports[at])))
        };
        of(&self.source, packet.source)
            && of(&self.destination, packet.destination)
            && port(&self.source_port, 0)
            && port(&self.destination_port, 1)
    }
}

/// Why a frame was allowed or denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The rule of this number matched.
    Rule(usize),
    /// None did.
    Default,
    /// Its headers could not be read.
    Unreadable,
}

/// What becomes of a frame, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What.
    pub action: Action,
    /// Why.
    pub reason: Reason,
}

/// A checked list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl {
    /// In the order in which they are tried.
    pub rules: Vec<Rule>,
    /// What becomes of a frame that matches none.
    pub default: Action,
}

impl Acl {
    /// What becomes of a frame that arrived on `side` and was seen to be this.
    pub fn decide(&self, side: Side, seen: Result<Seen, Unreadable>) -> Decision {
        let Ok(seen) = seen else {
            return Decision { action: Action::Deny, reason: Reason::Unreadable };
        };
        let hit = self.rules.iter().position(|rule| rule.matches(side, &seen));
        match hit {
            Some(at) => Decision { action: self.rules[at].action, reason: Reason::Rule(at) },
            None => Decision { action: self.default, reason: Reason::Default },
        }
    }
}
