//! The tracker against a world that knows everything ([`world`]).

mod world;

use proptest::prelude::*;
use weir_engine::time::Ns;
use weir_engine::track::{Detail, SegmentInfo, Track};
use weir_engine::wire::{Flags, SackBlock, Segment, Timestamps};
use world::{Send, World, play};

fn send() -> impl Strategy<Value = Send> {
    let lost = prop::bool::weighted(0.15);
    prop_oneof![
        8 => (1..6u8, lost).prop_map(|(units, lost)| Send::New { units, lost }),
        2 => (1..60u16, 1..6u8, lost).prop_map(|(back, units, lost)| Send::Again { back, units, lost }),
        1 => (1..3u8).prop_map(|units| Send::Around { units }),
        3 => (0..30_000u16).prop_map(|ns| Send::Wait { ns }),
    ]
}

fn world() -> impl Strategy<Value = World> {
    let origin = prop_oneof![any::<u32>(), Just(u32::MAX - 300), Just(0x7fff_ffff - 300)];
    (origin, any::<[bool; 4]>()).prop_map(|(origin, [sack, timestamps, detail, gaps])| World {
        origin,
        sack,
        timestamps,
        detail,
        gaps,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn delivery_and_round_trips_agree_with_the_world(world in world(), sends in prop::collection::vec(send(), 0..150)) {
        play(world, &sends);
    }

    /// Anything at all: nothing panics or overflows, and no more is outstanding than a window.
    #[test]
    fn any_trace_is_survived(
        steps in prop::collection::vec(
            (any::<bool>(), any::<u32>(), any::<u16>(), any::<u8>(), any::<[u32; 4]>(), any::<u8>()),
            0..200,
        ),
        near in any::<bool>(),
        mut detail in prop::option::of(Just(Detail::EMPTY)),
    ) {
        let mut track = Track::new(u32::MAX - 5_000);
        let bend = |number: u32| if near { (u32::MAX - 10_000).wrapping_add(number % 20_000) } else { number };
        for (at, (departs, seq, len, flags, numbers, choice)) in steps.into_iter().enumerate() {
            let detail = detail.as_mut();
            if departs {
                let info = SegmentInfo {
                    seq: bend(seq),
                    timestamp: numbers[0] % 8,
                    payload_len: len,
                    flags: Flags(flags),
                    timestamped: choice & 2 == 0,
                };
                let departed = track.on_depart(detail, &info, Ns(at as u64));
                prop_assert!(departed.new_bytes + departed.retransmitted_bytes <= u32::from(len));
            } else {
                let mut segment = Segment {
                    ack: bend(seq),
                    window: len,
                    flags: Flags(flags),
                    timestamps: (choice & 2 == 0).then_some(Timestamps { value: 0, echo: numbers[0] % 8 }),
                    ..Segment::default()
                };
                segment.sack.push(SackBlock { start: bend(numbers[0]), end: bend(numbers[1]) });
                segment.sack.push(SackBlock { start: bend(numbers[2]), end: bend(numbers[3]) });
                let outstanding = track.outstanding();
                let acked = track.on_ack(detail, &segment, Ns(at as u64));
                prop_assert!(acked.delivered_bytes <= outstanding);
            }
        }
    }
}
