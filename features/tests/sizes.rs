//! What a size-predicting network is shown, case by case and against the definition.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use weir_features::{
    FirstData, Input, ONE, PEER_SIZES, PeerHistory, SIZE_INPUTS, SchemaError, SizeSchema, SizeSpec,
    bytes_of_log2_q16, log2_1p_q16,
};

const MS: u64 = 1_000_000;

fn inputs() -> Vec<Input<'static>> {
    let spec = SizeSpec::default();
    let input = |(feature, clip): (&&'static str, &(i32, i32))| Input {
        feature,
        scale: 1.0,
        offset: 0.0,
        clip: [f64::from(clip.0) / f64::from(ONE), f64::from(clip.1) / f64::from(ONE)],
    };
    SizeSpec::FEATURES.iter().zip(&spec.clips).map(input).collect()
}

#[test]
fn the_logarithm_is_exact_at_powers_of_two_and_straight_between() {
    for whole in 0..63 {
        assert_eq!(log2_1p_q16((1 << whole) - 1), whole * ONE, "{whole}");
    }
    assert_eq!(log2_1p_q16(2), ONE + ONE / 2, "3 lies half way from 2 to 4");
    assert_eq!(log2_1p_q16(u64::MAX), 63 * ONE + (ONE - 1));
}

#[test]
fn a_row_tells_of_the_segment_and_of_the_peer() {
    let spec = SizeSpec::default();
    let first = FirstData { payload_len: 1_023, service_port: 443, serving: true };
    let mut peer = PeerHistory::default();
    assert_eq!(spec.row(&first, &peer, 5 * MS), [10 * ONE, 0, ONE, 32 * ONE, 0, 0, 0, 0, 0, 0, 0, 0]);
    peer.on_begin(5 * MS);
    assert!(peer.is_busy());
    let registered = FirstData { service_port: 5_201, serving: false, ..first };
    let row = spec.row(&registered, &peer, 6 * MS + 23_000);
    assert_eq!(row, [10 * ONE, ONE, 0, 10 * ONE, ONE, 0, 0, 0, 0, 0, 0, 0], "1 023 us later, one in flight");
    for size in 1..=6_u32 {
        peer.on_begin(7 * MS);
        peer.on_end(Some((1 << size) - 1));
    }
    peer.on_end(None);
    assert!(!peer.is_busy());
    let ephemeral = FirstData { service_port: 40_000, ..registered };
    let row = spec.row(&ephemeral, &peer, 7 * MS);
    assert_eq!((row[1], row[3], row[4], row[5]), (2 * ONE, 0, 0, 5 * ONE));
    assert_eq!(row[7..], [6 * ONE, 5 * ONE, 4 * ONE, 3 * ONE, 2 * ONE], "the newest first");
    let mean = (2..=6).fold(ONE, |mean, size| mean + ((size * ONE - mean) >> 3));
    assert_eq!(row[6], mean);
    peer.on_end(None);
    assert!(!peer.is_busy(), "never below none");
}

#[test]
fn the_schema_names_the_definitions_and_refuses_others() {
    let schema = SizeSchema::new(&inputs()).unwrap();
    assert_eq!(schema.spec(), &SizeSpec::default());
    // docs/features.md states both.
    assert_eq!((schema.spec().schema_hash(), schema.hash()), (0xf1d3_3e8f_8544_c983, 0x5ba3_6fec_1dcc_298e));
    let refused = |change: fn(&mut Vec<Input<'static>>)| {
        let mut inputs = inputs();
        change(&mut inputs);
        SizeSchema::new(&inputs).unwrap_err()
    };
    let few = refused(|inputs| inputs.truncate(3));
    assert_eq!(few, SchemaError::Count { expected: SIZE_INPUTS, found: 3 });
    let swapped = refused(|inputs| inputs.swap(0, 1));
    assert_eq!(swapped, SchemaError::Feature { index: 0, expected: "log_first_len" });
    assert_eq!(refused(|inputs| inputs[2].scale = 0.0), SchemaError::Scale { index: 2 });
    assert_eq!(refused(|inputs| inputs[2].offset = f64::NAN), SchemaError::Offset { index: 2 });
    assert_eq!(refused(|inputs| inputs[2].clip = [1.0, 1.0]), SchemaError::Clip { index: 2 });
    let mut other = inputs();
    other[4].clip[1] = 8.0;
    assert_ne!(SizeSchema::new(&other).unwrap().hash(), schema.hash());
}

proptest! {
    #[test]
    fn the_logarithm_rises_and_comes_back(bytes in 0_u64..1 << 48) {
        let log = log2_1p_q16(bytes);
        prop_assert!(log <= log2_1p_q16(bytes + 1));
        let exact = (bytes as f64 + 1.0).log2();
        let error = exact - f64::from(log) / f64::from(ONE);
        prop_assert!((-1e-9..0.0861).contains(&error), "{error}");
        let back = bytes_of_log2_q16(log);
        prop_assert!(back <= bytes && bytes - back <= bytes >> 16, "{bytes} came back as {back}");
    }

    #[test]
    fn no_history_breaks_a_row(
        events in prop::collection::vec((any::<u64>(), prop::option::of(any::<u64>()), any::<bool>()), 0..40),
        payload_len: u16, service_port: u16, serving: bool, now: u64,
    ) {
        let spec = SizeSpec::default();
        let mut peer = PeerHistory::default();
        let mut sizes = Vec::new();
        for (at, bytes, begins) in events {
            if begins {
                peer.on_begin(at);
            } else {
                peer.on_end(bytes);
                sizes.extend(bytes);
            }
        }
        let row = spec.row(&FirstData { payload_len, service_port, serving }, &peer, now);
        for (value, (low, high)) in row.iter().zip(spec.clips) {
            prop_assert!((low..=high).contains(value));
        }
        for (back, size) in sizes.iter().rev().take(PEER_SIZES).enumerate() {
            prop_assert_eq!(row[7 + back], log2_1p_q16(*size).min(40 * ONE));
        }
        prop_assert_eq!(row[5], sizes.len().min(PEER_SIZES) as i32 * ONE);
    }

    #[test]
    fn any_estimate_is_a_size(log: i32) {
        let bytes = bytes_of_log2_q16(log);
        prop_assert!(log > 0 || bytes == 0);
        prop_assert!(log >= 63 * ONE || bytes < u64::MAX);
    }
}
