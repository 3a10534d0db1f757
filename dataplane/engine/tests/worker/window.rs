//! Mode `yield`: the receive window that a sender is shown.

use super::frames::{ACK, SYN, Say, TestFrame, segment};
use super::limits::all;
use super::world::{Link, World};
use super::{config, pacing};
use weir_engine::config::{PacingMode, PacingRule};
use weir_engine::io::Side;
use weir_engine::models::ModelSet;
use weir_engine::time::{BitsPerSec, Ns};

/// 8 Mb/s: in three quarters of 10 ms that is 7 500 bytes, less than seven frames.
const RATE: BitsPerSec = BitsPerSec::from_mbps(8);
const PAYLOAD: usize = 1_448;
const FRAME: usize = 1_514;
const AHEAD: usize = 7 * FRAME;

fn world(mode: PacingMode) -> World {
    let mut config = config(PacingRule::Fixed(RATE));
    pacing(&mut config).mode = mode;
    let mut world = World::new(&config, Link::new(100_000, Ns::from_millis(1), u64::MAX), ModelSet::empty());
    // Acknowledgements are repeated here.
    world.io.ordered = false;
    world
}

/// A frame with a right TCP checksum. `scale` takes the place of the timestamps, which a SYN of these tests does not need.
fn frame(side: Side, say: Say, scale: Option<u8>, serial: u64) -> TestFrame {
    let mut bytes = segment(side, say);
    if let Some(scale) = scale {
        // No operation, window scale of three bytes, then no operations.
        bytes[54..66].copy_from_slice(&[1, 3, 3, scale, 1, 1, 1, 1, 1, 1, 1, 1]);
    }
    bytes[50..52].fill(0);
    let sum = tcp_checksum(&bytes);
    bytes[50..52].copy_from_slice(&sum.to_be_bytes());
    TestFrame { bytes, flow: say.flow, serial }
}

fn tcp_checksum(bytes: &[u8]) -> u16 {
    let headers = etherparse::SlicedPacket::from_ethernet(bytes).expect("a frame");
    let (Some(etherparse::NetSlice::Ipv4(ip)), Some(etherparse::TransportSlice::Tcp(tcp))) =
        (headers.net, headers.transport)
    else {
        panic!("IPv4 and TCP");
    };
    tcp.calc_checksum_ipv4(ip.header().source(), ip.header().destination()).expect("fits")
}

/// A connection whose ends have offered these scales; then one full frame that has left.
fn connect(world: &mut World, scales: [Option<u8>; 2]) {
    let mut serial = 0;
    let mut give = |world: &mut World, side: Side, say: Say, scale| {
        serial += 1;
        world.io.inbox[side as usize].push_back(frame(side, say, scale, serial));
        world.turn();
    };
    let say = Say { flow: 1, ..Say::default() };
    give(world, Side::Inside, Say { flags: SYN, ..say }, scales[0]);
    give(world, Side::Outside, Say { ack: 1, flags: SYN | ACK, ..say }, scales[1]);
    give(world, Side::Inside, Say { seq: 1, ack: 1, flags: ACK, ..say }, None);
    give(world, Side::Inside, Say { seq: 1, ack: 1, flags: ACK, payload: PAYLOAD, ..say }, None);
    world.io.outbox.iter_mut().for_each(|out| out.clear());
}

/// What the window of an acknowledgement becomes that arrives with 0xffff; its checksum must be right.
fn shown(world: &mut World, ack: u32, flags: u8) -> u16 {
    let say = Say { flow: 1, seq: 1, ack, flags, ..Say::default() };
    let serial = 100 + u64::from(ack);
    world.io.inbox[Side::Outside as usize].push_back(frame(Side::Outside, say, None, serial));
    world.turn();
    let frame = world.io.outbox[Side::Inside as usize].pop_back().expect("it passes");
    assert_eq!(tcp_checksum(&frame.bytes), u16::from_be_bytes([frame.bytes[50], frame.bytes[51]]));
    u16::from_be_bytes([frame.bytes[48], frame.bytes[49]])
}

#[test]
fn the_window_is_what_has_departed_and_a_little_more() {
    let mut world = world(PacingMode::Yield);
    connect(&mut world, [Some(7), Some(2)]);
    // One segment is on its way, in units of four bytes.
    assert_eq!(usize::from(shown(&mut world, 1, ACK)), (PAYLOAD + AHEAD).div_ceil(4));
    // It has arrived.
    assert_eq!(usize::from(shown(&mut world, 1 + PAYLOAD as u32, ACK)), AHEAD.div_ceil(4));
    assert_eq!(world.worker.stats().windows_lowered, 2);
    // It acknowledges what has not departed.
    assert_eq!(shown(&mut world, 1 << 20, ACK), 0xFFFF);
    // The window of a SYN-ACK is in bytes.
    assert_eq!(shown(&mut world, 1 + PAYLOAD as u32, SYN | ACK), 0xFFFF);
    let stats = world.worker.stats();
    assert_eq!((stats.windows_lowered, stats.windows_unknown), (2, 0));
}

#[test]
fn a_flow_that_waits_for_a_limit_is_ahead_by_what_that_leaves_it() {
    // Three quarters of 10 ms of 200 Mb/s, or of the 8 Mb/s that a limit leaves.
    for (limit, ahead) in [(1_000, 187_500), (8, AHEAD)] {
        let mut config = config(PacingRule::Fixed(BitsPerSec::from_mbps(200)));
        (pacing(&mut config).mode, pacing(&mut config).limits) = (PacingMode::Yield, all(limit));
        let link = Link::new(100_000, Ns::from_millis(1), u64::MAX);
        let mut world = World::new(&config, link, ModelSet::empty());
        world.io.ordered = false;
        connect(&mut world, [Some(7), Some(2)]);
        for sent in 1..40 {
            let seq = 1 + (sent * PAYLOAD) as u32;
            world.offer(
                Side::Inside,
                Say { flow: 1, seq, ack: 1, flags: ACK, payload: PAYLOAD, ..Say::default() },
            );
            world.run_for(Ns::from_micros(100));
        }
        let departed = world.departures.len();
        assert!(if limit == 8 { departed < 20 } else { departed == 39 }, "{departed}");
        world.io.outbox.iter_mut().for_each(|out| out.clear());
        let window = usize::from(shown(&mut world, 1, ACK));
        assert_eq!(window, ((1 + departed) * PAYLOAD + ahead).div_ceil(4), "{limit} Mb/s");
    }
}

#[test]
fn without_scaling_the_window_counts_bytes() {
    let mut world = world(PacingMode::Yield);
    connect(&mut world, [Some(7), None]);
    assert_eq!(usize::from(shown(&mut world, 1, ACK)), PAYLOAD + AHEAD);
}

#[test]
fn a_window_is_never_raised() {
    let mut world = world(PacingMode::Yield);
    // 1 is a unit of 16 kB, and the window shown is the least number of units that is enough.
    connect(&mut world, [Some(7), Some(14)]);
    assert_eq!(shown(&mut world, 1, ACK), 1);
}

#[test]
fn a_handshake_that_was_not_seen_leaves_windows_as_they_are() {
    let mut world = world(PacingMode::Yield);
    let say = Say { flow: 1, ack: 1, seq: 1, flags: ACK, ..Say::default() };
    for (serial, (side, payload)) in
        (1..).zip([(Side::Inside, 0), (Side::Outside, 0), (Side::Inside, PAYLOAD)])
    {
        world.io.inbox[side as usize].push_back(frame(side, Say { payload, ..say }, None, serial));
        world.turn();
    }
    assert_eq!(shown(&mut world, 1, ACK), 0xFFFF);
    let stats = world.worker.stats();
    assert_eq!((stats.windows_lowered, stats.windows_unknown), (0, 1));
}

#[test]
fn in_mode_transparent_no_window_changes() {
    let mut world = world(PacingMode::Transparent);
    connect(&mut world, [Some(7), Some(2)]);
    assert_eq!(shown(&mut world, 1, ACK), 0xFFFF);
    world.publish(|policy| policy.pacing.as_mut().expect("paces").mode = PacingMode::Yield);
    world.turn();
    assert_eq!(usize::from(shown(&mut world, 1, ACK)), (PAYLOAD + AHEAD).div_ceil(4), "after a reload");
}
