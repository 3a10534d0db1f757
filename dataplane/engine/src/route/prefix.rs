//! Addresses with a prefix length.

use core::fmt;
use core::net::IpAddr;

/// An address and how many of its first bits name a network. Host bits may be set: an interface's address is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// The address.
    pub address: IpAddr,
    /// At most 32 for IPv4, 128 for IPv6.
    pub len: u8,
}

impl Prefix {
    /// The network's first `len` bits, as many bits set. Both in the low half of the number for IPv4.
    pub fn network_and_mask(&self) -> (u128, u128) {
        let (bits, width) = match self.address {
            IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
            IpAddr::V6(address) => (address.to_bits(), 128),
        };
        let host_bits = width - u32::from(self.len).min(width);
        let whole = u128::MAX >> (128 - width);
        let mask = whole & u128::MAX.checked_shl(host_bits).unwrap_or(0);
        (bits & mask, mask)
    }

    /// Whether `address` is of this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        let same_kind = self.address.is_ipv4() == address.is_ipv4();
        same_kind && self.network_and_mask().0 == Prefix { address, ..*self }.network_and_mask().0
    }

    /// Whether one of the two networks lies within the other.
    pub fn overlaps(&self, other: &Prefix) -> bool {
        let shorter = if self.len <= other.len { (self, other) } else { (other, self) };
        shorter.0.contains(shorter.1.address)
    }

    /// Whether the address is the network's own name: no host bit is set.
    pub fn is_network(&self) -> bool {
        let host = Prefix { len: u8::MAX, ..*self }.network_and_mask().0;
        host == self.network_and_mask().0
    }

    /// The all-zeros and the all-ones host of this IPv4 network (RFC 1812 section 4.2.3.1). A network of two addresses
    /// has neither (RFC 3021).
    pub(super) fn broadcasts(&self) -> Option<[u32; 2]> {
        let (network, mask) = self.network_and_mask();
        // The low half holds all of an IPv4 address.
        (self.address.is_ipv4() && self.len < 31).then_some([network as u32, network as u32 | !(mask as u32)])
    }

    /// Whether `address` is one of the `broadcasts`.
    pub fn is_broadcast(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.broadcasts().is_some_and(|all| all.contains(&address.to_bits())),
            IpAddr::V6(_) => false,
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        let (address, len) = text.split_once('/').unwrap();
        Prefix { address: address.parse().unwrap(), len: len.parse().unwrap() }
    }

    #[test]
    fn what_a_network_contains() {
        for (network, inside, outside) in [
            ("10.8.0.1/24", "10.8.0.255", "10.8.1.0"),
            ("0.0.0.0/0", "255.1.2.3", "::1"),
            ("10.0.0.1/32", "10.0.0.1", "10.0.0.0"),
            ("fd08::1/64", "fd08::ffff:1", "fd08:0:0:1::1"),
            ("::/0", "fe80::1", "0.0.0.0"),
        ] {
            let network = prefix(network);
            assert!(network.contains(inside.parse().unwrap()), "{inside} in {network}");
            assert!(!network.contains(outside.parse().unwrap()), "{outside} in {network}");
        }
    }

    #[test]
    fn broadcasts_networks_and_overlaps() {
        let network = prefix("10.8.0.1/24");
        for (address, is) in
            [("10.8.0.255", true), ("10.8.0.0", true), ("10.8.0.1", false), ("10.9.0.255", false)]
        {
            assert_eq!(network.is_broadcast(address.parse().unwrap()), is, "{address}");
        }
        assert!(!prefix("10.8.0.0/31").is_broadcast("10.8.0.1".parse().unwrap()));
        assert!(!network.is_network() && prefix("10.8.0.0/24").is_network() && prefix("::/0").is_network());
        assert!(network.overlaps(&prefix("10.0.0.0/8")) && prefix("10.0.0.0/8").overlaps(&network));
        assert!(!network.overlaps(&prefix("10.9.0.0/24")) && !network.overlaps(&prefix("::/0")));
    }
}
