//! The one place where the engine's frames are DPDK's mbufs.
#![allow(unsafe_code, reason = "a promise about layout that only `unsafe` can state")]

use weir_dpdk::{Mbuf, Pool, QueuePair, Transparent};
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

/// No frame that Weir makes is longer: a part of one that came in a buffer.
const MADE_MAX: usize = super::device::FRAME_ROOM as usize;

/// A worker's queue on each side.
pub(super) struct DeviceIo {
    queues: [QueuePair; 2],
    pool: Pool,
}

impl DeviceIo {
    /// Queues by side, and where buffers for Weir's own frames come from.
    pub(super) fn new(queues: [QueuePair; 2], pool: Pool) -> DeviceIo {
        DeviceIo { queues, pool }
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

    fn make(&mut self, _: Side, len: usize) -> Option<MbufFrame> {
        static ZEROS: [u8; MADE_MAX] = [0; MADE_MAX];
        let mut mbuf = self.pool.alloc()?;
        mbuf.append(ZEROS.get(..len)?).ok()?;
        Some(MbufFrame(mbuf))
    }
}
