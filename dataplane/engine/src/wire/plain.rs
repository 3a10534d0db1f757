//! The common frame, read at one glance: no VLAN tag, IPv4 without options or IPv6 without extension headers, a TCP
//! segment that is whole, with no options or with timestamps alone.
//!
//! Says exactly what the general parser says of such a frame, or nothing: then the general parser is asked. Every
//! field is at a place that is known beforehand, so there is one length check and no loop.

use super::{Ecn, Endpoint, Flags, IpVersion, Parsed, Segment, TcpFrame, Timestamps, Tuple};

const ETHERNET_LEN: usize = 14;
const IPV4_LEN: usize = 20;
const IPV6_LEN: usize = 40;
const TCP_LEN: usize = 20;
/// NOP, NOP and the timestamps option.
const TIMESTAMPS_LEN: usize = 12;
const ALIGNED_TIMESTAMPS: [u8; 4] = [1, 1, 8, 10];

/// Ethernet type, version and header length as they stand in the common frame.
const IPV4: [u8; 3] = [0x08, 0x00, 0x45];
const IPV6: [u8; 2] = [0x86, 0xdd];
const TCP: u8 = 6;
/// More-fragments bit and fragment offset.
const FRAGMENT_MASK: u16 = 0x3fff;

/// Reads a common frame into `parsed`. Any other leaves it as it is, and gives `false`.
#[inline(always)]
pub(super) fn tcp(bytes: &[u8], wire_len: u32, parsed: &mut Parsed) -> bool {
    read(bytes, wire_len, parsed).is_some()
}

#[inline(always)]
fn read(bytes: &[u8], wire_len: u32, parsed: &mut Parsed) -> Option<()> {
    let end = (wire_len as usize).max(bytes.len());
    let headers = bytes.first_chunk::<{ ETHERNET_LEN + IPV4_LEN + TCP_LEN }>()?;
    if headers[12..15] == IPV4 {
        let ip_len = usize::from(u16::from_be_bytes([headers[16], headers[17]]));
        let fragment = u16::from_be_bytes([headers[20], headers[21]]) & FRAGMENT_MASK;
        if headers[23] != TCP || fragment != 0 || ETHERNET_LEN + ip_len > end {
            return None;
        }
        let (mut source, mut destination) = ([0; 16], [0; 16]);
        source[..4].copy_from_slice(&headers[26..30]);
        destination[..4].copy_from_slice(&headers[30..34]);
        let ip = Ip { version: IpVersion::V4, ecn: Ecn::from_bits(headers[15]), source, destination };
        return segment::<{ ETHERNET_LEN + IPV4_LEN }>(bytes, &ip, ip_len.checked_sub(IPV4_LEN)?, parsed);
    }
    if headers[12..14] == IPV6 && headers[14] >> 4 == 6 && headers[20] == TCP {
        let len = usize::from(u16::from_be_bytes([headers[18], headers[19]]));
        if ETHERNET_LEN + IPV6_LEN + len > end {
            return None;
        }
        let ip = Ip {
            version: IpVersion::V6,
            ecn: Ecn::from_bits(headers[15] >> 4),
            source: *headers[22..].first_chunk()?,
            destination: *headers[38..].first_chunk()?,
        };
        return segment::<{ ETHERNET_LEN + IPV6_LEN }>(bytes, &ip, len, parsed);
    }
    None
}

struct Ip {
    version: IpVersion,
    ecn: Ecn,
    source: [u8; 16],
    destination: [u8; 16],
}

/// The TCP segment of `len` bytes at `AT`.
#[inline(always)]
fn segment<const AT: usize>(bytes: &[u8], ip: &Ip, len: usize, parsed: &mut Parsed) -> Option<()> {
    let fixed = bytes.get(AT..)?.first_chunk::<TCP_LEN>()?;
    let (header_len, timestamps) = match fixed[12] >> 4 {
        5 => (TCP_LEN, None),
        8 => {
            let options = bytes.get(AT + TCP_LEN..)?.first_chunk::<TIMESTAMPS_LEN>()?;
            let (head, body) = options.split_first_chunk::<4>()?;
            if *head != ALIGNED_TIMESTAMPS {
                return None;
            }
            (TCP_LEN + TIMESTAMPS_LEN, Some(Timestamps::read(body.first_chunk()?)))
        }
        _ => return None,
    };
    // An IP length is 16 bits.
    let payload_len = len.checked_sub(header_len)? as u16;
    *parsed = Parsed::Tcp(TcpFrame {
        tuple: Tuple {
            source: Endpoint { address: ip.source, port: u16::from_be_bytes([fixed[0], fixed[1]]) },
            destination: Endpoint { address: ip.destination, port: u16::from_be_bytes([fixed[2], fixed[3]]) },
            version: ip.version,
        },
        ip_offset: ETHERNET_LEN as u16,
        tcp_offset: AT as u16,
        payload_offset: (AT + header_len) as u16,
        ecn: ip.ecn,
        segment: Segment {
            seq: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ack: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            payload_len,
            window: u16::from_be_bytes([fixed[14], fixed[15]]),
            flags: Flags(fixed[13]),
            timestamps,
            ..Segment::default()
        },
    });
    Some(())
}

#[cfg(test)]
mod tests {
    use crate::wire::{Malformed, Parsed, parse, parse_any};
    use proptest::prelude::*;

    /// A common frame: which IP, whether with timestamps, how much payload, how much Ethernet padding.
    fn common(v6: bool, timestamps: bool, payload: u16, padding: usize) -> Vec<u8> {
        let tcp_len = 20 + if timestamps { 12 } else { 0 } + payload;
        let mut frame = vec![2; 12];
        if v6 {
            frame.extend([0x86, 0xdd, 0x60, 0x20, 0, 0]);
            frame.extend(tcp_len.to_be_bytes());
            frame.extend([6, 64]);
            frame.extend(1..=32);
        } else {
            frame.extend([0x08, 0, 0x45, 2]);
            frame.extend((20 + tcp_len).to_be_bytes());
            frame.extend([7, 7, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        }
        frame.extend([
            0x12,
            0x34,
            0x01,
            0xbb,
            1,
            2,
            3,
            4,
            5,
            6,
            7,
            8,
            if timestamps { 0x80 } else { 0x50 },
            0x18,
        ]);
        frame.extend([0xff, 0, 0, 0, 0, 0]);
        if timestamps {
            frame.extend([1, 1, 8, 10, 1, 0, 0, 0, 2, 0, 0, 9]);
        }
        frame.resize(frame.len() + usize::from(payload) + padding, 0xaa);
        frame
    }

    #[test]
    fn common_frames_take_the_short_cut() {
        for (v6, timestamps, payload, padding) in
            [(false, false, 0, 6), (false, true, 1_448, 0), (true, false, 0, 0), (true, true, 9, 2)]
        {
            let frame = common(v6, timestamps, payload, padding);
            let mut parsed = Parsed::Malformed(Malformed::EthernetShort);
            assert!(super::tcp(&frame, frame.len() as u32, &mut parsed));
            let Parsed::Tcp(tcp) = parsed else { panic!("{parsed:?}") };
            assert_eq!((tcp.segment.payload_len, tcp.segment.timestamps.is_some()), (payload, timestamps));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

        /// Bytes that both readings look at, changed, cut or left alone; most of what comes out is still nearly common.
        #[test]
        fn the_short_cut_says_what_the_general_parser_says(
            (v6, timestamps) in any::<(bool, bool)>(),
            payload in 0..40u16,
            padding in 0..8usize,
            changes in prop::collection::vec((0..90usize, any::<u8>()), 0..3),
            cut in prop::option::of(0..100usize),
            beyond in 0..3_000u32,
        ) {
            let mut frame = common(v6, timestamps, payload, padding);
            for (at, value) in changes {
                if let Some(byte) = frame.get_mut(at) {
                    *byte = value;
                }
            }
            frame.truncate(cut.unwrap_or(usize::MAX));
            for wire_len in [frame.len() as u32, frame.len() as u32 + beyond, beyond] {
                prop_assert_eq!(parse(&frame, wire_len), parse_any(&frame, wire_len));
            }
        }

        #[test]
        fn and_so_it_does_of_random_bytes(frame in prop::collection::vec(any::<u8>(), 0..120), wire_len in 0..200u32) {
            prop_assert_eq!(parse(&frame, wire_len), parse_any(&frame, wire_len));
        }
    }
}
