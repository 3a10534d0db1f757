//! The pipe in virtual time: its promises hold for any traffic, any change of settings and any polling.
#![allow(clippy::unwrap_used)] // Clippy exempts test functions only; here the helpers are test code too.

use proptest::prelude::*;
use weir_link::{Pipe, Settings, SplitMix64};

const S: u64 = 1_000_000_000;

fn pipe(settings: Settings) -> Pipe {
    Pipe::new(settings, SplitMix64::new(1, 0))
}

/// A frame that carries its number.
fn numbered(number: usize, bytes: usize) -> Vec<u8> {
    let mut frame = vec![0; bytes.max(8)];
    frame[..8].copy_from_slice(&(number as u64).to_be_bytes());
    frame
}

fn number(frame: &[u8]) -> u64 {
    u64::from_be_bytes(frame[..8].try_into().unwrap())
}

fn assert_conserved(pipe: &Pipe) {
    let counters = *pipe.counters();
    let (frames, bytes) = pipe.held();
    assert_eq!(
        counters.in_frames,
        counters.out_frames + counters.lost_frames + counters.dropped_frames + frames
    );
    assert_eq!(counters.in_bytes, counters.out_bytes + counters.lost_bytes + counters.dropped_bytes + bytes);
}

fn settings() -> impl Strategy<Value = Settings> {
    (
        proptest::option::weighted(0.9, 1_000u64..=1_000_000_000_000),
        0..100_000_000u64,
        0..100_000u64,
        prop_oneof![3 => Just(0.0), 1 => 0.0..1.0f64],
        proptest::option::of(0..50_000u64),
        proptest::bool::ANY,
    )
        .prop_map(|(rate_bps, delay_ns, queue_bytes_max, loss, ecn_bytes, fair)| Settings {
            rate_bps,
            delay_ns,
            queue_bytes_max,
            loss,
            ecn_bytes,
            fair,
        })
}

#[derive(Clone, Debug)]
enum Step {
    Push { gap: u64, bytes: usize },
    Poll { gap: u64 },
    Change { gap: u64, settings: Settings },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let gap = prop_oneof![Just(0), 0..1_000_000u64];
    let step = prop_oneof![
        10 => (gap.clone(), 8usize..1_600).prop_map(|(gap, bytes)| Step::Push { gap, bytes }),
        4 => gap.clone().prop_map(|gap| Step::Poll { gap }),
        1 => (gap, settings()).prop_map(|(gap, settings)| Step::Change { gap, settings }),
    ];
    proptest::collection::vec(step, 1..300)
}

/// Runs the steps; `polls` says whether to honour the polls. Returns what was delivered, in order, with times.
fn run(pipe: &mut Pipe, steps: &[Step], polls: bool) -> Vec<(u64, u64)> {
    let mut now = 0;
    let mut delivered = Vec::new();
    let mut drain = |pipe: &mut Pipe, now| {
        while let Some(next) = pipe.pop(now) {
            assert!(next.due_ns <= now);
            delivered.push((number(&next.frame), next.due_ns));
        }
        assert!(pipe.next_event().is_none_or(|event| event > now));
    };
    for (index, step) in steps.iter().enumerate() {
        match step {
            Step::Push { gap, bytes } => {
                now += gap;
                let before = pipe.queue_bytes(now);
                pipe.push(now, numbered(index, *bytes));
                let after = pipe.queue_bytes(now);
                assert!(
                    after <= pipe.settings().queue_bytes_max.max(before),
                    "only a lowered limit is exceeded"
                );
            }
            Step::Poll { gap } => {
                now += gap;
                if polls {
                    drain(pipe, now);
                }
            }
            Step::Change { gap, settings } => {
                now += gap;
                pipe.reconfigure(now, *settings);
            }
        }
        assert_conserved(pipe);
    }
    while let Some(event) = pipe.next_event() {
        now = now.max(event);
        drain(pipe, now);
        assert_conserved(pipe);
    }
    assert_eq!(pipe.held(), (0, 0), "with no event to come, nothing is left inside");
    delivered
}

proptest! {
    #[test]
    fn frames_are_conserved_and_keep_their_order(start in settings(), steps in steps()) {
        let delivered = run(&mut pipe(start), &steps, true);
        prop_assert!(delivered.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1));
    }

    /// Departure times come from the traffic, not from when anyone looked.
    #[test]
    fn polling_changes_nothing(start in settings(), steps in steps()) {
        prop_assert_eq!(run(&mut pipe(start), &steps, true), run(&mut pipe(start), &steps, false));
    }

    /// Frame k of a backlog leaves when the bytes up to it have had their time: to the nanosecond, for ever.
    #[test]
    fn the_rate_is_exact(
        rate in 10_000u64..=1_000_000_000_000,
        delay_ns in 0..S,
        start in 0..S,
        lengths in proptest::collection::vec(8usize..1_600, 1..400),
    ) {
        let settings = Settings { rate_bps: Some(rate), delay_ns, queue_bytes_max: u64::MAX, ..Settings::default() };
        let mut pipe = pipe(settings);
        for (index, &bytes) in lengths.iter().enumerate() {
            pipe.push(start, numbered(index, bytes));
        }
        let mut bits = 0u128;
        for &bytes in &lengths {
            bits += bytes as u128 * 8;
            let due = u128::from(start) + bits * u128::from(S) / u128::from(rate) + u128::from(delay_ns);
            let event = pipe.next_event().unwrap();
            prop_assert_eq!(u128::from(event), due);
            prop_assert_eq!(pipe.pop(event - 1), None);
            prop_assert_eq!(pipe.pop(event).unwrap().due_ns, event);
        }
    }

    /// A frame that finds the wire idle takes its own serialisation and the delay, however it is spaced.
    #[test]
    fn the_delay_is_exact(
        delay_ns in 0..S,
        frames in proptest::collection::vec((8usize..1_600, 0..1_000_000u64), 1..100),
    ) {
        let settings = Settings { rate_bps: Some(1_000_000_000), delay_ns, queue_bytes_max: 0, ..Settings::default() };
        let mut pipe = pipe(settings);
        let mut now = 7;
        let mut expected = Vec::new();
        for (index, &(bytes, pause)) in frames.iter().enumerate() {
            pipe.push(now, numbered(index, bytes));
            let serialised = bytes as u64 * 8; // at 1 Gb/s, in ns
            expected.push(now + serialised + delay_ns);
            now += serialised + pause;
        }
        let due: Vec<u64> = std::iter::from_fn(|| pipe.pop(u64::MAX)).map(|frame| frame.due_ns).collect();
        prop_assert_eq!(due, expected);
    }
}

#[test]
fn the_queue_holds_its_limit_and_not_a_byte_more() {
    let settings =
        Settings { rate_bps: Some(8_000), delay_ns: 0, queue_bytes_max: 3_000, ..Settings::default() };
    let mut pipe = pipe(settings);
    for index in 0..5 {
        pipe.push(0, numbered(index, 1_000));
    }
    // One on the wire, three waiting, one dropped.
    assert_eq!((pipe.queue_bytes(0), pipe.counters().dropped_frames), (3_000, 1));
    assert_eq!(pipe.queue_ns(0), 4 * S, "8 kb/s is 1 000 B/s");
    assert_eq!(pipe.queue_ns(S / 2), 3 * S + S / 2);
    pipe.push(S, numbered(5, 1_000));
    assert_eq!(pipe.counters().dropped_frames, 1, "at 1 s a place is free");
}

#[test]
fn a_change_of_rate_spares_the_frame_on_the_wire() {
    let settings = Settings { rate_bps: Some(8_000), delay_ns: S, ..Settings::default() };
    let mut pipe = pipe(settings);
    pipe.push(0, numbered(0, 1_000));
    pipe.push(0, numbered(1, 1_000));
    pipe.reconfigure(S / 2, Settings { rate_bps: Some(16_000), ..settings });
    let due: Vec<u64> = std::iter::from_fn(|| pipe.pop(u64::MAX)).map(|frame| frame.due_ns).collect();
    assert_eq!(due, [2 * S, 2 * S + S / 2]);
}

#[test]
fn a_shorter_delay_does_not_let_frames_overtake() {
    let settings = Settings { rate_bps: None, delay_ns: S, ..Settings::default() };
    let mut pipe = pipe(settings);
    pipe.push(0, numbered(0, 60));
    pipe.reconfigure(1, Settings { delay_ns: 0, ..settings });
    pipe.push(1, numbered(1, 60));
    let due: Vec<(u64, u64)> =
        std::iter::from_fn(|| pipe.pop(u64::MAX)).map(|next| (number(&next.frame), next.due_ns)).collect();
    assert_eq!(due, [(0, S), (1, S)]);
}

fn loss_pattern(seed: u64, loss: f64) -> Vec<bool> {
    let settings = Settings { rate_bps: None, delay_ns: 0, loss, ..Settings::default() };
    let mut pipe = Pipe::new(settings, SplitMix64::new(seed, 0));
    (0..100_000u64)
        .map(|now| {
            pipe.push(now, vec![0; 60]);
            pipe.pop(now).is_none()
        })
        .collect()
}

#[test]
fn losses_repeat_with_the_seed_and_have_the_configured_share() {
    let pattern = loss_pattern(1, 0.01);
    assert_eq!(pattern, loss_pattern(1, 0.01));
    assert_ne!(pattern, loss_pattern(2, 0.01));
    let lost = pattern.iter().filter(|&&lost| lost).count() as f64;
    // Binomial(100 000, 0.01): sigma = 31.5; five of them.
    assert!((lost - 1_000.0).abs() < 160.0, "{lost}");
    // What 1 % loses, 2 % loses too: the draws are the frames' own.
    assert!(pattern.iter().zip(loss_pattern(1, 0.02)).all(|(&one, two)| !one || two));
    assert!(loss_pattern(1, 1.0).iter().all(|&lost| lost));
}

#[test]
fn marks_begin_above_the_threshold_and_replace_no_drop() {
    // ECT(0) in the second byte of an IPv4 header; the checksum is not looked at here.
    let mut frame = vec![0; 1_000];
    frame[12..16].copy_from_slice(&[0x08, 0x00, 0x45, 0x02]);
    let settings = Settings {
        rate_bps: Some(8_000),
        delay_ns: 0,
        queue_bytes_max: 4_000,
        ecn_bytes: Some(2_000),
        ..Settings::default()
    };
    let mut pipe = pipe(settings);
    for _ in 0..7 {
        pipe.push(0, frame.clone());
    }
    let marked: Vec<bool> =
        std::iter::from_fn(|| pipe.pop(u64::MAX)).map(|next| next.frame[15] == 0x03).collect();
    assert_eq!(
        marked,
        [false, false, false, true, true],
        "one on the wire, two below, two above, two dropped"
    );
    assert_eq!((pipe.counters().marked_frames, pipe.counters().dropped_frames), (2, 2));
}
