//! Small damage to bytes and to text.

use weir_trainer::rng::Rng;

/// Numbers at which arithmetic breaks.
const EDGES: [u64; 12] = [0, 1, 2, 7, 127, 128, 255, 256, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff];

/// One of many.
pub(crate) fn pick<'a, T>(rng: &mut Rng, from: &'a [T]) -> &'a T {
    &from[rng.below(from.len())]
}

/// Whether a chance of one in `n` comes true.
pub(crate) fn one_in(rng: &mut Rng, n: usize) -> bool {
    rng.below(n) == 0
}

/// A number at an edge, or any.
pub(crate) fn number(rng: &mut Rng) -> u64 {
    match rng.below(4) {
        0 => rng.bits(),
        1 => rng.bits() >> rng.below(64),
        2 => pick(rng, &EDGES).wrapping_neg(),
        _ => *pick(rng, &EDGES),
    }
}

/// Changes `bytes` in one place and leaves their number.
pub(crate) fn in_place(rng: &mut Rng, bytes: &mut [u8]) {
    let at = rng.below(bytes.len());
    let Some(rest) = bytes.get_mut(at..).filter(|rest| !rest.is_empty()) else { return };
    match rng.below(5) {
        0 => rest[0] ^= 1 << rng.below(8),
        1 => rest[0] = rng.bits() as u8,
        2 => rest[0] = number(rng) as u8,
        3 => rest[0] = rest[0].wrapping_add(if one_in(rng, 2) { 1 } else { 255 }),
        _ => {
            // A field of two or four bytes, big-endian.
            let value = (number(rng) as u32).to_be_bytes();
            let field = if one_in(rng, 2) { &value[2..] } else { &value[..] };
            for (byte, new) in rest.iter_mut().zip(field) {
                *byte = *new;
            }
        }
    }
}

/// Changes `bytes` in one place; never longer by more than 64 bytes.
pub(crate) fn bytes(rng: &mut Rng, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        bytes.extend((0..rng.below(64)).map(|_| rng.bits() as u8));
        return;
    }
    let at = rng.below(bytes.len());
    match rng.below(9) {
        0..5 => in_place(rng, bytes),
        5 => bytes.truncate(at),
        6 => {
            let len = rng.below(64).min(bytes.len() - at);
            bytes.drain(at..at + len);
        }
        7 => {
            let len = rng.below(64).min(bytes.len() - at);
            let copy: Vec<u8> = bytes[at..at + len].to_vec();
            let to = rng.below(bytes.len());
            bytes.splice(to..to, copy);
        }
        _ => {
            let fresh: Vec<u8> = (0..rng.below(16)).map(|_| rng.bits() as u8).collect();
            bytes.splice(at..at, fresh);
        }
    }
}

/// Words that a configuration might hold and a reader might stumble over.
const WORDS: [&str; 30] = [
    "",
    "0",
    "-1",
    "1e400",
    "nan",
    "-inf",
    "true",
    "\"\"",
    "[]",
    "{}",
    "[[]]",
    "99999999999999999999",
    "0x10",
    "\"0Mbps\"",
    "\"1.5Gbps\"",
    "\"99999999999Gbps\"",
    "\"0s\"",
    "\"-1ms\"",
    "\"1e9s\"",
    "\"1GiB\"",
    "\"none\"",
    "\"\\u0000\"",
    "\"\u{e9}\u{1F980}\"",
    "'''\n'''",
    "1979-05-27T07:32:00Z",
    "[1, \"a\"]",
    "= =",
    "\"",
    "#",
    "\u{0}",
];

/// Changes a TOML text in one place.
pub(crate) fn toml(rng: &mut Rng, text: &mut String) {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if lines.is_empty() {
        lines.push(String::new());
    }
    let at = rng.below(lines.len());
    match rng.below(7) {
        0 => {
            lines.remove(at);
        }
        1 => {
            let copy = lines[at].clone();
            lines.insert(rng.below(lines.len() + 1), copy);
        }
        2 => {
            let other = rng.below(lines.len());
            lines.swap(at, other);
        }
        3 | 4 => {
            // Another value for a key.
            if let Some((key, _)) = lines[at].clone().split_once('=') {
                lines[at] = format!("{key}= {}", pick(rng, &WORDS));
            }
        }
        5 => {
            // Another value, of another key.
            let value = pick(rng, &lines).split_once('=').map(|(_, value)| value.to_owned());
            if let (Some(value), Some((key, _))) = (value, lines[at].clone().split_once('=')) {
                lines[at] = format!("{key}={value}");
            }
        }
        _ => {
            // One character.
            let mut characters: Vec<char> = lines[at].chars().collect();
            let fresh = char::from_u32(number(rng) as u32).unwrap_or('=');
            let place = rng.below(characters.len() + 1);
            if one_in(rng, 2) && place < characters.len() {
                characters[place] = fresh;
            } else {
                characters.insert(place, fresh);
            }
            lines[at] = characters.into_iter().collect();
        }
    }
    *text = lines.join("\n");
}
