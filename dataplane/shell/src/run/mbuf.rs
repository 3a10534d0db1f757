//! The one place where the engine's frames are DPDK's mbufs.
#![allow(unsafe_code, reason = "a promise about layout that only `unsafe` can state")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use weir_cpu::TscClock;
use weir_dpdk::{Mbuf, Pool, QueuePair, Transparent};
use weir_engine::io::{Burst, Frame, PacketIo, Side};
use weir_engine::time::Ns;
use weir_engine::wire::complete_checksum;

/// A DPDK buffer as the engine sees it.
#[repr(transparent)]
#[derive(Debug)]
pub struct MbufFrame(Mbuf);

// SAFETY: `repr(transparent)` over `Mbuf` alone, with no drop code and no invariant of its own.
unsafe impl Transparent for MbufFrame {}

impl From<Mbuf> for MbufFrame {
    #[inline(always)]
    fn from(mbuf: Mbuf) -> MbufFrame {
        MbufFrame(mbuf)
    }
}

impl From<MbufFrame> for Mbuf {
    #[inline(always)]
    fn from(frame: MbufFrame) -> Mbuf {
        frame.0
    }
}

impl Frame for MbufFrame {
    #[inline(always)]
    fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }
    #[inline(always)]
    fn bytes_mut(&mut self) -> &mut [u8] {
        self.0.bytes_mut()
    }
    #[inline(always)]
    fn wire_len(&self) -> u32 {
        self.0.wire_len()
    }
    fn grow_front(&mut self, len: usize) -> bool {
        static ZEROS: [u8; HEADROOM] = [0; HEADROOM];
        ZEROS.get(..len).is_some_and(|zeros| self.0.prepend(zeros).is_ok())
    }
    fn shrink_front(&mut self, len: usize) -> bool {
        self.0.trim_front(len)
    }
}

/// What DPDK leaves free in front of a frame: `RTE_PKTMBUF_HEADROOM`, 128 unless it was built otherwise. A path's header and
/// a tag take 74 at most.
const HEADROOM: usize = 128;

/// No frame that Weir makes is longer: a part of a packet for the largest MTU that mode `route` knows, 9 216, and its
/// Ethernet header.
const MADE_MAX: usize = 9_216 + 14;

/// Partial checksums that were completed, by side. Counted by workers, read by control.
pub(super) type Completed = Arc<[AtomicU64; 2]>;

/// A worker's queue on each side.
#[derive(Debug)]
pub struct DeviceIo {
    queues: [QueuePair; 2],
    pool: Pool,
    clock: TscClock,
    /// Whether the kernel's own frames arrive here, whose checksums may be partial.
    partial: [bool; 2],
    completed: Completed,
}

impl DeviceIo {
    /// Queues by side, where buffers for Weir's own frames come from, the clock of the worker's turns, and whether frames come out of this machine's
    /// kernel, by side.
    pub(super) fn new(
        queues: [QueuePair; 2],
        pool: Pool,
        clock: TscClock,
        partial: [bool; 2],
        completed: Completed,
    ) -> DeviceIo {
        DeviceIo { queues, pool, clock, partial, completed }
    }

    #[cold]
    fn complete(&self, side: Side, arrived: &mut [MbufFrame]) {
        let mut completed = 0;
        for frame in arrived {
            let wire_len = frame.wire_len();
            completed += u64::from(complete_checksum(frame.bytes_mut(), wire_len));
        }
        self.completed[side as usize].fetch_add(completed, Ordering::Relaxed);
    }
}

impl PacketIo for DeviceIo {
    type Frame = MbufFrame;

    #[inline(always)]
    fn rx(&mut self, side: Side, into: &mut Burst<MbufFrame>) -> usize {
        let before = into.len();
        let received = self.queues[side as usize].rx(into);
        if self.partial[side as usize] {
            self.complete(side, &mut into[before..]);
        }
        received
    }

    #[inline(always)]
    fn now(&self) -> Option<Ns> {
        Some(Ns(self.clock.now_ns()))
    }

    #[inline(always)]
    fn tx(&mut self, side: Side, from: &mut Burst<MbufFrame>) -> usize {
        self.queues[side as usize].tx(from)
    }

    fn make(&mut self, _: Side, len: usize) -> Option<MbufFrame> {
        static ZEROS: [u8; MADE_MAX] = [0; MADE_MAX];
        let mut mbuf = self.pool.alloc()?;
        mbuf.append(ZEROS.get(..len)?).ok()?;
        Some(MbufFrame(mbuf))
    }
}

#[cfg(test)]
mod tests;
