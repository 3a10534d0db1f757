//! Section `[route]`: two interfaces and the ways beyond them.

use super::error::ConfigError;
use super::ports::PortsPlan;
use super::schema::{File, Mode};
use super::source::Source;
use super::units::Whole;
use serde::de::{self, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::net::IpAddr;
use weir_engine::io::Side;
use weir_engine::route::{ADDRESSES_MAX, MTU_MIN, Prefix, ROUTES_MAX, RouteConfig, RouteSide, StaticRoute};

/// Largest jumbo frame that is common.
const MTU_MAX: u16 = 9_216;

/// The keys of `[route]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RouteKeys {
    inside: SideKeys,
    outside: SideKeys,
    #[serde(default)]
    to: Vec<WayKeys>,
    #[serde(default = "default_icmp_rate")]
    icmp_rate: Whole<1, 1_000_000>,
}

/// 100 errors a second: plenty for tools that ask the way, too few to be of use to a flood.
fn default_icmp_rate() -> Whole<1, 1_000_000> {
    Whole::clamped(100)
}

/// One side's interface.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SideKeys {
    addresses: Vec<PrefixText>,
    #[serde(default = "default_mtu")]
    mtu: Whole<{ MTU_MIN as u64 }, { MTU_MAX as u64 }>,
    mac: Option<MacText>,
}

fn default_mtu() -> Whole<{ MTU_MIN as u64 }, { MTU_MAX as u64 }> {
    Whole::clamped(1_500)
}

/// A static route.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WayKeys {
    prefix: PrefixText,
    via: AddressText,
    side: SideText,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SideText {
    Inside,
    Outside,
}

impl From<SideText> for Side {
    fn from(text: SideText) -> Side {
        match text {
            SideText::Inside => Side::Inside,
            SideText::Outside => Side::Outside,
        }
    }
}

/// A value that is read from text by a function, with what that expects, and written back by another.
macro_rules! from_text {
    ($name:ident($inner:ty), $expected:literal, $read:path, $write:expr) => {
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $name(pub(super) $inner);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<$name, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $inner;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$inner, E> {
                        $read(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
                    }
                }
                from.deserialize_str(Text).map($name)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                let write: fn(&$inner) -> String = $write;
                to.serialize_str(&write(&self.0))
            }
        }
    };
}

from_text!(
    PrefixText(Prefix),
    "an address and its prefix length such as \"10.8.0.1/24\"",
    prefix,
    |prefix| format!("{}/{}", prefix.address, prefix.len)
);
from_text!(AddressText(IpAddr), "an address such as \"10.9.0.254\"", address, IpAddr::to_string);
from_text!(
    MacText([u8; 6]),
    "the Ethernet address of one station such as \"02:00:00:00:00:01\"",
    mac,
    |mac| mac.map(|octet| format!("{octet:02x}")).join(":")
);

fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

fn prefix(text: &str) -> Option<Prefix> {
    let (address, len) = text.split_once('/')?;
    let (address, len): (IpAddr, u8) = (address.parse().ok()?, len.parse().ok()?);
    let max = if address.is_ipv4() { 32 } else { 128 };
    (len <= max).then_some(Prefix { address, len })
}

fn mac(text: &str) -> Option<[u8; 6]> {
    let mut octets = text.split(':').map(|octet| match octet.len() {
        2 => u8::from_str_radix(octet, 16).ok(),
        _ => None,
    });
    let mut mac = [0; 6];
    for byte in &mut mac {
        *byte = octets.next()??;
    }
    (octets.next().is_none() && mac[0] & 1 == 0 && mac != [0; 6]).then_some(mac)
}

/// What the section says, for the engine; and whether a side's Ethernet address is to be its port's.
#[derive(Clone, Debug)]
pub(super) struct RoutePlan {
    /// With zeros for an Ethernet address that is the port's.
    pub(super) config: RouteConfig,
    /// By side.
    pub(super) mac_of_port: [bool; 2],
}

/// Checks the section against the mode, and within itself.
pub(super) fn check(
    file: &File,
    ports: &PortsPlan,
    source: &Source,
) -> Result<Option<RoutePlan>, ConfigError> {
    let keys = match (file.ports.mode, &file.route) {
        (Mode::Wire, None) => return Ok(None),
        (Mode::Wire, Some(_)) => {
            return Err(source.error("route", "expected only with ports.mode = \"route\""));
        }
        (Mode::Route, None) => {
            return Err(
                source.error("ports.mode", "\"route\" needs a section [route] with both sides' addresses")
            );
        }
        (Mode::Route, Some(keys)) => keys,
    };
    let sides =
        [check_side(Side::Inside, &keys.inside, source)?, check_side(Side::Outside, &keys.outside, source)?];
    for (index, prefix) in sides[1].addresses.iter().enumerate() {
        if let Some(other) = sides[0].addresses.iter().find(|other| other.overlaps(prefix)) {
            let reason = format!("expected another network than inside's {other}, found {prefix}");
            return Err(source.error(&format!("route.outside.addresses[{index}]"), reason));
        }
    }
    for (side, interface) in Side::ALL.iter().zip(&sides) {
        if let Some(mtu) = &file.ports.mtu
            && u64::from(interface.mtu) > mtu.get()
        {
            let reason = format!("expected at most ports.mtu, {}, found {}", mtu.get(), interface.mtu);
            return Err(source.error(&format!("route.{}.mtu", side.name()), reason));
        }
    }
    let macs = [keys.inside.mac, keys.outside.mac];
    for (side, mac) in Side::ALL.iter().zip(macs) {
        if mac.is_none() && matches!(ports, PortsPlan::Captures(_)) {
            let reason = "missing key: capture files have no Ethernet address of their own";
            return Err(source.error(&format!("route.{}.mac", side.name()), reason));
        }
    }
    let routes = check_ways(&keys.to, &sides, source)?;
    let config = RouteConfig { sides, routes, icmp_errors_per_sec: keys.icmp_rate.get_u32(), balance: None };
    Ok(Some(RoutePlan { config, mac_of_port: macs.map(|mac| mac.is_none()) }))
}

fn check_side(side: Side, keys: &SideKeys, source: &Source) -> Result<RouteSide, ConfigError> {
    let at = |index: usize| format!("route.{}.addresses[{index}]", side.name());
    let addresses: Vec<Prefix> = keys.addresses.iter().map(|text| text.0).collect();
    if addresses.is_empty() || addresses.len() > ADDRESSES_MAX {
        let reason = format!("expected 1 to {ADDRESSES_MAX} addresses, found {}", addresses.len());
        return Err(source.error(&format!("route.{}.addresses", side.name()), reason));
    }
    for (index, prefix) in addresses.iter().enumerate() {
        let refuse = |reason: String| Err(source.error(&at(index), reason));
        if !is_station(prefix.address) || prefix.is_broadcast(prefix.address) {
            return refuse(format!("expected the address of one station, found {prefix}"));
        }
        if let Some(other) = addresses[..index].iter().find(|other| other.overlaps(prefix)) {
            return refuse(format!("expected another network than {other}, found {prefix}"));
        }
    }
    // Within 16 bits by its bounds; a port's own address comes later.
    let mtu = u16::try_from(keys.mtu.get()).unwrap_or(MTU_MAX);
    Ok(RouteSide { mac: keys.mac.map_or([0; 6], |text| text.0), addresses, mtu })
}

fn check_ways(
    keys: &[WayKeys],
    sides: &[RouteSide; 2],
    source: &Source,
) -> Result<Vec<StaticRoute>, ConfigError> {
    if keys.len() > ROUTES_MAX {
        return Err(source.error("route.to", format!("expected at most {ROUTES_MAX}, found {}", keys.len())));
    }
    let mut routes: Vec<StaticRoute> = Vec::with_capacity(keys.len());
    for (index, way) in keys.iter().enumerate() {
        let refuse =
            |key: &str, reason: String| Err(source.error(&format!("route.to[{index}].{key}"), reason));
        let (prefix, via) = (way.prefix.0, way.via.0);
        let out = Side::from(way.side);
        if !prefix.is_network() {
            return refuse("prefix", format!("expected a network, found {prefix}, which has host bits set"));
        }
        if routes.iter().any(|other| other.prefix == prefix) {
            return refuse("prefix", format!("expected each network once, found {prefix} twice"));
        }
        if prefix.address.is_ipv4() != via.is_ipv4() {
            return refuse("via", format!("expected an address of the kind of {prefix}, found {via}"));
        }
        let interface = &sides[out as usize];
        let link_local = matches!(via, IpAddr::V6(via) if via.is_unicast_link_local());
        if !link_local && !interface.addresses.iter().any(|own| own.contains(via)) {
            let own: Vec<String> = interface.addresses.iter().map(ToString::to_string).collect();
            let reason = format!("expected a neighbour {} (of {}), found {via}", out.name(), own.join(", "));
            return refuse("via", reason);
        }
        if sides.iter().any(|side| side.addresses.iter().any(|own| own.address == via)) {
            return refuse("via", format!("expected a neighbour, found the own address {via}"));
        }
        routes.push(StaticRoute { prefix, via, out });
    }
    Ok(routes)
}

pub(super) fn is_station(address: IpAddr) -> bool {
    let other = match address {
        IpAddr::V4(address) => {
            let [first, ..] = address.octets();
            first == 0 || first >= 240 || address.is_link_local()
        }
        // Weir makes its own of those.
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !(other || address.is_unspecified() || address.is_loopback() || address.is_multicast())
}
