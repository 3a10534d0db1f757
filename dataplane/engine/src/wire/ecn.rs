//! The ECN field of the IP header (RFC 3168).

use super::{IpVersion, TcpFrame, set_traffic_class_v4};

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
    if !matches!(frame.ecn, Ecn::Ect0 | Ecn::Ect1) {
        return false;
    }
    let Some(ip) = bytes.get_mut(usize::from(frame.ip_offset)..).and_then(<[u8]>::first_chunk_mut::<12>)
    else {
        return false;
    };
    match frame.tuple.version {
        IpVersion::V4 => {
            set_traffic_class_v4(ip, ip[1] | Ecn::Ce as u8);
        }
        // No header checksum, and the traffic class is in no pseudo-header either.
        IpVersion::V6 => ip[1] |= 3 << 4,
    }
    true
}
