//! Frames on the heap, and a port of two queues.

use std::collections::VecDeque;
use weir_engine::io::{Burst, Denied, Frame, PacketIo, Side};
use weir_engine::time::Ns;

/// A frame that remembers when it was made: `serial` rises per flow and direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TestFrame {
    pub(crate) bytes: Vec<u8>,
    pub(crate) flow: u16,
    pub(crate) serial: u64,
}

impl Frame for TestFrame {
    fn bytes(&self) -> &[u8] {
        &self.bytes
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
    fn wire_len(&self) -> u32 {
        self.bytes.len() as u32
    }
}

/// What a TCP segment of a test says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Say {
    /// The flow's number: its inside port is 10 000 more.
    pub(crate) flow: u16,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) payload: usize,
    pub(crate) flags: u8,
    pub(crate) ecn: u8,
    pub(crate) timestamp: u32,
    pub(crate) echo: u32,
    /// Runs received out of order; those that are not empty are told.
    pub(crate) sack: [(u32, u32); 3],
}

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const ACK: u8 = 0x10;
/// Bytes of Ethernet, IPv4 and TCP headers with timestamps.
pub(crate) const HEADERS: usize = 14 + 20 + 32;

const INSIDE_HOST: [u8; 4] = [10, 0, 0, 1];
const OUTSIDE_HOST: [u8; 4] = [10, 0, 1, 1];

/// A frame as it comes from `side`.
pub(crate) fn segment(side: Side, say: Say) -> Vec<u8> {
    let blocks: Vec<_> = say.sack.iter().filter(|(start, end)| start != end).collect();
    let sack_len = if blocks.is_empty() { 0 } else { 4 + 8 * blocks.len() };
    let mut bytes = vec![0; HEADERS + sack_len + say.payload];
    let inside_port = 10_000 + say.flow;
    let (from, to, from_port, to_port) = match side {
        Side::Inside => (INSIDE_HOST, OUTSIDE_HOST, inside_port, 5_201),
        Side::Outside => (OUTSIDE_HOST, INSIDE_HOST, 5_201, inside_port),
    };
    bytes[..12].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
    bytes[12..14].copy_from_slice(&[0x08, 0x00]);
    let total = (bytes.len() - 14) as u16;
    let ip = &mut bytes[14..34];
    ip[0] = 0x45;
    ip[1] = say.ecn;
    ip[2..4].copy_from_slice(&total.to_be_bytes());
    ip[6] = 0x40;
    ip[8] = 64;
    ip[9] = 6;
    ip[10..12].fill(0);
    ip[12..16].copy_from_slice(&from);
    ip[16..20].copy_from_slice(&to);
    let checksum = ip_checksum(ip);
    ip[10..12].copy_from_slice(&checksum.to_be_bytes());
    let tcp = &mut bytes[34..HEADERS + sack_len];
    tcp[0..2].copy_from_slice(&from_port.to_be_bytes());
    tcp[2..4].copy_from_slice(&to_port.to_be_bytes());
    tcp[4..8].copy_from_slice(&say.seq.to_be_bytes());
    tcp[8..12].copy_from_slice(&say.ack.to_be_bytes());
    tcp[12] = (((32 + sack_len) / 4) << 4) as u8;
    tcp[13] = say.flags;
    tcp[14..16].copy_from_slice(&0xFFFF_u16.to_be_bytes());
    tcp[20..24].copy_from_slice(&[1, 1, 8, 10]);
    tcp[24..28].copy_from_slice(&say.timestamp.to_be_bytes());
    tcp[28..32].copy_from_slice(&say.echo.to_be_bytes());
    if !blocks.is_empty() {
        tcp[32..36].copy_from_slice(&[1, 1, 5, 2 + 8 * blocks.len() as u8]);
        for (option, (start, end)) in tcp[36..].chunks_exact_mut(8).zip(blocks) {
            option[..4].copy_from_slice(&start.to_be_bytes());
            option[4..].copy_from_slice(&end.to_be_bytes());
        }
    }
    bytes
}

/// The Internet checksum; 0 over a header that carries a right one.
pub(crate) fn ip_checksum(header: &[u8]) -> u16 {
    let mut sum: u32 = header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !(sum as u16)
}

/// Two queues in, two queues out.
#[derive(Debug)]
pub(crate) struct TestIo {
    pub(crate) inbox: [VecDeque<TestFrame>; 2],
    pub(crate) outbox: [VecDeque<TestFrame>; 2],
    /// What a stage in front of the worker has dropped, by side.
    pub(crate) denied: [Denied; 2],
    /// Frames that each side still takes; `None` for any number.
    pub(crate) credit: [Option<usize>; 2],
    /// What its clock says during a turn; `None` where time stands still.
    pub(crate) now: Option<Ns>,
    /// Whether the frames of a flow must leave in the order in which they were made.
    pub(crate) ordered: bool,
    /// The serial number of the last frame that left, by side and flow.
    last: [[u64; FLOWS]; 2],
}

/// Flows that a test may number.
const FLOWS: usize = 128;

impl TestIo {
    pub(crate) fn new() -> TestIo {
        // Room for what a turn can send, so that the port does not allocate within one.
        let outbox = || VecDeque::with_capacity(4_096);
        TestIo {
            inbox: Default::default(),
            outbox: [outbox(), outbox()],
            denied: Default::default(),
            credit: [None, None],
            now: None,
            ordered: true,
            last: [[0; FLOWS]; 2],
        }
    }
}

impl PacketIo for TestIo {
    type Frame = TestFrame;

    fn rx(&mut self, side: Side, into: &mut Burst<TestFrame>) -> usize {
        let before = into.len();
        while !into.is_full()
            && let Some(frame) = self.inbox[side as usize].pop_front()
        {
            into.push(frame);
        }
        into.len() - before
    }

    fn now(&self) -> Option<Ns> {
        self.now
    }

    fn take_denied(&mut self, side: Side) -> Denied {
        std::mem::take(&mut self.denied[side as usize])
    }

    fn tx(&mut self, side: Side, from: &mut Burst<TestFrame>) -> usize {
        let take = self.credit[side as usize].map_or(from.len(), |credit| credit.min(from.len()));
        if let Some(credit) = &mut self.credit[side as usize] {
            *credit -= take;
        }
        for frame in from.drain(..take) {
            let last = &mut self.last[side as usize][usize::from(frame.flow)];
            assert!(!self.ordered || *last < frame.serial, "flow {} left out of order", frame.flow);
            *last = frame.serial;
            self.outbox[side as usize].push_back(frame);
        }
        take
    }
    fn make(&mut self, _: Side, _: usize) -> Option<TestFrame> {
        panic!("a wire makes no frames")
    }
}
