use super::*;
use Side::{Inside, Outside};

const ACK: Flags = Flags::ACK;
const BOTH: Flags = Flags::SYN.with(Flags::ACK);

fn key(flow: u32) -> Tuple {
    let mut key = Tuple::default();
    key.source.address[..4].copy_from_slice(&flow.to_be_bytes());
    key
}

fn segment(flags: Flags, seq: u32, ack: u32, payload_len: u16) -> Segment {
    Segment { flags, seq, ack, payload_len, ..Segment::default() }
}

/// Frames of one flow in order: from which side, flags, seq, ack, payload.
type Script = &'static [(Side, Flags, u32, u32, u16)];

#[test]
fn when_a_connection_is_established_and_where_it_begins() {
    // The last frame of each script establishes the flow, or does not; no earlier one does.
    let cases: [(&str, Script, Option<u32>); 15] = [
        (
            "client inside: its answer to the SYN-ACK",
            &[(Inside, Flags::SYN, 100, 0, 0), (Outside, BOTH, 900, 101, 0), (Inside, ACK, 101, 901, 0)],
            Some(101),
        ),
        (
            "client outside: its answer to the inside's SYN-ACK",
            &[(Outside, Flags::SYN, 900, 0, 0), (Inside, BOTH, 100, 901, 0), (Outside, ACK, 901, 101, 10)],
            Some(101),
        ),
        (
            "numbers wrap",
            &[(Inside, Flags::SYN, u32::MAX, 0, 0), (Outside, BOTH, u32::MAX, 0, 0), (Inside, ACK, 0, 0, 5)],
            Some(0),
        ),
        (
            "fast open: the SYN carried data, which has passed already",
            &[(Inside, Flags::SYN, 100, 0, 50), (Outside, BOTH, 900, 151, 0), (Inside, ACK, 151, 901, 0)],
            Some(151),
        ),
        (
            "the SYN was not seen: adopted mid-stream",
            &[(Outside, BOTH, 900, 101, 0), (Inside, ACK, 101, 901, 30), (Outside, ACK, 901, 131, 0)],
            Some(131),
        ),
        (
            "a forged SYN-ACK and its answer: nobody inside had asked",
            &[(Outside, BOTH, 900, 101, 0), (Outside, ACK, 901, 101, 0), (Inside, ACK, 101, 901, 0)],
            None,
        ),
        (
            "simultaneous open",
            &[
                (Inside, Flags::SYN, 100, 0, 0),
                (Outside, Flags::SYN, 900, 0, 0),
                (Inside, BOTH, 100, 901, 0),
                (Outside, BOTH, 900, 101, 0),
                (Outside, ACK, 901, 101, 0),
            ],
            Some(101),
        ),
        (
            "a forged handshake: the number is a guess",
            &[
                (Outside, Flags::SYN, 900, 0, 0),
                (Inside, BOTH, 100, 901, 0),
                (Outside, ACK, 901, 70_000_000, 0),
            ],
            None,
        ),
        ("half a handshake", &[(Inside, Flags::SYN, 100, 0, 0), (Outside, BOTH, 900, 101, 0)], None),
        (
            "mid-stream: inside spoke first, its bytes have passed",
            &[(Inside, ACK, 5_000, 800, 1_000), (Outside, ACK, 800, 6_000, 0)],
            Some(6_000),
        ),
        (
            "mid-stream: inside repeats, the highest number counts",
            &[
                (Inside, ACK, 5_000, 800, 1_000),
                (Inside, ACK, 4_000, 800, 100),
                (Outside, ACK, 800, 4_000, 0),
            ],
            Some(6_000),
        ),
        (
            "mid-stream: outside spoke first, which does not count",
            &[
                (Outside, ACK, 800, 5_000, 100),
                (Inside, ACK, 5_000, 900, 1_000),
                (Outside, ACK, 900, 6_000, 0),
            ],
            Some(6_000),
        ),
        (
            "one direction only",
            &[(Inside, ACK, 1, 1, 9), (Inside, ACK, 10, 1, 9), (Inside, ACK, 19, 1, 9)],
            None,
        ),
        (
            "a stray ACK is answered by a reset",
            &[(Outside, ACK, 1, 77, 0), (Inside, Flags::RST, 77, 0, 0)],
            None,
        ),
        (
            "a new SYN on the same ports wipes what the old connection showed",
            &[(Inside, ACK, 77, 1, 0), (Inside, Flags::SYN, 5_000, 0, 0), (Outside, ACK, 1, 77, 0)],
            None,
        ),
    ];
    for (name, script, expected) in cases {
        let mut table = HalfOpen::new(64);
        for (step, &(from, flags, seq, ack, payload)) in script.iter().enumerate() {
            let seed = table.observe(7, &key(1), from, &segment(flags, seq, ack, payload), Ns::ZERO);
            let wanted = expected.filter(|_| step + 1 == script.len());
            assert_eq!(seed.map(|seed| seed.next), wanted, "{name}, frame {step}");
        }
    }
}

#[test]
fn an_established_flow_that_found_no_room_asks_again_with_what_has_passed_since() {
    let mut table = HalfOpen::new(64);
    table.observe(7, &key(1), Inside, &segment(ACK, 50, 1, 50), Ns::ZERO);
    let seed = table.observe(7, &key(1), Outside, &segment(ACK, 1, 100, 0), Ns::ZERO);
    assert_eq!(seed.map(|seed| (seed.next, seed.whole)), Some((100, false)));
    let seed = table.observe(7, &key(1), Inside, &segment(ACK, 100, 1, 50), Ns::ZERO);
    assert_eq!(seed.map(|seed| (seed.next, seed.whole)), Some((100, false)));
    let seed = table.observe(7, &key(1), Inside, &segment(ACK, 150, 1, 50), Ns::ZERO);
    assert_eq!(seed.map(|seed| (seed.next, seed.whole)), Some((150, false)));
    table.forget(7, &key(1));
    assert!(table.is_empty());
    assert_eq!(table.observe(7, &key(1), Inside, &segment(ACK, 200, 1, 50), Ns::ZERO), None);
}

#[test]
fn segments_without_syn_and_ack_leave_no_trace() {
    let mut table = HalfOpen::new(64);
    for flags in [Flags::default(), Flags::FIN, Flags::RST, Flags::RST.with(ACK), Flags::PSH] {
        assert_eq!(table.observe(7, &key(1), Inside, &segment(flags, 0, 0, 0), Ns::ZERO), None);
    }
    assert!(table.is_empty());
}

#[test]
fn what_only_outside_says_leaves_no_trace() {
    let mut table = HalfOpen::new(64);
    for flow in 0..1_000 {
        for flags in [Flags::SYN, BOTH, ACK, ACK.with(Flags::FIN)] {
            let seed =
                table.observe(u64::from(flow), &key(flow), Outside, &segment(flags, 1, 1, 9), Ns::ZERO);
            assert_eq!(seed, None);
        }
    }
    assert!(table.is_empty() && table.replaced() == 0);
}

#[test]
fn a_full_bucket_gives_up_whoever_was_silent_longest() {
    let mut table = HalfOpen::new(8);
    let syn = segment(Flags::SYN, 1, 0, 0);
    // Around the wrap of the clock.
    let at = |tick: u64| Ns(((1 << 32) - 4 + tick) << TICK_BITS);
    for flow in 0..8 {
        table.observe(u64::from(flow), &key(flow), Inside, &syn, at(u64::from(flow)));
    }
    table.observe(0, &key(0), Inside, &syn, at(8));
    table.observe(8, &key(8), Inside, &syn, at(9));
    assert_eq!((table.len(), table.replaced()), (8, 1));
    let known = |table: &HalfOpen, flow: u32| table.way_of(0, u64::from(flow), &key(flow)).is_some();
    assert!(known(&table, 0) && known(&table, 8) && !known(&table, 1));
}

#[test]
fn whoever_does_not_know_the_key_cannot_aim_at_a_bucket() {
    let known = crate::hash::FlowHasher::new(1);
    // Tuples that all meet in one bucket of a table with that key.
    let aimed: Vec<u32> = (0..100_000).filter(|flow| known.hash(&key(*flow)) & 63 == 0).take(100).collect();
    for (seed, left) in [(1, WAYS..=WAYS), (2, 80..=100)] {
        let hasher = crate::hash::FlowHasher::new(seed);
        let mut table = HalfOpen::new(512);
        for flow in &aimed {
            let (key, syn) = (key(*flow), segment(Flags::SYN, 1, 0, 0));
            table.observe(hasher.hash(&key), &key, Inside, &syn, Ns::ZERO);
        }
        assert!(left.contains(&table.len()), "{} of {} under key {seed}", table.len(), aimed.len());
    }
}

#[test]
fn the_table_is_bounded_and_the_sweep_empties_it() {
    let hasher = crate::hash::FlowHasher::new(3);
    let mut table = HalfOpen::new(1_000);
    assert_eq!(table.capacity(), 512);
    for flow in 0..10_000 {
        table.observe(hasher.hash(&key(flow)), &key(flow), Inside, &segment(Flags::SYN, 1, 0, 0), Ns::ZERO);
    }
    assert_eq!(table.len(), 512);
    assert_eq!(table.replaced(), 10_000 - 512);
    table.sweep(Ns::from_secs(10), Ns::from_secs(10), 64);
    assert_eq!(table.len(), 512, "not yet");
    table.sweep(Ns::from_secs(11), Ns::from_secs(10), 16);
    assert_eq!(table.len(), 512 - 16 * WAYS);
    table.sweep(Ns::from_secs(11), Ns::from_secs(10), 48);
    assert!(table.is_empty());
}

#[test]
fn a_connection_is_whole_if_nothing_of_its_data_passed_before() {
    let established = |script: &[(Side, Flags, u32, u32, u16)]| {
        let mut table = HalfOpen::new(64);
        let step = |&(from, flags, seq, ack, payload): &(Side, Flags, u32, u32, u16)| {
            table.observe(7, &key(1), from, &segment(flags, seq, ack, payload), Ns::ZERO)
        };
        script.iter().filter_map(step).last().map(|seed| seed.whole)
    };
    let (syn, syn_ack) = (Flags::SYN, BOTH);
    let client = [(Inside, syn, 99, 0, 0), (Outside, syn_ack, 0, 100, 0), (Inside, ACK, 100, 1, 0)];
    assert_eq!(established(&client), Some(true));
    let server = [(Outside, syn, 0, 0, 0), (Inside, syn_ack, 99, 1, 0), (Outside, ACK, 1, 100, 0)];
    assert_eq!(established(&server), Some(true));
    let midway = [(Inside, ACK, 100, 1, 9), (Outside, ACK, 1, 109, 0)];
    assert_eq!(established(&midway), Some(false));
    let fast_open = [(Inside, syn, 99, 0, 50), (Outside, syn_ack, 0, 150, 0), (Inside, ACK, 150, 1, 0)];
    assert_eq!(established(&fast_open), Some(false));
    // It found the table full, and went on.
    let late = [&client[..], &[(Inside, ACK, 100, 1, 9), (Inside, ACK, 109, 1, 9)]].concat();
    assert_eq!(established(&late), Some(false));
}
