use super::*;
use crate::baseline::Hold;
use crate::conditions::{Length, Start};
use weir_features::ONE;

const LINK: Link =
    Link { capacity_bps: 1e7, base_rtt_s: 0.02, queue_bytes: 5e4, loss: 0.0, jitter_s: 0.0, together: true };

fn conditions(link: Link, host: Host, rates_bps: &[f64]) -> Conditions {
    Conditions {
        link,
        host,
        flows: rates_bps.iter().map(|&rate_bps| Start { rate_bps, at_s: 0.0 }).collect(),
        spec: PacingSpec::default(),
        rate_bps: (500_000, 10_000_000_000),
        warm_up: None,
        changes: Vec::new(),
        length: Length::Seconds(1.0),
        seed: 1,
    }
}

/// Measures from the first second to the third.
fn settled(conditions: &Conditions) -> Measured {
    let mut world = World::new(conditions);
    world.run(1.0, u64::MAX, &mut Hold);
    world.measure();
    world.run(3.0, u64::MAX, &mut Hold);
    world.measured()
}

/// Holds every rate and keeps the newest features.
#[derive(Default)]
struct Watch {
    decisions: usize,
    newest: [f64; 3],
}

impl Controller for Watch {
    fn begin(&mut self, _flows: usize) {}

    fn decide(&mut self, ended: &Ended<'_>) -> u64 {
        self.decisions += 1;
        self.newest = std::array::from_fn(|i| f64::from(ended.inputs[INPUTS - 3 + i]) / f64::from(ONE));
        ended.rate_bps
    }
}

#[test]
fn below_capacity_nothing_queues() {
    let found = settled(&conditions(LINK, Host::CLEAR, &[5e6]));
    assert!((found.utilisation - 0.5).abs() < 0.01, "{found:?}");
    assert!((found.rtt_ratio - 1.0).abs() < 1e-9, "{found:?}");
    assert_eq!(found.loss, 0.0);
}

#[test]
fn intervals_are_as_long_as_the_features_say() {
    let mut watch = Watch::default();
    let mut world = World::new(&conditions(LINK, Host::CLEAR, &[5e6]));
    world.run(3.0, u64::MAX, &mut watch);
    // Sixteen packets at 5 Mb/s take 38.4 ms, longer than half an RTT.
    assert!((watch.decisions as i32 - 78).abs() < 3, "{}", watch.decisions);
    assert_eq!(world.decided(), watch.decisions as u64 - 1, "the first interval follows from no decision");
}

#[test]
fn above_capacity_the_queue_fills_and_the_rest_is_lost() {
    let found = settled(&conditions(LINK, Host::CLEAR, &[1e7, 1e7]));
    assert!((found.utilisation - 1.0).abs() < 0.01, "{found:?}");
    assert!((found.loss - 0.5).abs() < 0.02, "{found:?}");
    // 50 kB of queue are 40 ms.
    assert!((2.7..2.9).contains(&found.rtt_ratio), "{found:?}");
}

#[test]
fn what_the_path_loses_is_noticed_and_takes_no_place_in_the_queue() {
    let found = settled(&conditions(Link { loss: 0.2, ..LINK }, Host::CLEAR, &[1e7]));
    assert!((found.utilisation - 0.8).abs() < 0.03, "{found:?}");
    assert_eq!(found.loss, 0.0, "dropped at the queue");
    struct Lost(u64, u64);
    impl Controller for Lost {
        fn begin(&mut self, _flows: usize) {}
        fn decide(&mut self, ended: &Ended<'_>) -> u64 {
            let report = ended.report.unwrap();
            (self.0, self.1) = (self.0 + report.lost_bytes, self.1 + report.acked_bytes);
            ended.rate_bps
        }
    }
    let mut lost = Lost(0, 0);
    World::new(&conditions(Link { loss: 0.2, ..LINK }, Host::CLEAR, &[1e7])).run(3.0, u64::MAX, &mut lost);
    let share = lost.0 as f64 / (lost.0 + lost.1) as f64;
    assert!((share - 0.2).abs() < 0.03, "{share}");
}

#[test]
fn feedback_is_one_rtt_late() {
    let mut watch = Watch::default();
    let mut world = World::new(&conditions(LINK, Host::CLEAR, &[5e6]));
    world.run(0.0211, u64::MAX, &mut watch);
    assert_eq!(watch.decisions, 0);
    world.run(0.1, u64::MAX, &mut watch);
    assert!(watch.decisions > 0);
}

#[test]
fn halving_the_capacity_stretches_what_is_queued_and_shows_in_the_features() {
    let mut watch = Watch::default();
    let mut halved = conditions(LINK, Host::CLEAR, &[9e6]);
    halved.changes.push(Change { at_s: 1.0, factor: 0.5 });
    let mut world = World::new(&halved);
    world.run(1.0, u64::MAX, &mut watch);
    assert_eq!(watch.newest[0], 0.0);
    world.measure();
    world.run(1.07, u64::MAX, &mut watch);
    let found = world.measured();
    assert!(found.utilisation > 0.9 && found.rtt_ratio > 1.3, "{found:?}");
    // 9 Mb/s come in and 5 go out: the RTT of what comes back grows by (9 - 5) / 9 seconds per second, and the means of
    // two half intervals lie half an interval apart.
    let [inflation, latency, send] = watch.newest;
    assert!((inflation - 0.22).abs() < 0.05 && latency > 1.3, "{inflation} {latency}");
    assert!(send > 1.7, "{send}");
}

#[test]
fn delayed_acknowledgements_come_in_pairs_and_lose_nothing() {
    let mean_rtt = |host| {
        #[derive(Default)]
        struct Rtt(f64, u32);
        impl Controller for Rtt {
            fn begin(&mut self, _flows: usize) {}
            fn decide(&mut self, ended: &Ended<'_>) -> u64 {
                self.0 += ended.report.and_then(|report| report.mean_rtt_ns).unwrap() as f64 / 1e9;
                self.1 += 1;
                ended.rate_bps
            }
        }
        let mut rtt = Rtt::default();
        // Whether the first or the second of a pair is marked depends on how many packets are in flight.
        for rate_bps in [4e6, 4.3e6, 4.6e6, 4.9e6, 5.2e6] {
            let link = Link { base_rtt_s: 0.1, ..LINK };
            World::new(&conditions(link, host, &[rate_bps])).run(3.0, u64::MAX, &mut rtt);
        }
        rtt.0 / f64::from(rtt.1)
    };
    // Half of the marked packets wait for the next one, 2.4 ms.
    let longer = mean_rtt(Host::ORDINARY) - mean_rtt(Host { delayed_acks: false, ..Host::ORDINARY });
    assert!((0.5e-3..2.5e-3).contains(&longer), "{longer}");
    let found = settled(&conditions(LINK, Host::ORDINARY, &[5e6]));
    assert!((found.utilisation - 0.5).abs() < 0.01 && (found.rtt_ratio - 1.0).abs() < 1e-9, "{found:?}");
}

#[test]
fn a_stall_delays_what_is_sent_and_seen_and_costs_rate() {
    let stalled = Host { stalls: Some(Stalls { gap_s: 0.02, length_s: 0.02 }), ..Host::ORDINARY };
    let mut watch = Watch::default();
    let stalled = conditions(LINK, stalled, &[8e6]);
    let mut world = World::new(&stalled);
    world.run(10.0, u64::MAX, &mut watch);
    let found = world.measured();
    // Awake for half of the time, and little is made up for.
    assert!((0.4..0.65).contains(&found.utilisation), "{found:?}");
    assert!(watch.newest[1] > 1.2, "{:?}", watch.newest);
}

#[test]
fn a_warm_up_is_shown_to_nobody() {
    struct First(Option<([i32; INPUTS], bool, f64)>);
    impl Controller for First {
        fn begin(&mut self, _flows: usize) {}
        fn decide(&mut self, ended: &Ended<'_>) -> u64 {
            self.0.get_or_insert((*ended.inputs, ended.report.is_some(), ended.at_s));
            ended.rate_bps
        }
    }
    let mut fresh = [0; INPUTS];
    weir_features::History::fresh().write_inputs(&mut fresh);
    let mut conditions = conditions(LINK, Host::CLEAR, &[5e6]);
    conditions.warm_up = Some(crate::conditions::WarmUp { intervals: 2, length_s: 0.1 });
    let mut first = First(None);
    World::new(&conditions).run(1.0, u64::MAX, &mut first);
    let (inputs, reported, at_s) = first.0.unwrap();
    assert_eq!((inputs, reported), (fresh, false));
    assert!((at_s - 0.2).abs() < 0.005, "{at_s}");
}

#[test]
fn a_flow_that_begins_later_takes_its_part_from_then_on() {
    let mut late = conditions(LINK, Host::CLEAR, &[5e6, 5e6]);
    late.flows[1].at_s = 2.0;
    let mut world = World::new(&late);
    world.run(2.0, u64::MAX, &mut Hold);
    assert!((world.measured().utilisation - 0.5).abs() < 0.02, "{:?}", world.measured());
    world.measure();
    world.run(4.0, u64::MAX, &mut Hold);
    assert!(world.measured().utilisation > 0.95, "{:?}", world.measured());
}

#[test]
fn the_same_seed_gives_the_same_episode() {
    let run = |seed| {
        let link = Link { jitter_s: 1e-3, loss: 0.01, ..LINK };
        let mut conditions = conditions(link, Host::ORDINARY, &[3e6, 4e6, 5e6]);
        conditions.seed = seed;
        settled(&conditions)
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}
