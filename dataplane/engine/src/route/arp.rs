//! ARP for IPv4 over Ethernet (RFC 826).

use super::interface::{BROADCAST, Mac};
use super::packet::{ETHERNET_LEN, TYPE_ARP};
use core::net::Ipv4Addr;

/// An Ethernet header and an ARP packet of 28 bytes.
pub(super) const FRAME_LEN: usize = ETHERNET_LEN + 28;
/// Hardware type Ethernet, protocol type IPv4, their address lengths.
const FIXED: [u8; 6] = [0, 1, 0x08, 0x00, 6, 4];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Request,
    Reply,
}

/// What an ARP packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arp {
    pub(super) operation: Operation,
    pub(super) sender_mac: Mac,
    pub(super) sender: Ipv4Addr,
    pub(super) target: Ipv4Addr,
}

impl Arp {
    /// Reads a frame of type ARP. `None` when it is cut, or for other than IPv4 over Ethernet, or its sender's hardware
    /// address is no station's.
    pub(super) fn read(bytes: &[u8]) -> Option<Arp> {
        let arp = bytes.get(ETHERNET_LEN..)?.first_chunk::<28>()?;
        let operation = match arp[..8].strip_prefix(&FIXED)? {
            [0, 1] => Operation::Request,
            [0, 2] => Operation::Reply,
            _ => return None,
        };
        let sender_mac = *arp[8..].first_chunk::<6>()?;
        let address = |at: usize| Ipv4Addr::new(arp[at], arp[at + 1], arp[at + 2], arp[at + 3]);
        let station = sender_mac[0] & 1 == 0 && sender_mac != [0; 6];
        station.then(|| Arp { operation, sender_mac, sender: address(14), target: address(24) })
    }
}

/// Writes a request for `target` into a frame of [`FRAME_LEN`] bytes; to everyone, or to where the target last was.
pub(super) fn write_request(frame: &mut [u8], mac: Mac, own: Ipv4Addr, target: Ipv4Addr, to: Option<Mac>) {
    write(frame, 1, (mac, own), ([0; 6], target), to.unwrap_or(BROADCAST));
}

/// Writes the answer to `request`, for an own address, over its frame.
pub(super) fn write_reply(frame: &mut [u8], mac: Mac, request: &Arp) {
    let asker = (request.sender_mac, request.sender);
    write(frame, 2, (mac, request.target), asker, request.sender_mac);
}

fn write(frame: &mut [u8], operation: u8, sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr), to: Mac) {
    let Some(out) = frame.first_chunk_mut::<FRAME_LEN>() else { return };
    out[..6].copy_from_slice(&to);
    out[6..12].copy_from_slice(&sender.0);
    out[12..14].copy_from_slice(&TYPE_ARP.to_be_bytes());
    out[14..20].copy_from_slice(&FIXED);
    out[20..22].copy_from_slice(&[0, operation]);
    out[22..28].copy_from_slice(&sender.0);
    out[28..32].copy_from_slice(&sender.1.octets());
    out[32..38].copy_from_slice(&target.0);
    out[38..42].copy_from_slice(&target.1.octets());
}
