//! TCP sequence numbers: 32 bits that wrap. Two of them compare as long as they are less than 2^31 apart, which
//! [`WINDOW_MAX`] ensures for everything that a tracker compares.

/// The widest window that TCP can offer: 65 535 bytes scaled by 2^14 (RFC 7323 section 2.3). What lies farther from
/// a flow's last byte belongs to another connection.
pub(super) const WINDOW_MAX: u32 = 1 << 30;

/// Whether `a` comes before `b`.
#[inline]
pub(super) const fn before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

/// The later of two.
#[inline]
pub(super) const fn later(a: u32, b: u32) -> u32 {
    if before(a, b) { b } else { a }
}

/// The earlier of two.
#[inline]
pub(super) const fn earlier(a: u32, b: u32) -> u32 {
    if before(a, b) { a } else { b }
}

/// Bytes from `start` to `end`; none when they are in the wrong order.
#[inline]
pub(super) const fn span(start: u32, end: u32) -> u32 {
    if before(start, end) { end.wrapping_sub(start) } else { 0 }
}
