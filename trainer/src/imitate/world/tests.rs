use super::*;

const LINK: Link = Link {
    capacity_bps: 1e7,
    base_rtt_s: 0.02,
    queue_bdp: 2.0,
    jitter_s: 0.0,
    delayed_acks: false,
    stalls: None,
};

/// Holds every rate and counts decisions.
#[derive(Default)]
struct Hold {
    decisions: usize,
    newest: [i32; 3],
}

impl Policy for Hold {
    fn act(&mut self, _flow: usize, inputs: &[i32; INPUTS]) -> f64 {
        self.decisions += 1;
        self.newest.copy_from_slice(&inputs[INPUTS - 3..]);
        0.0
    }
}

fn world(rates_bps: &[f64]) -> World {
    World::new(LINK, PacingSpec::default(), rates_bps, Rng::new(1))
}

#[test]
fn below_capacity_nothing_queues() {
    let mut hold = Hold::default();
    let mut world = world(&[5e6]);
    world.run(1.0, &mut hold);
    let found = world.run(2.0, &mut hold);
    assert!((found.utilisation - 0.5).abs() < 0.01, "{found:?}");
    // One packet's own time on the link: 1.2 ms of 20.
    assert!((found.rtt_ratio - 1.06).abs() < 0.001, "{found:?}");
    assert_eq!(found.loss, 0.0);
    // Sixteen packets at 5 Mb/s take 38.4 ms, longer than half an RTT.
    assert!((hold.decisions as i32 - 78).abs() < 5, "{}", hold.decisions);
}

#[test]
fn above_capacity_the_queue_fills_and_the_rest_is_lost() {
    let mut world = world(&[1e7, 1e7]);
    world.run(2.0, &mut Hold::default());
    let found = world.run(2.0, &mut Hold::default());
    assert!((found.utilisation - 1.0).abs() < 0.01, "{found:?}");
    assert!((found.loss - 0.5).abs() < 0.02, "{found:?}");
    assert!((2.8..3.05).contains(&found.rtt_ratio), "{found:?}");
}

#[test]
fn feedback_is_one_rtt_late() {
    let mut hold = Hold::default();
    let mut world = world(&[5e6]);
    let before = world.run(0.0211, &mut hold);
    assert_eq!((before.rtt_ratio, hold.decisions), (0.0, 0));
    assert!(world.run(0.01, &mut hold).rtt_ratio > 1.0);
}

#[test]
fn halving_the_capacity_stretches_what_is_queued_and_shows_in_the_features() {
    let mut hold = Hold::default();
    let mut world = world(&[9e6]);
    world.run(1.0, &mut hold);
    assert_eq!(hold.newest[0], 0);
    world.change_capacity(0.5);
    let found = world.run(0.07, &mut hold);
    assert!(found.utilisation > 0.9 && found.rtt_ratio > 1.3, "{found:?}");
    let [inflation, latency, send] = hold.newest.map(|x| f64::from(x) / f64::from(ONE));
    // 9 Mb/s come in and 5 go out: the RTT of what comes back grows by (9 - 5) / 9 seconds per second, and the means of
    // two half intervals lie half an interval apart.
    assert!((inflation - 0.22).abs() < 0.05 && latency > 1.3, "{inflation} {latency}");
    assert!(send > 1.7, "{send}");
}

#[test]
fn delayed_acknowledgements_come_in_pairs_and_lose_nothing() {
    let link = Link { delayed_acks: true, ..LINK };
    let mut world = World::new(link, PacingSpec::default(), &[5e6], Rng::new(1));
    world.run(1.0, &mut Hold::default());
    let found = world.run(2.0, &mut Hold::default());
    assert!((found.utilisation - 0.5).abs() < 0.01, "{found:?}");
    // Half of the marked packets wait for the next one, 2.4 ms of 20.
    assert!((1.06..1.19).contains(&found.rtt_ratio), "{found:?}");
}

#[test]
fn a_stall_delays_what_is_sent_and_seen_and_costs_rate() {
    let link = Link { stalls: Some(Stalls { gap_s: 0.02, length_s: 0.02 }), ..LINK };
    let mut world = World::new(link, PacingSpec::default(), &[8e6], Rng::new(1));
    world.run(1.0, &mut Hold::default());
    let found = world.run(10.0, &mut Hold::default());
    // Awake for half of the time, and little is made up for.
    assert!((0.4..0.65).contains(&found.utilisation), "{found:?}");
    assert!(found.rtt_ratio > 1.5, "{found:?}");
}

#[test]
fn the_same_seed_gives_the_same_episode() {
    let run = || {
        let link = Link { jitter_s: 1e-3, ..LINK };
        let mut world = World::new(link, PacingSpec::default(), &[3e6, 4e6, 5e6], Rng::new(7));
        world.run(1.0, &mut Hold::default())
    };
    assert_eq!(run(), run());
}
