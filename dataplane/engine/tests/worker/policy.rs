//! Other settings arrive while traffic flows.

use super::networks::{constant, generation, latency_keeper, set};
use super::tcp::Sender;
use super::world::{Link, World};
use super::{config, pacing};
use weir_engine::config::{PacingConfig, PacingRule, Pin};
use weir_engine::models::{Generation, ModelSet};
use weir_engine::time::{BitsPerSec, Ns};
use weir_engine::verdict::Verdict;
use weir_features::PacingSpec;

/// Wide enough that only Weir shapes a flow.
fn wide() -> Link {
    Link::new(1_000, Ns::from_millis(10), u64::MAX)
}

/// Publishes other settings.
fn set_pacing(world: &mut World, change: impl FnOnce(&mut PacingConfig)) {
    world.publish(|policy| change(policy.pacing.as_mut().expect("the test configuration paces")));
}

/// Rate of what leaves towards the network over the next `span`, in Mb/s.
fn rate_mbps(world: &mut World, span: Ns) -> f64 {
    let before = world.departures.len();
    world.run_for(span);
    let bytes: usize = world.departures[before..].iter().map(|departure| departure.2).sum();
    bytes as f64 * 8e3 / span.0 as f64
}

fn paced_at(mbps: u64) -> World {
    let mut config = config(PacingRule::Fixed(BitsPerSec::from_mbps(mbps)));
    pacing(&mut config).mark_delay = Ns::from_secs(1);
    pacing(&mut config).delay_max = Ns::from_secs(1);
    let mut world = World::new(&config, wide(), ModelSet::empty());
    world.connect(Sender::fixed(1, 1, 400_000));
    world.run_for(Ns::from_secs(1));
    world
}

#[test]
fn publications_every_few_milliseconds_lose_nothing() {
    let mut config = config(PacingRule::BbrLite);
    pacing(&mut config).model = true;
    let mut world =
        World::new(&config, Link::new(100, Ns::from_millis(10), 500_000), set(&latency_keeper(1.1)));
    for flow in 1..=4 {
        world.connect(Sender::fixed(flow, 1, 100_000));
    }
    world.run_for(Ns::from_secs(2));
    let (before, tally) = (*world.worker.stats(), *world.worker.tally());
    let rules = [PacingRule::BbrLite, PacingRule::Fixed(BitsPerSec::from_mbps(24)), PacingRule::None];
    for number in 2..=200_u32 {
        let rule = rules[number as usize % rules.len()];
        world.publish(|policy| {
            let settings = policy.pacing.as_mut().expect("the test configuration paces");
            settings.rule = rule;
            settings.model = !number.is_multiple_of(3);
            settings.control_share = number * 300;
            settings.rate_min = BitsPerSec(500_000 + u64::from(number));
            settings.pin =
                if number.is_multiple_of(2) { Pin::Interval } else { Pin::Flow { max: Ns::from_secs(2) } };
            policy.models = policy.models.with(generation(number, &latency_keeper(1.05)));
        });
        world.run_for(Ns::from_millis(7));
    }
    let stats = *world.worker.stats();
    assert_eq!(stats.swaps_seen, 199);
    // That nothing was allocated and that the books balance, `World::turn` has seen.
    for verdict in Verdict::ALL {
        let rose = world.worker.tally().ended[verdict as usize] - tally.ended[verdict as usize];
        assert!(
            rose == 0 || matches!(verdict, Verdict::Paced | Verdict::Forwarded),
            "{verdict:?} rose by {rose}"
        );
    }
    assert_eq!(stats.retransmitted_bytes, before.retransmitted_bytes);
    assert!(
        stats.decisions_model > before.decisions_model
            && stats.decisions_rule > 0
            && stats.decisions_control > 0
    );
    assert!(world.receivers.values().all(|receiver| receiver.delivered > 1_000_000));
}

#[test]
fn the_guards_bounds_hold_from_the_next_frame_on() {
    let mut world = paced_at(40);
    assert!((rate_mbps(&mut world, Ns::from_millis(100)) - 40.0).abs() < 1.0);
    // An interval is 50 ms or more here: what holds within 5 did not wait for one.
    set_pacing(&mut world, |settings| settings.rate_max = BitsPerSec::from_mbps(8));
    let rate = rate_mbps(&mut world, Ns::from_millis(5));
    assert!(rate < 12.0, "{rate} Mb/s");
    assert!((rate_mbps(&mut world, Ns::from_millis(500)) - 8.0).abs() < 0.2);
    set_pacing(&mut world, |settings| {
        settings.rate_max = BitsPerSec::from_mbps(1_000);
        settings.rate_min = BitsPerSec::from_mbps(80);
        settings.rate_start = BitsPerSec::from_mbps(80);
    });
    // The frame whose time was set already keeps it.
    world.run_for(Ns::from_millis(2));
    let rate = rate_mbps(&mut world, Ns::from_millis(5));
    assert!(rate > 70.0, "{rate} Mb/s");
}

#[test]
fn a_rule_takes_over_at_the_end_of_an_interval() {
    let mut world = paced_at(20);
    set_pacing(&mut world, |settings| settings.rule = PacingRule::Fixed(BitsPerSec::from_mbps(40)));
    world.run_for(Ns::from_millis(400));
    assert!((rate_mbps(&mut world, Ns::from_millis(500)) - 40.0).abs() < 0.5);
    set_pacing(&mut world, |settings| settings.rule = PacingRule::None);
    world.run_for(Ns::from_secs(1));
    let held = world.worker.stats().held_frames;
    assert_eq!(held, 0, "nobody paces");
    set_pacing(&mut world, |settings| settings.rule = PacingRule::BbrLite);
    let before = world.worker.stats().decisions_rule;
    world.run_for(Ns::from_secs(1));
    assert!(world.worker.stats().decisions_rule > before + 10, "bbr_lite decides");
    set_pacing(&mut world, |settings| settings.rule = PacingRule::Fixed(BitsPerSec::from_mbps(20)));
    world.run_for(Ns::from_millis(400));
    assert!((rate_mbps(&mut world, Ns::from_millis(500)) - 20.0).abs() < 0.5);
}

#[test]
fn shares_are_drawn_anew_for_flows_that_live() {
    let mut config = config(PacingRule::BbrLite);
    let mut world =
        World::new(&config, Link::new(100, Ns::from_millis(10), 500_000), set(&latency_keeper(1.1)));
    pacing(&mut config).model = true;
    for flow in 1..=8 {
        world.connect(Sender::reno(flow, 1));
    }
    world.run_and_listen(Ns::from_secs(1));
    assert_eq!((world.worker.stats().decisions_model, sampled(&world)), (0, [0; 3]), "no model is asked");
    set_pacing(&mut world, |settings| {
        settings.model = true;
        settings.sample_share = 65_536;
    });
    world.run_and_listen(Ns::from_secs(1));
    let (with, [model, explored, _]) = (*world.worker.stats(), sampled(&world));
    assert!(with.decisions_model > 100 && model > 100 && explored == 0, "{with:?}");
    set_pacing(&mut world, |settings| {
        (settings.explore_share, settings.explore_sigma_q16) = (65_536, 1 << 14);
    });
    world.run_and_listen(Ns::from_secs(1));
    let ([_, explored, _], decisions) = (sampled(&world), world.worker.stats().decisions_explored);
    assert!(explored > 100 && decisions > 100, "{explored} {decisions}");
    set_pacing(&mut world, |settings| settings.control_share = 65_536);
    world.run_and_listen(Ns::from_millis(200));
    let (turned, [model, explored, _]) = (*world.worker.stats(), sampled(&world));
    world.run_and_listen(Ns::from_secs(1));
    let (control, after) = (*world.worker.stats(), sampled(&world));
    assert_eq!((control.inferences, after[..2].to_vec()), (turned.inferences, vec![model, explored]));
    assert!(control.decisions_control > turned.decisions_control + 100, "{control:?}");
}

/// Samples by source: model, explored, control.
fn sampled(world: &World) -> [u64; 3] {
    let stats = world.worker.stats();
    [stats.samples_model, stats.samples_explored, stats.samples_control]
}

/// Another clip is another feature: what a flow remembers, and what the trainer is told, must not mix the two.
#[test]
fn features_of_another_definition_do_not_mix() {
    let narrow =
        PacingSpec { clips: [(-65_536, 65_536), (65_536, 65_540), (0, 65_536)], ..PacingSpec::default() };
    let mut config = config(PacingRule::BbrLite);
    pacing(&mut config).model = true;
    pacing(&mut config).sample_share = 65_536;
    pacing(&mut config).pin = Pin::Flow { max: Ns::from_secs(60) };
    let mut world =
        World::new(&config, Link::new(100, Ns::from_millis(10), 500_000), set(&constant(1 << 14)));
    for flow in 1..=4 {
        world.connect(Sender::reno(flow, 1));
    }
    world.run_for(Ns::from_secs(2));
    let mut parts = constant(1 << 14);
    parts.schema_hash = narrow.schema_hash();
    let executable = super::networks::executable(&parts);
    let second = Generation::new(2, executable, narrow.schema_hash()).expect("fits the narrow schema");
    world.publish(|policy| {
        policy.models = ModelSet::empty().with(second.into());
        policy.pacing.as_mut().expect("the test configuration paces").spec = narrow.clone();
    });
    world.run_for(Ns::from_secs(2));
    let (mut old, mut new) = (0, 0);
    world.samples.drain(usize::MAX, |sample| {
        let ratios = sample.features.iter().skip(1).step_by(3);
        if sample.generation == 1 {
            old += 1;
            assert_eq!(sample.schema_hash, PacingSpec::default().schema_hash());
        } else {
            new += 1;
            assert_eq!(sample.schema_hash, narrow.schema_hash());
            assert!(ratios.clone().all(|ratio| *ratio <= 65_540), "{sample:?}");
        }
    });
    assert!(old > 50 && new > 50, "{old} {new}");
}
