//! When a flow's next frame may leave.
//!
//! A frame of `b` bytes at rate `r` bits per second occupies `8e9 b / r` nanoseconds. The flow's clock moves on by
//! that much per frame; a frame leaves at `max(now, clock)`. At 10 Gb/s a 64-byte frame takes 51.2 ns, so the
//! clock keeps fractions, or the rate would be off by 0.4 %: 2^-20 ns, which is 1e-6 of a nanosecond per byte even
//! at 8 Gb/s.

use crate::time::{BitsPerSec, Ns};
use crate::wheel::SLOT;

const FRACTION_BITS: u32 = 20;
/// Nanoseconds of one byte at 1 bit/s, with fraction: 8.4e15.
const BYTE_NS_Q20: u64 = 8_000_000_000 << FRACTION_BITS;
/// A held frame that leaves late by at most this does not slow its flow down: the wheel rounds up to a slot, a worker
/// looks only once a turn, and a kernel that shares the worker's core takes it for a slice (Linux: 3 ms,
/// `sysctl_sched_base_slice`). Anything beyond is a stall, for which there is no credit. Where this much time is worth
/// more than 2^[`LATE_BYTES_BITS`] bytes, the limit is the time of those.
const LATE_NS_MAX: u64 = 1 << 22;
/// log2 of the bytes that may be made up for at once: 64 KiB, one segmentation-offload burst.
const LATE_BYTES_BITS: u32 = 16;
/// Rounding up to a slot, and one slot of turn gap, are never a stall.
const LATE_NS_MIN: u64 = 2 * SLOT.0;

/// A flow's rate and clock.
#[derive(Clone, Debug)]
pub(super) struct Pacer {
    rate: BitsPerSec,
    /// Nanoseconds per byte, with fraction.
    byte_ns_q20: u64,
    next: Ns,
    /// What `next` lacks, in 2^-20 ns.
    fraction: u32,
    /// Bytes that wait for their time.
    held_bytes: u32,
}

const _: () = assert!(size_of::<Pacer>() <= 32);

impl Pacer {
    /// A pacer whose first frame may leave at `now`.
    pub(super) fn new(rate: BitsPerSec, now: Ns) -> Pacer {
        let mut pacer = Pacer { rate, byte_ns_q20: 0, next: now, fraction: 0, held_bytes: 0 };
        pacer.set_rate(rate);
        pacer
    }

    /// The rate.
    pub(super) fn rate(&self) -> BitsPerSec {
        self.rate
    }

    /// Changes the rate, for every frame that has not left yet except the next one, whose time is set.
    pub(super) fn set_rate(&mut self, rate: BitsPerSec) {
        self.rate = rate;
        self.byte_ns_q20 = BYTE_NS_Q20 / rate.0.max(1);
    }

    /// When the next frame may leave.
    pub(super) fn next(&self) -> Ns {
        self.next
    }

    /// Bytes that wait for their time.
    pub(super) fn held_bytes(&self) -> u32 {
        self.held_bytes
    }

    /// How long a frame that arrives at `now` would wait behind those, at the present rate.
    pub(super) fn wait(&self, now: Ns) -> Ns {
        self.next - now + Ns(self.byte_ns_q20.saturating_mul(u64::from(self.held_bytes)) >> FRACTION_BITS)
    }

    /// A frame begins to wait.
    pub(super) fn hold(&mut self, bytes: u32) {
        self.held_bytes = self.held_bytes.saturating_add(bytes);
    }

    /// A frame leaves at `now` that did not have to wait. Time in which the flow had nothing to send is lost to it.
    pub(super) fn pass(&mut self, now: Ns, bytes: u32) {
        self.restart_at(now);
        self.charge(bytes);
    }

    /// A frame that might leave at `now` has to wait for something else. Time before is lost, as with [`pass`](Pacer::pass).
    pub(super) fn put_off(&mut self, now: Ns) {
        self.restart_at(now);
    }

    /// A frame leaves at `now` that was held until its time. A small lateness is made up for; see [`LATE_NS_MAX`].
    /// Returns by how much it was later than that: a stall.
    pub(super) fn release(&mut self, now: Ns, bytes: u32) -> Ns {
        self.held_bytes = self.held_bytes.saturating_sub(bytes);
        let late_max =
            (self.byte_ns_q20 >> (FRACTION_BITS - LATE_BYTES_BITS)).clamp(LATE_NS_MIN, LATE_NS_MAX);
        let earliest = now - Ns(late_max);
        let stall = earliest - self.next;
        self.restart_at(earliest);
        self.charge(bytes);
        stall
    }

    fn restart_at(&mut self, time: Ns) {
        if time > self.next {
            self.next = time;
            self.fraction = 0;
        }
    }

    fn charge(&mut self, bytes: u32) {
        let cost = self.byte_ns_q20.saturating_mul(u64::from(bytes)).saturating_add(u64::from(self.fraction));
        self.next += Ns(cost >> FRACTION_BITS);
        self.fraction = (cost & ((1 << FRACTION_BITS) - 1)) as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_keeps_the_rate_from_1_mbps_to_10_gbps() {
        for rate in [1_000_000_u64, 2_999_999, 37_123_457, 1_000_000_007, 9_876_543_210, 10_000_000_000] {
            for bytes in [64_u32, 577, 1_514, 65_000] {
                let mut pacer = Pacer::new(BitsPerSec(rate), Ns::ZERO);
                let frames = 100_000_u64;
                for _ in 0..frames {
                    pacer.release(pacer.next(), bytes);
                }
                let exact = u128::from(frames) * u128::from(bytes) * 8_000_000_000 / u128::from(rate);
                let off = u128::from(pacer.next().0).abs_diff(exact);
                assert!(off * 100_000 <= exact, "{rate} bit/s, {bytes} B: {off} ns off {exact}");
            }
        }
    }

    #[test]
    fn idle_time_and_stalls_give_no_credit_but_a_slot_does_not_cost() {
        let mut pacer = Pacer::new(BitsPerSec::from_mbps(8), Ns::ZERO);
        pacer.pass(Ns(0), 1_000);
        assert_eq!(pacer.next(), Ns::from_millis(1));
        pacer.pass(Ns::from_secs(9), 1_000);
        assert_eq!(pacer.next(), Ns::from_secs(9) + Ns::from_millis(1));

        let planned = pacer.next();
        assert_eq!(pacer.release(planned + SLOT, 1_000), Ns::ZERO);
        assert_eq!(pacer.next(), planned + Ns::from_millis(1), "a slot late: made up for");

        let planned = pacer.next();
        let stall = pacer.release(planned + Ns::from_secs(3), 1_000);
        assert_eq!(stall, Ns::from_secs(3) - Ns(LATE_NS_MAX));
        assert_eq!(pacer.next(), planned + stall + Ns::from_millis(1), "a stall: forgotten");
    }

    #[test]
    fn a_wait_is_what_is_held_and_the_rest_of_the_frame_before() {
        let mut pacer = Pacer::new(BitsPerSec::from_mbps(8), Ns::ZERO);
        pacer.pass(Ns(0), 1_000);
        pacer.hold(500);
        pacer.hold(1_500);
        assert_eq!(pacer.wait(Ns(400_000)), Ns(600_000 + 2_000_000));
        pacer.release(Ns::from_millis(1), 500);
        assert_eq!((pacer.held_bytes(), pacer.wait(Ns::from_millis(1))), (1_500, Ns(500_000 + 1_500_000)));
    }

    #[test]
    fn nothing_overflows() {
        let mut pacer = Pacer::new(BitsPerSec(0), Ns::ZERO);
        pacer.pass(Ns::ZERO, u32::MAX);
        pacer.release(Ns::NEVER, u32::MAX);
        pacer.set_rate(BitsPerSec(u64::MAX));
        pacer.release(Ns::NEVER, u32::MAX);
        assert_eq!(pacer.next(), Ns::NEVER);
    }
}
