//! A random life of a router between ten stations, the same for one worker and for many.

use super::fleet::{Fleet, Spread};
use super::flows::{paced, tcp};
use super::frames::*;
use super::world::route;
use proptest::prelude::*;
use std::collections::BTreeMap;
use weir_engine::config::EngineConfig;
use weir_engine::counters::WorkerStats;
use weir_engine::io::Side;
use weir_engine::time::Ns;
use weir_engine::verdict::Tally;

/// A station of the inside (even) or the outside (odd), beyond those that the other tests know.
fn station(number: u8) -> (Side, Station) {
    let (side, like) =
        if number.is_multiple_of(2) { (Side::Inside, CLIENT) } else { (Side::Outside, SERVER) };
    let mut one = like;
    (one.mac[5], one.v4[3], one.v6[15]) = (0x40 + number, 0x40 + number, 0x40 + number);
    (side, one)
}
const STATIONS: u8 = 10;
/// Numbers from here on are nobody's.
const STRANGERS: u8 = STATIONS + 4;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// A datagram from a station to one of the other side, or to a stranger there, with so many hops and bytes.
    Datagram { v4: bool, from: u8, to: u8, hops: u8, len: usize, whole: bool },
    /// One that asks Weir itself for something.
    Local { v4: bool, from: u8, other_side: bool, echo: bool },
    /// A packet in three parts.
    Parts { from: u8, to: u8 },
    /// A connection of a station inside with one outside, and so many segments.
    Connection { v4: bool, from: u8, to: u8, segments: u32 },
    /// A station is at another Ethernet address, and says so to all.
    Moves { v4: bool, who: u8, mac: u8 },
    /// A station asks for Weir.
    Asks { v4: bool, who: u8 },
    /// A station outside hears nothing any more, or again.
    Silence { who: u8, silent: bool },
}

pub(crate) fn event() -> impl Strategy<Value = Event> {
    let (v4, who, to) = (any::<bool>(), 0..STATIONS, 0..STRANGERS);
    let hops = prop_oneof![9 => Just(64_u8), 1 => Just(1)];
    let len = prop_oneof![6 => 0..600_usize, 2 => 1_250..1_400_usize];
    prop_oneof![
        6 => (v4, who.clone(), to, hops, len, any::<bool>()).prop_map(|(v4, from, to, hops, len, whole)| {
            Event::Datagram { v4, from, to, hops, len, whole }
        }),
        2 => (v4, who.clone(), any::<(bool, bool)>()).prop_map(|(v4, from, (other_side, echo))| {
            Event::Local { v4, from, other_side, echo }
        }),
        1 => (who.clone(), who.clone()).prop_map(|(from, to)| Event::Parts { from, to }),
        2 => (v4, who.clone(), who.clone(), 1..20_u32).prop_map(|(v4, from, to, segments)| {
            Event::Connection { v4, from, to, segments }
        }),
        1 => (v4, who.clone(), any::<u8>()).prop_map(|(v4, who, mac)| Event::Moves { v4, who, mac }),
        1 => (v4, who.clone()).prop_map(|(v4, who)| Event::Asks { v4, who }),
        1 => (who, any::<bool>()).prop_map(|(who, silent)| Event::Silence { who, silent }),
    ]
}

/// Paced, and the outside takes shorter packets than the inside.
pub(crate) fn narrow() -> EngineConfig {
    let mut config = paced();
    config.flows_max = 256;
    config.half_open_max = 256;
    route(&mut config).sides[Side::Outside as usize].mtu = 1_300;
    config
}

fn own(side: Side) -> Station {
    [WEIR_INSIDE, WEIR_OUTSIDE][side as usize]
}

/// The script, event by event, each brought to its end before the next. Neighbours are asked whole seconds after an event, by
/// later workers up to 6 ms later; no event, nor the end, comes within 6 ms after whole seconds after another, so that
/// lags decide nothing.
pub(crate) struct Play {
    fleet: Fleet,
    /// When frames were sent to whom, as far as nobody may answer for them.
    sent: Vec<(usize, u8)>,
    /// When each station was silent last.
    silent: BTreeMap<u8, usize>,
    /// When each station last sent to whom nobody may answer for: it may yet be told so.
    awaits: BTreeMap<u8, usize>,
}

impl Play {
    const STEP: Ns = Ns::from_millis(97);
    /// From the last event to the end. In steps, because half a second is 6 ms short of ten seconds after 98 of them.
    const STEPS_AFTER: u64 = 5;
    /// Longer than a neighbour is looked for.
    const STEPS_OF_A_SEARCH: usize = 40;

    fn new(config: &EngineConfig, workers: usize, spread: Spread) -> Play {
        let mut fleet = Fleet::new(config, workers, spread);
        (0..STATIONS).map(station).for_each(|(side, station)| fleet.attach(side, station));
        Play { fleet, sent: Vec::new(), silent: BTreeMap::new(), awaits: BTreeMap::new() }
    }

    pub(crate) fn run(config: &EngineConfig, workers: usize, spread: Spread, script: &[Event]) -> Fleet {
        let mut play = Play::new(config, workers, spread);
        for (at, event) in script.iter().enumerate() {
            play.act(at, *event);
            play.fleet.run_for(Play::STEP);
        }
        play.fleet.run_for(Ns(Play::STEP.0 * Play::STEPS_AFTER));
        play.fleet
    }

    /// As the fleet has the station now, with the Ethernet address to which it has moved.
    fn present(&self, number: u8) -> (Side, Station) {
        self.fleet
            .stations
            .get(usize::from(number))
            .map_or_else(|| station(number), |attached| (attached.side, attached.station))
    }

    /// Whether a station answers, and has for as long as a search takes.
    fn answers(&self, at: usize, who: u8) -> bool {
        let attached = self.fleet.stations.get(usize::from(who));
        let silent = self.silent.get(&who).is_some_and(|silent| silent + Play::STEPS_OF_A_SEARCH > at);
        attached.is_some_and(|attached| !attached.silent && !silent)
    }

    /// Whether the station may yet be told that somebody was not found. Were it silent then, Weir's own frames would wait for
    /// it, of which each worker keeps three.
    fn awaits(&self, at: usize, who: u8) -> bool {
        self.awaits.get(&who).is_some_and(|sent| sent + Play::STEPS_OF_A_SEARCH > at)
    }

    /// Whether one more frame may be sent: of those that wait for one neighbour each *worker* keeps three.
    fn may_send(&mut self, at: usize, to: u8) -> bool {
        if self.answers(at, to) {
            return true;
        }
        let recent =
            self.sent.iter().filter(|(when, whom)| *whom == to && when + Play::STEPS_OF_A_SEARCH > at);
        let may = recent.count() < 3;
        self.sent.extend(may.then_some((at, to)));
        may
    }

    fn act(&mut self, at: usize, event: Event) {
        match event {
            // Who hears nothing would have to be answered.
            Event::Datagram { from, .. } | Event::Local { from, .. } if !self.answers(at, from) => {}
            Event::Datagram { v4, from, to, hops, len, whole } => {
                let sender = from;
                let ((side, from), (other, receiver)) = (self.present(from), self.present(to));
                if side == other || !self.may_send(at, to) {
                    return;
                }
                if !self.answers(at, to) {
                    self.awaits.insert(sender, at);
                }
                let macs = (from.mac, own(side).mac);
                let ip = match v4 {
                    true => ip4_with(macs, from.v4, receiver.v4, |header| {
                        (header.time_to_live, header.dont_fragment) = (hops, whole);
                        header.identification = at as u16;
                    }),
                    false => ip6(macs, from.v6, receiver.v6, hops),
                };
                // In one part to whom three parts may be too many.
                let bytes = vec![at as u8; if self.answers(at, to) { len } else { len.min(600) }];
                self.fleet.arrive(side, finish(ip.udp(4_000 + at as u16, 5_000), &bytes));
            }
            Event::Local { v4, from, other_side, echo } => {
                let (side, from) = self.present(from);
                let to = own(if other_side { side.other() } else { side });
                let macs = (from.mac, own(side).mac);
                let number = at as u16;
                let frame = match (v4, echo) {
                    (true, true) => {
                        finish(ip4(macs, from.v4, to.v4, 9).icmpv4_echo_request(number, 1), b"ping")
                    }
                    (false, true) => {
                        finish(ip6(macs, from.v6, to.v6, 9).icmpv6_echo_request(number, 1), b"ping")
                    }
                    (true, false) => finish(ip4(macs, from.v4, to.v4, 9).udp(number, 53), b"name"),
                    (false, false) => finish(ip6(macs, from.v6, to.v6, 9).udp(number, 53), b"name"),
                };
                self.fleet.arrive(side, frame);
            }
            Event::Parts { from, to } => {
                let ((side, from), (other, receiver)) = (self.present(from), self.present(to));
                if side == other || !self.answers(at, to) {
                    return;
                }
                for part in 0..3_u16 {
                    let ip = ip4_with((from.mac, own(side).mac), from.v4, receiver.v4, |header| {
                        header.identification = at as u16;
                        header.more_fragments = part < 2;
                        header.fragment_offset = (part * 8).try_into().unwrap();
                    });
                    self.fleet.arrive(side, finish(ip.udp(1, 2), &[part as u8; 56]));
                }
            }
            Event::Connection { v4, from, to, segments } => {
                let ((Side::Inside, client), (Side::Outside, server)) =
                    (self.present(from), self.present(to))
                else {
                    return;
                };
                if !self.answers(at, to) {
                    return;
                }
                let (out, back) = ((client.mac, WEIR_INSIDE.mac), (server.mac, WEIR_OUTSIDE.mac));
                let port = 10_000 + at as u16;
                let forth = |seq, flags, len| tcp(v4, [client, server], [port, 443], out, seq, flags, len);
                self.fleet.arrive(Side::Inside, forth(0, "S", 0));
                self.fleet.settle();
                let answer = tcp(v4, [server, client], [443, port], back, 0, "SA", 0);
                self.fleet.arrive(Side::Outside, answer);
                self.fleet.settle();
                self.fleet.arrive(Side::Inside, forth(1, "A", 0));
                for segment in 0..segments {
                    self.fleet.arrive(Side::Inside, forth(1 + segment * 900, "A", 900));
                }
            }
            Event::Moves { v4, who, mac } => {
                let attached = &mut self.fleet.stations[usize::from(who)];
                attached.station.mac[4] = mac;
                let (side, moved) = (attached.side, attached.station);
                let frame = match v4 {
                    true => arp(true, moved, moved, [0xff; 6]),
                    false => advertisement_to_all(moved, 0x20),
                };
                self.fleet.arrive(side, frame);
            }
            Event::Asks { v4, who } => {
                let (side, who) = self.present(who);
                let frame = match v4 {
                    true => arp(true, who, own(side), [0xff; 6]),
                    false => solicitation(who, who.v6, own(side).v6),
                };
                self.fleet.arrive(side, frame);
            }
            Event::Silence { who, silent } => {
                let awaits = self.awaits(at, who);
                let attached = &mut self.fleet.stations[usize::from(who)];
                if attached.silent {
                    self.silent.insert(who, at);
                }
                attached.silent = silent && !awaits && attached.side == Side::Outside;
            }
        }
    }
}

/// What must not depend on how many did it.
pub(crate) struct Observed {
    /// Each TCP flow's frames, in order.
    pub(crate) flows: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
    /// All others, by side, sorted.
    pub(crate) others: [Vec<Vec<u8>>; 2],
    pub(crate) tally: Tally,
    pub(crate) figures: Vec<u64>,
}

pub(crate) fn observed(fleet: &Fleet) -> Observed {
    let mut flows: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
    let mut others: [Vec<Vec<u8>>; 2] = Default::default();
    for (side, others) in others.iter_mut().enumerate() {
        for frame in &fleet.left[side] {
            match (&frame[12..14], frame[23], frame[20]) {
                ([8, 0], 6, _) => flows.entry(frame[26..38].to_vec()).or_default().push(frame.clone()),
                ([0x86, 0xdd], _, 6) => flows.entry(frame[22..58].to_vec()).or_default().push(frame.clone()),
                _ => others.push(frame.clone()),
            }
        }
        others.sort();
    }
    let mut tally = fleet.tally();
    assert_eq!(tally.steered_in, tally.steered_out, "settled: nothing is within a lane");
    (tally.steered_in, tally.steered_out) = (0, 0);
    let of: [fn(&WorkerStats) -> u64; 19] = [
        |stats| stats.originated_arp_requests,
        |stats| stats.originated_arp_replies,
        |stats| stats.originated_solicitations,
        |stats| stats.originated_advertisements,
        |stats| stats.originated_icmp_errors,
        |stats| stats.originated_echo_replies,
        |stats| stats.originated_fragments,
        |stats| stats.originate_failed,
        |stats| stats.icmp_errors_barred,
        |stats| stats.icmp_errors_over_rate,
        |stats| stats.icmp_errors_no_way,
        |stats| stats.mss_clamped,
        |stats| stats.neighbours_failed,
        |stats| stats.neighbours_refused,
        |stats| stats.address_conflicts,
        |stats| stats.neighbour_frames,
        |stats| stats.flows_opened,
        |stats| stats.untracked_fragment,
        |stats| stats.pace_refused_delay,
    ];
    Observed { flows, others, tally, figures: of.into_iter().map(|of| fleet.sum(of)).collect() }
}
