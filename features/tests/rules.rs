//! The monitor-interval rule and the cases that the definition names, one by one.
#![allow(clippy::unwrap_used)]

use weir_features::{History, Input, InputSchema, Interval, ONE, PacingSpec, RttBase, SchemaError};

const MS: u64 = 1_000_000;

fn base(last_interval_mean_ns: u64) -> RttBase {
    RttBase { min_interval_mean_ns: last_interval_mean_ns, last_interval_mean_ns }
}

#[test]
fn an_interval_lasts_half_a_round_trip_or_sixteen_packets() {
    let spec = PacingSpec::default();
    // 16 x 1500 B at 100 Mb/s are 1.92 ms: half of 20 ms is longer.
    assert_eq!(spec.interval_ns(&base(20 * MS), 100_000_000, 1_500), 10 * MS);
    // At 1 Mb/s they are 192 ms.
    assert_eq!(spec.interval_ns(&base(20 * MS), 1_000_000, 1_500), 192 * MS);
    // No RTT yet: the packets alone.
    assert_eq!(spec.interval_ns(&base(0), 100_000_000, 1_500), 1_920_000);
    // Bounds.
    assert_eq!(spec.interval_ns(&base(20_000), 10_000_000_000, 1_500), spec.interval_min_ns);
    assert_eq!(spec.interval_ns(&base(20 * MS), 1, 1_500), spec.interval_max_ns);
    assert_eq!(spec.interval_ns(&base(20 * MS), 0, 1_500), spec.interval_max_ns);
    assert_eq!(spec.interval_ns(&base(u64::MAX), 1_000_000, 1_500), spec.interval_max_ns);
}

#[test]
fn an_interval_without_feedback_is_extended_up_to_the_longest() {
    let spec = PacingSpec::default();
    let mut interval = Interval::new(MS, 10 * MS);
    assert!(!interval.due(20 * MS, &spec), "nothing to judge by");
    interval.on_ack(1_448, None);
    assert!(!interval.due(20 * MS, &spec), "an acknowledgement without an RTT sample is not enough");
    assert!(interval.due(MS + spec.interval_max_ns, &spec), "but it does not last for ever");
    interval.on_ack(1_448, Some(20 * MS));
    assert!(interval.due(11 * MS, &spec));
    assert!(!interval.due(11 * MS - 1, &spec));
    assert!(!interval.due(0, &spec), "nor does a clock that steps back end it");
}

#[test]
fn what_is_not_known_is_neutral() {
    let spec = PacingSpec::default();
    let mut known = base(20 * MS);
    let mut interval = Interval::new(0, 10 * MS);
    assert_eq!(interval.finish(10 * MS, &mut known, &spec).features, History::NEUTRAL, "empty");
    interval.on_send(1_448);
    interval.on_loss(1_448);
    assert_eq!(interval.finish(10 * MS, &mut known, &spec).features, History::NEUTRAL, "nothing came back");
    interval.on_ack(1_448, None);
    let report = interval.finish(10 * MS, &mut known, &spec);
    assert_eq!(report.features, History::NEUTRAL, "one packet is no rate");
    assert_eq!((report.sent_bytes, report.acked_bytes, report.lost_bytes), (1_448, 1_448, 1_448));
    assert_eq!(known, base(20 * MS), "no sample, no change");
}

#[test]
fn a_filling_queue_shows_in_all_three() {
    let spec = PacingSpec::default();
    let mut known = base(20 * MS);
    let mut interval = Interval::new(0, 10 * MS);
    for packet in 0..10_u64 {
        interval.on_send(1_000);
        if packet < 6 {
            interval.on_ack(1_000, Some(30 * MS + packet * MS));
        }
    }
    let report = interval.finish(10 * MS, &mut known, &spec);
    // Halves 30, 31, 32 and 33, 34, 35 ms: a rise of 3 ms in 10 ms; mean 32.5 over 20; 10 sent, 6 - 1 received.
    assert_eq!(report.features, [19_661, 106_496, 2 * ONE]);
    assert_eq!(report.mean_rtt_ns, Some(32_500_000));
    assert_eq!(known, RttBase { min_interval_mean_ns: 20 * MS, last_interval_mean_ns: 32_500_000 });
}

#[test]
fn below_the_floor_round_trips_are_alike() {
    let spec = PacingSpec::default();
    let mut known = base(5_000);
    let mut interval = Interval::new(0, 10_000);
    interval.on_ack(1, Some(5_000));
    interval.on_ack(1, Some(45_000));
    let report = interval.finish(10_000, &mut known, &spec);
    assert_eq!(report.features[1], ONE, "25 us against 5 us is not four queues");
    assert_eq!(report.features[0], 26_214, "40 us over the floor of 100 us, not over the 10 us it lasted");
    assert_eq!(known.min_interval_mean_ns, 5_000, "the floor applies where it divides, not to what is kept");
}

#[test]
fn a_thousandfold_send_ratio_is_missing_feedback() {
    let spec = PacingSpec { clips: [(i32::MIN, i32::MAX); 3], ..PacingSpec::default() };
    let ratio = |sent: u32, received: u32| {
        let mut interval = Interval::new(0, 1);
        for _ in 0..sent {
            interval.on_send(1_000);
        }
        interval.on_ack((received + 1) * 1_000, None);
        interval.finish(1, &mut RttBase::default(), &spec).features[2]
    };
    assert_eq!(ratio(999, 1), 999 * ONE);
    assert_eq!(ratio(1_000, 1), ONE);
    assert_eq!(ratio(0, 5), 0, "feedback on earlier packets only");
}

#[test]
fn a_clock_that_stands_or_steps_back_gives_a_row_too() {
    let spec = PacingSpec::default();
    let mut interval = Interval::new(10 * MS, 10 * MS);
    interval.on_send(1_000);
    interval.on_ack(9_000, Some(MS));
    interval.on_ack(9_000, Some(2 * MS));
    for now in [10 * MS, 3 * MS, 0] {
        let report = interval.finish(now, &mut RttBase::default(), &spec);
        assert_eq!(report.duration_ns, 0);
        assert_eq!(report.features, [ONE / 2, ONE, ONE], "inflation over the floor, clipped; no rates");
    }
}

#[test]
fn a_provisional_reading_does_not_move_the_base() {
    let spec = PacingSpec::default();
    let known = base(20 * MS);
    let mut interval = Interval::new(0, 10 * MS);
    interval.on_ack(1_000, Some(10 * MS));
    let provisional = interval.finish(MS, &mut known.clone(), &spec);
    assert_eq!(known, base(20 * MS));
    assert_eq!(provisional.features[1], ONE);
}

fn demo_inputs() -> [Input<'static>; 3] {
    [
        Input { feature: "sent_latency_inflation", scale: 1.0, offset: 0.0, clip: [-0.5, 0.5] },
        Input { feature: "latency_ratio", scale: 1.0, offset: 0.0, clip: [1.0, 3.0] },
        Input { feature: "send_ratio", scale: 1.0, offset: 0.0, clip: [0.5, 2.0] },
    ]
}

/// These values are in snapshots on disk: they may change only together with [`PacingSpec::VERSION`], or with the
/// default parameters, which are part of the hash.
#[test]
fn schema_hashes_are_pinned() {
    let schema = InputSchema::pacing(&PacingSpec::default(), 10, &demo_inputs()).unwrap();
    assert_eq!(schema.spec(), &PacingSpec::default());
    assert_eq!(schema.spec().schema_hash(), PINNED_SPEC);
    assert_eq!(schema.hash(), PINNED_SCHEMA);
}
const PINNED_SPEC: u64 = 0xc57a_6a48_42f9_5327;
const PINNED_SCHEMA: u64 = 0xde72_7b4f_6c1e_e8dc;

#[test]
fn whatever_changes_a_meaning_changes_the_hash() {
    let rule = PacingSpec::default();
    let mut hashes = vec![InputSchema::pacing(&rule, 10, &demo_inputs()).unwrap().hash()];
    let mut also = |rule: &PacingSpec, inputs: &[Input<'_>]| {
        hashes.push(InputSchema::pacing(rule, 10, inputs).unwrap().hash());
    };
    also(&PacingSpec { rtt_floor_ns: 100_001, ..rule.clone() }, &demo_inputs());
    also(&PacingSpec { interval_rtt_q8: 129, ..rule.clone() }, &demo_inputs());
    also(&PacingSpec { interval_packets_min: 6, ..rule.clone() }, &demo_inputs());
    also(&PacingSpec { interval_min_ns: 100_001, ..rule.clone() }, &demo_inputs());
    also(&PacingSpec { interval_max_ns: 100_001, ..rule.clone() }, &demo_inputs());
    for index in 0..3 {
        let changes: [fn(&mut Input<'_>); 4] = [
            |input| input.scale = 0.5,
            |input| input.offset = 0.5,
            |input| input.clip[0] -= 0.5,
            |input| input.clip[1] += 0.5,
        ];
        for change in changes {
            let mut inputs = demo_inputs();
            change(&mut inputs[index]);
            also(&rule, &inputs);
        }
    }
    let count = hashes.len();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!((hashes.len(), count), (18, 18));

    let mut inputs = demo_inputs();
    inputs[0].offset = -0.0;
    let zero = InputSchema::pacing(&rule, 10, &inputs).unwrap().hash();
    assert_eq!(zero, InputSchema::pacing(&rule, 10, &demo_inputs()).unwrap().hash(), "one zero");
}

#[test]
fn inputs_that_the_datapath_cannot_give_are_refused() {
    let rule = PacingSpec::default();
    let refuse = |change: &dyn Fn(&mut [Input<'static>; 3])| {
        let mut inputs = demo_inputs();
        change(&mut inputs);
        InputSchema::pacing(&rule, 10, &inputs).unwrap_err()
    };
    assert_eq!(
        refuse(&|inputs| inputs.swap(0, 1)),
        SchemaError::Feature { index: 0, expected: PacingSpec::FEATURES[0] }
    );
    assert_eq!(
        refuse(&|inputs| inputs[2].feature = "speed"),
        SchemaError::Feature { index: 2, expected: PacingSpec::FEATURES[2] }
    );
    for scale in [0.0, f64::NAN, f64::INFINITY] {
        assert_eq!(refuse(&|inputs| inputs[1].scale = scale), SchemaError::Scale { index: 1 });
    }
    assert_eq!(refuse(&|inputs| inputs[1].offset = f64::NAN), SchemaError::Offset { index: 1 });
    for clip in [[1.0, 1.0], [2.0, 1.0], [f64::NAN, 1.0], [0.0, 40_000.0]] {
        assert_eq!(refuse(&|inputs| inputs[1].clip = clip), SchemaError::Clip { index: 1 });
    }
    let all = demo_inputs();
    assert_eq!(InputSchema::pacing(&rule, 9, &all).unwrap_err(), SchemaError::History { found: 9 });
    assert_eq!(
        InputSchema::pacing(&rule, 10, &all[..2]).unwrap_err(),
        SchemaError::Count { expected: 3, found: 2 }
    );
    let said = SchemaError::Feature { index: 0, expected: PacingSpec::FEATURES[0] }.to_string();
    assert_eq!(said, "input 0 must be the feature \"sent_latency_inflation\"");
}
