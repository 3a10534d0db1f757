//! The end that has data.

use super::TcpConfig;
use super::congestion::{Acked, Congestion};
use super::ranges::Ranges;
use std::collections::{BTreeSet, VecDeque};
use weir_engine::time::Ns;

/// Transmissions that must have overtaken a segment before it counts as lost: RFC 5681's three duplicates, counted in the
/// order of transmission as RACK does (RFC 8985).
const REORDERING: u64 = 3;
/// Doublings of the timeout at most.
const BACKOFF_MAX: u32 = 8;
/// RFC 6298 section 2.4 asks for an upper bound of 60 s or more.
const RTO_MAX: Ns = Ns::from_secs(60);

/// What an acknowledgement says, in offsets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    /// Bytes acknowledged from the beginning.
    pub(crate) offset: u64,
    pub(crate) runs: [(u64, u64); 3],
    /// Bytes that may be outstanding.
    pub(crate) window: u64,
    pub(crate) ece: bool,
}

/// What became of an acknowledgement, for who chooses paths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AckReport {
    pub(crate) rtt: Option<Ns>,
    pub(crate) bytes: u64,
    /// Segments newly found lost.
    pub(crate) lost: u64,
}

/// A segment that is to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Transmit {
    pub(crate) offset: u64,
    pub(crate) payload: u32,
    pub(crate) last: bool,
    pub(crate) repeated: bool,
    /// Tells the receiver that its echo of a mark has been heard.
    pub(crate) reduced: bool,
}

/// The sending half of a connection, its handshake done.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    config: TcpConfig,
    congestion: Congestion,
    /// Bytes to send; `u64::MAX` for as long as the run lasts.
    total: u64,
    segments: u64,
    /// First segment not acknowledged, and first not sent.
    base: u64,
    next: u64,
    outstanding: VecDeque<Outstanding>,
    sacked: Ranges,
    lost: BTreeSet<u64>,
    flight: u64,
    /// Transmissions so far, the latest that has arrived, and those whose fate is open.
    order: u64,
    arrived: u64,
    transmissions: VecDeque<(u64, u64)>,
    /// While repairing: all below must be acknowledged before the window may shrink again.
    recover: Option<u64>,
    /// Whether it is a timeout that is being repaired: then the window grows meanwhile.
    silenced: bool,
    window: u64,
    delivered: u64,
    delivered_at: Ns,
    smoothed: Option<(Ns, Ns)>,
    least_rtt: Ns,
    backoff: u32,
    pub(crate) timeout_at: Ns,
    /// When the sender's own pacing lets the next segment go.
    pub(crate) pace_at: Ns,
    limited: bool,
    reduced: bool,
    pub(crate) retransmitted: u64,
    pub(crate) timeouts: u64,
}

#[derive(Clone, Copy, Debug)]
struct Outstanding {
    state: Fate,
    order: u64,
    sent_at: Ns,
    repeated: bool,
    /// What had been delivered when it left, and when the last of that was.
    delivered: u64,
    delivered_at: Ns,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Sent,
    Lost,
    Arrived,
}

impl Sender {
    /// For `total` bytes. `rtt` is what the handshake took.
    pub(crate) fn new(config: &TcpConfig, total: u64, now: Ns, rtt: Option<Ns>) -> Sender {
        let mut sender = Sender {
            config: *config,
            congestion: Congestion::new(config.congestion),
            total,
            segments: total.div_ceil(u64::from(config.mss)),
            base: 0,
            next: 0,
            outstanding: VecDeque::new(),
            sacked: Ranges::default(),
            lost: BTreeSet::new(),
            flight: 0,
            order: 0,
            arrived: 0,
            transmissions: VecDeque::new(),
            recover: None,
            silenced: false,
            window: config.receive_window,
            delivered: 0,
            delivered_at: now,
            smoothed: None,
            least_rtt: Ns::ZERO,
            backoff: 0,
            timeout_at: Ns::NEVER,
            pace_at: Ns::ZERO,
            limited: false,
            reduced: false,
            retransmitted: 0,
            timeouts: 0,
        };
        if let Some(rtt) = rtt {
            sender.sample(rtt);
        }
        sender
    }

    /// Whether everything has been acknowledged.
    pub(crate) fn is_done(&self) -> bool {
        self.base >= self.segments
    }

    /// Bytes acknowledged.
    pub(crate) fn acknowledged(&self) -> u64 {
        (self.base.saturating_mul(u64::from(self.config.mss))).min(self.total)
    }

    /// RTT so far.
    pub(crate) fn smoothed_rtt(&self) -> Option<Ns> {
        self.smoothed.map(|(mean, _)| mean)
    }

    /// Gives each segment that may leave now to `emit`.
    pub(crate) fn poll(&mut self, now: Ns, mut emit: impl FnMut(Transmit)) {
        let mss = u64::from(self.config.mss);
        loop {
            self.limited = (self.flight + 1) as f64 > self.congestion.window();
            if self.limited || now < self.pace_at {
                break;
            }
            let repair = self.lost.first().copied();
            let at = repair.unwrap_or(self.next);
            let offset = at * mss;
            if at >= self.segments {
                break;
            }
            let payload = mss.min(self.total - offset);
            if repair.is_none() && offset + payload > self.base * mss + self.window {
                break;
            }
            self.transmit(now, at, repair.is_some());
            emit(Transmit {
                offset,
                payload: payload as u32,
                last: at + 1 == self.segments,
                repeated: repair.is_some(),
                reduced: std::mem::take(&mut self.reduced),
            });
            if let Some(rate) = self.congestion.pacing() {
                self.pace_at = self.pace_at.max(now) + Ns((1e9 / rate.max(1.0)) as u64);
            }
        }
        if self.timeout_at == Ns::NEVER && !self.outstanding.is_empty() {
            self.timeout_at = now + self.patience();
        }
    }

    fn transmit(&mut self, now: Ns, at: u64, repair: bool) {
        self.order += 1;
        self.flight += 1;
        self.transmissions.push_back((self.order, at));
        if self.flight == 1 {
            // Nothing was on its way: time without data is no slow network.
            self.delivered_at = now;
        }
        let sent = Outstanding {
            state: Fate::Sent,
            order: self.order,
            sent_at: now,
            repeated: repair,
            delivered: self.delivered,
            delivered_at: self.delivered_at,
        };
        if repair {
            self.lost.remove(&at);
            self.retransmitted += 1;
            if let Some(slot) = self.outstanding.get_mut((at - self.base) as usize) {
                *slot = sent;
            }
        } else {
            self.outstanding.push_back(sent);
            self.next += 1;
        }
    }

    /// An acknowledgement has arrived.
    pub(crate) fn on_ack(&mut self, now: Ns, heard: &Heard) -> AckReport {
        let mss = u64::from(self.config.mss);
        let (flight, limited) = (self.flight, self.limited);
        self.window = heard.window;
        let mut news = News::default();
        let base = if heard.offset >= self.total { self.segments } else { heard.offset / mss };
        let advanced = base > self.base && base <= self.next;
        if advanced {
            for at in self.base..base {
                if let Some(segment) = self.outstanding.pop_front() {
                    self.arrive(now, at, segment, &mut news);
                }
            }
            self.base = base;
            self.sacked.forget_below(base);
            self.backoff = 0;
            self.timeout_at = Ns::NEVER;
            self.recover = self.recover.filter(|recover| base < *recover);
            self.silenced &= self.recover.is_some();
        }
        for (start, end) in heard.runs.into_iter().filter(|(start, end)| start < end) {
            let range = (start / mss).max(self.base)..end.div_ceil(mss).min(self.next);
            let mut fresh = Vec::new();
            self.sacked.insert(range.start, range.end.max(range.start), |low, high| fresh.push(low..high));
            for at in fresh.into_iter().flatten() {
                let Some(slot) = self.outstanding.get_mut((at - self.base) as usize) else { continue };
                let segment = *slot;
                slot.state = Fate::Arrived;
                self.arrive(now, at, segment, &mut news);
            }
        }
        if self.silenced && news.unrepeated {
            self.undo_timeout();
        }
        let lost = self.detect();
        let echoed = heard.ece && self.congestion.heeds_echo();
        if (lost > 0 || echoed) && self.recover.is_none() {
            self.recover = Some(self.next);
            self.congestion.on_congestion(now);
            self.reduced = heard.ece;
        }
        let rtt = news.newest.filter(|newest| !newest.repeated).map(|newest| now - newest.sent_at);
        if let Some(rtt) = rtt {
            self.sample(rtt);
        }
        if news.segments > 0 {
            self.delivered_at = now;
            let rate = news.newest.map(|newest| {
                let span = (now - newest.delivered_at).0.max(1);
                ((self.delivered - newest.delivered) as f64 * 1e9 / span as f64, newest.delivered)
            });
            self.congestion.on_ack(&Acked {
                now,
                segments: news.segments,
                delivered: self.delivered,
                flight,
                rtt,
                smoothed_rtt: self.smoothed_rtt().unwrap_or_default(),
                rate,
                marked: heard.ece,
                limited,
                recovering: self.recover.is_some() && !self.silenced,
            });
        }
        AckReport { rtt, bytes: news.segments * mss, lost }
    }

    /// A segment has been delivered.
    fn arrive(&mut self, now: Ns, at: u64, segment: Outstanding, news: &mut News) {
        match segment.state {
            Fate::Arrived => return,
            Fate::Lost => {
                self.lost.remove(&at);
                news.unrepeated = true;
            }
            Fate::Sent => self.flight -= 1,
        }
        self.delivered += 1;
        news.segments += 1;
        // A segment thought lost that arrives says nothing about later transmissions, nor does one whose repetition cannot
        // have arrived so soon (RFC 8985 section 6.2, step 2).
        let too_soon = segment.repeated && now - segment.sent_at < self.least_rtt;
        if segment.state == Fate::Sent && !too_soon {
            self.arrived = self.arrived.max(segment.order);
            if news.newest.is_none_or(|newest| newest.order < segment.order) {
                news.newest = Some(segment);
            }
        }
    }

    /// Finds what has been overtaken often enough to be lost.
    fn detect(&mut self) -> u64 {
        let mut found = 0;
        while let Some(&(order, at)) = self.transmissions.front()
            && order + REORDERING <= self.arrived
        {
            self.transmissions.pop_front();
            let Some(slot) =
                at.checked_sub(self.base).and_then(|index| self.outstanding.get_mut(index as usize))
            else {
                continue;
            };
            if slot.state == Fate::Sent && slot.order == order {
                slot.state = Fate::Lost;
                self.lost.insert(at);
                self.flight -= 1;
                found += 1;
            }
        }
        found
    }

    /// The timeout has passed. Says whether it meant something.
    pub(crate) fn on_timeout(&mut self, now: Ns) -> bool {
        if now < self.timeout_at || self.outstanding.is_empty() {
            return false;
        }
        for (slot, at) in self.outstanding.iter_mut().zip(self.base..) {
            if slot.state == Fate::Sent {
                slot.state = Fate::Lost;
                self.lost.insert(at);
            }
        }
        self.flight = 0;
        self.transmissions.clear();
        (self.recover, self.silenced) = (Some(self.next), true);
        self.congestion.on_timeout(now);
        self.backoff = (self.backoff + 1).min(BACKOFF_MAX);
        self.timeouts += 1;
        self.pace_at = now;
        self.timeout_at = now + self.patience();
        true
    }

    /// What counted as lost arrives although it was not repeated: the timeout was a mistake (F-RTO, RFC 5682; Eifel, RFC
    /// 3522), and the rest is still on its way.
    fn undo_timeout(&mut self) {
        self.silenced = false;
        self.recover = None;
        self.lost.clear();
        self.flight = 0;
        let mut open = Vec::new();
        for (slot, at) in self.outstanding.iter_mut().zip(self.base..) {
            if slot.state != Fate::Arrived {
                slot.state = Fate::Sent;
                self.flight += 1;
                open.push((slot.order, at));
            }
        }
        open.sort_unstable();
        self.transmissions = open.into();
        self.congestion.undo_timeout();
    }

    /// RFC 6298.
    fn sample(&mut self, rtt: Ns) {
        self.least_rtt = if self.smoothed.is_none() { rtt } else { self.least_rtt.min(rtt) };
        self.smoothed = Some(match self.smoothed {
            None => (rtt, Ns(rtt.0 / 2)),
            Some((mean, deviation)) => {
                let error = mean.0.abs_diff(rtt.0);
                (Ns((7 * mean.0 + rtt.0) / 8), Ns((3 * deviation.0 + error) / 4))
            }
        });
    }

    fn patience(&self) -> Ns {
        let rto = match self.smoothed {
            None => self.config.rto_initial,
            // Linux holds the variance's part at the minimum, not the sum.
            Some((mean, deviation)) => mean + Ns(4 * deviation.0).max(self.config.rto_min),
        };
        Ns(rto.0 << self.backoff).min(RTO_MAX)
    }
}

/// What one acknowledgement delivers.
#[derive(Debug, Default)]
struct News {
    segments: u64,
    /// The segment sent last.
    newest: Option<Outstanding>,
    /// Whether one of them had counted as lost, and had not been repeated.
    unrepeated: bool,
}

#[cfg(test)]
mod tests {
    use super::super::CongestionKind;
    use super::*;

    fn sender(kind: CongestionKind, segments: u64) -> Sender {
        let config = TcpConfig::linux(kind, 1_000);
        Sender::new(&config, segments * 1_000, Ns::ZERO, Some(Ns::from_millis(10)))
    }

    fn burst(sender: &mut Sender, now: Ns) -> Vec<u64> {
        let mut sent = Vec::new();
        sender.poll(now, |one| sent.push(one.offset / 1_000));
        sent
    }

    fn ack(offset: u64, runs: &[(u64, u64)]) -> Heard {
        let mut told = [(0, 0); 3];
        told.iter_mut().zip(runs).for_each(|(slot, run)| *slot = (run.0 * 1_000, run.1 * 1_000));
        Heard { offset: offset * 1_000, runs: told, window: 1 << 30, ece: false }
    }

    #[test]
    fn a_hole_is_repaired_once_three_later_segments_have_arrived_and_the_window_halves_once() {
        let mut sender = sender(CongestionKind::Reno, 100);
        assert_eq!(burst(&mut sender, Ns(0)), (0..10).collect::<Vec<_>>());
        let at = Ns::from_millis(10);
        sender.on_ack(at, &ack(2, &[]));
        assert_eq!(burst(&mut sender, at), [10, 11, 12, 13]);
        // 2 is missing; 3 and 4 arrive, then 5.
        assert_eq!(sender.on_ack(at, &ack(2, &[(3, 5)])).lost, 0);
        assert_eq!(sender.on_ack(at, &ack(2, &[(3, 6)])).lost, 1);
        assert_eq!(sender.congestion.window(), 7.0);
        // 8 more in flight: the repair waits until there is room.
        assert!(burst(&mut sender, at).is_empty());
        sender.on_ack(at, &ack(2, &[(3, 8)]));
        assert_eq!(burst(&mut sender, at), [2]);
        sender.on_ack(at, &ack(14, &[]));
        assert!(sender.congestion.window() >= 7.0 && sender.recover.is_none());
        assert_eq!((sender.retransmitted, sender.flight), (1, 0));
    }

    #[test]
    fn a_dctcp_window_of_two_segments_grows_again_once_marks_end() {
        let mut sender = sender(CongestionKind::Dctcp, 10_000);
        (0..4).for_each(|_| sender.congestion.on_congestion(Ns::ZERO));
        assert_eq!(sender.congestion.window(), 2.0);
        // Every acknowledgement ends a round: it covers all that was on its way.
        let mut acked = 0;
        for round in 1..20 {
            let now = Ns::from_millis(10 * round);
            acked += burst(&mut sender, now).len() as u64;
            sender.on_ack(now + Ns::from_millis(10), &ack(acked, &[]));
        }
        assert!(sender.congestion.window() > 10.0, "{}", sender.congestion.window());
    }

    #[test]
    fn silence_repeats_everything_and_backs_off() {
        let mut sender = sender(CongestionKind::Cubic, 4);
        burst(&mut sender, Ns(0));
        let at = sender.timeout_at;
        assert!(!sender.on_timeout(Ns(at.0 - 1)) && sender.on_timeout(at));
        assert_eq!(burst(&mut sender, at), [0]);
        let patience = sender.timeout_at - at;
        assert_eq!(patience, Ns(2 * at.0));
        sender.on_ack(at + Ns::from_millis(10), &ack(1, &[]));
        assert_eq!(burst(&mut sender, at + Ns::from_millis(10)).first(), Some(&1));
        sender.on_ack(at + Ns::from_millis(20), &ack(4, &[]));
        assert!(sender.is_done());
    }

    #[test]
    fn yield_keeps_to_the_receivers_window_and_to_nothing_else() {
        let mut sender = sender(CongestionKind::Yield, 10_000);
        let sent = burst(&mut sender, Ns(0)).len() as u64;
        assert_eq!(sent, (6 << 20) / 1_000);
        let report = sender.on_ack(Ns::from_millis(10), &ack(0, &[(5, 100)]));
        assert_eq!(report.lost, 5);
        assert_eq!(burst(&mut sender, Ns::from_millis(10)).first(), Some(&0));
        assert!(sender.congestion.window() > 1e6);
    }

    #[test]
    fn a_timeout_that_was_a_mistake_is_undone() {
        for kind in [CongestionKind::Yield, CongestionKind::Reno] {
            let mut sender = sender(kind, 10_000);
            let sent = burst(&mut sender, Ns(0)).len() as u64;
            let silence = sender.timeout_at;
            let window = sender.congestion.window();
            assert!(sender.on_timeout(silence));
            assert_eq!(burst(&mut sender, silence), [0], "it asks first");
            // What comes back had been sent long ago, the repeated segment among it.
            sender.on_ack(silence, &ack(2, &[]));
            assert_eq!((sender.flight, sender.lost.len()), (sent - 2, 0), "{}", kind.name());
            assert!(sender.congestion.window() >= window);
            assert!(burst(&mut sender, silence).iter().all(|at| *at >= sent));
        }
    }
}
