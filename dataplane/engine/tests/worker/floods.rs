//! Floods of new flows beside established ones: those keep their entries, their pacing and every frame.

use super::config;
use super::frames::{ACK, RST, SYN, Say, TestFrame, segment};
use super::tcp::Sender;
use super::world::{Link, START, World};
use weir_engine::config::{EngineConfig, PacingRule};
use weir_engine::counters::WorkerStats;
use weir_engine::io::Side::{self, Inside, Outside};
use weir_engine::models::ModelSet;
use weir_engine::time::Ns;
use weir_engine::verdict::{Tally, Verdict};

const ESTABLISHED: u16 = 20;
/// Time between two gusts, and new tuples in each.
const GUST_EVERY: Ns = Ns::from_micros(250);
const GUST: u32 = 50;

/// What the attacker does with each of its tuples: the frames of one, as they come by. (Side, flags, seq, ack.)
type Attack = &'static [(Side, u8, u32, u32)];

const NOTHING: Attack = &[];
/// To closed ports or filtered hosts: nobody answers.
const SYNS: Attack = &[(Outside, SYN, 9, 0)];
/// To closed ports whose host says so.
const SYNS_RESET: Attack = &[(Outside, SYN, 9, 0), (Inside, RST | ACK, 0, 10)];
/// To an open port: the host answers each, and the attacker guesses at the number that it has not seen.
const SYNS_GUESSED: Attack =
    &[(Outside, SYN, 9, 0), (Inside, SYN | ACK, 50_000_000, 10), (Outside, ACK, 10, 3_000_000_000)];
/// Segments of connections that do not exist; hosts answer with resets, or not at all.
const ACKS: Attack = &[(Outside, ACK, 10, 77)];
const ACKS_RESET: Attack = &[(Outside, ACK, 10, 77), (Inside, RST, 77, 0)];
/// A workload gone bad.
const SYNS_FROM_INSIDE: Attack = &[(Inside, SYN, 9, 0)];
/// True connections of true hosts: nothing forged, only too many.
const CONNECTIONS: Attack =
    &[(Outside, SYN, 9, 0), (Inside, SYN | ACK, 100, 10), (Outside, ACK, 10, 101), (Inside, ACK, 101, 10)];

/// A frame of the attack with tuple number `tuple`.
fn frame(tuple: u32, serial: u64, (side, flags, seq, ack): (Side, u8, u32, u32)) -> TestFrame {
    let mut bytes = segment(side, Say { flow: 0, seq, ack, flags, ..Say::default() });
    // The outside host's address.
    let at = if side == Outside { 26 } else { 30 };
    bytes[at..at + 4].copy_from_slice(&(0xC600_0000 + tuple).to_be_bytes());
    TestFrame { bytes, flow: 0, serial }
}

struct Outcome {
    /// When which frame of an established flow left, towards the network.
    departures: Vec<(Ns, u16, usize)>,
    delivered: u64,
    tally: Tally,
    stats: WorkerStats,
    attacked: u64,
}

/// Established flows for two seconds, the second of which is under attack.
fn run(config: &EngineConfig, attack: Attack) -> Outcome {
    let mut world = World::new(config, Link::new(200, Ns::from_millis(5), 400_000), ModelSet::empty());
    for flow in 1..=ESTABLISHED {
        world.connect(Sender::reno(flow, 1));
    }
    let (mut tuple, mut serial) = (0, 0);
    let mut stop_at = START + Ns::from_secs(1);
    while stop_at < START + Ns::from_secs(2) {
        world.run_until(stop_at);
        for _ in 0..GUST {
            tuple += 1;
            for step in attack {
                serial += 1;
                world.io.inbox[step.0 as usize].push_back(frame(tuple, serial, *step));
                // One after the other: each is an answer to the last.
                world.turn_and_carry();
            }
        }
        stop_at += GUST_EVERY;
    }
    world.run_until(stop_at);
    world.departures.retain(|departure| departure.1 != 0);
    Outcome {
        delivered: world.delivered(),
        tally: *world.worker.tally(),
        stats: *world.worker.stats(),
        departures: world.departures,
        attacked: serial,
    }
}

fn small() -> EngineConfig {
    let mut config = config(PacingRule::BbrLite);
    config.flows_max = 512;
    config.half_open_max = 256;
    config
}

#[test]
fn established_flows_keep_entries_pacing_and_frames_under_every_flood() {
    let config = small();
    let calm = run(&config, NOTHING);
    assert!(calm.tally.ended[Verdict::Paced as usize] > 2_000, "{:?}", calm.tally);
    let attacks: [(&str, Attack); 7] = [
        ("SYNs", SYNS),
        ("SYNs, reset", SYNS_RESET),
        ("SYNs, answered and guessed at", SYNS_GUESSED),
        ("ACKs", ACKS),
        ("ACKs, reset", ACKS_RESET),
        ("SYNs from inside", SYNS_FROM_INSIDE),
        ("connections", CONNECTIONS),
    ];
    for (name, attack) in attacks {
        let flood = run(&config, attack);
        assert!(flood.attacked >= 200_000, "{name}");
        assert_eq!(flood.departures, calm.departures, "{name}: an established flow was disturbed");
        assert_eq!(flood.delivered, calm.delivered, "{name}");
        let mut ended = flood.tally.ended;
        // The attack's own frames all passed.
        let passed: u64 = [Verdict::Untracked, Verdict::Forwarded, Verdict::TableFull]
            .into_iter()
            .map(|verdict| core::mem::take(&mut ended[verdict as usize]))
            .sum();
        let calm_passed =
            calm.tally.ended[Verdict::Untracked as usize] + calm.tally.ended[Verdict::Forwarded as usize];
        assert_eq!(passed, calm_passed + flood.attacked, "{name}");
        for verdict in Verdict::ALL.into_iter().filter(|verdict| ended[*verdict as usize] > 0) {
            assert_eq!(
                ended[verdict as usize],
                calm.tally.ended[verdict as usize],
                "{name}: {}",
                verdict.name()
            );
        }
        let (stats, full) = (flood.stats, flood.tally.ended[Verdict::TableFull as usize]);
        assert_eq!(stats.paced_flows, u64::from(ESTABLISHED), "{name}");
        assert!(stats.half_open <= 256, "{name}");
        let filled = stats.half_open_replaced > 0;
        match name {
            "connections" => {
                assert_eq!(stats.flows, u64::from(config.flows_max), "as many as there is room for");
                assert!(full > 100_000, "{full}: the rest are told of");
            }
            _ => {
                assert_eq!(
                    (stats.flows, full),
                    (u64::from(ESTABLISHED), 0),
                    "{name}: a forged flow was believed"
                );
                assert_eq!(filled, attack.iter().any(|step| step.0 == Inside && step.1 & RST == 0), "{name}");
            }
        }
    }
}
