//! What the trainer is told, and what it is not.

use super::frames::{ACK, Say};
use super::networks::{constant, generation, latency_keeper, set};
use super::tcp::Sender;
use super::world::{Link, World};
use super::{config, pacing};
use std::collections::HashMap;
use weir_engine::config::{EngineConfig, PacingRule};
use weir_engine::io::Side;
use weir_engine::time::{BitsPerSec, Ns};
use weir_features::{INPUTS, ONE, PacingSpec, Sample, Source};

/// A model runs, and every flow is sampled.
fn sampling(rule: PacingRule) -> EngineConfig {
    let mut config = config(rule);
    let settings = pacing(&mut config);
    settings.model = true;
    settings.sample_share = 65_536;
    config
}

/// Flows that are seldom limited by their senders.
fn busy(config: &EngineConfig, flows: u16) -> World {
    let mut world =
        World::new(config, Link::new(100, Ns::from_millis(10), 500_000), set(&latency_keeper(1.1)));
    for flow in 1..=flows {
        world.connect(Sender::reno(flow, 1));
    }
    world
}

/// What is told in the next `span`, by flow.
fn trajectories(world: &mut World, span: Ns) -> HashMap<u64, Vec<Sample>> {
    let mut flows = HashMap::<u64, Vec<Sample>>::new();
    for sample in world.run_and_listen(span) {
        flows.entry(sample.flow).or_default().push(sample);
    }
    flows
}

/// The places at which a trajectory is broken.
fn gaps(trajectory: &[Sample]) -> usize {
    trajectory.windows(2).filter(|pair| !pair[1].follows(&pair[0])).count()
}

#[test]
fn consecutive_intervals_chain_and_a_swap_does_not_break_the_chain() {
    let mut world = busy(&sampling(PacingRule::BbrLite), 4);
    trajectories(&mut world, Ns::from_secs(2));
    let swapped_at = world.now;
    let second = world.policy.models.with(generation(2, &latency_keeper(1.15)));
    world.publish(|policy| policy.models = second);
    let flows = trajectories(&mut world, Ns::from_secs(2));
    assert_eq!(flows.len(), 4);
    let floor = PacingSpec::default().rtt_floor_ns;
    for trajectory in flows.values() {
        assert!(trajectory.len() > 50, "{}", trajectory.len());
        assert_eq!(gaps(trajectory), 0, "of {}", trajectory.len());
        // Up to the end of the interval in which it was published.
        let old = trajectory.iter().take_while(|sample| sample.generation == 1).count();
        let (before, after) = trajectory.split_at(old);
        assert!(after.iter().all(|sample| sample.generation == 2));
        let decided = |sample: &Sample| Ns(sample.at_ns - sample.duration_ns);
        assert!(before.iter().all(|sample| decided(sample) <= swapped_at));
        assert!(after.iter().all(|sample| decided(sample) > swapped_at));
        for pair in trajectory.windows(2) {
            // The network of the second was shown what came of the first.
            let ratio = pair[0].rtt_ns.max(floor) * ONE as u64 + pair[0].base_rtt_ns.max(floor) / 2;
            let ratio = (ratio / pair[0].base_rtt_ns.max(floor)).min(3 * ONE as u64);
            assert_eq!(pair[1].features[INPUTS - 2], ratio as i32);
            assert_eq!(pair[1].features[..INPUTS - 3], pair[0].features[3..]);
        }
    }
}

#[test]
fn control_flows_tell_of_outcomes_alone() {
    for rule in [PacingRule::BbrLite, PacingRule::Fixed(BitsPerSec::from_mbps(6))] {
        let mut config = sampling(rule);
        pacing(&mut config).control_share = 65_536 / 2;
        // All the same are told of.
        pacing(&mut config).sample_share = 0;
        let mut world = busy(&config, 16);
        let flows = trajectories(&mut world, Ns::from_secs(3));
        let stats = *world.worker.stats();
        assert!(
            stats.samples_control > 100 && stats.samples_model + stats.samples_explored == 0,
            "{stats:?}"
        );
        let (mut acked, mut count) = (0, 0);
        for sample in flows.values().flatten() {
            assert_eq!(sample.source, Source::Control);
            assert_eq!((sample.generation, sample.schema_hash, sample.action_q16), (0, 0, 0));
            assert_eq!((sample.features, sample.output_q16), ([0; INPUTS], 0));
            assert!(sample.base_rtt_ns >= 20_000_000 && sample.rtt_ns >= sample.base_rtt_ns);
            assert!(sample.duration_ns > 0 && sample.sent_bytes > 0);
            assert!((500_000..=10_000_000_000).contains(&sample.rate_bps), "{}", sample.rate_bps);
            (acked, count) = (acked + sample.acked_bytes, count + 1);
        }
        assert!(count <= stats.samples_control && acked > 0 && acked <= stats.acked_bytes_control);
        // Most intervals are told of, those of the network by the same conditions.
        assert!(stats.samples_control * 10 > stats.decisions_control * 8, "{rule:?} {stats:?}");
    }
}

/// Its rate would be without bounds, and every interval is one that the sender limited.
#[test]
fn a_rule_that_does_not_pace_tells_nothing() {
    let mut config = sampling(PacingRule::None);
    pacing(&mut config).control_share = 65_536;
    let mut world = busy(&config, 4);
    assert!(trajectories(&mut world, Ns::from_secs(1)).is_empty());
    assert!(world.worker.stats().intervals > 50);
}

#[test]
fn an_interval_that_the_sender_limited_is_no_sample() {
    for control_share in [0, 65_536] {
        let mut config = sampling(PacingRule::Fixed(BitsPerSec::from_mbps(40)));
        let settings = pacing(&mut config);
        settings.rate_start = BitsPerSec::from_mbps(40);
        settings.control_share = control_share;
        let link = Link::new(100, Ns::from_millis(10), 500_000);
        let mut world = World::new(&config, link, set(&constant(0)));
        // A quarter of its rate.
        world.connect(Sender::fixed(1, 1, 25_000));
        world.run_for(Ns::from_secs(3));
        let stats = world.worker.stats();
        let told = stats.samples_model + stats.samples_control + stats.samples_dropped;
        assert!(
            stats.intervals > 100 && stats.intervals_app_limited * 10 >= stats.intervals * 9,
            "{stats:?}"
        );
        assert!(told <= stats.intervals - stats.intervals_app_limited, "{stats:?}");
    }
}

/// The guard's bounds and the limits on frames hold from the next frame on: what the interval brings is the outcome of
/// neither.
#[test]
fn an_interval_in_whose_midst_settings_change_is_no_sample() {
    let mut world = busy(&sampling(PacingRule::BbrLite), 4);
    trajectories(&mut world, Ns::from_secs(2));
    world.publish(|policy| {
        policy.pacing.as_mut().expect("the test configuration paces").mark_delay = Ns::from_millis(20);
    });
    let changed_at = world.now.0;
    for trajectory in trajectories(&mut world, Ns::from_secs(1)).values() {
        assert_eq!(gaps(trajectory), 1, "of {}", trajectory.len());
        let spans =
            |sample: &&Sample| (sample.at_ns - sample.duration_ns..sample.at_ns).contains(&changed_at);
        assert_eq!(trajectory.iter().find(spans), None);
    }
}

#[test]
fn without_a_model_nothing_is_told() {
    let mut config = sampling(PacingRule::BbrLite);
    pacing(&mut config).model = false;
    pacing(&mut config).control_share = 65_536 / 2;
    let mut world = busy(&config, 8);
    assert!(trajectories(&mut world, Ns::from_secs(1)).is_empty());
    assert!(world.worker.stats().decisions_rule > 50 && world.worker.stats().decisions_control == 0);
}

/// A worker that lost its core between the beginning of a turn and its `rx` takes up acknowledgements that came meanwhile: they
/// came after that beginning, and no RTT is shorter than the path's.
#[test]
fn an_acknowledgement_is_dated_when_it_was_received() {
    let (rtt, lost) = (Ns::from_millis(20), Ns::from_millis(15));
    let mut world = World::new(&sampling(PacingRule::None), Link::new(100, rtt, 500_000), set(&constant(0)));
    world.handshake(1, 0);
    let mut seq = 1;
    for _ in 0..500 {
        world.offer(Side::Inside, Say { flow: 1, seq, ack: 1, payload: 1_448, flags: ACK, ..Say::default() });
        seq += 1_448;
        // It leaves at once: the one before was acknowledged an RTT ago.
        world.turn();
        world.now += rtt;
        world.offer(Side::Outside, Say { flow: 1, seq: 1, ack: seq, flags: ACK, ..Say::default() });
        world.io.now = Some(world.now);
        world.now = Ns(world.now.0 - lost.0);
        world.turn();
        world.now += lost;
    }
    let stats = world.worker.stats();
    let decisions = stats.decisions_model + stats.decisions_rule;
    assert!(decisions > 20, "{stats:?}");
    let mean = Ns((stats.rtt_ns_model + stats.rtt_ns_rule) / decisions);
    assert!(mean >= rtt, "{mean}");
}
