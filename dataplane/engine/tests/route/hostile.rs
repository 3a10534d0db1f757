//! Any bytes at all: no panic, no allocation, balanced books, and what leaves has right checksums where it came with
//! right ones.

use super::frames::*;
use super::world::{World, config};
use proptest::prelude::*;
use weir_engine::io::Side;
use weir_engine::time::Ns;

/// Frames worth bending.
fn seeds() -> Vec<Vec<u8>> {
    vec![
        udp4(SERVER.v4, 64, 40),
        udp6(SERVER.v6, 64, 40),
        udp4([198, 51, 100, 1], 64, 40),
        arp(true, CLIENT, WEIR_INSIDE, [0xff; 6]),
        arp(false, CLIENT, WEIR_INSIDE, WEIR_INSIDE.mac),
        solicitation(CLIENT, CLIENT.v6, WEIR_INSIDE.v6),
        advertisement(CLIENT, WEIR_INSIDE, 0x60),
        finish(ip4(TO_WEIR, CLIENT.v4, WEIR_INSIDE.v4, 9).icmpv4_echo_request(1, 1), b"12345"),
        finish(ip6(TO_WEIR, CLIENT.v6, WEIR_INSIDE.v6, 9).icmpv6_echo_request(1, 1), b"12345"),
        finish(
            ip4(TO_WEIR, CLIENT.v4, SERVER.v4, 64)
                .tcp(1, 2, 3, 4)
                .syn()
                .options_raw(&[2, 4, 5, 180])
                .unwrap(),
            &[],
        ),
    ]
}

pub(crate) fn frame() -> impl Strategy<Value = Vec<u8>> {
    let bend = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    let bent = (0..seeds().len(), bend, any::<prop::sample::Index>(), 0..4, any::<bool>());
    let bent = bent.prop_map(|(seed, bends, cut, chance, mended)| {
        let mut frame = seeds().swap_remove(seed);
        for (at, byte) in bends {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        if chance == 0 {
            frame.truncate(cut.index(frame.len() + 1));
        }
        // With a checksum that holds, the rest of a bent header is looked at too.
        if mended && frame.len() >= 34 && frame[12..14] == [8, 0] && frame[14] == 0x45 {
            mend(&mut frame);
        }
        frame
    });
    prop_oneof![4 => bent, 1 => proptest::collection::vec(any::<u8>(), 0..120)]
}

proptest! {
    #[test]
    fn any_bytes_are_survived(frames in proptest::collection::vec((frame(), any::<bool>()), 1..40)) {
        let mut world = World::met(&config());
        for (frame, inside) in frames {
            world.offer(if inside { Side::Inside } else { Side::Outside }, frame);
            world.turn();
            world.now += Ns::from_millis(300);
        }
        // Three seconds for a packet's neighbour, three more for that of the one who is told.
        world.run_for(Ns::from_secs(10));
        prop_assert_eq!(world.worker.tally().held, 0);
    }
}
