//! Where every frame goes: verdicts, full tables, a port that refuses, a stop.

use super::config;
use super::frames::{ACK, RST, Say, TestFrame};
use super::world::{Link, World};
use weir_engine::config::{EngineConfig, PacingRule};
use weir_engine::io::{BURST, Denied, Side};
use weir_engine::models::ModelSet;
use weir_engine::time::{BitsPerSec, Ns};
use weir_engine::verdict::Verdict;

fn world(config: &EngineConfig) -> World {
    World::new(config, Link::new(100, Ns::from_millis(1), u64::MAX), ModelSet::empty())
}

fn ended(world: &World, verdict: Verdict) -> u64 {
    world.worker.tally().ended[verdict as usize]
}

fn data(flow: u16, seq: u32) -> Say {
    Say { flow, seq, ack: 1, payload: 1_000, flags: ACK, ..Say::default() }
}

#[test]
fn what_is_no_tracked_tcp_passes_untouched() {
    let mut world = world(&config(PacingRule::BbrLite));
    let arp = {
        let mut bytes = vec![0; 60];
        bytes[12..14].copy_from_slice(&[0x08, 0x06]);
        bytes
    };
    let cut = vec![1, 2, 3];
    for (serial, bytes) in [arp.clone(), cut.clone(), Vec::new()].into_iter().enumerate() {
        let frame = TestFrame { bytes, flow: 9, serial: serial as u64 + 1 };
        world.io.inbox[Side::Outside as usize].push_back(frame);
    }
    // A stray data segment from one side is not a flow yet.
    world.offer(Side::Inside, data(1, 77));
    let report = world.turn();
    assert_eq!((report.received, report.sent, report.inside), (4, 3, 0));
    let out: Vec<_> =
        world.io.outbox[Side::Inside as usize].iter().map(|frame| frame.bytes.clone()).collect();
    assert_eq!(out, [arp, cut]);
    assert_eq!(ended(&world, Verdict::Untracked), 2);
    assert_eq!((ended(&world, Verdict::Malformed), ended(&world, Verdict::Empty)), (1, 1));
    let stats = world.worker.stats();
    assert_eq!((stats.untracked_arp, stats.malformed_short), (1, 1));
    let tally = world.worker.tally();
    assert_eq!((tally.received, tally.sent), ([1, 3], [2, 1]));
    assert_eq!(tally.received_bytes, [1_066, 63]);
    assert_eq!(tally.sent_bytes, [63, 1_066]);
}

#[test]
fn what_a_stage_in_front_denies_is_received_and_has_its_verdict() {
    let mut world = world(&config(PacingRule::BbrLite));
    world.io.denied = [Denied { frames: 3, bytes: 180 }, Denied { frames: 1, bytes: 60 }];
    world.offer(Side::Outside, data(1, 77));
    let report = world.turn();
    assert_eq!((report.received, report.sent, report.inside, report.busy), (5, 1, 0, true));
    let tally = world.worker.tally();
    assert_eq!((tally.received, tally.received_bytes), ([3, 2], [180, 1_126]));
    assert_eq!(ended(&world, Verdict::Denied), 4);
    // Nothing but denied frames is no idle turn either.
    world.io.denied[0] = Denied { frames: 1, bytes: 60 };
    let report = world.turn();
    assert_eq!((report.received, report.sent, report.busy), (1, 0, true));
    assert_eq!(ended(&world, Verdict::Denied), 5);
}

#[test]
fn a_full_flow_table_forwards_newcomers_and_keeps_the_old() {
    let mut config = config(PacingRule::Fixed(BitsPerSec::from_mbps(1_000)));
    config.flows_max = 16;
    let mut world = world(&config);
    for flow in 1..=20 {
        world.handshake(flow, 0);
    }
    assert_eq!(world.worker.stats().flows, 16);
    let before = ended(&world, Verdict::TableFull);
    assert!(before >= 4);
    for flow in 1..=20 {
        world.offer(Side::Inside, data(flow, 1));
    }
    world.turn();
    assert_eq!(ended(&world, Verdict::TableFull), before + 4);
    assert_eq!(world.worker.stats().paced_flows, 16);
    assert_eq!(world.io.outbox[Side::Outside as usize].len(), 20);
}

#[test]
fn a_port_that_refuses_is_waited_for_and_then_told_from_the_rest() {
    let mut config = config(PacingRule::Fixed(BitsPerSec::from_mbps(100)));
    config.held_max = 64;
    let mut world = world(&config);
    world.handshake(1, 0);
    world.io.credit[Side::Outside as usize] = Some(0);
    // The backlog fills with others first; what is held then stays on the wheel although its time comes.
    for serial in 1..=400 {
        world.io.inbox[Side::Inside as usize].push_back(TestFrame { bytes: vec![0; 60], flow: 9, serial });
    }
    for _ in 0..13 {
        world.turn();
    }
    for index in 0..32 {
        world.offer(Side::Inside, data(1, 1 + index * 1_000));
    }
    for _ in 0..30 {
        world.turn();
        world.now += Ns::from_millis(10);
    }
    let room = 9 * BURST as u64;
    let stats = *world.worker.stats();
    assert_eq!((stats.backlog_frames, stats.held_frames), (room, 31));
    // One data frame did not have to wait for its time, and found no room either.
    assert_eq!(ended(&world, Verdict::TxFull), 400 - room + 1);

    world.io.credit[Side::Outside as usize] = None;
    world.run_for(Ns::from_secs(1));
    assert_eq!((world.worker.stats().backlog_frames, world.worker.stats().held_frames), (0, 0));
    assert_eq!((ended(&world, Verdict::Paced), ended(&world, Verdict::Malformed)), (31, 0));
    assert_eq!(ended(&world, Verdict::TxFull), 400 - room + 1);
}

#[test]
fn a_port_that_takes_a_few_at_a_time_keeps_the_order() {
    let mut config = config(PacingRule::None);
    config.pacing = None;
    let mut world = world(&config);
    world.handshake(1, 0);
    let mut seq = 1;
    let mut sent = 0;
    for turn in 0..200 {
        world.io.credit[Side::Outside as usize] = Some(turn % 13);
        for _ in 0..5 {
            world.offer(Side::Inside, data(1, seq));
            seq += 1_000;
        }
        sent += world.turn().sent;
        world.io.outbox[Side::Outside as usize].clear();
    }
    assert!(sent >= 900, "{sent}");
}

#[test]
fn a_stop_lets_what_is_held_leave_in_its_time_and_counts_the_rest() {
    let config = config(PacingRule::Fixed(BitsPerSec::from_mbps(8)));
    for (drain_ms, undrained) in [(200, 0), (20, 40)] {
        let mut world = world(&config);
        world.handshake(1, 0);
        for index in 0..60 {
            world.offer(Side::Inside, Say { payload: 1_000 - 66, ..data(1, 1 + index * 934) });
        }
        world.turn();
        world.turn();
        let mut left = world.worker.stats().held_frames;
        assert_eq!(left, 59);
        for _ in 0..drain_ms * 10 {
            world.now += Ns::from_micros(100);
            left -= world.worker.drain(world.now, &mut world.io).sent as u64;
        }
        let held = world.worker.stats().held_frames;
        let (tally, stats) = world.worker.finish();
        assert!(tally.balanced());
        assert_eq!((tally.held, stats.held_frames), (0, 0));
        assert_eq!(tally.ended[Verdict::Undrained as usize], held);
        assert!(held.abs_diff(undrained) <= 1, "{held}");
        assert_eq!(left, held);
    }
}

#[test]
fn a_flow_is_forgotten_only_when_it_holds_nothing_and_then_gives_its_places_back() {
    let mut config = config(PacingRule::Fixed(BitsPerSec::from_mbps(1)));
    config.flow_idle_max = Ns::from_millis(20);
    config.flows_max = 8;
    super::pacing(&mut config).delay_max = Ns::from_secs(1);
    let mut world = world(&config);
    world.handshake(1, 0);
    for index in 0..10 {
        world.offer(Side::Inside, data(1, 1 + index * 1_000));
    }
    world.turn();
    world.offer(Side::Outside, Say { flow: 1, seq: 1, ack: 1, flags: RST | ACK, ..Say::default() });
    let mut paced = 0;
    // At 1 Mb/s the frames take 8.5 ms each, far longer than the flow may be silent.
    for _ in 0..900 {
        world.turn();
        world.now += Ns::from_micros(100);
        let stats = world.worker.stats();
        assert!(stats.held_frames == 0 || stats.flows == 1);
        paced = paced.max(stats.held_frames);
    }
    assert_eq!((paced, ended(&world, Verdict::Paced)), (9, 9));
    // Its last interval hears no answer and goes on to its greatest length.
    for _ in 0..2_000 {
        world.turn();
        world.now += Ns::from_millis(1);
    }
    let stats = world.worker.stats();
    assert_eq!((stats.flows, stats.flows_closed, stats.paced_flows), (0, 1, 0));
}
