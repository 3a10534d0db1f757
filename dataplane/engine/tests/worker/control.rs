//! Closed loops: what a rule or a network makes of a bottleneck.

use super::networks::{constant, latency_keeper, set};
use super::tcp::Sender;
use super::world::{Link, World};
use super::{config, pacing};
use weir_engine::config::PacingRule;
use weir_engine::models::ModelSet;
use weir_engine::time::{BitsPerSec, Ns};

/// 100 Mb/s, 10 ms each way, a queue of 2 BDP.
fn bottleneck() -> Link {
    Link::new(100, Ns::from_millis(10), 500_000)
}

struct Outcome {
    /// Payload over the link's rate, in percent.
    utilisation: u64,
    /// Mean queueing delay at the bottleneck.
    wait: Ns,
    dropped: u64,
}

/// Runs for `warm_up`, then measures for `span`.
fn measure(world: &mut World, warm_up: Ns, span: Ns) -> Outcome {
    world.run_for(warm_up);
    let (delivered, dropped) = (world.delivered(), world.link.dropped);
    world.link.waits.clear();
    world.run_for(span);
    let bits = (world.delivered() - delivered) * 8;
    let waits = &world.link.waits;
    let outcome = Outcome {
        utilisation: (u128::from(bits) * 100 * 1_000_000_000
            / (u128::from(world.link.rate.0) * u128::from(span.0))) as u64,
        wait: Ns(waits.iter().map(|wait| wait.0).sum::<u64>() / waits.len().max(1) as u64),
        dropped: world.link.dropped - dropped,
    };
    eprintln!("{} % of the link, mean queueing delay {}", outcome.utilisation, outcome.wait);
    outcome
}

#[test]
fn forwarding_only_fills_the_queue_of_the_bottleneck() {
    let mut config = config(PacingRule::None);
    config.pacing = None;
    let mut world = World::new(&config, bottleneck(), ModelSet::empty());
    world.connect(Sender::reno(1, 1));
    let outcome = measure(&mut world, Ns::from_secs(2), Ns::from_secs(4));
    assert!(
        outcome.utilisation >= 90 && outcome.wait > Ns::from_millis(10),
        "{} % {}",
        outcome.utilisation,
        outcome.wait
    );
}

#[test]
fn bbr_lite_fills_the_link_and_keeps_its_queue_short() {
    let config = config(PacingRule::BbrLite);
    let mut world = World::new(&config, bottleneck(), ModelSet::empty());
    world.connect(Sender::reno(1, u32::MAX - 100_000));
    let outcome = measure(&mut world, Ns::from_secs(3), Ns::from_secs(5));
    assert!(outcome.utilisation >= 85, "{} %, {}", outcome.utilisation, outcome.wait);
    assert!(outcome.wait < Ns::from_millis(5), "{}", outcome.wait);
    assert_eq!(outcome.dropped, 0);
    assert!(world.worker.stats().decisions_rule > 500);
}

#[test]
fn a_network_fills_the_link_and_keeps_its_queue_short() {
    let mut config = config(PacingRule::BbrLite);
    pacing(&mut config).model = true;
    let mut world = World::new(&config, bottleneck(), set(&latency_keeper(1.1)));
    world.connect(Sender::reno(1, 1));
    let outcome = measure(&mut world, Ns::from_secs(4), Ns::from_secs(5));
    assert!(outcome.utilisation >= 90, "{} %, {}", outcome.utilisation, outcome.wait);
    assert!(outcome.wait < Ns::from_millis(4), "{}", outcome.wait);
    assert_eq!(outcome.dropped, 0);
    let stats = world.worker.stats();
    assert_eq!((stats.decisions_rule, stats.decisions_control), (0, 0));
    assert_eq!(stats.decisions_model, stats.inferences);
    assert!(stats.inferences > 500 && stats.inference_batches <= stats.inferences);
}

/// Half way the link changes, for better or worse, under several flows.
#[test]
fn a_link_that_changes_is_followed() {
    for (mbps, with_model) in [(30, false), (30, true), (300, false)] {
        let mut config = config(PacingRule::BbrLite);
        pacing(&mut config).model = with_model;
        let mut world = World::new(&config, bottleneck(), set(&latency_keeper(1.1)));
        for flow in 1..=4 {
            world.connect(Sender::reno(flow, 1));
        }
        let before = measure(&mut world, Ns::from_secs(3), Ns::from_secs(2));
        world.link.rate = BitsPerSec::from_mbps(mbps);
        let after = measure(&mut world, Ns::from_secs(4), Ns::from_secs(4));
        assert!(before.utilisation >= 85 && after.utilisation >= 85, "{mbps} Mb/s: {} %", after.utilisation);
        assert!(after.wait < Ns::from_millis(20), "{mbps} Mb/s: {}", after.wait);
    }
}

/// Half way the path becomes four times as long, for good: no rate brings the old RTT back, and none is to be waited for.
#[test]
fn a_path_that_becomes_longer_is_no_queue() {
    for (with_model, flows) in [(true, 1), (true, 4), (false, 4)] {
        let mut config = config(PacingRule::BbrLite);
        let settings = pacing(&mut config);
        settings.model = with_model;
        // Lower, and the sender takes what waits here for lost.
        settings.rate_min = BitsPerSec(5_000_000);
        let mut world = World::new(&config, bottleneck(), set(&latency_keeper(1.1)));
        world.link.delay = Ns::from_micros(2_500);
        for flow in 1..=flows {
            world.connect(Sender::reno(flow, 1));
        }
        let before = measure(&mut world, Ns::from_secs(3), Ns::from_secs(2));
        assert_eq!(world.worker.stats().longer_paths, 0);
        world.link.delay = Ns::from_millis(10);
        let after = measure(&mut world, Ns::from_secs(20), Ns::from_secs(5));
        assert!(
            before.utilisation >= 85 && after.utilisation >= 85,
            "{flows} flows: {} %",
            after.utilisation
        );
        assert!(after.wait < Ns::from_millis(20), "{flows} flows: {}", after.wait);
        let followed = world.worker.stats().longer_paths;
        assert_eq!(world.worker.stats().concessions, 0, "nobody is in the way");
        assert!((u64::from(flows)..=3 * u64::from(flows)).contains(&followed), "{followed} of {flows} flows");
    }
}

/// Flows of a network that goes by delay beside some of the control share, whose rule does not give way: those would end with the
/// guard's lowest rate, and these with the link.
#[test]
fn a_network_that_gives_way_in_vain_gives_its_flow_to_the_rule() {
    let mut config = config(PacingRule::BbrLite);
    let settings = pacing(&mut config);
    (settings.model, settings.control_share) = (true, 1 << 14);
    settings.rate_min = BitsPerSec(500_000);
    let mut world =
        World::new(&config, Link::new(24, Ns::from_millis(10), 120_000), set(&latency_keeper(1.1)));
    for flow in 1..=8 {
        world.connect(Sender::reno(flow, 1));
    }
    let begun = world.now;
    // Each flow's share of what would be fair, in the ten seconds before `until`, the least first.
    let mut shares = |until: u64| {
        let span = Ns::from_secs(10);
        world.run_for(begun + Ns::from_secs(until) - span - world.now);
        let before: Vec<u64> = world.receivers.values().map(|receiver| receiver.delivered).collect();
        world.run_for(span);
        let received = world.receivers.values().zip(before).map(|(after, before)| after.delivered - before);
        let mut shares: Vec<f64> = received.map(|bytes| bytes as f64 * 8.0 / 30e6).collect();
        shares.sort_by(f64::total_cmp);
        let concessions = world.worker.stats().concessions;
        eprintln!("{until} s: {shares:.2?}, {concessions} concessions");
        (shares, concessions)
    };
    let (beside, none) = shares(18);
    assert!(beside[5] < 0.3 && beside[7] > 3.5 && none == 0, "{beside:?}, {none}");
    let (conceded, each) = shares(70);
    assert!(conceded[0] > 0.6 && each == 6, "{conceded:?}, {each}");
}

#[test]
fn several_flows_of_a_network_share_a_link() {
    let mut config = config(PacingRule::BbrLite);
    pacing(&mut config).model = true;
    let mut world = World::new(&config, bottleneck(), set(&latency_keeper(1.15)));
    for flow in 1..=8 {
        world.connect(Sender::reno(flow, 1));
    }
    let outcome = measure(&mut world, Ns::from_secs(3), Ns::from_secs(3));
    assert!(outcome.utilisation >= 90, "{} %", outcome.utilisation);
    assert!(world.receivers.values().all(|receiver| receiver.delivered > 1_000_000), "none starves");
}

#[test]
fn the_guard_bounds_a_network_that_knows_no_bounds() {
    for (action, limit) in [(i32::MAX, 30_000_000), (i32::MIN, 5_000_000)] {
        let mut config = config(PacingRule::BbrLite);
        let bounds = pacing(&mut config);
        bounds.model = true;
        (bounds.rate_min, bounds.rate_max) = (BitsPerSec(5_000_000), BitsPerSec(30_000_000));
        let mut world = World::new(&config, bottleneck(), set(&constant(action)));
        world.connect(Sender::reno(1, 1));
        let outcome = measure(&mut world, Ns::from_secs(2), Ns::from_secs(2));
        // Payload is 1 448 of 1 514 bytes.
        let expected = limit * 1_448 / 1_514 / 1_000_000;
        assert!(outcome.utilisation.abs_diff(expected) <= 1, "{action}: {} %", outcome.utilisation);
        let stats = world.worker.stats();
        assert_eq!(stats.guard_action, stats.inferences);
        assert!(if action > 0 { stats.guard_ceiling } else { stats.guard_floor } > 40);
    }
}

/// A sender that never slows down, under a network that only ever raises, on a queue of six frames where an RTT holds 166: no
/// delay tells of it.
fn flood(queue_bytes: u64) -> (World, f64) {
    let mut config = config(PacingRule::BbrLite);
    let settings = pacing(&mut config);
    settings.model = true;
    settings.rate_max = BitsPerSec::from_mbps(400);
    settings.delay_max = Ns::from_secs(1);
    let link = Link::new(100, Ns::from_millis(10), queue_bytes);
    let mut world = World::new(&config, link, set(&constant(2 << 16)));
    world.connect(Sender::fixed(1, 1, 400_000));
    world.run_for(Ns::from_secs(4));
    let (entered, dropped) = (world.link.entered, world.link.dropped);
    world.run_for(Ns::from_secs(4));
    let share = (world.link.dropped - dropped) as f64 / (world.link.entered - entered) as f64;
    (world, share)
}

#[test]
fn the_guard_holds_a_network_that_floods_a_queue_too_short_to_be_seen() {
    let (world, lost) = flood(9_000);
    let stats = world.worker.stats();
    assert!(lost < 0.05, "{lost}");
    assert!(stats.guard_loss > 100 && stats.guard_loss < stats.inferences, "{stats:?}");
    // 8 s of 100 Mb/s are 95.6 MB of payload.
    assert!(world.delivered() > 76_000_000, "{}", world.delivered());
}

#[test]
fn random_loss_alone_brakes_nobody() {
    let mut config = config(PacingRule::BbrLite);
    let settings = pacing(&mut config);
    settings.model = true;
    settings.rate_start = BitsPerSec::from_mbps(50);
    settings.delay_max = Ns::from_secs(1);
    let mut link = Link::new(100, Ns::from_millis(10), 250_000);
    link.lose_every = 20;
    let mut world = World::new(&config, link, set(&constant(0)));
    world.connect(Sender::fixed(1, 1, 400_000));
    world.run_for(Ns::from_secs(8));
    let stats = world.worker.stats();
    assert_eq!((stats.guard_loss, world.link.dropped), (0, 0), "{stats:?}");
    assert!(stats.lost_bytes_model * 100 > stats.acked_bytes_model * 4, "the loss was seen: {stats:?}");
}

/// Its own window keeps the sender at 10 Mb/s; a network that only ever raises must not run away from that.
#[test]
fn a_flow_that_its_sender_limits_is_not_raised() {
    let mut config = config(PacingRule::BbrLite);
    let settings = pacing(&mut config);
    settings.model = true;
    settings.rate_start = BitsPerSec::from_mbps(20);
    settings.sample_share = 65_536;
    let mut world = World::new(&config, bottleneck(), set(&constant(5 << 16)));
    world.connect(Sender::fixed(1, 1, 25_000));
    world.run_for(Ns::from_secs(3));
    let stats = *world.worker.stats();
    assert!(stats.intervals > 100 && stats.intervals_app_limited * 10 >= stats.intervals * 9, "{stats:?}");
    // Had the rate risen, a wider window would now leave far faster than 20 Mb/s.
    let Some(sender) = world.senders.get_mut(&1) else { panic!("the flow is there") };
    sender.window = 400_000.0;
    let before = world.departures.len();
    world.run_for(Ns::from_millis(60));
    let bits: usize = world.departures[before..].iter().map(|departure| departure.2 * 8).sum();
    assert!(bits < 2_000_000, "{bits} bits in 60 ms");
}

#[test]
fn the_control_share_stays_on_the_rule() {
    let mut config = config(PacingRule::BbrLite);
    let settings = pacing(&mut config);
    settings.model = true;
    settings.control_share = 65_536 / 2;
    let mut world = World::new(&config, bottleneck(), set(&latency_keeper(1.1)));
    for flow in 1..=24 {
        world.connect(Sender::reno(flow, 1));
    }
    world.run_for(Ns::from_secs(3));
    let stats = *world.worker.stats();
    assert!(stats.decisions_control > 300 && stats.decisions_model > 300, "{stats:?}");
    assert_eq!(stats.decisions_rule, 0);
    assert!(stats.acked_bytes_control > 0 && stats.acked_bytes_model > 0 && stats.rtt_ns_model > 0);
}
