//! The integers against the definition in real numbers, computed from every sample, and against their limits.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use weir_features::{
    FEATURES, History, INPUTS, Interval, IntervalReport, ONE, PacingSpec, RATE_MAX_BPS, RttBase, apply_action,
};

const Q: f64 = ONE as f64;
/// For the rounding of the reference itself.
const F64_SLACK: f64 = 1e-6;

fn unclipped() -> PacingSpec {
    PacingSpec { clips: [(i32::MIN, i32::MAX); FEATURES], ..PacingSpec::default() }
}

/// An interval from 0 to `duration_ns` with these RTT samples.
fn of_samples(samples: &[u64], duration_ns: u64, base: &mut RttBase, spec: &PacingSpec) -> IntervalReport {
    let mut interval = Interval::new(0, duration_ns);
    for sample in samples {
        interval.on_ack(1_448, Some(*sample));
    }
    interval.finish(duration_ns, base, spec)
}

fn mean(samples: &[u64]) -> f64 {
    samples.iter().map(|sample| *sample as f64).sum::<f64>() / samples.len() as f64
}

/// Where `docs/features.md` puts the boundary between the halves of `n` samples.
fn boundary(n: usize) -> usize {
    let mut bucket = 1;
    while n > 8 * bucket {
        bucket *= 2;
    }
    (n / 2 + bucket / 2) / bucket * bucket
}

fn inflation(samples: &[u64], split: usize, duration_ns: u64, spec: &PacingSpec) -> f64 {
    let (earlier, later) = samples.split_at(split);
    (mean(later) - mean(earlier)) / duration_ns.max(spec.rtt_floor_ns) as f64 * Q
}

fn rtts() -> impl Strategy<Value = Vec<u64>> {
    prop_oneof![
        3 => prop::collection::vec(1_000_u64..2_000_000_000, 2..40),
        1 => prop::collection::vec(1_000_u64..300_000, 2..3_000),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Bound: half a unit for the rounding of the ratio, and one nanosecond over the duration for the rounding of
    /// the two means.
    #[test]
    fn inflation_is_the_rise_between_the_parts(samples in rtts(), duration_ns in 1_u64..10_000_000_000) {
        let spec = unclipped();
        let report = of_samples(&samples, duration_ns, &mut RttBase::default(), &spec);
        let expected = inflation(&samples, boundary(samples.len()), duration_ns, &spec);
        let bound = 0.5 + Q / duration_ns.max(spec.rtt_floor_ns) as f64 + F64_SLACK;
        let error = (f64::from(report.features[0]) - expected.clamp(-2_147_483_647.0, 2_147_483_647.0)).abs();
        prop_assert!(error <= bound, "{} against {expected}", report.features[0]);
    }

    /// Against Aurora's exact halves: the boundary is off by d <= n/8 samples, and moving d samples from one part
    /// to the other changes a part's mean by at most their share in it of the samples' range.
    #[test]
    fn inflation_is_near_that_of_exact_halves(samples in rtts(), duration_ns in 1_u64..10_000_000_000) {
        let spec = unclipped();
        let report = of_samples(&samples, duration_ns, &mut RttBase::default(), &spec);
        let (n, half, split) = (samples.len(), samples.len() / 2, boundary(samples.len()));
        let off = half.abs_diff(split);
        prop_assert!(8 * off <= n);
        prop_assert!(n > 8 || off == 0, "exact up to eight samples");

        let expected = inflation(&samples, half, duration_ns, &spec).clamp(-2_147_483_647.0, 2_147_483_647.0);
        let range = (samples.iter().max().unwrap() - samples.iter().min().unwrap()) as f64;
        let share = off as f64 / half.max(split) as f64 + off as f64 / (n - half).max(n - split) as f64;
        prop_assert!(share <= 0.5 + 1e-9);
        let divisor = duration_ns.max(spec.rtt_floor_ns) as f64;
        let bound = 0.5 + (1.0 + share * range) * Q / divisor + F64_SLACK;
        prop_assert!((f64::from(report.features[0]) - expected).abs() <= bound);
    }

    /// A queue that fills evenly: the boundary does not matter, so only rounding remains.
    #[test]
    fn inflation_of_a_straight_line_is_exact(first in 1_000_u64..1_000_000, rise in 0_u64..10_000, n in 2_usize..2_000) {
        let spec = unclipped();
        let samples: Vec<u64> = (0..n as u64).map(|i| first + i * rise).collect();
        let report = of_samples(&samples, 50_000_000, &mut RttBase::default(), &spec);
        let expected = rise as f64 * n as f64 / 2.0 / 50e6 * Q;
        prop_assert!((f64::from(report.features[0]) - expected).abs() <= 0.5 + Q / 50e6 + F64_SLACK);
    }

    /// Bound: half a unit, and half a nanosecond in each of the two means.
    #[test]
    fn latency_ratio_is_mean_over_smallest_mean(intervals in prop::collection::vec(rtts(), 1..6)) {
        let spec = unclipped();
        let floor = spec.rtt_floor_ns as f64;
        let (mut base, mut smallest) = (RttBase::default(), f64::INFINITY);
        for samples in &intervals {
            let report = of_samples(samples, 50_000_000, &mut base, &spec);
            let now = mean(samples);
            smallest = smallest.min(now);
            prop_assert!((report.mean_rtt_ns.unwrap() as f64 - now).abs() <= 0.5 + F64_SLACK);
            let (over, under) = (now.max(floor), smallest.max(floor));
            let expected = over / under * Q;
            let bound = 0.5 + expected * (0.5 / over + 0.5 / (under - 0.5)) + F64_SLACK;
            prop_assert!(report.features[1] >= ONE);
            prop_assert!((f64::from(report.features[1]) - expected.min(2_147_483_647.0)).abs() <= bound);
        }
    }

    /// Bound: half a unit, and the byte by which the mean packet is rounded down.
    #[test]
    fn send_ratio_is_sent_over_received(sends in prop::collection::vec(1_u32..9_000, 1..200), acked in 0_u32..2_000_000) {
        let spec = unclipped();
        let mut interval = Interval::new(0, 1);
        sends.iter().for_each(|bytes| interval.on_send(*bytes));
        interval.on_ack(acked, None);
        let ratio = interval.finish(1_000_000, &mut RttBase::default(), &spec).features[2];

        let sent: f64 = sends.iter().map(|bytes| f64::from(*bytes)).sum();
        let received = f64::from(acked) - sent / sends.len() as f64;
        if received <= -1.0 || sent >= 1_000.0 * (received + 1.0) {
            prop_assert_eq!(ratio, ONE);
        } else if received > 1.0 && sent < 1_000.0 * received {
            let expected = sent / received * Q;
            // The mean packet is rounded down, so up to one byte more counts as received.
            let bound = 0.5 + (expected - sent / (received + 1.0) * Q) + F64_SLACK;
            prop_assert!((f64::from(ratio) - expected).abs() <= bound, "{ratio} against {expected}");
        }
    }

    #[test]
    fn the_next_rate_is_the_nearest_integer(rate in 0_u64..=RATE_MAX_BPS, action in any::<i32>()) {
        let unit = 40_u128 << 16;
        let stretched = unit + u128::from(action.unsigned_abs());
        let (p, q) = if action >= 0 { (stretched, unit) } else { (unit, stretched) };
        let nearest = (u128::from(rate) * p + q / 2) / q;
        prop_assert_eq!(u128::from(apply_action(rate, action)), nearest.min(RATE_MAX_BPS.into()));
    }

    #[test]
    fn rates_and_actions_beyond_the_limits_saturate(rate in any::<u64>(), action in any::<i32>()) {
        let next = apply_action(rate, action);
        prop_assert!(next <= RATE_MAX_BPS);
        let right_way = if action >= 0 { next >= rate.min(RATE_MAX_BPS) } else { next <= rate };
        prop_assert!(right_way);
    }
}

/// Anything may happen, with edge values as likely as ordinary ones.
#[derive(Clone, Debug)]
enum Event {
    Send(u32),
    Ack(u32, Option<u64>),
    Loss(u32),
    Due(u64),
    Finish(u64),
    Restart(u64, u64),
    Length(u64, u32),
}

fn wild64() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(1),
        Just(u64::MAX),
        Just(u64::MAX - 1),
        (0_u32..64).prop_map(|bit| 1 << bit),
        any::<u64>()
    ]
}
fn wild32() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), Just(1), Just(u32::MAX), any::<u32>()]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => wild32().prop_map(Event::Send),
        6 => (wild32(), prop::option::weighted(0.8, wild64())).prop_map(|(bytes, rtt)| Event::Ack(bytes, rtt)),
        1 => wild32().prop_map(Event::Loss),
        1 => wild64().prop_map(Event::Due),
        2 => wild64().prop_map(Event::Finish),
        1 => (wild64(), wild64()).prop_map(|(start, length)| Event::Restart(start, length)),
        1 => (wild64(), wild32()).prop_map(|(rate, bytes)| Event::Length(rate, bytes)),
    ]
}

fn spec() -> impl Strategy<Value = PacingSpec> {
    (wild64(), any::<u16>(), any::<u8>(), wild64(), wild64(), any::<[(i32, i32); FEATURES]>()).prop_map(
        |(rtt_floor_ns, interval_rtt_q8, interval_packets_min, interval_min_ns, interval_max_ns, clips)| {
            PacingSpec {
                rtt_floor_ns,
                interval_rtt_q8,
                interval_packets_min,
                interval_min_ns,
                interval_max_ns,
                clips,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_and_everything_is_within_its_clip(spec in spec(), events in prop::collection::vec(event(), 0..60)) {
        let (mut interval, mut base, mut history) = (Interval::new(0, 0), RttBase::default(), History::fresh());
        let mut inputs = [0; INPUTS];
        for event in events {
            match event {
                Event::Send(bytes) => interval.on_send(bytes),
                Event::Ack(bytes, rtt) => interval.on_ack(bytes, rtt),
                Event::Loss(bytes) => interval.on_loss(bytes),
                Event::Due(now) => {
                    let _ = interval.due(now, &spec);
                }
                Event::Restart(start, length) => interval.restart(start, length),
                Event::Length(rate, bytes) => {
                    prop_assert!(spec.interval_ns(&base, rate, bytes) <= spec.interval_max_ns);
                }
                Event::Finish(now) => {
                    let before = interval.clone();
                    let report = interval.finish(now, &mut base, &spec);
                    prop_assert_eq!(&interval, &before, "a reading changes nothing");
                    prop_assert_eq!(report.mean_rtt_ns.is_some(), report.rtt_samples > 0);
                    prop_assert!(report.mean_rtt_ns.is_none_or(|mean| base.min_interval_mean_ns <= mean));
                    for (value, (low, high)) in report.features.into_iter().zip(spec.clips) {
                        prop_assert!(value <= high && (value >= low || low > high));
                    }
                    history.push(report.features);
                    history.write_inputs(&mut inputs);
                    prop_assert_eq!(&inputs[INPUTS - FEATURES..], &report.features);
                }
            }
        }
    }
}
