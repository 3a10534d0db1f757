//! The flows of made-up jobs ([`weir_env::jobs`]), as a datapath sees them: what each one's network is shown, and what could be
//! known of its size.

use super::observer::{Knowledge, Observer};
use crate::rng::Rng;
use std::collections::VecDeque;
use weir_env::Sizes;
use weir_env::jobs::{Application, Job};
use weir_features::{FirstData, PEER_SIZES, PeerHistory, SIZE_INPUTS, SizeSpec};

/// A full segment's payload in bytes, which is what a first data segment carries of a larger flow: over Ethernet by IPv4 and IPv6,
/// without TCP timestamps and with.
const SEGMENTS: [u64; 4] = [1_460, 1_448, 1_440, 1_428];
/// Share of peers behind a tunnel, whose segments are of any size from here on. A network that knows one size only takes a full
/// segment of another for the whole of a flow.
const TUNNELLED: (f64, u64) = (0.25, 1_200);
/// The usual one: Linux over IPv4.
pub const SEGMENT: u64 = SEGMENTS[1];
/// A flow's size goes to the history when it ends. How long a peer's mean flow takes, as a share of the mean gap (that is, how
/// much of the peer's traffic overlaps), and what each flow takes besides.
const UNDER_WAY: (f64, f64) = (0.01, 0.2);
const ROUND_TRIPS_US: f64 = 200.0;

/// A distribution of flow sizes by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// What it is called.
    pub name: &'static str,
    /// The shipped table.
    pub sizes: Sizes,
}

impl Workload {
    /// Those that a model is trained on: all shipped tables.
    pub fn all() -> Vec<Workload> {
        let tables = [
            ("web search", include_str!("../../../conf/workloads/web-search.csv")),
            ("data mining", include_str!("../../../conf/workloads/data-mining.csv")),
            ("web server", include_str!("../../../conf/workloads/web-server.csv")),
        ];
        // Every one is a distribution: a test says so.
        let of = |(name, table)| Some(Workload { name, sizes: Sizes::parse(table, None).ok()? });
        tables.into_iter().filter_map(of).collect()
    }
}

/// A flow: what its network is shown, and what it came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flow {
    /// The network's inputs in 1/65536.
    pub row: [i32; SIZE_INPUTS],
    /// Its size in bytes.
    pub bytes: u64,
}

/// What can be known of a flow's logarithm at its first data segment, as a network is to say it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Known {
    /// By who has seen all of the peer's flows.
    pub all: f64,
    /// By who has seen as many as the network is shown, and the gap before this one.
    pub visible: f64,
}

/// One peer's flows, one after the other: those of one job.
#[derive(Debug, Clone)]
pub struct Peer<'a> {
    application: &'a Application,
    sizes: &'a Sizes,
    predictability: f64,
    job: Job,
    service_port: u16,
    serving: bool,
    segment: u64,
    bytes_per_us: f64,
    history: PeerHistory,
    /// When flows under way will end, and their sizes.
    under_way: Vec<(u64, u64)>,
    now_ns: u64,
    spec: SizeSpec,
    observer: Option<Observer<'a>>,
    /// The last flows' normal scores, oldest first.
    scores: VecDeque<f64>,
}

impl<'a> Peer<'a> {
    /// A peer that runs one of the application's jobs. With `knowledge` it says what can be known.
    pub fn new(
        application: &'a Application,
        sizes: &'a Sizes,
        predictability: f64,
        knowledge: Option<&'a Knowledge>,
        rng: &mut Rng,
    ) -> Peer<'a> {
        Peer {
            application,
            sizes,
            predictability,
            job: Job::new(Rng::new(rng.bits())),
            service_port: [443, 5_432, 7_077, 50_051][rng.below(4)],
            serving: rng.unit() < 0.5,
            segment: match rng.unit() < TUNNELLED.0 {
                true => TUNNELLED.1 + rng.below((SEGMENTS[0] - TUNNELLED.1) as usize) as u64,
                false => SEGMENTS[rng.below(SEGMENTS.len())],
            },
            bytes_per_us: sizes.mean()
                / application.mean_gap_us()
                / rng.log_uniform(UNDER_WAY.0, UNDER_WAY.1),
            history: PeerHistory::default(),
            under_way: Vec::new(),
            now_ns: 0,
            spec: SizeSpec::default(),
            observer: knowledge.map(Observer::new),
            scores: VecDeque::new(),
        }
    }

    /// Its next flow, and what can be known of it.
    pub fn flow(&mut self) -> (Flow, Option<Known>) {
        let transfer = self.job.next(self.application, self.sizes, self.predictability);
        self.now_ns += (transfer.gap_us * 1e3) as u64;
        self.under_way.sort_unstable();
        let ended = self.under_way.partition_point(|(end, _)| *end <= self.now_ns);
        for (_, bytes) in self.under_way.drain(..ended) {
            self.history.on_end(Some(bytes));
        }
        let bytes = transfer.bytes;
        let first = FirstData {
            payload_len: bytes.min(self.segment) as u16,
            service_port: self.service_port,
            serving: self.serving,
        };
        let row = self.spec.row(&first, &self.history, self.now_ns);
        self.history.on_begin(self.now_ns);
        let takes_us = ROUND_TRIPS_US + bytes as f64 / self.bytes_per_us;
        self.under_way.push((self.now_ns + (takes_us * 1e3) as u64, bytes));
        let scores = &mut self.scores;
        let known = self.observer.as_mut().map(|observer| {
            let whole = (bytes < self.segment).then_some(bytes);
            let visible = observer.anew(scores.iter().copied()).expect(transfer.gap_us, whole);
            let all = observer.expect(transfer.gap_us, whole);
            observer.learn(transfer.z);
            scores.push_back(transfer.z);
            if scores.len() > PEER_SIZES {
                scores.pop_front();
            }
            Known { all, visible }
        });
        (Flow { row, bytes }, known)
    }
}

/// A set of flows by which predictors are judged: of `peers` peers `per_peer` each, after those of which the history fills.
pub fn judged(
    application: &Application,
    sizes: &Sizes,
    predictability: f64,
    (peers, per_peer): (usize, usize),
    rng: &mut Rng,
) -> (Vec<Flow>, Vec<Known>) {
    let knowledge = Knowledge::new(application, sizes, predictability);
    let (mut flows, mut known) = (Vec::new(), Vec::new());
    for _ in 0..peers {
        let mut peer = Peer::new(application, sizes, predictability, Some(&knowledge), rng);
        for at in 0..2 * PEER_SIZES + per_peer {
            if let (flow, Some(can)) = peer.flow()
                && at >= 2 * PEER_SIZES
            {
                flows.push(flow);
                known.push(can);
            }
        }
    }
    (flows, known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_table_is_a_workload() {
        let names: Vec<&str> = Workload::all().iter().map(|workload| workload.name).collect();
        assert_eq!(names, ["web search", "data mining", "web server"]);
    }

    #[test]
    fn the_same_seed_gives_the_same_flows_and_rows_tell_of_earlier_ones() {
        let (application, workloads) = (Application::new(1), Workload::all());
        let flows = || {
            let mut peer = Peer::new(&application, &workloads[2].sizes, 0.6, None, &mut Rng::new(9));
            (0..50).map(|_| peer.flow().0).collect::<Vec<_>>()
        };
        assert_eq!(flows(), flows());
        // `sizes_known` of the first and the last.
        assert_eq!((flows()[0].row[5], flows()[49].row[5]), (0, 5 * weir_features::ONE));
    }
}
