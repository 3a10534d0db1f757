//! Links as data centres and wide-area networks have them, seen from a host.
//!
//! What is drawn: capacity, RTT and queue over orders of magnitude, several flows that begin apart, changes of capacity, and
//! what blurs a sender's view: random loss, jitter, delayed acknowledgements, a core that is taken away. Features and
//! intervals are those of `conf/demo.toml`.

use crate::conditions::{Change, Conditions, DECISIONS, Estimates, Length, Start, rate_bounds};
use crate::link::{Host, Link, PACKET_BYTES, Stalls};
use crate::rng::Rng;
use crate::world::Measured;
use weir_features::PacingSpec;

/// Capacity in bits per second, logarithmic.
pub const CAPACITY_BPS: (f64, f64) = (1e6, 1e10);
/// Base RTT in seconds, logarithmic.
pub const BASE_RTT_S: (f64, f64) = (50e-6, 1.0);
/// Queue in multiples of capacity times base RTT, logarithmic; and in packets, which counts where it is more.
pub const QUEUE_BDP: (f64, f64) = (0.25, 4.0);
/// See [`QUEUE_BDP`].
pub const QUEUE_PACKETS: (f64, f64) = (16.0, 128.0);
/// Random loss, logarithmic, in one of four episodes.
pub const LOSS: (f64, f64) = (1e-4, 1e-2);
/// Jitter in base RTTs, logarithmic.
pub const JITTER: (f64, f64) = (1e-4, 0.5);
/// Flows, logarithmic; no more than could each have [`SHARE_BPS_MIN`].
pub const FLOWS: (f64, f64) = (1.0, 17.0);
/// Least fair share in bits per second: that of four flows in the slowest cells of the [`grid`].
pub const SHARE_BPS_MIN: f64 = 2.5e5;
/// A flow's first rate over its fair share, logarithmic.
pub const START: (f64, f64) = (0.05, 2.0);
/// A change of capacity, logarithmic.
pub const CHANGE: (f64, f64) = (0.25, 4.0);
/// Share of an episode in which flows begin that do not begin with the first.
const JOIN: f64 = 0.2;

/// Seed and episodes of the evaluation set.
pub const EVALUATION: (u64, usize) = (20_261_127, 200);

/// One episode.
pub fn draw(rng: &mut Rng) -> Conditions {
    draw_of(FLOWS, rng)
}

/// One episode of one flow that has its link for itself.
pub fn draw_alone(rng: &mut Rng) -> Conditions {
    draw_of((1.0, 1.0), rng)
}

fn draw_of(flows: (f64, f64), rng: &mut Rng) -> Conditions {
    let capacity_bps = rng.log_uniform(CAPACITY_BPS.0, CAPACITY_BPS.1);
    let base_rtt_s = rng.log_uniform(BASE_RTT_S.0, BASE_RTT_S.1);
    let flows = (rng.log_uniform(flows.0, flows.1).min(capacity_bps / SHARE_BPS_MIN) as usize).max(1);
    let mut link = Link::new(capacity_bps, base_rtt_s, 0.0);
    let packets = rng.log_uniform(QUEUE_PACKETS.0, QUEUE_PACKETS.1) * f64::from(PACKET_BYTES);
    link.queue_bytes = (rng.log_uniform(QUEUE_BDP.0, QUEUE_BDP.1) * link.bdp_bytes()).max(packets);
    link.loss = if rng.unit() < 0.25 { rng.log_uniform(LOSS.0, LOSS.1) } else { 0.0 };
    link.jitter_s = base_rtt_s * rng.log_uniform(JITTER.0, JITTER.1);
    let host = Host {
        delayed_acks: rng.unit() < 0.7,
        stalls: (rng.unit() < 0.4)
            .then(|| Stalls { gap_s: rng.log_uniform(2e-3, 0.1), length_s: rng.log_uniform(2e-4, 1e-2) }),
        ..Host::ORDINARY
    };
    let share_bps = capacity_bps / flows as f64;
    let mut conditions = Conditions {
        link,
        host,
        flows: vec![Start { rate_bps: share_bps, at_s: 0.0 }; flows],
        spec: PacingSpec::default(),
        rate_bps: rate_bounds(capacity_bps, flows),
        warm_up: None,
        changes: Vec::new(),
        length: Length::Seconds(0.0),
        seed: rng.bits(),
    };
    let seconds = DECISIONS as f64 * conditions.interval_s();
    conditions.length = Length::Seconds(seconds);
    let apart = rng.unit() < 0.5;
    for (flow, start) in conditions.flows.iter_mut().enumerate() {
        start.rate_bps = share_bps * rng.log_uniform(START.0, START.1);
        start.at_s = if apart && flow > 0 { rng.uniform(0.0, JOIN * seconds) } else { 0.0 };
    }
    let mut capacity_bps = capacity_bps;
    let changes = rng.below(4);
    for change in 1..=changes {
        let factor = rng.log_uniform(CHANGE.0, CHANGE.1);
        if (CAPACITY_BPS.0..=CAPACITY_BPS.1).contains(&(capacity_bps * factor)) {
            capacity_bps *= factor;
            let at_s = seconds * change as f64 / (changes + 1) as f64;
            conditions.changes.push(Change { at_s, factor });
        }
    }
    conditions
}

/// The fixed set by which checkpoints of one training are compared.
pub fn evaluation() -> Vec<Conditions> {
    let (seed, episodes) = EVALUATION;
    let mut rng = Rng::new(seed);
    (0..episodes).map(|_| draw(&mut rng)).collect()
}

/// Capacities of the [`grid`], in bits per second.
pub const GRID_CAPACITY_BPS: [f64; 5] = [1e6, 1e7, 1e8, 1e9, 1e10];
/// Base RTTs of the grid, in seconds.
pub const GRID_BASE_RTT_S: [f64; 7] = [50e-6, 250e-6, 1e-3, 5e-3, 25e-3, 150e-3, 1.0];
/// Queues of the grid, in multiples of capacity times base RTT.
pub const GRID_QUEUE_BDP: [f64; 2] = [0.5, 2.0];

/// What a full link and a short queue are: least utilisation, and largest RTT over the RTT on an empty queue.
pub const GOOD: (f64, f64) = (0.9, 1.3);

/// Whether an episode's link was full and its queue short: [`GOOD`].
pub fn good(measured: &Measured) -> bool {
    measured.utilisation >= GOOD.0 && measured.rtt_ratio <= GOOD.1
}

/// A cell of the grid on which a model is judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// Of [`GRID_CAPACITY_BPS`].
    pub capacity_bps: f64,
    /// Of [`GRID_BASE_RTT_S`].
    pub base_rtt_s: f64,
    /// Of [`GRID_QUEUE_BDP`].
    pub queue_bdp: f64,
    /// Its episode.
    pub conditions: Conditions,
}

/// Every capacity with every RTT and every queue, shared by `flows` flows on an ordinary host.
pub fn grid(flows: usize) -> Vec<Cell> {
    cells(flows, &GRID_CAPACITY_BPS, &GRID_BASE_RTT_S, &GRID_QUEUE_BDP)
}

/// Cells between those of the [`grid`], by which the networks of one training are compared: what is chosen by a set is
/// lucky on it, and the grid is to tell how good the choice is.
pub fn between(flows: usize) -> Vec<Cell> {
    let capacities_bps = [3e6, 3e7, 3e8, 3e9];
    cells(flows, &capacities_bps, &[1e-4, 5e-4, 2e-3, 1e-2, 6e-2, 4e-1], &[1.0])
}

fn cells(flows: usize, capacities_bps: &[f64], base_rtts_s: &[f64], queues_bdp: &[f64]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for &capacity_bps in capacities_bps {
        for &base_rtt_s in base_rtts_s {
            for &queue_bdp in queues_bdp {
                let bdp_bytes = Link::new(capacity_bps, base_rtt_s, 0.0).bdp_bytes();
                let queue_bytes = (queue_bdp * bdp_bytes).max(QUEUE_PACKETS.0 * f64::from(PACKET_BYTES));
                let estimates =
                    Estimates { capacity_bps, base_rtt_s, queue_bytes, loss: 0.0, jitter_s: 0.0, flows };
                let conditions =
                    Conditions::estimated(&estimates, &PacingSpec::default(), cells.len() as u64);
                cells.push(Cell { capacity_bps, base_rtt_s, queue_bdp, conditions });
            }
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::World;
    use crate::baseline::Hold;

    #[test]
    fn whatever_is_drawn_runs() {
        let mut rng = Rng::new(3);
        for _ in 0..60 {
            let conditions = draw(&mut rng);
            let Length::Seconds(seconds) = conditions.length else { panic!("wide episodes end by time") };
            assert!(conditions.flows.iter().all(|flow| flow.at_s <= JOIN * seconds), "{conditions:?}");
            assert!(conditions.changes.is_sorted_by(|a, b| a.at_s < b.at_s), "{conditions:?}");
            let mut world = World::new(&conditions);
            world.run(seconds * 0.05, u64::MAX, &mut Hold);
            let found = world.measured();
            assert!((0.0..=1.05).contains(&found.utilisation), "{found:?} {conditions:?}");
            assert!(found.rtt_ratio == 0.0 || found.rtt_ratio >= 1.0 - 1e-9, "{found:?} {conditions:?}");
        }
    }

    #[test]
    fn no_link_both_chooses_a_network_and_judges_it() {
        let link = |cell: &Cell| (cell.capacity_bps.to_bits(), cell.base_rtt_s.to_bits());
        let judging: Vec<_> = grid(1).iter().map(link).collect();
        let choosing = between(1);
        assert_eq!(choosing.len(), 24);
        assert!(choosing.iter().all(|cell| !judging.contains(&link(cell))));
        let shares = |cell: &Cell| cell.conditions.flows.len() == 4;
        assert!(between(4).iter().all(shares));
    }

    #[test]
    fn every_cell_of_the_grid_can_be_filled_without_a_queue() {
        let cells = grid(1);
        assert_eq!(cells.len(), 70);
        for cell in cells {
            let mut conditions = cell.conditions.clone();
            conditions.flows[0].rate_bps = 0.95 * cell.capacity_bps;
            let mut world = World::new(&conditions);
            world.run(conditions.interval_s() * 20.0, u64::MAX, &mut Hold);
            world.measure();
            world.run(conditions.interval_s() * 40.0, u64::MAX, &mut Hold);
            let found = world.measured();
            assert!((found.utilisation - 0.95).abs() < 0.03, "{found:?} {cell:?}");
            assert!((found.rtt_ratio - 1.0).abs() < 1e-6, "{found:?} {cell:?}");
        }
    }
}
