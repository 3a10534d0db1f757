//! TCP (RFC 9293) and the options that the tracker needs.

use super::read::{header, span};
use super::{Malformed, Stop};
use core::fmt;

const HEADER_LEN_MIN: usize = 20;

const OPTION_END: u8 = 0;
const OPTION_NOP: u8 = 1;
const OPTION_MSS: u8 = 2;
const OPTION_WINDOW_SCALE: u8 = 3;
const OPTION_SACK_PERMITTED: u8 = 4;
const OPTION_SACK: u8 = 5;
const OPTION_TIMESTAMPS: u8 = 8;

/// NOP, NOP, timestamps, length 10: how nearly every data segment's options begin (RFC 7323 appendix A).
const ALIGNED_TIMESTAMPS: [u8; 4] = [OPTION_NOP, OPTION_NOP, OPTION_TIMESTAMPS, 10];

/// RFC 7323 section 2.3: a larger shift count must be taken as 14.
const WINDOW_SCALE_MAX: u8 = 14;

/// The control bits of a segment.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Flags(pub u8);

impl Flags {
    /// No more data from the sender.
    pub const FIN: Flags = Flags(0x01);
    /// Synchronise sequence numbers.
    pub const SYN: Flags = Flags(0x02);
    /// Reset.
    pub const RST: Flags = Flags(0x04);
    /// Push.
    pub const PSH: Flags = Flags(0x08);
    /// The acknowledgement field counts.
    pub const ACK: Flags = Flags(0x10);
    /// The urgent pointer counts.
    pub const URG: Flags = Flags(0x20);
    /// ECN echo (RFC 3168): the receiver saw a mark.
    pub const ECE: Flags = Flags(0x40);
    /// Congestion window reduced: the sender heard the echo.
    pub const CWR: Flags = Flags(0x80);

    /// Whether all bits of `other` are set.
    #[inline]
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }
    /// The bits of both.
    #[inline]
    #[must_use]
    pub const fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(Flags, &str); 8] = [
            (Flags::FIN, "FIN"),
            (Flags::SYN, "SYN"),
            (Flags::RST, "RST"),
            (Flags::PSH, "PSH"),
            (Flags::ACK, "ACK"),
            (Flags::URG, "URG"),
            (Flags::ECE, "ECE"),
            (Flags::CWR, "CWR"),
        ];
        f.debug_set().entries(NAMES.iter().filter(|(bit, _)| self.has(*bit)).map(|(_, name)| name)).finish()
    }
}

/// The timestamps option (RFC 7323).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamps {
    /// The sender's clock, in ticks that only the sender knows.
    pub value: u32,
    /// The peer's clock as this segment's sender saw it last. Counts in segments with ACK.
    pub echo: u32,
}

/// A run of received sequence numbers: `start` is the first, `end` the first after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SackBlock {
    /// First sequence number of the run.
    pub start: u32,
    /// First sequence number after the run.
    pub end: u32,
}

/// Up to four SACK blocks (RFC 2018), in the order of the option.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct SackBlocks {
    blocks: [SackBlock; SackBlocks::MAX],
    len: u8,
}

impl SackBlocks {
    /// Forty bytes of options hold no more.
    pub const MAX: usize = 4;

    /// None.
    pub const NONE: SackBlocks =
        SackBlocks { blocks: [SackBlock { start: 0, end: 0 }; SackBlocks::MAX], len: 0 };

    /// The blocks, in order.
    #[inline]
    pub fn as_slice(&self) -> &[SackBlock] {
        self.blocks.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// Appends a block; one beyond [`SackBlocks::MAX`] is left out.
    pub fn push(&mut self, block: SackBlock) {
        if let Some(free) = self.blocks.get_mut(usize::from(self.len)) {
            *free = block;
            self.len += 1;
        }
    }
}

impl fmt::Debug for SackBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}

/// Options that count on a SYN only; all absent on any other segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SynOptions {
    /// Maximum segment size, bytes.
    pub mss: Option<u16>,
    /// Window scale, as a shift count of 0 to 14.
    pub window_scale: Option<u8>,
    /// Whether the sender takes SACK blocks.
    pub sack_permitted: bool,
}

/// What one TCP header says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Sequence number of the first byte, or of the SYN.
    pub seq: u32,
    /// Next sequence number expected from the peer; counts when `flags` has ACK.
    pub ack: u32,
    /// Bytes of payload, from the IP header's length: Ethernet padding is none.
    pub payload_len: u16,
    /// Receive window as it stands in the header, unscaled.
    pub window: u16,
    /// Control bits.
    pub flags: Flags,
    /// Timestamps, where present.
    pub timestamps: Option<Timestamps>,
    /// SACK blocks, where present.
    pub sack: SackBlocks,
    /// Options of a SYN.
    pub syn: SynOptions,
}

/// A TCP header and what lies around the segment proper.
pub(super) struct Tcp {
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
    pub(super) payload_at: usize,
    pub(super) segment: Segment,
}

/// Reads the TCP header at `at` of a packet that ends at `end`.
#[inline]
pub(super) fn read(bytes: &[u8], at: usize, end: usize) -> Result<Tcp, Stop> {
    let fixed = header::<HEADER_LEN_MIN>(bytes, at, end, Malformed::TcpShort)?;
    let header_len = usize::from(fixed[12] >> 4) * 4;
    if header_len < HEADER_LEN_MIN {
        return Err(Malformed::TcpDataOffset.into());
    }
    let payload_at = at + header_len;
    let options = span(bytes, at + HEADER_LEN_MIN, payload_at, end, Malformed::TcpDataOffset)?;
    let mut segment = Segment {
        seq: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
        ack: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
        // An IP length is 16 bits and counts the TCP header too.
        payload_len: (end - payload_at) as u16,
        window: u16::from_be_bytes([fixed[14], fixed[15]]),
        flags: Flags(fixed[13]),
        ..Segment::default()
    };
    read_options(options, &mut segment)?;
    Ok(Tcp {
        source_port: u16::from_be_bytes([fixed[0], fixed[1]]),
        destination_port: u16::from_be_bytes([fixed[2], fixed[3]]),
        payload_at,
        segment,
    })
}

/// Reads the options. A known kind with a length that is not its own is skipped, as Linux does; a length that leads
/// nowhere is a fault.
#[inline]
fn read_options(options: &[u8], segment: &mut Segment) -> Result<(), Malformed> {
    let mut rest = options;
    if let Some((head, body)) = options.split_first_chunk::<4>()
        && *head == ALIGNED_TIMESTAMPS
        && let Some((timestamps, after)) = body.split_first_chunk::<8>()
    {
        segment.timestamps = Some(Timestamps::read(timestamps));
        rest = after;
    }
    while let Some((&kind, after)) = rest.split_first() {
        match kind {
            OPTION_END => break,
            OPTION_NOP => rest = after,
            _ => {
                let (&len, _) = after.split_first().ok_or(Malformed::TcpOption)?;
                let body = rest.get(2..usize::from(len)).ok_or(Malformed::TcpOption)?;
                read_option(kind, body, segment);
                rest = &rest[2 + body.len()..];
            }
        }
    }
    Ok(())
}

fn read_option(kind: u8, body: &[u8], segment: &mut Segment) {
    let syn = segment.flags.has(Flags::SYN);
    match (kind, body) {
        (OPTION_MSS, &[high, low]) if syn => segment.syn.mss = Some(u16::from_be_bytes([high, low])),
        (OPTION_WINDOW_SCALE, &[shift]) if syn => {
            segment.syn.window_scale = Some(shift.min(WINDOW_SCALE_MAX))
        }
        (OPTION_SACK_PERMITTED, &[]) if syn => segment.syn.sack_permitted = true,
        (OPTION_TIMESTAMPS, body) => {
            if let Ok(body) = body.try_into() {
                segment.timestamps = Some(Timestamps::read(body));
            }
        }
        (OPTION_SACK, body) if body.len() % 8 == 0 => {
            for block in body.chunks_exact(8) {
                if let Some((start, rest)) = block.split_first_chunk()
                    && let Some(end) = rest.first_chunk()
                {
                    segment
                        .sack
                        .push(SackBlock { start: u32::from_be_bytes(*start), end: u32::from_be_bytes(*end) });
                }
            }
        }
        _ => {}
    }
}

impl Timestamps {
    pub(super) fn read(bytes: &[u8; 8]) -> Timestamps {
        let [a, b, c, d, e, f, g, h] = *bytes;
        Timestamps { value: u32::from_be_bytes([a, b, c, d]), echo: u32::from_be_bytes([e, f, g, h]) }
    }
}
