//! One direction of a link: a queue in front of a wire, and the wire's length.
//!
//! ```text
//!            down?  loss?   tail drop?  ECN mark?      rate            delay
//! push(now) ──┬──────┬────────┬───────────┬──▶ queue ──▶ wire ──▶ flight ──▶ pop(now)
//!             ▼      ▼        ▼
//!            cut    lost    dropped
//! ```
//!
//! The wire serialises one frame at a time; frame k begins when frame k - 1 has ended, or on arrival, and is delivered a
//! propagation delay after its end. The remainder of each division is carried within a busy period, so that the rate is
//! exact. Times come from this recurrence alone: the queue needs no event of its own, and whoever looks late sees what
//! was. A link with [`bands`](LinkConfig::bands) serves the lowest DSCP class number that has a frame, strictly; a frame
//! that has waited longer than `ageing` goes before all others, so that no class starves.

use crate::frame::SimFrame;
use std::collections::VecDeque;
use weir_engine::io::Frame as _;
use weir_engine::time::{BitsPerSec, Ns};
use weir_engine::wire;
use weir_env::Rng;

/// Bits per byte times nanoseconds per second: bytes x this / (bit/s) = ns.
const BIT_NS_PER_BYTE: u64 = 8_000_000_000;
/// Classes of a link with bands.
pub const BANDS: usize = 8;

/// How a link behaves.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkConfig {
    /// Bits per second over whole frames.
    pub rate: BitsPerSec,
    /// From the end of a frame's serialisation to its delivery.
    pub delay: Ns,
    /// Bytes that may wait, the frame on the wire not counted.
    pub queue_bytes: u64,
    /// A frame whose arrival makes more bytes than this wait is marked, where its sender understands marks.
    pub ecn_bytes: Option<u64>,
    /// Share of frames lost at random.
    pub loss: f64,
    /// Whether frames are served by their class, the DSCP's upper three bits turned round: class selector 7 first.
    pub bands: bool,
    /// With bands: how long a frame may wait before it goes first.
    pub ageing: Option<Ns>,
}

impl LinkConfig {
    /// A drop-tail link without loss.
    pub fn new(rate: BitsPerSec, delay: Ns, queue_bytes: u64) -> LinkConfig {
        LinkConfig { rate, delay, queue_bytes, ecn_bytes: None, loss: 0.0, bands: false, ageing: None }
    }
}

/// What has happened to frames so far: `pushed = delivered + lost + dropped + cut + inside`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// Frames that came.
    pub pushed: u64,
    /// Frames handed on, and their bytes.
    pub delivered: u64,
    /// See [`delivered`](LinkCounters::delivered).
    pub delivered_bytes: u64,
    /// Frames lost at random.
    pub lost: u64,
    /// Frames that found the queue full.
    pub dropped: u64,
    /// Frames that came while the link was down.
    pub cut: u64,
    /// Frames marked.
    pub marked: u64,
    /// Time that delivered frames waited for the wire, in ns, all together.
    pub waited_ns: u64,
}

/// One direction.
#[derive(Debug)]
pub struct Link {
    config: LinkConfig,
    rng: Rng,
    counters: LinkCounters,
    bands: [VecDeque<(Ns, SimFrame)>; BANDS],
    queued_frames: usize,
    queued_bytes: u64,
    wire_free: Ns,
    /// The fraction of a ns beyond `wire_free`, in units of 1/rate.
    fraction: u64,
    flight: VecDeque<(Ns, SimFrame)>,
    last_due: Ns,
    up: bool,
    /// A delivery is scheduled for then, by whoever drives this.
    pub(crate) scheduled: Ns,
}

impl Link {
    /// An idle link; `rng` decides which frames are lost, one draw for each that comes.
    pub fn new(config: LinkConfig, rng: Rng) -> Link {
        Link {
            config,
            rng,
            counters: LinkCounters::default(),
            bands: Default::default(),
            queued_frames: 0,
            queued_bytes: 0,
            wire_free: Ns::ZERO,
            fraction: 0,
            flight: VecDeque::new(),
            last_due: Ns::ZERO,
            up: true,
            scheduled: Ns::NEVER,
        }
    }

    /// A frame comes. `now` must not decrease between calls of any method.
    pub fn push(&mut self, now: Ns, mut frame: SimFrame) {
        self.advance(now);
        self.counters.pushed += 1;
        // One draw for each frame: loss that is turned on later does not shift the rest.
        let unlucky = self.rng.unit() < self.config.loss;
        let bytes = u64::from(frame.wire_len());
        if !self.up {
            self.counters.cut += 1;
        } else if unlucky {
            self.counters.lost += 1;
        } else if self.wire_free <= now {
            if self.wire_free < now {
                (self.wire_free, self.fraction) = (now, 0);
            }
            self.transmit(now, frame);
        } else if self.queued_bytes + bytes > self.config.queue_bytes {
            self.counters.dropped += 1;
        } else {
            if self.config.ecn_bytes.is_some_and(|limit| self.queued_bytes + bytes > limit) {
                self.counters.marked += u64::from(wire::mark_ce(frame.bytes_mut()));
            }
            self.queued_frames += 1;
            self.queued_bytes += bytes;
            let band = if self.config.bands { band(&frame) } else { 0 };
            self.bands[band].push_back((now, frame));
        }
    }

    /// The next frame that is at the other end by `now`.
    pub fn pop(&mut self, now: Ns) -> Option<SimFrame> {
        self.advance(now);
        if self.flight.front()?.0 > now {
            return None;
        }
        let (_, frame) = self.flight.pop_front()?;
        self.counters.delivered += 1;
        self.counters.delivered_bytes += u64::from(frame.wire_len());
        Some(frame)
    }

    /// When [`pop`](Link::pop) next gives something. While frames wait, one is on the wire and in `flight`.
    pub fn next_due(&self) -> Option<Ns> {
        self.flight.front().map(|(due, _)| *due)
    }

    /// Goes on with another behaviour. The frame on the wire ends at its old rate; those that wait stay.
    pub fn reconfigure(&mut self, now: Ns, config: LinkConfig) {
        self.advance(now);
        if config.rate != self.config.rate {
            self.fraction = 0;
        }
        self.config = config;
    }

    /// Takes the link down, or up again. What is on its way when it goes down still arrives.
    pub fn set_up(&mut self, now: Ns, up: bool) {
        self.advance(now);
        self.up = up;
    }

    /// Whether frames may come.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// The behaviour in force.
    pub fn config(&self) -> &LinkConfig {
        &self.config
    }

    /// What has happened so far.
    pub fn counters(&self) -> &LinkCounters {
        &self.counters
    }

    /// How long a frame that comes at `now` would wait for the wire, behind all that waits.
    pub fn wait(&mut self, now: Ns) -> Ns {
        self.advance(now);
        let waiting = self.queued_bytes.saturating_mul(BIT_NS_PER_BYTE) / self.config.rate.0.max(1);
        self.wire_free - now + Ns(waiting)
    }

    /// Frames inside.
    pub fn inside(&self) -> u64 {
        (self.queued_frames + self.flight.len()) as u64
    }

    /// Lets the wire take every frame whose turn came by `now`. Whatever waits came while the wire was busy, so that the
    /// choice between bands is the one that was made when the wire fell free.
    fn advance(&mut self, now: Ns) {
        while self.queued_frames > 0 && self.wire_free <= now {
            let first = |band: &VecDeque<(Ns, SimFrame)>| band.front().map(|(since, _)| *since);
            let aged = self.config.ageing.and_then(|limit| {
                let oldest =
                    self.bands.iter().enumerate().filter_map(|(at, band)| Some((first(band)?, at))).min()?;
                (self.wire_free - oldest.0 > limit).then_some(oldest.1)
            });
            let at = aged.or_else(|| self.bands.iter().position(|band| !band.is_empty()));
            let Some((since, frame)) = at.and_then(|at| self.bands[at].pop_front()) else { break };
            self.queued_frames -= 1;
            self.queued_bytes -= u64::from(frame.wire_len());
            self.transmit(since, frame);
        }
    }

    fn transmit(&mut self, since: Ns, frame: SimFrame) {
        self.counters.waited_ns += (self.wire_free - since).0;
        let rate = self.config.rate.0.max(1);
        let scaled = u64::from(frame.wire_len()) * BIT_NS_PER_BYTE + self.fraction;
        self.wire_free += Ns(scaled / rate);
        self.fraction = scaled % rate;
        let due = (self.wire_free + self.config.delay).max(self.last_due);
        self.last_due = due;
        self.flight.push_back((due, frame));
    }
}

fn band(frame: &SimFrame) -> usize {
    let class = wire::dscp(frame.bytes()).map_or(0, |dscp| dscp >> 3);
    BANDS - 1 - usize::from(class)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Envelope, HostId};
    use weir_engine::wire::IpVersion;

    fn frame(bytes: u32, class: u8) -> SimFrame {
        let end = (HostId(1), 1);
        let envelope = Envelope { version: IpVersion::V4, from: end, to: end, ecn: 2, flow_label: 0 };
        let mut frame = SimFrame::udp(&envelope, bytes - 42);
        wire::set_dscp(frame.bytes_mut(), class << 3);
        frame
    }

    fn link(mbps: u64, queue_bytes: u64) -> Link {
        let config = LinkConfig::new(BitsPerSec::from_mbps(mbps), Ns(1_000), queue_bytes);
        Link::new(config, Rng::new(1))
    }

    fn conserved(link: &Link) {
        let c = link.counters();
        assert_eq!(c.pushed, c.delivered + c.lost + c.dropped + c.cut + link.inside());
    }

    #[test]
    fn the_rate_is_exact_and_the_tail_drops() {
        // 3 Mb/s: a 1 000 byte frame takes 2 666 666 2/3 ns.
        let mut link = link(3, 5_000);
        for _ in 0..7 {
            link.push(Ns(0), frame(1_000, 0));
        }
        assert_eq!(link.counters().dropped, 1);
        let mut last = Ns(0);
        while let Some(due) = link.next_due() {
            assert_eq!(link.pop(Ns(due.0 - 1)), None);
            assert!(link.pop(due).is_some());
            last = due;
        }
        assert_eq!(last, Ns(16_000_000 + 1_000));
        conserved(&link);
    }

    #[test]
    fn loss_marks_and_cuts_are_counted() {
        let mut link = link(10, 1_000_000);
        link.reconfigure(Ns(0), LinkConfig { loss: 0.25, ecn_bytes: Some(10_000), ..link.config().clone() });
        for _ in 0..400 {
            link.push(Ns(0), frame(1_000, 0));
        }
        link.set_up(Ns(0), false);
        link.push(Ns(0), frame(1_000, 0));
        let c = *link.counters();
        assert!((60..140).contains(&c.lost), "{c:?}");
        assert_eq!((c.cut, c.marked), (1, 400 - c.lost - 11));
        conserved(&link);
    }

    #[test]
    fn the_highest_class_goes_first_and_what_waits_too_long_before_it() {
        let mut link = link(8, 1_000_000);
        let served = |link: &mut Link| {
            let mut order = Vec::new();
            while let Some(due) = link.next_due() {
                order.extend(link.pop(due).and_then(|frame| Some(wire::dscp(frame.bytes())? >> 3)));
            }
            order
        };
        link.reconfigure(Ns(0), LinkConfig { bands: true, ..link.config().clone() });
        for class in [0, 0, 1, 7, 3, 7] {
            link.push(Ns(0), frame(1_000, class));
        }
        // The first was on the wire before the others came.
        assert_eq!(served(&mut link), [0, 7, 7, 3, 1, 0]);

        link.reconfigure(Ns(0), LinkConfig { ageing: Some(Ns::from_millis(3)), ..link.config().clone() });
        let start = Ns::from_secs(1);
        link.push(start, frame(1_000, 7));
        link.push(start, frame(1_000, 0));
        for _ in 0..6 {
            link.push(start + Ns(10), frame(1_000, 7));
        }
        assert_eq!(served(&mut link), [7, 7, 7, 7, 0, 7, 7, 7]);
        conserved(&link);
    }

    #[test]
    fn what_waits_is_served_at_a_new_rate() {
        let mut link = link(8, 10_000);
        link.push(Ns(0), frame(1_000, 0));
        link.push(Ns(0), frame(1_000, 0));
        assert_eq!(link.wait(Ns(0)), Ns::from_millis(2));
        link.reconfigure(Ns(0), LinkConfig { rate: BitsPerSec::from_mbps(80), ..link.config().clone() });
        assert!(link.pop(Ns(1_001_000)).is_some());
        assert_eq!(link.next_due(), Some(Ns(1_101_000)));
    }
}
