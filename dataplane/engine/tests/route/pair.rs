//! Two Weirs with three ways between them, on a network of this file's making:
//!
//! ```text
//!   client -- A ==== the network outside, a lossless Ethernet that may cut a way ==== B -- server
//! ```

use super::allocations::during;
use super::frames::{self, CLIENT, Station};
use super::world::{TestIo, prefix};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use weir_engine::Worker;
use weir_engine::balance::{
    BalanceConfig, BalanceSettings, Draws, Ends, PATHS_MAX, PathConfig, PathRule, PathStats, Wrap,
};
use weir_engine::config::EngineConfig;
use weir_engine::counters::WorkerStats;
use weir_engine::io::Side;
use weir_engine::policy::Policy;
use weir_engine::route::{Prefix, RouteConfig, RouteSide};
use weir_engine::steer::Steering;
use weir_engine::time::Ns;
use weir_engine::verdict::Tally;
use weir_features::{PathSample, Sample};
use weir_handoff::{LaneReceiver, Publisher, Reader, epoch, lane};

/// Beyond B.
pub(crate) const FAR: Station = Station {
    mac: [2, 0, 0, 0, 7, 2],
    v4: [10, 7, 0, 2],
    v6: [0xfd, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2],
};

/// What a way is made of, seen from A; B's is its mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A next hop in a network of its own.
    Bare,
    /// The same in a VLAN.
    Vlan,
    IpIp,
    IpIpOverV6,
    Vxlan,
    VxlanOverV6,
}

/// How long a frame is on its way.
const DELAY: Ns = Ns::from_micros(50);
/// Time between probes.
pub(crate) const PROBES: Ns = Ns::from_millis(10);

fn v4(end: u8, path: u8) -> IpAddr {
    Ipv4Addr::new(10, 9, path, end).into()
}
fn v6(end: u8, path: u8) -> IpAddr {
    Ipv6Addr::new(0xfd09, 0, 0, u16::from(path), 0, 0, 0, u16::from(end)).into()
}

fn paths(kinds: &[Kind], own: u8, other: u8) -> Vec<PathConfig> {
    let path = |(index, kind): (usize, &Kind)| {
        let n = index as u8 + 1;
        let (four, six) = (
            Ends { local: v4(own, n), remote: v4(other, n) },
            Ends { local: v6(own, n), remote: v6(other, n) },
        );
        let vxlan = |ends| Wrap::Vxlan {
            ends,
            vni: 7,
            source_port: 50_000 + u16::from(n),
            inner_mac: [2, 0, 0, 0, 0, n],
        };
        let (wrap, via) = match kind {
            Kind::Bare | Kind::Vlan => (Wrap::Bare, four.remote),
            Kind::IpIp => (Wrap::IpIp { ends: four }, four.remote),
            Kind::IpIpOverV6 => (Wrap::IpIp { ends: six }, six.remote),
            Kind::Vxlan => (vxlan(four), four.remote),
            Kind::VxlanOverV6 => (vxlan(six), six.remote),
        };
        PathConfig {
            name: format!("path{n}"),
            via,
            wrap,
            draw: Draws::None,
            mtu: 1_500,
            rate_bps: None,
            probe: Some((wrap.ends().unwrap_or(four).remote, wrap.ends().unwrap_or(four).local)),
        }
    };
    kinds.iter().enumerate().map(path).collect()
}

/// One end: `own` is 1 for A, 2 for B.
pub(crate) fn config(kinds: &[Kind], own: u8) -> EngineConfig {
    let other = 3 - own;
    let inside: [Prefix; 2] = match own {
        1 => [prefix(Ipv4Addr::new(10, 8, 0, 1), 24), prefix(Ipv6Addr::new(0xfd08, 0, 0, 0, 0, 0, 0, 1), 64)],
        _ => [
            prefix(Ipv4Addr::new(10, 7, 0, 1), 24),
            // As the stations' addresses are made: fd07::1.
            prefix(Ipv6Addr::from([0xfd, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]), 64),
        ],
    };
    let beyond = match own {
        1 => vec![
            prefix(Ipv4Addr::new(10, 7, 0, 0), 24),
            prefix(Ipv6Addr::from([0xfd, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), 64),
        ],
        _ => vec![
            prefix(Ipv4Addr::new(10, 8, 0, 0), 24),
            prefix(Ipv6Addr::new(0xfd08, 0, 0, 0, 0, 0, 0, 0), 64),
        ],
    };
    let mut outside = Vec::new();
    let mut vlans = Vec::new();
    for (index, kind) in kinds.iter().enumerate() {
        let n = index as u8 + 1;
        outside.push(prefix(v4(own, n), 24));
        outside.push(prefix(v6(own, n), 64));
        if *kind == Kind::Vlan {
            vlans.push((prefix(v4(own, n), 24), 100 + u16::from(n)));
            vlans.push((prefix(v6(own, n), 64), 100 + u16::from(n)));
        }
    }
    EngineConfig {
        seed: 7,
        flows_max: 256,
        half_open_max: 64,
        flow_idle_max: Ns::from_secs(120),
        held_max: 256,
        pacing: None,
        schedule: None,
        route: Some(RouteConfig {
            sides: [
                RouteSide { mac: [2, 0, 0, 0, own, 1], addresses: inside.into(), mtu: 1_500 },
                RouteSide { mac: [2, 0, 0, 0, own, 2], addresses: outside, mtu: 1_500 },
            ],
            routes: Vec::new(),
            icmp_errors_per_sec: 100,
            balance: Some(BalanceConfig {
                to: beyond,
                paths: paths(kinds, own, other),
                vlans,
                probe_interval: PROBES,
                paces_datagrams: false,
                settings: BalanceSettings { slow_start: Ns::from_secs(1), ..BalanceSettings::default() },
            }),
        }),
    }
}

/// The settings of a configuration.
pub(crate) fn settings(config: &mut EngineConfig) -> &mut BalanceSettings {
    &mut config.route.as_mut().unwrap().balance.as_mut().unwrap().settings
}

/// One of a Weir's further workers, with its queues of both ports.
struct Other {
    worker: Worker<Vec<u8>>,
    io: TestIo,
    reader: Reader<Policy>,
}

/// One Weir. Frames come to its first worker's queues, whosever they are.
pub(crate) struct End {
    pub(crate) worker: Worker<Vec<u8>>,
    pub(crate) io: TestIo,
    pub(crate) samples: LaneReceiver<PathSample>,
    pub(crate) pacing_samples: LaneReceiver<Sample>,
    reader: Reader<Policy>,
    publisher: Publisher<Policy>,
    others: Vec<Other>,
    station: Station,
    mac: [u8; 6],
    /// What has arrived at the station inside.
    pub(crate) inbox: Vec<Vec<u8>>,
    /// Frames come with checksums that are wrong, and may leave so.
    pub(crate) bent: bool,
}

impl End {
    fn new(config: &EngineConfig, workers: usize, station: Station, now: Ns) -> End {
        let (samples, pacing_samples) = lane(4, 16);
        let (path_samples, path_samples_out) = lane(8, 16);
        let (publisher, readers) = epoch(Policy::default(), workers);
        let mut places = readers.into_iter().zip(Steering::mesh(workers, 512));
        let (reader, place) = places.next().unwrap();
        let other = |(reader, place)| {
            let worker = Worker::new(config, now, lane(4, 16).0).among(place);
            Other { worker, io: TestIo::new(4_096), reader }
        };
        End {
            worker: Worker::new(config, now, samples).recording(path_samples).among(place),
            io: TestIo::new(4_096),
            samples: path_samples_out,
            pacing_samples,
            reader,
            publisher,
            others: places.map(other).collect(),
            station,
            mac: config.route.as_ref().unwrap().sides[0].mac,
            inbox: Vec::new(),
            bent: false,
        }
    }

    pub(crate) fn publish(&mut self, policy: Policy) {
        self.publisher.publish(policy).unwrap();
    }

    pub(crate) fn path(&self, index: usize) -> PathStats {
        self.worker.paths()[index]
    }

    /// A frame of the station inside, in a buffer with headroom.
    pub(crate) fn offer(&mut self, mut frame: Vec<u8>) {
        frame[..6].copy_from_slice(&self.mac);
        frame[6..12].copy_from_slice(&self.station.mac);
        frame.reserve(128);
        self.io.inbox[Side::Inside as usize].push_back(frame);
    }

    /// Every worker's counters, the first one's first.
    pub(crate) fn every_stats(&self) -> Vec<WorkerStats> {
        let others = self.others.iter().map(|other| &other.worker);
        [&self.worker].into_iter().chain(others).map(|worker| *worker.stats()).collect()
    }

    /// The books of all workers together.
    pub(crate) fn tally(&self) -> Tally {
        let mut sum = *self.worker.tally();
        self.others.iter().for_each(|other| sum += other.worker.tally());
        sum
    }

    /// Turns of the further workers, until none has anything to do. What they send joins what the first one has sent.
    fn turn_others(&mut self, now: Ns) -> Option<Ns> {
        let mut due = None;
        for Other { worker, io, reader } in &mut self.others {
            let (report, allocations) = during(|| worker.turn(now, io, reader));
            assert_eq!(allocations, 0, "a turn has allocated");
            assert!(worker.tally().balanced(), "{:?}", worker.tally());
            for side in Side::ALL {
                self.io.outbox[side as usize].append(&mut io.outbox[side as usize]);
                io.outbox[side as usize].reserve(4_096);
            }
            io.spare.extend(super::world::spare(4_096 - io.spare.len().min(4_096)));
            due = [due, report.next_due, report.busy.then_some(now)].into_iter().flatten().min();
        }
        due
    }

    fn turn(&mut self, now: Ns) -> Option<Ns> {
        let (report, allocations) = during(|| self.worker.turn(now, &mut self.io, &mut self.reader));
        assert_eq!(allocations, 0, "a turn has allocated");
        assert!(self.worker.tally().balanced(), "{:?}", self.worker.tally());
        let others_due = self.turn_others(now);
        for frame in self.io.outbox[Side::Inside as usize].drain(..) {
            if !self.bent {
                frames::check(&frame);
            }
            let arp = frame[12..14] == [8, 6];
            if arp && frame[20..22] == [0, 1] {
                self.io.inbox[Side::Inside as usize].push_back(answer(&frame, self.station));
            } else if frame[12..14] == [0x86, 0xdd] && frame[20] == 58 && frame[54] == 135 {
                let weir = Station { mac: self.mac, v6: frame[22..38].try_into().unwrap(), ..self.station };
                self.io.inbox[Side::Inside as usize].push_back(frames::advertisement(
                    self.station,
                    weir,
                    0x60,
                ));
            } else {
                self.inbox.push(frame);
            }
        }
        self.io.spare.extend(super::world::spare(4_096 - self.io.spare.len().min(4_096)));
        // What the others have passed on waits for the first one's next turn.
        let passed_on = others_due.is_some().then_some(now).filter(|_| report.busy);
        [report.next_due, others_due, passed_on].into_iter().flatten().min()
    }
}

/// The answer to an ARP request.
fn answer(request: &[u8], station: Station) -> Vec<u8> {
    let mut frame = request.to_vec();
    frame[..6].copy_from_slice(&request[6..12]);
    frame[6..12].copy_from_slice(&station.mac);
    frame[21] = 2;
    frame[22..28].copy_from_slice(&station.mac);
    frame[28..32].copy_from_slice(&request[38..42]);
    frame[32..42].copy_from_slice(&request[22..32]);
    frame
}

pub(crate) struct Pair {
    pub(crate) now: Ns,
    pub(crate) ends: [End; 2],
    /// Frames under way: when they arrive, and at which end.
    under_way: VecDeque<(Ns, usize, Vec<u8>)>,
    /// Ways that are cut, from 0.
    pub(crate) cut: Vec<u8>,
    /// What each of the first ways takes longer than the others.
    pub(crate) slow: Vec<Ns>,
    /// What has left A outside, as it is, tags and tunnels and all.
    pub(crate) seen: Vec<Vec<u8>>,
    /// What carries only so much of what A sends by each of the first ways.
    pub(crate) narrow: Vec<Option<Bottleneck>>,
    /// What becomes of B's frames on their way to A; `false` loses one.
    pub(crate) twist: fn(&mut Vec<u8>, u32) -> bool,
    twisted: u32,
}

/// A link of a rate, with a queue before it that drops what finds no room.
#[derive(Clone, Debug)]
pub(crate) struct Bottleneck {
    pub(crate) rate_bps: u64,
    pub(crate) queue_bytes: u64,
    /// Of a thousand frames so many are lost, drawn by a generator of its own.
    pub(crate) loss_permille: u64,
    free_at: Ns,
    draws: u64,
    /// Frames that came, and of those that did not get through: for want of room, and by the draw.
    pub(crate) came: u64,
    pub(crate) dropped: u64,
    pub(crate) drawn: u64,
    /// The time that all that got through waited, and how many did.
    waited: Ns,
    passed: u64,
}

impl Bottleneck {
    pub(crate) fn new(mbps: u64, queue_bytes: u64) -> Bottleneck {
        Bottleneck {
            rate_bps: mbps * 1_000_000,
            queue_bytes,
            loss_permille: 0,
            free_at: Ns::ZERO,
            draws: 1,
            came: 0,
            dropped: 0,
            drawn: 0,
            waited: Ns::ZERO,
            passed: 0,
        }
    }

    /// The same, which loses so many of a thousand frames.
    pub(crate) fn losing(self, loss_permille: u64) -> Bottleneck {
        Bottleneck { loss_permille, ..self }
    }

    /// When a frame that comes now has left it, if it does.
    fn pass(&mut self, bytes: usize, now: Ns) -> Option<Ns> {
        self.came += 1;
        // Knuth's MMIX generator; of its bits the upper ones are good.
        self.draws =
            self.draws.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if (self.draws >> 33) % 1_000 < self.loss_permille {
            self.drawn += 1;
            return None;
        }
        let wait = self.free_at - now;
        if wait.0 * self.rate_bps / 8_000_000_000 + bytes as u64 > self.queue_bytes {
            self.dropped += 1;
            return None;
        }
        self.free_at = self.free_at.max(now) + Ns(bytes as u64 * 8_000_000_000 / self.rate_bps);
        (self.waited, self.passed) = (self.waited + wait, self.passed + 1);
        Some(self.free_at)
    }

    /// The mean wait since this was asked last.
    pub(crate) fn mean_wait(&mut self) -> Ns {
        let (waited, passed) =
            (std::mem::replace(&mut self.waited, Ns::ZERO), std::mem::take(&mut self.passed));
        Ns(waited.0 / passed.max(1))
    }
}

impl Pair {
    pub(crate) fn new(kinds: &[Kind], change: impl Fn(&mut BalanceSettings)) -> Pair {
        Pair::of(kinds, |config| change(settings(config)))
    }

    /// The same, of whatever `change` makes of both configurations.
    pub(crate) fn of(kinds: &[Kind], change: impl Fn(&mut EngineConfig)) -> Pair {
        Pair::of_workers(kinds, [1, 1], change)
    }

    /// The same, with so many workers at A and at B.
    pub(crate) fn of_workers(
        kinds: &[Kind],
        workers: [usize; 2],
        change: impl Fn(&mut EngineConfig),
    ) -> Pair {
        let now = Ns::from_secs(1_000);
        let end = |own: u8, workers, station| {
            let mut config = config(kinds, own);
            change(&mut config);
            End::new(&config, workers, station, now)
        };
        Pair {
            now,
            ends: [end(1, workers[0], CLIENT), end(2, workers[1], FAR)],
            under_way: VecDeque::new(),
            cut: Vec::new(),
            slow: Vec::new(),
            seen: Vec::new(),
            narrow: Vec::new(),
            twist: |_, _| true,
            twisted: 0,
        }
    }

    /// The same, with a few of each path's probes answered.
    pub(crate) fn met(kinds: &[Kind], rule: PathRule) -> Pair {
        Pair::met_with(kinds, |settings| settings.rule = rule)
    }

    pub(crate) fn met_with(kinds: &[Kind], change: impl Fn(&mut BalanceSettings)) -> Pair {
        let mut pair = Pair::new(kinds, change);
        pair.run_for(Ns::from_millis(100));
        for end in &pair.ends {
            for (index, path) in end.worker.paths().iter().enumerate() {
                assert!(path.up == 1 && path.answers >= 5, "{kinds:?} {index}: {path:?}");
            }
        }
        pair.seen.clear();
        pair
    }

    /// Turns of both at every time at which something happens, for this long.
    pub(crate) fn run_for(&mut self, span: Ns) {
        let until = self.now + span;
        loop {
            while self.under_way.front().is_some_and(|(at, ..)| *at <= self.now)
                && let Some((_, end, frame)) = self.under_way.pop_front()
            {
                self.ends[end].io.inbox[Side::Outside as usize].push_back(frame);
            }
            let mut due = until;
            for (index, end) in self.ends.iter_mut().enumerate() {
                due = due.min(end.turn(self.now).unwrap_or(until));
                for frame in end.io.outbox[Side::Outside as usize].drain(..) {
                    if index == 0 {
                        self.seen.push(frame.clone());
                    }
                    let mut frame = frame;
                    let by = usize::from(way(&frame));
                    if self.cut.contains(&way(&frame)) {
                        continue;
                    }
                    if index == 1 {
                        self.twisted += 1;
                        if !(self.twist)(&mut frame, self.twisted) {
                            continue;
                        }
                    }
                    let narrow = self.narrow.get_mut(by).and_then(Option::as_mut).filter(|_| index == 0);
                    let left = narrow.map_or(Some(self.now), |link| link.pass(frame.len(), self.now));
                    let Some(left) = left else { continue };
                    let at = left + DELAY + self.slow.get(by).copied().unwrap_or_default();
                    let place = self.under_way.partition_point(|(other, ..)| *other <= at);
                    self.under_way.insert(place, (at, 1 - index, roomy(frame)));
                }
                if !end.io.inbox[Side::Inside as usize].is_empty() {
                    due = self.now;
                }
            }
            due = due.min(self.under_way.front().map_or(until, |(at, ..)| *at));
            if due >= until && self.under_way.front().is_none_or(|(at, ..)| *at >= until) {
                self.now = until;
                return;
            }
            self.now = due.max(self.now + Ns(1_000));
        }
    }

    /// Frames of A that carry the client's packets, by way.
    pub(crate) fn used(&self, ways: usize) -> Vec<usize> {
        let mut used = vec![0; ways];
        self.seen
            .iter()
            .filter(|frame| carries_data(frame))
            .for_each(|frame| used[usize::from(way(frame))] += 1);
        used
    }
}

fn roomy(mut frame: Vec<u8>) -> Vec<u8> {
    frame.reserve(128);
    frame
}

/// By which way a frame goes, from 0: each has networks of its own outside. Bare ones are told by the neighbour's number,
/// which an ARP request names.
fn way(frame: &[u8]) -> u8 {
    let at = if frame[12..14] == [0x81, 0] { 18 } else { 14 };
    if at == 18 {
        return frame[15] - 101;
    }
    match &frame[12..14] {
        [8, 6] => frame[40] - 1,
        [8, 0] if frame[30..32] == [10, 9] => frame[32] - 1,
        [0x86, 0xdd] if frame[38..40] == [0xfd, 9] => frame[45] - 1,
        // A solicitation: what it asks for.
        [0x86, 0xdd] if frame[20] == 58 => frame[54 + 8 + 7] - 1,
        _ => u8::MAX,
    }
}

/// Whether a frame of A bears a packet of the client.
fn carries_data(frame: &[u8]) -> bool {
    let from = [10, 8, 0, 2, 10, 7, 0, 2];
    let from6 = [0xfd, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
    frame.windows(8).any(|window| window == from) || frame.windows(16).any(|window| window == from6)
}

/// In a frame of B that goes through a tunnel of IPv4 in IPv4: what it says beyond RFC 8762's 44 bytes, if it answers a probe. Its
/// checksum is left out, which IPv4 allows, so that it may be changed.
pub(crate) fn extension(frame: &mut [u8]) -> Option<&mut [u8]> {
    let udp = 14 + 20 + 20;
    if frame.get(12..14)? != [8, 0]
        || frame.get(23) != Some(&4)
        || frame.get(udp..udp + 2)? != 862_u16.to_be_bytes()
    {
        return None;
    }
    frame[udp + 6..udp + 8].fill(0);
    frame.get_mut(udp + 8 + 44..)
}

/// The weights of the first paths; others have none.
pub(crate) fn weights(first: &[u16]) -> [u16; PATHS_MAX] {
    let mut weights = [0; PATHS_MAX];
    weights[..first.len()].copy_from_slice(first);
    weights
}
