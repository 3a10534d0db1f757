//! `bbr_lite` on a fluid path: what is sent above the path's rate queues, what is queued adds to the RTT.

use super::*;

struct Path {
    now: Ns,
    rate: u64,
    base_rtt: Ns,
    queued_bits: u64,
}

impl Path {
    fn rtt(&self) -> Ns {
        self.base_rtt + Ns(self.queued_bits * 1_000_000_000 / self.rate)
    }

    /// One interval of half an RTT with a sender that always has data, or only `demand`.
    fn interval(&mut self, bbr: &mut BbrLite, rate: BitsPerSec, demand: Option<u64>) -> BitsPerSec {
        let duration = Ns(self.rtt().0 / 2);
        self.now += duration;
        let bits = |rate: u64| rate * (duration.0 / 1_000) / 1_000_000;
        let sent = bits(demand.unwrap_or(u64::MAX).min(rate.0));
        let out = (self.queued_bits + sent).min(bits(self.rate));
        self.queued_bits = self.queued_bits + sent - out;
        bbr.on_rtt(self.now, self.rtt().0);
        let seen = Evidence {
            now: self.now,
            duration,
            sent_bytes: sent / 8,
            delivered_bytes: out / 8,
            mean_rtt: Some(self.rtt()),
            app_limited: demand.is_some_and(|demand| demand < rate.0),
        };
        bbr.on_interval(&seen, rate).unwrap_or(rate)
    }
}

fn path(mbps: u64, rtt_ms: u64) -> Path {
    Path {
        now: Ns::from_secs(100),
        rate: mbps * 1_000_000,
        base_rtt: Ns::from_millis(rtt_ms),
        queued_bits: 0,
    }
}

#[test]
fn fills_the_path_and_keeps_the_queue_short() {
    for (mbps, rtt) in [(1, 100), (100, 20), (1_000, 5), (10_000, 1)] {
        let mut path = path(mbps, rtt);
        let mut bbr = BbrLite::new(path.now, 3);
        let mut rate = BitsPerSec(path.rate / 50);
        for _ in 0..200 {
            rate = path.interval(&mut bbr, rate, None);
        }
        let (mut sum, mut worst) = (0, Ns::ZERO);
        for _ in 0..160 {
            rate = path.interval(&mut bbr, rate, None);
            sum += rate.0 / 160;
            worst = worst.max(path.rtt());
        }
        assert!(sum > path.rate * 93 / 100 && sum < path.rate * 103 / 100, "{mbps} Mb/s: mean {sum}");
        assert!(worst.0 <= path.base_rtt.0 * 3 / 2, "{mbps} Mb/s: worst RTT {worst}");
    }
}

#[test]
fn follows_a_path_that_gets_slower_and_faster() {
    let mut path = path(100, 20);
    let mut bbr = BbrLite::new(path.now, 0);
    let mut rate = BitsPerSec::from_mbps(10);
    for (mbps, intervals) in [(100, 300), (20, 600), (60, 600)] {
        path.rate = mbps * 1_000_000;
        for _ in 0..intervals {
            rate = path.interval(&mut bbr, rate, None);
        }
        let mean = (0..80)
            .map(|_| {
                rate = path.interval(&mut bbr, rate, None);
                rate.0
            })
            .sum::<u64>()
            / 80;
        assert!(mean > path.rate * 9 / 10 && mean < path.rate * 106 / 100, "{mbps} Mb/s: mean {mean}");
    }
}

#[test]
fn probes_the_rtt_every_ten_seconds_at_half_the_rate() {
    let mut path = path(50, 20);
    let mut bbr = BbrLite::new(path.now, 0);
    let mut rate = BitsPerSec::from_mbps(10);
    for _ in 0..300 {
        rate = path.interval(&mut bbr, rate, None);
    }
    // The route gets longer: every RTT is above the old minimum from here on.
    path.base_rtt = Ns::from_millis(30);
    let start = path.now;
    let (mut probes, mut was_probing, mut slowest) = (0, false, rate);
    while path.now - start < Ns::from_secs(35) {
        rate = path.interval(&mut bbr, rate, None);
        let probing = bbr.state == State::ProbeRtt;
        if probing {
            slowest = slowest.min(rate);
        }
        probes += u32::from(probing && !was_probing);
        was_probing = probing;
    }
    assert!((1..=3).contains(&probes), "{probes} probes");
    assert!(slowest.0 < 30_000_000, "{slowest}");
    assert!(Ns(bbr.min_rtt.into()) >= Ns::from_millis(30), "the old minimum is forgotten");
}

/// A path that slows down just when the RTT is probed: half of the old rate is all that it has left, and a queue that
/// does not empty must not pass for the path.
#[test]
fn a_probe_empties_the_queue_of_a_path_that_has_lost_half_its_rate() {
    let mut path = path(100, 20);
    let mut bbr = BbrLite::new(path.now, 0);
    let mut rate = BitsPerSec::from_mbps(10);
    for _ in 0..300 {
        rate = path.interval(&mut bbr, rate, None);
    }
    path.rate /= 2;
    path.queued_bits = path.rate * 60 / 1_000;
    bbr.probe_min_rtt = u32::MAX;
    bbr.enter(State::ProbeRtt, path.now);
    while bbr.state == State::ProbeRtt {
        rate = path.interval(&mut bbr, rate, None);
    }
    assert!(u64::from(bbr.min_rtt) < path.base_rtt.0 * 5 / 4, "{} ns", bbr.min_rtt);
}

/// Jitter: most RTTs are 2.4 times the shortest, whatever the flow sends.
#[test]
fn an_rtt_that_is_commonly_long_does_not_wear_the_rate_down() {
    let mut bbr = BbrLite::new(Ns::from_secs(100), 0);
    let mut rate = BitsPerSec::from_mbps(3);
    let (mut now, common) = (Ns::from_secs(100), Ns::from_millis(12));
    for _ in 0..2_000 {
        now += common;
        // One RTT of an interval has no jitter; the shortest of all is shorter still.
        for rtt in [common.0, 6_000_000, common.0] {
            bbr.on_rtt(now, rtt);
        }
        if now.0 % 1_000_000_000 < common.0 {
            bbr.on_rtt(now, 5_000_000);
        }
        let bytes = rate.0.min(3_000_000) * common.0 / 8_000_000_000;
        let seen = Evidence {
            now,
            duration: common,
            sent_bytes: bytes,
            delivered_bytes: bytes,
            mean_rtt: Some(common),
            app_limited: false,
        };
        rate = bbr.on_interval(&seen, rate).unwrap_or(rate);
    }
    assert!(rate.0 > 2_000_000, "{rate}");
}

#[test]
fn app_limited_samples_do_not_pull_the_estimate_down() {
    let mut path = path(100, 20);
    let mut bbr = BbrLite::new(path.now, 0);
    let mut rate = BitsPerSec::from_mbps(10);
    for _ in 0..300 {
        rate = path.interval(&mut bbr, rate, None);
    }
    let before = bbr.max_rate;
    for _ in 0..100 {
        rate = path.interval(&mut bbr, rate, Some(1_000_000));
    }
    assert_eq!(bbr.max_rate, before);
}

#[test]
fn silence_and_extremes_are_survived() {
    let mut bbr = BbrLite::new(Ns::NEVER, u64::MAX);
    let rate = BitsPerSec::from_mbps(1);
    let mut seen = Evidence {
        now: Ns::ZERO,
        duration: Ns::ZERO,
        sent_bytes: u64::MAX,
        delivered_bytes: u64::MAX,
        mean_rtt: None,
        app_limited: false,
    };
    assert_eq!(bbr.on_interval(&seen, rate), None);
    bbr.on_rtt(Ns::ZERO, 0);
    bbr.on_rtt(Ns::NEVER, u64::MAX);
    for now in [0, 1, u64::MAX, u64::MAX / 2] {
        for rtt in [0, 1, u64::MAX] {
            (seen.now, seen.mean_rtt) = (Ns(now), Some(Ns(rtt)));
            let _ = bbr.on_interval(&seen, rate);
        }
    }
}

#[test]
fn the_window_is_two_bdp_of_the_estimate_once_it_cruises() {
    let mut path = path(100, 20);
    let mut bbr = BbrLite::new(path.now, 3);
    assert_eq!(bbr.window_bytes(), None);
    // 100 Mb/s x 20 ms.
    let bdp = 250_000;
    let mut rate = BitsPerSec(path.rate / 50);
    let mut seen = [false; 2];
    for _ in 0..200 {
        rate = path.interval(&mut bbr, rate, None);
        let Some(window) = bbr.window_bytes() else { continue };
        let estimate = u64::from(bbr.max_rate) * u64::from(bbr.min_rtt) / 8_000_000;
        match bbr.state {
            State::Startup | State::Drain => assert_eq!(window, estimate * GAIN_STARTUP / 256),
            State::Cruise => assert_eq!(window, 2 * estimate),
            State::ProbeRtt => {}
        }
        seen[usize::from(bbr.state == State::Cruise)] = true;
    }
    assert_eq!(seen, [true; 2]);
    let window = bbr.window_bytes().unwrap();
    assert!(window.abs_diff(2 * bdp) < bdp / 10, "{window}");
}
