//! The guard's brake over a path that is nothing but a capacity, and feedback that is two intervals late.

use proptest::prelude::*;
use std::collections::VecDeque;
use weir_features::{Brake, FEATURES, IntervalReport};

const MS: u64 = 1_000_000;
const INTERVAL_NS: u64 = 10 * MS;

fn report(acked_bytes: u64, lost_bytes: u64) -> IntervalReport {
    IntervalReport {
        features: [0; FEATURES],
        duration_ns: INTERVAL_NS,
        mean_rtt_ns: Some(20 * MS),
        sent_bytes: acked_bytes + lost_bytes,
        acked_bytes,
        lost_bytes,
        rtt_samples: 7,
    }
}

/// A flow of 1 500-byte packets that wants more in each interval, by a tenth, whatever it loses.
struct Greedy {
    brake: Brake,
    rate_bps: u64,
    /// What was sent and got through, for the feedback to come.
    late: VecDeque<(u64, u64)>,
    state: u64,
}

/// What became of an interval's packets.
#[derive(Clone, Copy, Debug, Default)]
struct Total {
    sent: u64,
    got: u64,
}

impl Greedy {
    fn new(rate_bps: u64) -> Greedy {
        Greedy { brake: Brake::default(), rate_bps, late: VecDeque::new(), state: 1 }
    }

    /// Whether chance, of 65 536, hits.
    fn hit(&mut self, chance: u64) -> bool {
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.state >> 48 < chance
    }

    /// Some intervals at this capacity, with so many packets of 65 536 lost at random.
    fn run(&mut self, intervals: usize, capacity_bps: u64, chance: u64, grows: bool) -> Total {
        let mut total = Total::default();
        for _ in 0..intervals {
            let packets = |bps: u64| bps * INTERVAL_NS / 8_000_000_000 / 1_500;
            let sent = packets(self.rate_bps);
            let kept = (0..sent).filter(|_| !self.hit(chance)).count() as u64;
            let got = kept.min(packets(capacity_bps));
            (total.sent, total.got) = (total.sent + sent, total.got + got);
            self.late.push_back((sent, got));
            if self.late.len() > 2
                && let Some((sent, got)) = self.late.pop_front()
            {
                self.brake.observe(&report(got * 1_500, (sent - got) * 1_500), got * 1_500, 0);
            }
            let wanted = if grows { self.rate_bps + self.rate_bps / 10 } else { self.rate_bps };
            // A guard's upper bound, eight times the capacity.
            self.rate_bps = self.brake.limit(wanted).min(8 * 40_000_000);
        }
        total
    }
}

fn lost(total: Total) -> f64 {
    1.0 - total.got as f64 / total.sent as f64
}

#[test]
fn a_flow_that_floods_is_held_at_what_gets_through() {
    let mut flow = Greedy::new(20_000_000);
    flow.run(100, 40_000_000, 0, true);
    let settled = flow.run(2_000, 40_000_000, 0, true);
    assert!(lost(settled) < 0.02, "{}", lost(settled));
    let used = settled.got as f64 * 1_500.0 * 8.0 / (2_000.0 * 0.01) / 40e6;
    assert!(used > 0.93, "{used}");
    // Capacity that comes back is found, and what was lost of it left.
    flow.run(150, 80_000_000, 0, true);
    assert!(flow.rate_bps > 75_000_000, "{}", flow.rate_bps);
    flow.run(100, 20_000_000, 0, true);
    let less = flow.run(500, 20_000_000, 0, true);
    assert!(lost(less) < 0.03, "{}", lost(less));
}

#[test]
fn random_loss_up_to_five_per_cent_brakes_nobody() {
    for percent in [1, 2, 3, 5] {
        // 16 packets to an interval, the fewest there are.
        let mut flow = Greedy::new(19_200_000);
        flow.run(100_000, 40_000_000, percent * 655, false);
        assert_eq!(flow.rate_bps, 19_200_000, "{percent} %");
    }
}

#[test]
fn loss_that_a_lower_rate_does_not_cure_is_tolerated() {
    for percent in [15, 30, 45] {
        let mut flow = Greedy::new(153_600_000);
        flow.run(400, u64::MAX >> 24, percent * 655, false);
        assert_eq!(flow.brake.ceiling_bps(), None, "{percent} %");
        assert!(
            flow.rate_bps as f64 > 153.6e6 * 0.8 * (1.0 - percent as f64 / 100.0).powi(3),
            "three cuts, not more"
        );
        // And it may rise as if there were none; what floods on top of it is seen all the same.
        flow.run(60, u64::MAX >> 24, percent * 655, true);
        assert!(flow.rate_bps > 200_000_000, "{percent} %: {}", flow.rate_bps);
        flow.run(60, 20_000_000, percent * 655, true);
        assert!(flow.rate_bps < 60_000_000, "{percent} %: {}", flow.rate_bps);
    }
}

#[test]
fn one_bad_round_trip_is_none_of_its_business() {
    let mut brake = Brake::default();
    for _ in 0..10 {
        (0..2).for_each(|_| brake.observe(&report(1_000, 9_000), 1_000, 0));
        (0..8).for_each(|_| brake.observe(&report(10_000, 0), 10_000, 0));
        assert_eq!(brake.ceiling_bps(), None);
    }
    // What TCP tells of a steady flood: a round trip's losses together, every other interval.
    for _ in 0..6 {
        brake.observe(&report(10_000, 8_000), 10_000, 0);
        brake.observe(&report(10_000, 0), 10_000, 0);
    }
    let least = 0.9 * 8e6 * 31.0 / 32.0;
    assert!(
        brake.ceiling_bps().is_some_and(|ceiling| (least..7.76e6).contains(&(ceiling as f64))),
        "{brake:?}"
    );
}

proptest! {
    #[test]
    fn whatever_comes_it_neither_panics_nor_raises(
        intervals in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u64>(), any::<u32>()), 0..400),
        rate in any::<u64>(),
    ) {
        let mut brake = Brake::default();
        for (acked, lost, delivered, held) in intervals {
            // As an interval bounds its counts.
            brake.observe(&report(acked >> 17, lost >> 17), delivered >> 17, held);
            prop_assert!(brake.limit(rate) <= rate);
            prop_assert!(brake.ceiling_bps().is_none_or(|ceiling| ceiling > 0));
        }
    }
}
