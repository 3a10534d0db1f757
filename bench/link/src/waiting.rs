//! Frames that wait for the wire: in one queue, or in one for each flow, served in turns.
//!
//! Turns are by deficit round robin (Shreedhar and Varghese, SIGCOMM 1995) with a quantum of one full frame: what a flow has
//! been served too little of in one turn is owed to it in the next, so that bytes are fair and not frames. One queue is the
//! same with a single flow.

use std::collections::VecDeque;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

/// A full Ethernet frame.
const QUANTUM: i64 = 1_514;

/// Frames of one flow, oldest first.
#[derive(Debug)]
struct Flow {
    key: u64,
    frames: VecDeque<Vec<u8>>,
    bytes: u64,
    /// What it may still be served in this turn.
    deficit: i64,
}

/// All that wait. A flow is here while something of it waits; the first is served next.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    flows: VecDeque<Flow>,
    bytes: u64,
    frames: usize,
}

impl Waiting {
    /// Bytes of all flows.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Frames of all flows.
    pub(crate) fn frames(&self) -> usize {
        self.frames
    }

    /// Bytes of one flow.
    pub(crate) fn bytes_of(&self, key: u64) -> u64 {
        self.flows.iter().find(|flow| flow.key == key).map_or(0, |flow| flow.bytes)
    }

    /// Adds a frame behind the others of its flow; a flow that is new here is served last.
    pub(crate) fn push(&mut self, key: u64, frame: Vec<u8>) {
        let bytes = frame.len() as u64;
        (self.bytes, self.frames) = (self.bytes + bytes, self.frames + 1);
        match self.flows.iter_mut().find(|flow| flow.key == key) {
            Some(flow) => {
                flow.bytes += bytes;
                flow.frames.push_back(frame);
            }
            None => {
                let frames = VecDeque::from([frame]);
                self.flows.push_back(Flow { key, frames, bytes, deficit: QUANTUM });
            }
        }
    }

    /// Takes the frame whose turn it is.
    pub(crate) fn pop(&mut self) -> Option<Vec<u8>> {
        while self.flows.front()?.deficit <= 0 {
            let mut flow = self.flows.pop_front()?;
            flow.deficit += QUANTUM;
            self.flows.push_back(flow);
        }
        let flow = self.flows.front_mut()?;
        let frame = flow.frames.pop_front()?;
        let bytes = frame.len() as u64;
        (flow.bytes, flow.deficit) = (flow.bytes - bytes, flow.deficit - bytes as i64);
        if flow.frames.is_empty() {
            self.flows.pop_front();
        }
        (self.bytes, self.frames) = (self.bytes - bytes, self.frames - 1);
        Some(frame)
    }
}

/// The flow of an Ethernet frame: addresses, protocol and, of TCP and UDP, ports. What is no IP is one flow, and so are
/// fragments and extension headers of one pair of addresses.
pub(crate) fn flow_of(frame: &[u8]) -> u64 {
    let bytes = |from: usize, len: usize| frame.get(from..from + len).unwrap_or_default();
    let (addresses, protocol, ports) = match bytes(12, 2) {
        [0x08, 0x00] => {
            let header_len = usize::from(bytes(14, 1).first().map_or(0, |first| first & 15)) * 4;
            (bytes(26, 8), bytes(23, 1), bytes(14 + header_len, 4))
        }
        [0x86, 0xdd] => (bytes(22, 32), bytes(20, 1), bytes(54, 4)),
        _ => return 0,
    };
    let ports = if matches!(protocol, [6 | 17]) { ports } else { &[] };
    let mut hasher = DefaultHasher::new();
    (addresses, protocol, ports).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(v6: bool, port: u8) -> Vec<u8> {
        let mut frame = vec![0; 74];
        let ip = if v6 { 40 } else { 20 };
        frame[12..14].copy_from_slice(if v6 { &[0x86, 0xdd] } else { &[0x08, 0x00] });
        frame[14] = if v6 { 0x60 } else { 0x45 };
        frame[if v6 { 20 } else { 23 }] = 6;
        frame[14 + ip + 1] = port;
        frame
    }

    #[test]
    fn flows_are_told_apart_by_their_ports() {
        for v6 in [false, true] {
            assert_eq!(flow_of(&tcp(v6, 1)), flow_of(&tcp(v6, 1)));
            assert_ne!(flow_of(&tcp(v6, 1)), flow_of(&tcp(v6, 2)));
            let echo = |port| {
                let mut frame = tcp(v6, port);
                frame[if v6 { 20 } else { 23 }] = 1;
                frame
            };
            assert_eq!(flow_of(&echo(1)), flow_of(&echo(2)), "no ports");
        }
        assert_ne!(flow_of(&tcp(false, 1)), flow_of(&tcp(true, 1)));
        for len in 0..74 {
            flow_of(&tcp(false, 1)[..len]);
            flow_of(&tcp(true, 1)[..len]);
        }
    }

    #[test]
    fn one_flow_is_served_in_order() {
        let mut waiting = Waiting::default();
        (1..=9).for_each(|len| waiting.push(7, vec![0; len * 100]));
        assert_eq!((waiting.frames(), waiting.bytes(), waiting.bytes_of(7)), (9, 4_500, 4_500));
        let served: Vec<usize> =
            std::iter::from_fn(|| waiting.pop()).map(|frame| frame.len() / 100).collect();
        assert_eq!(served, (1..=9).collect::<Vec<_>>());
        assert_eq!((waiting.frames(), waiting.bytes(), waiting.bytes_of(7)), (0, 0, 0));
    }

    #[test]
    fn turns_are_fair_in_bytes() {
        let mut waiting = Waiting::default();
        for _ in 0..1_000 {
            waiting.push(1, vec![1; 1_514]);
            (0..10).for_each(|_| waiting.push(2, vec![2; 100]));
            waiting.push(3, vec![3; 900]);
        }
        let mut served = [0; 4];
        while served.iter().sum::<usize>() < 900_000
            && let Some(frame) = waiting.pop()
        {
            served[usize::from(frame[0])] += frame.len();
        }
        assert!(served[1..].iter().all(|bytes| bytes.abs_diff(300_000) <= 2 * 1_514), "{served:?}");
    }
}
