//! `wire::parse` and `wire::set_ce`: one frame.

use super::Target;
use crate::mutate::{self, one_in, pick};
use crate::seeds;
use weir_engine::hash::FlowHasher;
use weir_engine::wire::{Ecn, IpVersion, Parsed, TcpFrame, parse, set_ce};
use weir_trainer::rng::Rng;

/// The input is a frame, and before it four bytes: how many bytes the rest of it has.
pub(crate) struct Parser {
    frames: Vec<Vec<u8>>,
    hasher: FlowHasher,
}

impl Parser {
    pub(crate) fn new() -> Parser {
        Parser { frames: seeds::frames(2_048), hasher: FlowHasher::new(1) }
    }
}

/// A frame of the corpus with some damage, or noise.
pub(crate) fn damaged(rng: &mut Rng, frames: &[Vec<u8>]) -> Vec<u8> {
    if one_in(rng, 50) {
        return (0..rng.below(200)).map(|_| rng.bits() as u8).collect();
    }
    let mut frame = pick(rng, frames).clone();
    if one_in(rng, 10) {
        // The front of one and the back of another.
        let other = pick(rng, frames);
        let at = rng.below(frame.len().min(other.len()) + 1);
        frame.truncate(at);
        frame.extend_from_slice(&other[at..]);
    }
    for _ in 0..rng.below(5) {
        // Most damage into the headers.
        let tail = if one_in(rng, 4) { Vec::new() } else { frame.split_off(frame.len().min(100)) };
        mutate::bytes(rng, &mut frame);
        frame.extend(tail);
    }
    frame
}

impl Target for Parser {
    fn make(&self, rng: &mut Rng) -> Vec<u8> {
        let more = if one_in(rng, 3) { mutate::number(rng) as u32 } else { 0 };
        let mut input = more.to_le_bytes().to_vec();
        input.extend(damaged(rng, &self.frames));
        input
    }

    fn counts(&self) -> &'static str {
        "TCP segments"
    }

    fn check(&mut self, input: &[u8]) -> u64 {
        let Some((more, bytes)) = input.split_first_chunk::<4>() else { return 0 };
        let wire_len = (bytes.len() as u32).saturating_add(u32::from_le_bytes(*more));
        let parsed = parse(bytes, wire_len);
        if let Some(owner) = parsed.owner() {
            assert_eq!(self.hasher.hash(owner), self.hasher.hash(&owner.reversed()));
        }
        let Parsed::Tcp(tcp) = parsed else { return 0 };
        check_tcp(bytes, wire_len as usize, &tcp);
        1
    }
}

fn check_tcp(bytes: &[u8], wire_len: usize, tcp: &TcpFrame) {
    let (ip, transport, payload) =
        (usize::from(tcp.ip_offset), usize::from(tcp.tcp_offset), usize::from(tcp.payload_offset));
    assert!(ip + 20 <= transport && transport + 20 <= payload && payload <= bytes.len(), "{tcp:?}");
    assert!(payload + usize::from(tcp.segment.payload_len) <= wire_len, "{tcp:?}");
    let port = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    assert_eq!((tcp.tuple.source.port, tcp.tuple.destination.port), (port(transport), port(transport + 2)));

    let mut marked = bytes.to_vec();
    let did = set_ce(&mut marked, tcp);
    assert_eq!(did, matches!(tcp.ecn, Ecn::Ect0 | Ecn::Ect1));
    if !did {
        assert_eq!(marked, bytes);
        return;
    }
    let Parsed::Tcp(again) = parse(&marked, wire_len as u32) else { panic!("a mark unmade a segment") };
    assert_eq!(again, TcpFrame { ecn: Ecn::Ce, ..*tcp });
    if tcp.tuple.version == IpVersion::V4 {
        let header = ip..ip + 4 * usize::from(bytes[ip] & 15);
        // A header that was right is right again, one that was wrong is wrong by as much. Zero has two forms.
        let (before, after) = (sum(&bytes[header.clone()]), sum(&marked[header]));
        assert_eq!(before % 0xffff, after % 0xffff);
    }
}

/// One's complement sum, folded.
fn sum(header: &[u8]) -> u32 {
    let words = header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    words.fold(0, |sum, word| (sum + word) % 0xffff)
}
