//! STAMP's Direct Measurement (RFC 8972 section 4.5): how many frames were sent by a path, and how many of them came.
//!
//! ```text
//!   0        1        2                 4                8               12               16
//!   | flags  | type 5 | length 12       | S_TxC          | R_RxC          | R_TxC          |
//!    U M I                                sender sent      reflector        reflector
//!                                                          received         sent
//! ```
//!
//! What is counted (the "in-profile" packets) is up to whoever measures: here every frame that bears the path's header, data, test
//! packets and answers alike, by all workers together, modulo 2^32. A sender sets U, so that a reflector which copies what it does
//! not know is told from one that has understood.

/// Flags, type and length in front of each value (RFC 8972 section 4).
const HEADER: usize = 4;
/// Unrecognised: set by the sender, cleared by a reflector that knows the type.
const U: u8 = 0x80;
/// Malformed: the length is none of the type's, or runs beyond the packet.
const M: u8 = 0x40;
/// Integrity: a check by HMAC has failed.
const I: u8 = 0x20;
const DIRECT: u8 = 5;
const DIRECT_LEN: usize = 12;
/// Bytes that the measurement adds to a test packet.
pub(super) const EXTENSION_LEN: usize = HEADER + DIRECT_LEN;
/// Extensions looked at in one packet: RFC 8972 and its successors know a dozen types.
const EXTENSIONS_MAX: usize = 16;

/// What a reflector has counted of a path, modulo 2^32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    /// Frames that came by it, the test packet included.
    pub(super) received: u32,
    /// Frames that it has sent by it.
    pub(super) sent: u32,
}

/// What an answer says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Frames that the sender had sent, as it had said itself.
    pub(super) sent: u32,
    /// Frames that the reflector had received.
    pub(super) received: u32,
}

/// A sender's question.
pub(super) fn write(extension: &mut [u8; EXTENSION_LEN], sent: u32) {
    extension.fill(0);
    extension[..HEADER].copy_from_slice(&[U, DIRECT, 0, DIRECT_LEN as u8]);
    extension[HEADER..HEADER + 4].copy_from_slice(&sent.to_be_bytes());
}

/// Turns the extensions of a sender's test packet into a reflector's: those that are understood are filled in, the others marked.
/// `counted` is `None` where nothing is counted by which frames could be told from others.
pub(super) fn reflect(mut rest: &mut [u8], counted: Option<Counted>) {
    for _ in 0..EXTENSIONS_MAX {
        let Some((header, behind)) = rest.split_first_chunk_mut::<HEADER>() else { return };
        let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let flags = &mut header[0];
        *flags &= !(U | M | I);
        let Some((value, next)) = behind.split_at_mut_checked(len) else {
            *flags |= M;
            return;
        };
        match (header[1], counted, value.first_chunk_mut::<DIRECT_LEN>()) {
            (DIRECT, Some(counted), Some(value)) if len == DIRECT_LEN => {
                value[4..8].copy_from_slice(&counted.received.to_be_bytes());
                value[8..].copy_from_slice(&counted.sent.to_be_bytes());
            }
            (DIRECT, Some(_), _) => header[0] |= M,
            _ => header[0] |= U,
        }
        rest = next;
    }
}

/// What the extensions of an answer say; `None` where none has been understood.
pub(super) fn read(mut rest: &[u8]) -> Option<Told> {
    for _ in 0..EXTENSIONS_MAX {
        let (header, behind) = rest.split_first_chunk::<HEADER>()?;
        let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let (value, next) = behind.split_at_checked(len)?;
        if header[1] == DIRECT {
            let value = value.first_chunk::<DIRECT_LEN>().filter(|_| len == DIRECT_LEN)?;
            let word =
                |at: usize| u32::from_be_bytes([value[at], value[at + 1], value[at + 2], value[at + 3]]);
            return (header[0] & (U | M | I) == 0).then(|| Told { sent: word(0), received: word(4) });
        }
        rest = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COUNTED: Counted = Counted { received: 0x0102_0304, sent: 9 };

    fn asked(sent: u32) -> [u8; EXTENSION_LEN] {
        let mut extension = [0xff; EXTENSION_LEN];
        write(&mut extension, sent);
        extension
    }

    #[test]
    fn a_question_is_answered_with_what_was_counted() {
        let mut extension = asked(77);
        assert_eq!(extension, [0x80, 5, 0, 12, 0, 0, 0, 77, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(read(&extension), None, "a copy of the question is no answer");
        reflect(&mut extension, Some(COUNTED));
        assert_eq!(extension, [0, 5, 0, 12, 0, 0, 0, 77, 1, 2, 3, 4, 0, 0, 0, 9]);
        assert_eq!(read(&extension), Some(Told { sent: 77, received: COUNTED.received }));
    }

    #[test]
    fn what_is_not_understood_is_marked_and_comes_back() {
        let mut unknown = asked(77);
        reflect(&mut unknown, None);
        assert_eq!((unknown[0], read(&unknown)), (U, None), "nothing is counted there");
        // Behind two extensions that a reflector does not know, one of them empty.
        let mut several = vec![U, 99, 0, 0, U, 1, 0, 3, 7, 7, 7];
        several.extend(asked(5));
        reflect(&mut several, Some(COUNTED));
        assert_eq!((several[0], several[4], several[11]), (U, U, 0));
        assert_eq!(read(&several), Some(Told { sent: 5, received: COUNTED.received }));
    }

    #[test]
    fn a_length_that_is_none_is_malformed() {
        let mut short = [U, DIRECT, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0];
        reflect(&mut short, Some(COUNTED));
        assert_eq!((short[0], read(&short)), (M, None));
        let mut cut = [U, DIRECT, 0, 12, 0, 0, 0, 1];
        reflect(&mut cut, Some(COUNTED));
        assert_eq!((cut[0], read(&cut)), (M, None));
        for flag in [U, M, I] {
            let mut answer = asked(1);
            reflect(&mut answer, Some(COUNTED));
            answer[0] |= flag;
            assert_eq!(read(&answer), None);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_read_and_reflected(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            read(&bytes);
            let before = bytes.clone();
            reflect(&mut bytes, None);
            prop_assert_eq!(bytes.len(), before.len());
            prop_assert_eq!(read(&bytes), None, "nobody has counted anything");
            // A reflector that counts answers at most the first question that it finds.
            bytes.clone_from(&before);
            reflect(&mut bytes, Some(COUNTED));
            if let Some(told) = read(&bytes) {
                prop_assert_eq!(told.received, COUNTED.received);
            }
        }
    }
}
