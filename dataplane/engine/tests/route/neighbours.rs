//! Address resolution, rule by rule: RFC 826 and RFC 1122 section 2.3.2 for IPv4, RFC 4861 section 7 for IPv6.

use super::frames::*;
use super::world::{World, config, spare};
use weir_engine::counters::WorkerStats;
use weir_engine::io::Side;
use weir_engine::time::Ns;
use weir_engine::verdict::Verdict;

const SECOND: Ns = Ns::from_secs(1);
/// Longest REACHABLE_TIME that randomness gives: one and a half times 30 s.
const REACHABLE_MAX: Ns = Ns::from_secs(45);

/// A packet of the client to the server, and how the server answers when it is asked.
struct Kind {
    data: fn() -> Vec<u8>,
    /// To Weir alone.
    answer: fn() -> Vec<u8>,
    /// Whether a frame asks for the server.
    asks: fn(&[u8]) -> bool,
}

const KINDS: [Kind; 2] = [
    Kind {
        data: || udp4(SERVER.v4, 64, 20),
        answer: || arp(false, SERVER, WEIR_OUTSIDE, WEIR_OUTSIDE.mac),
        asks: |frame| frame[12..14] == [8, 6] && frame[20..22] == [0, 1] && frame[38..42] == SERVER.v4,
    },
    Kind {
        data: || udp6(SERVER.v6, 64, 20),
        answer: || advertisement(SERVER, WEIR_OUTSIDE, 0x60),
        asks: |frame| frame.len() > 78 && frame[54] == 135 && frame[62..78] == SERVER.v6,
    },
];

/// Incomplete, reachable, stale, delay, probe.
fn states(stats: WorkerStats) -> [u64; 5] {
    [
        stats.neighbours_incomplete,
        stats.neighbours_reachable,
        stats.neighbours_stale,
        stats.neighbours_delay,
        stats.neighbours_probe,
    ]
}

#[test]
fn the_first_packet_asks_waits_and_leaves_with_the_answer() {
    for Kind { data, answer, asks } in KINDS {
        let mut world = World::new(&config());
        let [_, asked] = world.exchange(Side::Inside, data());
        assert_eq!(asked.len(), 1);
        assert!(asks(&asked[0]), "{:02x?}", asked[0]);
        assert_ne!(asked[0][0] & 1, 0, "to a group");
        assert_eq!((world.stats().neighbour_frames, world.worker.tally().held), (1, 1));
        assert_eq!(states(world.stats()), [1, 0, 0, 0, 0]);

        let [_, left] = world.exchange(Side::Outside, answer());
        assert_eq!(left.len(), 1);
        assert_eq!(macs(&left[0]), (WEIR_OUTSIDE.mac, SERVER.mac));
        assert_eq!(states(world.stats()), [0, 1, 0, 0, 0]);
        assert_eq!((world.ended(Verdict::Untracked), world.ended(Verdict::Consumed)), (1, 1));
        assert_eq!((world.ended(Verdict::Originated), world.worker.tally().originated), (1, 1));

        // Known now: the next one leaves at once.
        let [_, left] = world.exchange(Side::Inside, data());
        assert_eq!(left.len(), 1);
    }
}

#[test]
fn the_solicitation_is_as_rfc_4861_wants_it() {
    let mut world = World::new(&config());
    let [_, asked] = world.exchange(Side::Inside, udp6(SERVER.v6, 64, 0));
    let frame = &asked[0];
    let group = solicited_node(SERVER.v6);
    assert_eq!(macs(frame), (WEIR_OUTSIDE.mac, group_mac(group)));
    assert_eq!((frame[21], &frame[22..38], &frame[38..54]), (255, &WEIR_OUTSIDE.v6[..], &group[..]));
    assert_eq!(&frame[78..], &[[1, 1].as_slice(), &WEIR_OUTSIDE.mac].concat()[..]);
}

#[test]
fn of_too_many_that_wait_the_newest_are_kept_in_order() {
    for Kind { data, answer, .. } in KINDS {
        let mut world = World::new(&config());
        for number in 0..5 {
            let mut frame = data();
            // Padding behind the packet: no checksum counts it.
            frame.push(number);
            world.offer(Side::Inside, frame);
        }
        world.turn();
        let asked = world.sent(Side::Outside);
        assert_eq!(asked.len(), 1, "one question for five packets");
        assert_eq!((world.ended(Verdict::NeighbourUnresolved), world.stats().neighbour_frames), (2, 3));
        world.offer(Side::Outside, answer());
        world.turn();
        let left: Vec<u8> = world.sent(Side::Outside).iter().map(|frame| frame[frame.len() - 1]).collect();
        assert_eq!(left, [2, 3, 4]);
    }
}

#[test]
fn who_does_not_answer_is_asked_three_times_a_second_apart_and_the_sender_is_told() {
    for (Kind { data, asks, .. }, unreachable) in KINDS.into_iter().zip([(3, 1, 0), (1, 3, 0)]) {
        let mut world = World::met(&config());
        // Someone on the server's network whom nobody has met.
        let stranger = |mut frame: Vec<u8>| {
            match frame[12] {
                8 => {
                    frame[33] = 99;
                    mend(&mut frame);
                }
                _ => frame[53] = 99,
            }
            frame
        };
        let began = world.now;
        let [_, asked] = world.exchange(Side::Inside, stranger(data()));
        assert!(asked.len() == 1 && !asks(&asked[0]));
        for number in 1..=2 {
            world.run_for(began + Ns(SECOND.0 * number) - world.now - Ns::from_millis(1));
            assert_eq!(world.sent(Side::Outside).len(), 0, "too early for question {}", number + 1);
            world.run_for(Ns::from_millis(2));
            assert_eq!(world.sent(Side::Outside).len(), 1);
        }
        world.run_for(SECOND);
        assert_eq!(world.sent(Side::Outside).len(), 0);
        let told = world.sent(Side::Inside);
        assert_eq!(told.iter().map(|frame| icmp(frame)).collect::<Vec<_>>(), [Some(unreachable)]);
        assert_eq!((world.stats().neighbours_failed, world.ended(Verdict::NeighbourUnresolved)), (1, 1));
        assert_eq!((states(world.stats())[0], world.stats().neighbour_frames), (0, 0));
        // Forgotten, not banned: the next packet asks anew.
        let [_, asked] = world.exchange(Side::Inside, stranger(data()));
        assert_eq!(asked.len(), 1);
    }
}

#[test]
fn a_silent_neighbour_turns_stale_is_used_and_then_asked_in_person() {
    for Kind { data, answer, asks } in KINDS {
        let mut world = World::new(&config());
        world.exchange(Side::Inside, data());
        world.exchange(Side::Outside, answer());
        assert_eq!(states(world.stats()), [0, 1, 0, 0, 0]);
        world.run_for(Ns(14 * SECOND.0));
        assert_eq!(states(world.stats()), [0, 1, 0, 0, 0], "before the least REACHABLE_TIME");
        world.run_for(REACHABLE_MAX);
        assert_eq!(states(world.stats()), [0, 0, 1, 0, 0]);
        assert_eq!(world.sent(Side::Outside).len(), 0, "nobody asks about one who is not used");

        let [_, left] = world.exchange(Side::Inside, data());
        assert_eq!((left.len(), macs(&left[0]).1), (1, SERVER.mac), "used at once");
        assert_eq!(states(world.stats()), [0, 0, 0, 1, 0]);
        world.run_for(Ns::from_millis(4_990));
        assert_eq!(world.sent(Side::Outside).len(), 0, "DELAY_FIRST_PROBE_TIME is 5 s");
        world.run_for(Ns::from_millis(20));
        let asked = world.sent(Side::Outside);
        assert!(asked.len() == 1 && asks(&asked[0]) && macs(&asked[0]).1 == SERVER.mac, "in person");
        assert_eq!(states(world.stats()), [0, 0, 0, 0, 1]);
        world.exchange(Side::Outside, answer());
        assert_eq!(states(world.stats()), [0, 1, 0, 0, 0]);
    }
}

#[test]
fn a_neighbour_that_has_gone_is_forgotten_after_three_questions_in_person() {
    for Kind { data, answer, .. } in KINDS {
        let mut world = World::new(&config());
        world.exchange(Side::Inside, data());
        world.exchange(Side::Outside, answer());
        world.run_for(REACHABLE_MAX);
        world.exchange(Side::Inside, data());
        world.run_for(Ns::from_millis(7_500));
        let asked = world.sent(Side::Outside);
        assert!(asked.len() == 3 && asked.iter().all(|frame| macs(frame).1 == SERVER.mac), "{}", asked.len());
        assert_eq!(states(world.stats()), [0, 0, 0, 0, 1]);
        world.run_for(SECOND);
        assert_eq!((states(world.stats()), world.stats().neighbours_failed), ([0; 5], 1));
    }
}

#[test]
fn one_who_asks_is_answered_and_remembered_unconfirmed() {
    let mut world = World::new(&config());
    let (verdict, [answered, _]) = world.fate(Side::Inside, arp(true, CLIENT, WEIR_INSIDE, [0xff; 6]));
    assert_eq!((verdict, answered.len()), (Verdict::Consumed, 1));
    assert_eq!(answered[0], arp(false, WEIR_INSIDE, CLIENT, CLIENT.mac));
    assert_eq!(states(world.stats()), [0, 0, 1, 0, 0]);

    let (verdict, [answered, _]) = world.fate(Side::Inside, solicitation(CLIENT, CLIENT.v6, WEIR_INSIDE.v6));
    assert_eq!((verdict, answered.len()), (Verdict::Consumed, 1));
    // Router, solicited, override (RFC 4861 section 7.2.4).
    assert_eq!(answered[0], advertisement(WEIR_INSIDE, CLIENT, 0xe0));
    assert_eq!(states(world.stats()), [0, 0, 2, 0, 0]);
    let stats = world.stats();
    assert_eq!((stats.originated_arp_replies, stats.originated_advertisements), (1, 1));
}

#[test]
fn the_link_local_address_is_made_from_the_mac_and_answers_at_home_only() {
    let mut world = World::new(&config());
    // EUI-64 of 02:00:00:00:08:01 with the universal bit turned.
    let own = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 8, 1];
    let (verdict, [answered, _]) = world.fate(Side::Inside, solicitation(CLIENT, CLIENT.v6, own));
    assert_eq!((verdict, answered.len()), (Verdict::Consumed, 1));
    let (verdict, [_, answered]) = world.fate(Side::Outside, solicitation(SERVER, SERVER.v6, own));
    assert_eq!((verdict, answered.len()), (Verdict::NotForUs, 0));
}

#[test]
fn one_who_tests_an_address_is_told_and_not_remembered() {
    let mut world = World::new(&config());
    let nameless = Station { v4: [0; 4], ..CLIENT };
    let (verdict, [answered, _]) = world.fate(Side::Inside, arp(true, nameless, WEIR_INSIDE, [0xff; 6]));
    assert_eq!((verdict, answered.len()), (Verdict::Consumed, 1));
    let (verdict, [answered, _]) = world.fate(Side::Inside, solicitation(CLIENT, [0; 16], WEIR_INSIDE.v6));
    assert_eq!((verdict, answered.len()), (Verdict::Consumed, 1));
    // To all nodes, not solicited.
    assert_eq!((macs(&answered[0]).1, answered[0][58]), ([0x33, 0x33, 0, 0, 0, 1], 0xa0));
    assert_eq!(states(world.stats()), [0; 5]);
}

#[test]
fn what_is_not_about_weir_makes_no_entry_but_updates_one() {
    let moved = Station { mac: [2, 0, 0, 0, 9, 0x22], ..SERVER };
    for (Kind { data, .. }, announce) in
        KINDS.into_iter().zip([arp(true, moved, moved, [0xff; 6]), advertisement_to_all(moved, 0x20)])
    {
        let mut world = World::new(&config());
        let (verdict, [_, sent]) = world.fate(Side::Outside, announce.clone());
        assert_eq!((verdict, sent.len(), states(world.stats())), (Verdict::NotForUs, 0, [0; 5]));

        world.meet();
        world.exchange(Side::Outside, announce);
        let [_, left] = world.exchange(Side::Inside, data());
        assert_eq!(macs(&left[0]).1, moved.mac);
    }
}

#[test]
fn an_advertisement_without_override_only_casts_doubt() {
    let imposter = Station { mac: [2, 0, 0, 0, 9, 0x66], ..SERVER };
    let mut world = World::new(&config());
    world.exchange(Side::Inside, udp6(SERVER.v6, 64, 0));
    world.exchange(Side::Outside, advertisement(SERVER, WEIR_OUTSIDE, 0x60));
    assert_eq!(states(world.stats()), [0, 1, 0, 0, 0]);
    world.exchange(Side::Outside, advertisement(imposter, WEIR_OUTSIDE, 0x40));
    assert_eq!(states(world.stats()), [0, 0, 1, 0, 0], "RFC 4861 section 7.2.5, I a");
    let [_, left] = world.exchange(Side::Inside, udp6(SERVER.v6, 64, 0));
    assert_eq!(macs(&left[0]).1, SERVER.mac);
}

#[test]
fn another_station_with_our_address_is_counted_and_not_believed() {
    let thief = Station { v4: WEIR_OUTSIDE.v4, v6: WEIR_OUTSIDE.v6, ..SERVER };
    let mut world = World::met(&config());
    for frame in [arp(true, thief, thief, [0xff; 6]), advertisement_to_all(thief, 0x20)] {
        assert_eq!(world.fate(Side::Outside, frame).0, Verdict::Martian);
    }
    assert_eq!(world.stats().address_conflicts, 2);
}

/// (what, the message, its end)
#[test]
fn messages_that_rfc_4861_section_7_1_refuses_teach_nothing() {
    let group = solicited_node(WEIR_INSIDE.v6);
    let to_group = (CLIENT.mac, group_mac(group));
    let target = WEIR_INSIDE.v6.to_vec();
    let with = |options: &[u8]| [&target[..], options].concat();
    let message = |from, hops, code, body: &[u8]| {
        finish(ip6(to_group, from, group, hops).icmpv6_raw(135, code, [0; 4]), body)
    };
    let mut wrong_sum = solicitation(CLIENT, CLIENT.v6, WEIR_INSIDE.v6);
    wrong_sum[56] ^= 1;
    let solicited_to_all = {
        let mut body = CLIENT.v6.to_vec();
        body.extend([2, 1, 2, 0, 0, 0, 8, 2]);
        let all = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        finish(
            ip6((CLIENT.mac, group_mac(all)), CLIENT.v6, all, 255).icmpv6_raw(136, 0, [0x60, 0, 0, 0]),
            &body,
        )
    };
    let cases = [
        ("code", message(CLIENT.v6, 255, 1, &target)),
        ("length", message(CLIENT.v6, 255, 0, &target[..15])),
        ("an option of no length", message(CLIENT.v6, 255, 0, &with(&[1, 0, 2, 0, 0, 0, 8, 2]))),
        ("an option that is cut", message(CLIENT.v6, 255, 0, &with(&[1, 2, 2, 0, 0, 0, 8, 2]))),
        ("an address from nobody", message([0; 16], 255, 0, &with(&[1, 1, 2, 0, 0, 0, 8, 2]))),
        ("a group's Ethernet address", message(CLIENT.v6, 255, 0, &with(&[1, 1, 3, 0, 0, 0, 8, 2]))),
        ("a multicast target", message(CLIENT.v6, 255, 0, &group)),
        ("a checksum", wrong_sum),
        ("solicited, but to all", solicited_to_all),
    ];
    let mut world = World::new(&config());
    for (what, frame) in cases {
        assert_eq!(world.fate(Side::Inside, frame), (Verdict::BadHeader, Default::default()), "{what}");
    }
    // From beyond the link, and from another network than the link's.
    let far = message(CLIENT.v6, 254, 0, &target);
    assert_eq!(world.fate(Side::Inside, far), (Verdict::NotForUs, Default::default()));
    let foreign = solicitation(CLIENT, FAR_V6, WEIR_INSIDE.v6);
    assert_eq!(world.fate(Side::Inside, foreign), (Verdict::Martian, Default::default()));
    assert_eq!(states(world.stats()), [0; 5]);
    // About routers: heard, of no interest.
    let routers = finish(ip6(to_group, CLIENT.v6, group, 255).icmpv6_raw(134, 0, [0; 4]), &[0; 8]);
    assert_eq!(world.fate(Side::Inside, routers).0, Verdict::NotForUs);
}

/// (what, the packet, its end)
#[test]
fn arp_that_does_not_hold_or_comes_from_elsewhere_teaches_nothing() {
    let good = arp(true, CLIENT, WEIR_INSIDE, [0xff; 6]);
    let patched = |at: usize, byte: u8| {
        let mut frame = good.clone();
        frame[at] = byte;
        frame
    };
    let mut world = World::new(&config());
    for (what, frame, verdict) in [
        ("cut", good[..41].to_vec(), Verdict::BadHeader),
        ("hardware type", patched(15, 6), Verdict::BadHeader),
        ("address length", patched(18, 8), Verdict::BadHeader),
        ("operation", patched(21, 3), Verdict::BadHeader),
        ("a group's hardware address", patched(22, 3), Verdict::BadHeader),
        ("a sender of another network", patched(29, 7), Verdict::Martian),
        ("a broadcast sender", patched(31, 255), Verdict::Martian),
        ("for another", patched(41, 77), Verdict::NotForUs),
    ] {
        assert_eq!(world.fate(Side::Inside, frame), (verdict, Default::default()), "{what}");
    }
    assert_eq!(states(world.stats()), [0; 5]);
}

/// RFC 6583: a scan of an on-link network from afar must not cost the neighbours that are known.
#[test]
fn a_scan_is_bounded_and_hurts_nobody_who_is_known() {
    let mut world = World::met(&config());
    for host in 0..2_000_u16 {
        let mut to = SERVER.v6;
        to[12..14].copy_from_slice(&host.to_be_bytes());
        to[15] = 200;
        world.offer(Side::Inside, udp6(to, 64, 0));
    }
    while world.turn().received > 0 {}
    let asked = world.sent(Side::Outside).len();
    assert_eq!((asked, states(world.stats())[0]), (64, 64));
    assert_eq!(world.stats().neighbours_refused, 2_000 - 64);
    assert_eq!(world.ended(Verdict::NeighbourUnresolved), 2_000 - 64);
    let [_, left] = world.exchange(Side::Inside, udp6(SERVER.v6, 64, 0));
    assert_eq!((left.len(), macs(&left[0]).1), (1, SERVER.mac));
    world.run_for(Ns(4 * SECOND.0));
    assert_eq!((states(world.stats())[0], world.stats().neighbours_failed), (0, 64));
    // 50 of the 64 senders were told before the bucket was empty, and some more as it filled.
    assert!(world.stats().icmp_errors_over_rate > 0);
}

#[test]
fn a_full_table_forgets_who_was_used_longest_ago() {
    let mut world = World::met(&config());
    world.io.spare = spare(1_200);
    let station = |number: u16| {
        let [high, low] = number.to_be_bytes();
        let mut v6 = SERVER.v6;
        v6[12..14].copy_from_slice(&[high, low]);
        Station { mac: [2, 1, 0, 0, high, low], v6, ..SERVER }
    };
    for number in 1..=1_100 {
        let one = station(number);
        world.now += Ns::from_millis(1);
        world.offer(Side::Outside, solicitation(one, one.v6, WEIR_OUTSIDE.v6));
        world.turn();
        world.sent(Side::Outside);
        if number == 500 {
            world.exchange(Side::Inside, udp6(SERVER.v6, 64, 0));
        }
    }
    let known: u64 = states(world.stats()).iter().sum();
    assert_eq!(known, 1_024 + 2, "a full outside, and the client's two inside");
    let [_, left] = world.exchange(Side::Inside, udp6(station(1_100).v6, 64, 0));
    assert_eq!(macs(&left[0]).1, station(1_100).mac);
    let [_, left] = world.exchange(Side::Inside, udp6(SERVER.v6, 64, 0));
    assert_eq!(macs(&left[0]).1, SERVER.mac, "in use, so kept");
    let [_, asked] = world.exchange(Side::Inside, udp6(station(1).v6, 64, 0));
    assert_eq!(asked[0][54], 135, "forgotten, so asked for");
}

#[test]
fn no_buffer_for_a_question_is_counted_and_the_next_one_is_asked_later() {
    let mut world = World::new(&config());
    let spare = std::mem::take(&mut world.io.spare);
    let [_, asked] = world.exchange(Side::Inside, udp4(SERVER.v4, 64, 0));
    assert_eq!((asked.len(), world.stats().originate_failed, world.worker.tally().originated), (0, 1, 0));
    world.io.spare = spare;
    world.run_for(Ns::from_millis(1_100));
    assert_eq!(world.sent(Side::Outside).len(), 1);
    let [_, left] = world.exchange(Side::Outside, arp(false, SERVER, WEIR_OUTSIDE, WEIR_OUTSIDE.mac));
    assert_eq!(left.len(), 1);
}
