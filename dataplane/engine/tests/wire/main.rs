//! What the parser makes of frames: each case is a sentence, a frame and the expected outcome. Frames are built by
//! `etherparse`, an independent implementation, and bent where a case asks for it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail their test")]

mod checksum;
mod owner;

use etherparse::{
    ArpHardwareId, ArpOperation, ArpPacket, EtherType, IcmpEchoHeader, Icmpv6Type, Ipv4HeaderSlice,
};
use etherparse::{PacketBuilder, PacketBuilderStep, TcpHeader, VlanId};
use proptest::prelude::*;
use weir_engine::wire::{
    Ecn, Endpoint, Flags, IpVersion, Malformed, Parsed, SackBlock, Segment, SynOptions, TcpFrame, Timestamps,
    Tuple, Untracked, mark_ce, parse, set_ce,
};

const ETHERNET: usize = 14;
const IPV4: usize = 20;
const IPV6: usize = 40;
const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SERVER: [u8; 4] = [192, 0, 2, 7];
const CLIENT6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const SERVER6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
const PAYLOAD: &[u8] = b"ninety-nine bottles of data on the wire";
/// NOP, NOP, timestamps 0x01020304 echoing 0x0a0b0c0d.
const TIMESTAMPS: [u8; 12] = [1, 1, 8, 10, 1, 2, 3, 4, 10, 11, 12, 13];

#[derive(Clone, Copy, PartialEq)]
enum Ip {
    V4,
    V6,
}

/// Finishes a builder whose last step is TCP.
fn write(step: PacketBuilderStep<TcpHeader>, options: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    let step = step.ack(2_000).psh().ece().cwr();
    step.options_raw(options).unwrap().write_to_vec(&mut frame, PAYLOAD).unwrap();
    frame
}

/// A data segment from client port 40 000 to server port 443, sequence number 1 000, no VLAN tag.
fn tcp(ip: Ip, options: &[u8]) -> Vec<u8> {
    let ethernet = PacketBuilder::ethernet2([2; 6], [4; 6]);
    let step = match ip {
        Ip::V4 => ethernet.ipv4(CLIENT, SERVER, 64),
        Ip::V6 => ethernet.ipv6(CLIENT6, SERVER6, 64),
    };
    write(step.tcp(40_000, 443, 1_000, 512), options)
}

fn syn(options: &[u8]) -> Vec<u8> {
    let step = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(CLIENT, SERVER, 64);
    let mut frame = Vec::new();
    let step = step.tcp(40_000, 443, 1_000, 512).syn().options_raw(options).unwrap();
    step.write_to_vec(&mut frame, &[]).unwrap();
    frame
}

fn udp(ip: Ip) -> Vec<u8> {
    let ethernet = PacketBuilder::ethernet2([2; 6], [4; 6]);
    let step = match ip {
        Ip::V4 => ethernet.ipv4(CLIENT, SERVER, 64),
        Ip::V6 => ethernet.ipv6(CLIENT6, SERVER6, 64),
    };
    let mut frame = Vec::new();
    step.udp(53, 5_353).write_to_vec(&mut frame, PAYLOAD).unwrap();
    frame
}

fn icmp() -> Vec<u8> {
    let step = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(CLIENT, SERVER, 64);
    let mut frame = Vec::new();
    step.icmpv4_echo_request(1, 2).write_to_vec(&mut frame, PAYLOAD).unwrap();
    frame
}

fn icmp6(kind: Icmpv6Type) -> Vec<u8> {
    let step = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv6(CLIENT6, SERVER6, 255);
    let mut frame = Vec::new();
    step.icmpv6(kind).write_to_vec(&mut frame, PAYLOAD).unwrap();
    frame
}

fn arp() -> Vec<u8> {
    let packet = ArpPacket::new(
        ArpHardwareId::ETHERNET,
        EtherType::IPV4,
        ArpOperation::REQUEST,
        &[2; 6],
        &CLIENT,
        &[0; 6],
        &SERVER,
    );
    let mut frame = Vec::new();
    PacketBuilder::ethernet2([2; 6], [0xff; 6]).arp(packet.unwrap()).write(&mut frame).unwrap();
    frame
}

/// Puts VLAN tags of the given types before the Ethernet type.
fn tagged(mut frame: Vec<u8>, types: &[u16]) -> Vec<u8> {
    for kind in types.iter().rev() {
        let [high, low] = kind.to_be_bytes();
        frame.splice(12..12, [high, low, 0, 5]);
    }
    frame
}

/// Puts bytes behind the IPv4 header as its options, and corrects its lengths.
fn with_ipv4_options(mut frame: Vec<u8>, options: &[u8]) -> Vec<u8> {
    frame[ETHERNET] += (options.len() / 4) as u8;
    add(&mut frame, ETHERNET + 2, options.len());
    frame.splice(ETHERNET + IPV4..ETHERNET + IPV4, options.iter().copied());
    frame
}

/// Puts IPv6 extension headers (number, bytes with the first left open) before the transport header.
fn with_extensions(mut frame: Vec<u8>, headers: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut next = frame[ETHERNET + 6];
    let mut at_front = Vec::new();
    for (number, bytes) in headers.iter().rev() {
        let mut bytes = bytes.clone();
        bytes[0] = next;
        next = *number;
        bytes.extend(at_front);
        at_front = bytes;
    }
    frame[ETHERNET + 6] = next;
    add(&mut frame, ETHERNET + 4, at_front.len());
    frame.splice(ETHERNET + IPV6..ETHERNET + IPV6, at_front);
    frame
}

/// An options-like extension header of `units` times eight bytes.
fn extension(units: u8) -> Vec<u8> {
    let mut bytes = vec![0; usize::from(units) * 8];
    bytes[1] = units - 1;
    bytes
}

/// A fragment header with this offset-and-flags field.
fn fragment(field: u16) -> Vec<u8> {
    let [high, low] = field.to_be_bytes();
    vec![0, 0, high, low, 0, 0, 0, 9]
}

/// An authentication header of `words` times four bytes.
fn authentication(words: u8) -> Vec<u8> {
    let mut bytes = vec![0; usize::from(words) * 4];
    bytes[1] = words - 2;
    bytes
}

/// Adds to the 16-bit field at `at`.
fn add(frame: &mut [u8], at: usize, by: usize) {
    let value = u16::from_be_bytes([frame[at], frame[at + 1]]) + by as u16;
    set(frame, at, value);
}

fn set(frame: &mut [u8], at: usize, value: u16) {
    frame[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

/// The frame after a change.
fn but(mut frame: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    change(&mut frame);
    frame
}

fn read(frame: &[u8]) -> Parsed {
    parse(frame, frame.len() as u32)
}

fn read_tcp(name: &str, frame: &[u8]) -> TcpFrame {
    match read(frame) {
        Parsed::Tcp(tcp) => tcp,
        other => panic!("{name}: {other:?}"),
    }
}

fn tuple(ip: Ip) -> Tuple {
    let end = |four: [u8; 4], sixteen: [u8; 16], port| {
        let mut address = sixteen;
        if ip == Ip::V4 {
            address = [0; 16];
            address[..4].copy_from_slice(&four);
        }
        Endpoint { address, port }
    };
    Tuple {
        source: end(CLIENT, CLIENT6, 40_000),
        destination: end(SERVER, SERVER6, 443),
        version: if ip == Ip::V4 { IpVersion::V4 } else { IpVersion::V6 },
    }
}

#[test]
fn tcp_is_found_behind_whatever_may_stand_before_it() {
    let chain = [(0, extension(1)), (60, extension(2)), (43, extension(3)), (51, authentication(6))];
    // (what, frame, IP version, IP header at, TCP header at)
    let cases = [
        ("plain IPv4", tcp(Ip::V4, &TIMESTAMPS), Ip::V4, 14, 34),
        ("plain IPv6", tcp(Ip::V6, &TIMESTAMPS), Ip::V6, 14, 54),
        ("one VLAN tag", tagged(tcp(Ip::V4, &TIMESTAMPS), &[0x8100]), Ip::V4, 18, 38),
        ("a service tag and a tag", tagged(tcp(Ip::V6, &TIMESTAMPS), &[0x88a8, 0x8100]), Ip::V6, 22, 62),
        ("IPv4 options", with_ipv4_options(tcp(Ip::V4, &TIMESTAMPS), &[1; 40]), Ip::V4, 14, 74),
        (
            "don't fragment",
            but(tcp(Ip::V4, &TIMESTAMPS), |frame| frame[ETHERNET + 6] |= 0x40),
            Ip::V4,
            14,
            34,
        ),
        ("extension headers", with_extensions(tcp(Ip::V6, &TIMESTAMPS), &chain), Ip::V6, 14, 54 + 72),
        (
            "an atomic fragment, reserved bits set",
            with_extensions(tcp(Ip::V6, &TIMESTAMPS), &[(44, fragment(6))]),
            Ip::V6,
            14,
            62,
        ),
        (
            "as many extension headers as allowed",
            with_extensions(tcp(Ip::V6, &TIMESTAMPS), &vec![(60, extension(1)); 8]),
            Ip::V6,
            14,
            54 + 64,
        ),
        ("Ethernet padding", but(tcp(Ip::V4, &TIMESTAMPS), |frame| frame.extend([0xaa; 9])), Ip::V4, 14, 34),
    ];
    for (name, frame, ip, ip_offset, tcp_offset) in cases {
        let expected = TcpFrame {
            tuple: tuple(ip),
            ip_offset,
            tcp_offset,
            payload_offset: tcp_offset + 32,
            ecn: Ecn::NotEct,
            segment: Segment {
                seq: 1_000,
                ack: 2_000,
                payload_len: PAYLOAD.len() as u16,
                window: 512,
                flags: Flags::ACK.with(Flags::PSH).with(Flags::ECE).with(Flags::CWR),
                timestamps: Some(Timestamps { value: 0x0102_0304, echo: 0x0a0b_0c0d }),
                ..Segment::default()
            },
        };
        assert_eq!(read_tcp(name, &frame), expected, "{name}");
        let payload = usize::from(expected.payload_offset);
        assert_eq!(&frame[payload..payload + PAYLOAD.len()], PAYLOAD, "{name}");
    }
}

#[test]
fn options_mean_what_the_rfcs_say() {
    let sack = |blocks: &[(u32, u32)]| {
        let mut bytes = vec![5, 2 + 8 * blocks.len() as u8];
        for (start, end) in blocks {
            bytes.extend(start.to_be_bytes());
            bytes.extend(end.to_be_bytes());
        }
        bytes.resize(bytes.len().next_multiple_of(4), 1);
        bytes
    };
    type Check = fn(&Segment) -> bool;
    let is_bare: Check = |segment| {
        segment.timestamps.is_none()
            && segment.sack.as_slice().is_empty()
            && segment.syn == SynOptions::default()
    };
    let cases: [(&str, Vec<u8>, Check); 13] = [
        ("none", vec![], is_bare),
        ("timestamps not aligned", vec![8, 10, 0, 0, 0, 7, 0, 0, 0, 9, 0, 0], |segment| {
            segment.timestamps == Some(Timestamps { value: 7, echo: 9 })
        }),
        ("one SACK block", sack(&[(5, 9)]), |segment| {
            segment.sack.as_slice() == [SackBlock { start: 5, end: 9 }]
        }),
        ("four SACK blocks", sack(&[(1, 2), (3, 4), (5, 6), (u32::MAX, 3)]), |segment| {
            segment.sack.as_slice().len() == 4
                && segment.sack.as_slice()[3] == SackBlock { start: u32::MAX, end: 3 }
        }),
        ("timestamps and three SACK blocks", [&TIMESTAMPS[..], &sack(&[(1, 2), (3, 4), (5, 6)])].concat(), {
            |segment| segment.timestamps.is_some() && segment.sack.as_slice().len() == 3
        }),
        ("a SACK option that ends within a block", vec![5, 6, 0, 0, 0, 1, 1, 1], is_bare),
        ("timestamps of a wrong length", vec![8, 4, 0, 0], is_bare),
        ("an unknown kind is skipped", [vec![254, 4, 9, 9], TIMESTAMPS.to_vec()].concat(), |segment| {
            segment.timestamps.is_some()
        }),
        ("nothing counts after the end", [vec![0, 0, 0, 0], TIMESTAMPS.to_vec()].concat(), is_bare),
        ("no length is needed after the end", vec![0, 99, 99, 99], is_bare),
        ("MSS outside a SYN", vec![2, 4, 5, 180], is_bare),
        ("window scale outside a SYN", vec![3, 3, 7, 1], is_bare),
        ("SACK-permitted outside a SYN", vec![4, 2, 1, 1], is_bare),
    ];
    for (name, options, check) in cases {
        for ip in [Ip::V4, Ip::V6] {
            let segment = read_tcp(name, &tcp(ip, &options)).segment;
            assert!(check(&segment), "{name}: {segment:?}");
        }
    }
    let cases = [
        (
            "all",
            vec![2, 4, 5, 180, 4, 2, 1, 3, 3, 7, 1, 1],
            SynOptions { mss: Some(1_460), window_scale: Some(7), sack_permitted: true },
        ),
        (
            "a shift count beyond 14 is 14",
            vec![3, 3, 255, 1],
            SynOptions { window_scale: Some(14), ..SynOptions::default() },
        ),
        ("wrong lengths are skipped", vec![2, 3, 5, 3, 4, 1, 1, 4, 3, 0, 0, 0], SynOptions::default()),
    ];
    for (name, options, expected) in cases {
        assert_eq!(read_tcp(name, &syn(&options)).segment.syn, expected, "{name}");
    }
}

#[test]
fn what_is_no_whole_tcp_segment_is_told_by_its_kind() {
    use Untracked::*;
    let solicitation = Icmpv6Type::Unknown { type_u8: 135, code_u8: 0, bytes5to8: [0; 4] };
    let cases = [
        ("ARP", arp(), Arp),
        ("ARP behind two tags", tagged(arp(), &[0x8100, 0x8100]), Arp),
        ("UDP over IPv4", udp(Ip::V4), Udp),
        ("UDP over IPv6", udp(Ip::V6), Udp),
        ("ping", icmp(), Icmp),
        ("ping, IPv6", icmp6(Icmpv6Type::EchoRequest(IcmpEchoHeader { id: 1, seq: 2 })), Icmp6),
        ("neighbour solicitation", icmp6(solicitation), Ndp),
        ("a third tag", tagged(tcp(Ip::V4, &[]), &[0x88a8, 0x8100, 0x8100]), OtherEtherType),
        ("IEEE 802.3 length", but(tcp(Ip::V4, &[]), |frame| set(frame, 12, 46)), OtherEtherType),
        ("MPLS", but(tcp(Ip::V4, &[]), |frame| set(frame, 12, 0x8847)), OtherEtherType),
        ("GRE", but(tcp(Ip::V4, &[]), |frame| frame[ETHERNET + 9] = 47), OtherTransport),
        ("ESP over IPv6", but(tcp(Ip::V6, &[]), |frame| frame[ETHERNET + 6] = 50), OtherTransport),
        ("no next header", but(tcp(Ip::V6, &[]), |frame| frame[ETHERNET + 6] = 59), OtherTransport),
        (
            "an empty IPv6 packet",
            but(tcp(Ip::V6, &[]), |frame| {
                frame[ETHERNET + 6] = 59;
                set(frame, ETHERNET + 4, 0);
            }),
            OtherTransport,
        ),
        ("first fragment", but(tcp(Ip::V4, &[]), |frame| frame[ETHERNET + 6] |= 0x20), Fragment),
        ("later fragment", but(tcp(Ip::V4, &[]), |frame| frame[ETHERNET + 7] = 1), Fragment),
        ("first fragment, IPv6", with_extensions(tcp(Ip::V6, &[]), &[(44, fragment(1))]), Fragment),
        ("later fragment, IPv6", with_extensions(tcp(Ip::V6, &[]), &[(44, fragment(8))]), Fragment),
        (
            "jumbogram",
            but(with_extensions(tcp(Ip::V6, &[]), &[(0, extension(1))]), |frame| set(frame, ETHERNET + 4, 0)),
            Jumbogram,
        ),
        (
            "nine extension headers",
            with_extensions(tcp(Ip::V6, &[]), &vec![(60, extension(1)); 9]),
            LongChain,
        ),
    ];
    for (name, frame, kind) in cases {
        let Parsed::Untracked { kind: found, owner } = read(&frame) else {
            panic!("{name}: {:?}", read(&frame));
        };
        assert_eq!(found, kind, "{name}");
        assert_eq!(owner.is_none(), matches!(kind, Arp | OtherEtherType), "{name}: IP has an owner");
    }
}

#[test]
fn a_header_that_contradicts_itself_is_malformed() {
    use Malformed::*;
    let transport = ETHERNET + IPV4;
    let v4 = || tcp(Ip::V4, &TIMESTAMPS);
    let v6 = || tcp(Ip::V6, &TIMESTAMPS);
    let total_len = v4().len() - ETHERNET;
    let cases = [
        ("version 5", but(v4(), |frame| frame[ETHERNET] = 0x55), Ipv4Version),
        ("a header of 16 bytes", but(v4(), |frame| frame[ETHERNET] = 0x44), Ipv4HeaderLength),
        ("shorter than its header", but(v4(), |frame| set(frame, ETHERNET + 2, 19)), Ipv4TotalLength),
        ("total length 0", but(v4(), |frame| set(frame, ETHERNET + 2, 0)), Ipv4TotalLength),
        (
            "longer than the frame",
            but(v4(), |frame| set(frame, ETHERNET + 2, total_len as u16 + 1)),
            Ipv4TotalLength,
        ),
        ("version 4 where Ethernet says 6", but(v6(), |frame| frame[ETHERNET] = 0x45), Ipv6Version),
        ("IPv6 longer than the frame", but(v6(), |frame| add(frame, ETHERNET + 4, 1)), Ipv6PayloadLength),
        ("TCP in no bytes", but(v6(), |frame| set(frame, ETHERNET + 4, 0)), Ipv6PayloadLength),
        (
            "an extension header beyond the end",
            but(with_extensions(v6(), &[(60, extension(1))]), |frame| frame[ETHERNET + IPV6 + 1] = 255),
            Ipv6Extension,
        ),
        ("no room for TCP", but(v4(), |frame| set(frame, ETHERNET + 2, 39)), TcpShort),
        ("data offset 4", but(v4(), |frame| frame[transport + 12] = 0x40), TcpDataOffset),
        (
            "data offset beyond the end",
            but(v4(), |frame| {
                set(frame, ETHERNET + 2, 40);
                frame[transport + 12] = 0xf0;
            }),
            TcpDataOffset,
        ),
        ("an option of length 0", tcp(Ip::V4, &[99, 0, 1, 1]), TcpOption),
        ("an option of length 1", tcp(Ip::V4, &[99, 1, 1, 1]), TcpOption),
        ("an option beyond the header", tcp(Ip::V4, &[99, 5, 1, 1]), TcpOption),
        ("an option without its length", tcp(Ip::V4, &[1, 1, 1, 99]), TcpOption),
        ("UDP length 7", but(udp(Ip::V4), |frame| set(frame, transport + 4, 7)), UdpLength),
        ("UDP beyond the end", but(udp(Ip::V4), |frame| add(frame, transport + 4, 1)), UdpLength),
        ("no room for UDP", but(udp(Ip::V4), |frame| set(frame, ETHERNET + 2, 27)), UdpShort),
        ("no room for ICMP", but(icmp(), |frame| set(frame, ETHERNET + 2, 27)), IcmpShort),
        ("ARP with long addresses", but(arp(), |frame| frame[ETHERNET + 4] = 255), ArpShort),
    ];
    for (name, frame, fault) in cases {
        assert_eq!(read(&frame), Parsed::Malformed(fault), "{name}");
    }
}

/// A frame of every kind, for tests that cut and shake them.
fn every_kind() -> Vec<Vec<u8>> {
    let chain = [
        (0, extension(1)),
        (43, extension(2)),
        (44, fragment(0)),
        (51, authentication(3)),
        (60, extension(1)),
    ];
    let vlan = PacketBuilder::ethernet2([2; 6], [4; 6])
        .double_vlan(VlanId::try_new(7).unwrap(), VlanId::try_new(8).unwrap())
        .ipv4(CLIENT, SERVER, 9);
    vec![
        tcp(Ip::V4, &TIMESTAMPS),
        tcp(Ip::V6, &[5, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1]),
        syn(&[2, 4, 5, 180, 4, 2, 1, 3, 3, 7, 1, 1]),
        write(vlan.tcp(1, 2, 3, 4), &TIMESTAMPS),
        with_ipv4_options(tcp(Ip::V4, &TIMESTAMPS), &[7; 24]),
        with_extensions(tcp(Ip::V6, &TIMESTAMPS), &chain),
        with_extensions(udp(Ip::V6), &chain),
        udp(Ip::V4),
        icmp(),
        icmp6(Icmpv6Type::EchoRequest(IcmpEchoHeader { id: 1, seq: 2 })),
        arp(),
    ]
}

#[test]
fn a_frame_cut_anywhere_is_not_taken_for_tcp() {
    for frame in every_kind() {
        for len in 0..frame.len() {
            let cut = read(&frame[..len]);
            assert!(matches!(cut, Parsed::Malformed(_)), "{len} of {}: {cut:?}", frame.len());
        }
    }
}

#[test]
fn a_frame_in_segments_is_read_when_the_first_holds_its_headers() {
    for frame in every_kind() {
        let whole = read(&frame);
        let headers = match whole {
            Parsed::Tcp(tcp) => usize::from(tcp.payload_offset),
            _ => continue,
        };
        for len in 0..frame.len() {
            let cut = parse(&frame[..len], frame.len() as u32);
            if len < headers {
                assert!(
                    matches!(cut, Parsed::Untracked { kind: Untracked::SplitHeaders, .. }),
                    "{len} of {headers}: {cut:?}"
                );
            } else {
                assert_eq!(cut, whole, "{len} of {headers}");
            }
        }
    }
}

#[test]
fn marking_sets_ce_where_the_sender_understands_it_and_keeps_the_checksum() {
    for (bits, marked) in [(Ecn::NotEct, false), (Ecn::Ect1, true), (Ecn::Ect0, true), (Ecn::Ce, false)] {
        for dscp in 0..64u8 {
            let traffic_class = dscp << 2 | bits as u8;
            let mut frame = but(with_ipv4_options(tcp(Ip::V4, &[]), &[1; 4]), |frame| {
                frame[ETHERNET + 1] = traffic_class;
                let header = Ipv4HeaderSlice::from_slice(&frame[ETHERNET..]).unwrap().to_header();
                set(frame, ETHERNET + 10, header.calc_header_checksum());
            });
            let parsed = read_tcp("IPv4", &frame);
            assert_eq!(parsed.ecn, bits);
            let (before, mut unparsed) = (frame.clone(), frame.clone());
            assert_eq!(set_ce(&mut frame, &parsed), marked);
            assert_eq!((mark_ce(&mut unparsed), &unparsed), (marked, &frame));
            let header = Ipv4HeaderSlice::from_slice(&frame[ETHERNET..]).unwrap().to_header();
            assert_eq!(header.header_checksum, header.calc_header_checksum());
            assert_eq!(read_tcp("IPv4", &frame).ecn, if marked { Ecn::Ce } else { bits });
            let changed: Vec<usize> = (0..frame.len()).filter(|&at| frame[at] != before[at]).collect();
            let allowed = [ETHERNET + 1, ETHERNET + 10, ETHERNET + 11];
            assert!(changed.iter().all(|at| marked && allowed.contains(at)), "{changed:?}");

            let mut frame = but(tagged(tcp(Ip::V6, &[]), &[0x8100]), |frame| {
                frame[ETHERNET + 4] = 0x60 | traffic_class >> 4;
                frame[ETHERNET + 5] = traffic_class << 4 | 0x0f;
            });
            let parsed = read_tcp("IPv6", &frame);
            assert_eq!(parsed.ecn, bits);
            let mut expected = frame.clone();
            expected[ETHERNET + 5] |= if marked { 0x30 } else { 0 };
            let mut unparsed = frame.clone();
            assert_eq!(set_ce(&mut frame, &parsed), marked);
            assert_eq!(frame, expected);
            assert_eq!((mark_ce(&mut unparsed), unparsed), (marked, expected));
        }
    }
}

/// RFC 1624's own subject: the sums that one's complement makes awkward (0x0000 and 0xffff).
#[test]
fn the_checksum_survives_every_identification() {
    for identification in 0..=u16::MAX {
        let mut frame = tcp(Ip::V4, &[]);
        frame[ETHERNET + 1] = Ecn::Ect0 as u8;
        set(&mut frame, ETHERNET + 4, identification);
        let header = Ipv4HeaderSlice::from_slice(&frame[ETHERNET..]).unwrap().to_header();
        set(&mut frame, ETHERNET + 10, header.calc_header_checksum());
        let parsed = read_tcp("IPv4", &frame);
        assert!(set_ce(&mut frame, &parsed));
        let sum: u32 = frame[ETHERNET..ETHERNET + IPV4]
            .chunks_exact(2)
            .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
            .sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "identification {identification:#x}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), extra in 0..2_000u32) {
        // Half of the cases get an Ethernet type that leads somewhere.
        if bytes.len() > ETHERNET && bytes[0] & 1 == 0 {
            let kind = [0x0800, 0x86dd, 0x8100, 0x0806][usize::from(bytes[1] % 4)];
            set(&mut bytes, 12, kind);
            bytes[ETHERNET] = if bytes[1] % 4 == 0 { 0x45 } else { 0x60 };
        }
        if let Parsed::Tcp(frame) = parse(&bytes, bytes.len() as u32 + extra) {
            check_offsets(&bytes, &frame)?;
            set_ce(&mut bytes, &frame);
        }
    }

    #[test]
    fn shaken_frames_never_panic(
        kind in 0..11usize,
        shakes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        keep in any::<prop::sample::Index>(),
    ) {
        let mut bytes = every_kind().swap_remove(kind);
        for (at, value) in shakes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let wire_len = bytes.len() as u32;
        for len in [bytes.len(), keep.index(bytes.len())] {
            if let Parsed::Tcp(frame) = parse(&bytes[..len], wire_len) {
                check_offsets(&bytes, &frame)?;
                // Bytes that are not the frame's any more: nothing to mark, nothing to break.
                set_ce(&mut [], &frame);
            }
        }
    }
}

fn check_offsets(bytes: &[u8], frame: &TcpFrame) -> Result<(), TestCaseError> {
    prop_assert!(frame.ip_offset < frame.tcp_offset && frame.tcp_offset < frame.payload_offset);
    prop_assert!(usize::from(frame.payload_offset) <= bytes.len());
    Ok(())
}
