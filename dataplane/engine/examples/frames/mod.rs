//! Frames of TCP over IPv4 over Ethernet, in memory.

use weir_engine::io::Side;

/// Bytes before the payload.
pub(crate) const HEADERS: usize = 14 + 20 + 20;
/// The flag of a segment that acknowledges.
pub(crate) const ACK: u8 = 0x10;

/// A frame with everything but its tuple, numbers and flags. As on Ethernet it has at least 60 bytes.
pub(crate) fn blank(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len.max(60)];
    bytes[12..14].copy_from_slice(&[0x08, 0x00]);
    bytes[14] = 0x45;
    bytes[16..18].copy_from_slice(&((len - 14) as u16).to_be_bytes());
    (bytes[22], bytes[23], bytes[46]) = (64, 6, 0x50);
    bytes
}

/// Writes what [`blank`] left out. The inside end is always the same; the outside one is `host` and `port`.
pub(crate) fn header(bytes: &mut [u8], side: Side, host: u32, port: u16, (flags, seq, ack): (u8, u32, u32)) {
    let inside = (0x0A00_0001_u32, 443_u16);
    let (from, to) = match side {
        Side::Inside => (inside, (host, port)),
        Side::Outside => ((host, port), inside),
    };
    bytes[26..30].copy_from_slice(&from.0.to_be_bytes());
    bytes[30..34].copy_from_slice(&to.0.to_be_bytes());
    bytes[34..36].copy_from_slice(&from.1.to_be_bytes());
    bytes[36..38].copy_from_slice(&to.1.to_be_bytes());
    bytes[38..42].copy_from_slice(&seq.to_be_bytes());
    bytes[42..46].copy_from_slice(&ack.to_be_bytes());
    bytes[47] = flags;
}

/// The 32-bit field at `at`.
pub(crate) fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().fold(0, |word, byte| word << 8 | u32::from(*byte))
}
