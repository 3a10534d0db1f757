//! Rates from counters: what happened per second over the last whole second.

use crate::report::Report;
use std::time::{Duration, Instant};
use weir_engine::limit::LIMITS_MAX;

/// Time between two looks. Long enough that a look's own jitter of some milliseconds is a percent.
const WINDOW: Duration = Duration::from_secs(1);

/// One worker's rates, both sides together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Frames received per second.
    pub received_frames: f64,
    /// Bits received per second.
    pub received_bits: f64,
    /// Frames sent per second.
    pub sent_frames: f64,
    /// Bits sent per second.
    pub sent_bits: f64,
    /// Share of the cycles that did something.
    pub busy_share: f64,
}

/// Looks at the counters once per window.
#[derive(Debug, Default)]
pub struct Meter {
    last: Option<(Instant, Vec<Report>)>,
    rates: Vec<Rates>,
    limits: LimitRates,
}

/// What leaves under each limit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LimitRates {
    /// The [number](weir_engine::limit::Limits::number) of those limits.
    pub number: u64,
    /// Bits per second over all workers, in the configuration's order; none in a window in which the limits have changed.
    pub sent_bits: Vec<f64>,
}

impl Meter {
    /// To be called often; asks for the workers' reports when a window is over.
    pub fn look(&mut self, now: Instant, reports: impl FnOnce() -> Vec<Report>) {
        let Some((then, before)) = &self.last else {
            self.last = Some((now, reports()));
            return;
        };
        let span = now.saturating_duration_since(*then);
        if span < WINDOW {
            return;
        }
        let reports = reports();
        self.rates = before.iter().zip(&reports).map(|(before, after)| rates(before, after, span)).collect();
        self.limits = limit_rates(before, &reports, span);
        self.last = Some((now, reports));
    }

    /// The last window's rates, by limit.
    pub fn limit_rates(&self) -> &LimitRates {
        &self.limits
    }

    /// The last window's rates, by worker; none before the first window is over.
    pub fn rates(&self) -> &[Rates] {
        &self.rates
    }
}

fn limit_rates(before: &[Report], after: &[Report], span: Duration) -> LimitRates {
    let number = after.first().map_or(0, |report| report.limits_number);
    if before.iter().chain(after).any(|report| report.limits_number != number) {
        return LimitRates { number, sent_bits: Vec::new() };
    }
    let bytes = |reports: &[Report], index: usize| -> u64 {
        reports.iter().filter_map(|report| report.limits.get(index)).map(|limit| limit.bytes).sum()
    };
    let rate =
        |index| bytes(after, index).saturating_sub(bytes(before, index)) as f64 * 8.0 / span.as_secs_f64();
    LimitRates { number, sent_bits: (0..LIMITS_MAX).map(rate).collect() }
}

fn rates(before: &Report, after: &Report, span: Duration) -> Rates {
    let total = |pair: [u64; 2]| pair[0].saturating_add(pair[1]);
    let per_second = |of: fn(&Report) -> [u64; 2]| {
        total(of(after)).saturating_sub(total(of(before))) as f64 / span.as_secs_f64()
    };
    let busy = after.cycles.busy.saturating_sub(before.cycles.busy) as f64;
    let idle = after.cycles.idle.saturating_sub(before.cycles.idle) as f64;
    Rates {
        received_frames: per_second(|report| report.tally.received),
        received_bits: per_second(|report| report.tally.received_bytes) * 8.0,
        sent_frames: per_second(|report| report.tally.sent),
        sent_bits: per_second(|report| report.tally.sent_bytes) * 8.0,
        busy_share: if busy + idle > 0.0 { busy / (busy + idle) } else { 0.0 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{LoopCycles, pack};
    use weir_engine::counters::WorkerStats;
    use weir_engine::verdict::Tally;

    fn report(scale: u64) -> Report {
        let tally = Tally {
            received: [scale, 2 * scale],
            received_bytes: [100 * scale, 0],
            sent: [scale, 0],
            sent_bytes: [0, 50 * scale],
            ..Tally::default()
        };
        let cycles = LoopCycles { busy: scale, idle: 3 * scale, ..LoopCycles::default() };
        Report::unpack(&pack(&tally, &WorkerStats::default(), &[], (&[], 0), &cycles))
    }

    #[test]
    fn a_limits_rate_is_over_all_workers_and_none_while_limits_change() {
        let of = |number, bytes| {
            let mut report = report(1);
            report.limits_number = number;
            report.limits[1].bytes = bytes;
            report
        };
        let (mut meter, start) = (Meter::default(), Instant::now());
        meter.look(start, || vec![of(7, 100), of(7, 50)]);
        meter.look(start + WINDOW, || vec![of(7, 300), of(7, 75)]);
        let rates = meter.limit_rates();
        assert_eq!((rates.number, &rates.sent_bits[..3]), (7, [0.0, 1_800.0, 0.0].as_slice()));
        meter.look(start + 2 * WINDOW, || vec![of(8, 10), of(7, 90)]);
        assert!(meter.limit_rates().sent_bits.is_empty());
    }

    #[test]
    fn a_rate_is_a_difference_over_its_own_time() {
        let (mut meter, start) = (Meter::default(), Instant::now());
        meter.look(start, || vec![report(10)]);
        meter.look(start + WINDOW / 2, || panic!("not yet"));
        assert!(meter.rates().is_empty());
        meter.look(start + 2 * WINDOW, || vec![report(30)]);
        assert_eq!(
            meter.rates(),
            [Rates {
                received_frames: 30.0,
                received_bits: 8_000.0,
                sent_frames: 10.0,
                sent_bits: 4_000.0,
                busy_share: 0.25
            }]
        );
    }
}
