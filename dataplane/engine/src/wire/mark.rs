//! The marks that say how urgent a frame is: the DSCP of the IP header (RFC 2474), the PCP of a VLAN tag (IEEE 802.1Q).

use super::{IpVersion, ethernet, set_traffic_class_v4};

/// The frame's DSCP; `None` where there is no IP header to bear one.
#[inline]
pub fn dscp(bytes: &[u8]) -> Option<u8> {
    let (version, at) = ethernet::ip_header(bytes)?;
    let [first, second] = *bytes.get(at..)?.first_chunk::<2>()?;
    Some(match version {
        IpVersion::V4 => second >> 2,
        IpVersion::V6 => (first & 0x0f) << 2 | second >> 6,
    })
}

/// Writes the DSCP (six bits) and leaves the ECN bits as they are. The IPv4 header checksum follows incrementally (RFC 1624),
/// so a header that arrived wrong leaves wrong. Does nothing to a frame without a whole IP header.
#[inline]
pub fn set_dscp(bytes: &mut [u8], dscp: u8) {
    let Some((version, at)) = ethernet::ip_header(bytes) else { return };
    let Some(ip) = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<20>) else { return };
    let dscp = dscp & 0x3f;
    match version {
        IpVersion::V4 => {
            if let Some(ip) = ip.first_chunk_mut::<12>() {
                set_traffic_class_v4(ip, dscp << 2 | ip[1] & 3);
            }
        }
        // The traffic class lies across two bytes: four bits of the DSCP, then two, then ECN, then the flow label.
        IpVersion::V6 => {
            ip[0] = ip[0] & 0xf0 | dscp >> 2;
            ip[1] = dscp << 6 | ip[1] & 0x3f;
        }
    }
}

/// Writes the PCP (three bits) of the outermost VLAN tag. Does nothing to a frame without one.
#[inline]
pub fn set_pcp(bytes: &mut [u8], pcp: u8) {
    if !ethernet::is_tagged(bytes) {
        return;
    }
    if let Some(high) = bytes.get_mut(14) {
        *high = (pcp & 7) << 5 | *high & 0x1f;
    }
}
