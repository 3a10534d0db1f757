//! ICMP errors about flows of the table: counted by what they say and by how far they may be believed.

use super::config;
use super::frames::{ACK, Say, TestFrame, segment};
use super::world::{Link, World};
use weir_engine::config::PacingRule;
use weir_engine::io::Side;
use weir_engine::models::ModelSet;
use weir_engine::time::Ns;
use weir_engine::verdict::Verdict;

const UNREACHABLE: [u8; 2] = [3, 1];
const TOO_BIG: [u8; 2] = [3, 4];

/// An error that arrives on `side` about a segment that `say` sent the other way.
fn error(world: &mut World, side: Side, [kind, code]: [u8; 2], say: Say) {
    let quoted = &segment(side.other(), say)[14..14 + 28];
    let mut bytes = vec![0; 14 + 20 + 8];
    bytes[12..14].copy_from_slice(&[0x08, 0x00]);
    bytes[14] = 0x45;
    bytes[17] = 20 + 8 + 28;
    bytes[23] = 1;
    bytes[34..36].copy_from_slice(&[kind, code]);
    bytes.extend(quoted);
    world.io.inbox[side as usize].push_back(TestFrame { bytes, flow: 9, serial: u64::from(say.seq) + 1 });
}

#[test]
fn an_error_is_believed_no_further_than_what_is_in_flight() {
    let link = Link::new(100, Ns::from_millis(1), u64::MAX);
    let mut world = World::new(&config(PacingRule::None), link, ModelSet::empty());
    world.handshake(1, 99);
    let data = |seq| Say { flow: 1, seq, ack: 1, payload: 1_000, flags: ACK, ..Say::default() };
    for seq in [100, 1_100] {
        world.offer(Side::Inside, data(seq));
    }
    world.turn();
    world.offer(Side::Outside, Say { flow: 1, seq: 1, ack: 600, flags: ACK, ..Say::default() });
    world.turn();
    let before = *world.worker.stats();

    // In flight: 600 to 2 099.
    for (seq, kind) in
        [(100, TOO_BIG), (599, TOO_BIG), (600, TOO_BIG), (2_099, UNREACHABLE), (2_100, TOO_BIG)]
    {
        error(&mut world, Side::Outside, kind, data(seq));
    }
    error(&mut world, Side::Outside, TOO_BIG, Say { flow: 2, ..data(3_000) });
    error(&mut world, Side::Inside, UNREACHABLE, data(1));
    let report = world.turn();
    assert_eq!((report.received, report.sent), (7, 7));
    let stats = *world.worker.stats();
    assert_eq!((stats.icmp_too_big, stats.icmp_unreachable), (5, 2));
    assert_eq!((stats.icmp_in_flight, stats.icmp_not_in_flight), (2, 3));
    assert_eq!((stats.icmp_of_no_flow, stats.icmp_unchecked), (1, 1));
    assert_eq!(world.worker.tally().ended[Verdict::Untracked as usize], 7 + 2, "and SYN, SYN-ACK");
    // Nothing of the flow has changed.
    assert_eq!((stats.flows, stats.lost_bytes), (before.flows, before.lost_bytes));
    world.offer(Side::Outside, Say { flow: 1, seq: 1, ack: 2_100, flags: ACK, ..Say::default() });
    world.turn();
    error(&mut world, Side::Outside, TOO_BIG, data(5_000));
    world.turn();
    assert_eq!(world.worker.stats().icmp_not_in_flight, 4);
}
