//! Frames of real bytes.
//!
//! A [`SimFrame`] holds the headers that a frame would have on a wire, checksums included, as a port's first segment; its
//! payload, all zeros, is counted and not stored. Zeros add nothing to the Internet checksum, so the checksums are those
//! of the whole frame. What reads the headers is [`weir_engine::wire`], in hosts as in the worker.

use weir_engine::io::Frame;
use weir_engine::wire::IpVersion;
use weir_engine::wire::checksum::Sum;

const ETHERNET: usize = 14;
const VLAN_TAG: usize = 4;
const IPV4: usize = 20;
const IPV6: usize = 40;
const TCP: usize = 20;
const UDP: usize = 8;
const ETHER_IPV4: [u8; 2] = [0x08, 0x00];
const ETHER_IPV6: [u8; 2] = [0x86, 0xdd];
const ETHER_VLAN: [u8; 2] = [0x81, 0x00];
const PROTOCOL_TCP: u8 = 6;
const PROTOCOL_UDP: u8 = 17;
/// Payload of a full segment with timestamps in a 1514-byte frame, over IPv4; over IPv6 it is 20 bytes less.
pub const MSS_IPV4: u32 = 1_448;
/// See [`MSS_IPV4`].
pub const MSS_IPV6: u32 = 1_428;

/// A frame: its headers' bytes, and how long it is as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimFrame {
    head: Vec<u8>,
    wire_len: u32,
}

impl Frame for SimFrame {
    fn bytes(&self) -> &[u8] {
        &self.head
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.head
    }
    fn wire_len(&self) -> u32 {
        self.wire_len
    }
}

/// Number of a host: its addresses follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub u16);

/// Where a frame goes from and to, and how it is marked.
#[derive(Clone, Copy, Debug)]
pub struct Envelope {
    /// IP version.
    pub version: IpVersion,
    /// Sender and its port.
    pub from: (HostId, u16),
    /// Receiver and its port.
    pub to: (HostId, u16),
    /// ECN codepoint: 0 not capable, 2 capable, 3 congestion experienced.
    pub ecn: u8,
    /// IPv6 flow label, 20 bits; without meaning in IPv4.
    pub flow_label: u32,
}

/// What a TCP segment says besides.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpFields {
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Control bits, as [`weir_engine::wire::Flags`].
    pub flags: u8,
    /// Window field, before scaling.
    pub window: u16,
    /// Timestamp value and echo.
    pub timestamps: (u32, u32),
    /// Runs received out of order; at most three, empty ones are left out.
    pub sack: [(u32, u32); 3],
    /// MSS and window scale, on a SYN.
    pub syn: Option<(u16, u8)>,
    /// Bytes of payload.
    pub payload: u32,
}

impl SimFrame {
    /// A TCP segment.
    pub fn tcp(envelope: &Envelope, say: &TcpFields) -> SimFrame {
        let mut options = [0_u8; 40];
        let options_len = tcp_options(say, &mut options);
        let tcp_len = TCP + options_len;
        let mut head = start(envelope, tcp_len, say.payload, PROTOCOL_TCP);
        let at = head.len() - tcp_len;
        let tcp = &mut head[at..];
        tcp[0..2].copy_from_slice(&envelope.from.1.to_be_bytes());
        tcp[2..4].copy_from_slice(&envelope.to.1.to_be_bytes());
        tcp[4..8].copy_from_slice(&say.seq.to_be_bytes());
        tcp[8..12].copy_from_slice(&say.ack.to_be_bytes());
        tcp[12] = ((tcp_len / 4) << 4) as u8;
        tcp[13] = say.flags;
        tcp[14..16].copy_from_slice(&say.window.to_be_bytes());
        tcp[TCP..].copy_from_slice(&options[..options_len]);
        let sum = transport_sum(&head, at, say.payload, PROTOCOL_TCP);
        head[at + 16..at + 18].copy_from_slice(&sum.to_be_bytes());
        let wire_len = head.len() as u32 + say.payload;
        SimFrame { head, wire_len }
    }

    /// A UDP datagram of `payload` bytes.
    pub fn udp(envelope: &Envelope, payload: u32) -> SimFrame {
        let mut head = start(envelope, UDP, payload, PROTOCOL_UDP);
        let at = head.len() - UDP;
        let udp = &mut head[at..];
        udp[0..2].copy_from_slice(&envelope.from.1.to_be_bytes());
        udp[2..4].copy_from_slice(&envelope.to.1.to_be_bytes());
        udp[4..6].copy_from_slice(&((UDP as u32 + payload) as u16).to_be_bytes());
        let sum = transport_sum(&head, at, payload, PROTOCOL_UDP);
        // RFC 768: a sum of zero is sent as its other form, since a field of zero says that there is none.
        head[at + 6..at + 8].copy_from_slice(&if sum == 0 { 0xffff } else { sum }.to_be_bytes());
        let wire_len = head.len() as u32 + payload;
        SimFrame { head, wire_len }
    }

    /// A frame of `len` zero bytes, all of them stored, for what the engine makes itself.
    pub fn zeros(len: usize) -> SimFrame {
        SimFrame { head: vec![0; len], wire_len: len as u32 }
    }

    /// Puts an IEEE 802.1Q tag of this VLAN in front.
    pub fn push_vlan(&mut self, vlan: u16) {
        let tag = [ETHER_VLAN[0], ETHER_VLAN[1], (vlan >> 8) as u8, vlan as u8];
        self.head.splice(12..12, tag);
        self.wire_len += VLAN_TAG as u32;
    }

    /// Takes the outermost tag off, if there is one.
    pub fn pop_vlan(&mut self) {
        if self.head.get(12..14) == Some(&ETHER_VLAN) && self.head.len() >= ETHERNET + VLAN_TAG {
            self.head.drain(12..12 + VLAN_TAG);
            self.wire_len -= VLAN_TAG as u32;
        }
    }

    /// What a switch reads; `None` where it finds no IP header with an address of a host.
    pub fn route(&self) -> Option<Route<'_>> {
        let head = &self.head;
        let (vlan, ip_at) = match head.get(12..14)? {
            tag if tag == ETHER_VLAN => {
                (Some(u16::from_be_bytes([*head.get(14)? & 0x0f, *head.get(15)?])), ETHERNET + VLAN_TAG)
            }
            _ => (None, ETHERNET),
        };
        let ip = head.get(ip_at..)?;
        match ip.first()? >> 4 {
            4 if ip.len() >= IPV4 => Some(Route {
                vlan,
                to: HostId(u16::from_be_bytes([ip[18], ip[19]])),
                addresses: &ip[12..20],
                ports: ip.get(IPV4..IPV4 + 4)?,
                flow_label: 0,
            }),
            6 if ip.len() >= IPV6 => Some(Route {
                vlan,
                to: HostId(u16::from_be_bytes([ip[38], ip[39]])),
                addresses: &ip[8..40],
                ports: ip.get(IPV6..IPV6 + 4)?,
                flow_label: u32::from_be_bytes([0, ip[1] & 0x0f, ip[2], ip[3]]),
            }),
            _ => None,
        }
    }

    /// The host that its source address names.
    pub fn source(&self) -> Option<HostId> {
        let addresses = self.route()?.addresses;
        let half = addresses.get(..addresses.len() / 2)?;
        Some(HostId(u16::from_be_bytes(*half.last_chunk::<2>()?)))
    }
}

/// What a switch reads of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Route<'a> {
    /// The outermost VLAN's number.
    pub vlan: Option<u16>,
    /// The host that the destination address names.
    pub to: HostId,
    addresses: &'a [u8],
    ports: &'a [u8],
    flow_label: u32,
}

impl Route<'_> {
    /// Source and destination port, as they stand in the header.
    pub fn ports(&self) -> &[u8] {
        self.ports
    }

    /// What a switch of this seed hashes: both addresses, both ports, and IPv6's flow label with them, as fabrics do
    /// (RFC 6438 section 2).
    pub fn hash(&self, seed: u64) -> u64 {
        let words = self.addresses.chunks(8).chain([self.ports]);
        let mut state = seed ^ u64::from(self.flow_label).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for word in words {
            let value = word.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
            state = (state ^ value).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            state ^= state >> 29;
        }
        state = state.wrapping_mul(0x94d0_49bb_1331_11eb);
        state ^ state >> 32
    }
}

/// Ethernet and IP headers, and room for `transport` bytes of header.
fn start(envelope: &Envelope, transport: usize, payload: u32, protocol: u8) -> Vec<u8> {
    let ip_len = if envelope.version == IpVersion::V4 { IPV4 } else { IPV6 };
    let mut head = Vec::with_capacity(ETHERNET + VLAN_TAG + ip_len + transport);
    head.resize(ETHERNET + ip_len + transport, 0);
    let [from, to] = [envelope.from.0.0.to_be_bytes(), envelope.to.0.0.to_be_bytes()];
    head[0..6].copy_from_slice(&[2, 0, 0, 0, to[0], to[1]]);
    head[6..12].copy_from_slice(&[2, 0, 0, 0, from[0], from[1]]);
    let within = (transport as u32 + payload) as u16;
    match envelope.version {
        IpVersion::V4 => {
            head[12..14].copy_from_slice(&ETHER_IPV4);
            let ip = &mut head[ETHERNET..ETHERNET + IPV4];
            ip[0] = 0x45;
            ip[1] = envelope.ecn;
            ip[2..4].copy_from_slice(&(within + IPV4 as u16).to_be_bytes());
            ip[6] = 0x40;
            ip[8] = 64;
            ip[9] = protocol;
            ip[12..16].copy_from_slice(&[10, 0, from[0], from[1]]);
            ip[16..20].copy_from_slice(&[10, 0, to[0], to[1]]);
            let sum = Sum::default().bytes(ip).finish();
            ip[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        IpVersion::V6 => {
            head[12..14].copy_from_slice(&ETHER_IPV6);
            let ip = &mut head[ETHERNET..ETHERNET + IPV6];
            let label = envelope.flow_label.to_be_bytes();
            ip[0] = 0x60;
            ip[1] = envelope.ecn << 4 | label[1] & 0x0f;
            ip[2..4].copy_from_slice(&label[2..4]);
            ip[4..6].copy_from_slice(&within.to_be_bytes());
            ip[6] = protocol;
            ip[7] = 64;
            // Unique local addresses (RFC 4193).
            (ip[8], ip[22], ip[23]) = (0xfd, from[0], from[1]);
            (ip[24], ip[38], ip[39]) = (0xfd, to[0], to[1]);
        }
    }
    head
}

fn tcp_options(say: &TcpFields, into: &mut [u8; 40]) -> usize {
    let mut len = 0;
    let mut put = |bytes: &[u8]| {
        into[len..len + bytes.len()].copy_from_slice(bytes);
        len += bytes.len();
    };
    if let Some((mss, scale)) = say.syn {
        let [high, low] = mss.to_be_bytes();
        put(&[2, 4, high, low, 4, 2, 1, 3, 3, scale]);
        put(&[8, 10]);
    } else {
        put(&[1, 1, 8, 10]);
    }
    put(&say.timestamps.0.to_be_bytes());
    put(&say.timestamps.1.to_be_bytes());
    let runs = say.sack.iter().filter(|(start, end)| start != end);
    let count = runs.clone().count() as u8;
    if count > 0 && say.syn.is_none() {
        put(&[1, 1, 5, 2 + 8 * count]);
        for (start, end) in runs {
            put(&start.to_be_bytes());
            put(&end.to_be_bytes());
        }
    }
    // Data offset counts words.
    let padded = len.next_multiple_of(4);
    into[len..padded].fill(1);
    padded
}

/// The checksum over pseudo header, transport header (its own field zero) and a payload of zeros.
fn transport_sum(head: &[u8], at: usize, payload: u32, protocol: u8) -> u16 {
    let addresses = match head[ETHERNET] >> 4 {
        4 => &head[ETHERNET + 12..ETHERNET + 20],
        _ => &head[ETHERNET + 8..ETHERNET + 40],
    };
    let length = (head.len() - at) as u32 + payload;
    let pseudo = Sum::default().bytes(addresses).word((length >> 16) as u16).word(length as u16);
    pseudo.word(protocol.into()).bytes(&head[at..]).finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::{NetHeaders, PacketHeaders, TransportHeader};
    use proptest::prelude::*;
    use weir_engine::wire::{Parsed, dscp, mark_ce, parse, set_dscp};

    fn envelope(version: IpVersion) -> Envelope {
        let (from, to) = ((HostId(3), 4_001), (HostId(0x1234), 5_001));
        Envelope { version, from, to, ecn: 2, flow_label: 0xabcde }
    }

    fn whole(frame: &SimFrame) -> Vec<u8> {
        let mut bytes = frame.bytes().to_vec();
        bytes.resize(frame.wire_len() as usize, 0);
        bytes
    }

    /// Another reader finds what was said, and right checksums.
    fn judge(frame: &SimFrame) {
        let bytes = whole(frame);
        let headers = PacketHeaders::from_ethernet_slice(&bytes).unwrap();
        let payload = headers.payload.slice();
        match (headers.net.unwrap(), headers.transport.unwrap()) {
            (NetHeaders::Ipv4(ip, _), TransportHeader::Tcp(tcp)) => {
                assert_eq!(ip.header_checksum, ip.calc_header_checksum());
                assert_eq!(tcp.checksum, tcp.calc_checksum_ipv4(&ip, payload).unwrap());
            }
            (NetHeaders::Ipv6(ip, _), TransportHeader::Tcp(tcp)) => {
                assert_eq!(tcp.checksum, tcp.calc_checksum_ipv6(&ip, payload).unwrap());
            }
            (NetHeaders::Ipv4(ip, _), TransportHeader::Udp(udp)) => {
                assert_eq!(udp.checksum, udp.calc_checksum_ipv4(&ip, payload).unwrap());
            }
            (NetHeaders::Ipv6(ip, _), TransportHeader::Udp(udp)) => {
                assert_eq!(udp.checksum, udp.calc_checksum_ipv6(&ip, payload).unwrap());
            }
            other => panic!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn frames_are_what_another_reader_takes_them_for(
            seq: u32, ack: u32, payload in 0_u32..1_400, runs in 0_u32..4, mark in 0_u8..64, v6: bool, syn: bool,
        ) {
            let version = if v6 { IpVersion::V6 } else { IpVersion::V4 };
            let mut sack = [(0, 0); 3];
            for (index, run) in (0..runs).zip(&mut sack) {
                *run = (ack.wrapping_add(1_000 * (2 * index + 1)), ack.wrapping_add(1_000 * (2 * index + 2)));
            }
            let syn = syn.then_some((1_460, 8));
            let say = TcpFields {
                seq, ack, flags: 0x18, window: 777, timestamps: (5, 6), sack, syn, payload,
            };
            let mut frame = SimFrame::tcp(&envelope(version), &say);
            judge(&frame);
            let Parsed::Tcp(read) = parse(frame.bytes(), frame.wire_len()) else { panic!("{frame:?}") };
            let segment = read.segment;
            prop_assert_eq!((segment.seq, segment.ack, u32::from(segment.payload_len)), (seq, ack, payload));
            if syn.is_none() {
                prop_assert_eq!(segment.sack.as_slice().len(), runs as usize);
            }
            set_dscp(frame.bytes_mut(), mark);
            prop_assert!(mark_ce(frame.bytes_mut()));
            judge(&frame);
            let plain = frame.clone();
            frame.push_vlan(102);
            let route = frame.route().unwrap();
            let told = (route.vlan, route.to, dscp(frame.bytes()));
            prop_assert_eq!(told, (Some(102), HostId(0x1234), Some(mark)));
            prop_assert_eq!(route.hash(7), plain.route().unwrap().hash(7));
            frame.pop_vlan();
            prop_assert_eq!(&frame, &plain);
            judge(&SimFrame::udp(&envelope(version), payload));
        }
    }

    #[test]
    fn a_label_and_a_port_are_part_of_the_hash_and_no_mark_is_put_on_who_does_not_understand() {
        let mut one = envelope(IpVersion::V6);
        let hash = |envelope: &Envelope| SimFrame::udp(envelope, 9).route().unwrap().hash(1);
        let before = hash(&one);
        one.flow_label += 1;
        let relabelled = hash(&one);
        one.to.1 += 1;
        assert!(before != relabelled && relabelled != hash(&one));
        one.ecn = 0;
        assert!(!mark_ce(SimFrame::udp(&one, 9).bytes_mut()));
    }
}
