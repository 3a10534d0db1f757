//! Routed TCP through tracking and pacing.

use super::frames::*;
use super::world::{World, config, prefix, route};
use etherparse::TcpHeader;
use weir_engine::config::{EngineConfig, PacingCadence, PacingConfig, PacingMode, PacingRule, Pin};
use weir_engine::io::Side;
use weir_engine::route::StaticRoute;
use weir_engine::time::{BitsPerSec, Ns};
use weir_engine::verdict::Verdict;
use weir_features::PacingSpec;

/// Every flow at 8 Mb/s: a frame of 1 000 bytes takes a millisecond.
pub(crate) fn paced() -> EngineConfig {
    EngineConfig {
        pacing: Some(PacingConfig {
            rule: PacingRule::Fixed(BitsPerSec::from_mbps(8)),
            model: false,
            spec: PacingSpec::default(),
            rate_min: BitsPerSec::from_mbps(1),
            rate_max: BitsPerSec::from_mbps(1_000),
            rate_start: BitsPerSec::from_mbps(8),
            control_share: 0,
            explore_share: 0,
            explore_sigma_q16: 0,
            sample_share: 0,
            mark_delay: Ns::from_secs(1),
            delay_max: Ns::from_secs(1),
            mode: PacingMode::Transparent,
            flow_held_bytes_max: 1 << 20,
            limits: weir_engine::limit::Limits::none(),
            cadence: PacingCadence::Interval,
            pin: Pin::Interval,
        }),
        ..config()
    }
}

/// A segment from the first station and port to the second, with flags S and A as named.
pub(crate) fn tcp(
    v4: bool,
    [from, to]: [Station; 2],
    [source_port, destination_port]: [u16; 2],
    macs: ([u8; 6], [u8; 6]),
    seq: u32,
    flags: &str,
    payload: usize,
) -> Vec<u8> {
    let ip = if v4 { ip4(macs, from.v4, to.v4, 64) } else { ip6(macs, from.v6, to.v6, 64) };
    let header = TcpHeader {
        source_port,
        destination_port,
        sequence_number: seq,
        acknowledgment_number: 1,
        syn: flags.contains('S'),
        ack: flags.contains('A'),
        window_size: 60_000,
        ..TcpHeader::default()
    };
    finish(ip.tcp_header(header), &vec![7; payload])
}

fn client(v4: bool, seq: u32, flags: &str, payload: usize) -> Vec<u8> {
    tcp(v4, [CLIENT, SERVER], [40_000, 443], TO_WEIR, seq, flags, payload)
}

fn handshake(world: &mut World, v4: bool) {
    world.exchange(Side::Inside, client(v4, 0, "S", 0));
    world.exchange(Side::Outside, tcp(v4, [SERVER, CLIENT], [443, 40_000], TO_WEIR_OUTSIDE, 0, "SA", 0));
    world.exchange(Side::Inside, client(v4, 1, "A", 0));
}

/// Offers ten segments of 1 000 bytes each.
fn ten_segments(world: &mut World, v4: bool) {
    let payload = 1_000 - if v4 { 54 } else { 74 };
    for number in 0..10 {
        world.offer(Side::Inside, client(v4, 1 + number * payload as u32, "A", payload));
    }
}

#[test]
fn data_from_inside_is_tracked_paced_and_leaves_routed() {
    for v4 in [true, false] {
        let mut world = World::met(&paced());
        handshake(&mut world, v4);
        assert_eq!(world.stats().flows, 1);
        ten_segments(&mut world, v4);
        world.turn();
        assert_eq!((world.sent(Side::Outside).len(), world.stats().held_frames), (1, 9));
        world.run_for(Ns::from_micros(4_500));
        assert_eq!(world.sent(Side::Outside).len(), 4, "one each millisecond");
        world.run_for(Ns::from_millis(10));
        let rest = world.sent(Side::Outside);
        assert_eq!((rest.len(), world.ended(Verdict::Paced)), (5, 9));
        let hops_at = if v4 { 22 } else { 21 };
        assert!(rest.iter().all(|frame| macs(frame).1 == SERVER.mac && frame[hops_at] == 63));
    }
}

#[test]
fn a_held_frame_follows_its_neighbour_to_a_new_address() {
    let mut world = World::met(&paced());
    handshake(&mut world, true);
    ten_segments(&mut world, true);
    world.turn();
    world.sent(Side::Outside);
    let moved = Station { mac: [2, 0, 0, 0, 9, 0x22], ..SERVER };
    world.exchange(Side::Outside, arp(true, moved, WEIR_OUTSIDE, [0xff; 6]));
    world.run_for(Ns::from_millis(20));
    let left = world.sent(Side::Outside);
    assert_eq!(left.len(), 9);
    assert!(left.iter().all(|frame| macs(frame).1 == moved.mac));
}

#[test]
fn a_held_frame_whose_neighbour_was_forgotten_asks_again() {
    let mut config = paced();
    // At 100 kb/s the second frame waits 80 ms, the tenth 0.7 s.
    let pacing = config.pacing.as_mut().unwrap();
    (pacing.rule, pacing.rate_start) = (PacingRule::Fixed(BitsPerSec(100_000)), BitsPerSec(100_000));
    pacing.rate_min = BitsPerSec(16_000);
    let mut world = World::met(&config);
    handshake(&mut world, true);
    // Both fall silent: five seconds of delay, three questions, a second apart.
    world.run_for(Ns::from_millis(7_600));
    ten_segments(&mut world, true);
    world.turn();
    world.sent(Side::Outside);
    assert!(world.stats().held_frames >= 8);
    world.run_for(Ns::from_millis(500));
    assert_eq!(world.stats().neighbours_failed, 2, "forgotten while frames are held; so is the client");
    let asked = world.sent(Side::Outside);
    assert!(asked.iter().any(|frame| frame[12..14] == [8, 6] && frame[..6] == [0xff; 6]));
    world.exchange(Side::Outside, arp(false, SERVER, WEIR_OUTSIDE, WEIR_OUTSIDE.mac));
    world.run_for(Ns::from_secs(1));
    assert_eq!(world.stats().held_frames + world.stats().neighbour_frames, 0);
    assert_eq!(world.ended(Verdict::Paced) + world.ended(Verdict::NeighbourUnresolved), 9);
    assert!(world.ended(Verdict::Paced) >= 6, "{:?}", world.worker.tally());
}

#[test]
fn a_hairpin_is_neither_tracked_nor_paced() {
    let mut config = paced();
    let via = CLIENT.v4.into();
    route(&mut config).routes.push(StaticRoute { prefix: prefix([10, 7, 0, 0], 24), via, out: Side::Inside });
    let mut world = World::met(&config);
    for seq in 0..40 {
        let to = Station { v4: [10, 7, 0, 9], ..SERVER };
        let flags = if seq == 0 { "S" } else { "A" };
        world.offer(Side::Inside, tcp(true, [CLIENT, to], [40_000, 443], TO_WEIR, seq, flags, 900));
    }
    while world.turn().received > 0 {}
    assert_eq!(world.sent(Side::Inside).len(), 40);
    let stats = world.stats();
    assert_eq!(
        (world.ended(Verdict::Untracked), stats.flows, stats.half_open, stats.held_frames),
        (40, 0, 0, 0)
    );
}
