//! The list: what its file may say, what it reads in a frame, what it decides.

use super::*;
use proptest::prelude::*;
use std::net::IpAddr;
use std::path::Path;
use weir_dpdk::{Pool, testing};
use weir_engine::wire::{self, IpVersion, Parsed};
use weir_shell::capture::CaptureReader;
use weir_shell::run::MbufFrame;

/// An Ethernet frame of 60 bytes or more with an IP packet of `protocol` from `source` to `destination`; `payload` follows
/// the IP header.
fn ip(source: &str, destination: &str, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2; 12];
    match (source.parse().unwrap(), destination.parse().unwrap()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            bytes.extend([0x08, 0x00, 0x45, 0]);
            bytes.extend(u16::to_be_bytes(20 + payload.len() as u16));
            bytes.extend([0, 0, 0, 0, 64, protocol, 0, 0]);
            bytes.extend(source.octets());
            bytes.extend(destination.octets());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            bytes.extend(u16::to_be_bytes(payload.len() as u16));
            bytes.extend([protocol, 64]);
            bytes.extend(source.octets());
            bytes.extend(destination.octets());
        }
        _ => unreachable!("a test names two addresses of one version"),
    }
    bytes.extend(payload);
    bytes.resize(bytes.len().max(60), 0);
    bytes
}

/// A TCP header, or what another protocol with ports has at its beginning.
fn ports(source: u16, destination: u16) -> Vec<u8> {
    let mut bytes = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    bytes.resize(20, 0);
    bytes[12] = 0x50;
    bytes
}

fn mbuf(pool: &Pool, bytes: &[u8]) -> weir_dpdk::Mbuf {
    let mut mbuf = pool.alloc().unwrap();
    mbuf.append(bytes).unwrap();
    mbuf
}

/// What is read in a frame of these bytes.
fn seen(pool: &Pool, bytes: &[u8]) -> Result<Seen, Unreadable> {
    let packet = crate::lend::lend(mbuf(pool, bytes)).unwrap();
    let seen = read(&packet);
    drop(crate::lend::reclaim(packet).unwrap());
    seen
}

fn pool(name: &str) -> Pool {
    Pool::new(testing::eal(), name, 63, 0, 2_048).unwrap()
}

/// Eight frames: telnet, ssh by IPv4 and by IPv6, a sender that is nobody by IPv4 and by IPv6, one cut in its TCP header, and
/// two that offend nobody.
pub(crate) fn mixed_frames(pool: &Pool) -> Vec<MbufFrame> {
    let (v4, v6) = (["10.0.0.1", "10.0.0.2"], ["fd00::1", "fd00::2"]);
    let cut = &ip(v4[0], v4[1], 6, &ports(1, 80))[..36];
    let frames = [
        ip(v4[0], v4[1], 6, &ports(40_000, 23)),
        ip(v4[0], v4[1], 6, &ports(40_000, 22)),
        ip(v6[0], v6[1], 6, &ports(40_000, 2_250)),
        ip("192.0.2.9", v4[1], 6, &ports(40_000, 80)),
        ip("2001:db8::9", v6[1], 6, &ports(40_000, 80)),
        cut.to_vec(),
        ip(v4[0], v4[1], 6, &ports(40_000, 80)),
        ip(v6[0], v6[1], 17, &ports(40_000, 443)),
    ];
    frames.iter().map(|bytes| MbufFrame::from(mbuf(pool, bytes))).collect()
}

#[test]
fn what_is_read() {
    let pool = pool("read");
    let of = |bytes: &[u8]| seen(&pool, bytes);
    let (v4, v6) = (ip("10.0.0.1", "10.0.0.2", 6, &ports(7, 8)), ip("fd00::1", "fd00::2", 6, &ports(7, 8)));
    let packet = |is_ipv4, protocol, ports| {
        let [source, destination] =
            if is_ipv4 { [0x0a00_0001, 0x0a00_0002] } else { [1, 2].map(|host| (0xfd << 120) + host) };
        Ok(Seen::Ip(Packet { is_ipv4, source, destination, protocol, ports }))
    };
    assert_eq!((of(&v4), of(&v6)), (packet(true, 6, Some([7, 8])), packet(false, 6, Some([7, 8]))));
    // Tags: one, two of 802.1ad, and what is more than is read.
    for (tags, expected) in [
        (&[0x81, 0, 0, 5][..], packet(true, 6, Some([7, 8]))),
        (&[0x88, 0xa8, 0, 5, 0x81, 0, 0, 5], packet(true, 6, Some([7, 8]))),
        (&[0x88, 0xa8, 0, 5], Err(Unreadable)),
        (&[0x81, 0, 0, 5, 0x81, 0, 0, 5], Err(Unreadable)),
        (&[0x88, 0xa8, 0, 5, 0x81, 0, 0, 5, 0x81, 0, 0, 5], Err(Unreadable)),
    ] {
        let mut tagged = v4.clone();
        tagged.splice(12..12, tags.iter().copied());
        assert_eq!(of(&tagged), expected, "{tags:x?}");
    }
    // Options stand before the ports.
    let mut options = v4.clone();
    (options[14], options[17]) = (0x46, 44);
    options.splice(34..34, [1, 1, 1, 0]);
    assert_eq!(of(&options), packet(true, 6, Some([7, 8])));
    // A later fragment has none; the first one has, or is not read.
    let mut fragment = v4.clone();
    fragment[21] = 1;
    assert_eq!(of(&fragment), packet(true, 6, None));
    (fragment[20], fragment[21]) = (0x20, 0);
    assert_eq!(of(&fragment), packet(true, 6, Some([7, 8])));
    fragment[17] = 22;
    assert_eq!(of(&fragment), Err(Unreadable));
    // Extension headers: hop by hop, destination options of two units, authentication.
    let mut chain = [&[60, 0, 0, 0, 0, 0, 0, 0][..], &[51, 1], &[0; 14], &[6, 1], &[0; 10]].concat();
    chain.extend(ports(7, 8));
    assert_eq!(of(&ip("fd00::1", "fd00::2", 0, &chain)), packet(false, 6, Some([7, 8])));
    // A fragment header: a first fragment, a later one.
    let first = [&[6, 0, 0, 1, 0, 0, 0, 9][..], &ports(7, 8)].concat();
    assert_eq!(of(&ip("fd00::1", "fd00::2", 44, &first)), packet(false, 6, Some([7, 8])));
    let later = [&[6, 0, 0, 9, 0, 0, 0, 9][..], &ports(7, 8)].concat();
    assert_eq!(of(&ip("fd00::1", "fd00::2", 44, &later)), packet(false, 6, None));
    // Nine extension headers are more than are read, and so is a chain that leaves the frame.
    let nine = [[60, 0, 0, 0, 0, 0, 0, 0]; 9].concat();
    assert_eq!(of(&ip("fd00::1", "fd00::2", 60, &nine)), Err(Unreadable));
    assert_eq!(of(&ip("fd00::1", "fd00::2", 60, &[6, 200, 0, 0, 0, 0, 0, 0])), Err(Unreadable));
    // No ports, no IP.
    assert_eq!(of(&ip("10.0.0.1", "10.0.0.2", 1, &[8, 0])), packet(true, 1, None));
    assert_eq!(of(&ip("fd00::1", "fd00::2", 59, &[])), packet(false, 59, None));
    let mut other = v4.clone();
    (other[12], other[13]) = (0x08, 0x06);
    assert_eq!(of(&other), Ok(Seen::Arp));
    (other[12], other[13]) = (0x88, 0xcc);
    assert_eq!(of(&other), Ok(Seen::Other));
    // Wrong versions and lengths.
    for (at, value) in [(14, 0x65), (14, 0x44), (17, 19)] {
        let mut wrong = v4.clone();
        wrong[at] = value;
        assert_eq!(of(&wrong), Err(Unreadable), "{at}: {value}");
    }
    let mut wrong = v6.clone();
    wrong[14] = 0x40;
    assert_eq!(of(&wrong), Err(Unreadable));
    for frame in [&v4, &v6] {
        let transport = if frame == &v4 { 34 } else { 54 };
        for length in 0..transport + 4 {
            assert_eq!(of(&frame[..length]), Err(Unreadable), "{length}");
        }
        assert!(of(&frame[..transport + 4]).is_ok());
    }
    assert_eq!(pool.in_use(), 0);
}

/// Where Weir's own parser finds a TCP segment, the list reads the same addresses and ports, over all of Weir's corpus.
#[test]
fn the_list_reads_what_the_worker_reads() {
    let pool = pool("corpus");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dataplane/engine/corpus");
    let (mut compared, mut unreadable) = (0, 0);
    for file in ["vlan", "ipv4", "ipv6", "icmp", "tcp", "short", "conversation"] {
        let mut frames = CaptureReader::open(&folder.join(file).with_extension("pcap")).unwrap();
        while let Some(frame) = frames.read().unwrap() {
            let bytes = &frame.bytes[..frame.bytes.len().min(2_048)];
            let read = seen(&pool, bytes);
            let Parsed::Tcp(tcp) = wire::parse(bytes, frame.wire_len) else { continue };
            // More tags than capsule reads.
            let Ok(read) = read else {
                unreadable += 1;
                continue;
            };
            let is_ipv4 = tcp.tuple.version == IpVersion::V4;
            let number = |address: [u8; 16]| u128::from_be_bytes(address) >> if is_ipv4 { 96 } else { 0 };
            let ends = [tcp.tuple.source, tcp.tuple.destination];
            let [source, destination] = ends.map(|end| number(end.address));
            let ports = Some(ends.map(|end| end.port));
            assert_eq!(read, Seen::Ip(Packet { is_ipv4, source, destination, protocol: 6, ports }), "{file}");
            compared += 1;
        }
    }
    assert!(compared > 50 && unreadable < 10, "{compared} compared, {unreadable} unreadable");
}

fn list(text: &str) -> Acl {
    config::parse(text).unwrap()
}

#[test]
fn the_first_rule_that_matches_decides() {
    let pool = pool("decide");
    let acl = list(
        r#"
        default = "deny"
        [[rule]]
        name = "arp"
        action = "allow"
        protocol = "arp"
        [[rule]]
        name = "not this one"
        action = "deny"
        source = "10.1.2.3"
        [[rule]]
        name = "web"
        action = "allow"
        from = "inside"
        protocol = "tcp"
        source = "10.0.0.0/8"
        destination_port = [80, "8000-8099", 443]
        [[rule]]
        name = "dns answers"
        action = "allow"
        from = "outside"
        protocol = "udp"
        source_port = 53
        [[rule]]
        name = "v6"
        action = "allow"
        protocol = 6
        destination = "fd00::/16"
        "#,
    );
    let arp = {
        let mut bytes = vec![0; 60];
        bytes[12..14].copy_from_slice(&[0x08, 0x06]);
        bytes
    };
    let (inside, outside) = (Side::Inside, Side::Outside);
    let web = |port| ip("10.0.0.1", "172.16.0.1", 6, &ports(1_000, port));
    for (frame, side, expected) in [
        (arp, outside, "arp"),
        (ip("10.1.2.3", "172.16.0.1", 6, &ports(1, 80)), inside, "not this one"),
        (web(80), inside, "web"),
        (web(8_000), inside, "web"),
        (web(8_099), inside, "web"),
        (web(8_100), inside, "default"),
        (web(80), outside, "default"),
        (ip("11.0.0.1", "172.16.0.1", 6, &ports(1, 80)), inside, "default"),
        (ip("10.0.0.1", "172.16.0.1", 17, &ports(1, 80)), inside, "default"),
        (ip("9.9.9.9", "10.0.0.1", 17, &ports(53, 999)), outside, "dns answers"),
        (ip("9.9.9.9", "10.0.0.1", 17, &ports(999, 53)), outside, "default"),
        (ip("fd01::1", "fd00::1", 6, &ports(1, 1)), outside, "v6"),
        (ip("fd00::1", "fd01::1", 6, &ports(1, 1)), outside, "default"),
        (vec![0; 10], inside, "unreadable"),
    ] {
        let decision = acl.decide(side, seen(&pool, &frame));
        let reason = match decision.reason {
            Reason::Rule(at) => acl.rules[at].name.as_str(),
            Reason::Default => "default",
            Reason::Unreadable => "unreadable",
        };
        assert_eq!(reason, expected, "{frame:02x?}");
        let allowed = !["not this one", "default", "unreadable"].contains(&reason);
        assert_eq!(decision.action == Action::Allow, allowed, "{reason}");
    }
}

/// A prefix of all lengths matches what Weir's own does.
#[test]
fn prefixes_match_as_the_routers_do() {
    let pool = pool("prefixes");
    let rules =
        |text: &str| list(&format!("default = \"deny\"\n[[rule]]\naction = \"allow\"\nsource = \"{text}\""));
    for (network, source, matches) in [
        ("0.0.0.0/0", "10.0.0.1", true),
        ("0.0.0.0/0", "fd00::1", false),
        ("::/0", "fd00::1", true),
        ("::/0", "10.0.0.1", false),
        ("10.0.0.1", "10.0.0.1", true),
        ("10.0.0.1/32", "10.0.0.2", false),
        ("10.0.0.0/31", "10.0.0.1", true),
        // The same bits in the other version.
        ("::a00:1", "10.0.0.1", false),
        ("fd00::/127", "fd00::1", true),
        ("fd00::2", "fd00::3", false),
    ] {
        let destination = if source.contains(':') { "fd00::9" } else { "10.9.9.9" };
        let decision =
            rules(network).decide(Side::Inside, seen(&pool, &ip(source, destination, 17, &ports(1, 2))));
        assert_eq!(decision.action == Action::Allow, matches, "{source} in {network}");
    }
}

#[test]
fn a_refusal_names_the_line_and_what_was_expected() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("acl.toml");
    let rule = "default = \"allow\"\n\n[[rule]]\naction = \"deny\"\n";
    let many = format!("default = \"allow\"\n{}", "[[rule]]\naction = \"deny\"\n".repeat(RULES_MAX + 1));
    for (text, line, said) in [
        (String::new(), 1, "missing field `default`"),
        ("default = \"drop\"".to_owned(), 1, "unknown variant `drop`, expected `allow` or `deny`"),
        ("default = \"allow\"\nrules = []".to_owned(), 2, "unknown field `rules`"),
        ("default = \"allow\"\n[[rule]]\nfrom = \"inside\"".to_owned(), 2, "missing field `action`"),
        (format!("{rule}port = 3"), 5, "unknown field `port`"),
        (format!("{rule}from = \"left\""), 5, "expected `inside` or `outside`"),
        (format!("{rule}source = \"10.0.0.0/33\""), 5, "expected an address or a prefix"),
        (
            format!("{rule}source = \"10.0.0.1/8\""),
            5,
            "10.0.0.1/8 has host bits set: the network is 10.0.0.0/8",
        ),
        (format!("{rule}source = \"fd00::1/16\""), 5, "the network is fd00::/16"),
        (format!("{rule}destination = 10"), 5, "expected a string"),
        (format!("{rule}protocol = \"quic\""), 5, "expected \"tcp\", \"udp\""),
        (format!("{rule}protocol = 256"), 5, "expected \"tcp\", \"udp\""),
        (format!("{rule}protocol = \"tcp\"\ndestination_port = 65536"), 6, "expected a port"),
        (format!("{rule}protocol = \"tcp\"\ndestination_port = \"9-8\""), 6, "expected a port"),
        (format!("{rule}protocol = \"tcp\"\ndestination_port = []"), 6, "expected a port"),
        (format!("{rule}protocol = \"tcp\"\ndestination_port = [[1]]"), 6, "expected a port"),
        (format!("{rule}destination_port = 80"), 3, "ports need a protocol that has them"),
        (format!("{rule}protocol = \"icmp\"\nsource_port = 80"), 3, "ports need a protocol that has them"),
        (format!("{rule}protocol = \"arp\"\nsource = \"10.0.0.0/8\""), 3, "ARP is no IP"),
        (
            format!("{rule}source = \"10.0.0.0/8\"\ndestination = \"fd00::/16\""),
            3,
            "different versions of IP",
        ),
        (format!("{rule}name = \"(default)\""), 3, "does not begin with a bracket"),
        (
            format!("{rule}name = \"a\"\n[[rule]]\naction = \"deny\"\nname = \"a\""),
            6,
            "another rule is called \"a\"",
        ),
        (many, 2 + 2 * RULES_MAX, "expected at most 256 rules, found 257"),
        ("default = \"allow\"\n[[rule]\n".to_owned(), 2, ""),
    ] {
        std::fs::write(&file, &text).unwrap();
        let error = load(&file).unwrap_err().to_string();
        let begins = format!("{}:{line}: ", file.display());
        assert!(
            error.starts_with(&begins) && error.contains(said),
            "{text}\n{error}\nexpected {begins}{said}"
        );
    }
    let missing = load(&folder.path().join("none.toml")).unwrap_err().to_string();
    assert!(missing.contains("none.toml: No such file"), "{missing}");
}

#[test]
fn the_examples_files_hold_together() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/acl");
    let stage = AclStage::new(load(&folder.join("acl.toml")).unwrap());
    assert_eq!(
        stage.to_string(),
        "  1  deny protocol 6 to port 23  (no telnet)\n  2  deny protocol 6 arriving outside to port 22,2200-2299  \
         (no foreign ssh)\n  3  deny from 192.0.2.0/24  (documentation, IPv4)\n  4  deny from 2001:db8::/32  \
         (documentation, IPv6)\n     allow all others\n"
    );
    weir_shell::config::load(&folder.join("weir.toml"), &[]).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever the bytes are, a list decides and does not panic; nor does what it reads depend on more than the frame.
    #[test]
    fn any_bytes_are_read_or_not(kind in 0..5_usize, mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        thread_local! {
            static POOL: Pool = pool("any");
        }
        let kinds: [&[u8]; 5] =
            [&[0x08, 0, 0x45], &[0x86, 0xdd, 0x60], &[0x81, 0, 0, 0, 8, 0], &[0x88, 0xa8, 0, 0, 0x81, 0, 0, 0, 8, 0], &[]];
        for (at, byte) in kinds[kind].iter().enumerate() {
            if let Some(place) = bytes.get_mut(12 + at) {
                *place = *byte;
            }
        }
        let (first, second) = POOL.with(|pool| (seen(pool, &bytes), seen(pool, &bytes)));
        prop_assert_eq!(first, second);
        prop_assert_eq!(POOL.with(Pool::in_use), 0);
    }

    /// Whatever the text is, it is a list or a fault with a place in it.
    #[test]
    fn any_text_is_a_list_or_a_fault(text in r#"(default = "(allow|deny)"\n)?(\[\[rule\]\]\n|(name|action|from|protocol|source|source_port|destination_port) ?= ?("[a-z0-9./:-]{0,12}"|[0-9]{1,7}|\[[0-9, "-]{0,9}\])\n){0,8}"#) {
        if let Err((at, reason)) = config::parse(&text) {
            prop_assert!(at <= text.len() && !reason.is_empty());
        }
    }
}
