//! Whose a frame is: the tuple on whose hash all workers agree, and what ICMP errors quote.

use super::*;
use weir_engine::hash::FlowHasher;
use weir_engine::wire::{Complaint, Quote};

/// The addresses of [`tuple`] with a protocol's number for ports.
fn pair(ip: Ip, protocol: u16) -> Tuple {
    let mut pair = tuple(ip);
    (pair.source.port, pair.destination.port) = (protocol, protocol);
    pair
}

fn ports(ip: Ip, source: u16, destination: u16) -> Tuple {
    let mut ports = tuple(ip);
    (ports.source.port, ports.destination.port) = (source, destination);
    ports
}

/// An ICMP error from the server's router about `quoted`, a frame whose Ethernet header is left off.
fn error(ip: Ip, kind: u8, code: u8, quoted: &[u8]) -> Vec<u8> {
    let message = [&[kind, code, 0, 0, 0, 0, 5, 0], &quoted[ETHERNET..]].concat();
    let ethernet = PacketBuilder::ethernet2([4; 6], [2; 6]);
    let mut frame = Vec::new();
    let (protocol, step) = match ip {
        Ip::V4 => (1, ethernet.ipv4([192, 0, 2, 1], CLIENT, 64)),
        Ip::V6 => (58, ethernet.ipv6([9; 16], CLIENT6, 64)),
    };
    step.write(&mut frame, etherparse::IpNumber(protocol), &message).unwrap();
    frame
}

#[test]
fn an_owner_is_the_tuple_where_there_are_ports_and_the_addresses_elsewhere() {
    let chain = |frame, headers: &[(u8, Vec<u8>)]| with_extensions(frame, headers);
    let cases = [
        ("TCP", tcp(Ip::V4, &[]), tuple(Ip::V4)),
        ("TCP behind a chain", chain(tcp(Ip::V6, &[]), &[(0, extension(1))]), tuple(Ip::V6)),
        ("UDP", udp(Ip::V4), ports(Ip::V4, 53, 5_353)),
        ("UDP over IPv6", udp(Ip::V6), ports(Ip::V6, 53, 5_353)),
        ("ping", icmp(), pair(Ip::V4, 1)),
        ("GRE", but(tcp(Ip::V4, &[]), |frame| frame[ETHERNET + 9] = 47), pair(Ip::V4, 47)),
        ("first fragment", but(udp(Ip::V4), |frame| frame[ETHERNET + 6] |= 0x20), pair(Ip::V4, 17)),
        ("later fragment", but(udp(Ip::V4), |frame| frame[ETHERNET + 7] = 9), pair(Ip::V4, 17)),
        ("first fragment, IPv6", chain(udp(Ip::V6), &[(44, fragment(1))]), pair(Ip::V6, 44)),
        (
            "later fragment that names another protocol",
            chain(tcp(Ip::V6, &[]), &[(60, extension(1)), (44, fragment(64))]),
            pair(Ip::V6, 44),
        ),
        (
            "an atomic fragment is a whole packet",
            chain(tcp(Ip::V6, &[]), &[(44, fragment(0))]),
            tuple(Ip::V6),
        ),
    ];
    for (name, frame, owner) in cases {
        assert_eq!(read(&frame).owner(), Some(&owner), "{name}");
    }
    assert_eq!(read(&arp()).owner(), None);
    assert_eq!(read(&tcp(Ip::V4, &[])[..40]).owner(), None, "malformed");
}

#[test]
fn an_error_belongs_to_what_it_quotes() {
    let chained = with_extensions(tcp(Ip::V6, &[]), &[(0, extension(2)), (44, fragment(0))]);
    let plain = tcp(Ip::V4, &TIMESTAMPS);
    let (v4, v6) = (tuple(Ip::V4), tuple(Ip::V6));
    let cases = [
        ("port unreachable", error(Ip::V4, 3, 3, &plain), v4, Some(1_000), Complaint::Unreachable),
        ("fragmentation needed", error(Ip::V4, 3, 4, &plain), v4, Some(1_000), Complaint::TooBig),
        ("time exceeded", error(Ip::V4, 11, 0, &plain), v4, Some(1_000), Complaint::TimeExceeded),
        ("redirect", error(Ip::V4, 5, 1, &plain), v4, Some(1_000), Complaint::Other),
        (
            "eight bytes behind options",
            error(Ip::V4, 3, 1, &with_ipv4_options(plain.clone(), &[7; 8])[..ETHERNET + IPV4 + 16]),
            v4,
            Some(1_000),
            Complaint::Unreachable,
        ),
        ("packet too big", error(Ip::V6, 2, 0, &chained), v6, Some(1_000), Complaint::TooBig),
        ("no route", error(Ip::V6, 1, 0, &chained), v6, Some(1_000), Complaint::Unreachable),
        ("hop limit", error(Ip::V6, 3, 0, &chained), v6, Some(1_000), Complaint::TimeExceeded),
        ("an error of the future", error(Ip::V6, 101, 0, &chained), v6, Some(1_000), Complaint::Other),
        (
            "about UDP",
            error(Ip::V4, 3, 3, &udp(Ip::V4)),
            ports(Ip::V4, 53, 5_353),
            None,
            Complaint::Unreachable,
        ),
    ];
    let hasher = FlowHasher::new(3);
    for (name, frame, tuple, seq, complaint) in cases {
        let parsed = read(&frame);
        assert_eq!(parsed, Parsed::Quote(Quote { tuple, seq, complaint }), "{name}");
        // Its flow lies on one worker, whichever way its frames go.
        assert_eq!(parsed.owner().map(|owner| hasher.hash(owner)), Some(hasher.hash(&tuple.reversed())));
    }
}

#[test]
fn a_quotation_that_names_no_flow_is_no_fault_of_the_frame() {
    let (outer4, outer6) = (
        Tuple { source: Endpoint { address: v4([192, 0, 2, 1]), port: 1 }, ..pair(Ip::V4, 1).reversed() },
        Tuple { source: Endpoint { address: [9; 16], port: 58 }, ..pair(Ip::V6, 58).reversed() },
    );
    let (plain, plain6) = (tcp(Ip::V4, &[]), tcp(Ip::V6, &[]));
    let cases = [
        ("nothing quoted", error(Ip::V4, 3, 3, &plain[..ETHERNET]), outer4),
        ("half an IPv4 header", error(Ip::V4, 3, 3, &plain[..ETHERNET + 12]), outer4),
        ("half an IPv6 header", error(Ip::V6, 1, 3, &plain6[..ETHERNET + 12]), outer6),
        ("the header alone", error(Ip::V4, 3, 3, &plain[..ETHERNET + IPV4]), pair(Ip::V4, 6)),
        ("seven bytes of TCP", error(Ip::V4, 3, 3, &plain[..ETHERNET + IPV4 + 7]), pair(Ip::V4, 6)),
        ("seven bytes, IPv6", error(Ip::V6, 1, 3, &plain6[..ETHERNET + IPV6 + 7]), pair(Ip::V6, 6)),
        ("a ping", error(Ip::V4, 3, 3, &icmp()), pair(Ip::V4, 1)),
        ("IPv6 in IPv4's error", error(Ip::V4, 3, 3, &plain6), outer4),
        ("IPv4 in IPv6's error", error(Ip::V6, 1, 3, &plain), outer6),
        (
            "header length below 20",
            error(Ip::V4, 3, 3, &but(plain.clone(), |frame| frame[ETHERNET] = 0x44)),
            outer4,
        ),
        (
            "a fragment",
            error(Ip::V4, 3, 3, &but(plain.clone(), |frame| frame[ETHERNET + 7] = 1)),
            pair(Ip::V4, 6),
        ),
        (
            "a fragment, IPv6",
            error(Ip::V6, 1, 3, &with_extensions(plain6.clone(), &[(44, fragment(8))])),
            pair(Ip::V6, 44),
        ),
        (
            "a chain cut short",
            error(
                Ip::V6,
                1,
                3,
                &with_extensions(plain6.clone(), &[(0, extension(9))])[..ETHERNET + IPV6 + 16],
            ),
            pair(Ip::V6, 44),
        ),
    ];
    for (name, frame, owner) in cases {
        let parsed = read(&frame);
        assert!(
            matches!(parsed, Parsed::Untracked { kind: Untracked::Icmp | Untracked::Icmp6, .. }),
            "{name}: {parsed:?}"
        );
        assert_eq!(parsed.owner(), Some(&owner), "{name}");
    }
}

fn v4(four: [u8; 4]) -> [u8; 16] {
    let mut address = [0; 16];
    address[..4].copy_from_slice(&four);
    address
}

proptest! {
    /// However a packet is cut into fragments, they have one owner, and the fragments of the answer have the same.
    #[test]
    fn all_fragments_of_a_packet_have_one_owner(field: u16, other: u16, v6: bool, next: u8) {
        let hasher = FlowHasher::new(11);
        let frame = |field: u16, next: u8, back: bool| {
            // Not whole: an offset, or more to come.
            let field = if field & 0xfff9 == 0 { 1 } else { field };
            let mut frame = if v6 {
                let frame = with_extensions(tcp(Ip::V6, &[]), &[(44, fragment(field))]);
                but(frame, |frame| frame[ETHERNET + IPV6] = next)
            } else {
                let field = if field & 0x3fff == 0 { 0x2000 } else { field };
                but(tcp(Ip::V4, &[]), |frame| set(frame, ETHERNET + 6, field))
            };
            if back {
                let (at, len) = if v6 { (ETHERNET + 8, 16) } else { (ETHERNET + 12, 4) };
                frame[at..at + 2 * len].rotate_left(len);
            }
            frame
        };
        let hash = |frame: &[u8]| read(frame).owner().map(|owner| hasher.hash(owner));
        prop_assert!(hash(&frame(field, next, false)).is_some());
        prop_assert_eq!(hash(&frame(field, next, false)), hash(&frame(other, !next, false)));
        prop_assert_eq!(hash(&frame(field, next, false)), hash(&frame(other, next, true)));
    }
}
