//! Background traffic: UDP at a rate that changes at random.

use crate::frame::{Envelope, HostId, MSS_IPV4, SimFrame};
use crate::random;
use weir_engine::time::{BitsPerSec, Ns};
use weir_engine::wire::IpVersion;
use weir_env::Rng;

/// RFC 863, discard: nobody answers.
pub(crate) const DISCARD_PORT: u16 = 9;
/// Ethernet, IPv4 and UDP headers, and the payload of a full frame of 1514 bytes.
const PAYLOAD: u32 = MSS_IPV4 + 24;

/// How a source's rate changes.
#[derive(Clone, Debug, PartialEq)]
pub enum Pattern {
    /// Always the same.
    Constant(BitsPerSec),
    /// Two rates by turns, each for an exponential time of this mean.
    Toggle {
        /// The one.
        low: BitsPerSec,
        /// The other.
        high: BitsPerSec,
        /// Mean time of each.
        mean: Ns,
    },
    /// A rate drawn between two, again and again after a time drawn between two.
    Uniform {
        /// Lowest rate.
        low: BitsPerSec,
        /// Highest rate.
        high: BitsPerSec,
        /// Shortest and longest time at one rate.
        hold: (Ns, Ns),
    },
}

/// A source and where it enters the world.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceConfig {
    /// How fast.
    pub pattern: Pattern,
    /// The link that its frames enter, past any host's Weir.
    pub link: usize,
    /// Where they go.
    pub to: HostId,
}

/// A source at work.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) config: SourceConfig,
    rng: Rng,
    rate: BitsPerSec,
    change_at: Ns,
    high: bool,
    next: Ns,
    fraction: u64,
    number: u16,
    /// Bytes sent so far, whole frames.
    pub(crate) bytes: u64,
}

impl Source {
    pub(crate) fn new(config: SourceConfig, number: u16, mut rng: Rng) -> Source {
        let high = rng.unit() < 0.5;
        let mut source = Source {
            config,
            rng,
            rate: BitsPerSec(0),
            change_at: Ns::ZERO,
            high,
            next: Ns::ZERO,
            fraction: 0,
            number,
            bytes: 0,
        };
        source.change(Ns::ZERO);
        source
    }

    /// What leaves at `now`, and when to ask again.
    pub(crate) fn send(&mut self, now: Ns) -> (Option<SimFrame>, Ns) {
        while self.change_at <= now {
            let at = self.change_at;
            self.change(at);
        }
        if self.rate.0 == 0 {
            self.next = self.change_at;
            return (None, self.change_at);
        }
        let from = (HostId(u16::MAX), 40_000 + self.number);
        let to = (self.config.to, DISCARD_PORT);
        let envelope = Envelope { version: IpVersion::V4, from, to, ecn: 0, flow_label: 0 };
        let frame = SimFrame::udp(&envelope, PAYLOAD);
        self.bytes += u64::from(PAYLOAD + 42);
        let scaled = u64::from(PAYLOAD + 42) * 8_000_000_000 + self.fraction;
        self.next = now + Ns(scaled / self.rate.0);
        self.fraction = scaled % self.rate.0;
        (Some(frame), self.next)
    }

    fn change(&mut self, now: Ns) {
        let hold = match &self.config.pattern {
            Pattern::Constant(rate) => {
                self.rate = *rate;
                Ns::NEVER
            }
            Pattern::Toggle { low, high, mean } => {
                self.high = !self.high;
                self.rate = if self.high { *high } else { *low };
                Ns(random::exponential(&mut self.rng, mean.0 as f64) as u64 + 1)
            }
            Pattern::Uniform { low, high, hold } => {
                self.rate = BitsPerSec(self.rng.uniform(low.0 as f64, high.0 as f64) as u64);
                Ns(self.rng.uniform(hold.0.0 as f64, hold.1.0 as f64) as u64 + 1)
            }
        };
        self.fraction = 0;
        self.change_at = now + hold;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_engine::io::Frame as _;

    #[test]
    fn the_mean_rate_is_that_of_the_pattern() {
        let (low, high) = (BitsPerSec::from_mbps(50), BitsPerSec::from_mbps(550));
        let hold = (Ns::from_millis(5), Ns::from_millis(15));
        for (pattern, tolerance) in [
            (Pattern::Constant(BitsPerSec::from_mbps(300)), 1e-4),
            (Pattern::Toggle { low, high, mean: Ns::from_millis(10) }, 0.1),
            (Pattern::Uniform { low, high, hold }, 0.05),
        ] {
            let config = SourceConfig { pattern: pattern.clone(), link: 0, to: HostId(1) };
            let mut source = Source::new(config, 0, random::stream(3, "source", 0));
            let (mut at, mut bits, end) = (Ns::ZERO, 0.0, Ns::from_secs(10));
            while at < end {
                let (frame, next) = source.send(at);
                bits += frame.map_or(0.0, |frame| f64::from(frame.wire_len()) * 8.0);
                at = next;
            }
            assert!((bits / 10.0 / 300e6 - 1.0).abs() < tolerance, "{pattern:?}: {bits}");
        }
    }
}
