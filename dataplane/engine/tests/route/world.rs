//! Weir between a client and a server, each on a network of its own.

use super::allocations::during;
use super::frames::{
    self, CLIENT, FAR_V4, FAR_V6, GATEWAY, SERVER, Station, WEIR_INSIDE, WEIR_OUTSIDE, arp, solicitation,
};
use std::collections::VecDeque;
use std::net::IpAddr;
use weir_engine::Worker;
use weir_engine::config::EngineConfig;
use weir_engine::counters::WorkerStats;
use weir_engine::io::{Burst, PacketIo, Side};
use weir_engine::policy::Policy;
use weir_engine::route::{Prefix, RouteConfig, RouteSide, StaticRoute};
use weir_engine::time::Ns;
use weir_engine::verdict::Verdict;
use weir_engine::worker::TurnReport;
use weir_handoff::{Publisher, Reader, epoch, lane};

#[derive(Debug)]
pub(crate) struct TestIo {
    pub(crate) inbox: [VecDeque<Vec<u8>>; 2],
    pub(crate) outbox: [VecDeque<Vec<u8>>; 2],
    /// Buffers for frames that Weir makes, so that making one allocates nothing.
    pub(crate) spare: Vec<Vec<u8>>,
}

impl TestIo {
    /// With room for what leaves between two looks at it, and as many buffers.
    pub(crate) fn new(buffers: usize) -> TestIo {
        TestIo {
            inbox: Default::default(),
            outbox: [VecDeque::with_capacity(4_096), VecDeque::with_capacity(4_096)],
            spare: spare(buffers),
        }
    }
}

impl PacketIo for TestIo {
    type Frame = Vec<u8>;

    fn rx(&mut self, side: Side, into: &mut Burst<Vec<u8>>) -> usize {
        let before = into.len();
        while !into.is_full()
            && let Some(frame) = self.inbox[side as usize].pop_front()
        {
            into.push(frame);
        }
        into.len() - before
    }

    fn tx(&mut self, side: Side, from: &mut Burst<Vec<u8>>) -> usize {
        let taken = from.len();
        self.outbox[side as usize].extend(from.drain(..));
        taken
    }

    fn make(&mut self, _: Side, len: usize) -> Option<Vec<u8>> {
        let mut bytes = self.spare.pop()?;
        bytes.resize(len, 0);
        Some(bytes)
    }
}

/// Buffers for frames that Weir makes.
pub(crate) fn spare(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|_| Vec::with_capacity(2_048)).collect()
}

pub(crate) fn prefix(address: impl Into<IpAddr>, len: u8) -> Prefix {
    Prefix { address: address.into(), len }
}

/// The network of the tests, forwarding only.
pub(crate) fn config() -> EngineConfig {
    let side = |own: Station| RouteSide {
        mac: own.mac,
        addresses: vec![prefix(own.v4, 24), prefix(own.v6, 64)],
        mtu: 1_500,
    };
    let far = |address: IpAddr, len, via: IpAddr| StaticRoute {
        prefix: prefix(address, len),
        via,
        out: Side::Outside,
    };
    EngineConfig {
        seed: 7,
        flows_max: 64,
        half_open_max: 64,
        flow_idle_max: Ns::from_secs(120),
        held_max: 256,
        pacing: None,
        route: Some(RouteConfig {
            sides: [side(WEIR_INSIDE), side(WEIR_OUTSIDE)],
            routes: vec![
                far(FAR_V4.into(), 24, GATEWAY.v4.into()),
                far(FAR_V6.into(), 32, GATEWAY.v6.into()),
            ],
            icmp_errors_per_sec: 100,
            balance: None,
        }),
        schedule: None,
    }
}

/// The route part of `config`.
pub(crate) fn route(config: &mut EngineConfig) -> &mut RouteConfig {
    config.route.as_mut().unwrap()
}

pub(crate) struct World {
    pub(crate) now: Ns,
    pub(crate) worker: Worker<Vec<u8>>,
    pub(crate) io: TestIo,
    reader: Reader<Policy>,
    _publisher: Publisher<Policy>,
}

impl World {
    pub(crate) fn new(config: &EngineConfig) -> World {
        let now = Ns::from_secs(1_000);
        let (samples, _) = lane(4, 16);
        let (publisher, mut readers) = epoch(Policy::default(), 1);
        World {
            now,
            worker: Worker::new(config, now, samples),
            io: TestIo::new(256),
            reader: readers.pop().unwrap(),
            _publisher: publisher,
        }
    }

    /// One in which all stations have asked for Weir, so that Weir knows them.
    pub(crate) fn met(config: &EngineConfig) -> World {
        let mut world = World::new(config);
        world.meet();
        world
    }

    pub(crate) fn meet(&mut self) {
        let stations = [(Side::Inside, CLIENT, WEIR_INSIDE), (Side::Outside, SERVER, WEIR_OUTSIDE)];
        for (side, station, weir) in stations.into_iter().chain([(Side::Outside, GATEWAY, WEIR_OUTSIDE)]) {
            self.offer(side, arp(true, station, weir, [0xff; 6]));
            self.offer(side, solicitation(station, station.v6, weir.v6));
        }
        self.turn();
        Side::ALL.into_iter().for_each(|side| drop(self.sent(side)));
    }

    pub(crate) fn offer(&mut self, side: Side, bytes: Vec<u8>) {
        self.io.inbox[side as usize].push_back(bytes);
    }

    /// One turn at the present time; checks the books, and that nothing was allocated.
    pub(crate) fn turn(&mut self) -> TurnReport {
        let (report, allocations) = during(|| self.worker.turn(self.now, &mut self.io, &mut self.reader));
        assert_eq!(allocations, 0, "a turn has allocated");
        assert!(self.worker.tally().balanced(), "{:?}", self.worker.tally());
        report
    }

    /// Turns at every time that a turn asks for, for this long.
    pub(crate) fn run_for(&mut self, span: Ns) {
        let until = self.now + span;
        loop {
            let next = self.turn().next_due.unwrap_or(until).max(self.now + Ns::from_micros(1));
            if next >= until {
                self.now = until;
                self.turn();
                return;
            }
            self.now = next;
        }
    }

    /// What has left by `side`.
    pub(crate) fn sent_as_it_is(&mut self, side: Side) -> Vec<Vec<u8>> {
        self.io.outbox[side as usize].drain(..).collect()
    }

    /// The same, judged.
    pub(crate) fn sent(&mut self, side: Side) -> Vec<Vec<u8>> {
        let sent = self.sent_as_it_is(side);
        let own = [WEIR_INSIDE, WEIR_OUTSIDE][side as usize].mac;
        for frame in &sent {
            frames::check(frame);
            assert_eq!(frames::macs(frame).0, own, "the source is not the port's own address");
        }
        sent
    }

    /// Offers a frame, takes a turn, and returns what left: by the inside and by the outside.
    pub(crate) fn exchange(&mut self, side: Side, bytes: Vec<u8>) -> [Vec<Vec<u8>>; 2] {
        self.offer(side, bytes);
        self.turn();
        Side::ALL.map(|side| self.sent(side))
    }

    /// The same, and the one verdict that it added besides those of frames that Weir made.
    pub(crate) fn fate(&mut self, side: Side, bytes: Vec<u8>) -> (Verdict, [Vec<Vec<u8>>; 2]) {
        let before = *self.worker.tally();
        let sent = self.exchange(side, bytes);
        let after = *self.worker.tally();
        let more = |verdict: &Verdict| after.ended[*verdict as usize] - before.ended[*verdict as usize];
        let ended: Vec<Verdict> = Verdict::ALL
            .into_iter()
            .filter(|verdict| *verdict != Verdict::Originated && more(verdict) > 0)
            .collect();
        assert_eq!(ended.len(), 1, "{ended:?}");
        assert_eq!(more(&ended[0]), 1);
        (ended[0], sent)
    }

    pub(crate) fn ended(&self, verdict: Verdict) -> u64 {
        self.worker.tally().ended[verdict as usize]
    }

    pub(crate) fn stats(&self) -> WorkerStats {
        *self.worker.stats()
    }
}
