//! Sections `[balance]` and `[[path]]`: the networks that several paths lead to, the paths, and how one is chosen.

mod keys;

pub(crate) use keys::{BalanceKeys, PathKeys};

use super::error::ConfigError;
use super::route::{self, RoutePlan};
use super::schema::File;
use super::source::Source;
use keys::{CadenceText, DrawText, KindText, RuleText, StateText};
use std::net::IpAddr;
use weir_engine::balance::{
    BalanceConfig, BalanceSettings, Cadence, Draws, Ends, PATHS_MAX, PathConfig, PathRule, Wrap,
};
use weir_engine::io::Side;
use weir_engine::route::{ADDRESSES_MAX, MTU_MIN, Prefix, RouteConfig};
use weir_engine::time::Ns;
use weir_features::{ONE, PathSpec};

/// Ethernet address within a VXLAN tunnel where none is given: Weir does not look at it, and one end is as good as another.
const PEER_MAC: [u8; 6] = [0x02, b'w', b'e', b'i', b'r', 0];
/// First outer source port of VXLAN paths where none is given: the dynamic range (RFC 7348 section 5).
const SOURCE_PORT: u16 = 49_152;

/// Checks both sections against each other and against `[route]`, whose outside they give addresses of VLANs to. `spec` is
/// what the model sees, where there is one.
pub(super) fn check(
    file: &File,
    route: Option<&mut RoutePlan>,
    spec: Option<&PathSpec>,
    source: &Source,
) -> Result<(), ConfigError> {
    let (keys, route) = match (&file.balance, route) {
        (None, _) if file.path.is_empty() => return Ok(()),
        (None, _) => {
            return Err(source.error("path[0]", "expected a section [balance] with it: what leads where?"));
        }
        (Some(_), None) => {
            return Err(
                source.error("balance", "expected only with ports.mode = \"route\": a wire has one way")
            );
        }
        (Some(keys), Some(route)) => (keys, route),
    };
    if file.path.is_empty() || file.path.len() > PATHS_MAX {
        let reason = format!("expected 1 to {PATHS_MAX} [[path]], found {}", file.path.len());
        return Err(source.error("path", reason));
    }
    let config = &mut route.config;
    let mut vlans = Vec::new();
    for (index, path) in file.path.iter().enumerate() {
        add_vlan(index, path, config, &mut vlans, source)?;
    }
    let mut paths: Vec<PathConfig> = Vec::new();
    for (index, path) in file.path.iter().enumerate() {
        let path = check_path(index, path, config, source)?;
        if paths.iter().any(|other| other.name == path.name) {
            let reason = format!("expected each name once, found {:?} twice", path.name);
            return Err(source.error(&format!("path[{index}].name"), reason));
        }
        paths.push(path);
    }
    let to = check_networks(keys, config, source)?;
    let settings = check_settings(keys, &file.path, spec, source)?;
    let probe_interval = keys.probe_interval.0;
    if !(Ns::from_micros(100)..=Ns::from_secs(60)).contains(&probe_interval) {
        return Err(source.error("balance.probe_interval", "expected 100us to 60s"));
    }
    config.balance =
        Some(BalanceConfig { to, paths, vlans, probe_interval, paces_datagrams: false, settings });
    Ok(())
}

fn check_networks(
    keys: &BalanceKeys,
    config: &RouteConfig,
    source: &Source,
) -> Result<Vec<Prefix>, ConfigError> {
    if keys.to.is_empty() {
        return Err(source.error("balance.to", "expected at least one network, such as \"0.0.0.0/0\""));
    }
    let to: Vec<Prefix> = keys.to.iter().map(|text| text.0).collect();
    for (index, prefix) in to.iter().enumerate() {
        let refuse = |reason: String| Err(source.error(&format!("balance.to[{index}]"), reason));
        if !prefix.is_network() {
            return refuse(format!("expected a network, found {prefix}, which has host bits set"));
        }
        if to[..index].contains(prefix) || config.routes.iter().any(|route| route.prefix == *prefix) {
            return refuse(format!("expected each network once, here or in route.to, found {prefix} twice"));
        }
    }
    Ok(to)
}

/// Gives the outside the own addresses of a path's VLAN.
fn add_vlan(
    index: usize,
    path: &PathKeys,
    config: &mut RouteConfig,
    vlans: &mut Vec<(Prefix, u16)>,
    source: &Source,
) -> Result<(), ConfigError> {
    let at = |key: &str| format!("path[{index}].{key}");
    let Some(vlan) = &path.vlan else {
        if path.addresses.is_empty() {
            return Ok(());
        }
        return Err(source.error(&at("addresses"), "expected only with vlan: others stand in route.outside"));
    };
    let vlan = vlan.get() as u16;
    if path.addresses.is_empty() && !vlans.iter().any(|(_, known)| *known == vlan) {
        return Err(source.error(&at("vlan"), "missing key addresses: Weir's own in this VLAN"));
    }
    for (at_address, text) in path.addresses.iter().enumerate() {
        let (prefix, key) = (text.0, at(&format!("addresses[{at_address}]")));
        if !route::is_station(prefix.address) || prefix.is_broadcast(prefix.address) {
            return Err(source.error(&key, format!("expected the address of one station, found {prefix}")));
        }
        let mut others = config.sides.iter().flat_map(|side| &side.addresses);
        if let Some(other) = others.find(|other| other.overlaps(&prefix)) {
            return Err(source.error(&key, format!("expected another network than {other}, found {prefix}")));
        }
        let outside = &mut config.sides[Side::Outside as usize].addresses;
        if outside.len() == ADDRESSES_MAX {
            let reason = format!("expected at most {ADDRESSES_MAX} own addresses outside, VLANs included");
            return Err(source.error(&key, reason));
        }
        outside.push(prefix);
        vlans.push((prefix, vlan));
    }
    Ok(())
}

fn check_path(
    index: usize,
    keys: &PathKeys,
    config: &RouteConfig,
    source: &Source,
) -> Result<PathConfig, ConfigError> {
    let refuse = |key: &str, reason: String| Err(source.error(&format!("path[{index}].{key}"), reason));
    let named = !keys.name.is_empty()
        && keys.name.len() <= 32
        && keys.name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if !named {
        return refuse(
            "name",
            format!("expected 1 to 32 letters, digits, `_` or `-`, found {:?}", keys.name),
        );
    }
    let outside = &config.sides[Side::Outside as usize];
    let owns = |address: IpAddr| outside.addresses.iter().any(|own| own.address == address);
    let own: Vec<String> = outside.addresses.iter().map(ToString::to_string).collect();
    let via = keys.via.0;
    let link_local = matches!(via, IpAddr::V6(via) if via.is_unicast_link_local());
    if owns(via) || !link_local && !outside.addresses.iter().any(|own| own.contains(via)) {
        return refuse("via", format!("expected a neighbour outside (of {}), found {via}", own.join(", ")));
    }
    let wrap = match keys.kind {
        KindText::NextHop => {
            let of_tunnels = [
                ("local", keys.local.is_some()),
                ("remote", keys.remote.is_some()),
                ("vni", keys.vni.is_some()),
                ("source_port", keys.source_port.is_some()),
                ("peer_mac", keys.peer_mac.is_some()),
            ];
            if let Some((key, _)) = of_tunnels.into_iter().find(|(_, set)| *set) {
                return refuse(key, "expected only with kind = \"ipip\" or \"vxlan\"".to_owned());
            }
            Wrap::Bare
        }
        KindText::Ipip | KindText::Vxlan => {
            let Some(remote) = keys.remote.map(|text| text.0) else {
                return refuse("remote", "missing key: the tunnel's other end".to_owned());
            };
            let near = |own: &&Prefix| own.address.is_ipv4() == remote.is_ipv4();
            let default = || {
                let of_kind = outside.addresses.iter().filter(near);
                let on_link = of_kind.clone().find(|own| own.contains(remote));
                on_link.or(of_kind.clone().next()).map(|own| own.address)
            };
            let Some(local) = keys.local.map(|text| text.0).or_else(default) else {
                return refuse(
                    "remote",
                    format!(
                        "expected an address of a kind that outside has (of {}), found {remote}",
                        own.join(", ")
                    ),
                );
            };
            if !owns(local) || local.is_ipv4() != remote.is_ipv4() {
                return refuse(
                    "local",
                    format!(
                        "expected an own address outside (of {}) of remote's kind, found {local}",
                        own.join(", ")
                    ),
                );
            }
            if !route::is_station(remote) || owns(remote) {
                return refuse("remote", format!("expected the address of another station, found {remote}"));
            }
            let ends = Ends { local, remote };
            match (keys.kind, &keys.vni) {
                (KindText::Vxlan, None) => {
                    return refuse("vni", "missing key: VXLAN's network identifier".to_owned());
                }
                (KindText::Vxlan, Some(vni)) => Wrap::Vxlan {
                    ends,
                    vni: vni.get() as u32,
                    source_port: keys
                        .source_port
                        .as_ref()
                        .map_or(SOURCE_PORT + index as u16, |port| port.get() as u16),
                    inner_mac: keys.peer_mac.map_or(PEER_MAC, |text| text.0),
                },
                (_, Some(_)) => return refuse("vni", "expected only with kind = \"vxlan\"".to_owned()),
                _ => Wrap::IpIp { ends },
            }
        }
    };
    let draw = match (keys.draw, wrap) {
        (DrawText::None, _) => Draws::None,
        (DrawText::SourcePort, Wrap::Vxlan { .. }) => Draws::SourcePort,
        (DrawText::SourcePort, _) => {
            return refuse("draw", "\"source_port\" is the outer one of kind = \"vxlan\"".to_owned());
        }
        (DrawText::FlowLabel, wrap) if wrap.ends().is_none_or(|ends| ends.local.is_ipv6()) => {
            Draws::FlowLabel
        }
        (DrawText::FlowLabel, _) => {
            return refuse(
                "draw",
                "\"flow_label\" needs IPv6 outside: this tunnel's ends are IPv4".to_owned(),
            );
        }
    };
    let mtu = keys.mtu.as_ref().map_or(outside.mtu, |mtu| mtu.get() as u16);
    if mtu > outside.mtu {
        return refuse("mtu", format!("expected at most route.outside.mtu, {}, found {mtu}", outside.mtu));
    }
    let probed = keys.probe.map(|text| text.0);
    let probe = match (probed, wrap.ends()) {
        (None, None) => None,
        (None, Some(ends)) => Some((ends.remote, ends.local)),
        (Some(to), ends) => {
            let from = outside
                .addresses
                .iter()
                .filter(|own| own.address.is_ipv4() == to.is_ipv4())
                .max_by_key(|own| (own.contains(to), ends.is_some_and(|ends| ends.local == own.address)));
            match from {
                Some(from) if !owns(to) && route::is_station(to) => Some((to, from.address)),
                _ => {
                    return refuse(
                        "probe",
                        format!(
                            "expected the other Weir's address, of a kind that outside has (of {}), found {to}",
                            own.join(", ")
                        ),
                    );
                }
            }
        }
    };
    let path = PathConfig {
        name: keys.name.clone(),
        via,
        wrap,
        draw,
        mtu,
        rate_bps: keys.rate.map(|rate| rate.0.0),
        probe,
    };
    if path.inner_mtu() < MTU_MIN {
        let reason = format!(
            "expected at least {}, so that {MTU_MIN} are left for a packet (RFC 8200 section 5), found {mtu}",
            MTU_MIN + path.wrap.overhead()
        );
        return refuse("mtu", reason);
    }
    Ok(path)
}

fn check_settings(
    keys: &BalanceKeys,
    paths: &[PathKeys],
    spec: Option<&PathSpec>,
    source: &Source,
) -> Result<BalanceSettings, ConfigError> {
    let refuse = |key: &str, reason: &str| Err(source.error(&format!("balance.{key}"), reason));
    if !(Ns::from_micros(1)..=Ns::from_secs(60)).contains(&keys.flowlet_gap.0) {
        return refuse("flowlet_gap", "expected 1us to 60s");
    }
    if keys.slow_start.0 > Ns::from_secs(3_600) {
        return refuse("slow_start", "expected at most 60min");
    }
    if !(Ns::from_micros(1)..=Ns::from_secs(60)).contains(&keys.timeout_min.0) {
        return refuse("timeout_min", "expected 1us to 60s");
    }
    for (key, value) in [("hysteresis", keys.hysteresis.0), ("tie", keys.tie.0)] {
        if !(0.0..=100.0).contains(&value) {
            return refuse(key, "expected 0 to 100: a difference of two scores");
        }
    }
    let (mut weights, mut drains) = ([0; PATHS_MAX], [false; PATHS_MAX]);
    for ((weight, drain), path) in weights.iter_mut().zip(&mut drains).zip(paths) {
        *weight = path.weight.get() as u16;
        *drain = path.state == StateText::Drain;
    }
    if weights.iter().zip(&drains).all(|(weight, drain)| *weight == 0 || *drain) {
        return Err(
            source.error("path", "expected one that takes new flows: with a weight, and not in drain")
        );
    }
    let q16 = |value: f64| (value * f64::from(ONE)).round() as u32;
    Ok(BalanceSettings {
        rule: match keys.rule {
            RuleText::Maglev => PathRule::Maglev,
            RuleText::Ecmp => PathRule::Ecmp,
            RuleText::LetFlow => PathRule::LetFlow,
            RuleText::Plb => PathRule::Plb,
            RuleText::PowerOfTwo => PathRule::PowerOfTwo,
        },
        model: keys.model.is_some(),
        spec: spec.cloned().unwrap_or_default(),
        weights,
        drains,
        cadence: match keys.cadence {
            CadenceText::Flowlet => Cadence::Flowlet,
            CadenceText::Packet => Cadence::Packet,
        },
        flowlet_gap: keys.flowlet_gap.0,
        hysteresis_q16: q16(keys.hysteresis.0),
        tie_q16: q16(keys.tie.0),
        control_share: keys.control_share.in_65536(),
        explore_share: keys.explore_share.in_65536(),
        sample_share: keys.sample_share.in_65536(),
        slow_start: keys.slow_start.0,
        timeout_min: keys.timeout_min.0,
    })
}
