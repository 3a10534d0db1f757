//! What is addressed to Weir itself.

use super::frames::*;
use super::world::{World, config};
use weir_engine::io::Side;
use weir_engine::verdict::Verdict;

#[test]
fn an_echo_request_to_any_own_address_is_answered() {
    let mut world = World::met(&config());
    for to in [WEIR_INSIDE, WEIR_OUTSIDE] {
        let ping4 = finish(ip4(TO_WEIR, CLIENT.v4, to.v4, 7).icmpv4_echo_request(3, 9), b"odd");
        let ping6 = finish(ip6(TO_WEIR, CLIENT.v6, to.v6, 7).icmpv6_echo_request(3, 9), b"odd");
        for (ping, answered) in [(ping4, (0, 0)), (ping6, (129, 0))] {
            let (verdict, [answer, outside]) = world.fate(Side::Inside, ping.clone());
            assert_eq!((verdict, answer.len(), outside.len()), (Verdict::Consumed, 1, 0));
            let (kind, code, id_and_number) = icmp(&answer[0]).unwrap();
            assert_eq!((kind, code, id_and_number), (answered.0, answered.1, 3 << 16 | 9));
            assert_eq!(macs(&answer[0]), (WEIR_INSIDE.mac, CLIENT.mac));
            assert_eq!(answer[0].len(), ping.len());
            assert_eq!(answer[0][answer[0].len() - 3..], *b"odd");
            // Fresh hops, and the addresses changed places.
            let (hops, from, into, len) = if ping[12] == 8 { (22, 26, 30, 4) } else { (21, 22, 38, 16) };
            assert_eq!(answer[0][hops], 64);
            assert_eq!(answer[0][from..from + len], ping[into..into + len]);
            assert_eq!(answer[0][into..into + len], ping[from..from + len]);
        }
    }
    let stats = world.stats();
    assert_eq!((stats.originated_echo_replies, world.ended(Verdict::Originated)), (4, 6 + 4));
}

#[test]
fn an_echo_from_afar_is_answered_by_the_way_back() {
    let mut world = World::met(&config());
    let from_gateway = (GATEWAY.mac, WEIR_OUTSIDE.mac);
    let ping = finish(ip4(from_gateway, FAR_V4, WEIR_INSIDE.v4, 50).icmpv4_echo_request(1, 1), b"x");
    let (verdict, [inside, outside]) = world.fate(Side::Outside, ping);
    assert_eq!((verdict, inside.len(), macs(&outside[0]).1), (Verdict::Consumed, 0, GATEWAY.mac));
    // From a link-local neighbour to its own.
    let own = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 9, 1];
    let ping = finish(ip6(from_gateway, GATEWAY.v6, own, 255).icmpv6_echo_request(1, 1), b"x");
    let (verdict, [_, outside]) = world.fate(Side::Outside, ping);
    assert_eq!((verdict, macs(&outside[0]).1), (Verdict::Consumed, GATEWAY.mac));
}

#[test]
fn an_echo_that_does_not_hold_or_is_in_parts_is_not_answered() {
    let mut world = World::met(&config());
    let mut wrong = finish(ip4(TO_WEIR, CLIENT.v4, WEIR_INSIDE.v4, 7).icmpv4_echo_request(3, 9), b"odd");
    wrong[36] ^= 1;
    assert_eq!(world.fate(Side::Inside, wrong), (Verdict::BadHeader, Default::default()));
    let part = ip4_with(TO_WEIR, CLIENT.v4, WEIR_INSIDE.v4, |header| header.more_fragments = true);
    let part = finish(part.icmpv4_echo_request(3, 9), b"12345678");
    assert_eq!(world.fate(Side::Inside, part), (Verdict::Consumed, Default::default()));
    let answer = finish(ip4(TO_WEIR, CLIENT.v4, WEIR_INSIDE.v4, 7).icmpv4_echo_reply(3, 9), b"odd");
    assert_eq!(world.fate(Side::Inside, answer), (Verdict::Consumed, Default::default()));
}

#[test]
fn other_services_are_refused_by_name() {
    let mut world = World::met(&config());
    let gre4 = ip4_with(TO_WEIR, CLIENT.v4, WEIR_INSIDE.v4, |_| {});
    let mut gre4 = finish(gre4.udp(1, 2), &[]);
    gre4[23] = 47;
    mend(&mut gre4);
    let mut gre6 = finish(ip6(TO_WEIR, CLIENT.v6, WEIR_INSIDE.v6, 64).udp(1, 2), &[]);
    gre6[20] = 47;
    // A packet that carries nothing asks for nothing.
    let mut nothing = gre6.clone();
    nothing[20] = 59;
    assert_eq!(world.fate(Side::Inside, nothing), (Verdict::Consumed, Default::default()));
    for (frame, told) in [
        (finish(ip4(TO_WEIR, CLIENT.v4, WEIR_INSIDE.v4, 64).udp(1, 2), b"x"), (3, 3, 0)),
        (finish(ip6(TO_WEIR, CLIENT.v6, WEIR_INSIDE.v6, 64).udp(1, 2), b"x"), (1, 4, 0)),
        (finish(ip4(TO_WEIR, CLIENT.v4, WEIR_INSIDE.v4, 64).tcp(1, 2, 3, 4).syn(), &[]), (3, 3, 0)),
        (gre4, (3, 2, 0)),
        // Where the next header is named: byte 6.
        (gre6, (4, 1, 6)),
    ] {
        let (verdict, [answer, _]) = world.fate(Side::Inside, frame);
        assert_eq!((verdict, answer.len()), (Verdict::Consumed, 1));
        assert_eq!(icmp(&answer[0]), Some(told));
    }
}
