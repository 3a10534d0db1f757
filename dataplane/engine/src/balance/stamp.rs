//! STAMP, the Simple Two-way Active Measurement Protocol: test packets of RFC 8762 in unauthenticated mode.
//!
//! Both kinds are 44 bytes, so that a probe and its answer weigh the same on the way. Times are NTP's format with an origin
//! of the sender's own and are marked as not synchronised: of a reflector's two only the difference is used.

use crate::time::Ns;

/// The reflector's UDP port (RFC 8762 section 4).
pub const PORT: u16 = 862;
/// Bytes of a test packet, either way (RFC 8762 sections 4.2.1 and 4.3.1).
pub const LEN: usize = 44;

/// Error estimate (RFC 4656 section 4.1.2): S = 0, not synchronised; Z = 0, NTP's format; scale 0, multiplier 1, the least
/// there is, since 0 is not allowed.
const ERROR_ESTIMATE: [u8; 2] = [0, 1];

/// A sender's test packet.
pub(super) fn write_request(payload: &mut [u8; LEN], sequence: u32, now: Ns) {
    payload.fill(0);
    payload[..4].copy_from_slice(&sequence.to_be_bytes());
    payload[4..12].copy_from_slice(&ntp(now));
    payload[12..14].copy_from_slice(&ERROR_ESTIMATE);
}

/// Turns a sender's test packet into the reflector's answer, which is stateless: its sequence number is the sender's.
/// `hops` is the TTL or hop limit with which the packet came.
pub(super) fn reflect(payload: &mut [u8; LEN], received: Ns, now: Ns, hops: u8) {
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
}

/// Reads a reflector's answer; `None` when it is too short.
pub(super) fn read_answer(payload: &[u8]) -> Option<Answer> {
    let payload = payload.first_chunk::<LEN>()?;
    let word = |at: usize| {
        payload.get(at..).and_then(<[u8]>::first_chunk::<8>).map(|bytes| u64::from_be_bytes(*bytes))
    };
    let (sent, received) = (word(4)?, word(16)?);
    let sequence =
        payload.get(24..).and_then(<[u8]>::first_chunk::<4>).map(|bytes| u32::from_be_bytes(*bytes))?;
    // In 2^-32 s.
    let kept = sent.wrapping_sub(received);
    let kept = Ns(((u128::from(kept) * 1_000_000_000) >> 32) as u64);
    Some(Answer { sequence, kept })
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
        let mut payload = [0xff; LEN];
        write_request(&mut payload, 77, Ns(1_500_000_000));
        assert_eq!(payload[..16], [0, 0, 0, 77, 0, 0, 0, 1, 0x80, 0, 0, 0, 0, 1, 0, 0]);
        assert!(payload[16..].iter().all(|byte| *byte == 0));
        let request = payload;
        reflect(&mut payload, Ns(9_000_000_000), Ns(9_000_002_000), 255);
        assert_eq!(payload[24..38], request[..14]);
        assert_eq!(payload[40], 255);
        let answer = read_answer(&payload).unwrap();
        assert_eq!(answer.sequence, 77);
        assert!(answer.kept.0.abs_diff(2_000) <= 1, "{answer:?}");
        assert_eq!(read_answer(&payload[1..]), None);
    }
}
