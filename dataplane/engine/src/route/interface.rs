//! One side's own addresses.

use super::config::{RouteConfig, RouteSide};
use super::prefix::Prefix;
use crate::io::Side;
use core::net::{IpAddr, Ipv6Addr};

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

    fn is_broadcast(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|own| own.is_broadcast(address))
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

/// Sorts an address that was seen on `side`.
pub(super) fn kind(interfaces: &[Interface; 2], side: Side, address: IpAddr) -> Kind {
    let impossible = match address {
        // RFC 1122 section 3.2.1.3: "this network", loopback, and class E less the limited broadcast.
        IpAddr::V4(address) => {
            let [first, ..] = address.octets();
            matches!(first, 0 | 127) || (first >= 240 && !address.is_broadcast())
        }
        IpAddr::V6(address) => address.is_unspecified() || address.is_loopback(),
    };
    if impossible {
        return Kind::Impossible;
    }
    let here = &interfaces[side as usize];
    // Any own address is answered on any side (the "weak" host of RFC 1122 section 3.3.4.2), link-local ones at home.
    if here.owns(address) || interfaces[side.other() as usize].owns_global(address) {
        return Kind::Own;
    }
    let limited = address == IpAddr::V4(core::net::Ipv4Addr::BROADCAST);
    if address.is_multicast() || limited || interfaces.iter().any(|interface| interface.is_broadcast(address))
    {
        return Kind::Group;
    }
    if is_link_local(address) { Kind::LinkLocal } else { Kind::Unicast }
}
