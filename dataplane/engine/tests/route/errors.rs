//! ICMP errors: which, about what, from whom, how many, and about what never.

use super::frames::*;
use super::world::{World, config, route};
use weir_engine::io::Side;
use weir_engine::time::Ns;
use weir_engine::verdict::Verdict;

const NOWHERE_V4: [u8; 4] = [198, 51, 100, 1];
const NOWHERE_V6: [u8; 16] = [0x20, 1, 0xd, 0xb9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

fn quoted(error: &[u8]) -> &[u8] {
    let header = if error[12] == 8 { 20 } else { 40 };
    &error[14 + header + 8..]
}

#[test]
fn each_trouble_has_its_verdict_and_its_message() {
    let mut config = config();
    route(&mut config).sides[Side::Outside as usize].mtu = 1_400;
    let mut world = World::met(&config);
    let df = ip4_with(TO_WEIR, CLIENT.v4, SERVER.v4, |header| header.dont_fragment = true);
    for (frame, verdict, told) in [
        (udp4(NOWHERE_V4, 64, 50), Verdict::NoRoute, (3, 0, 0)),
        (udp6(NOWHERE_V6, 64, 50), Verdict::NoRoute, (1, 0, 0)),
        (udp4(SERVER.v4, 1, 50), Verdict::TtlExpired, (11, 0, 0)),
        (udp4(SERVER.v4, 0, 50), Verdict::TtlExpired, (11, 0, 0)),
        (udp6(SERVER.v6, 1, 50), Verdict::TtlExpired, (3, 0, 0)),
        (finish(df.udp(1, 2), &[0; 1_380]), Verdict::TooBig, (3, 4, 1_400)),
        (udp6(SERVER.v6, 64, 1_380), Verdict::TooBig, (2, 0, 1_400)),
    ] {
        let (ended, [told_to, outside]) = world.fate(Side::Inside, frame.clone());
        assert_eq!((ended, told_to.len(), outside.len()), (verdict, 1, 0));
        let error = &told_to[0];
        assert_eq!(icmp(error), Some(told));
        assert_eq!(macs(error).1, CLIENT.mac);
        let v4 = error[12] == 8;
        let (from, to) = if v4 { (&error[26..30], &error[30..34]) } else { (&error[22..38], &error[38..54]) };
        assert_eq!(from, if v4 { &WEIR_INSIDE.v4[..] } else { &WEIR_INSIDE.v6[..] });
        assert_eq!(to, if v4 { &CLIENT.v4[..] } else { &CLIENT.v6[..] });
        // The packet as it came, and no more of it than the RFCs allow.
        let max = if v4 { 576 - 28 } else { 1_280 - 48 };
        assert_eq!(quoted(error), &frame[14..frame.len().min(14 + max)]);
        assert_eq!(
            if v4 { error[15] } else { error[14] << 4 | error[15] >> 4 },
            0xc0,
            "internetwork control"
        );
    }
    // A packet that just fits.
    let (verdict, _) = world.fate(Side::Inside, udp6(SERVER.v6, 64, 1_400 - 48));
    assert_eq!(verdict, Verdict::Untracked);
}

/// (what, the frame, its end)
#[test]
fn never_about_errors_groups_later_fragments_or_what_names_no_sender() {
    let mut world = World::met(&config());
    let later = ip4_with(TO_WEIR, CLIENT.v4, NOWHERE_V4, |header| {
        header.fragment_offset = 5_u16.try_into().unwrap();
    });
    let first = ip4_with(TO_WEIR, CLIENT.v4, NOWHERE_V4, |header| header.more_fragments = true);
    let error4 = |kind| finish(ip4(TO_WEIR, CLIENT.v4, NOWHERE_V4, 64).icmpv4_raw(kind, 0, [0; 4]), &[0; 28]);
    let error6 = |kind| finish(ip6(TO_WEIR, CLIENT.v6, NOWHERE_V6, 64).icmpv6_raw(kind, 0, [0; 4]), &[0; 48]);
    for (what, frame, answers) in [
        ("a later fragment", finish(later.udp(1, 2), b"12345678"), 0),
        ("a first fragment", finish(first.udp(1, 2), b"12345678"), 1),
        ("unreachable", error4(3), 0),
        ("source quench", error4(4), 0),
        ("redirect", error4(5), 0),
        ("time exceeded", error4(11), 0),
        ("parameter problem", error4(12), 0),
        ("an echo", error4(8), 1),
        ("unreachable 6", error6(1), 0),
        ("an unknown error 6", error6(127), 0),
        ("redirect 6", error6(137), 0),
        ("an unknown question 6", error6(200), 1),
    ] {
        let barred = world.stats().icmp_errors_barred;
        let (verdict, [told, _]) = world.fate(Side::Inside, frame);
        assert_eq!((verdict, told.len()), (Verdict::NoRoute, answers), "{what}");
        assert_eq!(world.stats().icmp_errors_barred - barred, 1 - answers as u64, "{what}");
    }
}

#[test]
fn a_later_ipv6_fragment_is_seen_through_its_extension_headers() {
    let mut world = World::met(&config());
    // Destination options of 8 bytes, then a fragment header with offset 8 and more to come.
    let mut frame = udp6(NOWHERE_V6, 64, 40);
    frame[20] = 60;
    frame.splice(54..54, [44, 0, 1, 4, 0, 0, 0, 0, 17, 0, 0, 0x41, 0, 0, 0, 1]);
    frame[19] += 16;
    let (verdict, [told, _]) = world.fate(Side::Inside, frame.clone());
    assert_eq!((verdict, told.len()), (Verdict::NoRoute, 0));
    // The first one is answered.
    frame[65] = 1;
    let (verdict, [told, _]) = world.fate(Side::Inside, frame);
    assert_eq!((verdict, told.len()), (Verdict::NoRoute, 1));
}

#[test]
fn a_bucket_bounds_them_and_fills_again() {
    let mut world = World::met(&config());
    let told = |world: &mut World, frames: usize| {
        for _ in 0..frames {
            world.offer(Side::Inside, udp4(NOWHERE_V4, 64, 0));
        }
        while world.turn().received > 0 {}
        // Besides, Weir asks about a client that it has not heard of for a minute.
        world.sent(Side::Inside).iter().filter(|frame| icmp(frame) == Some((3, 0, 0))).count()
    };
    assert_eq!(told(&mut world, 200), 50);
    assert_eq!(world.stats().icmp_errors_over_rate, 150);
    assert_eq!(world.ended(Verdict::NoRoute), 200, "dropped all the same");
    world.now += Ns::from_millis(200);
    assert_eq!(told(&mut world, 200), 20);
    world.now += Ns::from_secs(60);
    assert_eq!(told(&mut world, 200), 50);
}

#[test]
fn a_sender_without_a_way_back_is_not_told() {
    let mut world = World::met(&config());
    let from_nowhere = finish(ip4(TO_WEIR, NOWHERE_V4, SERVER.v4, 1).udp(1, 2), &[]);
    assert_eq!(world.fate(Side::Inside, from_nowhere), (Verdict::TtlExpired, Default::default()));
    assert_eq!(world.stats().icmp_errors_no_way, 1);
}

#[test]
fn without_a_buffer_there_is_no_error() {
    let mut world = World::met(&config());
    world.io.spare.clear();
    assert_eq!(world.fate(Side::Inside, udp4(NOWHERE_V4, 64, 0)), (Verdict::NoRoute, Default::default()));
    assert_eq!(world.stats().originate_failed, 1);
}
