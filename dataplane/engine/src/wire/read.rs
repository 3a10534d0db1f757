//! The one place where header bytes are taken from a frame.

use super::{Malformed, Stop, Untracked};

/// The `N` bytes at `at`, which must end by `end` (the end of the packet, or of the frame where no packet has
/// given a length yet).
///
/// # Errors
/// `short` when the header would run beyond `end`; [`Untracked::SplitHeaders`] when it lies within the packet but
/// not within the first segment.
#[inline]
pub(super) fn header<const N: usize>(
    bytes: &[u8],
    at: usize,
    end: usize,
    short: Malformed,
) -> Result<&[u8; N], Stop> {
    if at + N > end {
        return Err(short.into());
    }
    bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(Untracked::SplitHeaders.into())
}

/// The variable part of a header: `from..to`, with the same errors as [`header`].
#[inline]
pub(super) fn span(
    bytes: &[u8],
    from: usize,
    to: usize,
    end: usize,
    short: Malformed,
) -> Result<&[u8], Stop> {
    if to > end {
        return Err(short.into());
    }
    bytes.get(from..to).ok_or(Untracked::SplitHeaders.into())
}
