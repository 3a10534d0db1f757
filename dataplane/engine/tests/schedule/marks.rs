//! Marks that arrive, marks that are written.

use super::bench::Bench;
use super::frames::{ACK, Say, ip_checksum, segment};
use super::{config, schedule};
use proptest::prelude::*;
use weir_engine::io::Side;
use weir_engine::models::ModelSet;
use weir_engine::schedule::{ScheduleConfig, ScheduleRule, Trust};
use weir_engine::wire;

const DSCP: [u8; 8] = [40, 32, 24, 16, 10, 0, 8, 1];

/// What became of the traffic class of a flow's data frames, which came with `tos`; and its priority's counter.
fn through(change: impl FnOnce(&mut ScheduleConfig), tos: u8, bytes_before: u32) -> Vec<u8> {
    let mut config = config(ScheduleRule::Ageing);
    schedule(&mut config).dscp = Some(DSCP);
    change(schedule(&mut config));
    let mut bench = Bench::new(&config, ModelSet::empty());
    bench.connect(1);
    let data = |seq| Say { flow: 1, seq, ack: 1, payload: 1_000, flags: ACK, ecn: tos, ..Say::default() };
    // So that the flow is known to have sent them.
    if bytes_before > 0 {
        for chunk in 0..bytes_before / 1_000 {
            bench.say(Side::Inside, data(1 + chunk * 1_000));
            bench.run_for(super::Ns::from_micros(100));
        }
    }
    bench.run_for(super::Ns::from_millis(5));
    bench.left.clear();
    bench.say(Side::Inside, data(1 + bytes_before));
    bench.run_for(super::Ns::from_millis(1));
    let frame = bench.left.pop().expect("it has left").1;
    assert_eq!(ip_checksum(&frame.bytes[14..34]), 0, "the header checksum follows");
    frame.bytes
}

#[test]
fn a_mark_says_the_priority_and_ecn_stays() {
    for ecn in 0..4 {
        assert_eq!(through(|it| it.trust = Trust::Remark, ecn, 0)[15], 40 << 2 | ecn);
        assert_eq!(through(|it| it.trust = Trust::Remark, ecn, 20_000)[15], 32 << 2 | ecn);
        assert_eq!(through(|it| it.trust = Trust::Remark, 46 << 2 | ecn, 0)[15], 40 << 2 | ecn);
    }
}

#[test]
fn trust_takes_a_known_mark_for_its_senders_word() {
    let trusted = |tos| through(|it| it.trust = Trust::Trust, tos, 0)[15];
    assert_eq!(trusted(10 << 2 | 1), 10 << 2 | 1, "known: stays");
    assert_eq!(trusted(46 << 2), 46 << 2, "unknown: stays");
    assert_eq!(trusted(0), 40 << 2, "none: the flow's own");
    let ignored = |tos| through(|it| it.trust = Trust::Ignore, tos, 0)[15];
    assert_eq!((ignored(10 << 2), ignored(0)), (10 << 2, 0));
}

#[test]
fn a_trusted_mark_chooses_the_queue() {
    for (trust, expected) in [(Trust::Trust, [2, 1, 1, 1]), (Trust::Ignore, [1, 1, 1, 2])] {
        let mut config = config(ScheduleRule::Ageing);
        schedule(&mut config).dscp = Some(DSCP);
        schedule(&mut config).trust = trust;
        let mut bench = Bench::new(&config, ModelSet::empty());
        bench.connect(1);
        bench.connect(2);
        bench.run_for(super::Ns::from_millis(1));
        let marked = |flow, seq, dscp: u8| Say {
            flow,
            seq,
            ack: 1,
            payload: 1_000,
            flags: ACK,
            ecn: dscp << 2,
            ..Say::default()
        };
        // All come at once.
        for seq in [1, 1_001, 2_001] {
            bench.say(Side::Inside, marked(1, seq, 24));
        }
        bench.say(Side::Inside, marked(2, 1, 40));
        bench.take_flows();
        bench.run_for(super::Ns::from_millis(2));
        assert_eq!(bench.take_flows(), expected, "{trust:?}");
    }
}

/// The frame within one or two VLAN tags.
fn tagged(bytes: &[u8], tags: usize) -> Vec<u8> {
    let mut out = bytes[..12].to_vec();
    for _ in 0..tags {
        out.extend([0x81, 0x00, 0x0f, 0xff]);
    }
    out.extend(&bytes[12..]);
    out
}

#[test]
fn a_tagged_frame_bears_the_pcp_too_and_others_do_not_change() {
    let mut config = config(ScheduleRule::Ageing);
    let it = schedule(&mut config);
    (it.trust, it.pcp) = (Trust::Remark, Some([7, 6, 5, 4, 3, 2, 0, 1]));
    let mut bench = Bench::new(&config, ModelSet::empty());
    bench.connect(1);
    let data = segment(
        Side::Inside,
        Say { flow: 1, seq: 1, ack: 1, payload: 10, flags: ACK, ecn: 2, ..Say::default() },
    );
    for frame in [tagged(&data, 1), tagged(&data, 2), data.clone()] {
        bench.left.clear();
        bench.frame(Side::Inside, 1, frame.clone());
        bench.run_for(super::Ns::from_millis(1));
        let left = bench.left.pop().expect("it has left").1.bytes;
        let mut expected = frame.clone();
        if frame.len() > data.len() {
            expected[14] = 0xef;
        }
        assert_eq!(left, expected);
    }
}

#[test]
fn what_is_no_flow_bears_the_mark_of_the_others_and_what_is_malformed_none() {
    let mut config = config(ScheduleRule::Ageing);
    let it = schedule(&mut config);
    (it.trust, it.dscp) = (Trust::Remark, Some(DSCP));
    let mut bench = Bench::new(&config, ModelSet::empty());
    let mut udp = segment(Side::Inside, Say { flow: 1, ..Say::default() });
    udp[23] = 17;
    // A UDP length of 32.
    udp[38..40].copy_from_slice(&32_u16.to_be_bytes());
    let mut cut = udp.clone();
    cut.truncate(30);
    bench.frame(Side::Inside, 1, udp);
    bench.frame(Side::Inside, 2, cut.clone());
    bench.run_for(super::Ns::from_millis(1));
    let left: Vec<_> = bench.left.iter().map(|(_, frame)| frame.bytes.clone()).collect();
    assert_eq!((left[0][15], left[1].clone()), (16 << 2, cut));
}

fn ipv6(first: [u8; 4]) -> Vec<u8> {
    let mut bytes = vec![0; 54];
    bytes[12..14].copy_from_slice(&[0x86, 0xdd]);
    bytes[14..18].copy_from_slice(&first);
    bytes
}

proptest! {
    #[test]
    fn only_the_six_bits_change(dscp in 0_u8..64, tos: u8, head: [u8; 4], tags in 0_usize..3) {
        let say = Say { flow: 1, payload: 3, flags: ACK, ecn: tos, ..Say::default() };
        let before = tagged(&segment(Side::Inside, say), tags);
        let mut after = before.clone();
        wire::set_dscp(&mut after, dscp);
        prop_assert_eq!(wire::dscp(&after), Some(dscp));
        let ip = 14 + 4 * tags;
        prop_assert_eq!(ip_checksum(&after[ip..ip + 20]), 0);
        prop_assert_eq!(after[ip + 1] & 3, tos & 3);
        wire::set_dscp(&mut after, tos >> 2);
        prop_assert_eq!(after, before, "there and back");

        let before = tagged(&ipv6([0x60 | head[0] & 0x0f, head[1], head[2], head[3]]), tags);
        let mut after = before.clone();
        wire::set_dscp(&mut after, dscp);
        prop_assert_eq!(wire::dscp(&after), Some(dscp));
        let mask = u32::from_be_bytes([0xf0, 0x3f, 0xff, 0xff]);
        let word = |bytes: &[u8]| u32::from_be_bytes(bytes[ip..ip + 4].try_into().unwrap());
        prop_assert_eq!(word(&after) & mask, word(&before) & mask);
        prop_assert_eq!(&after[ip + 4..], &before[ip + 4..]);
    }

    #[test]
    fn marking_anything_is_safe(mut bytes in prop::collection::vec(any::<u8>(), 0..80), dscp: u8, pcp: u8) {
        let len = bytes.len();
        wire::set_dscp(&mut bytes, dscp);
        wire::set_pcp(&mut bytes, pcp);
        let _ = wire::dscp(&bytes);
        prop_assert_eq!(bytes.len(), len);
    }
}
