//! The captures of `conf/pcap/`, made from a seed: what each side of Weir would have seen of four TCP transfers, and a
//! few frames that are not TCP, or not whole.

/// A frame and when it arrived.
pub(crate) type Stamped = (u64, Vec<u8>, u32);

const START_NS: u64 = 1_700_000_000_000_000_000;
const MS: u64 = 1_000_000;
/// Segments per transfer, and their payload in bytes: small, so that the files are.
const SEGMENTS: u32 = 130;
const PAYLOAD: usize = 300;
/// A segment each half millisecond is 5.9 Mb/s with its headers.
const EVERY_NS: u64 = 500_000;
const RTT_NS: u64 = 20 * MS;

const FIN_ACK: u8 = 0x11;
const SYN: u8 = 0x02;
const SYN_ACK: u8 = 0x12;
const ACK: u8 = 0x10;
const PSH_ACK: u8 = 0x18;

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }
}

/// Sum of 16-bit words, ones' complement (RFC 1071).
fn checksum(parts: &[&[u8]]) -> u16 {
    let bytes: Vec<u8> = parts.concat();
    let sum: u32 =
        bytes.chunks(2).map(|two| u32::from(two[0]) << 8 | u32::from(*two.get(1).unwrap_or(&0))).sum();
    let folded = (sum & 0xFFFF) + (sum >> 16);
    !((folded & 0xFFFF) + (folded >> 16)) as u16
}

struct Transfer {
    v6: bool,
    vlan: Option<u16>,
    port: u16,
    isn: u32,
    peer_isn: u32,
}

impl Transfer {
    /// One segment, from the client (`out`) or the server.
    fn segment(
        &self,
        out: bool,
        (seq, ack): (u32, u32),
        flags: u8,
        ecn: u8,
        stamps: (u32, u32),
        payload: usize,
    ) -> Vec<u8> {
        let (from, to) = if out { (self.port, 443) } else { (443, self.port) };
        let mut options = Vec::new();
        if flags & SYN != 0 {
            options.extend([2, 4, 0x05, 0xB4, 4, 2, 3, 3, 7, 1]); // MSS 1460, SACK permitted, scale 7, pad
        } else {
            options.extend([1, 1]);
        }
        options.extend([8, 10]);
        options.extend(stamps.0.to_be_bytes());
        options.extend(stamps.1.to_be_bytes());
        options.resize(options.len().next_multiple_of(4), 0);
        let mut tcp = Vec::new();
        tcp.extend(from.to_be_bytes());
        tcp.extend(to.to_be_bytes());
        tcp.extend(seq.to_be_bytes());
        tcp.extend(ack.to_be_bytes());
        tcp.extend([((20 + options.len()) as u8 / 4) << 4, flags, 0x40, 0, 0, 0, 0, 0]);
        tcp.extend(options);
        tcp.extend((0..payload).map(|index| index as u8));
        self.frame(out, 6, ecn, tcp, 16)
    }

    /// Ethernet and IP around a transport header whose checksum stands at `sum_at`.
    fn frame(&self, out: bool, protocol: u8, ecn: u8, mut inner: Vec<u8>, sum_at: usize) -> Vec<u8> {
        let length = inner.len() as u16;
        let mut ip = if self.v6 {
            let mut ip = vec![0x60, ecn << 4, 0, 0];
            ip.extend(length.to_be_bytes());
            ip.extend([protocol, 64]);
            let ends: [[u8; 16]; 2] = [1, 2].map(|last| {
                let mut address = [0; 16];
                (address[0], address[1], address[2], address[3], address[15]) =
                    (0x20, 0x01, 0x0D, 0xB8, last);
                address
            });
            ip.extend(ends[usize::from(!out)]);
            ip.extend(ends[usize::from(out)]);
            ip
        } else {
            let mut ip = vec![0x45, ecn];
            ip.extend((length + 20).to_be_bytes());
            ip.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
            let ends = [[198, 51, 100, 1], [203, 0, 113, 2]];
            ip.extend(ends[usize::from(!out)]);
            ip.extend(ends[usize::from(out)]);
            let sum = checksum(&[&ip]);
            ip[10..12].copy_from_slice(&sum.to_be_bytes());
            ip
        };
        let addresses = if self.v6 { &ip[8..40] } else { &ip[12..20] };
        let sum = checksum(&[addresses, &[0, protocol], &length.to_be_bytes(), &inner]);
        inner[sum_at..sum_at + 2].copy_from_slice(&sum.to_be_bytes());
        ip.extend(inner);
        self.ethernet(out, if self.v6 { 0x86DD } else { 0x0800 }, &ip)
    }

    fn ethernet(&self, out: bool, ether_type: u16, body: &[u8]) -> Vec<u8> {
        let ends = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];
        let mut frame = Vec::new();
        frame.extend(ends[usize::from(out)]);
        frame.extend(ends[usize::from(!out)]);
        if let Some(vlan) = self.vlan {
            frame.extend([0x81, 0x00]);
            frame.extend(vlan.to_be_bytes());
        }
        frame.extend(ether_type.to_be_bytes());
        frame.extend(body);
        frame
    }

    /// Both directions of the whole transfer.
    fn play(&self, begin: u64, draws: &mut Draws, sides: &mut [Vec<Stamped>; 2]) {
        const ECT0: u8 = 2;
        let ms = |at: u64| ((at - START_NS) / MS) as u32 + 1_000;
        let mut put = |out: bool, at: u64, frame: Vec<u8>| {
            let length = frame.len() as u32;
            sides[usize::from(!out)].push((at, frame, length));
        };
        let (seq0, ack0) = (self.isn.wrapping_add(1), self.peer_isn.wrapping_add(1));
        put(true, begin, self.segment(true, (self.isn, 0), SYN, 0, (ms(begin), 0), 0));
        let met = begin + RTT_NS;
        put(false, met, self.segment(false, (self.peer_isn, seq0), SYN_ACK, 0, (ms(met), ms(begin)), 0));
        put(true, met + MS / 5, self.segment(true, (seq0, ack0), ACK, 0, (ms(met), ms(met)), 0));
        let mut at = met + MS / 2;
        let mut acked_at = 0;
        for number in 0..SEGMENTS {
            let seq = seq0.wrapping_add(number * PAYLOAD as u32);
            put(true, at, self.segment(true, (seq, ack0), PSH_ACK, ECT0, (ms(at), ms(met)), PAYLOAD));
            if number % 2 == 1 {
                // A queue that grows and drains, and jitter; acknowledgements do not overtake each other.
                let queue = u64::from(number % 60) * MS / 20;
                acked_at = (at + RTT_NS + queue + draws.below(MS / 2)).max(acked_at + 1_000);
                let ack = seq.wrapping_add(PAYLOAD as u32);
                put(false, acked_at, self.segment(false, (ack0, ack), ACK, 0, (ms(acked_at), ms(at)), 0));
            }
            at += EVERY_NS / 2 + draws.below(EVERY_NS);
        }
        let end = seq0.wrapping_add(SEGMENTS * PAYLOAD as u32);
        put(true, at, self.segment(true, (end, ack0), FIN_ACK, ECT0, (ms(at), ms(at)), 0));
        let last = at + RTT_NS + 5 * MS;
        put(false, last, self.segment(false, (ack0, end.wrapping_add(1)), FIN_ACK, 0, (ms(last), ms(at)), 0));
        put(
            true,
            last + MS,
            self.segment(true, (end.wrapping_add(1), ack0.wrapping_add(1)), ACK, 0, (ms(last), ms(last)), 0),
        );
    }
}

/// Frames that are forwarded untouched.
fn odd(sides: &mut [Vec<Stamped>; 2]) {
    let plain = Transfer { v6: false, vlan: None, port: 40_000, isn: 0, peer_isn: 0 };
    let mut at = START_NS + 10 * MS;
    let mut put = |side: usize, frame: Vec<u8>, wire_len: u32| {
        at += 7 * MS;
        sides[side].push((at, frame, wire_len));
    };
    let arp = [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 198, 51, 100, 1, 0, 0, 0, 0, 0, 0, 203, 0, 113, 2];
    put(0, plain.ethernet(true, 0x0806, &arp), 42);

    let mut echo = vec![8, 0, 0, 0, 0x12, 0x34, 0, 1];
    echo.extend([0xAA; 24]);
    let sum = checksum(&[&echo]);
    echo[2..4].copy_from_slice(&sum.to_be_bytes());
    // ICMP has no pseudo header; the frame builder's sum goes into a scratch tail that is cut off.
    let mut with_scratch = echo.clone();
    with_scratch.extend([0, 0]);
    let mut ping = plain.frame(true, 1, 0, with_scratch, echo.len());
    ping.truncate(ping.len() - 2);
    ping[16..18].copy_from_slice(&(20 + echo.len() as u16).to_be_bytes());
    (ping[24], ping[25]) = (0, 0);
    let sum = checksum(&[&ping[14..34]]);
    ping[24..26].copy_from_slice(&sum.to_be_bytes());
    let length = ping.len() as u32;
    put(0, ping, length);

    let mut udp = vec![0x9C, 0x40, 0, 53, 0, 28, 0, 0];
    udp.extend([0x55; 20]);
    for (side, out) in [(0, true), (1, false)] {
        let frame = plain.frame(out, 17, 0, udp.clone(), 6);
        let length = frame.len() as u32;
        put(side, frame, length);
    }

    // The first fragment of a datagram, and the last one of another: nothing to put together.
    for (offset, more) in [(0u16, 0x2000u16), (3, 0)] {
        let mut fragment = plain.frame(true, 17, 0, udp[..24.min(udp.len())].to_vec(), 6);
        fragment[18..20].copy_from_slice(&(offset + 1).to_be_bytes());
        fragment[20..22].copy_from_slice(&(offset | more).to_be_bytes());
        (fragment[24], fragment[25]) = (0, 0);
        let sum = checksum(&[&fragment[14..34]]);
        fragment[24..26].copy_from_slice(&sum.to_be_bytes());
        let length = fragment.len() as u32;
        put(0, fragment, length);
    }

    // A capture that kept 40 bytes of a full frame: the TCP header is cut.
    let whole = plain.segment(true, (1, 1), ACK, 0, (1, 1), 1_000);
    put(0, whole[..40].to_vec(), whole.len() as u32);
    // Shorter than an Ethernet header.
    put(1, vec![0xFF; 9], 9);
}

/// What the client (`out`) or the server says first when a router stands between them: it asks for its gateway, by ARP
/// and by neighbour discovery, and is known from then on.
#[allow(dead_code, reason = "the capture's generator makes wires only")]
pub(crate) fn introductions(out: bool, gateway_v4: [u8; 4], gateway_v6: [u8; 16]) -> [Stamped; 2] {
    let station = Transfer { v6: true, vlan: None, port: 0, isn: 0, peer_isn: 0 };
    let (v4, last) = if out { ([198, 51, 100, 1], 1) } else { ([203, 0, 113, 2], 2) };
    let mac = [2, 0, 0, 0, 0, last];
    let arp = [&[0, 1, 8, 0, 6, 4, 0, 1][..], &mac, &v4, &[0; 6], &gateway_v4].concat();
    // The checksum is over the real addresses: to the group that the gateway listens to.
    let [.., a, b, c] = gateway_v6;
    let from = [0x20, 0x01, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    let to = [0xFF, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xFF, a, b, c];
    let mut asks = [&[135, 0, 0, 0, 0, 0, 0, 0][..], &gateway_v6, &[1, 1], &mac].concat();
    let sum = checksum(&[&from, &to, &[0, 32, 0, 58], &asks]);
    asks[2..4].copy_from_slice(&sum.to_be_bytes());
    let ip = [&[0x60, 0, 0, 0, 0, 32, 58, 255][..], &from, &to, &asks].concat();
    [station.ethernet(out, 0x0806, &arp), station.ethernet(out, 0x86DD, &ip)].map(|mut frame| {
        frame[6..12].copy_from_slice(&mac);
        let length = frame.len() as u32;
        (START_NS, frame, length)
    })
}

/// Both captures, by side, in order of time.
pub(crate) fn make(seed: u64) -> [Vec<Stamped>; 2] {
    let mut draws = Draws(seed);
    let mut sides = [Vec::new(), Vec::new()];
    for (number, (v6, vlan)) in
        [(false, None), (true, None), (false, Some(100)), (true, Some(200))].into_iter().enumerate()
    {
        let transfer = Transfer {
            v6,
            vlan,
            port: 50_000 + number as u16,
            // The last one's sequence numbers wrap on the way.
            isn: if number == 3 { u32::MAX - 9_000 } else { draws.below(1 << 31) as u32 },
            peer_isn: draws.below(1 << 31) as u32,
        };
        transfer.play(START_NS + number as u64 * 9 * MS, &mut draws, &mut sides);
    }
    odd(&mut sides);
    for side in &mut sides {
        side.sort_by_key(|(at, ..)| *at);
    }
    sides
}
