//! Generic netlink messages (linux/netlink.h, linux/genetlink.h): written and read as bytes, in this machine's order. All
//! that is read is checked against the bytes that are there.

/// Bytes of `struct nlmsghdr`.
const HEAD: usize = 16;
/// Those and the ones of `struct genlmsghdr`.
const GENERIC_HEAD: usize = 20;
/// Bytes of `struct nlattr`.
const ATTRIBUTE_HEAD: usize = 4;

/// `NLM_F_REQUEST`
const REQUEST: u16 = 1;
/// `NLM_F_ACK`
const ACK: u16 = 4;
/// `NLM_F_DUMP`
const DUMP: u16 = 0x300;

/// `NLMSG_ERROR`: an acknowledgement, too.
const ERROR: u16 = 2;
/// `NLMSG_DONE`
const DONE: u16 = 3;

/// A message that is being written.
pub(super) struct Message(Vec<u8>);

impl Message {
    /// A request that is acknowledged.
    pub(super) fn request(family: u16, command: u8, sequence: u32) -> Message {
        Message::new(family, command, sequence, ACK)
    }
    /// One that is answered by a series of messages.
    pub(super) fn dump(family: u16, command: u8, sequence: u32) -> Message {
        Message::new(family, command, sequence, DUMP)
    }
    fn new(family: u16, command: u8, sequence: u32, flags: u16) -> Message {
        let mut bytes = vec![0; HEAD];
        bytes[4..6].copy_from_slice(&family.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(REQUEST | flags).to_ne_bytes());
        bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        bytes.extend([command, 1, 0, 0]);
        Message(bytes)
    }
    /// Adds an attribute of at most 65 531 bytes.
    pub(super) fn put(mut self, attribute: u16, data: &[u8]) -> Message {
        let length = u16::try_from(ATTRIBUTE_HEAD + data.len()).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(attribute.to_ne_bytes());
        self.0.extend(data);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }
    /// Adds a 32-bit attribute.
    pub(super) fn put_u32(self, attribute: u16, value: u32) -> Message {
        self.put(attribute, &value.to_ne_bytes())
    }
    /// The bytes to send.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let length = self.0.len() as u32;
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0
    }
}

/// What a received message is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer<'a> {
    /// The end of the exchange: 0, or an errno.
    End(i32, Option<&'a str>),
    /// A message of the family: its attributes' bytes.
    Attributes(&'a [u8]),
}

/// The next message of a datagram, and what is left; `None` at its end or where it is cut short.
pub(super) fn next(bytes: &[u8]) -> Option<(Answer<'_>, &[u8])> {
    let length = u32_at(bytes, 0)? as usize;
    let message = bytes.get(..length).filter(|message| message.len() >= HEAD)?;
    let rest = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    let answer = match u16_at(message, 4)? {
        DONE => Answer::End(0, None),
        ERROR => {
            let errno = (u32_at(message, HEAD)? as i32).unsigned_abs() as i32;
            Answer::End(errno, extended(message))
        }
        _ => Answer::Attributes(message.get(GENERIC_HEAD..)?),
    };
    Some((answer, rest))
}

/// The kernel's words about an error (`NLMSGERR_ATTR_MSG` of an extended acknowledgement with a capped request).
fn extended(message: &[u8]) -> Option<&str> {
    /// `NLM_F_ACK_TLVS`
    const TLVS: u16 = 0x200;
    /// `NLM_F_CAPPED`
    const CAPPED: u16 = 0x100;
    let flags = u16_at(message, 6)?;
    let request = if flags & CAPPED == 0 { u32_at(message, HEAD + 4)? as usize } else { HEAD };
    let words = message.get(HEAD + 4 + request.next_multiple_of(4)..).filter(|_| flags & TLVS != 0)?;
    let (_, text) = attributes(words).find(|(attribute, _)| *attribute == 1)?;
    std::str::from_utf8(text.strip_suffix(&[0]).unwrap_or(text)).ok()
}

/// Attributes: type and bytes.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let data = bytes.get(ATTRIBUTE_HEAD..length)?;
        // The upper two bits say how it is to be read.
        let attribute = u16_at(bytes, 2)? & 0x3fff;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((attribute, data))
    })
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let bytes = Message::request(28, 2, 7).put_u32(9, 5).put(10, b"abcde").put(11, b"").finish();
        assert_eq!(u32_at(&bytes, 0), Some(bytes.len() as u32));
        let (answer, rest) = next(&bytes).expect("a message");
        assert!(rest.is_empty());
        let Answer::Attributes(found) = answer else { panic!("{answer:?}") };
        let found: Vec<_> = attributes(found).collect();
        assert_eq!(found, [(9, &5_u32.to_ne_bytes()[..]), (10, &b"abcde"[..]), (11, &b""[..])]);
    }

    #[test]
    fn what_is_cut_short_is_the_end() {
        let bytes = Message::request(28, 2, 7).put(10, b"abcdefgh").finish();
        for length in 0..bytes.len() {
            assert_eq!(next(&bytes[..length]), None);
        }
        for length in 0..12 {
            assert_eq!(attributes(&bytes[GENERIC_HEAD..][..length]).count(), 0);
        }
    }

    #[test]
    fn an_error_comes_with_its_words() {
        // nlmsgerr: error, the capped request's head, then the words.
        let mut bytes = Message(vec![0; HEAD]);
        bytes.0[4..6].copy_from_slice(&ERROR.to_ne_bytes());
        bytes.0[6..8].copy_from_slice(&0x300_u16.to_ne_bytes());
        bytes.0.extend((-116_i32).to_ne_bytes());
        bytes.0.extend([0; HEAD]);
        let bytes = bytes.put(1, b"stale\0").finish();
        assert_eq!(next(&bytes).map(|(answer, _)| answer), Some(Answer::End(116, Some("stale"))));
    }
}
