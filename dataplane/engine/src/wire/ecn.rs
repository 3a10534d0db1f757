//! The ECN field of the IP header (RFC 3168).

use super::{IpVersion, TcpFrame, ethernet, set_traffic_class_v4};

/// The two ECN bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Ecn {
    /// The sender does not understand marks.
    #[default]
    NotEct = 0,
    /// The sender understands marks, codepoint 1 (L4S, RFC 9331).
    Ect1 = 1,
    /// The sender understands marks, codepoint 0 (classic).
    Ect0 = 2,
    /// Some hop has met congestion.
    Ce = 3,
}

impl Ecn {
    /// The codepoint in the two lowest bits.
    #[inline]
    pub const fn from_bits(bits: u8) -> Ecn {
        match bits & 3 {
            0 => Ecn::NotEct,
            1 => Ecn::Ect1,
            2 => Ecn::Ect0,
            _ => Ecn::Ce,
        }
    }
}

/// Marks a frame "congestion experienced" where its sender understands marks. Returns whether the frame bears the
/// mark now because of this call: `false` for a frame that is not ECN-capable or was marked before.
///
/// `frame` must be what [`parse`](super::parse) said of these bytes. The IPv4 header checksum follows
/// incrementally, so a header that arrived wrong leaves wrong.
#[inline]
pub fn set_ce(bytes: &mut [u8], frame: &TcpFrame) -> bool {
    write_ce(bytes, frame.tuple.version, frame.ip_offset.into())
}

/// As [`set_ce`], of a frame that nobody has parsed: whatever its transport is, as a switch marks. `false` also for a frame
/// without an IP header.
pub fn mark_ce(bytes: &mut [u8]) -> bool {
    ethernet::ip_header(bytes).is_some_and(|(version, at)| write_ce(bytes, version, at))
}

#[inline]
fn write_ce(bytes: &mut [u8], version: IpVersion, at: usize) -> bool {
    let Some(ip) = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<12>) else { return false };
    let ecn = match version {
        IpVersion::V4 => ip[1],
        IpVersion::V6 => ip[1] >> 4,
    };
    if !matches!(Ecn::from_bits(ecn), Ecn::Ect0 | Ecn::Ect1) {
        return false;
    }
    match version {
        IpVersion::V4 => {
            set_traffic_class_v4(ip, ip[1] | Ecn::Ce as u8);
        }
        // No header checksum, and the traffic class is in no pseudo-header either.
        IpVersion::V6 => ip[1] |= 3 << 4,
    }
    true
}
