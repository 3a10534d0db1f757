//! Checksums that a sender has left to its network device.
//!
//! A host whose device computes checksums hands frames over with the sum of the pseudo-header in the checksum field
//! (Linux' `CHECKSUM_PARTIAL`); the device adds the rest. On a veth pair, or out of a guest, no device does, and the
//! kernel's packet sockets deliver the frame as it is. Who sends it on elsewhere must complete it first.

use super::checksum::Sum;
use super::transport::{Located, TCP, UDP};
use super::{IpVersion, ethernet};

/// Completes the checksum of a TCP segment or UDP datagram where it is partial. Returns whether it was.
///
/// It is taken for partial when the field is the sum of the pseudo-header. A full checksum may be that by chance, once
/// in 65 536 frames; the frame then comes out as it went in, because completing a right checksum gives the same one.
/// (A frame damaged on its way that hits the same chance comes out right; hence this is for ports without a wire.)
///
/// `bytes` is the first segment of a frame of `wire_len` bytes; a packet that continues in others is left alone.
pub fn complete_checksum(bytes: &mut [u8], wire_len: u32) -> bool {
    let Ok(Located { ip, protocol, at, end }) = ethernet::locate(bytes, wire_len) else { return false };
    let field = match protocol {
        TCP => at + 16,
        UDP => at + 6,
        _ => return false,
    };
    let Some(packet) = bytes.get_mut(..end) else { return false };
    let Some(&[high, low]) = packet.get(field..).and_then(<[u8]>::first_chunk) else { return false };
    let partial = u16::from_be_bytes([high, low]);
    let address_len = if ip.version == IpVersion::V4 { 4 } else { 16 };
    let addresses = Sum::default().bytes(&ip.source[..address_len]).bytes(&ip.destination[..address_len]);
    // No packet that was located is longer than its 16-bit length field says.
    let pseudo_header = addresses.word(u16::from(protocol)).word((end - at) as u16);
    if partial != !pseudo_header.finish() {
        return false;
    }
    // The field holds the pseudo-header's part already.
    let checksum = match (Sum::default().bytes(&packet[at..]).finish(), protocol) {
        // RFC 768: zero would say that there is none.
        (0, UDP) => u16::MAX,
        (checksum, _) => checksum,
    };
    packet[field..field + 2].copy_from_slice(&checksum.to_be_bytes());
    true
}
