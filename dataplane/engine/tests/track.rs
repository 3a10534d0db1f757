//! What the tracker says of short scripts: each is a sentence, what passes Weir, and what it should be told.

use weir_engine::time::Ns;
use weir_engine::track::{Acked, Departed, Detail, SegmentInfo, Track};
use weir_engine::wire::{Flags, SackBlock, Segment, Timestamps};

/// Something passes Weir. Sequence numbers are relative to the script's origin.
#[derive(Clone, Debug)]
enum Event {
    Depart {
        at: u64,
        seq: i32,
        len: u16,
        flags: Flags,
        timestamp: Option<u32>,
        expect: Departed,
    },
    Ack {
        at: u64,
        ack: i32,
        sack: Vec<(i32, i32)>,
        echo: Option<u32>,
        flags: Flags,
        window: u16,
        expect: Acked,
    },
}

/// A data segment departs at `at` ns.
fn depart(at: u64, seq: i32, len: u16) -> Event {
    let expect = Departed { new_bytes: u32::from(len), ..Departed::default() };
    Event::Depart { at, seq, len, flags: Flags::ACK, timestamp: None, expect }
}

/// An acknowledgement arrives at `at` ns.
fn ack(at: u64, ack: i32) -> Event {
    Event::Ack {
        at,
        ack,
        sack: vec![],
        echo: None,
        flags: Flags::ACK,
        window: 1_000,
        expect: Acked::default(),
    }
}

impl Event {
    /// The segment has been here before, in whole.
    fn repeated(self) -> Event {
        self.departed(|expect| {
            expect.retransmitted_bytes = expect.new_bytes;
            expect.new_bytes = 0;
        })
    }
    fn departed(mut self, change: impl FnOnce(&mut Departed)) -> Event {
        if let Event::Depart { expect, .. } = &mut self {
            change(expect);
        }
        self
    }
    fn acked(mut self, change: impl FnOnce(&mut Acked)) -> Event {
        if let Event::Ack { expect, .. } = &mut self {
            change(expect);
        }
        self
    }
    fn delivers(self, bytes: u32) -> Event {
        self.acked(|expect| expect.delivered_bytes = bytes)
    }
    fn rtt(self, rtt: u64) -> Event {
        self.acked(|expect| expect.rtt_ns = Some(ticks(rtt).0))
    }
    fn loses(self, bytes: u32) -> Event {
        self.acked(|expect| expect.lost_bytes = bytes)
    }
    fn flags(mut self, more: Flags) -> Event {
        let (Event::Depart { flags, .. } | Event::Ack { flags, .. }) = &mut self;
        *flags = flags.with(more);
        self
    }
    fn sack(mut self, blocks: &[(i32, i32)]) -> Event {
        if let Event::Ack { sack, .. } = &mut self {
            *sack = blocks.to_vec();
        }
        self
    }
    /// The timestamp value of a departure, the echo of an acknowledgement.
    fn timestamp(mut self, value: u32) -> Event {
        let (Event::Depart { timestamp, .. } | Event::Ack { echo: timestamp, .. }) = &mut self;
        *timestamp = Some(value);
        self
    }
    fn closed(mut self) -> Event {
        if let Event::Ack { window, .. } = &mut self {
            *window = 0;
        }
        self
    }
}

/// Scripts count time in the tracker's own resolution, 16 ns.
fn ticks(count: u64) -> Ns {
    Ns(count * 16)
}

/// Plays a script from three origins: a plain one, one where the numbers wrap, one where their sign does.
fn play(name: &str, with_detail: bool, script: &[Event]) {
    for origin in [1_000_000_u32, u32::MAX - 1_500, 0x7fff_ffff - 1_500] {
        let number = |relative: i32| origin.wrapping_add_signed(relative);
        let mut track = Track::new(origin);
        let mut detail = with_detail.then_some(Detail::EMPTY);
        for (step, event) in script.iter().enumerate() {
            match event {
                Event::Depart { at, seq, len, flags, timestamp, expect } => {
                    let segment = SegmentInfo {
                        seq: number(*seq),
                        timestamp: timestamp.unwrap_or(0),
                        payload_len: *len,
                        flags: *flags,
                        timestamped: timestamp.is_some(),
                    };
                    let departed = track.on_depart(detail.as_mut(), &segment, ticks(*at));
                    assert_eq!(departed, *expect, "{name}, step {step}, origin {origin}: {event:?}");
                }
                Event::Ack { at, ack, sack, echo, flags, window, expect } => {
                    let mut segment = Segment {
                        ack: number(*ack),
                        window: *window,
                        flags: *flags,
                        timestamps: echo.map(|echo| Timestamps { value: 1, echo }),
                        ..Segment::default()
                    };
                    for (start, end) in sack {
                        segment.sack.push(SackBlock { start: number(*start), end: number(*end) });
                    }
                    let acked = track.on_ack(detail.as_mut(), &segment, ticks(*at));
                    assert_eq!(acked, *expect, "{name}, step {step}, origin {origin}: {event:?}");
                }
            }
        }
    }
}

#[test]
fn delivery_and_round_trip_by_sequence() {
    play(
        "each segment acknowledged by itself",
        true,
        &[depart(0, 0, 1_000), depart(10, 1_000, 1_000), ack(500, 1_000).delivers(1_000).rtt(500), {
            ack(511, 2_000).delivers(1_000).rtt(501)
        }],
    );
    play(
        "one acknowledgement for three: the youngest marked segment caused it",
        true,
        &[depart(0, 0, 1_000), depart(10, 1_000, 1_000), depart(20, 2_000, 500), {
            ack(520, 2_500).delivers(2_500).rtt(500)
        }],
    );
    play(
        "an acknowledgement of part of a segment",
        true,
        &[depart(0, 0, 1_000), ack(400, 600).delivers(600), ack(500, 1_000).delivers(400).rtt(500)],
    );
    play(
        "duplicates, window updates and old acknowledgements deliver nothing",
        true,
        &[
            depart(0, 0, 1_000),
            depart(0, 1_000, 1_000),
            ack(500, 1_000).delivers(1_000).rtt(500),
            ack(501, 1_000),
            ack(502, 500),
            ack(503, 1_000).closed(),
            ack(504, 1_000),
        ],
    );
    play(
        "pure acknowledgements, resets and segments without ACK tell nothing",
        true,
        &[
            depart(0, 0, 0),
            depart(0, 0, 700).flags(Flags::RST).departed(|expect| expect.new_bytes = 0),
            depart(0, 0, 100),
            Event::Ack {
                at: 9,
                ack: 100,
                sack: vec![],
                echo: None,
                flags: Flags::default(),
                window: 1,
                expect: Acked::default(),
            },
            ack(10, 100).flags(Flags::RST),
            ack(11, 100).delivers(100).rtt(11),
        ],
    );
    play(
        "an acknowledgement of what never departed is ignored and told",
        true,
        &[
            depart(0, 0, 1_000),
            ack(5, 1_001).sack(&[(0, 500)]).acked(|expect| expect.unseen = true),
            ack(6, 1_000).delivers(1_000).rtt(6),
        ],
    );
    play(
        "history before the origin is not counted",
        true,
        &[depart(0, -1_000, 1_000).repeated(), ack(5, -500), ack(6, 0)],
    );
}

#[test]
fn control_bits_take_numbers_but_are_no_bytes() {
    play(
        "FIN",
        true,
        &[
            depart(0, 0, 1_000).flags(Flags::FIN),
            ack(400, 1_000).delivers(1_000),
            ack(500, 1_001).rtt(500),
            depart(600, 1_001, 0),
            ack(700, 1_001),
        ],
    );
    play(
        "a FIN of its own, repeated",
        true,
        &[
            depart(0, 0, 1_000),
            depart(10, 1_000, 0).flags(Flags::FIN),
            depart(300, 1_000, 0).flags(Flags::FIN),
            ack(500, 1_001).delivers(1_000).rtt(500),
        ],
    );
    play(
        "a FIN in a SACK block",
        true,
        &[
            depart(0, 0, 1_000),
            depart(10, 1_000, 1_000).flags(Flags::FIN),
            ack(510, 0).sack(&[(1_000, 2_001)]).delivers(1_000).rtt(500),
            depart(600, 0, 1_000).repeated(),
            ack(900, 2_001).delivers(1_000).loses(1_000),
        ],
    );
    play(
        "a SYN on the same ports starts over; its repetition does not",
        true,
        &[
            depart(0, 0, 1_000),
            depart(10, 70_000, 0)
                .flags(Flags::SYN.with(Flags::CWR))
                .departed(|expect| expect.restarted = true),
            ack(20, 70_001),
            depart(30, 70_001, 500),
            depart(40, 70_000, 0).flags(Flags::SYN),
            ack(530, 70_501).delivers(500).rtt(500),
        ],
    );
    play(
        "data on a SYN (fast open)",
        true,
        &[
            depart(0, 70_000, 300).flags(Flags::SYN).departed(|expect| expect.restarted = true),
            ack(500, 70_301).flags(Flags::SYN).delivers(300).rtt(500),
        ],
    );
    play(
        "a distance that no window spans starts over",
        true,
        &[
            depart(0, 0, 1_000),
            depart(10, i32::MAX - 5_000, 100).departed(|expect| expect.restarted = true),
            { ack(510, i32::MAX - 4_900).delivers(100).rtt(500) },
        ],
    );
    play(
        "echoes and reductions",
        true,
        &[
            depart(0, 0, 100).flags(Flags::CWR).departed(|expect| expect.cwr = true),
            ack(5, 100).flags(Flags::ECE).delivers(100).rtt(5).acked(|expect| expect.ece = true),
            ack(6, 100).flags(Flags::ECE.with(Flags::SYN)),
        ],
    );
}

#[test]
fn loss_repair_and_what_it_does_to_round_trips() {
    play(
        "a hole closed by a repair, with SACK: the repair gives no sample (Karn)",
        true,
        &[
            depart(0, 0, 1_000),
            depart(10, 1_000, 1_000),
            depart(20, 2_000, 1_000),
            ack(510, 0).sack(&[(1_000, 2_000)]).delivers(1_000).rtt(500),
            ack(520, 0).sack(&[(1_000, 3_000)]).delivers(1_000).rtt(500),
            depart(600, 0, 1_000).repeated(),
            ack(1_100, 3_000).delivers(1_000).loses(1_000),
        ],
    );
    play(
        "a hole closed by a repair, without SACK: what waited for it gives no sample either",
        true,
        &[
            depart(0, 0, 1_000),
            depart(10, 1_000, 1_000),
            ack(510, 0),
            depart(600, 0, 1_000).repeated(),
            ack(1_100, 2_000).delivers(2_000).loses(1_000),
            depart(1_200, 2_000, 1_000),
            ack(1_700, 3_000).delivers(1_000).rtt(500),
        ],
    );
    play(
        "a segment in flight during a repair gives its sample by SACK",
        true,
        &[
            depart(0, 0, 1_000),
            depart(10, 1_000, 1_000),
            depart(20, 2_000, 1_000),
            depart(30, 0, 1_000).repeated(),
            ack(520, 0).sack(&[(2_000, 3_000)]).delivers(1_000).rtt(500),
        ],
    );
    play(
        "a repair that was lost too counts twice",
        true,
        &[
            depart(0, 0, 1_000),
            depart(600, 0, 1_000).repeated(),
            depart(1_800, 0, 1_000).repeated(),
            ack(2_300, 1_000).delivers(1_000).loses(2_000),
        ],
    );
    play(
        "a segment that repeats old bytes and brings new ones",
        true,
        &[
            depart(0, 0, 1_000),
            depart(600, 500, 1_000).departed(|expect| {
                expect.new_bytes = 500;
                expect.retransmitted_bytes = 500;
            }),
            ack(1_100, 1_500).delivers(1_500).loses(500),
        ],
    );
    play(
        "what is known to have arrived is not lost by being repeated",
        true,
        &[
            depart(0, 0, 1_000),
            depart(10, 1_000, 1_000),
            ack(510, 0).sack(&[(1_000, 2_000)]).delivers(1_000).rtt(500),
            depart(600, 0, 1_000).repeated(),
            depart(610, 1_000, 1_000).repeated(),
            ack(1_100, 2_000).delivers(1_000).loses(1_000),
            depart(1_200, 500, 1_500).repeated(),
            ack(1_700, 2_000),
        ],
    );
    play(
        "a repair that proves needless by timestamps (Eifel)",
        true,
        &[
            depart(0, 0, 1_000).timestamp(50),
            depart(900, 0, 1_000).timestamp(51).repeated(),
            ack(1_000, 1_000)
                .timestamp(50)
                .delivers(1_000)
                .rtt(1_000)
                .acked(|expect| expect.spurious_bytes = 1_000),
        ],
    );
    play(
        "a repair that proves needless by a duplicate report, after it was told as lost",
        true,
        &[
            depart(0, 0, 1_000),
            depart(900, 0, 1_000).repeated(),
            ack(1_000, 1_000).delivers(1_000).loses(1_000),
            ack(1_400, 1_000).sack(&[(0, 1_000)]).acked(|expect| expect.spurious_bytes = 1_000),
        ],
    );
    play(
        "a duplicate report inside the block that follows it",
        true,
        &[
            depart(0, 0, 1_000),
            depart(0, 1_000, 1_000),
            ack(500, 0).sack(&[(1_000, 2_000)]).delivers(1_000).rtt(500),
            ack(600, 0).sack(&[(1_200, 1_400), (1_000, 2_000)]).acked(|expect| expect.spurious_bytes = 200),
        ],
    );
    play(
        "keep-alives and window probes are neither loss nor repetition",
        true,
        &[
            depart(0, 0, 1_000),
            ack(500, 1_000).delivers(1_000).rtt(500),
            depart(600, 999, 1).departed(|expect| expect.new_bytes = 0),
            ack(700, 1_000).closed(),
            depart(800, 1_000, 1),
            ack(900, 1_000).closed(),
            depart(1_000, 1_000, 1).departed(|expect| expect.new_bytes = 0),
            ack(1_500, 1_001).delivers(1),
        ],
    );
}

#[test]
fn order_and_gaps() {
    play(
        "a gap that closes without a repair is reordering",
        true,
        &[
            depart(0, 0, 1_000),
            depart(10, 1_000, 1_000),
            ack(510, 0).sack(&[(1_000, 2_000)]).delivers(1_000).rtt(500),
            ack(530, 2_000).delivers(1_000).rtt(530).acked(|expect| expect.reordered = true),
        ],
    );
    play(
        "bytes passed over (dropped or overtaken before Weir) are new when they come, and no reordering",
        true,
        &[
            depart(0, 0, 1_000),
            depart(10, 2_000, 1_000),
            ack(500, 1_000).delivers(1_000).rtt(500),
            ack(510, 1_000).sack(&[(2_000, 3_000)]).delivers(1_000).rtt(500),
            depart(600, 1_000, 1_000),
            ack(1_100, 3_000).delivers(1_000),
        ],
    );
    play(
        "bytes that arrived by a way around Weir are not delivered by it",
        true,
        &[
            depart(0, 0, 1_000),
            depart(10, 2_000, 1_000),
            ack(510, 3_000).delivers(2_000).rtt(500),
            depart(600, 4_000, 1_000),
            ack(1_100, 3_000).sack(&[(3_500, 5_000)]).delivers(1_000).rtt(500),
            ack(1_200, 5_000).acked(|expect| expect.reordered = true),
        ],
    );
    play(
        "SACK blocks below, beyond or upside down are ignored",
        true,
        &[
            depart(0, 0, 1_000),
            depart(1, 1_000, 1_000),
            ack(400, 1_000).delivers(1_000).rtt(400),
            ack(500, 1_000).timestamp(1).sack(&[(1_500, 2_001), (1_800, 1_700), (0, 1_500), (900, 1_000)]),
            ack(501, 2_000).delivers(1_000).rtt(500),
        ],
    );
}

#[test]
fn timestamps_stand_in_where_sequence_match_fails() {
    play(
        "without detail: first departure of a value to first echo",
        false,
        &[
            depart(0, 0, 1_000).timestamp(7),
            depart(10, 1_000, 1_000).timestamp(7),
            ack(500, 1_000).timestamp(7).delivers(1_000).rtt(500),
            ack(510, 2_000).timestamp(7).delivers(1_000),
            depart(600, 2_000, 1_000).timestamp(8),
            ack(1_100, 3_000).timestamp(8).delivers(1_000).rtt(500),
        ],
    );
    play(
        "an echo without new data tells nothing",
        false,
        &[
            depart(0, 0, 1_000).timestamp(7),
            ack(300, 0).timestamp(7),
            ack(500, 1_000).timestamp(7).delivers(1_000).rtt(500),
        ],
    );
    play(
        "a value that was passed over is given up",
        false,
        &[
            depart(0, 0, 1_000).timestamp(u32::MAX),
            depart(10, 1_000, 1_000).timestamp(0),
            ack(510, 2_000).timestamp(0).delivers(2_000),
            depart(600, 2_000, 1_000).timestamp(1),
            ack(1_100, 3_000).timestamp(1).delivers(1_000).rtt(500),
        ],
    );
    play(
        "a repair in a later tick is told apart from the original",
        true,
        &[
            depart(0, 0, 1_000).timestamp(7),
            ack(200, 0).timestamp(6),
            depart(900, 0, 1_000).timestamp(8).repeated(),
            ack(1_400, 1_000).timestamp(8).delivers(1_000).loses(1_000),
            depart(1_500, 1_000, 1_000).timestamp(9),
            depart(2_500, 1_000, 1_000).timestamp(10).repeated(),
            ack(2_600, 2_000)
                .timestamp(9)
                .delivers(1_000)
                .rtt(1_100)
                .acked(|expect| expect.spurious_bytes = 1_000),
        ],
    );
    play(
        "a repair in the same tick is in doubt: no sample",
        true,
        &[
            depart(0, 0, 1_000).timestamp(7),
            depart(100, 0, 1_000).timestamp(7).repeated(),
            ack(600, 1_000).timestamp(7).delivers(1_000).loses(1_000),
        ],
    );
    play(
        "new data in the tick of a repair is in doubt too",
        false,
        &[
            depart(0, 0, 1_000).timestamp(7),
            ack(500, 1_000).timestamp(7).delivers(1_000).rtt(500),
            depart(600, 0, 1_000).timestamp(8).repeated(),
            depart(700, 1_000, 1_000).timestamp(8),
            ack(1_200, 2_000).timestamp(8).delivers(1_000),
        ],
    );
}

#[test]
fn a_tracker_without_detail_counts_selectively_acknowledged_bytes_later() {
    play(
        "SACK is not looked at",
        false,
        &[
            depart(0, 0, 1_000),
            depart(10, 1_000, 1_000),
            ack(510, 0).sack(&[(1_000, 2_000)]),
            depart(600, 0, 1_000).repeated(),
            ack(1_100, 2_000).delivers(2_000).loses(1_000),
        ],
    );
}

#[test]
fn markers_spread_over_a_window_and_each_gives_a_sample() {
    let mut track = Track::new(0);
    let mut detail = Detail::EMPTY;
    let mut samples = Vec::new();
    // A window of 100 segments, one per microsecond, each acknowledged 100 us after its departure.
    for step in 0..1_000_u32 {
        if step >= 100 {
            let segment = Segment { ack: (step - 99) * 1_000, flags: Flags::ACK, ..Segment::default() };
            let acked = track.on_ack(Some(&mut detail), &segment, Ns(u64::from(step) * 1_000));
            samples.extend(acked.rtt_ns.map(|rtt| (step, rtt)));
        }
        let segment = SegmentInfo { seq: step * 1_000, payload_len: 1_000, ..SegmentInfo::default() };
        track.on_depart(Some(&mut detail), &segment, Ns(u64::from(step) * 1_000));
    }
    assert!(samples.iter().all(|(_, rtt)| *rtt == 100_000), "{samples:?}");
    let steady: Vec<u32> = samples.iter().map(|(step, _)| *step).filter(|step| *step >= 300).collect();
    assert!(steady.len() >= 7 * 7 - 3, "about seven in each of seven round trips: {steady:?}");
    let widest = steady.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert!(widest <= Some(30), "no round trip with its samples in one bunch: {steady:?}");
}
