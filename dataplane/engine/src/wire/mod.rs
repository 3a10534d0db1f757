//! What a frame says: Ethernet, VLAN, IPv4, IPv6 and TCP headers, read once.
//!
//! [`parse`] checks every length before it believes it and copies what the engine needs into a small [`Parsed`];
//! nothing later looks at header bytes again, except [`set_ce`], [`mark_ce`], [`set_dscp`], [`set_pcp`], [`lower_window`] and
//! [`complete_checksum`], which rewrite one field in place.
//!
//! Three rules decide what a frame is:
//!
//! * Lengths come from the IP header and are checked against the length of the whole frame. Bytes after the end
//!   of the IP packet are Ethernet padding, never payload.
//! * Headers are read from the first segment only. Headers that continue in a later one make the frame
//!   [`Untracked::SplitHeaders`].
//! * Weir is a transparent wire and judges nobody: checksums are not verified (a port with checksum offload may
//!   show a partial one, see [`complete_checksum`]), and odd but well-formed frames are [`Untracked`], not [`Malformed`].
//!
//! A fragment is never tracked, not even the first one, which does carry a TCP header: its siblings do not, and a
//! flow that is followed for some of its bytes only is followed wrongly.
//!
//! A frame that carries IP also says which worker it belongs to ([`Parsed::owner`]).

pub mod checksum;
mod ecn;
mod ethernet;
mod icmp;
mod ipv4;
mod ipv6;
mod mark;
mod owner;
mod partial;
mod plain;
mod read;
mod tcp;
mod transport;
mod tuple;
mod window;

pub use ecn::{Ecn, mark_ce, set_ce};
pub use icmp::{Complaint, Quote};
pub(crate) use ipv4::set_traffic_class_v4;
pub use mark::{dscp, set_dscp, set_pcp};
pub use partial::complete_checksum;
pub use tcp::{Flags, SackBlock, SackBlocks, Segment, SynOptions, Timestamps};
pub use tuple::{Endpoint, IpVersion, Tuple};
pub use window::lower_window;

/// What one frame turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A whole TCP segment: the engine tracks its flow.
    Tcp(TcpFrame),
    /// An ICMP error about a TCP segment that it quotes.
    Quote(Quote),
    /// Well formed as far as Weir reads, but of no flow that it tracks.
    Untracked {
        /// What it is.
        kind: Untracked,
        /// See [`Parsed::owner`].
        owner: Option<Tuple>,
    },
    /// A header contradicts itself or the frame's length, or is cut short.
    Malformed(Malformed),
}

impl Parsed {
    /// What decides which worker the frame belongs to: workers agree on the [hash](crate::hash::FlowHasher::hash) of
    /// this tuple, which is the same for both directions. `None` where nothing does, and the worker that received
    /// the frame keeps it: without IP there is no flow, and a malformed frame is only passed on.
    ///
    /// TCP and UDP: their own tuple. An ICMP error: the quoted packet's, so that it meets the flow that it is about.
    /// A fragment, and whatever has no ports, or none that can be read: the addresses alone, with the protocol's
    /// number in the place of both ports. All fragments of one packet therefore have one owner.
    #[inline]
    pub fn owner(&self) -> Option<&Tuple> {
        match self {
            Parsed::Tcp(tcp) => Some(&tcp.tuple),
            Parsed::Quote(quote) => Some(&quote.tuple),
            Parsed::Untracked { owner, .. } => owner.as_ref(),
            Parsed::Malformed(_) => None,
        }
    }
}

// A burst of them lies in the worker's first-level cache beside the frames' headers: two lines each.
const _: () = assert!(size_of::<Parsed>() <= 128);

/// A frame that carries one whole TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpFrame {
    /// Addresses and ports as this frame bears them.
    pub tuple: Tuple,
    /// Where the IP header begins, in bytes from the frame's first.
    pub ip_offset: u16,
    /// Where the TCP header begins.
    pub tcp_offset: u16,
    /// Where the TCP payload begins.
    pub payload_offset: u16,
    /// The ECN codepoint of the IP header.
    pub ecn: Ecn,
    /// What the TCP header says.
    pub segment: Segment,
}

/// Why a well-formed frame belongs to no tracked flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Untracked {
    /// Address resolution for IPv4.
    Arp,
    /// An Ethernet type that Weir does not read, a third VLAN tag, or an IEEE 802.3 length field.
    OtherEtherType,
    /// ICMP for IPv4, unless it quotes a TCP segment.
    Icmp,
    /// ICMPv6, except neighbour discovery, unless it quotes a TCP segment.
    Icmp6,
    /// Neighbour discovery: ICMPv6 types 133 to 137 (RFC 4861).
    Ndp,
    /// UDP.
    Udp,
    /// Any other protocol above IP, encryption and "no next header" included.
    OtherTransport,
    /// A part of a fragmented IP packet, whichever part.
    Fragment,
    /// An IPv6 packet whose length is in a hop-by-hop option (RFC 2675).
    Jumbogram,
    /// An IPv6 packet with more than [`IPV6_EXTENSIONS_MAX`] extension headers.
    LongChain,
    /// Headers that continue beyond the first segment of the frame's memory.
    SplitHeaders,
}

/// What is wrong with a malformed frame. The first fault found is the one told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Malformed {
    /// Fewer than the 14 bytes of an Ethernet header.
    EthernetShort,
    /// Cut within a VLAN tag.
    VlanShort,
    /// Cut within an ARP packet.
    ArpShort,
    /// Cut within the IPv4 header.
    Ipv4Short,
    /// Ethernet says IPv4, the header's version field does not.
    Ipv4Version,
    /// Header length below 20 bytes, or beyond the packet's end.
    Ipv4HeaderLength,
    /// Total length shorter than the header, or longer than the frame.
    Ipv4TotalLength,
    /// Cut within the IPv6 header.
    Ipv6Short,
    /// Ethernet says IPv6, the header's version field does not.
    Ipv6Version,
    /// Payload length longer than the frame, or zero where a header must follow.
    Ipv6PayloadLength,
    /// An extension header runs beyond the packet's end.
    Ipv6Extension,
    /// Cut within the TCP header.
    TcpShort,
    /// Data offset below 20 bytes, or beyond the packet's end.
    TcpDataOffset,
    /// A TCP option shorter than its own two bytes, or one that runs beyond the header.
    TcpOption,
    /// Cut within the UDP header.
    UdpShort,
    /// A UDP length below 8 bytes, or beyond the packet's end.
    UdpLength,
    /// Cut within the first 8 bytes (ICMP) or 4 bytes (ICMPv6) of the message.
    IcmpShort,
}

/// IPv6 extension headers followed at most. RFC 8200 section 4.1 lists each kind once, destination options twice:
/// six before the transport; eight leaves room for the odd repetition and bounds the walk.
pub const IPV6_EXTENSIONS_MAX: usize = 8;

/// Reads one frame. `bytes` is its first segment, `wire_len` the length of the whole in bytes, without FCS.
///
/// Never panics, reads no byte outside `bytes`, and takes time bounded by the headers' own limits.
#[inline]
pub fn parse(bytes: &[u8], wire_len: u32) -> Parsed {
    let mut parsed = Parsed::Malformed(Malformed::EthernetShort);
    parse_into(bytes, wire_len, &mut parsed);
    parsed
}

/// As [`parse`], into its place: built elsewhere and copied, the narrow fields just written would be read back by wide
/// loads, which the processor makes wait (measured: 10 ns a frame). Part of its caller's loop, because it uses so many registers that
/// a call saves and restores six.
#[inline(always)]
pub fn parse_into(bytes: &[u8], wire_len: u32, parsed: &mut Parsed) {
    if !plain::tcp(bytes, wire_len, parsed) {
        *parsed = parse_any(bytes, wire_len);
    }
}

/// As [`parse`], without its short cut for common frames; the same for every frame.
#[inline(never)]
pub fn parse_any(bytes: &[u8], wire_len: u32) -> Parsed {
    match ethernet::locate(bytes, wire_len).and_then(|located| transport::read(bytes, &located)) {
        Ok(frame) => Parsed::Tcp(frame),
        Err(Stop::Untracked(kind)) => owner::untracked(bytes, wire_len, kind),
        Err(Stop::Malformed(fault)) => Parsed::Malformed(fault),
    }
}

/// Why reading ended before a TCP segment was found.
#[derive(Clone, Copy, Debug)]
enum Stop {
    Untracked(Untracked),
    Malformed(Malformed),
}

impl From<Untracked> for Stop {
    fn from(kind: Untracked) -> Stop {
        Stop::Untracked(kind)
    }
}
impl From<Malformed> for Stop {
    fn from(fault: Malformed) -> Stop {
        Stop::Malformed(fault)
    }
}
