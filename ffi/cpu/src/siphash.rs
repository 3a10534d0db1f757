//! SipHash-1-3 (Aumasson and Bernstein, 2012; one round per word, three at the end) of many short messages under one
//! key, side by side: one at a time it waits for its own additions, eight fill the vector units.

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod avx2;

/// Messages hashed side by side.
const LANES: usize = 8;
/// What marks the end of a message.
const END: u64 = 0xff;
/// Rounds after it.
const FINAL_ROUNDS: usize = 3;

/// Messages of 8 to 15 bytes as SipHash takes them, column by column: the first eight bytes, then the rest with the
/// length in the top byte, each as a little-endian word.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct TwoWords<const N: usize> {
    /// First words.
    pub first: [u64; N],
    /// Last words.
    pub last: [u64; N],
}

impl<const N: usize> Default for TwoWords<N> {
    fn default() -> TwoWords<N> {
        TwoWords { first: [0; N], last: [0; N] }
    }
}

/// The hashes of `N` messages under `key`, the same on every processor. `N` is a multiple of 8.
#[inline]
pub fn siphash13_two_words<const N: usize>(key: [u64; 2], messages: &TwoWords<N>) -> [u64; N] {
    const { assert!(N.is_multiple_of(LANES)) };
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
        // SAFETY: the processor has what the function is compiled for.
        return unsafe { by_avx512(key, messages) };
    } else if is_x86_feature_detected!("avx2") {
        // SAFETY: as above.
        return unsafe { by_avx2(key, messages) };
    }
    by(lanes, key, messages)
}

/// As [`lanes`], compiled for wide registers and their rotation.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[target_feature(enable = "avx512f,avx512vl")]
#[expect(
    clippy::redundant_closure,
    reason = "a closure is compiled for what its function is, `lanes` itself is not"
)]
fn by_avx512<const N: usize>(key: [u64; 2], messages: &TwoWords<N>) -> [u64; N] {
    by(|key, first, last| lanes(key, first, last), key, messages)
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[target_feature(enable = "avx2")]
fn by_avx2<const N: usize>(key: [u64; 2], messages: &TwoWords<N>) -> [u64; N] {
    by(|key, first, last| avx2::lanes(key, first, last), key, messages)
}

#[inline(always)]
fn by<const N: usize>(
    lanes: impl Fn([u64; 2], &[u64; LANES], &[u64; LANES]) -> [u64; LANES],
    key: [u64; 2],
    messages: &TwoWords<N>,
) -> [u64; N] {
    let mut hashes = [0; N];
    let (first, last) = (messages.first.as_chunks().0, messages.last.as_chunks().0);
    for ((out, first), last) in hashes.as_chunks_mut().0.iter_mut().zip(first).zip(last) {
        *out = lanes(key, first, last);
    }
    hashes
}

/// The state before the first word.
#[inline(always)]
fn start(key: [u64; 2]) -> [u64; 4] {
    [
        key[0] ^ 0x736f_6d65_7073_6575,
        key[1] ^ 0x646f_7261_6e64_6f6d,
        key[0] ^ 0x6c79_6765_6e65_7261,
        key[1] ^ 0x7465_6462_7974_6573,
    ]
}

/// Written lane by lane so that the compiler makes vectors of it, where it can rotate them.
#[inline(always)]
fn lanes(key: [u64; 2], first: &[u64; LANES], last: &[u64; LANES]) -> [u64; LANES] {
    let mut v = start(key).map(|word| [word; LANES]);
    for words in [first, last] {
        each(&mut v[3], words, |v, word| v ^ word);
        round(&mut v);
        each(&mut v[0], words, |v, word| v ^ word);
    }
    each(&mut v[2], &[END; LANES], |v, word| v ^ word);
    for _ in 0..FINAL_ROUNDS {
        round(&mut v);
    }
    let [mut hashes, v1, v2, v3] = v;
    for others in [v1, v2, v3] {
        each(&mut hashes, &others, |hash, v| hash ^ v);
    }
    hashes
}

#[inline(always)]
fn each(values: &mut [u64; LANES], others: &[u64; LANES], op: impl Fn(u64, u64) -> u64) {
    for (value, other) in values.iter_mut().zip(others) {
        *value = op(*value, *other);
    }
}

#[inline(always)]
fn round([v0, v1, v2, v3]: &mut [[u64; LANES]; 4]) {
    let add = u64::wrapping_add;
    each(v0, v1, add);
    each(v1, v0, |a, b| a.rotate_left(13) ^ b);
    each(v0, &[0; LANES], |a, _| a.rotate_left(32));
    each(v2, v3, add);
    each(v3, v2, |a, b| a.rotate_left(16) ^ b);
    each(v0, v3, add);
    each(v3, v0, |a, b| a.rotate_left(21) ^ b);
    each(v2, v1, add);
    each(v1, v2, |a, b| a.rotate_left(17) ^ b);
    each(v2, &[0; LANES], |a, _| a.rotate_left(32));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The engine holds the values against the crate `siphasher`; here: that every lane is alike, whatever stands beside
    /// it, and that wide registers change nothing.
    #[test]
    fn a_lane_does_not_depend_on_its_neighbours() {
        let key = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        let mut together = TwoWords::<32>::default();
        for (lane, (first, last)) in (0u64..).zip(together.first.iter_mut().zip(&mut together.last)) {
            (*first, *last) = (lane.wrapping_mul(0x9e37_79b9_7f4a_7c15), lane << 56);
        }
        let hashes = siphash13_two_words(key, &together);
        assert_eq!(hashes, by(lanes, key, &together));
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has what the function is compiled for.
            assert_eq!(hashes, unsafe { by_avx2(key, &together) });
        }
        for (hash, (first, last)) in hashes.iter().zip(together.first.into_iter().zip(together.last)) {
            let alone = TwoWords { first: [first; 8], last: [last; 8] };
            assert_eq!(siphash13_two_words(key, &alone), [*hash; 8]);
        }
        let mut distinct = hashes.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), hashes.len());
    }
}
