//! Congestion Experienced marks (RFC 3168) on frames as they lie in memory.

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// 802.1Q and 802.1ad tags.
const ETHERTYPE_VLAN: [u16; 2] = [0x8100, 0x88a8];
/// Not ECN-capable: the sender would not understand a mark.
const NOT_ECT: u8 = 0b00;
const CE: u8 = 0b11;

/// Sets CE on an IPv4 or IPv6 frame whose sender declared itself ECN-capable. Returns whether the frame now
/// carries CE; anything else is left as it was.
pub(crate) fn mark(frame: &mut [u8]) -> bool {
    let mut at = 12;
    for _ in 0..2 {
        if be16(frame, at).is_some_and(|kind| ETHERTYPE_VLAN.contains(&kind)) {
            at += 4;
        }
    }
    let (Some(kind), Some(ip)) = (be16(frame, at), frame.get_mut(at + 2..)) else { return false };
    match kind {
        ETHERTYPE_IPV4 if ip.len() >= 20 => mark_v4(ip),
        ETHERTYPE_IPV6 if ip.len() >= 40 => mark_v6(ip),
        _ => false,
    }
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    let field = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes([field[0], field[1]]))
}

fn mark_v4(ip: &mut [u8]) -> bool {
    let before = u16::from_be_bytes([ip[0], ip[1]]);
    if ip[1] & CE == NOT_ECT {
        return false;
    }
    ip[1] |= CE;
    let after = u16::from_be_bytes([ip[0], ip[1]]);
    // RFC 1624, equation 3: HC' = ~(~HC + ~m + m').
    let checksum = u16::from_be_bytes([ip[10], ip[11]]);
    let mut sum = u32::from(!checksum) + u32::from(!before) + u32::from(after);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    ip[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    true
}

/// The traffic class straddles the first two bytes; its ECN bits are bits 4 and 5 of the second. IPv6 has no
/// header checksum, and TCP's pseudo-header leaves the traffic class out.
fn mark_v6(ip: &mut [u8]) -> bool {
    if (ip[1] >> 4) & CE == NOT_ECT {
        return false;
    }
    ip[1] |= CE << 4;
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checksum(header: &[u8]) -> u16 {
        let mut sum: u32 =
            header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    fn v4(tos: u8, identification: u16) -> Vec<u8> {
        let mut ip = vec![0x45, tos, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        ip[4..6].copy_from_slice(&identification.to_be_bytes());
        let sum = checksum(&ip).to_be_bytes();
        ip[10..12].copy_from_slice(&sum);
        ip
    }

    fn framed(tags: &[u16], kind: u16, ip: &[u8]) -> Vec<u8> {
        let mut frame = vec![2u8; 12];
        for tag in tags {
            frame.extend_from_slice(&tag.to_be_bytes());
            frame.extend_from_slice(&[0, 7]);
        }
        frame.extend_from_slice(&kind.to_be_bytes());
        frame.extend_from_slice(ip);
        frame
    }

    #[test]
    fn the_ipv4_checksum_stays_right_for_every_header() {
        for identification in 0..=u16::MAX {
            for tos in [0x01, 0x02, 0x03, 0xfd] {
                let mut ip = v4(tos, identification);
                assert!(mark_v4(&mut ip));
                assert_eq!(ip[1], tos | CE);
                assert_eq!(checksum(&ip), 0, "identification {identification} tos {tos}");
            }
        }
    }

    #[test]
    fn marks_behind_vlan_tags_and_on_ipv6() {
        for tags in [&[][..], &[0x8100], &[0x88a8, 0x8100]] {
            let mut frame = framed(tags, ETHERTYPE_IPV4, &v4(0x02, 9));
            assert!(mark(&mut frame));
            let mut ip = vec![0u8; 40];
            ip[..2].copy_from_slice(&[0x60, 0x2f]);
            let mut frame = framed(tags, ETHERTYPE_IPV6, &ip);
            assert!(mark(&mut frame));
            assert_eq!(frame[14 + 4 * tags.len() + 1], 0x3f, "flow label untouched");
        }
    }

    #[test]
    fn senders_without_ecn_and_other_frames_stay_untouched() {
        let arp = framed(&[], 0x0806, &[0xff; 28]);
        let not_ect = framed(&[], ETHERTYPE_IPV4, &v4(0xfc, 1));
        let mut short = framed(&[], ETHERTYPE_IPV4, &v4(0x02, 1));
        short.truncate(30);
        for frame in [arp, not_ect, short, vec![], vec![0; 13]] {
            let mut marked = frame.clone();
            assert!(!mark(&mut marked));
            assert_eq!(marked, frame);
        }
    }
}
