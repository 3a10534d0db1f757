//! A new snapshot arrives while traffic flows.

use super::networks::{constant, generation, latency_keeper, set};
use super::tcp::Sender;
use super::world::{Link, World};
use super::{config, pacing};
use weir_engine::config::{PacingRule, Pin};
use weir_engine::models::{Generation, ModelSet, Unfit};
use weir_engine::time::Ns;
use weir_engine::verdict::Verdict;
use weir_features::PacingSpec;

fn link() -> Link {
    Link::new(100, Ns::from_millis(10), 500_000)
}

#[test]
fn a_swap_in_flight_loses_nothing_and_old_generations_are_given_back() {
    for pin in [Pin::Interval, Pin::Flow { max: Ns::from_millis(300) }] {
        let mut config = config(PacingRule::BbrLite);
        pacing(&mut config).model = true;
        pacing(&mut config).pin = pin;
        let mut world = World::new(&config, link(), set(&latency_keeper(1.1)));
        // More than the link's share in flight each, and too little to meet a limit of Weir's.
        for flow in 1..=4 {
            world.connect(Sender::fixed(flow, 1, 100_000));
        }
        world.run_for(Ns::from_secs(2));
        let before = *world.worker.stats();
        let mut set = set(&latency_keeper(1.1));
        for number in 2..=6 {
            set = set.with(generation(number, &latency_keeper(1.05 + f64::from(number) / 50.0)));
            world.publish(|policy| policy.models = set.clone());
            world.run_for(Ns::from_millis(400));
        }
        let stats = *world.worker.stats();
        assert_eq!(stats.swaps_seen, 5);
        assert_eq!(stats.rebinds, 5 * 4, "each flow took up each generation once");
        let tally = world.worker.tally();
        for verdict in [Verdict::PaceFull, Verdict::TxFull, Verdict::TableFull, Verdict::Malformed] {
            assert_eq!(tally.ended[verdict as usize], 0, "{verdict:?}");
        }
        assert_eq!(stats.retransmitted_bytes, before.retransmitted_bytes);
        assert!(world.receivers.values().all(|receiver| receiver.delivered > 1_000_000));
    }
}

#[test]
fn a_pinned_flow_keeps_its_generation_until_its_time_is_up_or_the_generation_is_retired() {
    let mut config = config(PacingRule::BbrLite);
    pacing(&mut config).model = true;
    pacing(&mut config).pin = Pin::Flow { max: Ns::from_secs(2) };
    let first = set(&constant(0));
    let mut world = World::new(&config, link(), first.clone());
    world.connect(Sender::reno(1, 1));
    world.run_for(Ns::from_millis(500));
    let second = first.with(generation(2, &constant(0)));
    world.publish(|policy| policy.models = second.clone());
    world.run_for(Ns::from_secs(1));
    assert_eq!(world.worker.stats().rebinds, 0, "pinned");
    world.publish(|policy| policy.models = second.retire_previous());
    world.run_for(Ns::from_millis(5));
    assert_eq!(world.worker.stats().rebinds, 1, "retired: at its next frame");
    world.publish(|policy| policy.models = second.with(generation(3, &constant(0))));
    world.run_for(Ns::from_secs(1));
    assert_eq!(world.worker.stats().rebinds, 1, "pinned again");
    world.run_for(Ns::from_millis(1_200));
    assert_eq!(world.worker.stats().rebinds, 2, "its time was up");
}

/// A publisher waits until nobody follows the generation that it is about to drop: how long that may take.
#[test]
fn a_worker_says_when_nobody_follows_the_previous_generation_any_more() {
    // A flow is bound from its first decision on, less than 400 ms after it began; two seconds later comes the swap.
    let pinned = Pin::Flow { max: Ns::from_millis(2_300) };
    for (pin, kept) in [(Pin::Interval, Ns::ZERO), (pinned, Ns::from_millis(300))] {
        let mut config = config(PacingRule::BbrLite);
        pacing(&mut config).model = true;
        pacing(&mut config).pin = pin;
        let mut world = World::new(&config, link(), set(&latency_keeper(1.1)));
        for flow in 1..=4 {
            world.connect(Sender::fixed(flow, 1, 100_000));
        }
        world.run_for(Ns::from_secs(2));
        let following = |world: &World| {
            let stats = world.worker.stats();
            [stats.generation, stats.following_active, stats.following_previous]
        };
        assert_eq!(following(&world), [1, 4, 0]);
        let second = world.policy.models.with(generation(2, &latency_keeper(1.1)));
        world.publish(|policy| policy.models = second);
        assert_eq!(following(&world), [1, 4, 0], "not taken up yet");
        world.turn_and_carry();
        let [generation, active, previous] = following(&world);
        assert_eq!((generation, active + previous), (2, 4));
        assert!(previous >= 2, "{previous}");
        if kept > Ns::ZERO {
            world.run_for(Ns(kept.0 / 2));
            assert!(following(&world)[2] > 0, "pinned");
        }
        world.run_for(Ns(kept.0 / 2) + Ns::from_millis(400));
        assert_eq!(following(&world), [2, 4, 0], "{pin:?}");
    }
}

/// Without waiting, the intervals that were open are told to nobody, and nothing else is lost.
#[test]
fn flows_of_a_generation_that_is_dropped_under_them_rebind_at_their_next_frame() {
    let mut config = config(PacingRule::BbrLite);
    pacing(&mut config).model = true;
    pacing(&mut config).sample_share = 65_536;
    let mut world = World::new(&config, link(), set(&latency_keeper(1.1)));
    for flow in 1..=4 {
        world.connect(Sender::fixed(flow, 1, 100_000));
    }
    world.run_and_listen(Ns::from_secs(2));
    let swapped_at = world.now.0;
    for number in 2..=3 {
        let next = world.policy.models.with(generation(number, &latency_keeper(1.1)));
        world.publish(|policy| policy.models = next);
        world.turn_and_carry();
    }
    assert_eq!(world.worker.stats().following_previous, 4, "nobody has had a frame yet");
    let mut samples = world.run_and_listen(Ns::from_secs(1));
    let stats = world.worker.stats();
    assert_eq!((stats.generation, stats.following_active, stats.following_previous), (3, 4, 0));
    assert_eq!((stats.rebinds, stats.swaps_seen), (4, 2));
    assert_eq!(world.worker.tally().ended[Verdict::PaceFull as usize], 0);
    samples.retain(|sample| sample.at_ns > swapped_at);
    assert!(samples.len() > 60 && samples.iter().all(|sample| sample.generation == 3), "{}", samples.len());
    // One trajectory for each flow, none of which reaches back to the swap.
    let begins = samples.iter().filter(|sample| !samples.iter().any(|before| sample.follows(before)));
    assert!(begins.clone().all(|sample| sample.at_ns - sample.duration_ns > swapped_at));
    assert_eq!(begins.count(), 4);
}

/// A connection that is silent for hours does not keep a publisher waiting.
#[test]
fn a_flow_at_rest_follows_nothing() {
    let mut config = config(PacingRule::BbrLite);
    pacing(&mut config).model = true;
    let mut world = World::new(&config, link(), set(&constant(0)));
    world.connect(Sender::fixed(1, 1, 100_000));
    world.run_for(Ns::from_secs(1));
    assert_eq!(world.worker.stats().following_active, 1);
    world.senders.clear();
    world.run_for(Ns::from_secs(4));
    let stats = world.worker.stats();
    assert_eq!((stats.paced_flows, stats.following_active, stats.following_previous), (1, 0, 0));
    let second = world.policy.models.with(generation(2, &constant(0)));
    world.publish(|policy| policy.models = second);
    world.run_for(Ns::from_millis(1));
    assert_eq!((world.worker.stats().generation, world.worker.stats().following_previous), (2, 0));
}

#[test]
fn models_come_and_go() {
    let mut config = config(PacingRule::BbrLite);
    pacing(&mut config).model = true;
    let mut world = World::new(&config, link(), ModelSet::empty());
    world.connect(Sender::reno(1, 1));
    world.run_for(Ns::from_secs(1));
    let before = *world.worker.stats();
    assert!(before.decisions_rule > 30 && before.decisions_model == 0);
    world.publish(|policy| policy.models = set(&latency_keeper(1.1)));
    world.run_for(Ns::from_secs(1));
    let with = *world.worker.stats();
    assert!(with.decisions_model > 30 && with.decisions_rule <= before.decisions_rule + 1);
    world.publish(|policy| policy.models = ModelSet::empty());
    world.run_for(Ns::from_secs(1));
    let after = *world.worker.stats();
    assert!(after.decisions_model == with.decisions_model && after.decisions_rule > with.decisions_rule + 30);
    assert_eq!(after.swaps_seen, 2);
}

#[test]
fn a_snapshot_made_for_something_else_is_refused() {
    let hash = PacingSpec::default().schema_hash();
    let mut parts = latency_keeper(1.1);
    parts.schema_hash ^= 1;
    let refused = Generation::new(1, super::networks::executable(&parts), hash).map(|_| ());
    assert_eq!(refused, Err(Unfit::Schema { expected: hash, found: hash ^ 1 }));

    let mut parts = latency_keeper(1.1);
    parts.function = weir_snapshot::Function::Balance;
    let refused = Generation::new(1, super::networks::executable(&parts), hash).map(|_| ());
    assert_eq!(
        refused,
        Err(Unfit::Function {
            expected: weir_snapshot::Function::Pacing,
            found: weir_snapshot::Function::Balance
        })
    );

    let mut parts = latency_keeper(1.1);
    parts.inputs.truncate(29);
    parts.layers[0].inputs = 29;
    parts.layers[0].weights.truncate(29);
    let refused = Generation::new(1, super::networks::executable(&parts), hash).map(|_| ());
    assert_eq!(refused, Err(Unfit::Shape { expected: 30, inputs: 29, outputs: 1 }));
}
