//! When frames leave: rate, error, order of classes, no credit, limits, marks.

use super::frames::{ACK, FIN, HEADERS, Say, ip_checksum};
use super::world::{Link, World};
use super::{config, pacing};
use weir_engine::config::{EngineConfig, PacingRule};
use weir_engine::io::Side;
use weir_engine::models::ModelSet;
use weir_engine::time::{BitsPerSec, Ns};
use weir_engine::verdict::Verdict;
use weir_engine::wheel::SLOT;

fn world(config: &EngineConfig) -> World {
    World::new(config, Link::new(100_000, Ns::from_millis(1), u64::MAX), ModelSet::empty())
}

fn fixed(rate: u64) -> EngineConfig {
    config(PacingRule::Fixed(BitsPerSec(rate)))
}

fn data(seq: &mut u32, payload: usize) -> Say {
    let say = Say { flow: 1, seq: *seq, ack: 1, payload, flags: ACK, ..Say::default() };
    *seq = seq.wrapping_add(payload as u32);
    say
}

/// A sender that keeps frames waiting; 1 Mb/s to 10 Gb/s, each for 2 000 frames.
#[test]
fn a_fixed_rate_holds_within_a_thousandth_and_departures_within_a_slot() {
    for rate in [1_000_000, 3_333_333, 20_000_000, 123_456_789, 1_000_000_000, 10_000_000_000] {
        let mut config = fixed(rate);
        pacing(&mut config).delay_max = Ns::from_secs(1);
        let mut world = world(&config);
        world.handshake(1, 0);
        let (mut seq, mut offered) = (1, 0);
        let bytes = 1_448 + HEADERS;
        let frame_time = bytes as f64 * 8e9 / rate as f64;
        // A turn every 2 us, or every tenth of a frame's time where that is longer.
        let step = Ns(2_000.max((frame_time / 10.0) as u64));
        let start = world.now;
        while world.departures.len() < 2_000 {
            while world.worker.stats().held_frames as usize + world.io.inbox[0].len() < 32 {
                let say = data(&mut seq, 1_448);
                world.offer(Side::Inside, say);
                offered += 1;
                if offered % 32 == 0 {
                    break;
                }
            }
            world.turn();
            let now = world.now;
            while let Some(frame) = world.io.outbox[Side::Outside as usize].pop_front() {
                world.departures.push((now, frame.flow, frame.bytes.len()));
            }
            world.now += step;
        }
        for (index, (at, _, _)) in world.departures.iter().enumerate() {
            let planned = start.0 as f64 + index as f64 * frame_time;
            let error = at.0 as f64 - planned;
            let bound = (SLOT + step).0 as f64 + 1.0;
            assert!((-1.0..=bound).contains(&error), "{rate} bit/s: frame {index} off by {error} ns");
        }
        let span = (world.departures[1_999].0 - world.departures[0].0).0 as f64;
        let measured = 1_999.0 * bytes as f64 * 8e9 / span;
        let slack = (SLOT + step).0 as f64 / span;
        let error = (measured / rate as f64 - 1.0).abs();
        assert!(error <= 0.001 + slack, "{rate} bit/s: measured {measured}");
    }
}

#[test]
fn frames_without_payload_pass_at_once_but_never_overtake() {
    let mut world = world(&fixed(1_000_000));
    world.handshake(1, 0);
    let mut seq = 1;
    for _ in 0..3 {
        let say = data(&mut seq, 1_000);
        world.offer(Side::Inside, say);
    }
    // Behind data: it waits. `World::turn` checks the order.
    world.offer(Side::Inside, Say { flow: 1, seq, ack: 1, flags: ACK, ..Say::default() });
    world.offer(Side::Inside, Say { flow: 1, seq, ack: 1, flags: ACK | FIN, ..Say::default() });
    let report = world.turn();
    assert_eq!((report.received, report.sent, report.inside), (5, 1, 4));
    world.run_for(Ns::from_millis(50));
    assert_eq!(world.departures.len(), 5);
    let last_data = world.departures[2].0;
    assert!(world.departures[4].0 - last_data <= SLOT, "free frames leave with the last data");

    // Nothing held: at once, and the next data frame does not pay for it.
    world.run_for(Ns::from_millis(100));
    let before = world.departures.len();
    for _ in 0..100 {
        world.offer(Side::Inside, Say { flow: 1, seq, ack: 1, flags: ACK, ..Say::default() });
    }
    let say = data(&mut seq, 1_000);
    world.offer(Side::Inside, say);
    let now = world.now;
    world.run_for(Ns::from_micros(10));
    assert_eq!(world.departures.len() - before, 101);
    assert!(world.departures[before..].iter().all(|departure| departure.0 - now <= Ns::from_micros(10)));
    assert_eq!(world.worker.tally().ended[Verdict::PaceFull as usize], 0);
}

#[test]
fn a_stalled_worker_gives_no_credit() {
    let mut world = world(&fixed(8_000_000));
    world.handshake(1, 0);
    let mut seq = 1;
    for _ in 0..60 {
        let say = data(&mut seq, 1_000 - HEADERS);
        world.offer(Side::Inside, say);
    }
    world.turn();
    world.turn();
    world.run_for(Ns::from_millis(5));
    let before = world.departures.len();
    // Twenty frames' time passes without a turn; the clock then even steps back.
    world.now += Ns::from_millis(20);
    world.turn();
    world.now = Ns(world.now.0 - 3_000_000);
    world.turn();
    world.now += Ns::from_millis(3);
    world.run_for(Ns::from_millis(10));
    let after = world.departures.len() - before;
    assert!((10..=16).contains(&after), "{after} frames in the 10 ms after the stall");
    assert!(world.worker.stats().wheel_stall_ns > 12_000_000);
    world.run_for(Ns::from_millis(100));
    assert_eq!(world.departures.len(), 60);
}

#[test]
fn limits_refuse_and_are_told_apart() {
    let burst = |config: &EngineConfig, frames: usize| {
        let mut world = world(config);
        world.handshake(1, 0);
        let mut seq = 1;
        for _ in 0..frames {
            let say = data(&mut seq, 1_000 - HEADERS);
            world.offer(Side::Inside, say);
        }
        while !world.io.inbox[0].is_empty() {
            world.turn();
        }
        let refused = world.worker.tally().ended[Verdict::PaceFull as usize];
        (world, refused)
    };
    // 8 Mb/s: a millisecond each. The first passes at once, a hundred wait no longer than 100 ms.
    let (world, refused) = burst(&fixed(8_000_000), 150);
    assert_eq!((refused, world.worker.stats().pace_refused_delay), (49, 49));

    let mut small = fixed(8_000_000);
    pacing(&mut small).flow_held_bytes_max = 10_000;
    let (world, refused) = burst(&small, 50);
    assert_eq!((refused, world.worker.stats().pace_refused_flow_bytes), (39, 39));

    let mut few = fixed(8_000_000);
    few.held_max = 5;
    let (world, refused) = burst(&few, 50);
    assert_eq!((refused, world.worker.stats().pace_refused_held), (44, 44));
}

#[test]
fn a_long_wait_is_marked_where_the_sender_understands_marks() {
    for (ecn, marked) in [(0, 0), (2, 39), (1, 39), (3, 0)] {
        let mut world = world(&fixed(8_000_000));
        world.handshake(1, 0);
        let mut seq = 1;
        for _ in 0..50 {
            let say = Say { ecn, ..data(&mut seq, 1_000 - HEADERS) };
            world.offer(Side::Inside, say);
        }
        let mut frames = Vec::new();
        for _ in 0..600 {
            world.turn();
            frames.extend(world.io.outbox[Side::Outside as usize].drain(..));
            world.now += Ns::from_micros(100);
        }
        assert_eq!(frames.len(), 50);
        assert!(frames.iter().all(|frame| ip_checksum(&frame.bytes[14..34]) == 0));
        let ce = frames.iter().filter(|frame| frame.bytes[15] & 3 == 3).count();
        assert_eq!(
            (world.worker.stats().ecn_marks, ce),
            (marked, if ecn == 3 { 50 } else { marked as usize })
        );
    }
}

#[test]
fn without_a_rule_or_without_pacing_nothing_is_held() {
    let mut unpaced = config(PacingRule::None);
    for _ in 0..2 {
        let mut world = world(&unpaced);
        world.handshake(1, 0);
        let mut seq = 1;
        for _ in 0..64 {
            let say = data(&mut seq, 1_448);
            world.offer(Side::Inside, say);
        }
        world.turn();
        world.turn();
        assert_eq!(world.io.outbox[Side::Outside as usize].len(), 64);
        unpaced.pacing = None;
    }
}
