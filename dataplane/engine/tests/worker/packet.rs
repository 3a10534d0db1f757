//! Cadence `packet`: rates that hold until the next frame, and the one that stays.

use super::networks::{constant, generation, latency_keeper, set};
use super::tcp::Sender;
use super::world::{Link, World};
use super::{config, pacing};
use weir_engine::config::{EngineConfig, PacingCadence, PacingRule};
use weir_engine::time::{BitsPerSec, Ns};
use weir_features::{Sample, apply_action};
use weir_snapshot::Parts;

fn per_packet() -> EngineConfig {
    let mut config = config(PacingRule::BbrLite);
    let settings = pacing(&mut config);
    (settings.model, settings.cadence) = (true, PacingCadence::Packet);
    config
}

/// 100 Mb/s, 10 ms each way, a queue of 2 BDP, and so many senders.
fn world(config: &EngineConfig, network: &Parts, flows: u16) -> World {
    let mut world = World::new(config, Link::new(100, Ns::from_millis(10), 500_000), set(network));
    (1..=flows).for_each(|flow| world.connect(Sender::reno(flow, 1)));
    world
}

fn told_by_flow(world: &mut World, span: Ns) -> Vec<Vec<Sample>> {
    let mut flows = std::collections::BTreeMap::<u64, Vec<Sample>>::new();
    for sample in world.run_and_listen(span) {
        flows.entry(sample.flow).or_default().push(sample);
    }
    flows.into_values().collect()
}

#[test]
fn a_network_is_asked_for_each_frame_and_still_fills_the_link_with_a_short_queue() {
    let mut world = world(&per_packet(), &latency_keeper(1.1), 1);
    world.run_for(Ns::from_secs(4));
    let (delivered, before) = (world.delivered(), *world.worker.stats());
    world.link.waits.clear();
    world.run_for(Ns::from_secs(5));
    let bits = (world.delivered() - delivered) * 8;
    assert!(bits >= 450_000_000, "{bits}");
    let longest = world.link.waits.iter().max().copied().unwrap_or_default();
    assert!(longest < Ns::from_millis(15), "{longest}");
    assert_eq!(world.link.dropped, 0);
    let stats = world.worker.stats();
    let provisional = stats.decisions_provisional - before.decisions_provisional;
    let ends = stats.decisions_model - before.decisions_model;
    let frames = bits / 8 / 1_460;
    // An interval's first frames, before its first RTT, are not asked for.
    assert!(provisional > frames * 3 / 4 && provisional <= frames + 10, "{provisional} for {frames} frames");
    assert_eq!(stats.inferences - before.inferences, provisional + ends);
    assert!(ends > 200);
}

/// Rates at interval ends follow from each other by the actions at interval ends, whatever was done in between.
#[test]
fn only_an_intervals_end_commits() {
    for cadence in [PacingCadence::Interval, PacingCadence::Packet] {
        let mut config = per_packet();
        let settings = pacing(&mut config);
        (settings.cadence, settings.sample_share) = (cadence, 65_536);
        let mut world = world(&config, &latency_keeper(1.1), 4);
        world.run_for(Ns::from_secs(2));
        let mut pairs = 0;
        for trajectory in told_by_flow(&mut world, Ns::from_secs(2)) {
            for pair in trajectory.windows(2).filter(|pair| pair[1].follows(&pair[0])) {
                assert_eq!(
                    pair[1].rate_bps,
                    apply_action(pair[0].rate_bps, pair[1].action_q16),
                    "{cadence:?}"
                );
                pairs += 1;
            }
        }
        assert!(pairs > 200, "{cadence:?} {pairs}");
        assert_eq!(world.worker.stats().decisions_provisional > 5_000, cadence == PacingCadence::Packet);
    }
}

/// A network that wants a fifth more, always: within an interval it gets that once, not once a frame.
#[test]
fn provisional_steps_do_not_add_up() {
    let mut config = per_packet();
    pacing(&mut config).sample_share = 65_536;
    let mut world = world(&config, &constant(8 << 16), 1);
    let mut seen = 0;
    for sample in world.run_and_listen(Ns::from_millis(400)) {
        // What departed of an interval did so at most at one step above its rate; the least frame is a whole one.
        let bits = (sample.sent_bytes + 2 * 1_460) * 8;
        let most = apply_action(sample.rate_bps, 8 << 16) as u128 * u128::from(sample.duration_ns);
        assert!(u128::from(bits) * 950_000_000 <= most + 2 * 1_500 * 8 * 1_000_000_000, "{sample:?}");
        seen += 1;
    }
    assert!(seen > 5 && world.worker.stats().decisions_provisional > 50, "{seen}");
}

#[test]
fn who_explores_is_asked_at_interval_ends_only() {
    let mut config = per_packet();
    let settings = pacing(&mut config);
    (settings.explore_share, settings.explore_sigma_q16) = (65_536, 32_768);
    let mut world = world(&config, &latency_keeper(1.1), 2);
    world.run_for(Ns::from_secs(1));
    let stats = world.worker.stats();
    assert!(stats.decisions_explored > 50);
    assert_eq!((stats.decisions_provisional, stats.inferences), (0, stats.decisions_explored));
}

#[test]
fn a_swap_and_a_lower_bound_hold_at_once() {
    let mut config = per_packet();
    pacing(&mut config).sample_share = 65_536;
    let mut world = world(&config, &latency_keeper(1.1), 2);
    world.run_for(Ns::from_secs(2));
    let second = world.policy.models.with(generation(2, &constant(0)));
    let lower = BitsPerSec::from_mbps(9);
    world.publish(|policy| {
        policy.models = second;
        if let Some(pacing) = &mut policy.pacing {
            pacing.rate_max = lower;
        }
    });
    // What is told of up to here had begun before.
    world.run_and_listen(Ns::from_millis(100));
    let delivered = world.delivered();
    for sample in world.run_and_listen(Ns::from_secs(1)) {
        assert!(sample.rate_bps <= lower.0 && sample.generation == 2, "{sample:?}");
    }
    let bits = (world.delivered() - delivered) * 8;
    assert!((15_000_000..=18_100_000).contains(&bits), "{bits}");
}
