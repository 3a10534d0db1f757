//! The environments of row D: those that the base policy was trained in, and two that it has never seen.

use crate::experiment::Stage;
use weir_env::{Conditions, Host, Rng, published};

/// First rates, in parts of the bandwidth: Aurora's range.
const RATE: (f64, f64) = (0.3, 1.5);

/// As the datapath meets it. The published simulator acknowledges each packet and knows each one's RTT.
fn met(conditions: Conditions) -> Conditions {
    Conditions { host: Host::ORDINARY, ..conditions }
}

/// Any path of the published ranges.
fn home(seed: u64) -> Conditions {
    met(published::draw(&mut Rng::new(seed)))
}

/// 2.4 Mb/s at an RTT below the shortest of the published ranges, and a queue of so many packets.
fn short(rtt_s: f64, queue: f64, seed: u64) -> Conditions {
    let mut rng = Rng::new(seed);
    let path = published::Path { bandwidth: 200.0, one_way_s: rtt_s / 2.0, queue, loss: 0.0 };
    met(path.conditions(rng.uniform(RATE.0, RATE.1), rng.bits()))
}

/// The run of row D: home, away twice, and home again.
pub(crate) fn stages(decisions: u64) -> [Stage; 4] {
    [
        Stage { name: "published ranges", conditions: home, decisions: decisions / 2, is_new: false },
        Stage {
            name: "60 ms, queue 100",
            conditions: |seed| short(0.06, 100.0, seed),
            decisions,
            is_new: true,
        },
        Stage { name: "60 ms, queue 5", conditions: |seed| short(0.06, 5.0, seed), decisions, is_new: true },
        Stage { name: "published again", conditions: home, decisions: decisions / 2, is_new: false },
    ]
}

/// The run of row B: where the policy of the published ranges breaks, four packets to a round trip, and home again.
pub(crate) fn breaking(decisions: u64) -> [Stage; 3] {
    away("20 ms, queue 100", |seed| short(0.02, 100.0, seed), decisions)
}

/// The run of row S: 6.2 Mb/s at 5 ms, where all flows have sunk to near the lowest rate, and home again.
pub(crate) fn sunk(decisions: u64) -> [Stage; 3] {
    let from_below = |seed| {
        let mut rng = Rng::new(seed);
        let path = published::Path { bandwidth: 520.0, one_way_s: 0.0025, queue: 100.0, loss: 0.0 };
        met(path.conditions(rng.uniform(0.08, 0.1), rng.bits()))
    };
    away("5 ms, from below", from_below, decisions)
}

fn away(name: &'static str, conditions: fn(u64) -> Conditions, decisions: u64) -> [Stage; 3] {
    [
        Stage { name: "published ranges", conditions: home, decisions: decisions / 2, is_new: false },
        Stage { name, conditions, decisions, is_new: true },
        Stage { name: "published again", conditions: home, decisions: decisions / 2, is_new: false },
    ]
}
