//! The MSS clamp: a SYN may not announce segments that a link of Weir's does not take.
//!
//! Path MTU discovery finds such a link too, but only where ICMP gets through, and only after a loss. The clamp lowers
//! the option and never raises it; a SYN without the option keeps its default (536 or 1 220, RFC 9293 section 3.7.1),
//! which fits any link here.

use crate::wire::checksum::after_change;
use crate::wire::{IpVersion, TcpFrame};

const OPTION_END: u8 = 0;
const OPTION_NOP: u8 = 1;
const OPTION_MSS: u8 = 2;
/// Fixed headers of IP and TCP: RFC 9293 section 3.7.1, options not counted (RFC 6691).
const HEADERS_V4: u16 = 40;
const HEADERS_V6: u16 = 60;

/// Lowers the MSS option of a SYN to what `mtu` lets through, TCP's checksum following. Returns whether anything changed.
/// `frame`, which is a SYN, is what the parser said of `bytes`.
pub(super) fn clamp(bytes: &mut [u8], frame: &TcpFrame, mtu: u16) -> bool {
    let headers = match frame.tuple.version {
        IpVersion::V4 => HEADERS_V4,
        IpVersion::V6 => HEADERS_V6,
    };
    let limit = mtu.saturating_sub(headers);
    if frame.segment.syn.mss.is_none_or(|mss| mss <= limit) {
        return false;
    }
    let (tcp_at, end) = (usize::from(frame.tcp_offset), usize::from(frame.payload_offset));
    let Some(tcp) = bytes.get_mut(tcp_at..end) else { return false };
    let mut at = 20;
    while let Some(&[kind, len]) = tcp.get(at..at + 2).and_then(<[u8]>::first_chunk) {
        match (kind, len) {
            (OPTION_END, _) => break,
            (OPTION_NOP, _) => at += 1,
            (OPTION_MSS, 4) if at + 4 <= tcp.len() => {
                lower(tcp, at + 2, limit);
                at += 4;
            }
            (_, 0 | 1) => break,
            _ => at += usize::from(len),
        }
    }
    true
}

fn lower(tcp: &mut [u8], at: usize, limit: u16) {
    let before = u16::from_be_bytes([tcp[at], tcp[at + 1]]);
    if before <= limit {
        return;
    }
    tcp[at..at + 2].copy_from_slice(&limit.to_be_bytes());
    let checksum = u16::from_be_bytes([tcp[16], tcp[17]]);
    // NOPs may put the option at an odd offset: its bytes then belong to the other halves of two words.
    let checksum = match at % 2 {
        0 => after_change(checksum, before, limit),
        _ => after_change(checksum, before.swap_bytes(), limit.swap_bytes()),
    };
    tcp[16..18].copy_from_slice(&checksum.to_be_bytes());
}
