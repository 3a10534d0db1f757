//! The addresses and ports that name a flow.

use crate::io::Side;
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

/// The version of an IP header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum IpVersion {
    /// IPv4.
    #[default]
    V4 = 4,
    /// IPv6.
    V6 = 6,
}

/// One end of a flow. Ordered by address, then port; the order has no meaning beyond being total.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// In network order. An IPv4 address takes the first four bytes, the rest is zero; [`Tuple::version`] says
    /// which it is.
    pub address: [u8; 16],
    /// TCP port.
    pub port: u16,
}

/// The 5-tuple of a TCP frame (the protocol goes without saying).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// Who sent the frame.
    pub source: Endpoint,
    /// Whom it is for.
    pub destination: Endpoint,
    /// Which version both addresses are of. Part of the identity: no IPv6 address can pose as an IPv4 one.
    pub version: IpVersion,
}

// The tuple is the key of a flow entry, which has 128 bytes in all.
const _: () = assert!(size_of::<Tuple>() == 38);

impl Tuple {
    /// The tuple of frames in the other direction.
    #[inline]
    #[must_use]
    pub fn reversed(&self) -> Tuple {
        Tuple { source: self.destination, destination: self.source, version: self.version }
    }

    /// The key of this frame's flow: the tuple as frames from inside to outside bear it, given the side on which
    /// this one arrived.
    ///
    /// A connection between two inside hosts that an outside router turns round passes Weir twice. It has two
    /// keys, one per pass, and each pass is a flow of its own with a proper inside and outside; a key in some
    /// canonical order would merge them into one flow whose segments all appear twice.
    #[inline]
    #[must_use]
    pub fn outbound(&self, arrived_on: Side) -> Tuple {
        match arrived_on {
            Side::Inside => *self,
            Side::Outside => self.reversed(),
        }
    }
}

impl Tuple {
    /// Whether `key` is what [`outbound`](Tuple::outbound) says, without making a tuple to compare.
    #[inline]
    pub fn is_outbound(&self, arrived_on: Side, key: &Tuple) -> bool {
        let (source, destination) = match arrived_on {
            Side::Inside => (&key.source, &key.destination),
            Side::Outside => (&key.destination, &key.source),
        };
        self.source == *source && self.destination == *destination && self.version == key.version
    }
}

impl fmt::Debug for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            IpVersion::V4 => {
                let v4 = |end: &Endpoint| {
                    let [a, b, c, d, ..] = end.address;
                    (Ipv4Addr::new(a, b, c, d), end.port)
                };
                let ((from, from_port), (to, to_port)) = (v4(&self.source), v4(&self.destination));
                write!(f, "{from}:{from_port} > {to}:{to_port}")
            }
            IpVersion::V6 => {
                let (from, to) =
                    (Ipv6Addr::from(self.source.address), Ipv6Addr::from(self.destination.address));
                write!(f, "[{from}]:{} > [{to}]:{}", self.source.port, self.destination.port)
            }
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x?}:{}", self.address, self.port)
    }
}
