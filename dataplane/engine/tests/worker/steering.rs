//! Many workers do what one does, however wrongly the card spreads the frames.

use super::fleet::{Fleet, Spread};
use super::frames::{ACK, Say, TestFrame, segment};
use super::networks::{latency_keeper, set};
use super::tcp::Sender;
use super::world::{Arrival, Link, START, World};
use super::{config, pacing};
use weir_engine::config::{EngineConfig, PacingRule};
use weir_engine::counters::WorkerStats;
use weir_engine::io::Side;
use weir_engine::models::ModelSet;
use weir_engine::time::{BitsPerSec, Ns};
use weir_engine::verdict::{Tally, Verdict};

const SPAN: Ns = Ns::from_secs(1);
const LANE: usize = 512;

/// A mixing step of SplitMix64, for cards that spread at random.
fn mix(value: u64) -> u64 {
    let z = value.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (z ^ (z >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 33
}

/// Everything to one queue.
fn one_queue(_: &Arrival, _: usize) -> usize {
    0
}
/// Each direction to a queue of its own.
fn by_direction(arrival: &Arrival, queues: usize) -> usize {
    arrival.side as usize % queues
}
/// Each direction of each flow to a queue of its own, at random.
fn by_flow(arrival: &Arrival, queues: usize) -> usize {
    mix(u64::from(arrival.frame.flow) * 2 + arrival.side as u64) as usize % queues
}
/// Each frame to any queue.
fn by_frame(arrival: &Arrival, queues: usize) -> usize {
    mix(arrival.frame.serial) as usize % queues
}

/// A run of twenty TCP flows over a bottleneck through one worker, with strangers and strays in between: all that came to
/// it, and what it did.
fn recorded(config: &EngineConfig, models: ModelSet) -> (Vec<Arrival>, Tally, WorkerStats) {
    let mut world = World::new(config, Link::new(200, Ns::from_millis(5), 400_000), models);
    world.arrivals = Some(Vec::new());
    for flow in 1..=20 {
        world.connect(Sender::reno(flow, 1));
    }
    for step in 0..20_u16 {
        world.run_until(START + Ns(SPAN.0 / 20 * u64::from(step)));
        // A flow that never becomes one: a lone ACK from outside.
        world.offer(Side::Outside, Say { flow: 100, seq: 5, ack: 7, flags: ACK, ..Say::default() });
    }
    world.run_until(START + SPAN);
    let arrivals = world.arrivals.take().expect("recorded");
    let (tally, stats) = (*world.worker.tally(), *world.worker.stats());
    (arrivals, tally, stats)
}

/// What must not depend on who did it.
fn figures(stats: impl Fn(fn(&WorkerStats) -> u64) -> u64) -> Vec<u64> {
    let of: [fn(&WorkerStats) -> u64; 20] = [
        |stats| stats.decisions_model,
        |stats| stats.decisions_explored,
        |stats| stats.decisions_rule,
        |stats| stats.decisions_control,
        |stats| stats.interval_ns_model + stats.interval_ns_rule + stats.interval_ns_control,
        |stats| stats.acked_bytes_model + stats.acked_bytes_rule + stats.acked_bytes_control,
        |stats| stats.acked_bytes_explored,
        |stats| stats.intervals,
        |stats| stats.intervals_without_rtt,
        |stats| stats.intervals_app_limited,
        |stats| stats.inferences,
        |stats| stats.ecn_marks,
        |stats| stats.pace_refused_delay,
        |stats| stats.samples_model,
        |stats| stats.samples_explored,
        |stats| stats.samples_control,
        |stats| stats.flows_opened,
        |stats| stats.paced_flows,
        |stats| stats.retransmitted_bytes,
        |stats| stats.lost_bytes,
    ];
    of.into_iter().map(stats).collect()
}

fn scenarios() -> [(EngineConfig, ModelSet); 2] {
    let rule = config(PacingRule::BbrLite);
    let mut model = rule.clone();
    let settings = pacing(&mut model);
    settings.model = true;
    settings.control_share = 65_536 / 5;
    (settings.explore_share, settings.explore_sigma_q16) = (65_536 / 4, 65_536);
    settings.sample_share = 65_536;
    [(rule, ModelSet::empty()), (model, set(&latency_keeper(1.1)))]
}

#[test]
fn many_workers_decide_and_send_what_one_does_wherever_the_card_puts_the_frames() {
    let spreads: [(&str, Spread); 3] =
        [("one queue", one_queue), ("by direction", by_direction), ("by flow", by_flow)];
    for (config, models) in scenarios() {
        let (arrivals, seen, stats) = recorded(&config, models.clone());
        assert!(arrivals.len() > 20_000 && seen.ended[Verdict::Paced as usize] > 3_000, "{seen:?}");
        assert!(stats.decisions_model + stats.decisions_rule > 200, "{stats:#?}");

        // One worker that is shown the same, at the same instants as the fleets, is the reference.
        let mut alone = Fleet::new(&config, models.clone(), 1, LANE);
        alone.play(&arrivals, one_queue, START + SPAN);
        let tally = alone.tally();
        assert_eq!(tally.received, seen.received);
        assert_eq!(tally.steered_in + tally.steered_out, 0);
        let by_flow = |samples: &[weir_features::Sample]| {
            let mut samples = samples.to_vec();
            samples.sort_by_key(|sample| (sample.flow, sample.at_ns));
            samples
        };

        for workers in [2, 3, 5] {
            for (name, spread) in spreads {
                let mut fleet = Fleet::new(&config, models.clone(), workers, LANE);
                fleet.play(&arrivals, spread, START + SPAN);
                let mut sum = fleet.tally();
                assert!(sum.steered_in > 1_000, "{workers} workers, {name}: {sum:?}");
                assert_eq!(sum.steered_in, sum.steered_out, "settled: nothing is within a lane");
                (sum.steered_in, sum.steered_out) = (0, 0);
                assert_eq!(sum, tally, "{workers} workers, {name}");
                assert_eq!(
                    figures(|of| fleet.sum(of)),
                    figures(|of| alone.sum(of)),
                    "{workers} workers, {name}"
                );
                assert!(fleet.left == alone.left, "{workers} workers, {name}: other bytes, order or times");
                assert_eq!(by_flow(&fleet.samples), by_flow(&alone.samples), "{workers} workers, {name}");
                let busy = (0..workers).filter(|worker| fleet.stats(*worker).flows > 0).count();
                assert_eq!(busy, workers, "twenty flows have more than one owner");
            }
        }
    }
}

#[test]
fn frames_of_a_flow_at_any_queue_may_overtake_and_are_never_lost() {
    let (arrivals, ..) = recorded(&config(PacingRule::BbrLite), ModelSet::empty());
    // The senders of the record do not react here: a rate at which none waits too long.
    let config = config(PacingRule::Fixed(BitsPerSec::from_mbps(200)));
    let mut fleet = Fleet::unordered(&config, ModelSet::empty(), 3, LANE);
    fleet.play(&arrivals, by_frame, START + SPAN + Ns::from_secs(5));
    let tally = fleet.tally();
    assert_eq!(tally.received.iter().sum::<u64>(), arrivals.len() as u64);
    assert_eq!((tally.held, tally.steered_in), (0, tally.steered_out));
    assert!(tally.steered_in > arrivals.len() as u64 / 2, "two thirds are at the wrong worker");
    for verdict in Verdict::ALL.into_iter().filter(|verdict| !verdict.sent()) {
        assert_eq!(tally.ended[verdict as usize], 0, "{}", verdict.name());
    }
    let left: usize = fleet.left.values().map(Vec::len).sum();
    assert_eq!(left, arrivals.len());
}

/// A frame of no flow, and one of a flow that some worker owns.
fn frames(count: u64) -> impl Iterator<Item = TestFrame> {
    (1..=count).map(|serial| {
        let flow = (serial % 100) as u16;
        let say = Say { flow, seq: serial as u32, ack: 1, payload: 100, flags: ACK, ..Say::default() };
        TestFrame { bytes: segment(Side::Inside, say), flow, serial }
    })
}

#[test]
fn a_full_lane_drops_and_counts_and_what_was_in_it_arrives() {
    let mut fleet = Fleet::new(&config(PacingRule::None), ModelSet::empty(), 2, 16);
    for frame in frames(32) {
        fleet.offer(0, Side::Inside, frame);
    }
    let strangers: Vec<_> =
        (100..104).map(|serial| TestFrame { bytes: vec![0; 60], flow: 120, serial }).collect();
    for frame in strangers {
        fleet.offer(1, Side::Inside, frame);
    }
    for _ in 0..4 {
        fleet.turn();
    }
    let (first, second) = (fleet.tally_of(0), fleet.tally_of(1));
    assert_eq!(
        (first.steered_out, second.steered_in),
        (16, 16),
        "half of a hundred flows, less what found no room"
    );
    let dropped = first.ended[Verdict::SteerFull as usize];
    assert_eq!(first.received, [32, 0]);
    assert_eq!(first.ended[Verdict::Untracked as usize] + dropped, 16);
    // What belongs to no flow stays where it arrived.
    assert_eq!((second.received, second.ended[Verdict::Untracked as usize]), ([4, 0], 20));
    assert_eq!((second.steered_out, fleet.stats(1).steer_lane_frames), (0, 0));
}

#[test]
fn a_stop_leaves_nothing_in_the_lanes() {
    for drain in [Ns::ZERO, Ns::from_millis(50)] {
        let config = config(PacingRule::BbrLite);
        let mut fleet = Fleet::new(&config, ModelSet::empty(), 3, LANE);
        for (index, frame) in frames(900).enumerate() {
            fleet.offer(index % 100 % 3, Side::Inside, frame);
        }
        fleet.turn();
        fleet.turn();
        let received: u64 = fleet.tally().received.iter().sum();
        assert!(received > 150 && received < 900, "{received}");
        let closed = fleet.stop(drain);
        let mut sum = Tally::default();
        for tally in &closed {
            assert!(tally.balanced() && tally.held == 0, "{tally:?}");
            sum += tally;
        }
        assert_eq!(sum.steered_in, sum.steered_out);
        assert_eq!(sum.ended.iter().sum::<u64>(), sum.received.iter().sum::<u64>());
    }
}

#[test]
fn what_is_left_in_a_lane_when_a_worker_ends_is_counted() {
    let mut fleet = Fleet::new(&config(PacingRule::None), ModelSet::empty(), 2, LANE);
    for frame in frames(32) {
        fleet.offer(0, Side::Inside, frame);
    }
    // The second worker's turn comes first: the first one's frames are still on their way to it.
    fleet.turn_backwards();
    let between = fleet.tally();
    assert!(between.balanced() && between.steered_out > between.steered_in, "{between:?}");
    let ends = fleet.end();
    assert_eq!(ends[1].ended[Verdict::Undrained as usize], between.steered_out);
    assert!(ends.iter().all(Tally::balanced));
}
