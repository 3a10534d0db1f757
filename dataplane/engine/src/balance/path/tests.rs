use super::*;

const INTERVAL: Ns = Ns::from_millis(10);
const START: Ns = Ns::from_secs(5);

fn probed(answered: impl Fn(u32) -> bool, ticks: u64) -> (PathState, Vec<(u64, Health)>) {
    let (mut path, mut changes) = (PathState::new(None, START), Vec::new());
    for tick in 0..ticks {
        let now = START + Ns(tick * INTERVAL.0);
        changes.extend(path.judge(INTERVAL, now).map(|health| (tick, health)));
        let sequence = path.on_probe(now, INTERVAL);
        if answered(sequence) {
            path.on_answer(sequence, Ns(500), now + Ns::from_micros(200)).unwrap();
        }
    }
    (path, changes)
}

#[test]
fn a_failure_is_found_within_three_intervals_of_the_last_answer() {
    // The tenth is the last that is answered: the path was cut right after.
    let (path, changes) = probed(|sequence| sequence < 10, 20);
    assert_eq!(changes, [(12, Health::Down)]);
    assert!(!path.is_up());
}

#[test]
fn with_datagrams_answers_may_be_eight_times_farther_apart_than_probes() {
    for (apart, fails) in [(5, false), (7, false), (12, true)] {
        let mut path = PathState::new(None, START);
        path.bear_datagrams();
        let (mut answered, mut failed) = (0_u64, false);
        for tick in 0..60 {
            let now = START + Ns(tick * INTERVAL.0);
            failed |= path.judge(INTERVAL, now) == Some(Health::Down);
            path.on_probe(now, INTERVAL);
            // A queue that grows: each answer comes so many intervals after the one before.
            if tick > 0 && tick % apart == 0 {
                path.on_answer(answered as u32, Ns(0), now);
                answered += 1;
            }
        }
        assert_eq!(failed, fails, "{apart}");
    }
    // Silence is found out within nine.
    let mut path = PathState::new(None, START);
    path.bear_datagrams();
    let down = (0..40_u64).find(|tick| {
        let now = START + Ns(tick * INTERVAL.0);
        let down = path.judge(INTERVAL, now) == Some(Health::Down);
        let sequence = path.on_probe(now, INTERVAL);
        if *tick < 10 {
            path.on_answer(sequence, Ns(0), now + Ns::from_micros(200));
        }
        down
    });
    assert_eq!(down, Some(18));
}

#[test]
fn one_lost_probe_is_no_failure() {
    let (path, changes) = probed(|sequence| sequence % 4 != 0, 40);
    assert_eq!(changes, []);
    assert_eq!(path.base_rtt(), 199_500);
}

#[test]
fn data_that_arrives_speaks_against_a_failure() {
    let mut path = PathState::new(None, START);
    for tick in 0..10 {
        let now = START + Ns(tick * INTERVAL.0);
        assert_eq!(path.judge(INTERVAL, now), None);
        path.on_probe(now, INTERVAL);
        path.on_rtt(Ns::from_micros(100), now + Ns::from_millis(1));
    }
}

#[test]
fn a_path_comes_back_after_three_answers_and_takes_its_weight_bit_by_bit() {
    let (mut path, changes) = probed(|sequence| !(5..12).contains(&sequence), 30);
    assert_eq!(changes[0], (7, Health::Down));
    let (tick, Health::Returning(since)) = changes[1] else { unreachable!("{changes:?}") };
    assert_eq!((tick, since, changes.len()), (15, START + Ns(15 * INTERVAL.0), 2));
    let slow = Ns::from_secs(1);
    assert_eq!(path.ramp_q16(slow, since), RAMP_MIN_Q16);
    assert_eq!(path.ramp_q16(slow, since + Ns::from_millis(500)), ONE / 2);
    path.end_slow_start(slow, since + slow);
    assert_eq!(path.health, Health::Up);
}

#[test]
fn forged_and_second_answers_say_nothing() {
    let mut path = PathState::new(None, START);
    let sequence = path.on_probe(START, INTERVAL);
    let now = START + Ns(1_000);
    assert_eq!(path.on_answer(sequence + 16, Ns(0), now), None);
    assert_eq!(path.on_answer(sequence, Ns(0), now), Some(Ns(1_000)));
    assert_eq!(path.on_answer(sequence, Ns(0), now), None);
}

#[test]
fn the_estimator_of_the_rate_settles_at_it_and_forgets() {
    let mut path = PathState::new(None, START);
    // 1 250 bytes each 10 us: 1 Gb/s.
    let mut now = START;
    for _ in 0..2_000 {
        path.on_depart(1_250, now);
        now += Ns::from_micros(10);
    }
    let rate = path.sent_bps(now);
    // By where in a period one looks.
    assert!((790_000_000..1_010_000_000).contains(&rate), "{rate}");
    assert_eq!(path.sent_bps(now + Ns::from_millis(50)), 0);
    assert!(path.rate_bps() >= rate, "what it carried it can carry");
}

#[test]
fn frequent_probes_alone_tell_the_rtt_and_a_short_silence_is_no_failure() {
    let interval = Ns::from_micros(100);
    let mut path = PathState::new(None, START);
    let mut now = START;
    for _ in 0..20 {
        now += interval;
        assert_eq!(path.judge(interval, now), None);
        let sequence = path.on_probe(now, interval);
        path.on_answer(sequence, Ns::ZERO, now + Ns::from_micros(90)).unwrap();
        path.on_rtt(Ns::from_millis(5), now + Ns::from_micros(95));
    }
    assert_eq!(path.srtt(), Ns::from_micros(90));
    // A millisecond without an answer, and what TCP measures counts again.
    let later = now + Ns::from_micros(1_091);
    path.on_rtt(Ns::from_millis(5), later);
    assert!(path.srtt() > Ns::from_micros(500));
    // Two intervals of silence are a queue; 10 ms are not.
    let mut down = Ns::ZERO;
    while down == Ns::ZERO {
        now += interval;
        down = if path.judge(interval, now) == Some(Health::Down) { now } else { Ns::ZERO };
        path.on_probe(now, interval);
    }
    let first = START + Ns(21 * interval.0);
    assert_eq!(down, first + SILENCE_MIN);
}
