//! Weir's frames as capsule's, and back: the pointer moves, the frame stays where it is.
#![allow(unsafe_code, reason = "ownership of a raw pointer passes between two crates")]

use capsule_ffi::handover;
use weir_dpdk::Mbuf;

/// Makes the frame capsule's. It comes back where capsule does not take it, which it does.
#[inline]
pub(crate) fn lend(frame: Mbuf) -> Result<capsule::Mbuf, Option<Mbuf>> {
    let raw = frame.into_raw();
    // SAFETY: owned until now. `Mbuf::new` calls alloc once and owns what it returns.
    let (taken, left) = unsafe { handover::offer(raw, capsule::Mbuf::new) };
    // SAFETY: nobody took it, so it is still owned here.
    taken.map_err(|_| left.map(|raw| unsafe { Mbuf::from_raw(raw) }))
}

/// Makes the frame Weir's again. `None` for an `Mbuf` that owns no buffer, of which capsule hands out none.
#[inline]
pub(crate) fn reclaim(packet: capsule::Mbuf) -> Option<Mbuf> {
    let raw = handover::catch(|| drop(packet))?;
    // SAFETY: capsule owned the frame alone (it never shares a buffer) and was about to free it. Its pool is Weir's, as
    // capsule has none on this thread, and lives as long as the process.
    Some(unsafe { Mbuf::from_raw(raw) })
}
