//! One side's own addresses.

use super::config::{RouteConfig, RouteSide};
use super::prefix::Prefix;
use crate::io::Side;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) type Mac = [u8; 6];
pub(super) const BROADCAST: Mac = [0xff; 6];

/// One side's interface.
#[derive(Debug)]
pub(super) struct Interface {
    pub(super) mac: Mac,
    pub(super) mtu: u16,
    addresses: Box<[Prefix]>,
    link_local: Ipv6Addr,
}

/// fe80::/64 and the modified EUI-64 of the MAC (RFC 4291 sections 2.5.6 and 2.5.1). Every router has such an address
/// (RFC 4861 section 6.2.1).
fn link_local([a, b, c, d, e, f]: Mac) -> Ipv6Addr {
    Ipv6Addr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f])
}

/// The multicast address at which `target` is asked for (RFC 4291 section 2.7.1).
pub(super) fn solicited_node(target: Ipv6Addr) -> Ipv6Addr {
    let [.., b13, b14, b15] = target.octets();
    Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, b13, b14, b15])
}

/// The Ethernet address of an IPv6 group (RFC 2464 section 7).
pub(super) fn group_mac(group: Ipv6Addr) -> Mac {
    let [.., c, d, e, f] = group.octets();
    [0x33, 0x33, c, d, e, f]
}

impl Interface {
    fn new(side: &RouteSide) -> Interface {
        Interface {
            mac: side.mac,
            mtu: side.mtu,
            addresses: side.addresses.clone().into_boxed_slice(),
            link_local: link_local(side.mac),
        }
    }

    /// Both sides' interfaces.
    pub(super) fn both(config: &RouteConfig) -> [Interface; 2] {
        config.sides.each_ref().map(Interface::new)
    }

    /// Whether the address is this interface's own, link-local included.
    pub(super) fn owns(&self, address: IpAddr) -> bool {
        self.owns_global(address) || address == IpAddr::V6(self.link_local)
    }

    fn owns_global(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|own| own.address == address)
    }

    /// Whether the address can only be a direct neighbour's.
    pub(super) fn on_link(&self, address: IpAddr) -> bool {
        is_link_local(address) || self.addresses.iter().any(|own| own.contains(address))
    }

    /// The own address to speak to `other` from: of the same network if there is one, else the first of its kind,
    /// link-local only towards link-local. `None` for IPv4 where there is none.
    pub(super) fn source_towards(&self, other: IpAddr) -> Option<IpAddr> {
        if is_link_local(other) && other.is_ipv6() {
            return Some(IpAddr::V6(self.link_local));
        }
        let mut same_kind = self.addresses.iter().filter(|own| own.address.is_ipv4() == other.is_ipv4());
        let near = same_kind.clone().find(|own| own.contains(other));
        near.or_else(|| same_kind.next()).map(|own| own.address)
    }

    /// The same, from the link-local address where there is no other.
    pub(super) fn solicit_from(&self, target: Ipv6Addr) -> Ipv6Addr {
        match self.source_towards(IpAddr::V6(target)) {
            Some(IpAddr::V6(address)) => address,
            _ => self.link_local,
        }
    }
}

pub(super) fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// What an address is to a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Weir's own.
    Own,
    /// One station's, somewhere.
    Unicast,
    /// One station's on this very link; not to be forwarded (RFC 3927 section 2.7, RFC 4291 section 2.5.6).
    LinkLocal,
    /// More than one station's.
    Group,
    /// None that may be seen on a link: unspecified, loopback, reserved.
    Impossible,
}

/// What sorts addresses, in rows that are compared with one: it is asked twice of every packet.
#[derive(Debug)]
pub(super) struct Kinds {
    own_v4: Box<[u32]>,
    own_v6: Box<[u128]>,
    /// By side.
    link_local: [u128; 2],
    /// The all-zeros and the all-ones host of each network on a link.
    broadcasts: Box<[u32]>,
}

impl Kinds {
    pub(super) fn new(config: &RouteConfig) -> Kinds {
        let all = || config.sides.iter().flat_map(|side| &side.addresses);
        let (mut own_v4, mut own_v6, mut broadcasts) = (Vec::new(), Vec::new(), Vec::new());
        for own in all() {
            match own.address {
                IpAddr::V4(address) => {
                    own_v4.push(address.to_bits());
                    broadcasts.extend(own.broadcasts().into_iter().flatten());
                }
                IpAddr::V6(address) => own_v6.push(address.to_bits()),
            }
        }
        Kinds {
            own_v4: own_v4.into(),
            own_v6: own_v6.into(),
            link_local: config.sides.each_ref().map(|side| link_local(side.mac).to_bits()),
            broadcasts: broadcasts.into(),
        }
    }

    /// Sorts an address that was seen on `side`. Any own address is answered on any side (the "weak" host of RFC 1122
    /// section 3.3.4.2), link-local ones at home.
    pub(super) fn of(&self, side: Side, address: IpAddr) -> Kind {
        match address {
            IpAddr::V4(address) => self.of_v4(address.to_bits()),
            IpAddr::V6(address) => self.of_v6(side, address.to_bits()),
        }
    }

    #[inline(always)]
    pub(super) fn of_v4(&self, address: u32) -> Kind {
        match address >> 24 {
            // RFC 1122 section 3.2.1.3: "this network", loopback, and class E less the limited broadcast.
            0 | 127 => Kind::Impossible,
            240.. if address != u32::MAX => Kind::Impossible,
            _ if self.own_v4.contains(&address) => Kind::Own,
            224.. => Kind::Group,
            _ if self.broadcasts.contains(&address) => Kind::Group,
            169 if Ipv4Addr::from_bits(address).is_link_local() => Kind::LinkLocal,
            _ => Kind::Unicast,
        }
    }

    #[inline(always)]
    pub(super) fn of_v6(&self, side: Side, bits: u128) -> Kind {
        let address = Ipv6Addr::from_bits(bits);
        if address.is_unspecified() || address.is_loopback() {
            Kind::Impossible
        } else if self.own_v6.contains(&bits) || self.link_local[side as usize] == bits {
            Kind::Own
        } else if address.is_multicast() {
            Kind::Group
        } else if address.is_unicast_link_local() {
            Kind::LinkLocal
        } else {
            Kind::Unicast
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn config() -> RouteConfig {
        let side = |last: u8, prefixes: &[(&str, u8)]| RouteSide {
            mac: [2, 0, 0, 0, 0, last],
            addresses: prefixes
                .iter()
                .map(|(address, len)| Prefix { address: address.parse().unwrap(), len: *len })
                .collect(),
            mtu: 1_500,
        };
        RouteConfig {
            sides: [
                side(1, &[("10.8.0.1", 24), ("10.7.0.2", 31), ("fd08::1", 64)]),
                side(2, &[("10.9.0.9", 29), ("192.0.2.1", 32), ("fd09::1", 64), ("fd0a::1", 127)]),
            ],
            routes: Vec::new(),
            icmp_errors_per_sec: 100,
            balance: None,
        }
    }

    /// The definition, address by address, without tables.
    fn plainly(config: &RouteConfig, side: Side, address: IpAddr) -> Kind {
        let interfaces = Interface::both(config);
        let any = |is: &dyn Fn(&Prefix) -> bool| config.sides.iter().flat_map(|side| &side.addresses).any(is);
        let impossible = match address {
            IpAddr::V4(address) => {
                let [first, ..] = address.octets();
                matches!(first, 0 | 127) || (first >= 240 && address != Ipv4Addr::BROADCAST)
            }
            IpAddr::V6(address) => address.is_unspecified() || address.is_loopback(),
        };
        let limited = address == IpAddr::V4(Ipv4Addr::BROADCAST);
        match () {
            () if impossible => Kind::Impossible,
            () if interfaces[side as usize].owns(address) || any(&|own| own.address == address) => Kind::Own,
            () if address.is_multicast() || limited || any(&|own| own.is_broadcast(address)) => Kind::Group,
            () if is_link_local(address) => Kind::LinkLocal,
            () => Kind::Unicast,
        }
    }

    fn address() -> impl Strategy<Value = IpAddr> {
        let near = prop::sample::select(vec![
            "10.8.0.0",
            "10.7.0.0",
            "10.9.0.8",
            "192.0.2.0",
            "0.0.0.0",
            "127.0.0.0",
            "169.254.0.0",
            "224.0.0.0",
            "240.0.0.0",
            "255.255.255.248",
            "fd08::",
            "fd09::",
            "fd0a::",
            "fe80::ff:fe00:0",
            "fe80::",
            "ff02::",
            "::",
        ]);
        let near = (near, any::<u8>()).prop_map(|(base, last)| match base.parse().unwrap() {
            IpAddr::V4(base) => IpAddr::V4(Ipv4Addr::from_bits(base.to_bits() | u32::from(last) & 0xff)),
            IpAddr::V6(base) => {
                let mut octets = base.octets();
                octets[15] = last % 8;
                // The universal bit of a modified EUI-64.
                octets[8] |= last >> 6 & 2;
                IpAddr::from(octets)
            }
        });
        prop_oneof![4 => near, 1 => any::<IpAddr>()]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn tables_sort_as_the_definition_does(address in address(), outside: bool) {
            let (config, side) = (config(), if outside { Side::Outside } else { Side::Inside });
            prop_assert_eq!(Kinds::new(&config).of(side, address), plainly(&config, side, address));
        }
    }
}
