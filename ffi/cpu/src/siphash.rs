//! SipHash-1-3 (Aumasson and Bernstein, 2012; one round per word, three at the end) of many short messages under one
//! key, side by side: one at a time it waits for its own additions, eight fill the vector units.

/// Messages hashed side by side.
const LANES: usize = 8;

/// A message of 8 to 15 bytes as SipHash takes it: the first eight, then the rest with the length in the top byte, each
/// as a little-endian word.
pub type TwoWords = [u64; 2];

/// Hashes `messages` under `key`, each into its place in `hashes`; what is longer of the two is left alone beyond the
/// other's end. The same on every processor.
pub fn siphash13_two_words(key: [u64; 2], messages: &[TwoWords], hashes: &mut [u64]) {
    for (messages, hashes) in messages.chunks(LANES).zip(hashes.chunks_mut(LANES)) {
        let (mut first, mut last) = ([0; LANES], [0; LANES]);
        for ((first, last), message) in first.iter_mut().zip(&mut last).zip(messages) {
            [*first, *last] = *message;
        }
        let mut out = [0; LANES];
        lanes(key, &first, &last, &mut out);
        for (hash, out) in hashes.iter_mut().zip(out) {
            *hash = out;
        }
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
fn lanes(key: [u64; 2], first: &[u64; LANES], last: &[u64; LANES], out: &mut [u64; LANES]) {
    #[target_feature(enable = "avx512f,avx512vl")]
    fn wide(key: [u64; 2], first: &[u64; LANES], last: &[u64; LANES], out: &mut [u64; LANES]) {
        portable(key, first, last, out);
    }
    if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
        // SAFETY: the processor has what the function is compiled for.
        unsafe { wide(key, first, last, out) }
    } else {
        portable(key, first, last, out);
    }
}

#[cfg(any(not(target_arch = "x86_64"), miri))]
fn lanes(key: [u64; 2], first: &[u64; LANES], last: &[u64; LANES], out: &mut [u64; LANES]) {
    portable(key, first, last, out);
}

/// Written lane by lane so that the compiler makes vectors of it.
#[inline(always)]
fn portable(key: [u64; 2], first: &[u64; LANES], last: &[u64; LANES], out: &mut [u64; LANES]) {
    let mut v = [
        [key[0] ^ 0x736f_6d65_7073_6575; LANES],
        [key[1] ^ 0x646f_7261_6e64_6f6d; LANES],
        [key[0] ^ 0x6c79_6765_6e65_7261; LANES],
        [key[1] ^ 0x7465_6462_7974_6573; LANES],
    ];
    for words in [first, last] {
        each(&mut v[3], words, |v, word| v ^ word);
        round(&mut v);
        each(&mut v[0], words, |v, word| v ^ word);
    }
    each(&mut v[2], &[0xff; LANES], |v, word| v ^ word);
    for _ in 0..3 {
        round(&mut v);
    }
    for (lane, out) in out.iter_mut().enumerate() {
        *out = v[0][lane] ^ v[1][lane] ^ v[2][lane] ^ v[3][lane];
    }
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

    /// The engine holds the values against the crate `siphasher`; here, that every lane is alike.
    #[test]
    fn a_lane_does_not_depend_on_its_neighbours() {
        let key = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        let messages: Vec<TwoWords> =
            (0..37u64).map(|i| [i.wrapping_mul(0x9e37_79b9_7f4a_7c15), i << 56]).collect();
        let mut together = vec![0; messages.len()];
        siphash13_two_words(key, &messages, &mut together);
        for (message, hash) in messages.iter().zip(&together) {
            let mut alone = [0];
            siphash13_two_words(key, core::slice::from_ref(message), &mut alone);
            assert_eq!(alone[0], *hash);
        }
        let mut distinct = together.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), together.len());
    }
}
