//! The receive window of a TCP header.

use super::{TcpFrame, checksum};

/// Lowers the window of a segment to at most `limit`, as the field counts it; TCP's checksum follows incrementally, so a
/// segment that arrived wrong leaves wrong. Returns whether it was lowered. `frame` must be what the parser said of these
/// bytes.
#[inline]
pub fn lower_window(bytes: &mut [u8], frame: &TcpFrame, limit: u16) -> bool {
    let before = frame.segment.window;
    let header = bytes.get_mut(usize::from(frame.tcp_offset)..).and_then(<[u8]>::first_chunk_mut::<20>);
    let Some(tcp) = header.filter(|_| limit < before) else { return false };
    [tcp[14], tcp[15]] = limit.to_be_bytes();
    let checksum = u16::from_be_bytes([tcp[16], tcp[17]]);
    [tcp[16], tcp[17]] = checksum::after_change(checksum, before, limit).to_be_bytes();
    true
}
