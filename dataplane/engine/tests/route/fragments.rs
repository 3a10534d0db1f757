//! IPv4 packets that are longer than the next link takes.

use super::frames::*;
use super::world::{World, config, route};
use etherparse::{Ipv4Header, Ipv4HeaderSlice};
use proptest::prelude::*;
use weir_engine::io::Side;
use weir_engine::verdict::Verdict;

const MTU: u16 = 1_280;

fn world() -> World {
    let mut config = config();
    route(&mut config).sides[Side::Outside as usize].mtu = MTU;
    World::met(&config)
}

fn header(frame: &[u8]) -> Ipv4Header {
    Ipv4HeaderSlice::from_slice(&frame[14..]).unwrap().to_header()
}

/// What follows the IPv4 header, as far as the packet goes.
fn payload(frame: &[u8]) -> &[u8] {
    let header = header(frame);
    &frame[14 + header.header_len()..14 + usize::from(header.total_len)]
}

proptest! {
    #[test]
    fn the_parts_make_up_the_packet(
        len in 1_261_usize..6_000,
        options in prop_oneof![Just(vec![]), Just(vec![0x94, 4, 0, 0]), Just(vec![7, 7, 4, 0, 0, 0, 0, 1])],
        offset in 0_u16..100,
        more: bool,
        padding in 0_usize..4,
    ) {
        // A fragment's payload is whole eights unless it is the last.
        let len = if more { len.next_multiple_of(8) } else { len };
        let ip = ip4_with(TO_WEIR, CLIENT.v4, SERVER.v4, |header| {
            header.identification = 77;
            header.dont_fragment = false;
            header.more_fragments = more;
            header.fragment_offset = offset.try_into().unwrap();
            header.options = options.as_slice().try_into().unwrap();
        });
        let bytes: Vec<u8> = (0..len - 8).map(|at| (at % 251) as u8).collect();
        let mut came = finish(ip.udp(1, 2), &bytes);
        came.extend(vec![0xee; padding]);
        let mut world = world();
        let (verdict, [inside, parts]) = world.fate(Side::Inside, came.clone());
        let step = (usize::from(MTU) - 20 - options.len()) & !7;
        let count = len.div_ceil(step);
        prop_assert_eq!((verdict, inside.len(), parts.len()), (Verdict::Fragmented, 0, count));
        prop_assert_eq!(world.stats().originated_fragments, count as u64);
        let mut whole = Vec::new();
        for (number, part) in parts.iter().enumerate() {
            let ip = header(part);
            prop_assert_eq!(usize::from(ip.total_len), part.len() - 14);
            prop_assert!(ip.total_len <= MTU);
            prop_assert_eq!((ip.identification, ip.time_to_live, ip.dont_fragment), (77, 63, false));
            prop_assert_eq!(usize::from(ip.fragment_offset.value()), usize::from(offset) + whole.len() / 8);
            prop_assert_eq!(ip.more_fragments, number + 1 < count || more);
            // Router alert is copied, record route is not: RFC 791 section 3.1.
            let dropped = number > 0 && options.first().is_some_and(|kind| kind & 0x80 == 0);
            let shown = if dropped { [vec![1; 7], vec![options[7]]].concat() } else { options.clone() };
            prop_assert_eq!(ip.options.as_slice(), &shown[..]);
            prop_assert_eq!(macs(part).1, SERVER.mac);
            whole.extend_from_slice(payload(part));
        }
        prop_assert_eq!(&whole[..], payload(&came));
    }
}

fn too_long() -> Vec<u8> {
    let ip = ip4_with(TO_WEIR, CLIENT.v4, SERVER.v4, |header| header.dont_fragment = false);
    finish(ip.udp(1, 2), &[0; 1_400])
}

#[test]
fn without_a_second_buffer_the_rest_is_not_sent() {
    let mut world = world();
    world.io.spare.truncate(1);
    let (verdict, [_, parts]) = world.fate(Side::Inside, too_long());
    assert_eq!((verdict, parts.len(), world.stats().originate_failed), (Verdict::Fragmented, 1, 1));
}

#[test]
fn parts_wait_for_their_neighbour_together() {
    let mut config = config();
    route(&mut config).sides[Side::Outside as usize].mtu = MTU;
    let mut world = World::new(&config);
    world.exchange(Side::Inside, too_long());
    assert_eq!(world.stats().neighbour_frames, 2);
    let [_, left] = world.exchange(Side::Outside, arp(false, SERVER, WEIR_OUTSIDE, WEIR_OUTSIDE.mac));
    assert_eq!(left.iter().map(|part| header(part).more_fragments).collect::<Vec<_>>(), [true, false]);
}
