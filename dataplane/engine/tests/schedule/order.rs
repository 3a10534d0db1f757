//! Frames of a flow never overtake each other; none is lost without a verdict.

use super::bench::Bench;
use super::frames::{ACK, FIN, RST, SYN, Say};
use super::networks::{echo, set};
use super::{config, modelled, schedule};
use proptest::prelude::*;
use weir_engine::config::{PacingCadence, PacingConfig, PacingMode, PacingRule, Pin};
use weir_engine::io::Side;
use weir_engine::models::ModelSet;
use weir_engine::schedule::{ScheduleRule, Trust};
use weir_engine::time::{BitsPerSec, Ns};
use weir_engine::verdict::Verdict;
use weir_features::PacingSpec;

#[test]
fn data_do_not_overtake_the_handshake_nor_what_a_full_table_let_pass() {
    let mut config = config(ScheduleRule::Ageing);
    config.flows_max = 16;
    let mut bench = Bench::new(&config, ModelSet::empty());
    for flow in 1..=40 {
        bench.connect(flow);
        for chunk in 0..4 {
            bench.data(flow, chunk * 1_000, 1_000);
        }
        bench.turn();
    }
    assert!(bench.ended(Verdict::TableFull) > 0 || bench.tally().held > 0);
    // Flows end, others enter the table in the midst of what they send.
    for flow in 1..=16 {
        bench.say(Side::Outside, Say { flow, seq: 1, flags: RST, ..Say::default() });
        bench.turn();
    }
    for chunk in 4..40 {
        for flow in 17..=40 {
            bench.data(flow, chunk * 1_000, 1_000);
            bench.say(Side::Outside, Say { flow, seq: 1, ack: 1, flags: ACK, ..Say::default() });
        }
        bench.run_for(Ns::from_millis(60));
    }
    bench.run_for(Ns::from_secs(1));
    assert!(bench.stats().flows_opened > 16);
    assert_eq!(bench.tally().held, 0);
}

#[test]
fn a_flow_whose_ports_are_used_again_keeps_its_order_and_is_predicted_anew() {
    let mut bench = Bench::new(&modelled(), set(1, &echo(0, 320)));
    bench.connect(1);
    // 10 more in log2: a first segment of 1 000 bytes says 1 MB.
    for chunk in 0..20 {
        bench.data(1, chunk * 1_000, 1_000);
    }
    bench.fin(1, 20_000);
    bench.turn();
    bench.say(Side::Outside, Say { flow: 1, seq: 1, ack: 1, flags: ACK | FIN, ..Say::default() });
    bench.turn();
    let waiting = bench.tally().held;
    assert!(waiting > 10, "the old connection's data still wait");
    bench.say(Side::Inside, Say { flow: 1, seq: 5_000_000, flags: SYN, ..Say::default() });
    bench.say(Side::Outside, Say { flow: 1, ack: 5_000_001, flags: SYN | ACK, ..Say::default() });
    bench.say(
        Side::Inside,
        Say { flow: 1, seq: 5_000_001, ack: 1, payload: 20, flags: ACK, ..Say::default() },
    );
    bench.run_for(Ns::from_millis(20));
    assert_eq!(bench.tally().held, 0);
    assert_eq!((bench.stats().scheduled_model, bench.stats().scheduled_flows), (2, 1));
}

/// What may happen in a random run.
#[derive(Clone, Debug)]
enum Step {
    Data(u16, usize),
    Fin(u16),
    Reset(u16),
    Udp,
    Wait(u64),
    Settings(u8),
    Model(i32),
    Stuck(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let flow = || 1_u16..12;
    prop_oneof![
        12 => (flow(), 1_usize..1_400).prop_map(|(flow, len)| Step::Data(flow, len)),
        1 => flow().prop_map(Step::Fin),
        1 => flow().prop_map(Step::Reset),
        1 => Just(Step::Udp),
        4 => (0_u64..400_000).prop_map(Step::Wait),
        1 => any::<u8>().prop_map(Step::Settings),
        1 => (0_i32..1_200).prop_map(Step::Model),
        1 => any::<u8>().prop_map(Step::Stuck),
    ]
}

fn paced() -> PacingConfig {
    PacingConfig {
        rule: PacingRule::Fixed(BitsPerSec::from_mbps(20)),
        model: false,
        spec: PacingSpec::default(),
        rate_min: BitsPerSec(500_000),
        rate_max: BitsPerSec(10_000_000_000),
        rate_start: BitsPerSec::from_mbps(20),
        control_share: 0,
        explore_share: 0,
        explore_sigma_q16: 0,
        sample_share: 0,
        mark_delay: Ns::from_millis(10),
        delay_max: Ns::from_millis(100),
        flow_held_bytes_max: 1 << 20,
        limits: weir_engine::limit::Limits::none(),
        mode: PacingMode::Yield,
        cadence: PacingCadence::Interval,
        pin: Pin::Interval,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever flows do, settings become and networks say: each flow's frames leave in order (the port checks), and in the
    /// end every frame has a verdict and nothing is inside.
    #[test]
    fn order_and_books_hold_whatever_happens(
        steps in prop::collection::vec(step(), 1..400),
        with_pacing: bool,
        room in prop_oneof![Just(16_u32), Just(64), Just(2_048)],
        control_share in prop_oneof![Just(0_u32), Just(32_768)],
        age_us in prop_oneof![Just(0_u64), Just(200), Just(5_000)],
    ) {
        let mut config = modelled();
        let it = schedule(&mut config);
        (it.queue_frames_max, it.control_share, it.wait_max) = (room, control_share, Ns::from_micros(age_us));
        it.link_rate = BitsPerSec::from_mbps(30);
        it.ageing_thresholds.0 = [2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000];
        it.dscp = Some([40, 32, 24, 16, 10, 0, 8, 1]);
        config.pacing = with_pacing.then(paced);
        config.flow_idle_max = Ns::from_secs(2);
        let mut bench = Bench::new(&config, set(1, &echo(0, 0)));
        let mut sent = [0_u32; 16];
        for flow in 1..12 {
            bench.connect(flow);
        }
        let mut generation = 1;
        for step in steps {
            match step {
                Step::Data(flow, len) => {
                    let seq = 1 + sent[usize::from(flow)];
                    let ecn = (len % 7) as u8;
                    let say = Say { flow, seq, ack: 1, payload: len, flags: ACK, ecn, ..Say::default() };
                    bench.say(Side::Inside, say);
                    sent[usize::from(flow)] += len as u32;
                }
                Step::Fin(flow) => {
                    bench.fin(flow, sent[usize::from(flow)]);
                    bench.say(Side::Outside, Say { flow, seq: 1, ack: 1, flags: ACK | FIN, ..Say::default() });
                    bench.turn();
                    bench.connect(flow);
                    sent[usize::from(flow)] = 0;
                }
                Step::Reset(flow) => bench.say(Side::Outside, Say { flow, seq: 1, flags: RST, ..Say::default() }),
                Step::Udp => {
                    let mut arp = vec![0; 60];
                    arp[12..14].copy_from_slice(&[0x08, 0x06]);
                    bench.frame(Side::Inside, 99, arp);
                }
                Step::Wait(ns) => {
                    bench.turn();
                    bench.now += Ns(ns);
                }
                Step::Settings(bits) => bench.publish(|policy| {
                    let Some(it) = &mut policy.schedule else { return };
                    it.rule = if bits & 1 == 0 { ScheduleRule::Fifo } else { ScheduleRule::Ageing };
                    it.other_priority = bits >> 1 & 7;
                    it.trust = [Trust::Trust, Trust::Remark, Trust::Ignore][usize::from(bits >> 4) % 3];
                    it.link_rate = BitsPerSec::from_mbps(10 + u64::from(bits));
                    it.model = bits & 64 == 0;
                    it.size_thresholds.0 = [1, 2, 3, 4, 5, 6, 7].map(|n| n * (100 + u64::from(bits) * 50));
                }),
                Step::Model(more) => {
                    generation += 1;
                    bench.publish(|policy| policy.size_models = set(generation, &echo(0, more)));
                }
                Step::Stuck(bits) => bench.stick((bits % 64).into()),
            }
        }
        bench.unstick();
        bench.run_for(Ns::from_millis(20));
        bench.drain(Ns::from_secs(2));
        prop_assert_eq!(bench.tally().held, 0);
        prop_assert!(bench.tally().balanced());
    }
}
