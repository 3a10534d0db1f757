//! Several workers are one router, however wrongly the card spreads the frames.

use super::fleet::{Fleet, SPREADS, Spread, apart, one_queue, scattered};
use super::flows::{paced, tcp};
use super::frames::*;
use super::hostile::frame;
use super::script::{Play, event, narrow, observed};
use super::world::config;
use proptest::prelude::*;
use weir_engine::config::EngineConfig;
use weir_engine::hash::FlowHasher;
use weir_engine::io::Side;
use weir_engine::steer::owner;
use weir_engine::time::Ns;
use weir_engine::verdict::{Tally, Verdict};
use weir_engine::wire::parse;

const SECOND: Ns = Ns::from_secs(1);

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Under 14 s: no neighbour's reachable time ends, which lags decide in small.
    #[test]
    fn many_workers_send_and_count_what_one_does(
        script in prop::collection::vec(event(), 1..140),
        workers in 2..5_usize,
        spread in 0..SPREADS.len(),
    ) {
        let config = narrow();
        let alone = Play::run(&config, 1, one_queue, &script);
        let fleet = Play::run(&config, workers, SPREADS[spread], &script);
        let (wanted, found) = (observed(&alone), observed(&fleet));
        prop_assert_eq!(&found.figures, &wanted.figures);
        prop_assert_eq!(found.tally, wanted.tally);
        prop_assert!(found.flows == wanted.flows, "TCP: other bytes or order");
        prop_assert!(found.others == wanted.others, "other frames than one worker's");
        let questions = |fleet: &Fleet| {
            let mut all: Vec<_> =
                fleet.questions.iter().map(|question| (question.target, question.to_all, question.at)).collect();
            all.sort();
            all
        };
        for (found, wanted) in questions(&fleet).into_iter().zip(questions(&alone)) {
            prop_assert_eq!((found.0, found.1), (wanted.0, wanted.1));
            prop_assert!(found.2.0.abs_diff(wanted.2.0) < 10_000_000, "asked at other times");
        }
        // Replicas: each worker knows all that one would.
        prop_assert_eq!(fleet.known(), vec![alone.known()[0]; workers]);
        let news = [
            fleet.sum(|stats| stats.news_passed),
            fleet.sum(|stats| stats.news_taken),
            fleet.sum(|stats| stats.news_lane_full),
        ];
        prop_assert_eq!((news[0], news[2]), (news[1], 0));
        prop_assert_eq!(alone.sum(|stats| stats.news_passed + stats.news_taken + stats.news_lane_full), 0);
    }
}

/// Datagrams of as many flows as it takes for each of these workers to own one, all to one neighbour.
fn one_for_each(config: &EngineConfig, workers: usize, to: Station) -> Vec<Vec<u8>> {
    let hasher = FlowHasher::new(config.seed);
    let frame = |port: u16| finish(ip4(TO_WEIR, CLIENT.v4, to.v4, 64).udp(port, 5_000), b"x");
    let owner = |frame: &[u8]| owner(hasher.hash(parse(frame, frame.len() as u32).owner().unwrap()), workers);
    (0..workers).map(|worker| (1..).map(frame).find(|frame| owner(frame) == worker).unwrap()).collect()
}

/// The client and the server on their links, and nobody known yet.
fn pair(config: &EngineConfig, workers: usize, spread: Spread) -> Fleet {
    let mut fleet = Fleet::new(config, workers, spread);
    fleet.attach(Side::Inside, CLIENT);
    fleet.attach(Side::Outside, SERVER);
    fleet
}

#[test]
fn an_answer_at_one_queue_frees_what_waits_at_every_worker() {
    for (spread, worker) in [(one_queue as Spread, 0), (apart, 2)] {
        let mut fleet = pair(&config(), 3, spread);
        fleet.stations[1].silent = true;
        one_for_each(&config(), 3, SERVER).into_iter().for_each(|frame| fleet.arrive(Side::Inside, frame));
        fleet.settle();
        assert_eq!((fleet.sum(|stats| stats.neighbour_frames), fleet.left[1].len()), (3, 0));
        assert_eq!(fleet.known(), [1, 1, 1]);
        fleet.stations[1].silent = false;
        fleet.offer(worker, Side::Outside, arp(false, SERVER, WEIR_OUTSIDE, WEIR_OUTSIDE.mac));
        fleet.settle();
        assert_eq!(fleet.left[1].len(), 3);
        assert!(fleet.left[1].iter().all(|frame| macs(frame) == (WEIR_OUTSIDE.mac, SERVER.mac)));
        // The answer is one frame of one worker, whatever the others have learned from it.
        assert_eq!(fleet.tally_of(worker).ended[Verdict::Consumed as usize], 1);
        assert_eq!(fleet.ended(Verdict::Consumed), 1);
        assert!((0..3).all(|worker| fleet.stats_of(worker).neighbours_reachable == 1), "all are sure of it");
    }
}

/// Of nobody who is known, and not about Weir: what it says is of no use, and yet it could be.
fn chatter() -> Vec<u8> {
    let stranger = Station { v4: [10, 9, 0, 77], ..SERVER };
    arp(true, stranger, stranger, [0xff; 6])
}

/// Both workers meet a silent neighbour before the news of it can cross.
#[test]
fn workers_that_meet_a_neighbour_at_once_ask_once_each_and_then_one_asks_for_all() {
    let mut fleet = pair(&config(), 2, one_queue);
    fleet.stations[1].silent = true;
    fleet.arrive(Side::Inside, arp(true, CLIENT, WEIR_INSIDE, [0xff; 6]));
    fleet.settle();
    let began = fleet.now;
    // More of it than is taken in a turn.
    (0..32).for_each(|_| fleet.offer(0, Side::Outside, chatter()));
    for (worker, frame) in one_for_each(&config(), 2, SERVER).into_iter().enumerate() {
        fleet.offer(worker, Side::Inside, frame);
        fleet.turn_of(worker);
    }
    fleet.run_for(Ns::from_millis(3_100));
    let asked = fleet.asked(SERVER.v4);
    assert_eq!(asked.len(), 4, "{asked:?}");
    for (at, wanted) in asked.into_iter().zip([0, 0, 1, 2]) {
        assert!((at - began).0.abs_diff(SECOND.0 * wanted) < 10_000_000, "{at:?}");
    }
    // Each gives up what waited with it, and one of them counts.
    assert_eq!(
        (fleet.sum(|stats| stats.neighbours_failed), fleet.ended(Verdict::NeighbourUnresolved)),
        (1, 2)
    );
    assert_eq!(
        (fleet.left[0].iter().filter(|frame| icmp(frame).is_some()).count(), fleet.known()),
        (2, vec![1, 1])
    );
}

/// Both used it at once, both are to ask in person five seconds later, and news takes its time: the second waits for it.
#[test]
fn of_workers_whose_questions_are_due_at_once_the_first_asks() {
    let mut fleet = pair(&config(), 2, one_queue);
    fleet.arrive(Side::Outside, arp(true, SERVER, WEIR_OUTSIDE, [0xff; 6]));
    fleet.settle();
    let used = fleet.now;
    for (worker, frame) in one_for_each(&config(), 2, SERVER).into_iter().enumerate() {
        fleet.offer(worker, Side::Inside, frame);
    }
    fleet.settle();
    assert!((0..2).all(|worker| fleet.stats_of(worker).neighbours_delay == 1));
    fleet.run_for(Ns::from_millis(4_900));
    (0..64).for_each(|_| fleet.offer(0, Side::Outside, chatter()));
    (0..2).for_each(|_| _ = fleet.turn_of(0));
    fleet.now = used + Ns::from_millis(5_000) + Ns::from_micros(100);
    fleet.turn_of(0);
    fleet.turn_of(1);
    assert_eq!(fleet.stats_of(1).news_taken, 1 + 32, "not yet what the first has asked");
    fleet.run_for(Ns::from_millis(100));
    assert_eq!(fleet.asked(SERVER.v4).len(), 1);
    assert!((0..2).all(|worker| fleet.stats_of(worker).neighbours_reachable == 1));
}

/// Ten minutes of traffic through all workers: the neighbour is confirmed as often as by one, and never asked twice in a
/// second (RFC 4861 section 7.2.2, RFC 1122 section 2.3.2.1).
#[test]
fn a_busy_neighbour_is_confirmed_by_one_worker_for_all() {
    let questions = |workers: usize| {
        let mut fleet = pair(&config(), workers, scattered);
        let frames = one_for_each(&config(), workers, SERVER);
        for step in 0..6_000 {
            for at in 0..workers {
                fleet.arrive(Side::Inside, frames[(at + step) % workers].clone());
            }
            fleet.run_for(Ns::from_millis(100));
        }
        let asked = fleet.asked(SERVER.v4);
        assert!(asked.windows(2).all(|pair| pair[1] - pair[0] >= SECOND), "{asked:?}");
        assert_eq!(fleet.left[1].len(), 6_000 * workers, "and nothing waited for it in vain");
        asked.len()
    };
    let alone = questions(1);
    assert!((10..=30).contains(&alone), "{alone} times 15 to 45 s and 5");
    assert!(questions(4).abs_diff(alone) <= 1);
}

#[test]
fn a_held_frame_follows_its_neighbour_at_every_worker() {
    let mut fleet = pair(&paced(), 3, apart);
    let mut held = 0;
    for port in 0..12 {
        let forth =
            |seq, flags, len| tcp(true, [CLIENT, SERVER], [10_000 + port, 443], TO_WEIR, seq, flags, len);
        fleet.arrive(Side::Inside, forth(0, "S", 0));
        fleet.settle();
        let back = tcp(true, [SERVER, CLIENT], [443, 10_000 + port], TO_WEIR_OUTSIDE, 0, "SA", 0);
        fleet.arrive(Side::Outside, back);
        fleet.settle();
        fleet.arrive(Side::Inside, forth(1, "A", 0));
        (0..10).for_each(|at| fleet.arrive(Side::Inside, forth(1 + at * 900, "A", 900)));
        fleet.settle();
    }
    for worker in 0..3 {
        let frames = fleet.stats_of(worker).held_frames;
        assert!(frames > 0, "twelve flows have more than one owner");
        held += frames as usize;
    }
    fleet.left[1].clear();
    let moved = Station { mac: [2, 0, 0, 0, 9, 0x22], ..SERVER };
    fleet.stations[1].station = moved;
    fleet.arrive(Side::Outside, arp(true, moved, moved, [0xff; 6]));
    fleet.run_for(Ns::from_millis(50));
    assert_eq!(fleet.left[1].len(), held);
    assert!(fleet.left[1].iter().all(|frame| macs(frame).1 == moved.mac));
}

/// The one worker hears more than a lane holds while the other is away from its core.
#[test]
fn news_that_found_no_room_is_counted_and_made_up_for() {
    let mut fleet = pair(&config(), 2, one_queue);
    fleet.stations[1].silent = true;
    let frame = one_for_each(&config(), 2, SERVER).remove(1);
    fleet.offer(1, Side::Inside, frame.clone());
    fleet.settle();
    (0..300).for_each(|_| fleet.offer(0, Side::Outside, chatter()));
    fleet.offer(0, Side::Outside, arp(false, SERVER, WEIR_OUTSIDE, WEIR_OUTSIDE.mac));
    while fleet.turn_of(0).0 {}
    assert!(fleet.sum(|stats| stats.news_lane_full) >= 45, "{:?}", fleet.stats_of(0));
    fleet.settle();
    assert_eq!((fleet.stats_of(0).neighbours_reachable, fleet.stats_of(1).neighbours_reachable), (1, 0));
    assert_eq!(fleet.left[1].len(), 0, "the answer was lost on the one whose frame waits");
    fleet.stations[1].silent = false;
    fleet.run_for(Ns::from_millis(1_100));
    assert_eq!((fleet.asked(SERVER.v4).len(), fleet.left[1].len()), (2, 1), "it asks again");
    assert_eq!(fleet.stats_of(1).neighbours_reachable, 1);
}

#[test]
fn one_rate_of_icmp_errors_holds_for_all_workers() {
    let mut fleet = pair(&config(), 4, scattered);
    fleet.arrive(Side::Inside, arp(true, CLIENT, WEIR_INSIDE, [0xff; 6]));
    fleet.settle();
    for round in 0..20_u16 {
        for port in 0..40 {
            let ip = ip4(TO_WEIR, CLIENT.v4, SERVER.v4, 1);
            fleet.arrive(Side::Inside, finish(ip.udp(1_000 * round + port, 33_434), b"hop"));
        }
        fleet.run_for(Ns::from_millis(100));
    }
    // 50 at once, and 100 a second for the 1.9 s until the last of them arrived.
    assert_eq!(fleet.sum(|stats| stats.originated_icmp_errors), 50 + 190);
    assert_eq!(fleet.sum(|stats| stats.icmp_errors_over_rate), 800 - 240);
    let told = (0..4).filter(|worker| fleet.stats_of(*worker).originated_icmp_errors > 0).count();
    assert_eq!((told, fleet.ended(Verdict::TtlExpired)), (4, 800));
}

#[test]
fn a_packet_in_parts_and_its_like_are_one_workers() {
    let mut fleet = pair(&config(), 4, |_, before, queues| before % queues);
    fleet.arrive(Side::Inside, udp4(SERVER.v4, 64, 0));
    fleet.settle();
    let before: Vec<Tally> = (0..4).map(|worker| fleet.tally_of(worker)).collect();
    for part in 0..8_u16 {
        let ip = ip4_with(TO_WEIR, CLIENT.v4, SERVER.v4, |header| {
            header.more_fragments = part < 7;
            header.fragment_offset = (part * 2).try_into().unwrap();
        });
        fleet.arrive(Side::Inside, finish(ip.udp(1, 2), &[part as u8; 8]));
    }
    fleet.settle();
    let passed = |worker: &usize| {
        fleet.tally_of(*worker).ended[Verdict::Untracked as usize]
            - before[*worker].ended[Verdict::Untracked as usize]
    };
    let all: Vec<u64> = (0..4).map(|worker| passed(&worker)).collect();
    assert_eq!((all.iter().max(), all.iter().sum()), (Some(&8), 8_u64), "{all:?}");
}

#[test]
fn a_stop_gives_up_what_waits_at_every_worker() {
    let mut fleet = Fleet::new(&config(), 3, one_queue);
    one_for_each(&config(), 3, SERVER).into_iter().for_each(|frame| fleet.arrive(Side::Inside, frame));
    fleet.settle();
    let mut sum = Tally::default();
    for tally in fleet.stop() {
        assert!(tally.balanced() && tally.held == 0, "{tally:?}");
        sum += &tally;
    }
    assert_eq!((sum.ended[Verdict::NeighbourUnresolved as usize], sum.steered_in), (3, sum.steered_out));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any frames at any queues, turns in any order, nobody waited for: no panic, no allocation, every worker's books and
    /// their sum balance after each turn, and in the end nothing is inside.
    #[test]
    fn any_bytes_at_any_queue_in_any_order_are_survived(
        steps in prop::collection::vec(
            (prop::collection::vec((frame(), any::<bool>(), 0..4_usize), 0..8), 0..4_usize, 0..300_u64),
            1..60,
        ),
    ) {
        let mut fleet = pair(&config(), 4, scattered);
        fleet.judges = false;
        for (frames, turn, passes) in steps {
            for (frame, inside, queue) in frames {
                fleet.offer(queue, if inside { Side::Inside } else { Side::Outside }, frame);
            }
            fleet.turn_of(turn);
            prop_assert!(fleet.tally().balanced());
            fleet.now += Ns::from_millis(passes);
        }
        fleet.run_for(Ns::from_secs(10));
        let tally = fleet.tally();
        prop_assert_eq!((tally.held, tally.steered_in), (0, tally.steered_out));
        prop_assert_eq!(fleet.sum(|stats| stats.news_passed), fleet.sum(|stats| stats.news_taken));
    }
}
