//! The link: how fast, shared by whom, what is full, who waits how long.

use super::bench::Bench;
use super::frames::{ACK, HEADERS, Say};
use super::networks::{echo, set};
use super::{config, modelled, schedule};
use weir_engine::io::Side;
use weir_engine::models::ModelSet;
use weir_engine::schedule::ScheduleRule;
use weir_engine::time::{BitsPerSec, Ns};
use weir_engine::verdict::Verdict;

const FRAME: usize = 1_000 + HEADERS;

/// Keeps the flow's frames waiting for `span`: more data whenever fewer than a few dozen wait.
fn press(bench: &mut Bench, flows: &mut [(u16, u32)], span: Ns) {
    let until = bench.now + span;
    while bench.now < until {
        while bench.tally().held < 40 {
            for (flow, sent) in &mut *flows {
                bench.data(*flow, *sent, 1_000);
                *sent += 1_000;
            }
            bench.turn();
        }
        bench.run_for(Ns::from_micros(50));
    }
}

#[test]
fn frames_leave_at_the_links_rate_and_no_slower() {
    for (mbps, overhead) in [(10, 0), (100, 0), (100, 24), (1_000, 24)] {
        let mut config = config(ScheduleRule::Ageing);
        schedule(&mut config).link_rate = BitsPerSec::from_mbps(mbps);
        schedule(&mut config).overhead_bytes = overhead;
        // What a gigabit carries between two turns, and more.
        schedule(&mut config).burst_bytes = 10_000;
        let mut bench = Bench::new(&config, ModelSet::empty());
        bench.connect(1);
        let mut flows = [(1, 0)];
        press(&mut bench, &mut flows, Ns::from_millis(20));
        bench.left.clear();
        press(&mut bench, &mut flows, Ns::from_millis(500));
        let bytes: u64 =
            bench.left.iter().map(|(_, frame)| frame.bytes.len() as u64 + u64::from(overhead)).sum();
        let allowed = mbps * 1_000_000 / 8 / 2;
        // A burst's depth, and the frame that is about to leave.
        assert!(bytes.abs_diff(allowed) <= 10_000 + 2 * FRAME as u64, "{mbps}: {bytes} of {allowed}");
    }
}

#[test]
fn below_the_links_rate_nothing_waits() {
    let mut bench = Bench::new(&config(ScheduleRule::Ageing), ModelSet::empty());
    bench.connect(1);
    for frame in 0..200 {
        bench.left.clear();
        bench.data(1, frame * 1_000, 1_000);
        bench.turn();
        assert_eq!(bench.left.len(), 1, "frame {frame} left in the turn in which it came");
        bench.now += Ns::from_micros(100);
    }
    assert_eq!((bench.stats().shaped_0, bench.stats().shaped_1), (2 + 10, 90));
}

#[test]
fn workers_share_one_link() {
    let mut bench = Bench::of(3, &config(ScheduleRule::Ageing), ModelSet::empty());
    let mut flows: Vec<(u16, u32)> = (1..=12).map(|flow| (flow, 0)).collect();
    for flow in 1..=12 {
        bench.connect(flow);
        bench.turn();
        bench.turn();
    }
    press(&mut bench, &mut flows, Ns::from_millis(100));
    bench.left.clear();
    press(&mut bench, &mut flows, Ns::from_millis(400));
    let bytes: u64 = bench.left.iter().map(|(_, frame)| frame.bytes.len() as u64).sum();
    let allowed = 100_000_000 / 8 * 4 / 10;
    assert!(bytes.abs_diff(allowed) <= 2_000 + 2 * FRAME as u64, "{bytes} of {allowed}");
}

#[test]
fn a_full_queue_drops_what_comes_and_says_so() {
    let mut config = config(ScheduleRule::Ageing);
    schedule(&mut config).queue_frames_max = 32;
    let mut bench = Bench::new(&config, ModelSet::empty());
    bench.connect(1);
    bench.run_for(Ns::from_millis(1));
    for frame in 0..60 {
        bench.data(1, frame * 100, 100);
    }
    bench.turn();
    bench.turn();
    let (held, full) = (bench.tally().held, bench.ended(Verdict::ScheduleFull));
    // Its own two places and the sixteen for all.
    assert_eq!(held, 18);
    assert_eq!(bench.stats().shaper_frames, 18);
    let left = bench.ended(Verdict::Forwarded);
    assert!(full > 0);
    assert_eq!(left + held + full, 61 - 1 + 1, "the handshake's ACK was the flow's first frame");
    // Urgent frames of nobody still find their place.
    let arp = {
        let mut bytes = vec![0; 60];
        bytes[12..14].copy_from_slice(&[0x08, 0x06]);
        bytes
    };
    bench.frame(Side::Inside, 2, arp);
    bench.turn();
    assert_eq!(
        bench.ended(Verdict::ScheduleFull),
        full + 1,
        "all of the most urgent queue is taken by the flow"
    );
    bench.drain(Ns::from_millis(20));
    assert_eq!(bench.tally().held, 0);
    assert!(bench.tally().balanced());
}

#[test]
fn what_is_inside_at_the_end_is_counted() {
    let mut bench = Bench::new(&config(ScheduleRule::Ageing), ModelSet::empty());
    bench.connect(1);
    for frame in 0..30 {
        bench.data(1, frame * 1_000, 1_000);
    }
    bench.turn();
    let held = bench.tally().held;
    assert!(held > 20);
    let (tally, stats) = bench.finish().remove(0);
    assert_eq!((tally.ended[Verdict::Undrained as usize], tally.held, stats.shaper_frames), (held, 0, 0));
    assert!(tally.balanced());
}

#[test]
fn a_wrong_guess_starves_nobody() {
    // Flow 1 is taken for huge; flows 2 to 5, taken for small for ever, fill the link.
    let mut config = modelled();
    schedule(&mut config).size_thresholds.0 = [1 << 20, 1 << 21, 1 << 22, 1 << 23, 1 << 24, 1 << 25, 1 << 50];
    schedule(&mut config).predicted_max = 1 << 60;
    let mut bench = Bench::new(&config, set(1, &echo(0, 0)));
    for flow in 1..=5 {
        bench.connect(flow);
    }
    bench.run_for(Ns::from_millis(5));
    let mut flows: Vec<(u16, u32)> = (2..=5).map(|flow| (flow, 0)).collect();
    press(&mut bench, &mut flows, Ns::from_millis(5));
    bench.publish(|policy| policy.size_models = set(2, &echo(0, 1_600)));
    let (came, before) = (bench.now, bench.left.len());
    bench.data(1, 0, 1_000);
    press(&mut bench, &mut flows, Ns::from_millis(60));
    let late = bench.left[before..].iter().find(|(_, frame)| frame.flow == 1).expect("it has left").0 - came;
    // Its wait, and what had come before it.
    let bound = Ns::from_millis(50) + Ns(60 * FRAME as u64 * 80) + Ns::from_micros(200);
    assert!(late > Ns::from_millis(50) && late <= bound, "{late}");
    assert!(bench.stats().shaper_by_age > 0);
}

#[test]
fn a_long_queue_marks_frames_of_flows_that_understand() {
    let mut config = config(ScheduleRule::Ageing);
    schedule(&mut config).mark_frames = 5;
    let mut bench = Bench::new(&config, ModelSet::empty());
    bench.connect(1);
    bench.run_for(Ns::from_millis(1));
    bench.left.clear();
    for frame in 0..20 {
        let seq = 1 + frame * 1_000;
        bench.say(
            Side::Inside,
            Say { flow: 1, seq, ack: 1, payload: 1_000, flags: ACK, ecn: 2, ..Say::default() },
        );
        bench.turn();
    }
    bench.run_for(Ns::from_millis(10));
    let marked: Vec<bool> = bench.left.iter().map(|(_, frame)| frame.bytes[15] & 3 == 3).collect();
    // One or two leave at once, five wait, from then on each is marked.
    let first = marked.iter().position(|marked| *marked).expect("some are");
    assert!((6..=7).contains(&first), "{marked:?}");
    assert!(marked[first..].iter().all(|marked| *marked));
    assert_eq!(bench.stats().ecn_marks, 20 - first as u64);
}
