//! Choice among named paths, in mode `route`.
//!
//! ```text
//! burst: frames that leave by paths are queued
//!    -> which flows are to be decided? new ones, flowlets, those whose path is down
//!    -> rows of flows x paths through the network, or the rule       (state of the burst's beginning)
//!    -> in order: books, the path's header, the path's next hop, departure
//!
//! outside burst, before it is parsed: VLAN tag off, tunnel's header off, the other end's probes reflected
//! each turn:   probes that are due; a path whose probes are not answered is down
//! ```
//!
//! A decision belongs to its flow or flowlet: it is a path's number in the flow's entry, so a swap of models moves nobody.
//! Each worker measures, probes and judges paths for itself, from the flows that it owns: workers share nothing. The answers
//! to a worker's probes come back to it because it sends them from ports whose flow hash is its own.

mod choose;
mod config;
mod decide;
pub(crate) mod encap;
mod flows;
mod maglev;
mod path;
mod probe;
mod record;
mod stamp;
mod stats;

pub use config::{
    BalanceConfig, BalanceSettings, Cadence, Draws, Ends, PATHS_MAX, PathConfig, PathRule, WEIGHT_MAX, Wrap,
};
pub use stats::PathStats;

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
use choose::Chooser;
use decide::Batch;
use encap::Unwrapped;
use flows::{FlowPaths, Place};
use maglev::Maglev;
use path::PathState;
use record::Records;
use weir_features::PathSample;
use weir_handoff::LaneSender;

/// Frames of one burst that leave by paths: 64 that pacing releases, or 32 that arrive, each of which may be cut into
/// eight by the smallest MTU there is.
const QUEUE: usize = 288;
/// How often the gauges are renewed.
const SHOW_EVERY: Ns = Ns::from_millis(1);
/// A sender that repeats data after this silence has run into its timeout: Linux' least.
const TIMEOUT_MIN: Ns = Ns::from_millis(200);
/// PLB (Linux 6.2 `tcp_plb.h`, `ip-sysctl.rst`): a round is congested when half of it is marked; after three such a flow
/// redraws once it is idle, after twelve in any case; after a timeout it rests for one to two minutes.
const PLB_ROUNDS_IDLE: u8 = 3;
const PLB_ROUNDS: u8 = 12;
const PLB_REST: Ns = Ns::from_secs(60);
/// A round where no RTT is known.
const ROUND: Ns = Ns::from_millis(10);

/// A frame that leaves by a path.
struct Queued<F> {
    frame: F,
    hash: u64,
    verdict: Verdict,
    departed: Departed,
    /// A connection begins: what is known of this hash is another's.
    begins: bool,
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
}

/// Paths, the flows on them, and what waits to leave.
pub(crate) struct Balance<F> {
    paths: Box<[PathConfig]>,
    /// What each path's place in the table of hashes follows from.
    names: ArrayVec<u64, PATHS_MAX>,
    states: Box<[PathState]>,
    stats: Box<[PathStats]>,
    settings: BalanceSettings,
    maglev: Maglev,
    flows: FlowPaths,
    /// At most [`QUEUE`].
    queue: Vec<Queued<F>>,
    batch: Batch,
    records: Records,
    hasher: FlowHasher,
    /// Own ports that probes are sent from, by path.
    ports: ArrayVec<u16, PATHS_MAX>,
    probe_interval: Ns,
    probe_next: Ns,
    /// Least RTT of late of any path; 0 for none.
    base_rtt: u64,
    burst: u32,
    shown: Ns,
}

impl<F: Frame> Balance<F> {
    /// Everything is allocated here.
    pub(crate) fn new(config: &BalanceConfig, limits: (u32, Ns), seed: u64, now: Ns) -> Balance<F> {
        let (flows_max, idle_max) = limits;
        let paths: Box<[PathConfig]> = config.paths.iter().take(PATHS_MAX).cloned().collect();
        let count = paths.len().max(1) as u64;
        // Spread over the interval, so that they do not queue behind each other.
        let due = |index: usize| now + Ns(config.probe_interval.0 * index as u64 / count);
        let states =
            paths.iter().enumerate().map(|(index, path)| PathState::new(path.rate_bps, due(index))).collect();
        let name = |path: &PathConfig| {
            path.name.bytes().fold(0, |name, byte| crate::hash::split_mix(name ^ u64::from(byte)))
        };
        let mut balance = Balance {
            names: paths.iter().map(name).collect(),
            stats: vec![PathStats::default(); paths.len()].into_boxed_slice(),
            states,
            settings: config.settings.clone(),
            maglev: Maglev::new(),
            flows: FlowPaths::new(flows_max, idle_max),
            queue: Vec::with_capacity(QUEUE),
            batch: Batch::new(),
            records: Records::new(),
            hasher: FlowHasher::new(seed),
            ports: ArrayVec::new(),
            probe_interval: config.probe_interval,
            probe_next: now,
            base_rtt: 0,
            burst: 0,
            shown: Ns::ZERO,
            paths,
        };
        balance.choose_ports(|_| true);
        balance.maglev.fill(&balance.names, &balance.settings.weights);
        balance
    }

    /// Where records of choices go.
    pub(crate) fn record_into(&mut self, lane: LaneSender<PathSample>) {
        self.records.tell_into(lane);
    }

    /// Takes up settings. The same ones, which every publication of a model brings along, cost a comparison.
    pub(crate) fn adopt(&mut self, settings: &BalanceSettings) {
        if *settings == self.settings {
            return;
        }
        self.settings.clone_from(settings);
        self.maglev.fill(&self.names, &self.settings.weights);
    }

    /// What each path has done and is.
    pub(crate) fn stats(&self) -> &[PathStats] {
        &self.stats
    }

    /// When something is to be done next without a new frame.
    pub(crate) fn next_due(&self) -> Option<Ns> {
        (self.probe_next != Ns::NEVER).then_some(self.probe_next)
    }

    /// A frame is to leave by a path, at the end of this burst. Handed back where too many do.
    #[inline]
    pub(crate) fn push(&mut self, frame: F, verdict: Verdict, parcel: Parcel) -> Result<(), F> {
        self.flows.prefetch(parcel.hash);
        let Parcel { hash, departed, begins } = parcel;
        if self.queue.len() == QUEUE {
            return Err(frame);
        }
        self.queue.push(Queued { frame, hash, verdict, departed, begins });
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
        self.decide(models, now, outlet.stats());
        let mac = router.outside_mac();
        let mut queue = core::mem::take(&mut self.queue);
        for queued in queue.drain(..) {
            let Queued { mut frame, hash, verdict, departed, .. } = queued;
            let place = self.flows.find(hash);
            let (path, label) = match place.map(|place| *self.flows.get(place)) {
                Some(flow) if flow.path != flows::NO_PATH => (usize::from(flow.path), flow.label),
                _ => (self.chooser(now).by_rule(hash, 0, None, choose::Due::New), label(hash, 0)),
            };
            let Some(config) = self.paths.get(path) else {
                outlet.end(frame, Verdict::NoRoute);
                continue;
            };
            if !encap::wrap(&mut frame, config, mac, label) {
                outlet.end(frame, Verdict::NoHeadroom);
                continue;
            }
            let (bytes, via) = (frame.wire_len(), config.via);
            self.states[path].on_depart(bytes, now);
            self.stats[path].frames += 1;
            self.stats[path].bytes += u64::from(bytes);
            if let Some(place) = place {
                self.book(place, path, bytes, &departed, now);
            }
            router.depart_via(via, frame, verdict, now, outlet);
        }
        self.queue = queue;
    }

    /// A frame of a flow departs by its path.
    fn book(&mut self, place: Place, path: usize, bytes: u32, departed: &Departed, now: Ns) {
        let flow = self.flows.get_mut(place);
        flow.last = now;
        flow.bytes = flow.bytes.saturating_add(u64::from(bytes));
        if departed.new_bytes | departed.retransmitted_bytes == 0 {
            return;
        }
        flow.in_flight = flow.in_flight.saturating_add(departed.new_bytes);
        self.states[path].in_flight += u64::from(departed.new_bytes);
        self.stats[path].repeated_bytes += u64::from(departed.retransmitted_bytes);
        self.records.on_depart(flow.sample, departed);
    }

    fn chooser(&self, now: Ns) -> Chooser<'_> {
        let Balance { settings, states, maglev, base_rtt, .. } = self;
        Chooser { settings, paths: states, maglev, base_rtt: *base_rtt, now }
    }

    /// What an acknowledgement of the flow says about its path.
    pub(crate) fn on_ack(&mut self, hash: u64, acked: &Acked, now: Ns) {
        let Some(place) = self.flows.find(hash) else { return };
        let flow = self.flows.get_mut(place);
        let Some(path) = flow.path() else { return };
        let (Some(state), Some(stats)) = (self.states.get_mut(path), self.stats.get_mut(path)) else {
            return;
        };
        // What departed before the flow came to its path tells of another one.
        if let Some(rtt) = acked.rtt_ns.map(Ns)
            && now - rtt >= flow.moved
        {
            state.on_rtt(rtt, now);
            stats.rtt_samples += 1;
        }
        let own = now - state.srtt() >= flow.moved;
        if own && (acked.delivered_bytes > 0 || acked.ece) {
            state.on_ack(acked.ece, acked.delivered_bytes, acked.lost_bytes > 0);
            stats.marks += u64::from(acked.ece);
            flow.acks = flow.acks.saturating_add(1);
            flow.marks = flow.marks.saturating_add(u16::from(acked.ece));
            if now >= flow.round_ends {
                let congested = flow.marks > 0 && 2 * u32::from(flow.marks) >= u32::from(flow.acks);
                flow.rounds = if congested { flow.rounds.saturating_add(1) } else { 0 };
                (flow.acks, flow.marks) = (0, 0);
                let round = if state.srtt() == Ns::ZERO { ROUND } else { state.srtt() };
                flow.round_ends = now + round;
            }
        }
        let arrived = acked.delivered_bytes.min(flow.in_flight);
        flow.in_flight -= arrived;
        state.forget_in_flight(arrived);
        stats.acked_bytes += u64::from(acked.delivered_bytes);
        self.records.on_ack(flow.sample, acked.delivered_bytes, now);
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
                self.stats[path].unwrapped += 1;
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
        let Balance { states, flows, records, stats, settings, .. } = self;
        flows.sweep(now, |path, left, sample| {
            if let Some(state) = states.get_mut(path) {
                state.forget_in_flight(left);
            }
            records.end(sample);
        });
        if now - self.shown < SHOW_EVERY {
            return;
        }
        self.shown = now;
        for (index, (state, stats)) in states.iter_mut().zip(stats.iter_mut()).enumerate() {
            state.end_slow_start(settings.slow_start, now);
            let takes = settings.weights[index] > 0 && !settings.drains[index];
            stats.up = u64::from(state.is_up());
            stats.share_q16 = if takes { state.ramp_q16(settings.slow_start, now) } else { 0 };
            stats.flows = flows.on_path[index];
            stats.rtt_ns = state.srtt().0;
            stats.base_rtt_ns = state.base_rtt();
            stats.in_flight = state.in_flight;
            stats.sent_bps = state.sent_bps(now);
            stats.rate_bps = state.rate_bps();
            stats.ecn_q16 = state.ecn_q16().into();
            stats.loss_q16 = state.loss_q16().into();
        }
        records.flush(now);
    }

    /// Brings what is counted elsewhere into the worker's counters.
    pub(crate) fn show(&self, stats: &mut WorkerStats) {
        stats.path_flows = self.flows.on_path.iter().sum();
        (stats.path_samples, stats.path_samples_dropped) = self.records.counts();
    }
}

/// The flow's `n`-th draw of a flow label or a port: never 0, which a fabric may take for "none".
fn label(hash: u64, n: u32) -> u32 {
    (Draw::Label.nth(hash, n) as u32).max(1) | 1
}
