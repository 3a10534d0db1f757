//! An IPv4 packet that is too long for the next link, cut (RFC 791 section 3.2; a router must, RFC 1812 section 4.2.2.7).

use super::packet::{ETHERNET_LEN, IPV4_LEN, Packet, TYPE_IPV4};
use crate::wire::checksum::Sum;

const MORE_FRAGMENTS: u16 = 0x2000;
const OPTION_END: u8 = 0;
const OPTION_NOP: u8 = 1;
/// Options with this bit go into every fragment, others into the first only.
const OPTION_COPIED: u8 = 0x80;

/// A run of a packet's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// First byte, from the payload's first; a multiple of 8.
    at: usize,
    len: usize,
    last: bool,
}

/// The parts of a packet, each with its header at most `mtu` bytes long: all but the last as long as can be. `None` where
/// not all of the packet lies in the first segment of the frame's memory.
pub(super) fn parts(bytes: &[u8], packet: &Packet, mtu: u16) -> Option<impl Iterator<Item = Part> + use<>> {
    let payload_len = packet.bytes(bytes).len().checked_sub(packet.header_len)?;
    if packet.bytes(bytes).len() < packet.len as usize {
        return None;
    }
    let step = usize::from(mtu).checked_sub(packet.header_len)? & !7;
    let part = move |at: usize| Part { at, len: step.min(payload_len - at), last: at + step >= payload_len };
    (step > 0).then(|| (0..payload_len).step_by(step).map(part))
}

impl Part {
    /// The length of its frame.
    pub(super) fn frame_len(self, packet: &Packet) -> usize {
        ETHERNET_LEN + packet.header_len + self.len
    }

    /// Writes it into a frame of [`frame_len`](Part::frame_len) bytes. `bytes` is the packet's frame. Ethernet addresses
    /// are left to the departure.
    pub(super) fn write(self, frame: &mut [u8], bytes: &[u8], packet: &Packet) {
        let header_end = ETHERNET_LEN + packet.header_len;
        let from = header_end + self.at;
        let (Some(header), Some(payload)) =
            (bytes.get(ETHERNET_LEN..header_end), bytes.get(from..from + self.len))
        else {
            return;
        };
        let Some((head, body)) = frame.split_at_mut_checked(header_end) else { return };
        body.copy_from_slice(payload);
        head[12..ETHERNET_LEN].copy_from_slice(&TYPE_IPV4.to_be_bytes());
        let ip = &mut head[ETHERNET_LEN..];
        ip.copy_from_slice(header);
        if self.at > 0 {
            blank(&mut ip[IPV4_LEN..]);
        }
        ip[2..4].copy_from_slice(&((packet.header_len + self.len) as u16).to_be_bytes());
        // The packet may be a fragment itself.
        let cut = u16::from_be_bytes([ip[6], ip[7]]) + (self.at / 8) as u16;
        let cut = if self.last { cut } else { cut | MORE_FRAGMENTS };
        ip[6..8].copy_from_slice(&cut.to_be_bytes());
        ip[10..12].fill(0);
        let sum = Sum::default().bytes(ip).finish();
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Overwrites the options that are not copied into later fragments.
fn blank(mut options: &mut [u8]) {
    while let [kind, rest @ ..] = options {
        let kind = *kind;
        if kind == OPTION_END {
            return;
        }
        let len = match (kind, rest.first()) {
            (OPTION_NOP, _) => 1,
            (_, Some(&len)) if len >= 2 && usize::from(len) <= rest.len() + 1 => usize::from(len),
            // What follows cannot be read: nothing of it is passed on.
            _ => rest.len() + 1,
        };
        let (option, after) = options.split_at_mut(len);
        if kind & OPTION_COPIED == 0 {
            option.fill(OPTION_NOP);
        }
        options = after;
    }
}
