//! Which flows there are.
//!
//! A connection begins in [`HalfOpen`] and moves to the [`Table`] of tracked flows once both directions have been
//! seen past the handshake. Both are bounded and secret-keyed, neither allocates after its start, and they fail
//! differently: `HalfOpen` forgets its oldest, `Table` refuses the newest. So a flood of SYNs displaces other
//! unfinished handshakes at worst, and an established flow leaves only when it ends or falls silent.

mod entry;
mod half_open;
mod scale;
mod table;

pub use entry::{FlowEntry, PacedId};
pub use half_open::{HalfOpen, Seed};
pub use scale::WindowScales;
pub use table::{FLOW_BYTES, FlowId, Full, Hint, Table};

/// The signature of a hash in a bucket: its upper 16 bits, which choose no bucket. Zero is kept for "empty".
#[inline]
fn signature_of(hash: u64) -> u16 {
    ((hash >> 48) as u16).max(1)
}

/// Ways of a bucket. Eight signatures and eight indices of four bytes make 48 bytes: one cache line.
const WAYS: usize = 8;

/// A bit per way whose signature is `wanted`.
#[inline]
fn matches(signatures: &[u16; WAYS], wanted: u16) -> u32 {
    weir_cpu::equal_lanes(signatures, wanted)
}
