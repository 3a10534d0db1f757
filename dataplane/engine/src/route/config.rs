//! What a router is told at its start.

use super::prefix::Prefix;
use crate::balance::BalanceConfig;
use crate::io::Side;
use core::net::IpAddr;

/// Addresses per side at most: each frame is compared with all of them.
pub const ADDRESSES_MAX: usize = 8;
/// Static routes at most: a look-up walks the table, see [`super`].
pub const ROUTES_MAX: usize = 256;
/// Least MTU of a side: what IPv6 asks of every link (RFC 8200 section 5).
pub const MTU_MIN: u16 = 1_280;

/// A router between the two sides.
#[derive(Clone, Debug)]
pub struct RouteConfig {
    /// By [`Side`] index.
    pub sides: [RouteSide; 2],
    /// Beyond the networks that the sides' own addresses name; at most [`ROUTES_MAX`].
    pub routes: Vec<StaticRoute>,
    /// ICMP errors per second at most, at least 1.
    pub icmp_errors_per_sec: u32,
    /// Named paths outside, and how they are chosen.
    pub balance: Option<BalanceConfig>,
}

/// One side's interface.
#[derive(Clone, Debug)]
pub struct RouteSide {
    /// Its Ethernet address.
    pub mac: [u8; 6],
    /// Its own addresses, each with the network that is on the link; at most [`ADDRESSES_MAX`]. A link-local IPv6
    /// address made from `mac` comes on top.
    pub addresses: Vec<Prefix>,
    /// The largest IP packet that leaves here, in bytes; at least [`MTU_MIN`].
    pub mtu: u16,
}

/// A way to a network that is not on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaticRoute {
    /// The network.
    pub prefix: Prefix,
    /// The neighbour that knows the way on. On the link of `out`.
    pub via: IpAddr,
    /// The side by which packets leave.
    pub out: Side,
}
