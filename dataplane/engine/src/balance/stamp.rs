//! STAMP, the Simple Two-way Active Measurement Protocol: test packets of RFC 8762 in unauthenticated mode.
//!
//! Both kinds are 44 bytes and, where a path's frames are counted, 16 more ([`direct`], RFC 8972), so that a probe and its answer
//! weigh the same on the way. Times are NTP's format with an origin of the sender's own and are marked as not synchronised: of a
//! reflector's two only the difference is used.

use super::direct::{self, Counted, EXTENSION_LEN, Told};
use crate::time::Ns;

/// The reflector's UDP port (RFC 8762 section 4).
pub const PORT: u16 = 862;
/// Bytes of a test packet, either way (RFC 8762 sections 4.2.1 and 4.3.1).
pub const LEN: usize = 44;
/// Bytes of one with a direct measurement.
pub(super) const MEASURED_LEN: usize = LEN + EXTENSION_LEN;
/// Test packets up to this length are reflected whole; of a longer one what RFC 8762 knows.
pub(super) const REFLECTED_MAX: usize = 256;

/// Error estimate (RFC 4656 section 4.1.2): S = 0, not synchronised; Z = 0, NTP's format; scale 0, multiplier 1, the least
/// there is, since 0 is not allowed.
const ERROR_ESTIMATE: [u8; 2] = [0, 1];

/// A sender's test packet, which tells that so many frames were `sent` by the path; how much of `payload` it takes.
pub(super) fn write_request(
    payload: &mut [u8; MEASURED_LEN],
    sequence: u32,
    now: Ns,
    sent: Option<u32>,
) -> usize {
    payload.fill(0);
    payload[..4].copy_from_slice(&sequence.to_be_bytes());
    payload[4..12].copy_from_slice(&ntp(now));
    payload[12..14].copy_from_slice(&ERROR_ESTIMATE);
    match (sent, payload.last_chunk_mut::<EXTENSION_LEN>()) {
        (Some(sent), Some(extension)) => {
            direct::write(extension, sent);
            MEASURED_LEN
        }
        _ => LEN,
    }
}

/// Turns a sender's test packet into the reflector's answer, which is stateless: its sequence number is the sender's.
/// `hops` is the TTL or hop limit with which the packet came, `counted` what there is to say of the path's frames.
pub(super) fn reflect(payload: &mut [u8], (received, now): (Ns, Ns), hops: u8, counted: Option<Counted>) {
    let Some((payload, extensions)) = payload.split_first_chunk_mut::<LEN>() else { return };
    direct::reflect(extensions, counted);
    let mut sender = [0; 14];
    sender.copy_from_slice(&payload[..14]);
    payload[4..12].copy_from_slice(&ntp(now));
    payload[12..14].copy_from_slice(&ERROR_ESTIMATE);
    // RFC 8972 section 3: what a sender puts here names its session, and comes back.
    payload[16..24].copy_from_slice(&ntp(received));
    payload[24..38].copy_from_slice(&sender);
    payload[38..40].fill(0);
    payload[40..].copy_from_slice(&[hops, 0, 0, 0]);
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The number of the test packet that it answers.
    pub(super) sequence: u32,
    /// How long the reflector kept it.
    pub(super) kept: Ns,
    /// What was counted of the path.
    pub(super) told: Option<Told>,
}

/// Reads a reflector's answer; `None` when it is too short.
pub(super) fn read_answer(payload: &[u8]) -> Option<Answer> {
    let (payload, extensions) = payload.split_first_chunk::<LEN>()?;
    let word = |at: usize| {
        payload.get(at..).and_then(<[u8]>::first_chunk::<8>).map(|bytes| u64::from_be_bytes(*bytes))
    };
    let (sent, received) = (word(4)?, word(16)?);
    let sequence =
        payload.get(24..).and_then(<[u8]>::first_chunk::<4>).map(|bytes| u32::from_be_bytes(*bytes))?;
    // In 2^-32 s.
    let kept = sent.wrapping_sub(received);
    let kept = Ns(((u128::from(kept) * 1_000_000_000) >> 32) as u64);
    Some(Answer { sequence, kept, told: direct::read(extensions) })
}

/// 32 bits of seconds, 32 of their fraction.
fn ntp(time: Ns) -> [u8; 8] {
    let (seconds, rest) = (time.0 / 1_000_000_000, time.0 % 1_000_000_000);
    let fraction = (rest << 32) / 1_000_000_000;
    ((seconds << 32) | fraction).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_tells_which_packet_it_answers_and_how_long_it_was_kept() {
        let mut payload = [0xff; MEASURED_LEN];
        assert_eq!(write_request(&mut payload, 77, Ns(1_500_000_000), None), LEN);
        assert_eq!(payload[..16], [0, 0, 0, 77, 0, 0, 0, 1, 0x80, 0, 0, 0, 0, 1, 0, 0]);
        assert!(payload[16..].iter().all(|byte| *byte == 0));
        let request = payload;
        let payload = &mut payload[..LEN];
        reflect(payload, (Ns(9_000_000_000), Ns(9_000_002_000)), 255, None);
        assert_eq!(payload[24..38], request[..14]);
        assert_eq!(payload[40], 255);
        let answer = read_answer(payload).unwrap();
        assert_eq!((answer.sequence, answer.told), (77, None));
        assert!(answer.kept.0.abs_diff(2_000) <= 1, "{answer:?}");
        assert_eq!(read_answer(&payload[1..]), None);
    }

    #[test]
    fn an_answer_tells_what_both_ends_have_counted() {
        let mut payload = [0xff; MEASURED_LEN];
        assert_eq!(write_request(&mut payload, 77, Ns(1_500_000_000), Some(9)), MEASURED_LEN);
        assert_eq!(read_answer(&payload).unwrap().told, None, "one that only copies has counted nothing");
        let times = (Ns(9_000_000_000), Ns(9_000_002_000));
        reflect(&mut payload, times, 255, Some(Counted { received: 8, sent: 3 }));
        let answer = read_answer(&payload).unwrap();
        assert_eq!((answer.sequence, answer.told), (77, Some(Told { sent: 9, received: 8 })));
        assert_eq!(read_answer(&payload[..LEN]).unwrap().told, None);
    }
}
