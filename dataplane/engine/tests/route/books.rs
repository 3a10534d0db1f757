//! The books at a stop, and without a router.

use super::frames::*;
use super::world::{World, config};
use weir_engine::config::EngineConfig;
use weir_engine::io::Side;
use weir_engine::verdict::Verdict;

#[test]
fn a_stop_gives_up_what_waits_for_a_neighbour() {
    let mut world = World::new(&config());
    world.exchange(Side::Inside, udp4(SERVER.v4, 64, 0));
    world.exchange(Side::Inside, udp6(SERVER.v6, 64, 0));
    assert_eq!(world.worker.tally().held, 2);
    let report = world.worker.drain(world.now, &mut world.io);
    assert_eq!((report.inside, world.ended(Verdict::NeighbourUnresolved)), (0, 2));
    let (tally, stats) = world.worker.finish();
    assert!(tally.balanced());
    assert_eq!((tally.held, stats.neighbour_frames), (0, 0));
}

#[test]
fn what_is_inside_at_the_end_is_undrained() {
    let mut world = World::new(&config());
    world.exchange(Side::Inside, udp4(SERVER.v4, 64, 0));
    let (tally, _) = world.worker.finish();
    assert!(tally.balanced());
    assert_eq!(tally.ended[Verdict::Undrained as usize], 1);
}

#[test]
fn every_originated_frame_has_its_kind() {
    let mut world = World::met(&config());
    world.exchange(Side::Inside, udp4([10, 9, 0, 50], 64, 0));
    world.exchange(Side::Inside, udp6([0xfd, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 50], 64, 0));
    world.exchange(Side::Inside, udp4(SERVER.v4, 1, 0));
    world.exchange(
        Side::Inside,
        finish(ip4(TO_WEIR, CLIENT.v4, WEIR_INSIDE.v4, 9).icmpv4_echo_request(1, 1), &[]),
    );
    let stats = world.stats();
    let kinds = [
        stats.originated_arp_requests,
        stats.originated_arp_replies,
        stats.originated_solicitations,
        stats.originated_advertisements,
        stats.originated_icmp_errors,
        stats.originated_echo_replies,
        stats.originated_fragments,
    ];
    assert_eq!(kinds, [1, 3, 1, 3, 1, 1, 0]);
    assert_eq!(world.worker.tally().originated, kinds.iter().sum());
    assert_eq!(world.ended(Verdict::Originated), kinds.iter().sum());
}

#[test]
fn mode_wire_touches_nothing_of_it() {
    let mut world = World::new(&EngineConfig { route: None, ..config() });
    let frames = [udp4(SERVER.v4, 1, 0), udp6(SERVER.v6, 1, 0), arp(true, CLIENT, WEIR_INSIDE, [0xff; 6])];
    for frame in frames {
        world.offer(Side::Inside, frame.clone());
        world.turn();
        assert_eq!(world.sent_as_it_is(Side::Outside), [frame]);
    }
    assert_eq!((world.ended(Verdict::Untracked), world.worker.tally().originated), (3, 0));
}
