//! When a base RTT is given up, and when not.

use weir_features::{FEATURES, IntervalReport, LongerPath, RttBase};

const MS: u64 = 1_000_000;
const LOWEST: u64 = 500_000;

/// A flow of intervals of 500 ms.
struct Flow {
    longer: LongerPath,
    base: RttBase,
}

impl Flow {
    fn at(base_ms: u64) -> Flow {
        let base = RttBase { min_interval_mean_ns: base_ms * MS, last_interval_mean_ns: base_ms * MS };
        Flow { longer: LongerPath::default(), base }
    }

    /// An interval; the base afterwards, in ms.
    fn interval(&mut self, rtt_ms: u64, rate_bps: u64) -> u64 {
        let report = IntervalReport {
            features: [0; FEATURES],
            duration_ns: 500 * MS,
            mean_rtt_ns: Some(rtt_ms * MS),
            sent_bytes: 0,
            acked_bytes: 0,
            lost_bytes: 0,
            rtt_samples: 1,
        };
        self.longer.observe(&report, &mut self.base, rate_bps, LOWEST);
        self.base.min_interval_mean_ns / MS
    }
}

#[test]
fn who_gave_way_in_vain_goes_by_the_least_of_the_epoch() {
    let mut flow = Flow::at(5);
    // Half as fast at the end of five seconds; the eighth interval had the least RTT.
    for at in 0..9 {
        assert_eq!(flow.interval(if at == 7 { 20 } else { 22 }, 10_000_000 - at * 500_000), 5, "{at}");
    }
    assert_eq!(flow.interval(21, 5_000_000), 20);
}

#[test]
fn at_the_lowest_rate_nothing_can_be_given_up_any_more() {
    let mut flow = Flow::at(5);
    let bases: Vec<u64> = (0..10).map(|_| flow.interval(20, LOWEST)).collect();
    assert_eq!((bases[8], bases[9]), (5, 20));
}

#[test]
fn a_queue_that_goes_or_a_flow_that_stays_moves_nothing() {
    // One interval of the epoch met the base again, about.
    let mut drained = Flow::at(20);
    assert!(
        (0..40).all(|at| drained.interval(if at % 10 == 6 { 25 } else { 60 }, 8_000_000 >> (at / 4)) == 20)
    );
    // A queue that the flow itself holds up by staying as fast as it is.
    let mut stays = Flow::at(20);
    assert!((0..40).all(|_| stays.interval(60, 8_000_000) == 20));
    let mut rises = Flow::at(20);
    assert!((0..40).all(|at| rises.interval(60, 8_000_000 + at * 100_000) == 20));
}

#[test]
fn few_long_intervals_are_no_epoch() {
    let mut flow = Flow::at(5);
    let report = |rtt_ns| IntervalReport {
        features: [0; FEATURES],
        duration_ns: 2_000 * MS,
        mean_rtt_ns: rtt_ns,
        sent_bytes: 0,
        acked_bytes: 0,
        lost_bytes: 0,
        rtt_samples: 1,
    };
    for at in 0..20 {
        // Every other one has no RTT, and is none.
        let rtt = (at % 2 == 0).then_some(20 * MS);
        let moved = flow.longer.observe(&report(rtt), &mut flow.base, LOWEST, LOWEST);
        assert_eq!(moved, at == 14, "{at}");
    }
}

#[test]
fn to_give_way_may_take_several_epochs() {
    let mut flow = Flow::at(20);
    // A tenth less with each epoch: half after the seventh.
    let rate = |epoch: u32| 8_000_000 * 9_u64.pow(epoch) / 10_u64.pow(epoch);
    let bases: Vec<u64> =
        (0..8).map(|epoch| (0..10).map(|_| flow.interval(30, rate(epoch))).last().unwrap()).collect();
    assert_eq!(bases, [20, 20, 20, 20, 20, 20, 20, 30]);
    // Not so where an epoch in between had the old RTT.
    let mut flow = Flow::at(20);
    for epoch in 0..8 {
        let rtt_ms = |at| if epoch == 3 && at == 5 { 24 } else { 30 };
        assert!((0..10).all(|at| flow.interval(rtt_ms(at), rate(epoch)) == 20));
    }
}
