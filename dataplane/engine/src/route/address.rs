//! Addresses as numbers.
//!
//! An `IpAddr` is a tag and bytes: passed about, it is written byte by byte and read back whole, and each such read waits until
//! the writes have reached the cache (a quarter of the time that judging a packet took). So what is asked of every packet is
//! written once, for either kind of number.

use super::fib::{Fib, Row};
use super::interface::{Kind, Kinds};
use crate::io::Side;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::ops::BitAnd;

/// An address, in full or as a number.
pub(crate) trait Address: Copy {
    /// In full.
    fn ip(self) -> IpAddr;
    /// Whether its IP version is 4.
    fn is_v4(self) -> bool;
    /// Its lowest bits.
    fn low_bits(self) -> usize;
}

/// An IPv4 address as `u32`, an IPv6 address as `u128`.
pub(super) trait Number: Address + Eq + BitAnd<Output = Self> {
    /// The number of an address of this kind.
    fn of(address: IpAddr) -> Option<Self>;
    /// The low bits of a prefix, which hold all of an address of this kind.
    fn low(bits: u128) -> Self;
    /// What it is to a router that sees it on `side`.
    fn kind(self, kinds: &Kinds, side: Side) -> Kind;
    /// The forwarding table of its kind.
    fn rows(fib: &Fib) -> &[Row<Self>];
}

impl Address for IpAddr {
    fn ip(self) -> IpAddr {
        self
    }
    fn is_v4(self) -> bool {
        self.is_ipv4()
    }
    fn low_bits(self) -> usize {
        match self {
            IpAddr::V4(address) => address.to_bits().low_bits(),
            IpAddr::V6(address) => address.to_bits().low_bits(),
        }
    }
}

impl Address for u32 {
    #[inline(always)]
    fn ip(self) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(self))
    }
    #[inline(always)]
    fn is_v4(self) -> bool {
        true
    }
    #[inline(always)]
    fn low_bits(self) -> usize {
        self as usize
    }
}

impl Address for u128 {
    #[inline(always)]
    fn ip(self) -> IpAddr {
        IpAddr::V6(Ipv6Addr::from_bits(self))
    }
    #[inline(always)]
    fn is_v4(self) -> bool {
        false
    }
    #[inline(always)]
    fn low_bits(self) -> usize {
        self as usize
    }
}

impl Number for u32 {
    fn of(address: IpAddr) -> Option<u32> {
        match address {
            IpAddr::V4(address) => Some(address.to_bits()),
            IpAddr::V6(_) => None,
        }
    }
    fn low(bits: u128) -> u32 {
        bits as u32
    }
    #[inline(always)]
    fn kind(self, kinds: &Kinds, _side: Side) -> Kind {
        kinds.of_v4(self)
    }
    #[inline(always)]
    fn rows(fib: &Fib) -> &[Row<u32>] {
        &fib.v4
    }
}

impl Number for u128 {
    fn of(address: IpAddr) -> Option<u128> {
        match address {
            IpAddr::V6(address) => Some(address.to_bits()),
            IpAddr::V4(_) => None,
        }
    }
    fn low(bits: u128) -> u128 {
        bits
    }
    #[inline(always)]
    fn kind(self, kinds: &Kinds, side: Side) -> Kind {
        kinds.of_v6(side, self)
    }
    #[inline(always)]
    fn rows(fib: &Fib) -> &[Row<u128>] {
        &fib.v6
    }
}
