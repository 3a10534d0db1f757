//! The forwarding table: longest prefix match.
//!
//! A table of each IP version is sorted by prefix length, longest first, and walked from the top: the first row that
//! matches is the longest match. With at most [`ROUTES_MAX`](super::config::ROUTES_MAX) static routes and the sides'
//! own networks a walk reads at most 272 rows, in order, with one mask and one comparison each; a host's edge has a
//! handful. A table of a provider's size would want a trie.

use super::config::RouteConfig;
use super::prefix::Prefix;
use crate::io::Side;
use core::net::IpAddr;

/// Where a packet goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NextHop {
    /// The side by which it leaves.
    pub(super) out: Side,
    /// The neighbour there; the destination itself where paths lead there.
    pub(super) neighbour: IpAddr,
    /// A path is to be chosen, which knows its own neighbour.
    pub(super) by_paths: bool,
}

#[derive(Clone, Copy, Debug)]
struct Row<A> {
    network: A,
    mask: A,
    out: Side,
    via: Via,
}

#[derive(Clone, Copy, Debug)]
enum Via {
    /// The destination itself is on the link.
    Link,
    Neighbour(IpAddr),
    Paths,
}

/// The table. Fixed once made.
#[derive(Debug)]
pub(super) struct Fib {
    v4: Box<[Row<u32>]>,
    v6: Box<[Row<u128>]>,
}

impl Fib {
    pub(super) fn new(config: &RouteConfig) -> Fib {
        let mut rows: Vec<(Prefix, Side, Via)> = Vec::new();
        for (side, interface) in Side::ALL.into_iter().zip(&config.sides) {
            rows.extend(interface.addresses.iter().map(|prefix| (*prefix, side, Via::Link)));
        }
        // Stable: of two rows for one network the sides' own come first, and paths before a static route.
        let by_paths = config.balance.iter().flat_map(|balance| &balance.to);
        rows.extend(by_paths.map(|prefix| (*prefix, Side::Outside, Via::Paths)));
        rows.extend(config.routes.iter().map(|route| (route.prefix, route.out, Via::Neighbour(route.via))));
        rows.sort_by_key(|(prefix, ..)| core::cmp::Reverse(prefix.len));
        let (v4, v6): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(prefix, ..)| prefix.address.is_ipv4());
        let row = |(prefix, out, via): (Prefix, Side, Via)| {
            let (network, mask) = prefix.network_and_mask();
            Row { network, mask, out, via }
        };
        let narrow = |Row { network, mask, out, via }: Row<u128>| {
            // The low half holds all of an IPv4 address.
            Row { network: network as u32, mask: mask as u32, out, via }
        };
        Fib { v4: v4.into_iter().map(row).map(narrow).collect(), v6: v6.into_iter().map(row).collect() }
    }

    /// The next hop towards `destination`.
    #[inline]
    pub(super) fn find(&self, destination: IpAddr) -> Option<NextHop> {
        let (out, via) = match destination {
            IpAddr::V4(address) => {
                let bits = address.to_bits();
                let row = self.v4.iter().find(|row| bits & row.mask == row.network)?;
                (row.out, row.via)
            }
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                let row = self.v6.iter().find(|row| bits & row.mask == row.network)?;
                (row.out, row.via)
            }
        };
        Some(match via {
            Via::Neighbour(neighbour) => NextHop { out, neighbour, by_paths: false },
            Via::Link => NextHop { out, neighbour: destination, by_paths: false },
            Via::Paths => NextHop { out, neighbour: destination, by_paths: true },
        })
    }
}
