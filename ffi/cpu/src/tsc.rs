//! The time-stamp counter as a clock: how fast it ticks, and ticks to nanoseconds in integers.
//!
//! Reading the counter costs about 20 cycles and no system call, so a worker can stamp every turn. It is a
//! clock only where it is *invariant*: one rate whatever the core's frequency and sleep state (CPUID
//! 8000_0007h EDX bit 8).

use std::time::Duration;
use thiserror::Error;

/// Reads the counter: ticks since an origin of the machine's choice, alike on all cores where the counter is
/// invariant. Not serialising: neighbouring instructions may move across it, tens of cycles at most.
#[inline(always)]
pub fn tsc() -> u64 {
    arch::read()
}

/// Where the rate of the counter was learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TscSource {
    /// The processor states it (CPUID leaf 15h with the crystal's frequency): exact.
    Cpuid,
    /// Measured against `CLOCK_MONOTONIC_RAW`: within about one part per million.
    Measured,
}

/// The rate of the counter and how it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calibration {
    /// Ticks per second.
    pub hz: u64,
    /// Origin of the figure.
    pub source: TscSource,
}

/// Why the counter cannot serve as a clock.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TscError {
    /// The rate changes with power states.
    #[error(
        "the time-stamp counter of this processor is not invariant (see `constant_tsc nonstop_tsc` in /proc/cpuinfo): it cannot be used as a clock"
    )]
    NotInvariant,
    /// The kernel's clock could not be read.
    #[error("cannot read CLOCK_MONOTONIC_RAW: {0}")]
    Clock(nix::errno::Errno),
    /// The counter stood still, or ran at a rate that no processor has.
    #[error("the time-stamp counter ran at {hz} Hz, outside 1 MHz to 100 GHz: it cannot be used as a clock")]
    Implausible {
        /// What was measured.
        hz: u64,
    },
}

/// Counter to nanoseconds since the clock was made.
///
/// `ns = ticks * multiplier >> shift` over 128 bits, with the multiplier normalised to 63 or 64 significant
/// bits: the conversion itself loses less than 1 ns in 100 years, never steps back, and does not depend on when
/// it was last asked. What remains is the error of [`Calibration`].
#[derive(Clone, Copy, Debug)]
pub struct TscClock {
    origin: u64,
    multiplier: u64,
    shift: u32,
    calibration: Calibration,
}

const NS_PER_SEC: u128 = 1_000_000_000;
const HZ_MIN: u64 = 1_000_000;
const HZ_MAX: u64 = 100_000_000_000;

/// How long a measurement takes. The ends are known to some 30 ns each, so 60 ms bound the error by 1 ppm.
const MEASURE: Duration = Duration::from_millis(60);

impl TscClock {
    /// Learns the rate of the counter and starts a clock at zero. Takes some 60 ms where the processor does not
    /// state the rate, so call it once and hand out copies: all of them share their origin.
    ///
    /// # Errors
    /// The counter is not invariant, or the kernel's clock could not be read to calibrate against.
    pub fn calibrate() -> Result<TscClock, TscError> {
        if !arch::invariant() {
            return Err(TscError::NotInvariant);
        }
        let calibration = match arch::stated_hz() {
            Some(hz) => Calibration { hz, source: TscSource::Cpuid },
            None => Calibration { hz: measure()?, source: TscSource::Measured },
        };
        TscClock::new(tsc(), calibration)
    }

    fn new(origin: u64, calibration: Calibration) -> Result<TscClock, TscError> {
        let hz = calibration.hz;
        if !(HZ_MIN..=HZ_MAX).contains(&hz) {
            return Err(TscError::Implausible { hz });
        }
        // The largest shift for which 10^9 * 2^shift / hz still fits 64 bits. The bounds on `hz` keep the
        // shifted numerator below 2^(30 + 70), and `shift` between 54 and 70.
        let mut shift = 70;
        while (NS_PER_SEC << shift) / u128::from(hz) > u128::from(u64::MAX) {
            shift -= 1;
        }
        let multiplier = ((NS_PER_SEC << shift) / u128::from(hz)) as u64;
        Ok(TscClock { origin, multiplier, shift, calibration })
    }

    /// The rate in use.
    pub fn calibration(&self) -> Calibration {
        self.calibration
    }

    /// Nanoseconds since [`TscClock::calibrate`] returned.
    #[inline(always)]
    pub fn now_ns(&self) -> u64 {
        self.ns_at(tsc())
    }

    /// Nanoseconds from the clock's origin to a reading of [`tsc`]; 0 for a reading before it.
    #[inline(always)]
    pub fn ns_at(&self, ticks: u64) -> u64 {
        self.span_ns(ticks.saturating_sub(self.origin))
    }

    /// The length in nanoseconds of a span of ticks, rounded down.
    #[inline(always)]
    pub fn span_ns(&self, ticks: u64) -> u64 {
        ((u128::from(ticks) * u128::from(self.multiplier)) >> self.shift) as u64
    }
}

/// Ticks per second, from two readings of both clocks [`MEASURE`] apart.
fn measure() -> Result<u64, TscError> {
    let (tick_0, ns_0) = read_pair()?;
    std::thread::sleep(MEASURE);
    let (tick_1, ns_1) = read_pair()?;
    let ticks = u128::from(tick_1.saturating_sub(tick_0));
    let ns = u128::from(ns_1.saturating_sub(ns_0).max(1));
    Ok(u64::try_from((ticks * NS_PER_SEC + ns / 2) / ns).unwrap_or(u64::MAX))
}

/// One moment on both clocks: of 64 tries the one in which the kernel's clock was read fastest, so an interrupt
/// in between does not count.
fn read_pair() -> Result<(u64, u64), TscError> {
    let mut best = (u64::MAX, 0, 0);
    for _ in 0..64 {
        let before = tsc();
        let ns = raw_ns().map_err(TscError::Clock)?;
        let width = tsc().saturating_sub(before);
        if width < best.0 {
            best = (width, before + width / 2, ns);
        }
    }
    Ok((best.1, best.2))
}

/// `CLOCK_MONOTONIC_RAW`: the hardware's rate, which NTP does not slew.
fn raw_ns() -> Result<u64, nix::errno::Errno> {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC_RAW)?;
    Ok(now.tv_sec() as u64 * NS_PER_SEC as u64 + now.tv_nsec() as u64)
}

#[cfg(target_arch = "x86_64")]
mod arch {
    use crate::model::cpuid;
    use core::arch::x86_64::_rdtsc;

    #[inline(always)]
    pub(super) fn read() -> u64 {
        // SAFETY: RDTSC is in the x86-64 baseline and touches no memory. Linux leaves it enabled in user mode
        // unless a process forbids it to itself (prctl PR_SET_TSC), which nothing here does.
        unsafe { _rdtsc() }
    }

    pub(super) fn invariant() -> bool {
        cpuid(0x8000_0000).eax >= 0x8000_0007 && cpuid(0x8000_0007).edx & (1 << 8) != 0
    }

    /// Leaf 15h: TSC = crystal (ECX, Hz) * EBX / EAX. Leaf 16h holds only the nominal frequency of the label,
    /// off by up to a percent from the counter's, so it is not used: measuring is better.
    pub(super) fn stated_hz() -> Option<u64> {
        if cpuid(0).eax < 0x15 {
            return None;
        }
        let leaf = cpuid(0x15);
        if leaf.eax == 0 || leaf.ebx == 0 || leaf.ecx == 0 {
            return None;
        }
        Some(u64::from(leaf.ecx) * u64::from(leaf.ebx) / u64::from(leaf.eax))
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod arch {
    pub(super) fn read() -> u64 {
        super::raw_ns().unwrap_or(0)
    }
    pub(super) fn invariant() -> bool {
        true
    }
    pub(super) fn stated_hz() -> Option<u64> {
        Some(1_000_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(hz: u64) -> TscClock {
        TscClock::new(0, Calibration { hz, source: TscSource::Measured }).unwrap()
    }

    #[test]
    fn a_century_of_ticks_converts_within_a_nanosecond() {
        for hz in [HZ_MIN, 24_000_000, 999_999_999, 1_000_000_000, 2_596_123_457, 5_700_000_000] {
            let clock = clock(hz);
            for seconds in [1u128, 86_400, 30 * 86_400, 100 * 365 * 86_400] {
                let ticks = seconds * u128::from(hz) + 12_345;
                let Ok(ticks) = u64::try_from(ticks) else { continue };
                let exact = (u128::from(ticks) * NS_PER_SEC / u128::from(hz)) as u64;
                let ours = clock.span_ns(ticks);
                assert!(ours <= exact && exact - ours <= 1, "{hz} Hz, {seconds} s: {ours} for {exact}");
            }
        }
    }

    #[test]
    fn conversion_never_steps_back() {
        let clock = clock(2_596_123_457);
        let day = 86_400 * 2_596_123_457;
        let mut last = 0;
        for ticks in day..day + 10_000 {
            let ns = clock.span_ns(ticks);
            assert!(ns == last || ns == last + 1 || last == 0, "{last} then {ns}");
            last = ns;
        }
    }

    #[test]
    fn readings_before_the_origin_are_zero() {
        let clock =
            TscClock::new(1_000, Calibration { hz: 1_000_000_000, source: TscSource::Cpuid }).unwrap();
        assert_eq!((clock.ns_at(999), clock.ns_at(1_000), clock.ns_at(1_001)), (0, 0, 1));
    }

    #[test]
    fn rates_that_no_processor_has_are_refused() {
        for hz in [0, 999_999, u64::MAX] {
            let made = TscClock::new(0, Calibration { hz, source: TscSource::Measured });
            assert_eq!(made.unwrap_err(), TscError::Implausible { hz });
        }
    }

    #[test]
    fn the_clock_keeps_the_kernels_pace() {
        let clock = match TscClock::calibrate() {
            Ok(clock) => clock,
            Err(TscError::NotInvariant) if std::env::var_os("WEIR_REQUIRE_ALL").is_none() => {
                eprintln!("SKIPPED tsc pace: this processor's counter is not invariant");
                return;
            }
            Err(error) => panic!("{error}"),
        };
        let (tick_0, raw_0) = read_pair().unwrap();
        std::thread::sleep(Duration::from_millis(100));
        let (tick_1, raw_1) = read_pair().unwrap();
        let ours = clock.span_ns(tick_1 - tick_0);
        let kernels = raw_1 - raw_0;
        // 50 ppm: room for a virtual machine whose clock page is updated while we look.
        assert!(ours.abs_diff(kernels) < kernels / 20_000, "{ours} ns against {kernels} ns");
    }
}
