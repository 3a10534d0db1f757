//! Flows under a limit: what their rule and their network make of it, and what they are told.

use super::networks::{constant, set};
use super::tcp::Sender;
use super::world::{Link, World};
use super::{config, pacing};
use weir_engine::config::{EngineConfig, PacingRule};
use weir_engine::limit::{LimitConfig, Limits, Scope};
use weir_engine::models::ModelSet;
use weir_engine::time::{BitsPerSec, Ns};
use weir_engine::verdict::Verdict;

/// A limit on every frame, of a burst of 16 KiB, that drops nothing here.
pub(crate) fn all(mbps: u64) -> Limits {
    Limits::new(vec![LimitConfig {
        name: "all".to_owned(),
        scope: Scope::All,
        rate: BitsPerSec::from_mbps(mbps),
        burst_bytes: 16 << 10,
        mark_delay: Ns::from_secs(1),
        delay_max: Ns::from_secs(1),
        queue_bytes: 1 << 20,
    }])
}

/// 100 Mb/s, 10 ms each way.
fn link() -> Link {
    Link::new(100, Ns::from_millis(10), 500_000)
}

fn limited(rule: PacingRule, mbps: u64) -> EngineConfig {
    let mut config = config(rule);
    pacing(&mut config).limits = all(mbps);
    config
}

fn lift(world: &mut World) {
    world.publish(|policy| policy.pacing.as_mut().expect("paced").limits = Limits::none());
}

/// What left in the next `span`, in Mb/s.
fn rate_mbps(world: &mut World, span: Ns) -> f64 {
    let before = world.departures.len();
    world.run_for(span);
    let bytes: usize = world.departures[before..].iter().map(|departure| departure.2).sum();
    bytes as f64 * 8e3 / span.0 as f64
}

#[test]
fn waiting_for_a_limit_is_no_time_of_the_networks() {
    let mut world = World::new(&limited(PacingRule::BbrLite, 20), link(), ModelSet::empty());
    for flow in 1..=4 {
        world.connect(Sender::fixed(flow, 1, 200_000));
    }
    world.run_for(Ns::from_secs(3));
    let rate = rate_mbps(&mut world, Ns::from_secs(3));
    assert!((19.6..=20.1).contains(&rate), "{rate} Mb/s");
    let stats = *world.worker.stats();
    // Four times 200 000 bytes in flight are a third of a second at 20 Mb/s; the path's RTT is 20 ms.
    let rtt = Ns(stats.rtt_ns_rule / stats.intervals.max(1));
    assert!(rtt < Ns::from_millis(22), "{rtt}");
    assert!(stats.held_frames > 300, "{}", stats.held_frames);
    assert!(stats.intervals_limit_bound * 10 > stats.intervals * 9, "{stats:#?}");
    assert_eq!(stats.wheel_stall_ns, 0);
}

#[test]
fn a_rule_does_not_outgrow_a_limit_and_finds_the_path_when_it_is_gone() {
    let mut world = World::new(&limited(PacingRule::BbrLite, 20), link(), ModelSet::empty());
    world.connect(Sender::fixed(1, 1, 1_000_000));
    world.run_for(Ns::from_secs(30));
    assert_eq!(world.worker.tally().ended[Verdict::Paced as usize] / 1_000, 49, "20 Mb/s for 30 s");
    lift(&mut world);
    // Within half a round trip nothing has been learnt: what it sends is its rate under the limit. In Startup that is 2.885 times
    // the most that a round has delivered: a round trip's 50 000 bytes, and the burst of 16 KiB at the start.
    world.run_for(Ns::from_millis(2));
    let rate = rate_mbps(&mut world, Ns::from_millis(10));
    assert!((18.0..=2.9 * 26.6).contains(&rate), "{rate} Mb/s");
    world.run_for(Ns::from_secs(3));
    let rate = rate_mbps(&mut world, Ns::from_secs(2));
    assert!(rate > 90.0, "{rate} Mb/s of 100");
}

#[test]
fn a_network_may_not_raise_the_rate_of_a_flow_that_a_limit_binds() {
    let mut config = limited(PacingRule::BbrLite, 20);
    let settings = pacing(&mut config);
    settings.model = true;
    settings.sample_share = 65_536;
    settings.rate_start = BitsPerSec::from_mbps(40);
    // It always says "more".
    let mut world = World::new(&config, link(), set(&constant(1 << 16)));
    world.connect(Sender::fixed(1, 1, 1_000_000));
    let samples = world.run_and_listen(Ns::from_secs(5));
    let stats = *world.worker.stats();
    assert!(stats.decisions_model > 30 && stats.intervals_limit_bound > 30, "{stats:#?}");
    assert!(samples.len() < 5, "an interval that a limit bound is no sample: {}", samples.len());
    lift(&mut world);
    world.run_for(Ns::from_millis(2));
    let rate = rate_mbps(&mut world, Ns::from_millis(5));
    assert!((30.0..=48.0).contains(&rate), "{rate} Mb/s: 40 at the start, and no more");
    // Free of it, it is told what it does and may go on.
    let samples = world.run_and_listen(Ns::from_secs(3));
    assert!(samples.len() > 2, "{}", samples.len());
}

#[test]
fn senders_that_back_off_get_their_share_beside_one_that_does_not() {
    let mut config = config(PacingRule::None);
    let mut limit = all(20).iter().next().expect("one").clone();
    limit.delay_max = Ns::from_millis(200);
    pacing(&mut config).limits = Limits::new(vec![limit]);
    let mut world = World::new(&config, link(), ModelSet::empty());
    for flow in 1..=4 {
        world.connect(Sender::reno(flow, 1));
    }
    world.connect(Sender::fixed(5, 1, 2_000_000));
    world.run_for(Ns::from_secs(4));
    let before: Vec<u64> = (1..=5).map(|flow| world.receivers[&flow].delivered).collect();
    world.run_for(Ns::from_secs(10));
    for (flow, before) in (1..=5).zip(before) {
        let mbps = (world.receivers[&flow].delivered - before) as f64 * 8e-7;
        assert!(flow == 5 || mbps > 3.0, "flow {flow}: {mbps} Mb/s of 4");
    }
}

#[test]
fn a_limit_that_does_not_bind_changes_nothing() {
    let run = |limits: Limits| {
        let mut config = config(PacingRule::BbrLite);
        pacing(&mut config).limits = limits;
        let mut world = World::new(&config, link(), ModelSet::empty());
        for flow in 1..=3 {
            world.connect(Sender::reno(flow, 1));
        }
        world.run_for(Ns::from_secs(4));
        (world.departures, world.worker.stats().intervals_app_limited)
    };
    let (without, with) = (run(Limits::none()), run(all(5_000)));
    assert_eq!(without.1, with.1);
    assert!(without.0 == with.0, "other departures");
}
