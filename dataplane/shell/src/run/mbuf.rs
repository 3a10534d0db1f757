//! The one place where the engine's frames are DPDK's mbufs.
#![allow(unsafe_code, reason = "a promise about layout that only `unsafe` can state")]

use weir_dpdk::{Mbuf, QueuePair, Transparent};
use weir_engine::io::{Burst, Frame, PacketIo, Side};

/// A DPDK buffer as the engine sees it.
#[repr(transparent)]
#[derive(Debug)]
pub(super) struct MbufFrame(Mbuf);

// SAFETY: `repr(transparent)` over `Mbuf` alone, with no drop code and no invariant of its own.
unsafe impl Transparent for MbufFrame {}

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
}

/// A worker's queue on each side.
pub(super) struct DeviceIo {
    queues: [QueuePair; 2],
}

impl DeviceIo {
    /// Queues by side.
    pub(super) fn new(queues: [QueuePair; 2]) -> DeviceIo {
        DeviceIo { queues }
    }
}

impl PacketIo for DeviceIo {
    type Frame = MbufFrame;

    #[inline(always)]
    fn rx(&mut self, side: Side, into: &mut Burst<MbufFrame>) -> usize {
        self.queues[side as usize].rx(into)
    }

    #[inline(always)]
    fn tx(&mut self, side: Side, from: &mut Burst<MbufFrame>) -> usize {
        self.queues[side as usize].tx(from)
    }
}
