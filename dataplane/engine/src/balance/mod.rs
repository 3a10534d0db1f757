//! Choice among named paths, in mode `route`.
//!
//! ```text
//! burst: frames that leave by paths are queued
//!    -> which flows are to be decided? new ones, flowlets, those whose path is down
//!    -> rows of flows x paths through the network, or the rule       (state of the burst's beginning)
//!    -> in order: books, the path's header, the path's next hop, departure
//!
//! outside burst, before it is parsed: VLAN tag off, tunnel's header off, the other end's probes reflected
//! each turn:   probes that are due; a path whose probes are not answered is down; of what a tunnel carries both ends
//!              count the frames, and probes bring the counts together
//! ```
//!
//! A decision belongs to its flow or flowlet: it is a path's number in the flow's entry, so a swap of models moves nobody.
//! Each worker measures, probes and judges paths for itself, from the flows that it owns: workers share nothing but how many
//! frames each has sent and received by each path. The answers
//! to a worker's probes come back to it because it sends them from ports whose flow hash is its own.

mod choose;
mod config;
mod decide;
mod direct;
pub(crate) mod encap;
mod flows;
mod late;
mod ledger;
mod maglev;
mod measure;
mod path;
mod probe;
mod record;
mod select;
mod stamp;
mod stats;

pub use config::{
    BalanceConfig, BalanceSettings, Cadence, Draws, Ends, PATHS_MAX, PathConfig, PathRule, WEIGHT_MAX, Wrap,
};
pub use probe::{PORT_FIRST, PORTS_PER_PATH};
pub use select::{Ask, Selector};
pub use stamp::{LEN as PROBE_LEN, PORT as REFLECTOR_PORT};
pub use stats::PathStats;

pub(crate) use ledger::{Datagram, Ledger, Settled};

use crate::counters::WorkerStats;
use crate::hash::FlowHasher;
use crate::io::Frame;
use crate::models::ModelSet;
use crate::route::{Outlet, Router};
use crate::sampler::Draw;
use crate::time::Ns;
use crate::track::{Acked, Departed};
use crate::verdict::Verdict;
use crate::wire::Parsed;
use arrayvec::ArrayVec;
use encap::Unwrapped;
use measure::Measure;
use weir_features::PathSample;
use weir_handoff::{LaneSender, SharedCounts};

/// Frames of one burst that leave by paths: 64 that pacing releases, or 32 that arrive, each of which may be cut into
/// eight by the smallest MTU there is.
const QUEUE: usize = 288;
/// A frame that leaves by a path.
struct Queued<F> {
    frame: F,
    hash: u64,
    verdict: Verdict,
    departed: Departed,
    /// A connection begins: what is known of this hash is another's.
    begins: bool,
    datagram: Option<Datagram>,
}

impl<F> Queued<F> {
    fn ask(&self) -> Ask {
        let Queued { hash, begins, departed, .. } = self;
        Ask { hash: *hash, begins: *begins, repeats: departed.retransmitted_bytes > 0 }
    }
}

/// What a frame brings along besides itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Parcel {
    /// Its flow's hash.
    pub(crate) hash: u64,
    /// What its departure meant to its tracker.
    pub(crate) departed: Departed,
    /// It is a SYN.
    pub(crate) begins: bool,
    /// It is of a paced flow of datagrams.
    pub(crate) datagram: Option<Datagram>,
}

/// Paths, the flows on them, and what waits to leave.
pub(crate) struct Balance<F> {
    paths: Box<[PathConfig]>,
    selector: Selector,
    /// At most [`QUEUE`].
    queue: Vec<Queued<F>>,
    hasher: FlowHasher,
    /// Own ports that probes are sent from, by path.
    ports: ArrayVec<u16, PATHS_MAX>,
    probe_interval: Ns,
    probe_next: Ns,
    /// By path: what has left in its header, and what the answers to its probes say of that.
    departed: [u64; PATHS_MAX],
    measures: Box<[Measure]>,
    ledger: Ledger,
    /// What the other workers have counted, where there are others.
    fellows: Option<SharedCounts<{ 2 * PATHS_MAX }>>,
}

impl<F: Frame> Balance<F> {
    /// Everything is allocated here.
    pub(crate) fn new(config: &BalanceConfig, limits: (u32, Ns), seed: u64, now: Ns) -> Balance<F> {
        let paths: Box<[PathConfig]> = config.paths.iter().take(PATHS_MAX).cloned().collect();
        let known = paths.iter().map(|path| (path.name.as_str(), path.rate_bps));
        let mut selector = Selector::new(known, &config.settings, limits);
        let count = paths.len().max(1) as u64;
        // Spread over the interval, so that they do not queue behind each other.
        for (index, state) in selector.states.iter_mut().enumerate() {
            state.probe_due = now + Ns(config.probe_interval.0 * index as u64 / count);
            if config.paces_datagrams {
                state.bear_datagrams();
            }
        }
        let mut balance = Balance {
            selector,
            queue: Vec::with_capacity(QUEUE),
            hasher: FlowHasher::new(seed),
            ports: ArrayVec::new(),
            probe_interval: config.probe_interval,
            probe_next: now,
            departed: [0; PATHS_MAX],
            measures: vec![Measure::new(); paths.len()].into_boxed_slice(),
            ledger: Ledger::new(config.datagram_flows(limits.0)),
            fellows: None,
            paths,
        };
        balance.choose_ports(|_| true);
        balance
    }

    /// Counts the frames of each path together with other workers.
    pub(crate) fn join(&mut self, fellows: SharedCounts<{ 2 * PATHS_MAX }>) {
        self.fellows = Some(fellows);
    }

    /// Where records of choices go.
    pub(crate) fn record_into(&mut self, lane: LaneSender<PathSample>) {
        self.selector.record_into(lane);
    }

    /// Takes up settings.
    pub(crate) fn adopt(&mut self, settings: &BalanceSettings) {
        self.selector.adopt(settings);
    }

    /// What each path has done and is.
    pub(crate) fn stats(&self) -> &[PathStats] {
        self.selector.stats()
    }

    /// When something is to be done next without a new frame.
    pub(crate) fn next_due(&self) -> Option<Ns> {
        (self.probe_next != Ns::NEVER).then_some(self.probe_next)
    }

    /// A frame is to leave by a path, at the end of this burst. Handed back where too many do.
    #[inline]
    pub(crate) fn push(&mut self, frame: F, verdict: Verdict, parcel: Parcel) -> Result<(), F> {
        self.selector.flows.prefetch(parcel.hash);
        let Parcel { hash, departed, begins, datagram } = parcel;
        if self.queue.len() == QUEUE {
            return Err(frame);
        }
        self.queue.push(Queued { frame, hash, verdict, departed, begins, datagram });
        Ok(())
    }

    /// What a frame's flow is known by.
    pub(crate) fn hash_of(&self, parsed: &Parsed) -> u64 {
        parsed.owner().map_or(0, |owner| self.hasher.hash(owner))
    }

    /// What is queued leaves.
    pub(crate) fn flush(
        &mut self,
        router: &mut Router<F>,
        models: &ModelSet,
        now: Ns,
        outlet: &mut impl Outlet<Frame = F>,
    ) {
        if self.queue.is_empty() {
            return;
        }
        self.selector.decide(self.queue.iter().map(Queued::ask), models, now, outlet.stats());
        let mac = router.outside_mac();
        let mut queue = core::mem::take(&mut self.queue);
        for queued in queue.drain(..) {
            let Queued { mut frame, hash, verdict, departed, datagram, .. } = queued;
            let place = self.selector.flows.find(hash);
            let (path, label) = self.selector.way(place, hash, now);
            let Some(config) = self.paths.get(path) else {
                outlet.end(frame, Verdict::NoRoute);
                continue;
            };
            if !encap::wrap(&mut frame, config, mac, label) {
                outlet.end(frame, Verdict::NoHeadroom);
                continue;
            }
            let (bytes, via) = (frame.wire_len(), config.via);
            self.departed[path] += 1;
            self.selector.book(place, path, bytes, &departed, now);
            if let Some(datagram) = datagram {
                self.ledger.on_departed(datagram, path, self.selector.states[path].next_probe());
            }
            router.depart_via(via, frame, verdict, now, outlet);
        }
        self.queue = queue;
    }

    /// How much has departed of the flow with this hash, in bytes of frames.
    #[inline]
    pub(crate) fn departed_of(&self, hash: u64) -> u64 {
        let flows = &self.selector.flows;
        flows.find(hash).map_or(0, |place| flows.get(place).bytes)
    }

    /// The accounts of paced flows of datagrams.
    #[inline]
    pub(crate) fn ledger_mut(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// What an acknowledgement of the flow says about its path.
    pub(crate) fn on_ack(&mut self, hash: u64, acked: &Acked, now: Ns) {
        self.selector.on_ack(hash, acked, now);
    }

    /// A frame has arrived outside: its tag and its tunnel's header are taken off. Returns it unless that was its end.
    pub(crate) fn unwrap(
        &mut self,
        router: &mut Router<F>,
        mut frame: F,
        now: Ns,
        outlet: &mut impl Outlet<Frame = F>,
    ) -> Option<F> {
        encap::untag(&mut frame, |vlan| router.has_vlan(vlan));
        let mac = router.outside_mac();
        if !frame.bytes().starts_with(&mac) {
            return Some(frame);
        }
        let by = match encap::unwrap(&mut frame, &self.paths, mac) {
            Unwrapped::No => None,
            Unwrapped::By(path) => {
                self.selector.stats[path].unwrapped += 1;
                Some(path)
            }
            Unwrapped::End(verdict) => {
                outlet.end(frame, verdict);
                return None;
            }
        };
        self.reflect(router, frame, by, now, outlet)
    }

    /// Forgets a few flows that are over, and renews the gauges now and then.
    pub(crate) fn keep(&mut self, now: Ns) {
        self.selector.keep(now);
        self.show_counts();
    }

    /// Brings what is counted elsewhere into the worker's counters.
    pub(crate) fn show(&self, stats: &mut WorkerStats) {
        self.selector.show(stats);
    }
}

/// The flow's `n`-th draw of a flow label or a port: never 0, which a fabric may take for "none".
fn label(hash: u64, n: u32) -> u32 {
    (Draw::Label.nth(hash, n) as u32).max(1) | 1
}
