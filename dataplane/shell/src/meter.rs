//! Rates from counters: what happened per second over the last whole second.

use crate::report::Report;
use std::time::{Duration, Instant};

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
        self.last = Some((now, reports));
    }

    /// The last window's rates, by worker; none before the first window is over.
    pub fn rates(&self) -> &[Rates] {
        &self.rates
    }
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
        Report::unpack(&pack(&tally, &WorkerStats::default(), &[], &cycles))
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
