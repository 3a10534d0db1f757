//! Routed frames under a limit: what waits leaves routed, what Weir makes waits for nothing, and paths are chosen at departure.

use super::flows::paced;
use super::frames::*;
use super::pair::{FAR, Kind, Pair, settings};
use super::world::{World, config, prefix, route};
use weir_engine::balance::PathRule;
use weir_engine::config::EngineConfig;
use weir_engine::io::Side;
use weir_engine::limit::{LimitConfig, Limits, Scope};
use weir_engine::route::StaticRoute;
use weir_engine::time::{BitsPerSec, Ns};
use weir_engine::verdict::Verdict;

/// Every frame at 8 Mb/s, a frame of 1 000 bytes a millisecond.
pub(crate) fn limits() -> Limits {
    Limits::new(vec![LimitConfig {
        name: "all".to_owned(),
        scope: Scope::All,
        rate: BitsPerSec::from_mbps(8),
        burst_bytes: 1_522,
        mark_delay: Ns::from_secs(1),
        delay_max: Ns::from_secs(1),
        queue_bytes: 1 << 20,
    }])
}

fn limited() -> EngineConfig {
    let mut config = paced();
    config.pacing.as_mut().unwrap().limits = limits();
    config
}

#[test]
fn datagrams_wait_and_leave_routed_while_answers_leave_at_once() {
    for v4 in [true, false] {
        let mut world = World::met(&limited());
        let datagram = || match v4 {
            true => udp4(SERVER.v4, 64, 958),
            false => udp6(SERVER.v6, 64, 938),
        };
        (0..10).for_each(|_| world.offer(Side::Inside, datagram()));
        // Who asks for Weir meanwhile is answered.
        world.offer(Side::Inside, arp(true, CLIENT, WEIR_INSIDE, [0xff; 6]));
        world.offer(Side::Outside, arp(true, SERVER, WEIR_OUTSIDE, [0xff; 6]));
        world.turn();
        assert_eq!(world.sent(Side::Inside).len(), 1);
        let first = world.sent(Side::Outside);
        assert_eq!((first.len(), world.stats().held_frames), (2, 9), "a datagram and an answer");
        world.run_for(Ns::from_micros(4_500));
        assert_eq!(world.sent(Side::Outside).len(), 4, "one each millisecond");
        world.run_for(Ns::from_millis(10));
        let rest = world.sent(Side::Outside);
        let hops_at = if v4 { 22 } else { 21 };
        assert!(rest.iter().all(|frame| macs(frame).1 == SERVER.mac && frame[hops_at] == 63));
        assert_eq!((rest.len(), world.ended(Verdict::Untracked)), (5, 10));
    }
}

#[test]
fn what_turns_round_is_under_no_limit() {
    let mut config = EngineConfig { pacing: limited().pacing, ..config() };
    let via = CLIENT.v4.into();
    route(&mut config).routes.push(StaticRoute { prefix: prefix([10, 7, 0, 0], 24), via, out: Side::Inside });
    let mut world = World::met(&config);
    (0..30).for_each(|_| world.offer(Side::Inside, udp4([10, 7, 0, 9], 64, 958)));
    world.turn();
    assert_eq!(world.sent(Side::Inside).len(), 30);
    assert_eq!(world.worker.limits().0[0].frames, 0);
}

#[test]
fn what_has_waited_takes_a_path_when_it_leaves() {
    let mut pair = Pair::of(&[Kind::IpIp, Kind::Vxlan], |config| {
        settings(config).rule = PathRule::Maglev;
        config.pacing = limited().pacing;
    });
    pair.run_for(Ns::from_millis(100));
    let before = [0, 1].map(|path| pair.ends[0].path(path).frames);
    for flow in 0..24 {
        let bytes = finish(ip4(([0; 6], [0; 6]), CLIENT.v4, FAR.v4, 64).udp(10_000 + flow, 5_000), &[7; 958]);
        pair.ends[0].offer(bytes);
    }
    pair.run_for(Ns::from_millis(2));
    let sent = |pair: &Pair| [0, 1].map(|path| pair.ends[0].path(path).frames - before[path]);
    assert!(sent(&pair).iter().sum::<u64>() < 6, "{:?}", sent(&pair));
    pair.run_for(Ns::from_millis(40));
    let [a, b] = sent(&pair);
    assert!(a + b == 24 && a > 3 && b > 3, "{a} and {b}");
    assert_eq!(pair.ends[1].inbox.iter().filter(|frame| frame.len() == 1_000).count(), 24);
}
