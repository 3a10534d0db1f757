//! The flow hash: keyed, and the same for both directions of a flow.
//!
//! It decides which worker owns a flow, where in a table the flow lies, and every seeded choice per flow. An
//! outsider who could predict it could aim a flood at one bucket, hence a keyed function made for short inputs
//! (SipHash-1-3, the variant that Rust's own hash maps use for the same reason).

use crate::io::BURST;
use crate::wire::{Endpoint, IpVersion, Tuple};
use arrayvec::ArrayVec;
use core::net::IpAddr;
use siphasher::sip::SipHasher13;

/// A number below `count` from the upper half of random bits; 0 for none. By multiplication and shift (Lemire, "Fast random
/// integer generation in an interval", 2019).
#[inline]
pub(crate) fn below(bits: u64, count: usize) -> usize {
    (((bits >> 32) * count as u64) >> 32) as usize
}

/// Side by side, all places of a burst are computed whether taken or not: some 60 ns, six flows hashed one by one.
const TOGETHER_MIN: usize = 6;
/// Increment of SplitMix64: 2^64 divided by the golden ratio, odd.
pub(crate) const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Hashes tuples under one secret key.
#[derive(Clone, Debug)]
pub struct FlowHasher {
    key: [u64; 2],
    sip: SipHasher13,
}

impl FlowHasher {
    /// A hasher whose 128-bit key is the first two outputs of SplitMix64 (Steele, Lea, Flood: "Fast splittable
    /// pseudorandom number generators", OOPSLA 2014) started at `seed`, low half first.
    ///
    /// The key is as secret as the seed: an appliance takes its seed from the system's entropy, a test or a
    /// simulation from its own.
    pub fn new(seed: u64) -> FlowHasher {
        let low = split_mix(seed.wrapping_add(GOLDEN));
        let high = split_mix(seed.wrapping_add(GOLDEN.wrapping_mul(2)));
        FlowHasher { key: [low, high], sip: SipHasher13::new_with_keys(low, high) }
    }

    /// The hash of a flow; `hash(t) == hash(t.reversed())`.
    ///
    /// Input to SipHash: the lesser endpoint, then the greater, each as address (4 or 16 bytes) and port (2
    /// bytes), network order. The two versions differ in length, which SipHash mixes in.
    #[inline]
    pub fn hash(&self, tuple: &Tuple) -> u64 {
        let (low, high) = if tuple.source <= tuple.destination {
            (&tuple.source, &tuple.destination)
        } else {
            (&tuple.destination, &tuple.source)
        };
        let mut bytes = [0; 36];
        let address_len = match tuple.version {
            IpVersion::V4 => 4,
            IpVersion::V6 => 16,
        };
        let end_len = address_len + 2;
        bytes[..address_len].copy_from_slice(&low.address[..address_len]);
        bytes[address_len..end_len].copy_from_slice(&low.port.to_be_bytes());
        bytes[end_len..end_len + address_len].copy_from_slice(&high.address[..address_len]);
        bytes[end_len + address_len..2 * end_len].copy_from_slice(&high.port.to_be_bytes());
        self.sip.hash(&bytes[..2 * end_len])
    }

    /// The hash of a peer, as the sender of this tuple's frames sees it: source address, destination address, service port.
    /// No flow's hash has an input of this length.
    #[inline]
    pub(crate) fn hash_peer(&self, tuple: &Tuple, service_port: u16) -> u64 {
        let address_len = match tuple.version {
            IpVersion::V4 => 4,
            IpVersion::V6 => 16,
        };
        let mut bytes = [0; 34];
        bytes[..address_len].copy_from_slice(&tuple.source.address[..address_len]);
        bytes[address_len..2 * address_len].copy_from_slice(&tuple.destination.address[..address_len]);
        bytes[2 * address_len..2 * address_len + 2].copy_from_slice(&service_port.to_be_bytes());
        self.sip.hash(&bytes[..2 * address_len + 2])
    }

    /// The hash of one address.
    #[inline]
    pub(crate) fn hash_address(&self, address: IpAddr) -> u64 {
        match address {
            IpAddr::V4(address) => self.sip.hash(&address.octets()),
            IpAddr::V6(address) => self.sip.hash(&address.octets()),
        }
    }

    /// Appends the hash of each flow of a burst; zero where there is none.
    ///
    /// The same as [`hash`](FlowHasher::hash) one by one. IPv4's 12 bytes are two words, hashed side by side.
    #[inline]
    pub fn hash_burst<'a>(
        &self,
        tuples: impl ExactSizeIterator<Item = Option<&'a Tuple>> + Clone,
        hashes: &mut ArrayVec<u64, BURST>,
    ) {
        if tuples.len() < TOGETHER_MIN {
            hashes.extend(tuples.map(|tuple| tuple.map_or(0, |tuple| self.hash(tuple))));
            return;
        }
        let mut messages = weir_cpu::TwoWords::<BURST>::default();
        let mut odd = false;
        for ((first, last), tuple) in messages.first.iter_mut().zip(&mut messages.last).zip(tuples.clone()) {
            match tuple {
                Some(tuple) if tuple.version == IpVersion::V4 => [*first, *last] = ipv4_message(tuple),
                _ => odd = true,
            }
        }
        let together = weir_cpu::siphash13_two_words(self.key, &messages);
        hashes.extend(together.into_iter().take(tuples.len()));
        if odd {
            for (hash, tuple) in hashes.iter_mut().zip(tuples) {
                match tuple {
                    Some(tuple) if tuple.version == IpVersion::V4 => {}
                    other => *hash = other.map_or(0, |tuple| self.hash(tuple)),
                }
            }
        }
    }
}

/// What [`FlowHasher::hash`] hashes for IPv4, as two words: endpoints of 48 bits, the lesser first, in network order.
#[inline]
fn ipv4_message(tuple: &Tuple) -> [u64; 2] {
    const LEN: u64 = 12;
    let end = |end: &Endpoint| {
        let [a, b, c, d, ..] = end.address;
        u64::from(u32::from_be_bytes([a, b, c, d])) << 16 | u64::from(end.port)
    };
    let (source, destination) = (end(&tuple.source), end(&tuple.destination));
    let (low, high) = (source.min(destination), source.max(destination));
    [(low << 16 | high >> 32).swap_bytes(), (high << 32).swap_bytes() | LEN << 56]
}

/// The output function of SplitMix64: a bijection in which every input bit moves about half of the output bits.
pub(crate) const fn split_mix(state: u64) -> u64 {
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn endpoint() -> impl Strategy<Value = Endpoint> {
        (any::<[u8; 16]>(), any::<u16>()).prop_map(|(address, port)| Endpoint { address, port })
    }

    fn tuple() -> impl Strategy<Value = Tuple> {
        (endpoint(), endpoint(), any::<bool>()).prop_map(|(mut source, mut destination, v4)| {
            if v4 {
                source.address[4..].fill(0);
                destination.address[4..].fill(0);
            }
            Tuple { source, destination, version: if v4 { IpVersion::V4 } else { IpVersion::V6 } }
        })
    }

    proptest! {
        #[test]
        fn both_directions_agree(tuple in tuple(), seed: u64) {
            let hasher = FlowHasher::new(seed);
            prop_assert_eq!(hasher.hash(&tuple), hasher.hash(&tuple.reversed()));
        }

        #[test]
        fn a_burst_hashes_as_its_frames_do(
            tuples in prop::collection::vec(prop::option::of(tuple()), 0..=BURST),
            seed: u64,
        ) {
            let hasher = FlowHasher::new(seed);
            let mut hashes = ArrayVec::new();
            hasher.hash_burst(tuples.iter().map(Option::as_ref), &mut hashes);
            let one_by_one = tuples.iter().map(|tuple| tuple.as_ref().map_or(0, |tuple| hasher.hash(tuple)));
            prop_assert!(hashes.into_iter().eq(one_by_one));
        }

        #[test]
        fn the_key_matters(tuple in tuple(), seed: u64) {
            let (one, other) = (FlowHasher::new(seed), FlowHasher::new(seed.wrapping_add(1)));
            prop_assert_ne!(one.hash(&tuple), other.hash(&tuple));
        }
    }

    #[test]
    fn an_ipv4_address_is_no_ipv6_address() {
        let v4 = Tuple { version: IpVersion::V4, ..Tuple::default() };
        let v6 = Tuple { version: IpVersion::V6, ..Tuple::default() };
        let hasher = FlowHasher::new(1);
        assert_ne!(hasher.hash(&v4), hasher.hash(&v6));
    }

    /// The expansion of the seed is part of "same seed, same decisions": the first outputs of SplitMix64 from 0,
    /// as published with the algorithm.
    #[test]
    fn key_expansion_is_split_mix_64() {
        assert_eq!(split_mix(GOLDEN), 0xe220_a839_7b1d_cdaf);
        assert_eq!(split_mix(GOLDEN.wrapping_mul(2)), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn bits_are_spread() {
        let hasher = FlowHasher::new(7);
        let mut counts = [0u32; 64];
        const FLOWS: u32 = 4096;
        for port in 0..FLOWS {
            let mut tuple = Tuple::default();
            tuple.source.port = port as u16;
            let hash = hasher.hash(&tuple);
            for (bit, count) in counts.iter_mut().enumerate() {
                *count += (hash >> bit & 1) as u32;
            }
        }
        // Binomial, sigma 32: six sigmas.
        assert!(counts.iter().all(|count| count.abs_diff(FLOWS / 2) < 192), "{counts:?}");
    }
}
