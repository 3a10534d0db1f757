//! Where fuzzed workers get their frames, and who answers when they ask for someone.

use std::cell::Cell;
use std::rc::Rc;
use weir_engine::io::{Burst, Frame, PacketIo, Side};

/// A frame that is counted for as long as it lives.
pub(super) struct Counted {
    bytes: Vec<u8>,
    first: usize,
    alive: Rc<Cell<usize>>,
}

impl Counted {
    fn new(bytes: Vec<u8>, first: usize, alive: &Rc<Cell<usize>>) -> Counted {
        alive.set(alive.get() + 1);
        Counted { bytes, first, alive: Rc::clone(alive) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.alive.set(self.alive.get() - 1);
    }
}

impl Frame for Counted {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.first]
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.first]
    }
    fn wire_len(&self) -> u32 {
        self.bytes.len() as u32
    }
    fn grow_front(&mut self, len: usize) -> bool {
        // As much as a buffer of DPDK has, less what a few tags and tunnels have taken already.
        let room = self.first + len <= 2_048;
        if room {
            self.bytes.splice(0..0, std::iter::repeat_n(0, len));
            self.first += len;
        }
        room
    }
    fn shrink_front(&mut self, len: usize) -> bool {
        let there = len <= self.first;
        if there {
            self.bytes.drain(..len);
            self.first -= len;
        }
        there
    }
}

/// One worker's queues.
pub(super) struct Ports {
    arriving: [Vec<Counted>; 2],
    /// The ports take nothing.
    pub(super) stuck: bool,
    /// What has left, and by which side, as far as it may be a question.
    pub(super) left: Vec<(usize, Vec<u8>)>,
    alive: Rc<Cell<usize>>,
}

impl Ports {
    /// `alive` counts the frames of all who share it.
    pub(super) fn new(alive: &Rc<Cell<usize>>) -> Ports {
        Ports { arriving: Default::default(), stuck: false, left: Vec::new(), alive: Rc::clone(alive) }
    }

    /// A frame of which `first` bytes are in the first segment.
    pub(super) fn arrive(&mut self, side: usize, bytes: &[u8], first: usize) {
        self.arriving[side].push(Counted::new(bytes.to_vec(), first, &self.alive));
    }

    /// Frames that nobody has received.
    pub(super) fn waiting(&self) -> u64 {
        self.arriving.iter().map(|side| side.len() as u64).sum()
    }
}

impl PacketIo for Ports {
    type Frame = Counted;

    fn make(&mut self, _: Side, len: usize) -> Option<Counted> {
        Some(Counted::new(vec![0; len], len, &self.alive))
    }

    fn rx(&mut self, side: Side, into: &mut Burst<Counted>) -> usize {
        let arriving = &mut self.arriving[side as usize];
        let taken = arriving.len().min(into.remaining_capacity());
        into.extend(arriving.drain(..taken));
        taken
    }

    fn tx(&mut self, side: Side, from: &mut Burst<Counted>) -> usize {
        let taken = if self.stuck { 0 } else { from.len() };
        let questions = from.drain(..taken).filter(|frame| frame.bytes.len() <= NS_LEN);
        self.left.extend(questions.map(|frame| (side as usize, frame.bytes.clone())));
        taken
    }
}

const ARP_LEN: usize = 42;
/// A neighbour solicitation with the sender's Ethernet address.
const NS_LEN: usize = 86;

/// What a station answers to one who asks for it; `None` for what is no question.
pub(super) fn answer(question: &[u8]) -> Option<Vec<u8>> {
    if !matches!(question.len(), ARP_LEN | NS_LEN) {
        return None;
    }
    // With the last byte of the target's address.
    let mac = [2, 0, 0, 0, 1, question[if question.len() == ARP_LEN { 41 } else { 77 }]];
    let mut answer = vec![0; question.len()];
    answer[..6].copy_from_slice(&question[6..12]);
    answer[6..12].copy_from_slice(&mac);
    match (question.len(), &question[12..14], &question[20..22]) {
        (ARP_LEN, [8, 6], [0, 1]) => {
            answer[12..20].copy_from_slice(&question[12..20]);
            answer[20..22].copy_from_slice(&[0, 2]);
            answer[22..28].copy_from_slice(&mac);
            answer[28..32].copy_from_slice(&question[38..42]);
            answer[32..42].copy_from_slice(&question[22..32]);
        }
        (NS_LEN, [0x86, 0xdd], [58, 255]) if question[54] == 135 => {
            answer[12..22].copy_from_slice(&question[12..22]);
            answer[22..38].copy_from_slice(&question[62..78]);
            answer[38..54].copy_from_slice(&question[22..38]);
            // Solicited, and overrides; with the target's Ethernet address.
            answer[54..62].copy_from_slice(&[136, 0, 0, 0, 0x60, 0, 0, 0]);
            answer[62..78].copy_from_slice(&question[62..78]);
            answer[78..80].copy_from_slice(&[2, 1]);
            answer[80..86].copy_from_slice(&mac);
            // Over addresses, length and protocol as well (RFC 8200 section 8.1).
            let words = answer[22..].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
            let sum = words.fold(32 + 58, |sum, word| (sum + word) % 0xffff);
            answer[56..58].copy_from_slice(&(!(sum as u16)).to_be_bytes());
        }
        _ => return None,
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the checksum of the solicitation itself: that of Weir is right, so its sum is zero; so must the answer's be.
    #[test]
    fn an_answer_has_a_right_checksum() {
        let mut question = vec![0; NS_LEN];
        question[12..14].copy_from_slice(&[0x86, 0xdd]);
        question[20..22].copy_from_slice(&[58, 255]);
        question[22..38].copy_from_slice(&[0xfd; 16]);
        question[54] = 135;
        question[62..78].copy_from_slice(&[0x27; 16]);
        let answer = answer(&question).unwrap();
        let words = answer[22..].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
        assert_eq!(words.fold(32 + 58, |sum, word| (sum + word) % 0xffff), 0);
    }
}
