//! What is remembered of the flows to each peer, bounded.
//!
//! An 8-way table. A peer is named by a keyed 64-bit hash alone: two that met in one would share a history, which no one can
//! bring about without the key, and which would cost some wrong guesses. A newcomer to a full bucket takes the place of the
//! peer that has been silent longest, among those with no flow under way; where all have one, its flow is scheduled without
//! a history, and counted.

use crate::time::Ns;
use weir_cpu::large_slice;
use weir_features::PeerHistory;

const WAYS: usize = 8;
/// Times in the table are kept in units of 2^20 ns, about a millisecond, in 32 bits: they wrap after 52 days.
const TICK_BITS: u32 = 20;

#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    /// Its hash; 0 for a place that nobody has.
    hash: u64,
    /// When it was last asked for, in ticks.
    touched: u32,
    history: PeerHistory,
}

const _: () = assert!(size_of::<Peer>() <= 64);

/// Where a peer is. Holds for as long as one of its flows is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PeerId(u32);

/// How a peer was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It was known, or there was a free place.
    There(PeerId),
    /// Another one made way.
    Replaced(PeerId),
    /// There is no place for it.
    Full,
}

/// The peers of a worker.
#[derive(Debug)]
pub(super) struct Peers {
    places: Box<[Peer]>,
    /// Peers known.
    len: u32,
}

impl Peers {
    /// A table for `max` peers, rounded down to a power of two, at least 8. All of it is allocated here.
    pub(super) fn new(max: u32) -> Peers {
        let places = 1_usize << (max.max(WAYS as u32)).ilog2();
        Peers { places: large_slice(places, |_| Peer::default()), len: 0 }
    }

    /// Peers known.
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// The peer with this hash, or a new one.
    pub(super) fn find(&mut self, hash: u64, now: Ns) -> Found {
        let hash = hash.max(1);
        let now = (now.0 >> TICK_BITS) as u32;
        let first = hash as usize & (self.places.len() / WAYS - 1);
        let Some(bucket) = self.places.get_mut(first * WAYS..(first + 1) * WAYS) else { return Found::Full };
        let id = |way: usize| PeerId((first * WAYS + way) as u32);
        if let Some(way) = bucket.iter().position(|peer| peer.hash == hash) {
            bucket[way].touched = now;
            return Found::There(id(way));
        }
        let fresh = Peer { hash, touched: now, history: PeerHistory::default() };
        if let Some(way) = bucket.iter().position(|peer| peer.hash == 0) {
            bucket[way] = fresh;
            self.len += 1;
            return Found::There(id(way));
        }
        let silence = |peer: &Peer| now.wrapping_sub(peer.touched);
        let idle = bucket.iter_mut().enumerate().filter(|(_, peer)| !peer.history.is_busy());
        match idle.max_by_key(|(_, peer)| silence(peer)) {
            Some((way, peer)) => {
                *peer = fresh;
                Found::Replaced(id(way))
            }
            None => Found::Full,
        }
    }

    /// Its history.
    pub(super) fn history_mut(&mut self, id: PeerId) -> Option<&mut PeerHistory> {
        self.places.get_mut(id.0 as usize).map(|peer| &mut peer.history)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hash in bucket 0 of a small table.
    fn peer(n: u64) -> u64 {
        n << 32
    }

    fn there(found: Found) -> PeerId {
        match found {
            Found::There(id) | Found::Replaced(id) => id,
            Found::Full => panic!("no place"),
        }
    }

    #[test]
    fn a_peer_is_found_again_with_its_history() {
        let mut peers = Peers::new(64);
        let id = there(peers.find(peer(1), Ns::ZERO));
        peers.history_mut(id).unwrap().on_begin(7);
        assert_eq!(peers.find(peer(1), Ns::from_secs(9)), Found::There(id));
        assert!(peers.history_mut(id).unwrap().is_busy());
        assert_ne!(there(peers.find(peer(2), Ns::ZERO)), id);
        assert_eq!(peers.len(), 2);
        // The hash that stands for nobody is somebody's too.
        let zero = there(peers.find(0, Ns::ZERO));
        assert_eq!(peers.find(0, Ns::ZERO), Found::There(zero));
    }

    #[test]
    fn the_longest_silent_makes_way_and_never_one_with_a_flow_under_way() {
        let mut peers = Peers::new(8);
        for n in 1..=8 {
            let id = there(peers.find(peer(n), Ns::from_secs(n)));
            if n == 1 {
                peers.history_mut(id).unwrap().on_begin(0);
            }
        }
        assert!(matches!(peers.find(peer(9), Ns::from_secs(20)), Found::Replaced(_)));
        for n in [1, 3, 4, 5, 6, 7, 8, 9] {
            assert!(matches!(peers.find(peer(n), Ns::from_secs(30)), Found::There(_)), "{n}");
        }
        for n in [3, 4, 5, 6, 7, 8, 9] {
            let id = there(peers.find(peer(n), Ns::from_secs(30)));
            peers.history_mut(id).unwrap().on_begin(0);
        }
        assert_eq!(peers.find(peer(10), Ns::from_secs(40)), Found::Full);
        assert_eq!(peers.len(), 8);
    }
}
