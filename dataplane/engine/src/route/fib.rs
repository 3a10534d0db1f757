//! The forwarding table: longest prefix match.
//!
//! A table of each IP version is sorted by prefix length, longest first, and walked from the top: the first row that
//! matches is the longest match. With at most [`ROUTES_MAX`](super::config::ROUTES_MAX) static routes and the sides'
//! own networks a walk reads at most 272 rows, in order, with one mask and one comparison each; a host's edge has a
//! handful. A table of a provider's size would want a trie.

use super::address::{Address, Number};
use super::config::RouteConfig;
use super::prefix::Prefix;
use crate::io::Side;
use core::net::IpAddr;

/// Where a packet goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NextHop<A = IpAddr> {
    /// The side by which it leaves.
    pub(super) out: Side,
    /// The neighbour there; the destination itself where paths lead there.
    pub(super) neighbour: A,
    /// A path is to be chosen, which knows its own neighbour.
    pub(super) by_paths: bool,
}

impl<A: Address> NextHop<A> {
    /// The same, with the neighbour's address in full.
    pub(super) fn in_full(self) -> NextHop {
        let NextHop { out, neighbour, by_paths } = self;
        NextHop { out, neighbour: neighbour.ip(), by_paths }
    }
}

/// A network, and where packets to it go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<A> {
    network: A,
    mask: A,
    out: Side,
    via: Via<A>,
}

#[derive(Clone, Copy, Debug)]
enum Via<A> {
    /// The destination itself is on the link.
    Link,
    Neighbour(A),
    Paths,
}

/// The table. Fixed once made.
#[derive(Debug)]
pub(super) struct Fib {
    pub(super) v4: Box<[Row<u32>]>,
    pub(super) v6: Box<[Row<u128>]>,
}

impl Fib {
    pub(super) fn new(config: &RouteConfig) -> Fib {
        let mut rows: Vec<(Prefix, Side, Via<IpAddr>)> = Vec::new();
        for (side, interface) in Side::ALL.into_iter().zip(&config.sides) {
            rows.extend(interface.addresses.iter().map(|prefix| (*prefix, side, Via::Link)));
        }
        // Stable: of two rows for one network the sides' own come first, and paths before a static route.
        let by_paths = config.balance.iter().flat_map(|balance| &balance.to);
        rows.extend(by_paths.map(|prefix| (*prefix, Side::Outside, Via::Paths)));
        rows.extend(config.routes.iter().map(|route| (route.prefix, route.out, Via::Neighbour(route.via))));
        rows.sort_by_key(|(prefix, ..)| core::cmp::Reverse(prefix.len));
        Fib { v4: table(&rows), v6: table(&rows) }
    }

    /// The next hop towards `destination`.
    #[inline(always)]
    pub(super) fn find<A: Number>(&self, destination: A) -> Option<NextHop<A>> {
        let row = A::rows(self).iter().find(|row| destination & row.mask == row.network)?;
        let (neighbour, by_paths) = match row.via {
            Via::Neighbour(neighbour) => (neighbour, false),
            Via::Link => (destination, false),
            Via::Paths => (destination, true),
        };
        Some(NextHop { out: row.out, neighbour, by_paths })
    }

    /// The same towards an address of either kind.
    pub(super) fn find_any(&self, destination: IpAddr) -> Option<NextHop> {
        match destination {
            IpAddr::V4(address) => self.find(address.to_bits()).map(NextHop::in_full),
            IpAddr::V6(address) => self.find(address.to_bits()).map(NextHop::in_full),
        }
    }
}

/// The rows of one IP version. A neighbour is of its network's kind: the configuration holds no others.
fn table<A: Number>(rows: &[(Prefix, Side, Via<IpAddr>)]) -> Box<[Row<A>]> {
    let row = |(prefix, out, via): &(Prefix, Side, Via<IpAddr>)| {
        let (network, mask) = prefix.network_and_mask();
        let via = match *via {
            Via::Link => Via::Link,
            Via::Neighbour(neighbour) => Via::Neighbour(A::of(neighbour)?),
            Via::Paths => Via::Paths,
        };
        A::of(prefix.address).map(|_| Row { network: A::low(network), mask: A::low(mask), out: *out, via })
    };
    rows.iter().filter_map(row).collect()
}
