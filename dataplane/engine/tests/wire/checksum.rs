//! Partial checksums are completed, full ones are left as they are.

use super::*;
use weir_engine::wire::complete_checksum;

/// Offset of the checksum field in a frame of ours without options or extensions.
fn field(frame: &[u8]) -> usize {
    let (protocol, transport) = if frame[12..14] == [0x08, 0x00] {
        (frame[ETHERNET + 9], ETHERNET + IPV4)
    } else {
        (frame[ETHERNET + 6], ETHERNET + IPV6)
    };
    transport + if protocol == 6 { 16 } else { 6 }
}

/// The frame as a sender hands it to a device that computes checksums: the sum of the pseudo-header in the field.
fn partial(mut frame: Vec<u8>) -> Vec<u8> {
    let field = field(&frame);
    let (addresses, protocol, transport) = if frame[12..14] == [0x08, 0x00] {
        (ETHERNET + 12..ETHERNET + 20, frame[ETHERNET + 9], ETHERNET + IPV4)
    } else {
        (ETHERNET + 8..ETHERNET + 40, frame[ETHERNET + 6], ETHERNET + IPV6)
    };
    let mut sum =
        frame[addresses].chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum::<u32>()
            + u32::from(protocol)
            + (frame.len() - transport) as u32;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    set(&mut frame, field, sum as u16);
    frame
}

fn completed(frame: &[u8]) -> (bool, Vec<u8>) {
    let mut bytes = frame.to_vec();
    (complete_checksum(&mut bytes, frame.len() as u32), bytes)
}

#[test]
fn a_partial_checksum_becomes_the_one_that_an_independent_writer_computes() {
    for frame in [tcp(Ip::V4, &TIMESTAMPS), tcp(Ip::V6, &[]), udp(Ip::V4), udp(Ip::V6)] {
        let bare = partial(frame.clone());
        assert_ne!(bare, frame);
        assert_eq!(completed(&bare), (true, frame.clone()));
        // Once more finds nothing to do; padding is none of the checksum's business.
        assert_eq!(completed(&frame), (false, frame.clone()));
        let padded = [&bare[..], &[7; 9]].concat();
        assert_eq!(completed(&padded).1[..frame.len()], frame);
        // Not all of it is here.
        let mut first = bare[..bare.len() - 1].to_vec();
        assert!(!complete_checksum(&mut first, bare.len() as u32));
    }
}

#[test]
fn only_whole_tcp_and_udp_is_completed() {
    let fragment = but(partial(tcp(Ip::V4, &[])), |frame| frame[ETHERNET + 6] |= 0x20);
    let other = but(partial(tcp(Ip::V4, &[])), |frame| frame[ETHERNET + 9] = 132);
    for frame in [fragment, other, icmp(), arp(), Vec::new()] {
        assert_eq!(completed(&frame), (false, frame));
    }
}

/// A datagram whose checksum comes out as zero says 0xffff: zero would say that there is none.
#[test]
fn a_udp_checksum_of_zero_is_written_as_all_ones() {
    let mut found = false;
    for word in 0..=u16::MAX {
        let bare = but(partial(udp(Ip::V4)), |frame| set(frame, ETHERNET + IPV4 + 8, word));
        let (done, bytes) = completed(&bare);
        assert!(done);
        let checksum = u16::from_be_bytes([bytes[field(&bytes)], bytes[field(&bytes) + 1]]);
        assert_ne!(checksum, 0);
        found |= checksum == u16::MAX;
    }
    assert!(found);
}

proptest! {
    /// Where a full checksum is the sum of the pseudo-header by chance, it stays what it is.
    #[test]
    fn a_right_checksum_is_never_changed(word: u16, v6: bool) {
        let ip = if v6 { Ip::V6 } else { Ip::V4 };
        let bare = but(partial(tcp(ip, &[])), |frame| { let at = frame.len() - 8; set(frame, at, word) });
        let right = completed(&bare).1;
        prop_assert_eq!(completed(&right).1, right);
    }
}
