//! Time and rate as plain integers, so that the caller owns the clock.

use core::fmt;
use core::ops::{Add, AddAssign, Sub};

/// A point in time, or a span of it, in nanoseconds since an origin that the caller chose. Never decreases
/// within one run; [`Sub`] saturates at zero, so a clock that steps back cannot produce a huge span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ns(pub u64);

impl Ns {
    /// The origin.
    pub const ZERO: Ns = Ns(0);
    /// Later than anything that happens.
    pub const NEVER: Ns = Ns(u64::MAX);

    /// A span of whole microseconds.
    pub const fn from_micros(us: u64) -> Ns {
        Ns(us * 1_000)
    }
    /// A span of whole milliseconds.
    pub const fn from_millis(ms: u64) -> Ns {
        Ns(ms * 1_000_000)
    }
    /// A span of whole seconds.
    pub const fn from_secs(s: u64) -> Ns {
        Ns(s * 1_000_000_000)
    }
}

impl Add for Ns {
    type Output = Ns;
    fn add(self, span: Ns) -> Ns {
        Ns(self.0.saturating_add(span.0))
    }
}
impl AddAssign for Ns {
    fn add_assign(&mut self, span: Ns) {
        *self = *self + span;
    }
}
impl Sub for Ns {
    type Output = Ns;
    fn sub(self, earlier: Ns) -> Ns {
        Ns(self.0.saturating_sub(earlier.0))
    }
}
impl fmt::Display for Ns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06} ms", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// A rate in bits per second, counted over whole frames as they stand in memory (Ethernet header included,
/// preamble, FCS and inter-frame gap not).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BitsPerSec(pub u64);

impl BitsPerSec {
    /// A rate of whole megabits per second.
    pub const fn from_mbps(mbps: u64) -> BitsPerSec {
        BitsPerSec(mbps * 1_000_000)
    }
}
impl fmt::Display for BitsPerSec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03} Mb/s", self.0 / 1_000_000, self.0 % 1_000_000 / 1_000)
    }
}
